"""What arrives late for a settled period: the difference is booked in the open period, naming the line it corrects.

Lines of settled periods are never changed. What is owed after all is computed on the terms the period was settled on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from reporting.commission.crystallisation import high_water_lines
from reporting.commission.highwater import Mark
from reporting.commission.ledger import ADJUSTMENT
from reporting.commission.periods import Calendar, Period
from reporting.commission.policy import Scheme, Terms
from reporting.commission.schemes import PER_DEAL, Line, Subscription, deal_lines
from reporting.models import CommissionLine

ZERO = Decimal(0)
MOMENT = timedelta(microseconds=1)


@dataclass(slots=True)
class Booked:
    """What the ledger holds for one line of a settled period: the line itself and settled adjustments to it.

    inputs: as settled adjustments corrected them. latest: as the open adjustment, which is still rewritten, has them.
    """

    line: CommissionLine | None = None
    amount: Decimal = ZERO
    inputs: dict[str, Any] = field(default_factory=dict)
    latest: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class SettledPeriod:
    """A settled period of one subscriber as it was booked."""

    period: Period
    terms: Terms
    booked: dict[str, Booked] = field(default_factory=dict)


@dataclass(slots=True)
class Adjustments:
    """Lines to write into the open period, and open adjustments that are no longer needed."""

    lines: list[Line]
    stale_ids: list[int]


def adjust_settled_periods(
    rows: Iterable[CommissionLine],
    days: Iterable[date],
    *,
    terms: Terms,
    calendar: Calendar,
    settled_until: datetime,
    now: datetime,
    read_subscription: Callable[[datetime], Subscription],
    member: str = "",
    charged_since: datetime | None = None,
) -> Adjustments:
    """Adjustments of one subscriber after deals of `days` arrived late.

    rows: the subscriber's lines, or those that are owed to one `member` of a portfolio. terms: for settled periods
    that have no line. charged_since: earlier deals are free. read_subscription: gives the subscription with its deals
    from a moment on.
    """
    rows = list(rows)
    settled = [
        each
        for each in _settled_periods(rows, days, terms, calendar, settled_until, charged_since)
        if each.terms.scheme is not Scheme.FLAT_FEE  # does not depend on deals
    ]
    target = calendar.clipped(calendar.containing(max(now, settled_until), terms.billing_period), settled_until)
    open_adjustments = {
        row.key: row for row in rows if row.period_start >= settled_until and row.key.startswith(ADJUSTMENT)
    }
    if not settled:
        return Adjustments([], [])
    subscription = read_subscription(settled[0].period.start)
    lines = list(_adjustment_lines(settled, subscription, target, calendar, settled_until, now))
    for line in lines:
        line.member = member
        if line.key in open_adjustments:  # it stays in the period that it stands in, until that one settles
            row = open_adjustments[line.key]
            line.period = replace(target, start=row.period_start, end=row.period_end)
    wanted = {line.key for line in lines}
    affected = {each.period.start.isoformat() for each in settled}
    stale = [
        row.id
        for key, row in open_adjustments.items()
        if key not in wanted and row.inputs["corrects"]["period_start"] in affected
    ]
    return Adjustments(lines, stale)


def _settled_periods(
    rows: Iterable[CommissionLine],
    days: Iterable[date],
    terms: Terms,
    calendar: Calendar,
    settled_until: datetime,
    charged_since: datetime | None,
) -> list[SettledPeriod]:
    """The settled periods that late days touch, and with a high-water mark every settled one after the first."""
    by_start: dict[datetime, SettledPeriod] = {}
    for row in rows:
        if row.period_end <= settled_until and not row.key.startswith(ADJUSTMENT):
            own_terms = Terms.of_line(row.scheme, row.rate, row.policy)
            period = _period_of(row, own_terms, calendar)
            by_start.setdefault(row.period_start, SettledPeriod(period, own_terms)).booked[row.key] = Booked(
                row, row.amount, row.inputs, row.inputs
            )
    for row in sorted(rows, key=lambda row: row.period_start):
        if row.key.startswith(ADJUSTMENT):
            _add_adjustment(by_start, row, settled=row.period_end <= settled_until)
    late = [(calendar_start(day), calendar_end(day)) for day in days]
    for start, end in late:
        # a UTC day lies in two periods where the billing zone is another; a mark needs no period without a line
        moments = (start, end - MOMENT) if terms.scheme in PER_DEAL else (start,)
        for moment in moments:
            known = any(each.period.start <= moment < each.period.end for each in by_start.values())
            is_free = charged_since is not None and moment.date() < charged_since.date()
            if not known and not is_free and moment < settled_until:
                period = _between_neighbours(
                    calendar.containing(moment, terms.billing_period), moment, by_start, settled_until, charged_since
                )
                by_start[period.start] = SettledPeriod(period, terms)
    touched = [
        each
        for each in by_start.values()
        if any(start < each.period.end and end > each.period.start for start, end in late)
    ]
    if not touched:
        return []
    first = min(each.period.start for each in touched)
    followers = [
        each for each in by_start.values() if each.terms.scheme is Scheme.HIGH_WATER_MARK and each.period.start >= first
    ]
    return sorted({each.period.start: each for each in [*touched, *followers]}.values(), key=lambda e: e.period.start)


def _between_neighbours(
    period: Period,
    moment: datetime,
    by_start: dict[datetime, SettledPeriod],
    settled_until: datetime,
    charged_since: datetime | None,
) -> Period:
    """What of a period nothing is booked for: lengths and zones may have changed, so others may lie across it."""
    others = [each.period for each in by_start.values()]
    starts = [period.start, *(other.end for other in others if other.end <= moment)]
    ends = [period.end, settled_until, *(other.start for other in others if other.start > moment)]
    start = max([*starts, charged_since] if charged_since is not None and charged_since < min(ends) else starts)
    return replace(period, start=start, end=min(ends))


def calendar_start(day: date) -> datetime:
    """Where a UTC day of `DailyResult` begins."""
    return Calendar().midnight(day)


def calendar_end(day: date) -> datetime:
    """Where a UTC day of `DailyResult` ends."""
    return Calendar().midnight(date.fromordinal(day.toordinal() + 1))


def _period_of(row: CommissionLine, terms: Terms, calendar: Calendar) -> Period:
    whole = calendar.containing(row.period_start, terms.billing_period)
    return Period(
        row.period_start, row.period_end, calendar.day_of(row.period_start), calendar.day_of(row.period_end), whole.days
    )


def _add_adjustment(by_start: dict[datetime, SettledPeriod], row: CommissionLine, *, settled: bool) -> None:
    corrects = row.inputs["corrects"]
    start = datetime.fromisoformat(corrects["period_start"])
    end = datetime.fromisoformat(corrects["period_end"])
    terms = Terms.of_line(row.scheme, row.rate, row.policy)
    known = by_start.setdefault(start, SettledPeriod(Period(start, end, start.date(), end.date(), 1), terms))
    booked = known.booked.setdefault(corrects["key"], Booked())
    booked.latest = corrects["inputs"]
    if settled:
        booked.amount += row.amount
        booked.inputs = corrects["inputs"]


def _adjustment_lines(
    settled: list[SettledPeriod],
    subscription: Subscription,
    target: Period,
    calendar: Calendar,
    settled_until: datetime,
    now: datetime,
) -> Iterator[Line]:
    mark: Mark | None = None
    for each in settled:
        owed, mark = _owed_lines(each, subscription, calendar, settled_until, mark)
        for key in sorted({*owed, *each.booked}):
            booked = each.booked.get(key, Booked())
            line = owed.get(key)
            if (line.inputs if line else {}) != booked.inputs:
                yield _adjustment(each, key, line, booked, target, subscription.currency, now)


def _adjustment(
    each: SettledPeriod, key: str, owed: Line | None, booked: Booked, target: Period, currency: str, now: datetime
) -> Line:
    """Owed after all, less what is booked: both are rounded lines, so the sum stays what a fresh computation gives."""
    difference = (owed.amount if owed else ZERO) - booked.amount
    start = each.period.start.isoformat()
    corrects = {
        "line": booked.line.id if booked.line else None,
        "period_start": start,
        "period_end": each.period.end.isoformat(),
        "key": key,
        "inputs": owed.inputs if owed else {},
        "booked": str(booked.amount),
    }
    return Line(
        target, f"{ADJUSTMENT}{start}:{key}", now, each.terms.scheme.value, each.terms.serialise(),
        {"corrects": corrects}, each.terms.rate, difference, difference, currency,
    )  # fmt: skip


def _owed_lines(
    each: SettledPeriod, subscription: Subscription, calendar: Calendar, settled_until: datetime, mark: Mark | None
) -> tuple[dict[str, Line], Mark | None]:
    """What the period owes after all, by key, and the mark it leaves."""
    if each.terms.scheme in PER_DEAL:
        deals = [deal for deal in subscription.deals if deal.occurred_at in each.period]
        lines = deal_lines(each.terms, deals, calendar=calendar, currency=subscription.currency)
        return {line.key: line for line in lines}, mark
    if each.terms.scheme is Scheme.HIGH_WATER_MARK:
        subscription.mark = mark or _mark_before(each)
        lines = high_water_lines(
            each.terms, subscription, [each.period], now=each.period.end, settled_until=settled_until
        )
        owed = {line.key: line for line in lines}
        for line in owed.values():
            mark = Mark.parse(line.inputs["after"])
        return owed, mark
    raise ValueError(f"{each.terms.scheme} does not depend on deals")


def _mark_before(each: SettledPeriod) -> Mark | None:
    stored = [booked.latest for booked in each.booked.values() if booked.latest]
    if not stored:
        return None
    return Mark.parse(min(stored, key=lambda inputs: datetime.fromisoformat(inputs["at"]))["before"])
