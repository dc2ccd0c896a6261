"""Sums of filtered history, read from the daily results that the sync keeps, never from the history itself."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.db.models import QuerySet, Sum
from django.db.models.functions import Coalesce

from reporting.models import DailyResult
from subscribers.models import Subscriber
from users.listing.counting import estimate
from users.models import Membership

MOST_ROWS = 200_000


@dataclass(frozen=True)
class Totals:
    """What the deals of one currency's accounts brought."""

    currency: str
    deals: int
    volume_lots: Decimal
    profit: Decimal
    swap: Decimal
    commission: Decimal

    @property
    def net(self) -> Decimal:
        return self.profit + self.swap + self.commission


def daily_results(membership: Membership, *, start=None, end=None, strategy="", subscribers=None) -> QuerySet:
    """The days from `start` to `end`, both included and UTC, of what the member may see.

    subscribers: the backend's ids of the accounts wanted; None: all.
    """
    rows = DailyResult.objects.filter(workspace_id=membership.workspace_id)
    if not membership.is_staff_role:
        rows = rows.filter(subscriber_id__in=Subscriber.objects.visible_to(membership).values("backend_id"))
    wanted = {"day__gte": start, "day__lte": end, "strategy_id": strategy}
    rows = rows.filter(**{field: value for field, value in wanted.items() if value})
    return rows if subscribers is None else rows.filter(subscriber_id__in=subscribers)


def totals(results: QuerySet) -> list[Totals] | None:
    """Sums per currency; None when there are too many days to add up while somebody waits."""
    if estimate(results.values_list("pk"))[0] > MOST_ROWS:
        return None
    sums = {name: Coalesce(Sum(name), Decimal(0)) for name in ("volume_lots", "profit", "swap", "commission")}
    by_account = results.order_by().values("connection_id", "subscriber_id").annotate(count=Sum("deals"), **sums)
    return _by_currency(list(by_account))


def _by_currency(rows: list[dict]) -> list[Totals]:
    ids = {row["connection_id"] for row in rows}
    accounts = Subscriber.objects.filter(connection_id__in=ids, backend_id__in={row["subscriber_id"] for row in rows})
    currencies = {
        (c, b): currency for c, b, currency in accounts.values_list("connection_id", "backend_id", "currency")
    }
    found: dict[str, list] = {}
    for row in rows:
        currency = currencies.get((row["connection_id"], row["subscriber_id"]), "")
        sums = found.setdefault(currency, [0, Decimal(0), Decimal(0), Decimal(0), Decimal(0)])
        for place, name in enumerate(("count", "volume_lots", "profit", "swap", "commission")):
            sums[place] += row[name]
    return [Totals(currency, *sums) for currency, sums in sorted(found.items())]
