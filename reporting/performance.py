"""How strategies and accounts did: what list columns and detail pages show, read in bounded queries and kept briefly.

A strategy's curve is the equity of the accounts that copy it, by UTC day, in one currency; accounts that begin, and
money moved, are flows and no result. Nothing here is owed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from django.core.cache import cache
from django.db import connection as database

from reporting import equity_sums
from reporting.metrics import Curve, converted, drawdown_fractions, growth_index, monthly_returns, sum_curves
from reporting.rates import Rates, UnknownRate, rates_of
from strategies.models import Strategy
from users.models import Membership, Workspace

FIGURES_KEPT_S = 120
COURSE = timedelta(days=90)
COURSE_POINTS = 30
SYMBOL_DEALS = 5_000

# per currency and day: how the sum of every account's last known equity changed, and what of that came in: with an
# account that begins, else as money paid in or out (the rule of reporting/flows.py, by day)
FOLLOWERS_BY_DAY = """
WITH followers AS (
    SELECT u.backend_id, u.currency
    FROM subscribers_subscription b JOIN subscribers_subscriber u ON u.id = b.subscriber_id
    WHERE u.connection_id = %(connection)s AND b.strategy_backend_id = %(strategy)s AND NOT b.is_removed
      AND u.currency <> ''
), days AS (
    SELECT DISTINCT ON (p.account_id, day) p.account_id, f.currency, (p.time AT TIME ZONE 'UTC')::date AS day,
           p.equity, p.net_deposits
    FROM followers f JOIN reporting_equitypoint p ON p.connection_id = %(connection)s AND p.account_id = f.backend_id
     AND p.currency IN ('', f.currency)
    ORDER BY p.account_id, day, p.time DESC
), told AS (
    SELECT subscriber_id, (time AT TIME ZONE 'UTC')::date AS day, sum(profit) AS amount FROM (
        SELECT DISTINCT t.subscriber_id, t.time, t.backend_id, t.profit
        FROM followers f
        JOIN reporting_transaction t ON t.workspace_id = %(workspace)s AND t.subscriber_id = f.backend_id
        WHERE t.connection_id = %(connection)s AND t.type = 'DEAL_TYPE_BALANCE'
    ) deals GROUP BY 1, 2
), changes AS (
    SELECT d.currency, d.day, d.equity - coalesce(lag(d.equity) OVER account, 0) AS change,
           CASE WHEN lag(d.equity) OVER account IS NULL THEN d.equity
                ELSE coalesce(d.net_deposits - lag(d.net_deposits) OVER account, t.amount, 0) END AS moved
    FROM days d LEFT JOIN told t ON t.subscriber_id = d.account_id AND t.day = d.day
    WINDOW account AS (PARTITION BY d.account_id ORDER BY d.day)
)
SELECT currency, day, sum(change)::float8, sum(moved)::float8 FROM changes GROUP BY 1, 2 ORDER BY 1, 2
"""
# the same, of many strategies at once, of the sums that are kept of them (reporting/equity_sums.py)
SUMS_BY_DAY = """
WITH asked AS (
    SELECT * FROM unnest(%(connections)s::bigint[], %(strategies)s::text[]) AS a (connection_id, strategy_id)
), told AS (
    SELECT DISTINCT m.connection_id, m.strategy_id, m.currency, t.subscriber_id, t.time, t.backend_id, t.profit
    FROM asked JOIN reporting_equitymember m USING (connection_id, strategy_id)
    JOIN reporting_transaction t ON t.workspace_id = %(workspace)s AND t.subscriber_id = m.account_id
     AND t.connection_id = m.connection_id AND t.type = 'DEAL_TYPE_BALANCE'
     AND t.time >= date_trunc('day', m.first_at, 'UTC') + interval '1 day'
    WHERE NOT m.has_deposits
)
SELECT connection_id, strategy_id, currency, (time AT TIME ZONE 'UTC')::date AS day, sum(change)::float8,
       sum(moved)::float8
