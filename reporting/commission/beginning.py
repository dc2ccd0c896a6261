"""From when changed terms hold, as their author chose, and whether clients pay more by them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal

from reporting.commission.history import CalendarSpan, SpannedCalendar

AT_ONCE = "now"
NEXT_PERIOD = "next"


def begins_at(choice: str, spans: Sequence[CalendarSpan], saved_at: datetime, *, has_clients: bool) -> datetime:
    """The moment from which terms hold that were saved at `saved_at`; never an earlier one.

    choice: AT_ONCE, NEXT_PERIOD, a day as ISO text, or empty: the next period where there are clients, else at once.
    """
    calendar = SpannedCalendar.of(tuple(spans))
    choice = choice or default_choice(has_clients=has_clients)
    if choice == AT_ONCE:
        return saved_at
    if choice == NEXT_PERIOD:
        return calendar.containing(saved_at).end
    return max(saved_at, midnight_of(calendar, date.fromisoformat(choice)))


def default_choice(*, has_clients: bool) -> str:
    """What holds where nobody chose."""
    return NEXT_PERIOD if has_clients else AT_ONCE


def midnight_of(calendar: SpannedCalendar, day: date) -> datetime:
    """The moment a local day begins, in the zone that the strategy has then."""
    newest = calendar.midnight(day)
    held = [span for span in calendar.spans if span.since is None or span.since <= newest]
    return held[-1].calendar.midnight(day)


def is_rise(before: dict[str, str], after: dict[str, str]) -> bool:
    """Whether clients may pay more: something is charged that was not, by another scheme, or at a higher rate.

    The same fee for a shorter period is a higher one.
    """
    if not after["scheme"]:
        return False
    if before["scheme"] != after["scheme"]:
        return True
    lengths = {"week": 1, "month": 4, "quarter": 13}  # weeks, roughly: only their order counts
    is_shorter = lengths[after["billing_period"]] < lengths[before["billing_period"]]
    return Decimal(after["rate"]) > Decimal(before["rate"]) or (after["scheme"] == "flat-fee" and is_shorter)
