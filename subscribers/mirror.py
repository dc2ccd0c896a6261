"""Brings subscribers, subscriptions, stopouts and balances of a backend into the portal's rows, set by set.

Documents are kept as the backend sent them; the columns beside them are only for finding. No request is made here.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.db import connection, transaction

from copying.contract.accounts import AccountInformation, plausible_leverage
from strategies.mirror import NAME_LENGTH, is_removed, revision_of, text_of
from strategies.versions import Described, keep_versions
from users.models import Connection

# an account whose figures stay as they are is noted as measured this often: a row costs more than its news is worth
MEASURED_EVERY = timedelta(minutes=1)
DOCUMENT = 3  # where a row has its document


def keep_subscribers(backend: Connection, documents: list[dict[str, Any]], *, now: datetime) -> int:
    """Insert or change subscribers and their subscriptions (fields as in C11); returns how many subscribers differ now.

    Every document needs its `_id`; an `_id` must not come twice. What was said before is kept: strategies/versions.py.
    """
    if not documents:
        return 0
    rows = {row[0]: row for row in map(_row, documents)}
    columns = zip(*rows.values(), strict=True)
    with transaction.atomic(), connection.cursor() as database:
        database.execute(
            "INSERT INTO subscribers_subscriber AS s (workspace_id, connection_id, first_seen_at, synced_at, currency,"
            " backend_id, name, close_only, document, revision, is_removed, subscription_count)"
            " SELECT %s, %s, %s, %s, '', * FROM unnest(%s::text[], %s::text[], %s::text[], %s::jsonb[], %s::text[],"
            " %s::bool[], %s::int[])"
            " ON CONFLICT (connection_id, backend_id) DO UPDATE SET name = excluded.name,"
            " close_only = excluded.close_only, document = excluded.document, revision = excluded.revision,"
            " is_removed = excluded.is_removed, subscription_count = excluded.subscription_count,"
            " synced_at = excluded.synced_at"
            " WHERE (s.revision, s.is_removed) IS DISTINCT FROM (excluded.revision, excluded.is_removed)"
            " RETURNING s.id, s.backend_id",
            [backend.workspace_id, backend.pk, now, now, *map(list, columns)],
        )
        changed = {backend_id: pk for pk, backend_id in database.fetchall()}
        _keep_subscriptions(database, backend, [d for d in documents if d["_id"] in changed], changed, now)
        keep_versions(backend, Described.SUBSCRIBER, [(key, rows[key][DOCUMENT]) for key in changed], now=now)
    return len(changed)


def _row(document: dict[str, Any]) -> tuple:
    subscriptions = [s for s in _subscriptions(document) if not s.get("removed")]
    return (
        document["_id"],
        (text_of(document, "name") or document["_id"])[:NAME_LENGTH],
        text_of(document, "closeOnly")[:12],
        msgspec.json.encode(document).decode(),
        revision_of(document),
        is_removed(document),
        len(subscriptions),
    )


def _subscriptions(document: dict[str, Any]) -> list[dict[str, Any]]:
    listed = document.get("subscriptions")
    listed = listed if isinstance(listed, list) else []
    by_strategy = {s["strategyId"]: s for s in listed if isinstance(s, dict) and isinstance(s.get("strategyId"), str)}
    return list(by_strategy.values())


def _keep_subscriptions(
    database, backend: Connection, documents: list[dict], pk_of: dict[str, int], now: datetime
) -> None:
    rows = [
        (
            pk_of[document["_id"]],
            terms["strategyId"][:64],
            _ratio(terms.get("multiplier")),
            text_of(terms, "closeOnly")[:12],
            bool(terms.get("removed")),
            msgspec.json.encode(terms).decode(),
        )
        for document in documents
        for terms in _subscriptions(document)
    ]
    columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[]] * 6
    database.execute(
        "WITH kept AS (SELECT * FROM unnest(%s::bigint[], %s::text[], %s::float8[], %s::text[], %s::bool[],"
        " %s::jsonb[]) AS k (subscriber_id, strategy_backend_id, multiplier, close_only, is_removed, document)),"
        " upserted AS ("
        " INSERT INTO subscribers_subscription (subscriber_id, strategy_backend_id, multiplier, close_only, is_removed,"
        " document, strategy_id, first_seen_at) SELECT k.*, s.id, %s FROM kept k LEFT JOIN strategies_strategy s"
        " ON s.connection_id = %s AND s.backend_id = k.strategy_backend_id"
        " ON CONFLICT (subscriber_id, strategy_backend_id) DO UPDATE SET multiplier = excluded.multiplier,"
        " close_only = excluded.close_only, is_removed = excluded.is_removed, document = excluded.document,"
        " strategy_id = excluded.strategy_id)"
        " UPDATE subscribers_subscription gone SET is_removed = true"
        " WHERE gone.subscriber_id = ANY(%s) AND NOT gone.is_removed AND NOT EXISTS (SELECT FROM kept k"
        " WHERE k.subscriber_id = gone.subscriber_id AND k.strategy_backend_id = gone.strategy_backend_id)",
        [*columns, now, backend.pk, list(pk_of.values())],
    )


def _ratio(multiplier: Any) -> float:
    return float(multiplier) if isinstance(multiplier, int | float) else 1.0


def link_subscriptions(backend: Connection) -> int:
    """Join subscriptions and stopouts to strategies that were mirrored after them."""
    with connection.cursor() as database:
        database.execute(
            "UPDATE subscribers_subscription b SET strategy_id = s.id"
            " FROM strategies_strategy s, subscribers_subscriber u"
            " WHERE b.strategy_id IS NULL AND u.id = b.subscriber_id AND u.connection_id = %s"
            " AND s.connection_id = u.connection_id AND s.backend_id = b.strategy_backend_id",
            [backend.pk],
        )
        linked = database.rowcount
        database.execute(
            "UPDATE subscribers_stopout b SET strategy_id = s.id FROM strategies_strategy s"
            " WHERE b.strategy_id IS NULL AND b.connection_id = %s AND s.connection_id = b.connection_id"
            " AND s.backend_id = b.strategy_backend_id",
            [backend.pk],
        )
        return linked + database.rowcount


# ---------------------------------------------------------------------------------------------------------- stopouts


def keep_stopouts(backend: Connection, documents: list[dict[str, Any]], *, now: datetime) -> int:
    """Insert or change stopouts (fields as in 3.13, with subscriberId); returns how many rows differ now.

    A stopout of an account that is not mirrored yet makes a row for the account, which its document fills in later.
    """
    rows = list({row[:4]: row for row in map(_stopout_row, documents) if row}.values())
    if not rows:
        return 0
    with connection.cursor() as database:
        database.execute(
            "INSERT INTO subscribers_subscriber (workspace_id, connection_id, backend_id, name, document, revision,"
            " is_removed, close_only, first_seen_at, synced_at, currency, subscription_count)"
            " SELECT DISTINCT %s, %s::bigint, a, a, '{}'::jsonb, '', true, '', %s::timestamptz, %s::timestamptz, '', 0"
            " FROM unnest(%s::text[]) a ON CONFLICT (connection_id, backend_id) DO NOTHING",
            [backend.workspace_id, backend.pk, now, now, [row[0] for row in rows]],
        )
        database.execute(
            "INSERT INTO subscribers_stopout AS o (workspace_id, connection_id, subscriber_id, strategy_id,"
            " strategy_backend_id, reason, stopped_at, stopped_till, description, is_partial, close_positions,"
            " sequence_number, document)"
            " SELECT %s, %s, u.id, s.id, k.strategy_backend_id, k.reason, k.stopped_at, k.stopped_till, k.description,"
            " k.is_partial, k.close_positions, k.sequence_number, k.document FROM unnest(%s::text[], %s::text[],"
            " %s::text[], %s::timestamptz[], %s::timestamptz[], %s::text[], %s::bool[], %s::bool[], %s::bigint[],"
            " %s::jsonb[]) AS k (account_id, strategy_backend_id, reason, stopped_at, stopped_till, description,"
            " is_partial, close_positions, sequence_number, document)"
            " JOIN subscribers_subscriber u ON u.connection_id = %s AND u.backend_id = k.account_id"
            " LEFT JOIN strategies_strategy s ON s.connection_id = %s AND s.backend_id = k.strategy_backend_id"
            " ON CONFLICT (connection_id, subscriber_id, strategy_backend_id, reason, stopped_at) DO UPDATE"
            " SET stopped_till = excluded.stopped_till, description = excluded.description,"
            " is_partial = excluded.is_partial, close_positions = excluded.close_positions,"
            " sequence_number = coalesce(excluded.sequence_number, o.sequence_number), document = excluded.document"
            " WHERE o.document IS DISTINCT FROM excluded.document",
            [
                backend.workspace_id,
                backend.pk,
                *[list(column) for column in zip(*rows, strict=True)],
                backend.pk,
                backend.pk,
            ],
        )
        return database.rowcount


def _stopout_row(document: dict[str, Any]) -> tuple | None:
    if not isinstance(document.get("subscriberId"), str):
        return None
    strategy = document.get("strategy")
    number = document.get("sequenceNumber")
    return (
        document["subscriberId"],
        text_of(strategy, "id") if isinstance(strategy, dict) else "",
        text_of(document, "reason")[:60],
        text_of(document, "stoppedAt"),
        text_of(document, "stoppedTill"),
        text_of(document, "reasonDescription"),
        bool(document.get("partial")),
        bool(document.get("closePositions")),
        number if isinstance(number, int) else None,
        msgspec.json.encode(document).decode(),
    )


# ---------------------------------------------------------------------------------------------------------- balances


def keep_balances(backend: Connection, accounts: list[AccountInformation], *, now: datetime) -> int:
    """Note the newest balance, equity, margin and leverage of accounts; returns how many of them differ.

    Amounts are in each account's own currency; a name that no code of a currency has (USDT) is unknown, as its first
    letters would be another's. Where the account tells no code, what was entered by hand holds, or the code that it
    told after that. `now` stands for the moment where the backend tells none. Where nothing is other, only the time of
    the measurement is written, once a minute: every index of the table has an entry of each written row.
    """
    rows = [
        (
            a.account_id,
            a.currency,
            a.balance,
            a.equity,
            a.margin,
            plausible_leverage(a.leverage),
            a.time or now,
            a.simulated,
        )
        for a in {account.account_id: account for account in accounts}.values()
    ]
    if not rows:
        return 0
    with connection.cursor() as database:
        database.execute(
            _BALANCES,
            [*[list(column) for column in zip(*rows, strict=True)], backend.pk, MEASURED_EVERY.total_seconds()],
        )
        return sum(is_other for (is_other,) in database.fetchall())


_BALANCES = """
    WITH told AS (
        SELECT own.id, code.currency, k.balance, k.equity, k.margin, k.leverage, k.measured_at, k.is_simulated,
               own.measured_at AS measured_before,
               (own.currency, own.balance, own.equity, own.margin, own.leverage, own.is_simulated) IS DISTINCT FROM
               (code.currency, k.balance::numeric(24, 8), k.equity::numeric(24, 8), k.margin::numeric(24, 8),
                k.leverage::numeric(10, 2), k.is_simulated) AS is_other
        FROM unnest(%s::text[], %s::text[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[],
                    %s::timestamptz[], %s::boolean[])
             AS k (account_id, name, balance, equity, margin, leverage, measured_at, is_simulated)
        JOIN subscribers_subscriber own ON own.connection_id = %s AND own.backend_id = k.account_id
        LEFT JOIN subscribers_enteredcurrency entered ON entered.subscriber_id = own.id
        CROSS JOIN LATERAL (SELECT CASE
            WHEN length(k.name) = 3 THEN k.name
            WHEN entered.id IS NOT NULL THEN coalesce(nullif(entered.reported, ''), entered.currency)
            ELSE '' END AS currency) code
    )
    UPDATE subscribers_subscriber u
    SET currency = told.currency, balance = told.balance, equity = told.equity, margin = told.margin,
        leverage = told.leverage, measured_at = told.measured_at, is_simulated = told.is_simulated
    FROM told
    WHERE u.id = told.id AND (
        measured_before IS NULL OR is_other AND measured_before <= told.measured_at
        OR measured_before <= told.measured_at - make_interval(secs => %s))
    RETURNING is_other
"""
