"""Billing periods cut by the spans of terms, and the lines of each such part. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime

from reporting.commission.crystallisation import Marks, high_water_lines
from reporting.commission.history import History, SpannedCalendar
from reporting.commission.periods import DAY, MOMENT, Period, days_around
from reporting.commission.policy import Basis, Scheme, Terms
from reporting.commission.schemes import PER_DEAL, PERIOD_KEY, BilledSubscription, Deal, Line, deal_lines, flat_fee_line


@dataclass(frozen=True, slots=True)
class ChargedPart:
    """What of a billing period is charged by one span of terms: [start, end) and, for fees by days, the days of it.

    key: of the line for the whole part; the part that ends the period has the period's own.
    """

    period: Period
    terms: Terms
    start: datetime
    end: datetime
    first_day: date
    next_day: date
    key: str

    @property
    def days(self) -> Period:
        """The part as a period, for fees by days: `days` stays that of the whole period."""
        return Period(self.start, self.end, self.first_day, self.next_day, self.period.days)

    def deals_of(self, deals: list[Deal]) -> list[Deal]:
        """The deals that were made in it. deals: in order of time."""
        first = bisect_left(deals, self.start, key=lambda deal: deal.occurred_at)
        last = bisect_left(deals, self.end, key=lambda deal: deal.occurred_at)
        return deals[first:last]


def parts_of(history: History, calendar: SpannedCalendar, period: Period) -> Iterator[ChargedPart]:
    """The parts of a period in which something is charged, oldest first.

    A day on which terms change belongs to the new ones; one on which charging ends is still charged.
    """
    for start, end, terms in history.pieces(period.start, period.end):
        if terms is None:
            continue
        first_day = period.first_day if start == period.start else calendar.day_of(start)
        next_day = period.next_day
        if end < period.end:
            next_day = calendar.day_of(end - MOMENT) + DAY
            if (following := history.next_charge(end)) is not None:
                next_day = min(next_day, calendar.day_of(following))
        key = PERIOD_KEY if end == period.end else f"terms:{end.isoformat()}"
        length = calendar.length_at(start)
        agreed = None if terms.agreed_period is length else terms.agreed_period
        terms = replace(terms, billing_period=length, agreed_period=agreed)
        yield ChargedPart(period, terms, start, end, first_day, next_day, key)


def lines_of(
    history: History,
    subscription: BilledSubscription,
    calendar: SpannedCalendar,
    *,
    now: datetime,
    since: datetime | None,
    settled_until: datetime | None,
    only: frozenset[Scheme] = frozenset(Scheme),
) -> Iterator[Line]:
    """Every line of one subscription from `since` (None: from its start) to now; of `only` these schemes."""
    deals, until = subscription.deals, now
    start = subscription.started_at
    if deals:  # clocks differ: a deal that is known has happened
        start = min(start, deals[0].occurred_at)
        until = max(now, deals[-1].occurred_at + MOMENT)
    start = max(start, since) if since else start  # a client that came after `since` has no lines of before
    marks = Marks(subscription.marks, lambda basis, *span: is_measured(history, basis, *span))
    for period in calendar.between(start, until):
        settled = settled_until is not None and period.end <= settled_until
        for part in parts_of(history, calendar, calendar.clipped(period, since)):
            if part.terms.scheme in only:
                yield from lines_of_part(part, subscription, calendar, marks, now=now, settled=settled)


def lines_of_part(
    part: ChargedPart,
    subscription: BilledSubscription,
    calendar: SpannedCalendar,
    marks: Marks,
    *,
    now: datetime,
    settled: bool,
) -> Iterator[Line]:
    """The lines of one part. marks: where they stand; moved on by what is measured."""
    terms = part.terms.in_currency(subscription.currency)
    if terms.scheme in PER_DEAL:
        for line in deal_lines(
            terms, part.deals_of(subscription.deals), calendar=calendar, currency=subscription.currency
        ):
            line.period = part.period
            yield line
    elif terms.scheme is Scheme.HIGH_WATER_MARK:
        if subscription.deals:
            now = max(now, subscription.deals[-1].occurred_at + MOMENT)
        due = part.key != PERIOD_KEY or ends_agreed_period(terms, calendar, part)
        yield from high_water_lines(
            terms, subscription, part.period, part.start, part.end, part.key, marks, now=now, settled=settled, due=due
        )
    elif part.start < now:
        fee = flat_fee_line(terms, subscription, part.days, calendar=calendar, now=now, settled=settled)
        if fee is not None:
            fee.period, fee.key = part.period, part.key
            yield fee


def ends_agreed_period(terms: Terms, calendar: SpannedCalendar, part: ChargedPart) -> bool:
    """Whether a period of the length that was agreed on ends in a part."""
    if terms.agreed_period is None:
        return True
    last = calendar.last_day_before(part.end)
    return days_around(calendar, calendar.day_of(part.start), terms.agreed_period)[1] <= last + DAY


def is_measured(history: History, basis: Basis, start: datetime, end: datetime) -> bool:
    """Whether a mark of this basis was in force all the time from `start` to `end`."""
    return all(
        terms is not None and terms.scheme is Scheme.HIGH_WATER_MARK and terms.policy.basis is basis
        for _, _, terms in history.pieces(start, end)
    )
