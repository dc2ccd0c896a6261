"""What a line is computed by: the scheme with its rate and period (terms), and the high-water-mark choices (policy).

Both are values that serialise into the line, so that a line stays explained when the strategy's document changes.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields, replace
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, Protocol

from reporting.commission.money import EXACT
from reporting.commission.periods import PeriodLength, stated_length

STORED_RATE = Decimal(1).scaleb(-10)
"""The smallest step of a rate in a line of the ledger."""


class Scheme(StrEnum):
    """The backend's six commission schemes (contract, 3.9)."""

    FLAT_FEE = "flat-fee"
    LOTS_TRADED = "lots-traded"
    LOTS_WON = "lots-won"
    AMOUNT_TRADED = "amount-traded"
    AMOUNT_WON = "amount-won"
    HIGH_WATER_MARK = "high-water-mark"


IN_MONEY = frozenset({Scheme.FLAT_FEE, Scheme.LOTS_TRADED, Scheme.LOTS_WON})
"""Schemes whose rate is an amount of the account's currency; that of the others is a share."""


class Basis(StrEnum):
    """What is measured against the mark."""

    PROFIT = "profit"  # cumulative net profit of copied trades
    EQUITY = "equity"  # account equity


class Floating(StrEnum):
    """How the result of open positions counts."""

    REALISED = "realised"
    REALISED_AND_FLOATING = "realised-and-floating"
    REALISED_AND_NEGATIVE_FLOATING = "realised-and-negative-floating"


class NewMark(StrEnum):
    """Whether a charged fee must be earned back before the next one (gross) or not (net)."""

    NET = "net"
    GROSS = "gross"


class Withdrawal(StrEnum):
    """How a withdrawal W at equity E lowers the mark H: H - W, or H x (E - W) / E."""

    ABSOLUTE = "absolute"
    PROPORTIONAL = "proportional"


class Crystallised(StrEnum):
    """When a fee falls due."""

    PERIOD_END = "period-end"
    WITHDRAWAL = "withdrawal"  # at period end and before each withdrawal
    SUBSCRIPTION_END = "subscription-end"  # at period end and when the subscription ends


class Hurdle(StrEnum):
    """What a minimum return does: nothing; frees the part below it (hard); only decides whether to charge (soft)."""

    NONE = "none"
    SOFT = "soft"
    HARD = "hard"


class Scope(StrEnum):
    """One mark per subscription, or one for all strategies of the manager that a client follows."""

    SUBSCRIPTION = "subscription"
    CLIENT = "client"


_ENUMS = {
    "basis": Basis,
    "floating": Floating,
    "new_mark": NewMark,
    "withdrawal": Withdrawal,
    "crystallised": Crystallised,
    "hurdle": Hurdle,
    "scope": Scope,
}


@dataclass(frozen=True, slots=True)
class Policy:
    """High-water-mark choices, the defaults first in every list of docs/commissions.md."""

    name: str = "standard"
    version: int = 1
    basis: Basis = Basis.PROFIT
    floating: Floating = Floating.REALISED
    new_mark: NewMark = NewMark.NET
    withdrawal: Withdrawal = Withdrawal.ABSOLUTE
    crystallised: Crystallised = Crystallised.PERIOD_END
    loss_memory_periods: int | None = None  # None: unlimited
    hurdle: Hurdle = Hurdle.NONE
    hurdle_rate: Decimal = Decimal(0)  # per year, a fraction of 1
    scope: Scope = Scope.SUBSCRIPTION

    def __post_init__(self) -> None:
        if self.loss_memory_periods is not None and self.loss_memory_periods < 1:
            raise ValueError("A loss memory is at least one period.")
        if self.hurdle_rate < 0:
            raise ValueError("A hurdle rate is not negative.")

    def serialise(self) -> dict[str, Any]:
        """Plain JSON; numbers that are owed by are text."""
        return asdict(self) | {"hurdle_rate": str(self.hurdle_rate)}

    @classmethod
    def parse(cls, stored: dict[str, Any]) -> Policy:
        """The policy of `serialise`. Fields that are missing have their defaults; raises ValueError on a bad value."""
        known = {field.name for field in fields(cls)}
        chosen = {name: value for name, value in stored.items() if name in known}
        for name, kind in _ENUMS.items():
            if name in chosen:
                chosen[name] = kind(chosen[name])
        if "hurdle_rate" in chosen:
            chosen["hurdle_rate"] = Decimal(chosen["hurdle_rate"])
        return cls(**chosen)


