"""What arrives late for a settled period: the difference is booked in the open period, naming the line it corrects.

Lines of settled periods are never changed. What is owed after all is computed on the terms the period was settled on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from reporting.commission.crystallisation import Marks
from reporting.commission.fee_terms import EXTRA_FEES
from reporting.commission.highwater import Mark
from reporting.commission.history import History, SpannedCalendar
from reporting.commission.ledger import ADJUSTMENT
from reporting.commission.parts import ChargedPart, is_measured, lines_of_part, parts_of
from reporting.commission.periods import Calendar, Period
from reporting.commission.policy import Basis, Scheme, Terms
from reporting.commission.schemes import PERIOD_KEY, BilledSubscription, Line, Marked
from reporting.models import CommissionLine

ZERO = Decimal(0)


@dataclass(slots=True)
class Booked:
    """What the ledger holds for one line of a settled period: the line itself and settled adjustments to it.

    inputs: as settled adjustments corrected them. latest: as the open adjustment, which is still rewritten, has them.
    terms: by which it was charged.
    """

    line: CommissionLine | None = None
    amount: Decimal = ZERO
    inputs: dict[str, Any] = field(default_factory=dict)
    latest: dict[str, Any] = field(default_factory=dict)
    terms: Terms | None = None

    @property
    def basis(self) -> Basis:
        return self.terms.policy.basis if self.terms else Basis.PROFIT


@dataclass(slots=True)
class SettledPeriod:
    """A settled period of one subscriber: what is booked by key, and what of it is charged by which terms."""

    period: Period
    booked: dict[str, Booked] = field(default_factory=dict)
    parts: list[ChargedPart] = field(default_factory=list)

    @property
    def has_mark(self) -> bool:
        return any(part.terms.scheme is Scheme.HIGH_WATER_MARK for part in self.parts)


@dataclass(slots=True)
class Adjustments:
    """Lines to write into the open period, and open adjustments that are no longer needed."""

    lines: list[Line]
    stale_ids: list[int]


def adjust_settled_periods(
    rows: Iterable[CommissionLine],
    days: Iterable[date],
    *,
    history: History,
    calendar: SpannedCalendar,
    settled_until: datetime,
    now: datetime,
    read_subscription: Callable[[datetime], BilledSubscription],
    member: str = "",
) -> Adjustments:
    """Adjustments of one subscriber after deals of `days` arrived late.

    rows: the subscriber's lines, or those that are owed to one `member` of a portfolio. history: the terms of each
    time; lines of before there was one say theirs. read_subscription: gives the deals from a moment on.
    """
    # those do not depend on deals; what limits fees is corrected apart (fee_corrections.py)
    rows = [row for row in rows if row.scheme != Scheme.FLAT_FEE and row.scheme not in EXTRA_FEES]
    known = _booked_periods(rows, settled_until)
    _add_unbooked(known, days, calendar, settled_until)
    for settled_period in known.values():
        settled_period.parts = _parts_of(settled_period, history, calendar)
    settled = _touched(known, days)
    if not settled:
        return Adjustments([], [])
    marked = _marks_before(known.values(), settled[0])
    starts = [settled[0].period.start, *(mark.at for mark in marked.values())]
    subscription = read_subscription(min(starts))
    marks = Marks(marked, lambda basis, *span: is_measured(history, basis, *span))
    target = calendar.clipped(calendar.containing(max(now, settled_until)), settled_until)
    open_adjustments = {
        row.key: row for row in rows if row.period_start >= settled_until and row.key.startswith(ADJUSTMENT)
    }
    lines = [
        line
        for settled_period in settled
        for line in _adjustment_lines(settled_period, subscription, calendar, marks, target, now)
    ]
    for line in lines:
        line.member = member
        if line.key in open_adjustments:  # it stays in the period that it stands in, until that one settles
            row = open_adjustments[line.key]
            line.period = replace(target, start=row.period_start, end=row.period_end)
    wanted = {line.key for line in lines}
    affected = {settled_period.period.start.isoformat() for settled_period in settled}
    stale = [
        row.id
        for key, row in open_adjustments.items()
        if key not in wanted and row.inputs["corrects"]["period_start"] in affected
    ]
    return Adjustments(lines, stale)


def _booked_periods(rows: Iterable[CommissionLine], settled_until: datetime) -> dict[datetime, SettledPeriod]:
    """By start, the settled periods in which something is booked, or open adjustments stand for."""
    by_start: dict[datetime, SettledPeriod] = {}
    for row in sorted(rows, key=lambda row: (row.key.startswith(ADJUSTMENT), row.period_start)):
        if row.key.startswith(ADJUSTMENT):
            _add_adjustment(by_start, row, settled=row.period_end <= settled_until)
        elif row.period_end <= settled_until:
            period = Period(row.period_start, row.period_end, row.period_start.date(), row.period_end.date(), 1)
            known = by_start.setdefault(row.period_start, SettledPeriod(period))
            known.booked[row.key] = Booked(row, row.amount, row.inputs, row.inputs, Terms.of_row(row))
    return by_start


def _add_unbooked(
    known: dict[datetime, SettledPeriod], days: Iterable[date], calendar: SpannedCalendar, settled_until: datetime
) -> None:
    """The settled periods of late days in which nothing is booked; a UTC day lies in two where the zone is another."""
    for day in sorted(days):
        moment, end = calendar_start(day), min(calendar_end(day), settled_until)
        while moment < end:
            around = next((settled.period for settled in known.values() if moment in settled.period), None)
            if around is None:
                around = _between_neighbours(calendar.containing(moment), moment, known, settled_until)
                known[around.start] = SettledPeriod(around)
            moment = around.end


def _parts_of(settled: SettledPeriod, history: History, calendar: SpannedCalendar) -> list[ChargedPart]:
    """By the history, or whole by the terms it was booked on, where that was before there was a history."""
    earlier = [booked.terms for booked in settled.booked.values() if booked.terms and not booked.terms.number]
    if earlier:
        period = settled.period
        return [
            ChargedPart(period, earlier[0], period.start, period.end, period.first_day, period.next_day, PERIOD_KEY)
        ]
    return [part for part in parts_of(history, calendar, settled.period) if part.terms.scheme is not Scheme.FLAT_FEE]


def _touched(known: dict[datetime, SettledPeriod], days: Iterable[date]) -> list[SettledPeriod]:
    """The settled periods that late days touch, and every later one that has a mark; oldest first."""
    late = [(calendar_start(day), calendar_end(day)) for day in days]
    touched = [
        start
        for start, settled in known.items()
        if any(first < settled.period.end and end > settled.period.start for first, end in late)
    ]
    if not touched:
        return []
    followers = [start for start, settled in known.items() if settled.has_mark and start >= min(touched)]
    return [known[start] for start in sorted({*touched, *followers})]


def _marks_before(known: Iterable[SettledPeriod], first: SettledPeriod) -> dict[Basis, Marked]:
    """Where the marks stood before the first of the periods that are computed again, as adjustments corrected them."""
    standing: dict[Basis, Marked] = {}
    for settled in sorted(known, key=lambda settled: settled.period.start):
        if settled.period.start >= first.period.start:
            break
        for booked in _marks_in(settled):
            standing[booked.basis] = Marked(
                Mark.parse(booked.latest["after"]), datetime.fromisoformat(booked.latest["at"])
            )
    for booked in _marks_in(first)[:1]:
        if booked.basis not in standing:
            begun = datetime.fromisoformat(booked.latest["from"])
            standing[booked.basis] = Marked(Mark.parse(booked.latest["before"]), begun)
    return standing


def _marks_in(settled: SettledPeriod) -> list[Booked]:
    """What is booked by a mark in the period, oldest first."""
    booked = [booked for booked in settled.booked.values() if "after" in booked.latest]
    return sorted(booked, key=lambda booked: datetime.fromisoformat(booked.latest["at"]))


def _between_neighbours(
    period: Period, moment: datetime, known: dict[datetime, SettledPeriod], settled_until: datetime
) -> Period:
    """What of a period nothing is booked for: lines of before there was a history may lie across it."""
    others = [settled.period for settled in known.values()]
    starts = [period.start, *(other.end for other in others if other.end <= moment)]
    ends = [period.end, settled_until, *(other.start for other in others if other.start > moment)]
    return replace(period, start=max(starts), end=min(ends))


def calendar_start(day: date) -> datetime:
    """Where a UTC day of `DailyResult` begins."""
    return Calendar().midnight(day)


def calendar_end(day: date) -> datetime:
    """Where a UTC day of `DailyResult` ends."""
    return Calendar().midnight(date.fromordinal(day.toordinal() + 1))


def _add_adjustment(by_start: dict[datetime, SettledPeriod], row: CommissionLine, *, settled: bool) -> None:
    corrects = row.inputs["corrects"]
    start = datetime.fromisoformat(corrects["period_start"])
    end = datetime.fromisoformat(corrects["period_end"])
    known = by_start.setdefault(start, SettledPeriod(Period(start, end, start.date(), end.date(), 1)))
    booked = known.booked.setdefault(corrects["key"], Booked())
    booked.latest = corrects["inputs"]
    booked.terms = booked.terms or Terms.of_row(row)
    if settled:
        booked.amount += row.amount
        booked.inputs = corrects["inputs"]


def _adjustment_lines(
    settled: SettledPeriod,
    subscription: BilledSubscription,
    calendar: SpannedCalendar,
    marks: Marks,
    target: Period,
    now: datetime,
) -> Iterator[Line]:
    """What the period owes after all where that is not what is booked. marks: moved on to the period's end."""
    owed = {
        line.key: line
        for part in settled.parts
        for line in lines_of_part(part, subscription, calendar, marks, now=settled.period.end, settled=True)
    }
    for key in sorted({*owed, *settled.booked}):
        booked = settled.booked.get(key)
        line = owed.get(key)
        if booked is None and line is not None and not line.amount and not line.inputs.get("deals", 1):
            continue  # a mark needs no line for a period in which nothing was traded
        booked = booked or Booked()
        if (line.inputs if line else {}) != booked.inputs:
            yield _adjustment(settled, key, line, booked, target, subscription.currency, now)


def _adjustment(
    settled: SettledPeriod, key: str, owed: Line | None, booked: Booked, target: Period, currency: str, now: datetime
) -> Line:
    """Owed after all, less what is booked: both are rounded lines, so the sum stays what a fresh computation gives."""
    difference = (owed.amount if owed else ZERO) - booked.amount
    start = settled.period.start.isoformat()
    corrects = {
        "line": booked.line.id if booked.line else None,
        "period_start": start,
        "period_end": settled.period.end.isoformat(),
        "key": key,
        "inputs": owed.inputs if owed else {},
        "booked": str(booked.amount),
    }
    terms = Terms.of_row(owed) if owed else booked.terms
    if terms is None:
        raise ValueError("There is nothing to adjust.")
    return Line(
        target,
        f"{ADJUSTMENT}{start}:{key}",
        now,
        terms.scheme.value,
        terms.serialise(),
        {"corrects": corrects},
        terms.rate,
        difference,
        difference,
        currency,
    )
