"""The open book as pages read it: every signal with its copies counted, and sums by symbol. Worked out from the rows.

Called by the sync when something differs, in its transaction; a second run over the same rows changes nothing. Amounts
are in account currency and never added across currencies.
"""

from __future__ import annotations

from typing import Any

from django.db import connection

from strategies.chains import portfolios_with, strategies_of
from strategies.models import Kind
from users.models import Connection


def take_turn(backend: Connection) -> None:
    """Wait until nobody else writes signals and sums of this connection, until the end of the transaction.

    The sync and whoever closes positions would otherwise change the same rows in different orders.
    """
    with connection.cursor() as database:
        database.execute("SELECT pg_advisory_xact_lock(hashtext('open book'), %s::int)", [backend.pk % 2**31])


def rebuild(backend: Connection, *, is_list: bool) -> int:
    """Bring signals and sums of a connection to its positions; returns how many rows differ now.

    is_list: positions and signals of all accounts and strategies were read at once, so that what is not there is not
    open; otherwise only what was read of an account or a strategy says so.
    """
    leaves, holders = _expected_ways(backend)
    values: dict[str, Any] = {
        "connection": backend.pk,
        "workspace": backend.workspace_id,
        "leaves": leaves,
        "holders": holders,
        "is_list": is_list,
    }
    changed = 0
    with connection.cursor() as database:
        for statement in (_ORPHANS, _PROVIDED, _COPIED, _GONE, _SUMS_GONE, _SUMS):
            database.execute(statement, values)
            changed += database.rowcount
    return changed


def forget(backend: Connection) -> int:
    """Nothing is known of a connection's positions any more; returns how many rows that takes away."""
    with connection.cursor() as database:
        removed = 0
        for table in ("openposition", "opentrade", "exposuresum", "positionreading"):
            database.execute(f"DELETE FROM reporting_{table} WHERE connection_id = %s", [backend.pk])
            removed += database.rowcount
    return removed


def _expected_ways(backend: Connection) -> tuple[list[str], list[str]]:
    """Pairs (strategy, what one subscribes to for its signals): the strategy itself and portfolios that hold it."""
    strategies = strategies_of(backend.pk)
    pairs = [
        (leaf, holder)
        for leaf, strategy in strategies.items()
        if strategy.kind == Kind.SINGLE
        for holder in (leaf, *portfolios_with(leaf, strategies))
    ]
    return [leaf for leaf, _ in pairs], [holder for _, holder in pairs]


