"""The queue of the sync: rows of SyncState, claimed with a lease that its holder renews and anybody may take over.

Leases are judged by the database's clock, so that workers with wrong clocks cannot both hold one. Whoever lost its
lease learns it from `Lease.save`, which raises LeaseLost and so takes back the rows of the same database transaction.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.utils import timezone
from psycopg.types.json import Jsonb

from jobs.leases import LEASE_S, LeaseLost, backoff_s, heartbeat
from reporting.models import SyncKind, SyncState
from users.models import Connection


@dataclass(frozen=True)
class SyncOutcome:
    """How a run ended: whether more waits, up to when the mirror is complete, and what could not be read.

    has_turns: one run looks at a part only, so that a run without news says nothing of the others. waits_s: accounts
    wait for their turn, which is when there are credits for it; None: nobody does.
    """

    more: bool = False
    complete_until: datetime | None = None
    error: str = ""
    next_in_s: float | None = None
    has_turns: bool = False
    waits_s: float | None = None


@dataclass
class Lease:
    """The right to run one sync until `LEASE_S` seconds after the last renewal."""

    state_id: int
    connection_id: int
    kind: str
    cursor: dict
    token: uuid.UUID
    failures: int
    idle_s: float = 0.0  # how long runs have brought nothing new
    rows: int = 0
    lost: threading.Event = field(default_factory=threading.Event)

    def save(self, *, rows: int = 0, complete_until: datetime | None = None) -> None:
        """Store the cursor and renew. Call it inside the transaction of the rows it stands for. Raises LeaseLost."""
        self.rows += rows
        values: list[Any] = [Jsonb(self.cursor), rows, complete_until, LEASE_S, self.state_id, self.token]
        with connection.cursor() as database:
            database.execute(
                "UPDATE reporting_syncstate SET cursor = %s, rows_total = rows_total + %s,"
                " complete_until = coalesce(%s, complete_until),"
                " lease_until = clock_timestamp() + make_interval(secs => %s)"
                " WHERE id = %s AND lease_token = %s",
                values,
            )
            if database.rowcount == 0:
                raise LeaseLost
        if self.lost.is_set():
            raise LeaseLost

    def _renew(self) -> bool:
        with connection.cursor() as database:
            database.execute(
                "UPDATE reporting_syncstate SET lease_until = clock_timestamp() + make_interval(secs => %s)"
                " WHERE id = %s AND lease_token = %s",
                [LEASE_S, self.state_id, self.token],
            )
            return database.rowcount == 1

    def kept_alive(self) -> AbstractContextManager[None]:
        """Renews in the background for as long as the process lives and the block runs."""
        return heartbeat(self._renew, self.lost)


def ensure_states() -> int:
    """One row for every kind of every connection; returns how many were missing."""
    kinds = [kind.value for kind in SyncKind]
    with connection.cursor() as database:
        database.execute(
            "INSERT INTO reporting_syncstate (connection_id, kind, cursor, due_at, failures, error, rows_last_run,"
            " rows_total) SELECT c.id, k, '{}', clock_timestamp(), 0, '', 0, 0"
            " FROM users_connection c CROSS JOIN unnest(%s::text[]) k ON CONFLICT (connection_id, kind) DO NOTHING",
            [kinds],
        )
        return database.rowcount


def count_due() -> int:
    """How many syncs wait for a worker."""
    with connection.cursor() as database:
        database.execute(f"SELECT count(*) FROM ({_DUE}) due")
        return database.fetchone()[0]


_DUE = """
    SELECT s.id FROM reporting_syncstate s JOIN users_connection c ON c.id = s.connection_id AND c.is_enabled
    WHERE s.due_at <= clock_timestamp() AND (s.held_until IS NULL OR s.held_until <= clock_timestamp())
        AND (s.lease_until IS NULL OR s.lease_until < clock_timestamp())
    ORDER BY s.due_at