FROM (
    SELECT connection_id, strategy_id, s.currency, s.time, s.change, s.moved
    FROM asked JOIN reporting_equitysum s USING (connection_id, strategy_id)
    UNION ALL SELECT connection_id, strategy_id, currency, time, 0, profit FROM told
) changes GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""
FOLLOWERS = """
SELECT b.strategy_backend_id, u.connection_id, u.currency, count(*), count(u.equity), sum(u.equity)
FROM subscribers_subscription b JOIN subscribers_subscriber u ON u.id = b.subscriber_id
WHERE u.workspace_id = %s AND b.strategy_backend_id = ANY(%s) AND NOT b.is_removed AND NOT u.is_removed
GROUP BY 1, 2, 3
"""
SYMBOLS = """
SELECT symbol, currency, count(*), sum(abs(volume_lots)), sum(net),
       count(*) FILTER (WHERE profit > 0), count(*) FILTER (WHERE profit < 0)
FROM (
    SELECT t.symbol, u.currency, t.volume_lots, t.profit, t.profit + t.swap + coalesce(t.commission, 0) AS net
    FROM reporting_transaction t
    JOIN subscribers_subscriber u ON u.connection_id = t.connection_id AND u.backend_id = t.subscriber_id
    WHERE t.workspace_id = %(workspace)s AND t.strategy_id = %(strategy)s AND t.connection_id = %(connection)s
    ORDER BY t.time DESC, t.id DESC LIMIT %(rows)s
) newest WHERE symbol <> '' AND currency <> '' GROUP BY symbol, currency
"""
RESULTS = """
SELECT subscriber_id, connection_id,
       coalesce(sum(profit + swap + commission) FILTER (WHERE day = %(today)s), 0), sum(profit + swap + commission)
FROM reporting_dailyresult
WHERE connection_id = ANY(%(connections)s) AND subscriber_id = ANY(%(accounts)s) AND day BETWEEN %(month)s AND %(today)s
GROUP BY 1, 2
"""


@dataclass(frozen=True)
class Figures:
    """What a strategy's row shows. Returns and drawdown are fractions of one; None: not known.

    equity: of the accounts whose equity can be told in the reporting currency; `left_out` counts the others.
    """

    subscribers: int
    equity: Decimal | None
    left_out: int
    month: float | None
    year: float | None
    drawdown: float | None
    course: tuple[float, ...] = ()


def followers_curve(strategy: Strategy, currency: str, rates: Rates) -> Curve:
    """Equity by day of all accounts that copy a strategy, in one currency, since the beginning. Raises UnknownRate.

    The whole curve is kept for two minutes: one reading serves the list, the chart and the monthly returns.
    """
    curve = followers_curves([strategy], currency, rates)[strategy.pk]
    if isinstance(curve, UnknownRate):
        raise curve
    return curve


def followers_curves(strategies: Sequence[Strategy], currency: str, rates: Rates) -> dict[int, Curve | UnknownRate]:
    """The same of many strategies of one workspace, in one query, by their keys; an error where a rate is unknown."""
    keys = {f"followers-curve:{strategy.pk}:{currency}": strategy for strategy in strategies}
    curves: dict[str, Any] = cache.get_many(list(keys))
    missing = {key: strategy for key, strategy in keys.items() if key not in curves}
    changes = _followers_changes(list(missing.values())) if missing else {}
    for key, strategy in missing.items():
        try:
            own = changes.get((strategy.connection_id, strategy.backend_id), {})
            curves[key] = _summed(own, currency, rates)
            cache.set(key, curves[key], FIGURES_KEPT_S)
        except UnknownRate as error:
            curves[key] = error
    return {strategy.pk: curves[key] for key, strategy in keys.items()}


Changes = dict[str, list[tuple[date, float, float]]]  # by currency: (day, change, money moved)


