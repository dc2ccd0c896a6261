"""From deals to lines, one pure function per kind of scheme. A line knows everything needed to recompute it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, localcontext
from typing import Any, NamedTuple

from reporting.commission import highwater
from reporting.commission.fee_terms import SettledFees
from reporting.commission.money import EXACT, round_money
from reporting.commission.periods import DAY, Calendar, Period, PeriodLength, days_around
from reporting.commission.policy import Basis, Scheme, Terms

PERIOD_KEY = "period"


class Deal(NamedTuple):
    """One copied deal: signed lots and trade value, net = profit + swap + commission, account currency.

    source: id of the member whose signal it was, where the subscription is to a portfolio and the backend says so.
    number: how many deals it is the sum of.
    """

    id: str
    occurred_at: datetime
    is_opening: bool
    lots: Decimal
    amount: Decimal
    net: Decimal
    source: str = ""
    number: int = 1


class Valuation(NamedTuple):
    """Balance and equity of the subscriber's account at one moment, and the credit of its broker in the equity."""

    at: datetime
    balance: Decimal
    equity: Decimal
    credit: Decimal = Decimal(0)


@dataclass(slots=True)
class Line:
    """One line of the ledger before it is stored; the fields are those of `reporting.models.CommissionLine`.

    member: empty, or the member whose provider the portfolio's owner owes it.
    """

    period: Period
    key: str
    occurred_at: datetime
    scheme: str
    policy: dict[str, Any]
    inputs: dict[str, Any]
    rate: Decimal
    exact_amount: Decimal
    amount: Decimal
    currency: str
    is_provisional: bool = False
    member: str = ""


class Marked(NamedTuple):
    """A mark and the moment until which results are counted in it."""

    mark: highwater.Mark
    at: datetime


class Lifetime(NamedTuple):
    """A subscription from its start to its end; None while it runs."""

    started_at: datetime
    ended_at: datetime | None = None


@dataclass(slots=True)
class BilledSubscription:
    """What one subscriber's lines are computed from.

    started_at: first deal or first seen, whichever is earlier. ended_at: None while it runs. lifetimes: the stretches
    it was there, oldest first, where it paused in between; empty: one. marks: where the last settled periods left
    them, by what they measure. Deals, flows and valuations are in order of time. credits: what a broker lent, a part of
    the equity and not of the balance. fee_payments: times of withdrawals that paid fees of the ledger.
    costs: management fees, which new profit has to earn first. standing: what settled lines say of other fees.
    """

    currency: str
    started_at: datetime
    ended_at: datetime | None = None
    deals: list[Deal] = field(default_factory=list)
    flows: list[tuple[datetime, Decimal]] = field(default_factory=list)
    valuations: list[Valuation] = field(default_factory=list)
    marks: dict[Basis, Marked] = field(default_factory=dict)
    lifetimes: list[Lifetime] = field(default_factory=list)
    credits: list[tuple[datetime, Decimal]] = field(default_factory=list)
    fee_payments: frozenset[datetime] = frozenset()
    costs: list[tuple[datetime, Decimal]] = field(default_factory=list)
    standing: SettledFees = field(default_factory=SettledFees)


def opens_position(backend_id: str, profit: Decimal) -> bool:
    """Whether a transaction is the opening side of a copied trade.

    source: contract, 6.1: the id carries `:open` or `:close`; without a suffix a deal with a profit is a closing one
    """
    if backend_id.endswith(":close"):
        return False
    return backend_id.endswith(":open") or profit == 0


# --- Schemes that charge single deals ---------------------------------------------------------------------------------


def _lots_traded(deal: Deal) -> tuple[str, Decimal] | None:
    """k x abs(lots) of an opening deal. units: currency per lot, lots"""
    return ("lots", abs(deal.lots)) if deal.is_opening else None


def _lots_won(deal: Deal) -> tuple[str, Decimal] | None:
    """k x abs(lots) of a closing deal with a positive net result. units: currency per lot, lots"""
    return ("lots", abs(deal.lots)) if not deal.is_opening and deal.net > 0 else None


def _amount_traded(deal: Deal) -> tuple[str, Decimal] | None:
    """k x abs(trade value) of an opening deal. units: fraction, account currency"""
    return ("amount", abs(deal.amount)) if deal.is_opening else None


