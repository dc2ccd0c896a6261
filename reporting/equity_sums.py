"""Keeps the sums of equity right: when points come, and when accounts begin or cease to copy a strategy.

A point changes what it and the one behind it add to the sums of every group that its account is part of, and nothing
else: what these accounts add from the first new point on is read before and after the points are stored, and the
difference is booked, in the database transaction of the points. Whoever joins a group brings a whole past along and
takes it away when leaving. One at a time writes to a connection's sums (advisory lock).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection as database
from django.db import transaction

from reporting.models import SyncKind, SyncState
from users.models import Connection

Key = tuple[str, str, datetime]  # strategy, currency, where the hour or day begins
Amount = tuple[Decimal, Decimal, int]  # change, moved, points
Amounts = dict[Key, Amount]
NOTHING: Amount = (Decimal(0), Decimal(0), 0)
LOCK = 7311
CURSOR_KEY = "sums"  # in the cursor of the sync that stores points: its connection's sums are complete
SLICE = 50  # accounts that join or leave in one transaction
BUDGET_S = 20.0

# What accounts add to the sums from `since` on. Of all accounts by hour, from one point to the next; of a strategy's
# followers by UTC day, from the last point of a day to that of the next, as its returns are read. Points that were
# measured in another currency than the group's are no part of it.
_ADDED = """
WITH members AS ({members}), touched AS (
    SELECT DISTINCT account_id, {since} AS since, m.currency
    FROM unnest(%(accounts)s::text[], %(since)s::timestamptz[]) AS t (account_id, since)
    JOIN members m USING (account_id)
), points AS (
    SELECT p.account_id, t.currency, p.time, p.equity, p.net_deposits, t.since
    FROM touched t JOIN reporting_equitypoint p ON p.connection_id = %(connection)s AND p.account_id = t.account_id
     AND p.currency IN ('', t.currency) AND p.time >= coalesce((
         SELECT max(earlier.time) FROM reporting_equitypoint earlier
         WHERE earlier.connection_id = %(connection)s AND earlier.account_id = t.account_id AND earlier.time < t.since
           AND earlier.currency IN ('', t.currency)
     ), t.since)
), last_points AS ({points}), steps AS (
    SELECT account_id, currency, time, since, equity - coalesce(lag(equity) OVER account, 0) AS change,
           CASE WHEN lag(equity) OVER account IS NULL THEN equity
                ELSE coalesce(net_deposits - lag(net_deposits) OVER account, 0) END AS moved
    FROM last_points WINDOW account AS (PARTITION BY account_id, currency ORDER BY time)
)
SELECT m.strategy_id, m.currency, date_trunc('{unit}', s.time, 'UTC') AS begins, sum(s.change), sum(s.moved), count(*)
FROM steps s JOIN members m USING (account_id, currency)
WHERE s.time >= s.since GROUP BY 1, 2, 3
"""
_EVERY_POINT = "SELECT * FROM points"
_LAST_OF_DAYS = """
    SELECT DISTINCT ON (account_id, currency, date_trunc('day', time, 'UTC'))
           account_id, currency, time, equity, net_deposits, since
    FROM points ORDER BY account_id, currency, date_trunc('day', time, 'UTC'), time DESC
"""
_KNOWN = """
    SELECT account_id, strategy_id, currency FROM reporting_equitymember
    WHERE connection_id = %(connection)s AND account_id = ANY(%(accounts)s) AND strategy_id {which} ''
"""
_NAMED = """
    SELECT * FROM unnest(%(members)s::text[], %(strategies)s::text[], %(currencies)s::text[])
    AS n (account_id, strategy_id, currency) WHERE strategy_id {which} ''
