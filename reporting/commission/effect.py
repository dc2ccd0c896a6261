"""What other terms would do, in sentences, as a part of the review of a change. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from reporting.commission.history import CalendarSpan, SpannedCalendar
from reporting.commission.periods import DAY, MOMENT
from reporting.commission.policy import Scheme, Terms


@dataclass(frozen=True, slots=True)
class ProposedTerms:
    """A change of terms: before and after (None: nothing is charged), and from when."""

    before: Terms | None
    after: Terms | None
    begins_at: datetime


def effect_of(proposed: ProposedTerms, spans: Sequence[CalendarSpan], now: datetime) -> list[str]:
    """Which deals and days are charged by which terms, and what becomes of the open period; nothing where all stays.

    spans: how periods are cut so far.
    """
    if proposed.before == proposed.after:
        return []
    return [*_sentences(proposed, SpannedCalendar.of(tuple(spans)), now), "Periods that have ended stay as they are."]


def _sentences(proposed: ProposedTerms, calendar: SpannedCalendar, now: datetime) -> Iterator[str]:
    begins, before, after = proposed.begins_at, proposed.before, proposed.after
    period = calendar.containing(begins)
    when = "the moment it is saved" if begins <= now else f"the beginning of {calendar.day_of(begins)}"
    if after is None:
        yield f"Nothing is charged from {when}. What was earned before that stays owed."
    elif before is None:
        yield f"Fees are charged from {when}. Deals before that stay free, also those that arrive late."
        if after.scheme is Scheme.HIGH_WATER_MARK:
            yield "The high-water mark starts at the result of that moment."
    else:
        yield (
            f"Deals and days from {when} are charged by the new terms, earlier ones by the old terms, "
            "also those that arrive late."
        )
    if begins == period.start:
        last = calendar.containing(begins - MOMENT).next_day - DAY
        yield f"The period before that is charged as a whole by the old terms, to its last day, {last}."
    elif before is not None and after is not None:
        yield from _cut_words(before, after, calendar, begins)
    if begins > now:
        yield "The backend knows no date: its own figures follow the new terms as soon as the change is saved."


def _cut_words(before: Terms, after: Terms, calendar: SpannedCalendar, begins: datetime) -> Iterator[str]:
    """What becomes of a period in the middle of which terms change."""
    period = calendar.containing(begins)
    running = f"{before.billing_period} from {period.first_day}"
    if after.billing_period is not before.billing_period:
        new = SpannedCalendar.of((CalendarSpan(None, calendar, after.billing_period),)).containing(begins)
        yield f"The {running} ends there; the first {after.billing_period} runs from there to {new.next_day - DAY}."
    if before.scheme is Scheme.HIGH_WATER_MARK:
        yield f"New profit of the {running} is measured and charged at that moment; the mark goes on from there."
    if Scheme.FLAT_FEE in (before.scheme, after.scheme):
        yield "A fixed fee is owed by days; the day of the change is charged by the new terms."
