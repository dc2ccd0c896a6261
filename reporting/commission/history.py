"""Which terms and which calendar held when. Pure.

Everything that a strategy charges by is a list of spans: what happens in a span is charged by it, whenever it is
computed. A moment is None where it is the beginning of all times.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Protocol, TypeVar

from reporting.commission.fee_terms import FeeSpan
from reporting.commission.periods import DAY, MOMENT, Calendar, Period, PeriodLength, period_of_day
from reporting.commission.policy import Policy, Scheme, Terms

BEGINNING = datetime(1, 1, 1, tzinfo=UTC)


class Begins(Protocol):
    """Something that holds from a moment on."""

    @property
    def since(self) -> datetime | None: ...


class Versioned(Protocol):
    """A decision that holds from a moment on; a later one has a higher number."""

    @property
    def number(self) -> int: ...
    @property
    def valid_from(self) -> datetime | None: ...
    @property
    def seen_at(self) -> datetime: ...


V = TypeVar("V", bound=Versioned)
S = TypeVar("S", bound=Begins)


def in_force(versions: Iterable[V]) -> list[V]:
    """The versions that hold at some time, oldest first: each calls off what had not begun when it was decided on."""
    lasting: list[V] = []
    for version in sorted(versions, key=lambda version: version.number):
        start = version.valid_from or BEGINNING
        begun = [other for other in lasting if has_begun(other, version.seen_at)]
        lasting = [other for other in begun if (other.valid_from or BEGINNING) < start]
        lasting.append(version)
    return lasting


def has_begun(version: Versioned, moment: datetime) -> bool:
    """Whether a version has begun by a moment."""
    return (version.valid_from or BEGINNING) <= moment


@dataclass(frozen=True, slots=True)
class TermsSpan:
    """Terms that hold from `since` until the next span. terms: None where nothing is charged."""

    since: datetime | None
    terms: Terms | None
    length: PeriodLength = PeriodLength.MONTH


@dataclass(frozen=True, slots=True)
class CurrencyRates:
    """Rates by currency of a scheme, from a moment on; `number` of the version."""

    since: datetime | None
    scheme: Scheme
    rates: tuple[tuple[str, Decimal], ...]
    number: int


@dataclass(frozen=True, slots=True)
class History:
    """The terms of a strategy, or of one subscription to it: spans without a gap, oldest first.

    fees: what is charged beside the commission; no part of the text that digests are made of.
    """

    spans: tuple[TermsSpan, ...] = ()
    fees: tuple[FeeSpan, ...] = field(default=(), repr=False)

    @property
    def charges(self) -> bool:
        """Whether anything is, was or will be charged."""
        return any(span.terms is not None for span in self.spans) or any(span.terms.charges for span in self.fees)

    @property
    def newest(self) -> TermsSpan | None:
        return self.spans[-1] if self.spans else None

    def at(self, moment: datetime) -> Terms | None:
        """The terms of a moment."""
        span = _last_begun(self.spans, moment)
        return span.terms if span else None

    def pieces(self, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime, Terms | None]]:
        """[start, end) by spans: (start, end, terms) of each stretch, without a gap where there are spans."""
        for number, span in enumerate(self.spans):
            following = self.spans[number + 1].since if number + 1 < len(self.spans) else None
            first = max(start, span.since or BEGINNING)
            last = min(end, following) if following else end
            if first < last:
                yield first, last, span.terms

    def next_charge(self, moment: datetime) -> datetime | None:
        """Where the first span at or after `moment` that charges begins."""
        later = (span.since for span in self.spans if span.terms and span.since and span.since >= moment)
        return min(later, default=None)

    def length_at(self, moment: datetime) -> PeriodLength | None:
        """How long a period of these terms is; None: nobody said."""
        span = _last_begun(self.spans, moment)
        return span.length if span else None

    def with_lengths(self, lengths: Sequence[tuple[datetime | None, PeriodLength | None]]) -> History:
        """The same terms, billed by the length of each time; None: as they say themselves."""
        if not any(length for _, length in lengths):
            return self
        moments = sorted({since or BEGINNING for since, _ in lengths} | {s.since or BEGINNING for s in self.spans})
        spans: list[TermsSpan] = []
        for moment in moments:
            span = _last_begun(self.spans, moment)
            chosen = [length for since, length in lengths if (since or BEGINNING) <= moment]
            if span is None:
                continue
            length = (chosen[-1] if chosen else None) or span.length
            terms = replace(span.terms, billing_period=length) if span.terms else None
            is_own = (span.since or BEGINNING) == moment
            if is_own or spans[-1].length is not length:
                spans.append(TermsSpan(None if moment == BEGINNING else moment, terms, length))
        return History(tuple(spans), self.fees)

    def with_rates(self, rates: Sequence[CurrencyRates]) -> History:
        """The same terms with the rates by currency of each time, where the scheme is the one that they are for."""
        if not rates:
            return self
        moments = sorted({own.since or BEGINNING for own in rates} | {s.since or BEGINNING for s in self.spans})
        spans: list[TermsSpan] = []
        for moment in moments:
            span, own = _last_begun(self.spans, moment), _last_begun(rates, moment)
            if span is None:
                continue
            terms = span.terms
            if terms is not None and own is not None and own.scheme is terms.scheme:
                terms = replace(terms, rates=own.rates, rates_number=own.number)
            if terms != span.terms or (span.since or BEGINNING) == moment or spans[-1].terms != terms:
                spans.append(replace(span, since=None if moment == BEGINNING else moment, terms=terms))
        return History(tuple(spans))

    def with_policies(self, policies: Sequence[tuple[datetime | None, Policy]]) -> History:
        """The same terms with the high-water-mark choices of each time; before the first of them, as they are."""
        if not policies:
            return self
        moments = sorted({since or BEGINNING for since, _ in policies} | {s.since or BEGINNING for s in self.spans})
        spans: list[TermsSpan] = []
        for moment in moments:
            span = _last_begun(self.spans, moment)
            if span is None:
                continue
            chosen = [policy for since, policy in policies if (since or BEGINNING) <= moment]
            has_mark = span.terms is not None and span.terms.scheme is Scheme.HIGH_WATER_MARK
            if not has_mark and (span.since or BEGINNING) != moment:
                continue  # choices of a mark do not matter to another scheme
            terms = replace(span.terms, policy=chosen[-1]) if chosen and span.terms else span.terms
            if spans and (span.since or BEGINNING) != moment and spans[-1].terms == terms:
                continue  # of a client with choices of its own: those of the strategy cut none of its periods
            spans.append(replace(span, since=None if moment == BEGINNING else moment, terms=terms))
        return History(tuple(spans))

    def during(self, times: Sequence[tuple[datetime | None, bool]]) -> History:
        """The same terms where they apply: (since, whether they apply from then on), oldest first."""
        moments = sorted({since or BEGINNING for since, _ in times} | {s.since or BEGINNING for s in self.spans})
        spans = []
        for moment in moments:
            span = _last_begun(self.spans, moment)
            applies = [value for since, value in times if (since or BEGINNING) <= moment]
            terms = span.terms if span and applies and applies[-1] else None
            length = span.length if span else PeriodLength.MONTH
            spans.append(TermsSpan(None if moment == BEGINNING else moment, terms, length))
        return History(tuple(spans))


def _last_begun(spans: Iterable[S], moment: datetime) -> S | None:
    return next((span for span in reversed(list(spans)) if (span.since or BEGINNING) <= moment), None)


# --- Calendars --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class CalendarSpan:
    """The calendar and the length by which periods are cut from a moment on."""

    since: datetime | None
    calendar: Calendar
    length: PeriodLength


def calendar_spans(
    lengths: Sequence[TermsSpan], calendars: Sequence[tuple[datetime | None, Calendar]]
) -> tuple[CalendarSpan, ...]:
    """Lengths and zones, which change apart, as one list; a change of neither is no span."""
    moments = sorted({s.since or BEGINNING for s in lengths} | {since or BEGINNING for since, _ in calendars})
    spans: list[CalendarSpan] = []
    for moment in moments:
        length = _last_begun(lengths, moment) or lengths[0]
        begun = [calendar for since, calendar in calendars if (since or BEGINNING) <= moment] or [calendars[0][1]]
        span = CalendarSpan(None if moment == BEGINNING else moment, begun[-1], length.length)
        if not spans or (spans[-1].calendar, spans[-1].length) != (span.calendar, span.length):
            spans.append(span)
    return tuple(spans)


@dataclass(frozen=True, slots=True)
class SpannedCalendar(Calendar):
    """A calendar that was another one before: every period is cut by the one of its own time, and where that changes.

    zone, week_starts_monday: as they are in the end. spans: oldest first, without a gap. cuts: moments that no period
    crosses, where lines were settled already.
    """

    spans: tuple[CalendarSpan, ...] = ()
    cuts: tuple[datetime, ...] = ()

    @classmethod
    def of(cls, spans: tuple[CalendarSpan, ...], cuts: Iterable[datetime | None] = ()) -> SpannedCalendar:
        newest = spans[-1].calendar
        return cls(newest.zone, newest.week_starts_monday, spans, tuple(cut for cut in cuts if cut is not None))

    def length_at(self, moment: datetime) -> PeriodLength:
        """How long the periods of a moment are."""
        return self.spans[self._number_at(moment)].length

    def day_of(self, moment: datetime) -> date:
        """The local calendar day of a moment, in the zone of its time."""
        return self.spans[self._number_at(moment)].calendar.day_of(moment)

    def midnight(self, day: date) -> datetime:
        """The UTC moment at which a local day begins, in the zone of its time."""
        begins = ((span.since, span.calendar.midnight(day)) for span in reversed(self.spans))
        return next(moment for since, moment in begins if since is None or since <= moment)

    def last_day_before(self, end: datetime) -> date:
        """The last local day of a period that ends at `end`: where another zone takes over, of the old one."""
        number = self._number_at(end - MOMENT)
        day, last_day = self.spans[number].calendar.day_of(end - MOMENT), self._last_day_of_zone(number)
        return day if last_day is None else min(day, last_day)

    def containing(self, moment: datetime, length: PeriodLength | None = None) -> Period:
        """The period that a moment belongs to; how long it is, its time says."""
        period = self._cut_by_spans(moment)
        start = max([period.start, *(cut for cut in self.cuts if cut <= moment)])
        end = min([period.end, *(cut for cut in self.cuts if cut > moment)])
        if (start, end) == (period.start, period.end):
            return period
        first = period.first_day if start == period.start else self.day_of(start)
        following = period.next_day if end == period.end else self.day_of(end)
        return Period(start, end, first, following, period.days)

    def between(self, start: datetime, end: datetime, length: PeriodLength | None = None) -> list[Period]:
        """Every period that overlaps [start, end), oldest first."""
        periods = []
        while start < end:
            periods.append(self.containing(start))
            start = periods[-1].end
        return periods

    def _number_at(self, moment: datetime) -> int:
        return max(n for n, span in enumerate(self.spans) if span.since is None or span.since <= moment)

    def _last_day_of_zone(self, number: int) -> date | None:
        """The last day of the zone of a span; None: no other follows.

        Hours between the midnights of two zones belong to the last day and period of the old one, also where the
        length of periods changes within these hours.
        """
        calendar = self.spans[number].calendar
        changes = (span for span in self.spans[number + 1 :] if span.calendar != calendar and span.since)
        change = next(changes, None)
        return change.calendar.day_of(change.since) - DAY if change and change.since else None

    def _cut_by_spans(self, moment: datetime) -> Period:
        number = self._number_at(moment)
        span, last_day = self.spans[number], self._last_day_of_zone(number)
        following = self.spans[number + 1] if number + 1 < len(self.spans) else None
        day = span.calendar.day_of(moment)
        if last_day is not None:
            day = min(day, last_day)
        period = period_of_day(span.calendar, day, span.length)
        if span.since is not None and period.start < span.since:
            period = replace(period, start=span.since, first_day=span.calendar.day_of(span.since))
        if following is None or following.since is None:
            return period
        if last_day is not None and period.next_day > last_day:
            next_day = last_day + DAY
            if following.calendar == span.calendar:  # only its length changes there
                next_day = min(next_day, span.calendar.day_of(following.since))
            return replace(period, end=following.since, next_day=next_day)
        if period.end > following.since:
            period = replace(period, end=following.since, next_day=span.calendar.day_of(following.since))
        return period


def takes_over(spans: Sequence[CalendarSpan], calendar: Calendar, now: datetime) -> datetime:
    """When another calendar, decided on at `now`, cuts periods: at its midnight where the running period ends.

    So no period is cut, and no day belongs to two. Where that midnight is past already, one period later.
    """
    periods = SpannedCalendar.of(tuple(spans))
    running = periods.containing(now)
    while (since := calendar.midnight(running.next_day)) <= now:
        running = periods.containing(running.end)
    return since
