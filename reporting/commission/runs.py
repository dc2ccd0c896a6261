"""Who accrues when: one run per workspace at a time, in turns. The row of AccrualRun is the queue, Celery the alarm.

A turn is some seconds of slices, each committed with the lease; then the others have theirs. Whoever finds nothing to
claim goes home at once, so a long history keeps at most one worker busy. A lease whose holder died is taken over after
LEASE_S; a holder that was only slow learns it at its next slice, whose rows are dropped then.
"""

from __future__ import annotations

import time
import uuid
from collections import deque
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db import InterfaceError, OperationalError, connection, transaction
from django.utils import timezone

from reporting.commission.services import Bounds, Run, accrue_slice, due_accounts
from reporting.commission.sources import Account

log = structlog.get_logger(__name__)

LEASE_S = 30
PAUSE_S = 15  # fees follow the deals within the time that a person needs to open the page
TURN_S = 4.0
BUDGET_S = 8.0
SLICE = Bounds()
MOST_RUNNERS = 2  # of all workers together: the others are for the syncs


class LeaseLost(Exception):
    """Another worker took over; what is not committed must be dropped."""


@dataclass(slots=True)
class Turn:
    """The right to accrue one workspace until LEASE_S after the last slice. position: see AccrualRun."""

    workspace_id: int
    token: uuid.UUID
    position: str

    def keep(self, position: str) -> None:
        """Renew the lease and note how far it is, in the transaction of a slice. Raises LeaseLost."""
        with connection.cursor() as database:
            database.execute(
                "UPDATE reporting_accrualrun SET position = %s,"
                " lease_until = clock_timestamp() + make_interval(secs => %s)"
                " WHERE workspace_id = %s AND lease_token = %s",
                [position, LEASE_S, self.workspace_id, self.token],
            )
            if database.rowcount == 0:
                raise LeaseLost
        self.position = position

    def end(self, *, is_finished: bool, error: str = "") -> None:
        """Give the lease back. Not finished: due again at once, behind the workspaces that wait already."""
        with connection.cursor() as database:
            database.execute(
                "UPDATE reporting_accrualrun SET lease_token = NULL, lease_until = NULL, error = %(error)s,"
                " finished_at = CASE WHEN %(finished)s THEN clock_timestamp() ELSE finished_at END,"
                " due_at = clock_timestamp() + make_interval(secs => %(pause)s)"
                " WHERE workspace_id = %(workspace)s AND lease_token = %(token)s",
                {
                    "error": error,
                    "finished": is_finished,
                    "pause": PAUSE_S if is_finished else 0,
                    "workspace": self.workspace_id,
                    "token": self.token,
                },
            )


def ensure_runs() -> int:
    """One row per workspace; returns how many were missing."""
    with connection.cursor() as database:
        database.execute(
            "INSERT INTO reporting_accrualrun (workspace_id, due_at) SELECT id, clock_timestamp() FROM users_workspace"
            " WHERE id NOT IN (SELECT workspace_id FROM reporting_accrualrun) ON CONFLICT DO NOTHING"
        )
        return int(database.rowcount)


_DUE = """
    SELECT workspace_id FROM reporting_accrualrun
    WHERE due_at <= clock_timestamp() AND (lease_until IS NULL OR lease_until < clock_timestamp())
    ORDER BY due_at
"""


def count_startable() -> int:
    """How many more runners have something to do, next to those that are running."""
    with connection.cursor() as database:
        database.execute(
            f"SELECT (SELECT count(*) FROM ({_DUE}) due),"
            " (SELECT count(*) FROM reporting_accrualrun WHERE lease_until >= clock_timestamp())"
        )
        due, running = database.fetchone()
    return max(0, min(int(due), MOST_RUNNERS - int(running)))


def claim_due() -> Turn | None:
    """Take the workspace that waits longest and that nobody accrues, or None."""
    token = uuid.uuid4()
    with connection.cursor() as database:
        database.execute(
            "UPDATE reporting_accrualrun SET lease_token = %s, started_at = clock_timestamp(),"
            " lease_until = clock_timestamp() + make_interval(secs => %s)"
            f" WHERE workspace_id = ({_DUE} LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING workspace_id, position",
            [token, LEASE_S],
        )
        row = database.fetchone()
    return None if row is None else Turn(row[0], token, row[1])


def run_due(*, budget_s: float = BUDGET_S, bounds: Bounds = SLICE) -> int:
    """Give workspaces their turns until none is due or the time is up; returns how many turns there were."""
    ensure_runs()
    stop_at, turns = time.monotonic() + budget_s, 0
    while time.monotonic() < stop_at:
        turn = claim_due()
        if turn is None:
            break
        run_turn(turn, now=timezone.now(), stop_at=min(stop_at, time.monotonic() + TURN_S), bounds=bounds)
        turns += 1
    return turns


def run_turn(turn: Turn, *, now: datetime, stop_at: float, bounds: Bounds = SLICE) -> None:
    """Slices of one workspace until nothing is left or it is `stop_at` (monotonic), at least one.

    One strategy's trouble does not stop the others: it is logged, kept in the row and tried again.
    """
    waiting, error = _in_order(turn, now), ""
    try:
        while waiting:
            name, account, run = waiting.popleft()
            try:
                with transaction.atomic():
                    _, more = accrue_slice(account, run, bounds, waits=False)
                    turn.keep(name)
            except (LeaseLost, OperationalError, InterfaceError):
                raise
            except Exception:
                log.exception("accrual failed", workspace=turn.workspace_id, strategy=account.strategy_id)
                error, more = f"The commission of {account.strategy_id} met an error; the worker's log names it.", False
            if more:
                waiting.append((name, account, run))  # behind the other strategies
            if time.monotonic() >= stop_at:
                break
        turn.end(is_finished=not waiting, error=error)
    except LeaseLost:
        log.info("accrual taken over", workspace=turn.workspace_id)


def _in_order(turn: Turn, now: datetime) -> deque[tuple[str, Account, Run]]:
    """(name, account, run) of all that is due, beginning behind the one that had the last slice."""
    named = [
        (f"{each.connection_id:012}:{each.strategy_id}", each, run)
        for each, run in due_accounts(turn.workspace_id, now)
    ]
    named.sort(key=lambda entry: (entry[0] <= turn.position, entry[0]))
    return deque(named)
