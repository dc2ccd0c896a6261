"""From deals to lines, one pure function per kind of scheme. A line knows everything needed to recompute it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal, localcontext
from typing import Any, NamedTuple

from reporting.commission import highwater
from reporting.commission.money import EXACT, round_money
from reporting.commission.periods import Calendar, Period
from reporting.commission.policy import Scheme, Terms

PERIOD_KEY = "period"


class Deal(NamedTuple):
    """One copied deal: signed lots and trade value, net = profit + swap + commission, account currency.

    source: id of the member whose signal it was, where the subscription is to a portfolio and the backend says so.
    """

    id: str
    occurred_at: datetime
    is_opening: bool
    lots: Decimal
    amount: Decimal
    net: Decimal
    source: str = ""


class Valuation(NamedTuple):
    """Balance and equity of the subscriber's account at one moment."""

    at: datetime
    balance: Decimal
    equity: Decimal


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


@dataclass(slots=True)
class Subscription:
    """What one subscriber's lines are computed from.

    started_at: first deal or first seen, whichever is earlier. ended_at: None while it runs. mark: where the last
    settled period left it, None at the start. Deals, flows and valuations are in order of time.
    """

    currency: str
    started_at: datetime
    ended_at: datetime | None = None
    deals: list[Deal] = field(default_factory=list)
    flows: list[tuple[datetime, Decimal]] = field(default_factory=list)
    valuations: list[Valuation] = field(default_factory=list)
    mark: highwater.Mark | None = None

    def from_moment(self, since: datetime | None) -> Subscription:
        """The subscription as one that begins at `since`, if that is later; None: as it is."""
        if since is None:
            return self
        deals = [deal for deal in self.deals if deal.occurred_at >= since]
        return replace(self, started_at=max(self.started_at, since), deals=deals)


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
            period, deal.id, deal.occurred_at, terms.scheme.value, stored, inputs, terms.rate, exact,
            round_money(exact, currency), currency,
        )  # fmt: skip


# --- Fixed fee --------------------------------------------------------------------------------------------------------


def flat_fee_line(
    terms: Terms, subscription: Subscription, period: Period, *, calendar: Calendar, now: datetime, settled: bool
) -> Line | None:
    """k x days of the subscription in the period / days of the period; while the period runs, the days begun so far."""
    first = max(period.first_day, calendar.day_of(subscription.started_at))
    last = _last_day(subscription, period, calendar, now)
    days = (last - first).days + 1
    if days <= 0:
        return None
    exact = _prorated(terms.rate, days, period.days)
    inputs = {
        "days": days,
        "days_of_period": period.days,
        "first_day": first.isoformat(),
        "last_day": last.isoformat(),
    }
    return Line(
        period, PERIOD_KEY, max(period.start, subscription.started_at), terms.scheme.value, terms.serialise(), inputs,
        terms.rate, exact, round_money(exact, subscription.currency), subscription.currency, not settled,
    )  # fmt: skip


def _last_day(subscription: Subscription, period: Period, calendar: Calendar, now: datetime) -> date:
    last = min(calendar.day_of(now), date.fromordinal(period.next_day.toordinal() - 1))
    return last if subscription.ended_at is None else min(last, calendar.day_of(subscription.ended_at))


def _prorated(rate: Decimal, days: int, days_of_period: int) -> Decimal:
    with localcontext(EXACT):
        return rate * days / days_of_period