"""
_BOOK = """
INSERT INTO reporting_equitysum AS s (connection_id, strategy_id, currency, time, change, moved, points)
SELECT %s, * FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::numeric[], %s::numeric[], %s::int[])
ON CONFLICT (connection_id, strategy_id, currency, time) DO UPDATE
SET change = s.change + excluded.change, moved = s.moved + excluded.moved, points = s.points + excluded.points
"""
_NOTE_POINTS = """
UPDATE reporting_equitymember m
SET first_at = least(m.first_at, t.first_at), has_deposits = m.has_deposits OR t.has_deposits
FROM unnest(%s::text[], %s::timestamptz[], %s::bool[]) AS t (account_id, first_at, has_deposits)
WHERE m.connection_id = %s AND m.account_id = t.account_id
  AND (m.first_at IS NULL OR m.first_at > t.first_at OR t.has_deposits AND NOT m.has_deposits)
"""
_NOTE_BEGINNING = """
UPDATE reporting_equitymember m SET first_at = own.first_at, has_deposits = own.has_deposits
FROM reporting_equitymember t CROSS JOIN LATERAL (
    SELECT min(p.time) AS first_at, count(p.net_deposits) > 0 AS has_deposits FROM reporting_equitypoint p
    WHERE p.connection_id = %(connection)s AND p.account_id = t.account_id AND p.currency IN ('', t.currency)
) own
WHERE t.connection_id = %(connection)s AND t.account_id = ANY(%(accounts)s::text[]) AND m.id = t.id
  AND (m.first_at, m.has_deposits) IS DISTINCT FROM (own.first_at, own.has_deposits)
