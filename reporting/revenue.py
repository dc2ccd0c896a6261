"""What was earned: fees by month, strategy and client, each currency by itself, and what the open periods may come to.

A line belongs to the month in which the last day of its billing period is, in the workspace's zone of today. What is
open is no revenue yet: it is shown apart, as it is and as it would be if periods went on as they began.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import DateTimeField, ExpressionWrapper, F, Sum
from django.db.models.functions import TruncMonth

from reporting.commission.money import EXACT, round_money
from reporting.models import CommissionLine
from strategies.models import Strategy
from subscribers.models import Subscriber
from users.models import Membership

ZERO = Decimal(0)
GROUPS = {"strategy": ("connection_id", "strategy_id"), "client": ("connection_id", "subscriber_id"), "all": ()}
MOMENT = timedelta(microseconds=1)


@dataclass(slots=True)
class Revenue:
    """Fees of one strategy, client or of all, in one currency. months: by the first day; total: of these."""

    name: str
    currency: str
    months: dict[date, Decimal]
    open_so_far: Decimal = ZERO
    forecast: Decimal = ZERO

    @property
    def total(self) -> Decimal:
        return sum(self.months.values(), ZERO)


def months_until(today: date, number: int) -> list[date]:
    """The first days of so many months, that of today last."""
    first = today.replace(day=1)
    months = [first]
    while len(months) < number:
        months.append((months[-1] - timedelta(days=1)).replace(day=1))
    return months[::-1]


def revenue_of(membership: Membership, by: str, months: list[date], now: datetime) -> list[Revenue]:
    """Rows by currency and name. by: a key of `GROUPS`. Credit notes are not in it: they correct statements."""
    fields, zone = GROUPS[by], ZoneInfo(membership.workspace.timezone)
    rows: dict[tuple[Any, ...], Revenue] = {}

    def row_of(group: dict[str, Any]) -> Revenue:
        key = (group["currency"], *(group[name] for name in fields))
        return rows.setdefault(key, Revenue("", group["currency"], defaultdict(Decimal)))

    start = datetime(months[0].year, months[0].month, 1, tzinfo=zone)
    lines = CommissionLine.objects.visible_to(membership)
    last = ExpressionWrapper(F("period_end") - MOMENT, output_field=DateTimeField())
    ended = lines.filter(period_end__gt=start, period_end__lte=now).annotate(month=TruncMonth(last, tzinfo=zone))
    for group in ended.order_by().values("month", "currency", *fields).annotate(total=Sum("amount")):
        row_of(group).months[group["month"].date()] += group["total"]
    spans = lines.current(now).order_by().values("period_start", "period_end", "currency", *fields)
    for group in spans.annotate(total=Sum("amount")):
        row = row_of(group)
        row.open_so_far += group["total"]
        row.forecast += round_money(group["total"] * _share(group, now), row.currency)
    _name(membership, by, rows)
    return sorted(rows.values(), key=lambda row: (row.currency, row.name.lower(), row.name))


def _share(group: dict[str, Any], now: datetime) -> Decimal:
    """The whole of a period by what has passed of it, a day at the least: one trade at night forecasts no fortune."""
    whole = (group["period_end"] - group["period_start"]).total_seconds()
    passed = min(max((now - group["period_start"]).total_seconds(), 86_400), whole)
    return EXACT.divide(Decimal(int(whole)), Decimal(int(passed)))


def _name(membership: Membership, by: str, rows: dict[tuple[Any, ...], Revenue]) -> None:
    if by == "all":
        return
    model: Any = Strategy if by == "strategy" else Subscriber
    known = model.objects.visible_to(membership).values_list("connection_id", "backend_id", "name")
    names = {(connection_id, backend_id): name for connection_id, backend_id, name in known}
    for (_, connection_id, backend_id), row in rows.items():
        row.name = names.get((connection_id, backend_id)) or backend_id
