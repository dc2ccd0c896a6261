"""Sums of filtered history: from the daily results that the sync keeps, or, where those cannot tell, from the deals.

What the daily results do not know (symbol, type, outcome, days of another zone) is added up deal by deal, but only
while the planner expects it to be quick and only so many: a page never waits for a look through millions.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal

from django.core.exceptions import EmptyResultSet
from django.db import OperationalError, connection, transaction
from django.db.models import QuerySet, Sum
from django.db.models.functions import Coalesce

from reporting.models import DailyResult
from reporting.sync.history import CASH
from subscribers.models import Subscriber
from users.listing import with_ids
from users.listing.counting import estimate
from users.models import Membership

MOST_ROWS = 200_000
MOST_DEALS = 100_000
MOST_COST = 40_000  # as PostgreSQL counts: about half a second
TIMEOUT_MS = 2_000
DEALS = f"""
SELECT connection_id, subscriber_id, count(*),
       coalesce(sum(abs(coalesce(volume_lots, 0))) FILTER (WHERE NOT is_cash), 0),
       coalesce(sum(profit) FILTER (WHERE NOT is_cash), 0), coalesce(sum(swap) FILTER (WHERE NOT is_cash), 0),
       coalesce(sum(coalesce(commission, 0)) FILTER (WHERE NOT is_cash), 0),
       coalesce(sum(profit) FILTER (WHERE is_cash), 0)
FROM (SELECT deals.*, type IN {CASH} AS is_cash FROM (%s) deals) told GROUP BY 1, 2
"""


@dataclass(frozen=True)
class Totals:
    """What the deals of one currency's accounts brought. moved: deposits less withdrawals, no part of the result.

    currency: empty where no account's is known; these may be several, so their money is no sum (`is_sum`).
    """

    currency: str
    accounts: int
    deals: int
    volume_lots: Decimal
    profit: Decimal
    swap: Decimal
    commission: Decimal
    moved: Decimal = Decimal(0)

    @property
    def is_sum(self) -> bool:
        """Whether the money is all of one currency; an account has only one, whichever it is."""
        return bool(self.currency) or self.accounts == 1

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
    return rows if subscribers is None else with_ids(rows, "subscriber_id", subscribers)


def totals(results: QuerySet) -> list[Totals] | None:
    """Sums per currency; None when there are too many days to add up while somebody waits."""
    if estimate(results.values_list("pk"))[0] > MOST_ROWS:
        return None
    sums = {name: Coalesce(Sum(name), Decimal(0)) for name in ("volume_lots", "profit", "swap", "commission")}
    by_account = results.order_by().values("connection_id", "subscriber_id").annotate(count=Sum("deals"), **sums)
    return _by_currency(list(by_account.values_list("connection_id", "subscriber_id", "count", *sums)))


def deal_totals(deals: QuerySet) -> list[Totals] | None:
    """Exact sums per currency of these transactions; None when there are more than MOST_DEALS or they are far apart."""
    names = ("connection_id", "subscriber_id", "type", "volume_lots", "profit", "swap", "commission")
    bounded = deals.order_by().values_list(*names)[: MOST_DEALS + 1]
    try:
        rows, cost = estimate(bounded)
        sql, parameters = bounded.query.get_compiler(using=bounded.db).as_sql()
    except EmptyResultSet:
        return []
    if rows > MOST_DEALS or cost > MOST_COST:
        return None
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(TIMEOUT_MS)])
            cursor.execute(DEALS % sql.replace("%", "%%").replace("%%s", "%s"), parameters)
            by_account = cursor.fetchall()
            cursor.execute("SELECT set_config('statement_timeout', '0', true)")
    except OperationalError:  # it took longer than the planner had thought
        return None
    if sum(row[2] for row in by_account) > MOST_DEALS:
        return None
    return _by_currency(by_account)


def _by_currency(rows: list[tuple]) -> list[Totals]:
    ids = {row[0] for row in rows}
    accounts = Subscriber.objects.filter(connection_id__in=ids, backend_id__in={row[1] for row in rows})
    currencies = {
        (c, b): currency for c, b, currency in accounts.values_list("connection_id", "backend_id", "currency")
    }
    sums: dict[str, list] = {}
    accounts_of: Counter[str] = Counter()
    for connection_id, account_id, *own in rows:
        currency = currencies.get((connection_id, account_id), "")
        accounts_of[currency] += 1
        total = sums.setdefault(currency, [0, *[Decimal(0)] * (len(own) - 1)])
        for place, value in enumerate(own):
            total[place] += value
    return [Totals(currency, accounts_of[currency], *total) for currency, total in sorted(sums.items())]