"""
# who is counted otherwise than they should be: (account, strategy, currency now or null, currency wanted or null)
_DIFFERING = """
WITH wanted AS (
    SELECT backend_id AS account_id, '' AS strategy_id, currency FROM subscribers_subscriber
    WHERE connection_id = %(connection)s AND currency <> ''
    UNION ALL
    SELECT u.backend_id, b.strategy_backend_id, u.currency
    FROM subscribers_subscription b JOIN subscribers_subscriber u ON u.id = b.subscriber_id
    WHERE u.connection_id = %(connection)s AND NOT b.is_removed AND u.currency <> '' AND b.strategy_backend_id <> ''
), known AS (
    SELECT account_id, strategy_id, currency FROM reporting_equitymember WHERE connection_id = %(connection)s
)
SELECT account_id, strategy_id, known.currency, wanted.currency
FROM wanted FULL JOIN known USING (account_id, strategy_id)
WHERE wanted.currency IS DISTINCT FROM known.currency
ORDER BY account_id, strategy_id LIMIT %(most)s
"""
_JOIN = """
INSERT INTO reporting_equitymember (connection_id, account_id, strategy_id, currency, has_deposits)
SELECT %s, *, false FROM unnest(%s::text[], %s::text[], %s::text[])
ON CONFLICT (connection_id, account_id, strategy_id) DO UPDATE SET currency = excluded.currency
"""
_LEAVE = """
DELETE FROM reporting_equitymember m USING unnest(%s::text[], %s::text[]) AS gone (account_id, strategy_id)
WHERE m.connection_id = %s AND m.account_id = gone.account_id AND m.strategy_id = gone.strategy_id
"""


def _added(connection_id: int, since: dict[str, datetime | None], members: Sequence[tuple] | None = None) -> Amounts:
    """What accounts add to the sums of their groups from a moment on (None: everything).

    members: (account, strategy, currency) to count; None: those that are kept.
    """
    if not since:
        return {}
    columns = list(zip(*members, strict=True)) if members else [(), (), ()]
    names = ("members", "strategies", "currencies")
    parameters: dict[str, Any] = {
        "connection": connection_id,
        "accounts": list(since),
        "since": [moment or "-infinity" for moment in since.values()],
        **{name: list(column) for name, column in zip(names, columns, strict=True)},
    }
    amounts: Amounts = {}
    with database.cursor() as cursor:
        for which, unit, since_text, points in (
            ("=", "hour", "since", _EVERY_POINT),
            ("<>", "day", "date_trunc('day', since, 'UTC')", _LAST_OF_DAYS),
        ):
            chosen = (_KNOWN if members is None else _NAMED).format(which=which)
            cursor.execute(_ADDED.format(points=points, unit=unit, since=since_text, members=chosen), parameters)
            amounts |= {(row[0], row[1], row[2]): (row[3], row[4], row[5]) for row in cursor.fetchall()}
    return amounts


def _book(connection_id: int, amounts: Amounts) -> None:
    rows = [(*key, *amount) for key, amount in sorted(amounts.items()) if amount != NOTHING]
    if not rows:
        return
    with database.cursor() as cursor:
        cursor.execute(_BOOK, [connection_id, *map(list, zip(*rows, strict=True))])
        if any(row[-1] < 0 for row in rows):
            cursor.execute("DELETE FROM reporting_equitysum WHERE connection_id = %s AND points = 0", [connection_id])


def _difference(after: Amounts, before: Amounts) -> Amounts:
    pairs = {key: (after.get(key, NOTHING), before.get(key, NOTHING)) for key in after.keys() | before.keys()}
    return {key: (new[0] - old[0], new[1] - old[1], new[2] - old[2]) for key, (new, old) in pairs.items()}


def _lock(connection_id: int) -> None:
    with database.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK, connection_id])


@contextmanager
def booked(connection_id: int, points: Sequence[tuple]) -> Iterator[None]:
    """Book what the points that the block stores change. Call it in a transaction.

    points: (account, time, balance, equity, net deposits or None).
    """
    since: dict[str, Any] = {}
    tells_deposits: dict[str, bool] = {}
    for account_id, moment, _, _, net_deposits in points:
        since[account_id] = min(since.get(account_id, moment), moment)
        tells_deposits[account_id] = tells_deposits.get(account_id, False) or net_deposits is not None
    _lock(connection_id)
    before = _added(connection_id, since)
    yield
    _book(connection_id, _difference(_added(connection_id, since), before))
    with database.cursor() as cursor:
        columns = [list(since), list(since.values()), list(tells_deposits.values())]
        cursor.execute(_NOTE_POINTS, [*columns, connection_id])


def follow_members(backend: Connection, *, save: Callable[[], None], budget_s: float = BUDGET_S) -> bool:
    """Bring the groups to what the configuration says, some accounts a transaction; returns whether all are.

    save: keeps the caller's lease, and raises when it is lost.
    """
    stop_at = time.monotonic() + budget_s
    while time.monotonic() < stop_at:
        with transaction.atomic():
            _lock(backend.pk)
            with database.cursor() as cursor:
                cursor.execute(_DIFFERING, {"connection": backend.pk, "most": SLICE})
                rows = cursor.fetchall()
            if rows:
                _move(backend.pk, rows)
            save()
        if len(rows) < SLICE:
            return True
    return False


def _move(connection_id: int, rows: list[tuple]) -> None:
    """Take the past of accounts out of the sums that they were part of, and bring it into those that they belong to."""
    left = [(account, strategy, before) for account, strategy, before, _ in rows if before is not None]
    joined = [(account, strategy, wanted) for account, strategy, _, wanted in rows if wanted is not None]
    before = _added(connection_id, {account: None for account, *_ in left}, left)
    after = _added(connection_id, {account: None for account, *_ in joined}, joined)
    _book(connection_id, _difference(after, before))
    gone = [(account, strategy) for account, strategy, _, wanted in rows if wanted is None]
    with database.cursor() as cursor:
        if gone:
            cursor.execute(_LEAVE, [*map(list, zip(*gone, strict=True)), connection_id])
        if joined:
            cursor.execute(_JOIN, [connection_id, *map(list, zip(*joined, strict=True))])
            accounts = sorted({account for account, *_ in joined})
            cursor.execute(_NOTE_BEGINNING, {"connection": connection_id, "accounts": accounts})


def are_complete(connection_ids: Sequence[int]) -> bool:
    """Whether the sums of these connections hold everybody: soon after the first sync of a version that keeps them."""
    kinds = (SyncKind.EQUITY, SyncKind.ACCOUNTS)
    own = SyncState.objects.filter(connection_id__in=connection_ids, kind__in=kinds, cursor__has_key=CURSOR_KEY)
    return own.values("connection_id").distinct().count() == len(set(connection_ids))