def _amount_won(deal: Deal) -> tuple[str, Decimal] | None:
    """k x net result of a closing deal, where positive. units: fraction, account currency"""
    return ("result", deal.net) if not deal.is_opening and deal.net > 0 else None


PER_DEAL = {
    Scheme.LOTS_TRADED: _lots_traded,
    Scheme.LOTS_WON: _lots_won,
    Scheme.AMOUNT_TRADED: _amount_traded,
    Scheme.AMOUNT_WON: _amount_won,
}


def deal_lines(terms: Terms, deals: Iterable[Deal], *, calendar: Calendar, currency: str) -> Iterator[Line]:
    """One final line per deal that the scheme charges, in the period of the deal."""
    if not terms.rate:
        return
    charged_part = PER_DEAL[terms.scheme]
    stored = terms.serialise()
    period = None
    for deal in deals:
        charged = charged_part(deal)
        if charged is None or not charged[1]:
            continue
        if period is None or deal.occurred_at not in period:
            period = calendar.containing(deal.occurred_at, terms.billing_period)
        name, quantity = charged
        exact = EXACT.multiply(terms.rate, quantity)
        inputs = {"transaction": deal.id, name: format(quantity.normalize(), "f")}
        yield Line(
            period,
            deal.id,
            deal.occurred_at,
            terms.scheme.value,
            stored,
            inputs,
            terms.rate,
            exact,
            round_money(exact, currency),
            currency,
        )


# --- Fixed fee --------------------------------------------------------------------------------------------------------


def flat_fee_line(
    terms: Terms, subscription: BilledSubscription, period: Period, *, calendar: Calendar, now: datetime, settled: bool
) -> Line | None:
    """k x days of the subscription in the period / days of the period; while the period runs, the days begun so far."""
    stretches = days_of_subscription(subscription, period, calendar, now)
    days = sum((last - first).days + 1 for first, last in stretches)
    if not days:
        return None
    inputs: dict[str, Any] = {
        "days": days,
        "days_of_period": period.days,
        "first_day": stretches[0][0].isoformat(),
        "last_day": stretches[-1][1].isoformat(),
    }
    if terms.agreed_period is not None:
        inputs["by_period"] = days_by_period(stretches, calendar, terms.agreed_period)
    exact = fixed_fee(terms.rate, inputs)
    if len(stretches) > 1:
        inputs["stretches"] = [[first.isoformat(), last.isoformat()] for first, last in stretches]
    return Line(
        period,
        PERIOD_KEY,
        max(period.start, subscription.started_at),
        terms.scheme.value,
        terms.serialise(),
        inputs,
        terms.rate,
        exact,
        round_money(exact, subscription.currency),
        subscription.currency,
        not settled,
    )


def days_of_subscription(
    subscription: BilledSubscription, period: Period, calendar: Calendar, now: datetime
) -> list[tuple[date, date]]:
    """First and last day of each stretch of the subscription in a period, as far as `now`; no day is in two of them."""
    stretches: list[tuple[date, date]] = []
    latest = min(calendar.day_of(now), period.next_day - DAY)
    for started_at, ended_at in subscription.lifetimes or [Lifetime(subscription.started_at, subscription.ended_at)]:
        first = max(period.first_day, calendar.day_of(started_at))
        last = latest if ended_at is None else min(latest, calendar.day_of(ended_at))
        if stretches and first <= stretches[-1][1] + DAY:
            first = stretches.pop()[0] if last >= stretches[-1][1] else first
        if first <= last and not (stretches and last <= stretches[-1][1]):
            stretches.append((first, last))
    return stretches


def days_by_period(stretches: list[tuple[date, date]], calendar: Calendar, length: PeriodLength) -> list[list[int]]:
    """[days, days of the whole period] of each period of another length than the strategy's, oldest first."""
    counted: dict[date, list[int]] = {}
    for first, last in stretches:
        while first <= last:
            start, following = days_around(calendar, first, length)
            until = min(last + DAY, following)
            counted.setdefault(start, [0, (following - start).days])[0] += (until - first).days
            first = until
    return list(counted.values())


def fixed_fee(rate: Decimal, inputs: Mapping[str, Any]) -> Decimal:
    """The exact fee of a line: rate x days / days of the whole period, summed up where these are several."""
    with localcontext(EXACT):
        counted = inputs.get("by_period") or [[inputs["days"], inputs["days_of_period"]]]
        return sum((rate * days / whole for days, whole in counted), Decimal(0))
