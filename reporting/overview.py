"""What the overview shows, read in a handful of bounded queries from what the sync keeps added up.

Money is kept per currency of the accounts. Sums over currencies are for reading: converted at the ECB reference rate of
the day, and labelled with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection as database

from reporting import equity_sums
from reporting.models import Transaction
from reporting.rates import Rates, rate_note
from users.models import Membership, Workspace
from users.shared_answers import shared_answer

LATENCY_ROWS = 5_000
CURVE_CACHE_S = 60
STANDINGS_FRESH_S = 5
RANGES = {"1W": 7, "1M": 31, "3M": 92, "1Y": 366, "All": 0}


@dataclass(frozen=True)
class Standing:
    """The accounts of one currency: what they are worth and what they brought."""

    currency: str
    accounts: int
    unmeasured: int
    equity: Decimal | None
    floating: Decimal | None
    today: Decimal
    month: Decimal
    deals_today: int
    accrued: Decimal


@dataclass(frozen=True)
class Latency:
    """Time from the provider's fill to the copies' over the newest deals that were measured."""

    deals: int
    p50_ms: Decimal | None
    p95_ms: Decimal | None


@dataclass(frozen=True)
class OverviewTotal:
    """Everything in one currency. equity, floating: None where no balance is known.

    left_out: accounts whose currency or equity is not known, which no sum of equity holds.
    """

    currency: str
    equity: Decimal | None
    floating: Decimal | None
    today: Decimal
    month: Decimal
    accrued: Decimal
    left_out: int
    rate_day: date | None = None  # of the oldest rate; None: nothing was converted
    is_rate_old: bool = False

    @property
    def note(self) -> str:
        """The day of the rates, and the mark where that is long ago."""
        return rate_note(self.rate_day, is_rate_old=self.is_rate_old) if self.rate_day else ""


STANDINGS = """
WITH accounts AS (
    SELECT currency, count(*) AS accounts, count(*) - count(equity) AS unmeasured, sum(equity) AS equity,
           sum(equity - balance) AS floating
    FROM subscribers_subscriber
    WHERE workspace_id = %(workspace)s AND NOT is_removed GROUP BY currency
), results AS (
    SELECT s.currency,
           sum(r.profit + r.swap + r.commission) FILTER (WHERE r.day = %(today)s) AS today,
           sum(r.profit + r.swap + r.commission) AS month,
           sum(r.deals) FILTER (WHERE r.day = %(today)s) AS deals
    FROM reporting_dailyresult r
    JOIN subscribers_subscriber s ON s.connection_id = r.connection_id AND s.backend_id = r.subscriber_id
    WHERE r.workspace_id = %(workspace)s AND r.day BETWEEN %(month)s AND %(today)s GROUP BY s.currency
), accrued AS (
    SELECT currency, sum(amount) AS amount FROM reporting_commissionline
    WHERE workspace_id = %(workspace)s AND period_start <= %(now)s AND period_end > %(now)s AND member_id = ''
    GROUP BY currency
)
SELECT currency, coalesce(accounts, 0), coalesce(unmeasured, 0), equity, floating,
       coalesce(today, 0), coalesce(month, 0), coalesce(deals, 0),
       coalesce(amount, 0)
FROM accounts FULL JOIN results USING (currency) FULL JOIN accrued USING (currency)
ORDER BY accounts DESC NULLS LAST, currency
"""
LATENCIES = """
SELECT count(*), percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms),
       percentile_cont(0.95) WITHIN GROUP (ORDER BY latency_ms)
