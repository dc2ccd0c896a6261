"""From when changed terms hold, as their author chose, and whether clients pay more by them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from reporting.commission.fees import costs_more
from reporting.commission.history import CalendarSpan, SpannedCalendar
from reporting.commission.periods import PeriodLength
from reporting.commission.policy import Crystallised, Hurdle, NewMark, Policy, Scheme

AT_ONCE = "now"
NEXT_PERIOD = "next"
PERIODS_OF_YEAR = {
    PeriodLength.WEEK: Decimal("365.2425") / 7,
    PeriodLength.MONTH: Decimal(12),
    PeriodLength.QUARTER: Decimal(4),
    PeriodLength.DAY: Decimal("365.2425"),
    PeriodLength.HALF_YEAR: Decimal(2),
    PeriodLength.YEAR: Decimal(1),
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


def is_rise(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether clients may pay more: something is charged that was not, by another scheme, or at a higher rate.

    A fixed fee is compared by what a year costs. A mark that is measured more often charges gains that a loss of the
    same longer period would have offset; by which rules it is measured, `policy` says where both have one.
    """
    if fees_rise(before, after):
        return True
    if not after["scheme"]:
        return False
    if before["scheme"] != after["scheme"]:
        return True
    old_rate, rate = Decimal(before["rate"]), Decimal(after["rate"])
    old_periods, periods = periods_of_year(before, after)
    if after["scheme"] == Scheme.FLAT_FEE:
        return rate * periods > old_rate * old_periods
    if after["scheme"] != Scheme.HIGH_WATER_MARK:
        return rate > old_rate
    old_policy, policy = before.get("policy"), after.get("policy")
    costs_more = old_policy is not None and policy is not None and not costs_no_more(old_policy, policy)
    return rate > old_rate or periods > old_periods or costs_more


def fees_rise(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether a client pays more beside the commission, or less of it is taken off, where both say it."""
    old_fees, fees = before.get("fees"), after.get("fees")
    if old_fees is None or fees is None:
        return False
    return costs_more(old_fees, fees, after.get("currency", ""), periods_of_year(before, after))


def periods_of_year(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Decimal, Decimal]:
    """How many billing periods a year has by either terms."""
    return PERIODS_OF_YEAR[PeriodLength(before["billing_period"])], PERIODS_OF_YEAR[
        PeriodLength(after["billing_period"])
    ]


def costs_no_more(before: Policy, after: Policy) -> bool:
    """Whether no history of results makes other rules of a mark dearer, everything else being equal.

    A fee that must be earned back, a hurdle, a longer memory of losses, and fewer moments at which a fee falls due are
    in the client's favour; of everything else nobody can say.
    """
    chosen = ("new_mark", "hurdle", "hurdle_rate", "loss_memory_periods", "crystallised", "name", "version")
    same = replace(before, **{name: getattr(after, name) for name in chosen})
    if same != after:
        return False
    hurdles = (Hurdle.NONE, Hurdle.SOFT, Hurdle.HARD)
    raised = hurdles.index(after.hurdle) - hurdles.index(before.hurdle)
    memory, longer = before.loss_memory_periods, after.loss_memory_periods
    return (
        (before.new_mark == after.new_mark or after.new_mark is NewMark.GROSS)
        and (raised > 0 or (raised == 0 and after.hurdle_rate >= before.hurdle_rate))
        and (raised <= 0 or before.hurdle is Hurdle.NONE or after.hurdle_rate >= before.hurdle_rate)
        and (longer is None or (memory is not None and longer >= memory))
        and (before.crystallised == after.crystallised or after.crystallised is Crystallised.PERIOD_END)
    )
