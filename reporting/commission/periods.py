"""Billing periods: half-open, cut at local midnight of the billing zone. Times in and out are aware UTC."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)
MOMENT = timedelta(microseconds=1)
"""The smallest difference of two times that are stored."""


class PeriodLength(StrEnum):
    """How often a strategy bills: as its document says (contract, 3.9: week, month, quarter), or as is set here."""

    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    DAY = "day"
    HALF_YEAR = "half-year"
    YEAR = "year"

    def __repr__(self) -> str:
        """By the name that it had once: digests of terms hold it, and what changes a digest is charged anew."""
        return f"<BillingPeriod.{self.name}: {self.value!r}>"


OF_CONTRACT = frozenset({PeriodLength.WEEK, PeriodLength.MONTH, PeriodLength.QUARTER})
"""Lengths that a document may say; a backend that has others is not understood here."""
MONTHS = {PeriodLength.MONTH: 1, PeriodLength.QUARTER: 3, PeriodLength.HALF_YEAR: 6, PeriodLength.YEAR: 12}


def stated_length(text: str) -> PeriodLength:
    """The length of a document's `billingPeriod`. Raises ValueError where it is not known."""
    length = PeriodLength(text)
    if length not in OF_CONTRACT:
        raise ValueError(f"{text!r} is no billing period of the contract.")
    return length


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """[start, end) in UTC and its local days [first_day, next_day).

    days: calendar days of the whole period in the billing zone, 28 to 31 in a month, whatever clocks did meanwhile.
    """

    start: datetime
    end: datetime
    first_day: date
    next_day: date
    days: int

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end


@dataclass(frozen=True, slots=True)
class Calendar:
    """The billing zone of a workspace and the day on which its weeks start."""

    zone: str = "UTC"
    week_starts_monday: bool = False

    def day_of(self, moment: datetime) -> date:
        """The local calendar day of a moment."""
        return moment.astimezone(ZoneInfo(self.zone)).date()

    def last_day_before(self, end: datetime) -> date:
        """The last local day of a period that ends at `end`."""
        return self.day_of(end - MOMENT)

    def midnight(self, day: date) -> datetime:
        """The UTC moment at which a local day begins; where clocks skip midnight, the moment they jump."""
        return datetime.combine(day, time(), tzinfo=ZoneInfo(self.zone)).astimezone(UTC)

    def containing(self, moment: datetime, length: PeriodLength) -> Period:
        """The period that a moment belongs to."""
        return period_of_day(self, self.day_of(moment), length)

    def between(self, start: datetime, end: datetime, length: PeriodLength) -> list[Period]:
        """Every period that overlaps [start, end), oldest first."""
        periods = []
        moment = start
        while moment < end:
            periods.append(self.containing(moment, length))
            moment = periods[-1].end
        return periods

    def clipped(self, period: Period, start: datetime | None) -> Period:
        """What is left of a period when earlier ones were settled until `start`; `days` stays that of the whole."""
        if start is None or start <= period.start:
            return period
        return replace(period, start=start, first_day=self.day_of(start))


@lru_cache(maxsize=4096)
def period_of_day(calendar: Calendar, day: date, length: PeriodLength) -> Period:
    """The period of a local day."""
    first, following = days_around(calendar, day, length)
    days = (following - first).days
    return Period(calendar.midnight(first), calendar.midnight(following), first, following, days)


def days_around(calendar: Calendar, day: date, length: PeriodLength) -> tuple[date, date]:
    """The first day of the period that a day lies in, and the first one of the next."""
    if length is PeriodLength.DAY:
        return day, day + timedelta(days=1)
    if length is PeriodLength.WEEK:
        since_start = day.weekday() if calendar.week_starts_monday else (day.weekday() + 1) % 7
        first = day - timedelta(days=since_start)
        return first, first + timedelta(days=7)
    months = MONTHS[length]
    month = (day.month - 1) // months * months
    ahead = month + months
    return date(day.year, month + 1, 1), date(day.year + ahead // 12, ahead % 12 + 1, 1)
