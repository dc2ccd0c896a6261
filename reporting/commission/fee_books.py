"""Fees beside the commission in the books: what settled lines say of them, and limits of settled periods anew.

A late deal changes what a settled period comes to, and so what its minimum or cap does: the difference is booked in the
open period, as adjustments are. Only accounts with such terms are read here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from reporting.commission import sources
from reporting.commission.charging import StrategyAccount
from reporting.commission.fee_lines import Charging, costs_of, limits_of, value_of_day
from reporting.commission.fee_terms import LIMITS, ExtraFee, LateDay
from reporting.commission.fees import for_client
from reporting.commission.history import History, SpannedCalendar
from reporting.commission.ledger import ADJUSTMENT, store_adjustments
from reporting.commission.periods import DAY
from reporting.commission.schemes import BilledSubscription, Line, Valuation
from reporting.models import CommissionLine, EquityPoint

ZERO = Decimal(0)
OUTSIDE = frozenset({*LIMITS, str(ExtraFee.JOINING)})
"""Schemes that neither a minimum nor a cap counts."""


def own_history(account: StrategyAccount, subscriber_id: str, calendar: SpannedCalendar, now: datetime) -> History:
    """The terms of one client, with its own rate, discount and trial time."""
    history = account.history_of(subscriber_id)
    if not history.fees:
        return history
    begun = sources.read_subscriptions(account, [subscriber_id], now)
    return for_client(history, begun[subscriber_id].started_at, calendar) if begun else history


# --- What settled lines say -------------------------------------------------------------------------------------------
def add_standings(
    account: StrategyAccount,
    subscriptions: dict[str, BilledSubscription],
    calendar: SpannedCalendar,
    settled_until: datetime,
) -> None:
    """Note in the subscriptions what their lines of periods that ended by `settled_until` say."""
    rows = CommissionLine.objects.filter(
        connection_id=account.connection_id,
        strategy_id=account.strategy_id,
        subscriber_id__in=subscriptions,
        member_id="",
        scheme__in=(ExtraFee.MANAGEMENT, ExtraFee.JOINING),
        period_end__lte=settled_until,
    )
    waiting: dict[str, dict[date, CommissionLine]] = defaultdict(dict)
    for row in rows.order_by("period_start", "key"):
        standing = subscriptions[row.subscriber_id].standing
        if row.scheme == ExtraFee.JOINING:
            standing.has_joined = True
            continue
        standing.costs += costs_of(row, calendar)
        for day in row.inputs.get("waiting", ()):
            waiting[row.subscriber_id][date.fromisoformat(day)] = row
        if row.inputs.get("late"):
            for day, _ in row.inputs["days"]:
                waiting[row.subscriber_id].pop(date.fromisoformat(day), None)
    for subscriber_id, days in waiting.items():
        if days:
            _add_late_days(account, subscriber_id, subscriptions[subscriber_id], days, calendar)


def _add_late_days(
    account: StrategyAccount,
    subscriber_id: str,
    subscription: BilledSubscription,
    days: dict[date, CommissionLine],
    calendar: SpannedCalendar,
) -> None:
    """Days that were waited for and whose value is known by now."""
    start, end = calendar.midnight(min(days)), calendar.midnight(max(days) + DAY)
    points = EquityPoint.objects.filter(
        connection_id=account.connection_id, account_id=subscriber_id, time__gte=start, time__lt=end
    ).filter(currency__in=("", subscription.currency))
    valuations = [Valuation(*row) for row in points.order_by("time").values_list("time", "balance", "equity")]
    for day, line in sorted(days.items()):
        begins, ends = calendar.midnight(day), calendar.midnight(day + DAY)
        value = value_of_day(valuations, subscription.credits, begins, ends)
        if value is not None:
            subscription.standing.late_days.append(LateDay(day, value, line.rate, line.policy))


# --- Limits of settled periods ----------------------------------------------------------------------------------------
@dataclass(slots=True)
class LimitedPeriod:
    """A settled period of one subscriber that late deals changed.

    fees: what counts for its limits. By key of a limit: booked, settled adjustments included; the line itself; the
    terms that it was charged by (policy, amount); adjustments that are still rewritten.
    """

    fees: Decimal = ZERO
    booked: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    lines: dict[str, int] = field(default_factory=dict)
    terms: dict[str, tuple[dict[str, Any], Decimal]] = field(default_factory=dict)
    open_adjustments: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SettledBooks:
    """What limits are corrected with. settled_until: what ended by then is final."""

    account: StrategyAccount
    workspace_id: int
    calendar: SpannedCalendar
    settled_until: datetime
    now: datetime


def correct_limits(books: SettledBooks, subscriber_ids: Collection[str]) -> tuple[int, int]:
    """Book what minimums and caps of settled periods come to after late deals: (lines written, lines removed)."""
    account = books.account
    if not any(span.terms.minimum or span.terms.cap for history in account.histories for span in history.fees):
        return 0, 0
    periods = _read_limited(books, subscriber_ids)
    if not periods:
        return 0, 0
    clients = sorted({subscriber_id for subscriber_id, _ in periods})
    subscriptions = sources.read_subscriptions(account, clients, books.settled_until)
    lines: list[tuple[str, Line]] = []
    stale: list[int] = []
    for (subscriber_id, start), limited in sorted(periods.items()):
        if subscriber_id not in subscriptions:
            continue
        history = account.history_of(subscriber_id)
        owed = {line.key: line for line in _owed(books, history, subscriptions[subscriber_id], start, limited)}
        for key in sorted({*owed, *limited.booked, *limited.open_adjustments}):
            line, standing = owed.get(key), limited.open_adjustments.get(key)
            difference = (line.amount if line else ZERO) - limited.booked.get(key, ZERO)
            if difference:
                correction = _correction(books, start, key, line, limited, difference)
                lines.append((subscriber_id, replace(correction, currency=subscriptions[subscriber_id].currency)))
            elif standing is not None:
                stale.append(standing["id"])
    if not lines and not stale:
        return 0, 0
    return store_adjustments(
        books.workspace_id, account.connection_id, account.strategy_id, lines=lines, stale_ids=stale
    )


def _read_limited(books: SettledBooks, subscriber_ids: Collection[str]) -> dict[tuple[str, datetime], LimitedPeriod]:
    """By subscriber and start, the settled periods that something corrects."""
    account = books.account
    own = CommissionLine.objects.filter(
        connection_id=account.connection_id,
        strategy_id=account.strategy_id,
        subscriber_id__in=subscriber_ids,
        member_id="",
    )
    columns = ("id", "subscriber_id", "key", "scheme", "policy", "rate", "amount", "period_start", "period_end")
    adjusting = list(own.filter(key__startswith=ADJUSTMENT).order_by("id").values(*columns, "inputs"))
    periods: dict[tuple[str, datetime], LimitedPeriod] = {}
    for row in adjusting:
        corrects = row["inputs"]["corrects"]
        start = datetime.fromisoformat(corrects["period_start"])
        limited = periods.setdefault((row["subscriber_id"], start), LimitedPeriod())
        if row["scheme"] not in OUTSIDE:
            limited.fees += row["amount"]
        elif row["period_end"] <= books.settled_until:
            limited.booked[corrects["key"]] += row["amount"]
        else:
            limited.open_adjustments[corrects["key"]] = row
        if row["scheme"] in LIMITS:
            limited.terms[corrects["key"]] = row["policy"], row["rate"]
    starts = sorted({start for _, start in periods})
    standing = own.filter(period_start__in=starts).exclude(key__startswith=ADJUSTMENT)
    for row in standing.order_by("id").values(*columns):
        limited_period = periods.get((row["subscriber_id"], row["period_start"]))
        if limited_period is None:
            continue
        if row["scheme"] not in OUTSIDE:
            limited_period.fees += row["amount"]
        elif row["scheme"] in LIMITS:
            limited_period.booked[row["key"]] += row["amount"]
            limited_period.lines[row["key"]] = row["id"]
            limited_period.terms[row["key"]] = row["policy"], row["rate"]
    return periods


def _owed(
    books: SettledBooks, history: History, subscription: BilledSubscription, start: datetime, limited: LimitedPeriod
) -> Iterator[Line]:
    """The lines of limits that a settled period has after all."""
    period = books.calendar.containing(start)
    charging = Charging(history, subscription, books.calendar, period.end, None, period.end)
    yield from limits_of(charging, period, limited.fees)


def _correction(
    books: SettledBooks,
    start: datetime,
    key: str,
    owed: Line | None,
    limited: LimitedPeriod,
    difference: Decimal,
) -> Line:
    """Owed after all, less what is booked; in the open period, or in the one in which it stands already."""
    period, standing = books.calendar.containing(start), limited.open_adjustments.get(key)
    target = books.calendar.containing(max(books.now, books.settled_until))
    target = books.calendar.clipped(target, books.settled_until)
    if standing is not None:
        target = replace(target, start=standing["period_start"], end=standing["period_end"])
    scheme = str(ExtraFee.MINIMUM if key == "minimum" else ExtraFee.CAP)
    corrects = {
        "line": limited.lines.get(key),
        "period_start": period.start.isoformat(),
        "period_end": period.end.isoformat(),
        "key": key,
        "inputs": owed.inputs if owed else {},
        "booked": str(limited.booked.get(key, ZERO)),
    }
    policy, rate = (owed.policy, owed.rate) if owed else limited.terms.get(key, ({}, ZERO))
    return Line(
        target,
        f"{ADJUSTMENT}{period.start.isoformat()}:{key}",
        books.now,
        scheme,
        policy,
        {"corrects": corrects},
        rate,
        difference,
        difference,
        "",
    )
