"""What the commission pages read: totals of the current periods, lines, and the backend's own figures beside ours.

Every function starts with `visible_to`: a subscriber sees only their own accounts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Max, Min, QuerySet, Sum

from reporting.models import CommissionLine, CommissionLineQuerySet, DailyResult
from subscribers.models import Subscriber
from users.models import Membership


def totals_by_strategy(membership: Membership, now: datetime) -> QuerySet[Any]:
    """Rows (connection_id, strategy_id, currency, lines, provisional, total) of the periods open at `now`."""
    return CommissionLine.objects.visible_to(membership).current(now).totals("connection_id", "strategy_id")


def totals_by_subscription(membership: Membership, now: datetime) -> QuerySet[Any]:
    """Rows (connection_id, strategy_id, subscriber_id, currency, lines, provisional, total) of the open periods."""
    lines = CommissionLine.objects.visible_to(membership).current(now)
    return lines.totals("connection_id", "strategy_id", "subscriber_id")


def totals_by_subscriber(membership: Membership, now: datetime) -> QuerySet[Any]:
    """Rows (connection_id, subscriber_id, currency, lines, provisional, total) of the periods open at `now`."""
    return CommissionLine.objects.visible_to(membership).current(now).totals("connection_id", "subscriber_id")


def lines_of_subscription(
    membership: Membership, connection_id: int, strategy_id: str, subscriber_id: str
) -> CommissionLineQuerySet:
    """Lines of one subscription, newest first; the order (-occurred_at, -id) is an index, so pages go by key."""
    lines = CommissionLine.objects.visible_to(membership).of_subscription(connection_id, strategy_id, subscriber_id)
    return lines.order_by("-occurred_at", "-id")


@dataclass(frozen=True, slots=True)
class Reconciled:
    """Ours beside the backend's own figure, for one strategy and currency in the open period."""

    connection_id: int
    strategy_id: str
    currency: str
    ours: Decimal
    backends: Decimal

    @property
    def difference(self) -> Decimal:
        return self.ours - self.backends


def reconcile_current(membership: Membership, now: datetime) -> list[Reconciled]:
    """Our lines of the open periods beside the sum of the backend's `providerCommission`, by strategy and currency.

    The backend's sums are kept by UTC day: where the billing zone is another, the first and last day may differ.
    """
    lines = CommissionLine.objects.visible_to(membership).current(now)
    rows = lines.totals("connection_id", "strategy_id").annotate(start=Min("period_start"), end=Max("period_end"))
    theirs: dict[tuple[Any, ...], dict[str, Decimal]] = {}
    reconciled = []
    for row in rows:
        key = (row["connection_id"], row["strategy_id"], row["start"], row["end"])
        if key not in theirs:
            theirs[key] = _backend_sums(membership, *key)
        backends = theirs[key].get(row["currency"], Decimal(0))
        reconciled.append(Reconciled(*key[:2], row["currency"], row["total"], backends))
    return reconciled


def _backend_sums(
    membership: Membership, connection_id: int, strategy_id: str, start: datetime, end: datetime
) -> dict[str, Decimal]:
    visible = Subscriber.objects.visible_to(membership).filter(connection_id=connection_id)
    currencies = dict(visible.values_list("backend_id", "currency"))
    days = DailyResult.objects.filter(
        connection_id=connection_id, strategy_id=strategy_id, day__gte=start.date(), day__lt=end.date()
    )
    sums: dict[str, Decimal] = {}
    for subscriber_id, total in days.values_list("subscriber_id").annotate(Sum("provider_commission")):
        if subscriber_id in currencies:
            currency = currencies[subscriber_id]
            sums[currency] = sums.get(currency, Decimal(0)) + total
    return sums