# Copies of a signal that the provider does not have, or whose provider cannot be asked. It is closed where the
# provider's positions and the strategy's external signals were both read after the copy was opened.
_ORPHANS = """
    WITH copies AS (
        SELECT p.source_strategy_id AS strategy_id, p.signal_id, min(p.symbol) AS symbol, min(p.side) AS side,
               min(p.opened_at) AS opened_at
        FROM reporting_openposition p
        JOIN subscribers_subscriber u ON u.connection_id = p.connection_id AND u.backend_id = p.subscriber_id
        WHERE p.connection_id = %(connection)s AND p.signal_id <> '' GROUP BY 1, 2
    ), known AS (
        SELECT c.*, s.id IS NOT NULL AND (%(is_list)s OR (account.read_at > c.opened_at
                                                         AND external.read_at > c.opened_at)) AS is_closed
        FROM copies c
        LEFT JOIN strategies_strategy s ON s.connection_id = %(connection)s AND s.backend_id = c.strategy_id
            AND s.kind = 'single'
        LEFT JOIN reporting_positionreading account ON account.connection_id = %(connection)s
            AND NOT account.is_strategy AND account.backend_id = s.account_id
        LEFT JOIN reporting_positionreading external ON external.connection_id = %(connection)s
            AND external.is_strategy AND external.backend_id = s.backend_id
    )
    INSERT INTO reporting_opentrade AS o (workspace_id, connection_id, strategy_id, signal_id, state, is_external,
        symbol, side, currency, opened_at, copies, accounts, copied_lots, floatings, unread)
    SELECT %(workspace)s, %(connection)s, strategy_id, signal_id,
           CASE WHEN is_closed THEN 'closed' ELSE 'unknown' END, false, symbol, side, '', opened_at, 0, 0, 0, '[]', 0
    FROM known
    ON CONFLICT (connection_id, strategy_id, signal_id) DO UPDATE SET state = excluded.state
    WHERE o.state = 'unknown' AND excluded.state = 'closed'
"""
# What the provider's terminal says of its own position. The currency is known of clients' accounts, and of those that
# are listed as trading accounts.
_PROVIDED = """
    UPDATE reporting_opentrade o SET current_price = known.current_price, floating = known.floating,
           currency = known.currency
    FROM (
        SELECT o.id, p.floating, coalesce(nullif(u.currency, ''), b.currency, '') AS currency,
               coalesce(p.current_price, CASE WHEN c.lowest = c.highest THEN c.lowest END) AS current_price
        FROM reporting_opentrade o
        LEFT JOIN strategies_strategy s ON s.connection_id = o.connection_id AND s.backend_id = o.strategy_id
        LEFT JOIN reporting_openposition p ON p.connection_id = o.connection_id AND p.subscriber_id = s.account_id
            AND p.position_id = o.signal_id AND o.state = 'open' AND NOT o.is_external
        LEFT JOIN subscribers_subscriber u ON u.connection_id = p.connection_id AND u.backend_id = p.subscriber_id
        LEFT JOIN accounts_brokeraccount b ON b.connection_id = p.connection_id AND b.backend_id = p.subscriber_id
        LEFT JOIN (
            SELECT source_strategy_id, signal_id, symbol, min(current_price) AS lowest, max(current_price) AS highest
            FROM reporting_openposition WHERE connection_id = %(connection)s AND signal_id <> '' GROUP BY 1, 2, 3
        ) c ON p.id IS NULL AND c.source_strategy_id = o.strategy_id AND c.signal_id = o.signal_id
            AND c.symbol = o.symbol
        WHERE o.connection_id = %(connection)s
    ) known
    WHERE o.id = known.id AND (o.current_price, o.floating, o.currency) IS DISTINCT FROM
          (known.current_price, known.floating, known.currency::varchar)
"""
# Copies by currency first: an account has one, so that its accounts and results add up to those of the signal.
# Who is expected to have a copy counts where the account was read after the signal was opened; others are unread.
_COPIED = """
    WITH ways AS (
        SELECT * FROM unnest(%(leaves)s::text[], %(holders)s::text[]) AS w (leaf, holder)
    ), expected AS (
        SELECT DISTINCT w.leaf, u.id, u.backend_id
        FROM ways w
        JOIN subscribers_subscription b ON b.strategy_backend_id = w.holder AND NOT b.is_removed
        JOIN subscribers_subscriber u ON u.id = b.subscriber_id AND u.connection_id = %(connection)s
            AND NOT u.is_removed
    ), moments AS (
        SELECT e.leaf, CASE WHEN %(is_list)s THEN 'infinity' ELSE coalesce(r.read_at, '-infinity') END AS read_at,
               count(*) AS accounts
        FROM expected e LEFT JOIN reporting_positionreading r ON r.connection_id = %(connection)s
            AND NOT r.is_strategy AND r.backend_id = e.backend_id
        GROUP BY 1, 2
    ), parts AS (
        SELECT p.source_strategy_id AS strategy_id, p.signal_id, u.currency, count(*) AS copies,
               count(DISTINCT u.id) AS accounts, sum(p.lots) AS lots, coalesce(sum(p.floating), 0) AS floating,
               count(p.floating) AS known, count(DISTINCT u.id) FILTER (WHERE e.id IS NOT NULL) AS expected
        FROM reporting_openposition p
        JOIN subscribers_subscriber u ON u.connection_id = p.connection_id AND u.backend_id = p.subscriber_id
        LEFT JOIN expected e ON e.leaf = p.source_strategy_id AND e.id = u.id
        WHERE p.connection_id = %(connection)s AND p.signal_id <> '' GROUP BY 1, 2, 3
    ), copied AS (
        SELECT strategy_id, signal_id, sum(copies)::int AS copies, sum(accounts)::int AS accounts, sum(lots) AS lots,
               sum(expected)::int AS expected,
               jsonb_agg(jsonb_build_array(currency, floating::text, known, copies - known) ORDER BY currency) AS sums
        FROM parts GROUP BY 1, 2
    ), counted AS (
        SELECT o.id, coalesce(c.copies, 0) AS copies, coalesce(c.accounts, 0) AS accounts,
               coalesce(c.lots, 0) AS lots, coalesce(c.sums, '[]') AS sums,
               CASE WHEN o.state = 'open' THEN greatest(0, coalesce((SELECT sum(m.accounts) FROM moments m
                    WHERE m.leaf = o.strategy_id AND m.read_at >= o.opened_at), 0) - coalesce(c.expected, 0))::int
               END AS missing,
               CASE WHEN o.state = 'open' THEN coalesce((SELECT sum(m.accounts) FROM moments m
                    WHERE m.leaf = o.strategy_id AND m.read_at < o.opened_at), 0)::int ELSE 0 END AS unread
        FROM reporting_opentrade o
        LEFT JOIN copied c ON c.strategy_id = o.strategy_id AND c.signal_id = o.signal_id
        WHERE o.connection_id = %(connection)s
    )
    UPDATE reporting_opentrade o SET copies = counted.copies, accounts = counted.accounts,
           copied_lots = counted.lots, floatings = counted.sums, missing = counted.missing, unread = counted.unread
    FROM counted
    WHERE o.id = counted.id
        AND (o.copies, o.accounts, o.copied_lots, o.floatings, o.missing, o.unread) IS DISTINCT FROM
            (counted.copies, counted.accounts, counted.lots, counted.sums, counted.missing, counted.unread)
"""
_GONE = """
    DELETE FROM reporting_opentrade
    WHERE connection_id = %(connection)s AND copies = 0 AND state IN ('closed', 'unknown')
"""
_OPEN_SUMS = """
    SELECT p.source_strategy_id, p.symbol, p.side, u.currency, count(*)::int AS positions, sum(p.lots) AS lots,
           coalesce(sum(p.floating), 0) AS floating, (count(*) - count(p.floating))::int AS unknown
    FROM reporting_openposition p
    JOIN subscribers_subscriber u ON u.connection_id = p.connection_id AND u.backend_id = p.subscriber_id
    WHERE p.connection_id = %(connection)s GROUP BY 1, 2, 3, 4
"""
_SUMS_GONE = f"""
    DELETE FROM reporting_exposuresum e WHERE connection_id = %(connection)s AND NOT EXISTS (
        SELECT FROM ({_OPEN_SUMS}) s WHERE (s.source_strategy_id, s.symbol, s.side, s.currency)
            = (e.source_strategy_id, e.symbol, e.side, e.currency))
"""
_SUMS = f"""
    INSERT INTO reporting_exposuresum AS e (workspace_id, connection_id, source_strategy_id, symbol, side, currency,
        positions, lots, floating, unknown)
    SELECT %(workspace)s, %(connection)s, s.* FROM ({_OPEN_SUMS}) s
    ON CONFLICT (connection_id, source_strategy_id, symbol, side, currency) DO UPDATE
    SET positions = excluded.positions, lots = excluded.lots, floating = excluded.floating, unknown = excluded.unknown
    WHERE (e.positions, e.lots, e.floating, e.unknown) IS DISTINCT FROM
          (excluded.positions, excluded.lots, excluded.floating, excluded.unknown)
"""