class ChargedLine(Protocol):
    """What a line says of the terms it was charged by."""

    @property
    def scheme(self) -> str: ...
    @property
    def rate(self) -> Decimal: ...
    @property
    def policy(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Terms:
    """What a strategy charges: scheme, rate and billing period, and the policy where the scheme has a mark.

    number: of the version in the history of the strategy's terms; 0 in lines from before there was one. agreed_period:
    where a client's terms are older than the length of the strategy's periods, the length that was agreed on. rates: by
    currency, in place of `rate`; by the version `rates_number`. discount: fraction that a client's rate is lowered by;
    list_rate: the rate before that, in terms of a line. Neither is a part of the text that digests are made of.
    """

    scheme: Scheme
    rate: Decimal
    billing_period: PeriodLength
    policy: Policy = Policy()
    number: int = 0
    agreed_period: PeriodLength | None = None
    rates: tuple[tuple[str, Decimal], ...] = ()
    rates_number: int = 0
    discount: Decimal = field(default=Decimal(0), repr=False)
    list_rate: Decimal | None = field(default=None, repr=False)

    def in_currency(self, currency: str) -> Terms:
        """What accounts of a currency are charged by, less the discount."""
        own = dict(self.rates).get(currency)
        terms = self if own is None else replace(self, rate=own, number=self.rates_number, rates=(), rates_number=0)
        if not terms.discount or terms.list_rate is not None:
            return terms
        return replace(terms, rate=discounted(terms.rate, terms.discount), list_rate=terms.rate)

    def serialise(self) -> dict[str, Any]:
        """What a line keeps beside its scheme and rate."""
        stored: dict[str, Any] = {"billing_period": str(self.billing_period)}
        if self.scheme is Scheme.HIGH_WATER_MARK:
            stored |= self.policy.serialise()
        if self.number:
            stored["terms"] = self.number
        if self.agreed_period is not None:
            stored["agreed_period"] = str(self.agreed_period)
        if self.list_rate is not None:
            stored |= {"list_rate": f"{self.list_rate.normalize():f}", "discount": f"{self.discount.normalize():f}"}
        return stored

    @classmethod
    def of_line(cls, scheme: str, rate: Decimal, stored: dict[str, Any]) -> Terms:
        """The terms that a line was computed by."""
        length, number = PeriodLength(stored["billing_period"]), stored.get("terms", 0)
        agreed = PeriodLength(stored["agreed_period"]) if "agreed_period" in stored else None
        terms = cls(Scheme(scheme), rate, length, Policy.parse(stored), number, agreed)
        if "list_rate" not in stored:
            return terms
        return replace(terms, discount=Decimal(stored["discount"]), list_rate=Decimal(stored["list_rate"]))

    @classmethod
    def of_row(cls, line: ChargedLine) -> Terms:
        """The terms of a line, stored or not yet."""
        return cls.of_line(line.scheme, line.rate, line.policy)


def discounted(rate: Decimal, discount: Decimal) -> Decimal:
    """A rate less a discount, with as many digits as a line keeps."""
    return EXACT.multiply(rate, 1 - discount).quantize(STORED_RATE, ROUND_HALF_UP)


def read_terms(document: dict[str, Any], policy: Policy = Policy()) -> Terms | None:
    """The terms in a strategy's document; None where it charges nothing or names a scheme we do not know.

    source: contract, 3.9 commissionScheme; period month and no commission where nothing is said
    """
    stated = document.get("commissionScheme") or {}
    try:
        scheme = Scheme(stated.get("type", ""))
        rate = Decimal(str(stated.get("commissionRate", 0)))
        billing_period = stated_length(stated.get("billingPeriod", "month"))
    except (ValueError, InvalidOperation):
        return None
    return Terms(scheme, rate, billing_period, policy) if rate.is_finite() and rate > 0 else None


def digest_of(*parts: object) -> str:
    """Changes whenever lines would be computed differently."""
    return hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).hexdigest()