"""


def claim_due() -> Lease | None:
    """Take the sync that waits longest and that nobody runs, or None."""
    token = uuid.uuid4()
    with connection.cursor() as database:
        database.execute(
            "UPDATE reporting_syncstate SET lease_token = %s, started_at = clock_timestamp(),"
            " lease_until = clock_timestamp() + make_interval(secs => %s)"
            f" WHERE id = ({_DUE} LIMIT 1 FOR UPDATE OF s SKIP LOCKED)"
            " RETURNING id, connection_id, kind, cursor::text, failures,"
            " coalesce(extract(epoch FROM clock_timestamp() - idle_since), 0)::float8",
            [token, LEASE_S],
        )
        row = database.fetchone()
    if row is None:
        return None
    state_id, connection_id, kind, cursor, failures, idle_s = row
    return Lease(state_id, connection_id, kind, json.loads(cursor), token, failures, idle_s)


def finish(lease: Lease, *, next_in_s: float, complete_until: datetime | None = None, error: str = "") -> None:
    """Record the truth of a run and give the lease back.

    error: the run went through but could not read everything; it counts as failing since the first such run.
    """
    values: dict[str, Any] = {
        "cursor": Jsonb(lease.cursor),
        "error": error,
        "rows": lease.rows,
        "complete": complete_until,
        "pause": timedelta(seconds=next_in_s),
        "id": lease.state_id,
        "token": lease.token,
    }
    with connection.cursor() as database:
        database.execute(
            "UPDATE reporting_syncstate SET lease_token = NULL, lease_until = NULL, cursor = %(cursor)s, failures = 0,"
            " error = %(error)s, rows_last_run = %(rows)s,"
            " failing_since = CASE WHEN %(error)s = '' THEN NULL ELSE coalesce(failing_since, clock_timestamp()) END,"
            " last_success_at = CASE WHEN %(error)s = '' THEN clock_timestamp() ELSE last_success_at END,"
            " complete_until = coalesce(%(complete)s, complete_until),"
            " idle_since = CASE WHEN %(rows)s > 0 THEN NULL ELSE coalesce(idle_since, clock_timestamp()) END,"
            # asked for while it ran: stays due
            " due_at = CASE WHEN due_at > started_at THEN due_at ELSE clock_timestamp() + %(pause)s END"
            " WHERE id = %(id)s AND lease_token = %(token)s",
            values,
        )


def wake_failing(connection_id: int) -> int:
    """The backend answers again: what waits after failures, or long after a slow run, is due now; returns how many."""
    with connection.cursor() as database:
        database.execute(
            "UPDATE reporting_syncstate SET due_at = clock_timestamp() WHERE connection_id = %s AND lease_token IS NULL"
            " AND due_at > clock_timestamp() + CASE WHEN failures > 0 THEN interval '0' ELSE interval '1 minute' END",
            [connection_id],
        )
        return database.rowcount


def wake_resting(connection_id: int, paces: dict[str, float]) -> int:
    """Something happened: kinds that rest because nothing came have their next run at their pace; returns how many.

    paces: seconds from one run to the next, by kind. What is not offered, or waits after failures, stays as it is.
    """
    with connection.cursor() as database:
        database.execute(
            "UPDATE reporting_syncstate s SET idle_since = NULL,"
            " due_at = least(s.due_at, greatest(clock_timestamp(), s.started_at + make_interval(secs => pace.seconds)))"
            " FROM unnest(%s::text[], %s::float8[]) AS pace (kind, seconds)"
            " WHERE s.connection_id = %s AND s.kind = pace.kind AND s.idle_since IS NOT NULL AND s.lease_token IS NULL"
            " AND s.failures = 0 AND NOT s.cursor ? 'is_offered'",
            [list(paces), list(paces.values()), connection_id],
        )
        return database.rowcount


def fail(lease: Lease, *, error: str) -> None:
    """Record a failure; the next try follows after a growing pause with jitter."""
    with connection.cursor() as database:
        database.execute(
            "UPDATE reporting_syncstate SET lease_token = NULL, lease_until = NULL, failures = failures + 1,"
            " error = %s, failing_since = coalesce(failing_since, clock_timestamp()), rows_last_run = %s,"
            " due_at = clock_timestamp() + make_interval(secs => %s) WHERE id = %s AND lease_token = %s",
            [error, lease.rows, backoff_s(lease.failures + 1), lease.state_id, lease.token],
        )


def hold_back(connection_id: int, *, until: datetime, kinds: Collection[str] = ()) -> None:
    """Start nothing of this connection before `until`, whoever asks: the backend said that it is asked too often.

    kinds: only these; none: all.
    """
    states = SyncState.objects.filter(connection_id=connection_id)
    (states.filter(kind__in=kinds) if kinds else states).update(held_until=until)


def request_sync(backend: Connection, kinds: Sequence[str] | None = None, *, now: datetime | None = None) -> int:
    """Make these kinds (all when None) of a connection due at once; returns how many.

    `now`: the time to become due; by default the present.
    """
    ensure_states()
    states = SyncState.objects.filter(connection=backend)
    states = states.filter(kind__in=kinds) if kinds else states
    return states.update(due_at=now or timezone.now())
