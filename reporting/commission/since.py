"""Since when a strategy charges, and by which calendar: until terms have a history, nothing reaches back. Pure.

Kept in AccrualState.terms_since as {"charged": {party: {"since", "scheme", "rate"}}, "calendars": [{"since", "zone",
"week_starts_monday", "billing_period"}]}. A party is "" for the strategy itself, or the id of a portfolio's member.
`since` is ISO text, null: from the beginning. Each entry begins a span, so that a history of terms can take them over.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from reporting.commission.periods import BillingPeriod, Calendar, Period, period_of_day
from reporting.commission.policy import Terms

Stored = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CalendarSpan:
    """The calendar that cuts periods from a moment on (None: from the beginning)."""

    since: datetime | None
    calendar: Calendar
    length: BillingPeriod

    @classmethod
    def parse(cls, stored: Stored) -> CalendarSpan:
        calendar = Calendar(stored["zone"], stored["week_starts_monday"])
        return cls(_moment(stored["since"]), calendar, BillingPeriod(stored["billing_period"]))

    def serialise(self) -> Stored:
        return {
            "since": _text(self.since),
            "zone": self.calendar.zone,
            "week_starts_monday": self.calendar.week_starts_monday,
            "billing_period": str(self.length),
        }

    def is_like(self, other: CalendarSpan) -> bool:
        return (self.calendar, self.length) == (other.calendar, other.length)


@dataclass(frozen=True, slots=True)
class SpannedCalendar(Calendar):
    """A calendar that was another one before: every period is cut by the one of its own time.

    spans: oldest first, without a gap. cuts: moments that no period crosses, where lines were settled already.
    """

    spans: tuple[CalendarSpan, ...] = ()
    cuts: tuple[datetime, ...] = field(default=())

    def containing(self, moment: datetime, length: BillingPeriod) -> Period:
        period = self._cut_by_spans(moment, length)
        start = max([period.start, *(cut for cut in self.cuts if cut <= moment)])
        end = min([period.end, *(cut for cut in self.cuts if cut > moment)])
        if (start, end) == (period.start, period.end):
            return period
        first = period.first_day if start == period.start else self.day_of(start)
        following = period.next_day if end == period.end else self.day_of(end)
        return Period(start, end, first, following, period.days)

    def _cut_by_spans(self, moment: datetime, length: BillingPeriod) -> Period:
        number = max(n for n, span in enumerate(self.spans) if span.since is None or span.since <= moment)
        span = self.spans[number]
        following = self.spans[number + 1] if number + 1 < len(self.spans) else None
        # a portfolio's member counts its own fee by its own length
        own_length = span.length if length == self.spans[-1].length else length
        day = span.calendar.day_of(moment)
        until = following.since if following else None  # only the first has no beginning
        last_day = following.calendar.day_of(until) - timedelta(days=1) if following and until else day
        # between two midnights of different zones: these hours belong to the last period of the old one
        period = period_of_day(span.calendar, min(day, last_day), own_length)
        if span.since is not None and period.start < span.since:
            period = replace(period, start=span.since, first_day=span.calendar.day_of(span.since))
        if until and (period.end > until or period.next_day > last_day):
            period = replace(period, end=until, next_day=last_day + timedelta(days=1))
        return period


def calendar_since(stored: Stored, calendar: Calendar, cuts: tuple[datetime | None, ...] = ()) -> Calendar:
    """The calendar with its past; where nothing is stored, as it is now from the beginning."""
    spans = tuple(CalendarSpan.parse(each) for each in stored.get("calendars", []))
    if not spans:
        return calendar
    known = tuple(cut for cut in cuts if cut is not None)
    return SpannedCalendar(calendar.zone, calendar.week_starts_monday, spans, known)


def charged_since(stored: Stored) -> dict[str, datetime | None]:
    """By party, the moment from which its deals are charged; None: from the beginning."""
    return {party: _moment(entry["since"]) for party, entry in stored.get("charged", {}).items()}


def observed(
    stored: Stored, charging: dict[str, Terms], own: Terms | None, calendar: Calendar, now: datetime
) -> Stored:
    """What is to be stored once the terms of `now` are seen. charging: terms by party that charge anything.

    Whoever did not charge before charges from `now` on; what is seen for the first time holds from the beginning.
    """
    before = stored.get("charged", {})
    beginning = None if not stored else _text(now)
    charged = {
        party: {
            "since": before[party]["since"] if party in before else beginning,
            "scheme": terms.scheme.value,
            "rate": str(terms.rate),
        }
        for party, terms in sorted(charging.items())
    }
    spans = [CalendarSpan.parse(each) for each in stored.get("calendars", [])]
    if own is not None:
        spans = with_calendar(spans, calendar, own.billing_period, now)
    return {"charged": charged, "calendars": [span.serialise() for span in spans]}


def with_calendar(
    spans: list[CalendarSpan], calendar: Calendar, length: BillingPeriod, now: datetime
) -> list[CalendarSpan]:
    """The spans with the calendar of `now` as the last one.

    It takes over at the start of the running period if that is inside the new one, as with a longer period, and else
    where the running one ends: so no period is cut that would have ended already.
    """
    new = CalendarSpan(None, calendar, length)
    if not spans:
        return [new]
    begun = [span for span in spans if span.since is None or span.since <= now]
    if spans[-1].is_like(new):
        return spans
    if begun[-1].is_like(new):
        return begun
    running = SpannedCalendar(spans=tuple(begun)).containing(now, begun[-1].length)
    takes_over = calendar.containing(now, length).start <= running.start
    since = running.start if takes_over else calendar.midnight(running.next_day)
    kept = [span for span in begun if span.since is None or span.since < since]
    return [*kept, replace(new, since=since)]


def later(*moments: datetime | None) -> datetime | None:
    """The latest of moments where None is the beginning."""
    return max((moment for moment in moments if moment is not None), default=None)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def words_of_change(
    stored: Stored, before: Terms | None, after: Terms | None, calendar: Calendar, now: datetime
) -> list[str]:
    """What saving other terms at `now` would do, as sentences: which period is charged how, and from when."""
    if before == after:
        return []
    if after is None:
        return [
            "Nothing is charged from now on. What the running period holds so far is dropped.",
            "Periods that have ended stay as they are.",
        ]
    spans = [CalendarSpan.parse(each) for each in stored.get("calendars", [])]
    if before is None:
        last = calendar.containing(now, after.billing_period).next_day - timedelta(days=1)
        return [
            f"It begins to charge when it is saved: the {after.billing_period} until {last} is the first one, charged"
            f" from {calendar.day_of(now)} on.",
            "Deals before that stay free, and so do all periods that have ended.",
        ]
    sentences = []
    if after.billing_period is not before.billing_period:
        known = spans or [CalendarSpan(None, calendar, before.billing_period)]
        sentences.append(_length_words(with_calendar(known, calendar, after.billing_period, now), before, after, now))
    if (after.scheme, after.rate) != (before.scheme, before.rate):
        first = SpannedCalendar(calendar.zone, calendar.week_starts_monday, tuple(spans) or (
            CalendarSpan(None, calendar, before.billing_period),
        )).containing(now, before.billing_period).first_day  # fmt: skip
        sentences.append(f"The new scheme and rate hold for the whole running period, from {first} on.")
    return [*sentences, "Periods that have ended stay as they are."]


def _length_words(spans: list[CalendarSpan], before: Terms, after: Terms, now: datetime) -> str:
    newest = spans[-1]
    if newest.since is None or newest.since <= now:
        own = newest.calendar.containing(now, newest.length)
        return f"The running {before.billing_period} becomes part of the {after.billing_period} until " + (
            f"{own.next_day - timedelta(days=1)}."
        )
    begins = newest.calendar.day_of(newest.since)
    return (
        f"The running {before.billing_period} ends on {begins - timedelta(days=1)} as it would have;"
        f" the first {after.billing_period} begins on {begins}."
    )
