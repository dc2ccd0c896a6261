"""Fees beside a strategy's commission, as they are agreed on: terms that only the portal knows. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

ZERO = Decimal(0)


class ExtraFee(StrEnum):
    """Schemes that the backend does not know; beside the six of `Scheme` in lines of the ledger."""

    MANAGEMENT = "management-fee"
    JOINING = "joining-fee"
    MINIMUM = "minimum-fee"
    CAP = "fee-cap"


EXTRA_FEES = frozenset(str(fee) for fee in ExtraFee)
COMBINED = "combined"
"""What a sum of several fees of a period is called in place of a scheme."""
LIMITS = frozenset({str(ExtraFee.MINIMUM), str(ExtraFee.CAP)})
AMOUNTS = ("joining", "minimum", "cap")
FOLLOWS = "follows"
"""The key of a version of one client that takes the strategy's terms again."""

Amounts = tuple[tuple[str, Decimal], ...]
"""Amounts of money by currency. In a currency without one nothing is charged, or capped."""


@dataclass(frozen=True, slots=True)
class FeeTerms:
    """What a client of a strategy pays beside the commission, and what the commission's rate is lowered by.

    management: of the account's equity, a year. discount: fraction of every rate. trial_days: free from the first day
    of the client. rate: of one client, in place of the rate of `rate_scheme`. billing_period: of all
    clients, in place of the commission's; empty: as that says. number: of the version.
    """

    management: Decimal = ZERO
    joining: Amounts = ()
    minimum: Amounts = ()
    cap: Amounts = ()
    discount: Decimal = ZERO
    trial_days: int = 0
    rate: Decimal | None = None
    rate_scheme: str = ""
    billing_period: str = ""
    number: int = field(default=0, compare=False)

    def amount(self, name: str, currency: str) -> Decimal | None:
        """One of `AMOUNTS` in a currency."""
        return dict(getattr(self, name)).get(currency)

    @property
    def is_empty(self) -> bool:
        return self == FeeTerms()

    @property
    def charges(self) -> bool:
        """Whether something is owed by it without any commission."""
        return bool(self.management or self.joining or self.minimum)

    def serialise(self) -> dict[str, Any]:
        """As a version keeps it: without what is not agreed on."""
        stored: dict[str, Any] = {}
        for name in ("management", "discount"):
            if value := getattr(self, name):
                stored[name] = f"{value.normalize():f}"
        for name in AMOUNTS:
            if amounts := getattr(self, name):
                stored[name] = {currency: f"{amount.normalize():f}" for currency, amount in amounts}
        if self.trial_days:
            stored["trial_days"] = self.trial_days
        if self.rate is not None:
            stored |= {"rate": f"{self.rate.normalize():f}", "rate_scheme": self.rate_scheme}
        if self.billing_period:
            stored["billing_period"] = self.billing_period
        return stored

    @classmethod
    def parse(cls, stored: Mapping[str, Any], number: int = 0) -> FeeTerms:
        """The terms of `serialise`; what is missing is not agreed on."""
        amounts = {
            name: tuple(sorted((currency, Decimal(amount)) for currency, amount in stored.get(name, {}).items()))
            for name in AMOUNTS
        }
        return cls(
            management=Decimal(stored.get("management", 0)),
            discount=Decimal(stored.get("discount", 0)),
            trial_days=stored.get("trial_days", 0),
            rate=Decimal(stored["rate"]) if "rate" in stored else None,
            rate_scheme=stored.get("rate_scheme", ""),
            billing_period=stored.get("billing_period", ""),
            number=number,
            **amounts,
        )


@dataclass(frozen=True, slots=True)
class FeeSpan:
    """Fees that hold from `since` on."""

    since: datetime | None
    terms: FeeTerms


class LateDay(NamedTuple):
    """A day whose value was not known when its period settled, and is now; charged as the line of then says."""

    day: date
    value: Decimal
    rate: Decimal
    policy: Mapping[str, Any]


@dataclass(slots=True)
class SettledFees:
    """What settled lines of one subscription say. costs: management fees, which new profit has to earn first."""

    has_joined: bool = False
    late_days: list[LateDay] = field(default_factory=list)
    costs: list[tuple[datetime, Decimal]] = field(default_factory=list)