def _followers_changes(strategies: Sequence[Strategy]) -> dict[tuple[int, str], Changes]:
    """By connection and strategy, from the sums where they are complete, else from every point of every account."""
    ids = sorted({strategy.connection_id for strategy in strategies})
    if not equity_sums.are_complete(ids):
        return {
            (followed.connection_id, followed.backend_id): _read_followers_changes(followed) for followed in strategies
        }
    parameters: dict[str, Any] = {
        "workspace": strategies[0].workspace_id,
        "connections": [strategy.connection_id for strategy in strategies],
        "strategies": [strategy.backend_id for strategy in strategies],
    }
    changes: dict[tuple[int, str], Changes] = {}
    with database.cursor() as cursor:
        cursor.execute(SUMS_BY_DAY, parameters)
        for connection_id, strategy_id, own_currency, *row in cursor.fetchall():
            own = changes.setdefault((connection_id, strategy_id), {})
            own.setdefault(own_currency, []).append((row[0], row[1], row[2]))
    return changes


def _read_followers_changes(strategy: Strategy) -> Changes:
    parameters: dict[str, Any] = {
        "connection": strategy.connection_id,
        "workspace": strategy.workspace_id,
        "strategy": strategy.backend_id,
    }
    with database.cursor() as cursor:
        cursor.execute(FOLLOWERS_BY_DAY, parameters)
        rows = cursor.fetchall()
    by_currency: Changes = {}
    for own_currency, *row in rows:
        by_currency.setdefault(own_currency, []).append((row[0], row[1], row[2]))
    return by_currency


def _summed(by_currency: Changes, currency: str, rates: Rates) -> Curve:
    """One curve of all currencies. Raises UnknownRate."""
    curves = []
    for own_currency, days in by_currency.items():
        times = np.array([int(datetime(d.year, d.month, d.day, tzinfo=UTC).timestamp()) for d, *_ in days], np.int64)
        change, moved = (np.array(column) for column in list(zip(*days, strict=True))[1:])
        curves.append(converted(Curve(times, np.cumsum(change), moved, own_currency), currency, rates))
    return sum_curves(curves, currency)


def returns_of(curve: Curve, today: date) -> tuple[float | None, float | None, float | None]:
    """(this month's return, this year's, the deepest drawdown since the beginning), fractions; None: not measured."""
    if len(curve.times) < 2:
        return None, None, None
    index = growth_index(curve.equity, curve.flows)
    months = {(year, month): value for year, month, value in monthly_returns(curve.times, index)}
    this_year = [1 + value for (year, _), value in months.items() if year == today.year]
    year = float(np.prod(this_year) - 1) if this_year else None
    return months.get((today.year, today.month)), year, float(drawdown_fractions(index).max())


def course_of(curve: Curve, now: datetime) -> tuple[float, ...]:
    """Growth over the last 90 days in at most 30 points, for a sparkline; the first is 100."""
    recent = np.flatnonzero(curve.times >= (now - COURSE).timestamp())
    if len(recent) < 2:
        return ()
    index = growth_index(curve.equity, curve.flows)[recent]
    shown = np.unique(np.linspace(0, len(index) - 1, COURSE_POINTS).astype(int))
    return tuple(np.round(index[shown] / (index[0] or 1.0) * 100, 2).tolist())


def strategy_figures(workspace: Workspace, strategies: Sequence[Strategy], *, now: datetime) -> dict[int, Figures]:
    """Figures by the strategies' keys; curves may be two minutes old, counts and equity are of this moment."""
    rates = rates_of(workspace)
    standing = _standing(workspace, strategies, rates, now.date())
    figures = {}
    curves = followers_curves(strategies, workspace.reporting_currency, rates)
    for strategy in strategies:
        parts = _measured(curves[strategy.pk], now)
        key = strategy.connection_id, strategy.backend_id
        figures[strategy.pk] = Figures(*standing.get(key, (0, Decimal(0), 0)), *parts)
    return figures


def _measured(curve: Curve | UnknownRate, now: datetime) -> tuple:
    if isinstance(curve, UnknownRate):
        return None, None, None, ()
    return *returns_of(curve, now.date()), course_of(curve, now)