FROM (
    SELECT latency_ms FROM reporting_transaction
    WHERE workspace_id = %(workspace)s AND time >= %(since)s ORDER BY time DESC, id DESC LIMIT %(rows)s
) newest WHERE latency_ms IS NOT NULL
"""
# The sum of every account's last known equity: adding up the changes of each account carries values forward. Of that,
# what came in: with an account that begins, else as money paid in or out (the rule of reporting/flows.py).
CURVE = """
WITH points AS (
    SELECT p.connection_id, p.account_id, p.time, p.net_deposits,
           p.equity - coalesce(lag(p.equity) OVER account, 0) AS change,
           CASE WHEN lag(p.equity) OVER account IS NULL THEN p.equity
                ELSE coalesce(p.net_deposits - lag(p.net_deposits) OVER account, 0) END AS moved
    FROM reporting_equitypoint p
    JOIN subscribers_subscriber s ON s.connection_id = p.connection_id AND s.backend_id = p.account_id
    WHERE s.workspace_id = %(workspace)s AND s.currency = %(currency)s AND p.currency IN ('', s.currency)
    WINDOW account AS (PARTITION BY p.connection_id, p.account_id ORDER BY p.time)
), untold AS (
    SELECT connection_id, account_id, min(time) AS since FROM points GROUP BY 1, 2 HAVING count(net_deposits) = 0
), told AS (
    SELECT DISTINCT t.connection_id, t.subscriber_id, t.time, t.backend_id, t.profit
    FROM untold u JOIN reporting_transaction t ON t.workspace_id = %(workspace)s AND t.subscriber_id = u.account_id
     AND t.connection_id = u.connection_id AND t.type = 'DEAL_TYPE_BALANCE' AND t.time > u.since
), changes AS (
    SELECT time, change, moved FROM points UNION ALL SELECT time, 0, profit FROM told
)
SELECT moment, round(sum(sum(change)) OVER (ORDER BY moment), 2)::float8, round(sum(moved), 2)::float8
FROM (
    SELECT (floor(extract(epoch FROM time) / %(step)s) * %(step)s)::bigint AS moment, change, moved FROM changes
) by_step GROUP BY moment ORDER BY moment
"""


# The same of the sums that are kept of them, once they hold every account.
CURVE_OF_SUMS = """
WITH told AS (
    SELECT DISTINCT t.connection_id, t.subscriber_id, t.time, t.backend_id, t.profit
    FROM reporting_equitymember m JOIN reporting_transaction t ON t.workspace_id = %(workspace)s
     AND t.subscriber_id = m.account_id AND t.connection_id = m.connection_id AND t.type = 'DEAL_TYPE_BALANCE'
     AND t.time > m.first_at
    WHERE m.connection_id = ANY(%(connections)s) AND m.strategy_id = '' AND m.currency = %(currency)s
      AND NOT m.has_deposits
), changes AS (
    SELECT time, change, moved FROM reporting_equitysum
    WHERE connection_id = ANY(%(connections)s) AND strategy_id = '' AND currency = %(currency)s
    UNION ALL SELECT time, 0, profit FROM told
)
SELECT moment, round(sum(sum(change)) OVER (ORDER BY moment), 2)::float8, round(sum(moved), 2)::float8
FROM (
    SELECT (floor(extract(epoch FROM time) / %(step)s) * %(step)s)::bigint AS moment, change, moved FROM changes
) by_step GROUP BY moment ORDER BY moment
"""


def standings(workspace: Workspace, *, now: datetime) -> tuple[list[Standing], Standing | None]:
    """One row per currency, the one with most accounts first, and the accounts whose currency is not known, if any.

    The money of the latter may be of several currencies: only counts are to be read. Days are UTC days, as results are.
    At most some seconds old: every open overview asks for them again and again.
    """
    key = f"standings:{workspace.pk}:{now.date()}"
    return shared_answer(key, lambda: _read_standings(workspace, now), fresh_s=STANDINGS_FRESH_S)


def _read_standings(workspace: Workspace, now: datetime) -> tuple[list[Standing], Standing | None]:
    parameters: dict[str, Any] = {
        "workspace": workspace.pk,
        "now": now,
        "today": now.date(),
        "month": now.date().replace(day=1),
    }
    with database.cursor() as cursor:
        cursor.execute(STANDINGS, parameters)
        rows = [Standing(*row) for row in cursor.fetchall()]
    return [row for row in rows if row.currency], next((row for row in rows if not row.currency), None)


def total(
    standings: list[Standing], rates: Rates, *, currency: str, on: date, without_currency: int = 0
) -> OverviewTotal | None:
    """The standings added up in `currency`; None when there are none. Raises UnknownRate.

    without_currency: accounts that are in no standing because their currency is not known.
    """
    if not standings:
        return None
    used = [rates.on(on, standing.currency, currency) for standing in standings]
    sums: dict[str, Any] = {}
    for name in ("equity", "floating", "today", "month", "accrued"):
        values = [(_amount_of(s, name), rate.value) for s, rate in zip(standings, used, strict=True)]
        known = [value * rate for value, rate in values if value is not None]
        sums[name] = sum(known, Decimal(0)) if known else None
    left_out = without_currency + sum(standing.unmeasured for standing in standings)
    oldest = min((rate.day for rate in used if rate.base != currency), default=None)
    is_old = any(rate.is_old for rate in used)
    return OverviewTotal(currency=currency, rate_day=oldest, is_rate_old=is_old, left_out=left_out, **sums)


def _amount_of(standing: Standing, name: str) -> Decimal | None:
    """No account has no equity, which is nothing; accounts whose equity is not known have an unknown one."""
    amount: Decimal | None = getattr(standing, name)
    return Decimal(0) if amount is None and not standing.accounts else amount


def latency(workspace: Workspace, *, now: datetime) -> Latency:
    """Median and 95th percentile of the newest deals of the last day, at most 5,000 of them."""
    parameters: dict[str, Any] = {"workspace": workspace.pk, "since": now - timedelta(days=1), "rows": LATENCY_ROWS}
    with database.cursor() as cursor:
        cursor.execute(LATENCIES, parameters)
        return Latency(*cursor.fetchone())


def equity_curve(workspace: Workspace, *, currency: str, days: int, now: datetime) -> list[list[Any] | None]:
    """Columns [seconds, equity, nothing, money in or out] of all accounts of a currency; 0 days: everything.

    The third place is the drawdown's, which this curve has none of. Kept for a minute.
    """
    key = f"equity-and-flows:{workspace.pk}:{currency}:{days}"

    def read() -> list[tuple]:
        points = _read_curve(workspace, currency, 3600 if 0 < days <= 31 else 86_400)
        return [point for point in points if not days or point[0] >= (now - timedelta(days=days)).timestamp()]

    points = shared_answer(key, read, fresh_s=CURVE_CACHE_S)
    times, equity, moved = ([list(column) for column in zip(*points, strict=True)]) if points else ([], [], [])
    return [times, equity, None, [0.0, *moved[1:]] if moved else []]


def _read_curve(workspace: Workspace, currency: str, step_s: int) -> list[tuple]:
    ids = list(workspace.connections.order_by("pk").values_list("pk", flat=True))
    parameters: dict[str, Any] = {"workspace": workspace.pk, "connections": ids, "currency": currency, "step": step_s}
    with database.cursor() as cursor:
        cursor.execute(CURVE_OF_SUMS if equity_sums.are_complete(ids) else CURVE, parameters)
        return cursor.fetchall()


def feed(membership: Membership) -> list:
    """The newest deals with names."""
    newest = Transaction.objects.visible_to(membership).order_by("-time", "-id")
    names = (
        "time",
        "type",
        "symbol",
        "volume_lots",
        "profit",
        "subscriber__name",
        "subscriber__pk",
        "subscriber_id",
        "backend_id",
    )
    return list(newest.values_list(*names, "subscriber__currency", "id", named=True)[:12])
