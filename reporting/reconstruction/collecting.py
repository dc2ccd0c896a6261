"""Signals of providers from what the mirror stores: copied deals, the log, what is seen open, providers' own deals.

Called in the transaction that stores the rows, so that nothing is missed; only for connections whose backend keeps its
decisions to itself. A signal that something new is known of is due to be looked at (`MirroredSignal.due_at`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connection

from reporting.models import SyncKind, SyncState
from users.models import Connection

_NEWEST_ID = "SELECT last_value FROM reporting_transaction_id_seq"
# a copy of a member says whose signal it is where the backend tells that; what closes is no new signal
_DEALS = """
    INSERT INTO reporting_mirroredsignal AS m
        (workspace_id, connection_id, strategy_id, signal_id, symbol, side, kind, is_side_copied, price, time,
         last_deal_at, due_at)
    SELECT %(workspace)s, %(connection)s, leaf, position_id, (array_agg(symbol ORDER BY time, id))[1],
           (array_agg(side ORDER BY time, id))[1], 'market', true, (array_agg(price ORDER BY time, id))[1],
           min(time - latency), max(time), %(now)s
    FROM (
        SELECT coalesce(nullif(left(t.extra #>> '{sourceStrategy,id}', 64), ''), t.strategy_id) AS leaf, t.position_id,
               left(t.symbol, 64) AS symbol, CASE t.type WHEN 'DEAL_TYPE_BUY' THEN 'buy' ELSE 'sell' END AS side,
               t.price, t.time, t.id,
               interval '1 millisecond' * least(greatest(coalesce(t.latency_ms, 0), 0), 60000) AS latency
        FROM reporting_transaction t
        WHERE t.workspace_id = %(workspace)s AND t.connection_id = %(connection)s AND t.id > %(after)s
          AND t.time BETWEEN %(start)s AND %(end)s AND t.position_id <> ''
          AND t.type IN ('DEAL_TYPE_BUY', 'DEAL_TYPE_SELL') AND t.backend_id NOT LIKE '%%:close'
    ) deals GROUP BY leaf, position_id
    ON CONFLICT (connection_id, strategy_id, signal_id) DO UPDATE
    SET time = CASE WHEN m.is_side_copied THEN least(m.time, excluded.time) ELSE m.time END,
        price = coalesce(m.price, excluded.price),
        last_deal_at = greatest(m.last_deal_at, excluded.last_deal_at), due_at = excluded.due_at
"""
# a line without an account is the strategy's own: its side and symbol are the provider's
_LINES = """
    INSERT INTO reporting_mirroredsignal AS m
        (workspace_id, connection_id, strategy_id, signal_id, symbol, side, kind, is_side_copied, price, time, due_at)
    SELECT %(workspace)s, %(connection)s, strategy_id, position_id, (array_agg(symbol ORDER BY rank, time, id))[1],
           (array_agg(side ORDER BY rank, time, id))[1], (array_agg(kind ORDER BY rank, time, id))[1],
           bool_and(rank = 1), (array_agg(open_price ORDER BY rank, time, id))[1], min(time), %(now)s
    FROM (
        SELECT strategy_id, position_id, symbol, side, coalesce(nullif(type, ''), 'market') AS kind, open_price, time,
               id, CASE WHEN subscriber_id = '' THEN 0 ELSE 1 END AS rank
        FROM reporting_logrecord
        WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND time BETWEEN %(start)s AND %(end)s
          AND position_id <> '' AND strategy_id <> '' AND side IN ('buy', 'sell') AND symbol <> ''
    ) lines GROUP BY strategy_id, position_id
    ON CONFLICT (connection_id, strategy_id, signal_id) DO UPDATE
    SET due_at = excluded.due_at, kind = CASE WHEN m.lots IS NULL THEN excluded.kind ELSE m.kind END,
        symbol = CASE WHEN excluded.is_side_copied THEN m.symbol ELSE excluded.symbol END,
        side = CASE WHEN excluded.is_side_copied THEN m.side ELSE excluded.side END,
        is_side_copied = m.is_side_copied AND excluded.is_side_copied
"""
# what the terminal or the strategy itself shows open: the only source of the provider's volume and stops
_OPEN = """
    INSERT INTO reporting_mirroredsignal AS m
        (workspace_id, connection_id, strategy_id, signal_id, symbol, side, kind, is_side_copied, lots, price,
         stop_loss, take_profit, time, due_at)
    SELECT workspace_id, connection_id, strategy_id, signal_id, symbol, side, 'market', false, lots, open_price,
           stop_loss, take_profit, opened_at, %(now)s
    FROM reporting_opentrade o
    WHERE o.connection_id = %(connection)s AND o.lots IS NOT NULL AND o.state = 'open' AND NOT EXISTS (
        SELECT FROM reporting_mirroredsignal k WHERE k.connection_id = o.connection_id AND k.lots IS NOT NULL
        AND k.strategy_id = o.strategy_id AND k.signal_id = o.signal_id
    )
    ORDER BY o.id LIMIT %(most)s
    ON CONFLICT (connection_id, strategy_id, signal_id) DO UPDATE
    SET symbol = excluded.symbol, side = excluded.side, is_side_copied = false, lots = excluded.lots,
        price = coalesce(excluded.price, m.price), stop_loss = excluded.stop_loss,
        take_profit = excluded.take_profit, time = least(m.time, excluded.time), due_at = excluded.due_at
"""
# what the provider's own deals tell: everything but what became of it
_TRADES = """
    INSERT INTO reporting_mirroredsignal AS m
        (workspace_id, connection_id, strategy_id, signal_id, symbol, side, kind, is_side_copied, lots, price,
         stop_loss, take_profit, magic, time, due_at)
    SELECT %(workspace)s, %(connection)s, %(strategy)s, t.signal_id, t.symbol, t.side, 'market', false, t.lots, t.price,
           t.stop_loss, t.take_profit, t.magic, t.time, %(now)s
    FROM unnest(%(signal_id)s::text[], %(symbol)s::text[], %(side)s::text[], %(lots)s::numeric[], %(price)s::numeric[],
                %(stop_loss)s::numeric[], %(take_profit)s::numeric[], %(magic)s::bigint[], %(time)s::timestamptz[])
         AS t (signal_id, symbol, side, lots, price, stop_loss, take_profit, magic, time)
    ON CONFLICT (connection_id, strategy_id, signal_id) DO UPDATE
    SET symbol = excluded.symbol, side = excluded.side, is_side_copied = false, lots = excluded.lots,
        price = coalesce(excluded.price, m.price), stop_loss = excluded.stop_loss,
        take_profit = excluded.take_profit, magic = excluded.magic, time = least(m.time, excluded.time),
        due_at = excluded.due_at
    WHERE m.lots IS NULL
"""
TRADE_FIELDS = ("signal_id", "symbol", "side", "lots", "price", "stop_loss", "take_profit", "magic", "time")
MOST_OPEN = 1_000


def keeps_decisions(connection_id: int) -> bool:
    """Whether the backend of a connection keeps its decisions to itself, or does not let this token read them."""
    return SyncState.objects.filter(
        connection_id=connection_id, kind=SyncKind.DECISIONS, cursor__is_offered=False
    ).exists()


def newest_deal() -> int:
    """A key that deals stored from now on lie behind."""
    with connection.cursor() as database:
        database.execute(_NEWEST_ID)
        return int(database.fetchone()[0])


def collect_deals(
    workspace_id: int, connection_id: int, start: datetime, end: datetime, *, now: datetime, after: int = 0
) -> int:
    """Signals of the copied deals of [start, end] that were stored behind `after`; returns how many are due."""
    return _run(_DEALS, workspace=workspace_id, connection=connection_id, start=start, end=end, now=now, after=after)


def collect_lines(workspace_id: int, connection_id: int, start: datetime, end: datetime, *, now: datetime) -> int:
    """Signals that the lines of the log of [start, end] tell of; returns how many are due."""
    return _run(_LINES, workspace=workspace_id, connection=connection_id, start=start, end=end, now=now)


def collect_open(connection_id: int, *, now: datetime) -> int:
    """Volumes and stops of signals that are seen open, once each; returns how many are due."""
    return _run(_OPEN, connection=connection_id, now=now, most=MOST_OPEN)


def collect_trades(backend: Connection, strategy_id: str, trades: Sequence[Mapping[str, Any]], *, now: datetime) -> int:
    """Trades of a strategy's account (TRADE_FIELDS of each); returns how many are new or have their volume now."""
    if not trades:
        return 0
    columns = {name: [trade[name] for trade in trades] for name in TRADE_FIELDS}
    own = {"workspace": backend.workspace_id, "connection": backend.pk, "strategy": strategy_id, "now": now}
    return _run(_TRADES, **own, **columns)


def _run(statement: str, **parameters: Any) -> int:
    with connection.cursor() as database:
        database.execute(statement, parameters)
        return int(database.rowcount)
