"""From when changed terms hold, as their author chose, and whether clients pay more by them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal

from reporting.commission.history import CalendarSpan, SpannedCalendar
from reporting.commission.periods import BillingPeriod
from reporting.commission.policy import Scheme

AT_ONCE = "now"
NEXT_PERIOD = "next"
PERIODS_OF_YEAR = {
    BillingPeriod.WEEK: Decimal("365.2425") / 7,
    BillingPeriod.MONTH: Decimal(12),
    BillingPeriod.QUARTER: Decimal(4),
}


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
    return max(saved_at, calendar.midnight(date.fromisoformat(choice)))


def default_choice(*, has_clients: bool) -> str:
    """What holds where nobody chose."""
    return NEXT_PERIOD if has_clients else AT_ONCE


def is_rise(before: dict[str, str], after: dict[str, str]) -> bool:
    """Whether clients may pay more: something is charged that was not, by another scheme, or at a higher rate.

    A fixed fee is compared by what a year costs. A mark that is measured more often charges gains that a loss of the
    same longer period would have offset.
    """
    if not after["scheme"]:
        return False
    if before["scheme"] != after["scheme"]:
        return True
    old_rate, rate = Decimal(before["rate"]), Decimal(after["rate"])
    old_periods, periods = (PERIODS_OF_YEAR[BillingPeriod(terms["billing_period"])] for terms in (before, after))
    if after["scheme"] == Scheme.FLAT_FEE:
        return rate * periods > old_rate * old_periods
    return rate > old_rate or (after["scheme"] == Scheme.HIGH_WATER_MARK and periods > old_periods)
