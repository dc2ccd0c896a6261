"""What the owner of a portfolio owes its members' providers for one subscription. Pure.

Each member charges by its own scheme for its own part of the deals. Everything is booked in the portfolio's billing
periods, so that closing one closes all of it: a profit share is measured at their ends, a fixed fee is counted by the
member's own periods and booked where these end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from reporting.commission.crystallisation import high_water_lines
from reporting.commission.highwater import Mark
from reporting.commission.periods import BillingPeriod, Calendar
from reporting.commission.policy import Scheme, Terms
from reporting.commission.schemes import PER_DEAL, PERIOD_KEY, Line, Subscription, deal_lines, flat_fee_line
from reporting.commission.since import later


class Portfolio(Protocol):
    """The ledger account of a portfolio (`reporting.commission.sources.Account`)."""

    terms: Terms | None
    members: dict[str, Terms]


class Moments(Protocol):
    """What lines depend on beside the account (`reporting.commission.services.Run`)."""

    @property
    def calendar(self) -> Calendar: ...
    @property
    def now(self) -> datetime: ...


def part_of(subscription: Subscription, member: str, mark: Mark | None = None) -> Subscription:
    """One member's part of a subscription to a portfolio, with its own mark."""
    return replace(subscription, deals=[deal for deal in subscription.deals if deal.source == member], mark=mark)


def incoming_lines(
    account: Portfolio,
    subscription: Subscription,
    run: Moments,
    since: datetime | None,
    settled_until: datetime | None,
    marks: dict[str, Mark],
    charged: dict[str, datetime | None],
) -> Iterator[Line]:
    """Every line that is owed to a member's provider from `since` (None: from the start) to now.

    charged: by member, since when it charges; None or not there: from the beginning.
    """
    for member, terms in account.members.items():
        part = part_of(subscription, member, marks.get(member)).from_moment(charged.get(member))
        for line in _lines(account, terms, part, run, later(since, charged.get(member)), settled_until):
            line.member = member
            yield line


def _lines(
    account: Portfolio,
    terms: Terms,
    part: Subscription,
    run: Moments,
    since: datetime | None,
    settled_until: datetime | None,
) -> Iterator[Line]:
    calendar = run.calendar
    if terms.scheme in PER_DEAL:
        for line in deal_lines(terms, part.deals, calendar=calendar, currency=part.currency):
            line.period = calendar.clipped(line.period, since)
            yield line
    elif terms.scheme is Scheme.FLAT_FEE:
        booked_by = account.terms.billing_period if account.terms else terms.billing_period
        yield from _fixed_fees(terms, part, run, since, settled_until, booked_by)
    else:
        periods = calendar.between(since or part.started_at, run.now, terms.billing_period)
        clipped = [calendar.clipped(period, since) for period in periods]
        yield from high_water_lines(terms, part, clipped, now=run.now, settled_until=settled_until)


def _fixed_fees(
    terms: Terms,
    part: Subscription,
    run: Moments,
    since: datetime | None,
    settled_until: datetime | None,
    booked_by: BillingPeriod,
) -> Iterator[Line]:
    """One line per period of the member; what ended before `since` was booked then."""
    calendar = run.calendar
    for period in calendar.between(since or part.started_at, run.now, terms.billing_period):
        line = flat_fee_line(terms, part, period, calendar=calendar, now=run.now, settled=False)
        if line is None:
            continue
        last = period.end - timedelta(microseconds=1)
        line.key = f"{PERIOD_KEY}:{period.first_day}"
        line.period = calendar.clipped(calendar.containing(last, booked_by), since)
        line.is_provisional = settled_until is None or line.period.end > settled_until
        yield line