def _standing(workspace: Workspace, strategies: Sequence[Strategy], rates: Rates, on: date) -> dict[tuple, tuple]:
    """(subscribers, equity in the reporting currency, how many it leaves out) by connection and backend id.

    Equity is None where accounts copy and nothing is known of any: unknown is not zero.
    """
    with database.cursor() as cursor:
        cursor.execute(FOLLOWERS, [workspace.pk, [s.backend_id for s in strategies]])
        rows = cursor.fetchall()
    sums: dict[tuple, list] = {}
    for backend_id, connection_id, currency, count, measured, equity in rows:
        standing = sums.setdefault((connection_id, backend_id), [0, Decimal(0), 0])
        standing[0] += count
        rate = _rate_or_none(rates, on, currency, workspace.reporting_currency)
        standing[2] += count if rate is None else count - measured
        if rate is not None and equity is not None:
            standing[1] += equity * rate
    return {
        key: (count, None if count == left_out > 0 else equity, left_out)
        for key, (count, equity, left_out) in sums.items()
    }


def _rate_or_none(rates: Rates, on: date, currency: str, into: str) -> Decimal | None:
    """The day's rate; None for a currency that is not known or that has no rate."""
    try:
        return rates.on(on, currency, into).value if currency else None
    except UnknownRate:
        return None


@dataclass
class SymbolResult:
    """What the copied deals of one symbol brought, in the reporting currency."""

    symbol: str
    deals: int = 0
    lots: Decimal = Decimal(0)
    net: Decimal = Decimal(0)
    won: int = 0
    lost: int = 0


def symbols_of(strategy: Strategy, currency: str, rates: Rates, *, on: date) -> list[SymbolResult]:
    """Results by symbol over the newest 5,000 copied deals, best first. Raises UnknownRate."""
    parameters: dict[str, Any] = {
        "workspace": strategy.workspace_id,
        "connection": strategy.connection_id,
        "strategy": strategy.backend_id,
        "rows": SYMBOL_DEALS,
    }
    with database.cursor() as cursor:
        cursor.execute(SYMBOLS, parameters)
        rows = cursor.fetchall()
    results: dict[str, SymbolResult] = {}
    for symbol, own_currency, deals, lots, net, won, lost in rows:
        result = results.setdefault(symbol, SymbolResult(symbol))
        result.deals += deals
        result.lots += lots or 0
        result.net += net * rates.on(on, own_currency, currency).value
        result.won += won
        result.lost += lost
    return sorted(results.values(), key=lambda result: (-result.net, result.symbol))


def results_of_accounts(accounts: Sequence[tuple[int, str]], *, today: date) -> dict[tuple[int, str], tuple]:
    """(result today, result this month) after swap and commission by (connection, account), account currency."""
    parameters: dict[str, Any] = {
        "connections": list({connection_id for connection_id, _ in accounts}),
        "accounts": [account_id for _, account_id in accounts],
        "today": today,
        "month": today.replace(day=1),
    }
    with database.cursor() as cursor:
        cursor.execute(RESULTS, parameters)
        return {(connection_id, account): (day, month) for account, connection_id, day, month in cursor.fetchall()}


@dataclass(frozen=True)
class HeatMap:
    """Monthly returns by year, newest year first; `full` is the strongest month."""

    years: list[tuple[int, list[float | None], float]]
    full: float


def heat_map(curve: Curve) -> HeatMap:
    """Years of twelve months (None: nothing measured) with the year's return."""
    months = monthly_returns(curve.times, growth_index(curve.equity, curve.flows)) if len(curve.times) > 1 else []
    by_month = {(year, month): value for year, month, value in months}
    years = []
    for year in sorted({year for year, _ in by_month}, reverse=True):
        row = [by_month.get((year, month)) for month in range(1, 13)]
        years.append((year, row, float(np.prod([1 + value for value in row if value is not None]) - 1)))
    return HeatMap(years, max((abs(value) for value in by_month.values()), default=0.0))


def visible_strategies(membership: Membership, ids: Sequence[int] | None = None, *, most: int = 200) -> list[Strategy]:
    """The strategies one may see, by name; `ids` narrows them."""
    visible = Strategy.objects.visible_to(membership)
    if ids is not None:
        visible = visible.filter(pk__in=ids)
    return list(visible.order_by("name", "id").defer("document")[:most])
