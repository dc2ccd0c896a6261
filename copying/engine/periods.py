"""Periods of risk limits: where the period that contains a moment starts and ends. Arithmetic on UTC times only."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta
from math import inf
from typing import NamedTuple

DAY = timedelta(days=1)
WEEK = timedelta(days=7)
FIXED = {"day": DAY, "week": WEEK}
MONTHS = {"month": 1, "quarter": 3, "year": 12}
TYPES = (
    "day",
    "date",
    "week",
    "week-to-date",
    "month",
    "month-to-date",
    "quarter",
    "quarter-to-date",
    "year",
    "year-to-date",
    "lifetime",
)


class RiskPeriod(NamedTuple):
    """Half-open, seconds since the epoch; `end` is inf for a lifetime."""

    start: float
    end: float


def period_at(kind: str, anchor: float, now: float) -> RiskPeriod:
    """The period of a risk limit that contains `now`.

    kind: a member of TYPES. anchor: the limit's startTime, else its creation. `day`, `week`, `month`, `quarter` and
    `year` repeat from the anchor; the `-to-date` ones and `date` are calendar periods, weeks starting on Sunday;
    `lifetime` is one period from the anchor. The first period never starts before the anchor, and before the anchor
    there is none: the answer is then the empty period at the anchor.
    units: seconds since the epoch, UTC.  source: contract, 4.5
    """
    if kind == "lifetime":
        return RiskPeriod(anchor, inf)
    if now < anchor:
        return RiskPeriod(anchor, anchor)
    if kind in FIXED:
        length = FIXED[kind].total_seconds()
        start = anchor + (now - anchor) // length * length
        return RiskPeriod(start, start + length)
    moment = datetime.fromtimestamp(now, UTC)
    if kind in MONTHS:
        return anniversary_period(datetime.fromtimestamp(anchor, UTC), moment, MONTHS[kind])
    first, after = calendar_period(kind, moment)
    return RiskPeriod(max(first.timestamp(), anchor), after.timestamp())


def anniversary_period(anchor: datetime, moment: datetime, months: int) -> RiskPeriod:
    """The period of `months` months that repeats from the anchor; a missing day (31st) is the month's last."""
    passed = (moment.year - anchor.year) * 12 + moment.month - anchor.month
    count = passed // months
    if add_months(anchor, count * months) > moment:
        count -= 1
    start, end = add_months(anchor, count * months), add_months(anchor, (count + 1) * months)
    return RiskPeriod(start.timestamp(), end.timestamp())


def add_months(moment: datetime, months: int) -> datetime:
    """The same day and time of day some months later, or the last day of that month."""
    number = moment.year * 12 + moment.month - 1 + months
    year, month = divmod(number, 12)
    day = min(moment.day, calendar.monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day)


def calendar_period(kind: str, moment: datetime) -> tuple[datetime, datetime]:
    """Start and end of the calendar date, week, month, quarter or year."""
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if kind == "date":
        return midnight, midnight + DAY
    if kind == "week-to-date":
        sunday = midnight - timedelta(days=(midnight.weekday() + 1) % 7)
        return sunday, sunday + WEEK
    months = MONTHS[kind.removesuffix("-to-date")]
    first = midnight.replace(day=1, month=(midnight.month - 1) // months * months + 1)
    return first, add_months(first, months)
