"""The queue of jobs: rows of Job, claimed with a lease (leases.py), fair among workspaces.

Whoever had no turn for longest goes first, whatever it has waiting: a workspace with a hundred jobs takes its turns
with one that has a single one. A row whose holder died is claimed by the next worker once its lease has ended.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.db import connection
from psycopg.types.json import Jsonb

from jobs.kinds import KINDS, JobStep, Work
from jobs.leases import LEASE_S, LeaseLost, backoff_s

MOST_RUNNERS = 3  # of all workers together: the others are for the syncs
MOST_STANDING = 2  # of those: what people wait for finds one free

# what may be carried out now; an earlier job that has to come first, and what repeats by itself gives way to any
_DUE = """
    SELECT job.id FROM jobs_job job
    WHERE job.state IN ('queued', 'running') AND job.due_at <= clock_timestamp()
      AND (job.lease_until IS NULL OR job.lease_until < clock_timestamp()) AND job.kind = ANY(%(kinds)s)
      AND (NOT job.is_standing OR %(most_standing)s > (
          SELECT count(*) FROM jobs_job running WHERE running.is_standing AND running.lease_until >= clock_timestamp()))
      AND NOT EXISTS (
          SELECT FROM jobs_job other
          JOIN unnest(%(waiting)s::text[], %(first)s::text[]) AS rule (waiting, first) ON rule.first = other.kind
          WHERE rule.waiting = job.kind AND other.workspace_id = job.workspace_id
            AND other.state IN ('queued', 'running')
            AND (other.id < job.id OR (job.is_standing AND NOT other.is_standing)) AND other.id <> job.id)
"""
_IN_TURN = """
    ORDER BY (SELECT max(turn_at) FROM jobs_job own WHERE own.workspace_id = job.workspace_id) NULLS FIRST,
             job.is_standing, job.due_at, job.id
"""


def _rules() -> dict[str, Any]:
    """Parameters of _DUE: kinds that this process knows, and which wait for which."""
    pairs = [(kind.key, first) for kind in KINDS.values() for first in kind.waits_for]
    return {
        "kinds": list(KINDS),
        "most_standing": MOST_STANDING,
        "waiting": [waiting for waiting, _ in pairs],
        "first": [first for _, first in pairs],
    }


@dataclass(slots=True)
class JobLease:
    """The right to carry out one job until LEASE_S after the last renewal. attempts: at its next slice."""

    job_id: int
    token: uuid.UUID
    attempts: int

    def save(self, step: JobStep, repeats_after_s: float | None = None) -> bool:
        """Store a step, in the transaction of what the slice did; returns whether its end was asked for.

        A step with a result finishes the job and gives the lease back. Raises LeaseLost.
        """
        if step.result is not None:
            self._finish(step, repeats_after_s)
            return False
        rows = self._update(
            "cursor = coalesce(%(cursor)s, cursor), done = %(done)s, total = %(total)s, message = %(message)s,"
            " attempts = 0, lease_until = clock_timestamp() + make_interval(secs => %(lease)s)",
            **_values(step),
        )
        self.attempts = 1  # what comes now is the first try at the next slice
        return bool(rows[0][0])

    def _finish(self, step: JobStep, repeats_after_s: float | None) -> None:
        result = step.result
        assert result is not None
        state = "done" if repeats_after_s is None else "queued"
        shown = {"text": result.text, "href": result.href, **result.details}
        self._update(
            "cursor = coalesce(%(cursor)s, cursor), done = %(done)s, total = coalesce(%(total)s, total),"
            " state = %(state)s, message = %(text)s, result = %(result)s, file = %(file)s, attempts = 0,"
            " lease_token = NULL, lease_until = NULL, finished_at = clock_timestamp(),"
            " due_at = clock_timestamp() + make_interval(secs => %(pause)s)",
            **_values(step),
            state=state,
            text=result.text,
            result=Jsonb(shown),
            file=result.file,
            pause=repeats_after_s or 0,
        )

    def renew(self, work: Work) -> bool:
        """Keep it for longer and store the progress of a long slice; False: it is another worker's."""
        step = work.progress or JobStep()
        try:
            rows = self._update(
                "lease_until = clock_timestamp() + make_interval(secs => %(lease)s),"
                " done = CASE WHEN %(reported)s THEN %(done)s ELSE done END,"
                " total = CASE WHEN %(reported)s THEN %(total)s ELSE total END,"
                " message = CASE WHEN %(reported)s THEN %(message)s ELSE message END",
                **_values(step),
                reported=work.progress is not None,
            )
        except LeaseLost:
            return False
        if rows[0][0]:
            work.cancelled.set()
        return True

    def give_back(self, pause_s: float = 0.0) -> None:
        """The turn is over and more waits: due after the pause, behind the workspaces that wait already."""
        due_at = "clock_timestamp() + make_interval(secs => %(pause)s)"
        self._update(f"lease_token = NULL, lease_until = NULL, due_at = {due_at}", pause=pause_s)

    def cancel(self) -> None:
        """The end that was asked for: what is stored stays."""
        self._update(
            "state = 'cancelled', finished_at = clock_timestamp(), lease_token = NULL, lease_until = NULL, attempts = 0"
        )

    def fail(self, text: str) -> None:
        """It cannot be carried out."""
        self._update(
            "state = 'failed', message = %(text)s, finished_at = clock_timestamp(), lease_token = NULL,"
            " lease_until = NULL, attempts = %(attempts)s",
            text=text,
            attempts=self.attempts,
        )

    def try_later(self, text: str) -> None:
        """An error that may pass: due again after a growing pause."""
        self._update(
            "message = %(text)s, attempts = %(attempts)s, lease_token = NULL, lease_until = NULL,"
            " due_at = clock_timestamp() + make_interval(secs => %(pause)s)",
            text=text,
            attempts=self.attempts,
            pause=backoff_s(self.attempts),
        )

    def _update(self, assignments: str, **values: Any) -> list[tuple]:
        """Change the row as its holder. Raises LeaseLost when it is no longer."""
        with connection.cursor() as database:
            database.execute(
                f"UPDATE jobs_job SET {assignments} WHERE id = %(id)s AND lease_token = %(token)s"
                " RETURNING cancel_asked_at IS NOT NULL",
                {"lease": LEASE_S, **values, "id": self.job_id, "token": self.token},
            )
            rows = database.fetchall()
        if not rows:
            raise LeaseLost
        return rows


def _values(step: JobStep) -> dict[str, Any]:
    cursor = None if step.cursor is None else Jsonb(step.cursor)
    return {"cursor": cursor, "done": step.done, "total": step.total, "message": step.message}


def claim_due(job_id: int | None = None) -> JobLease | None:
    """Take the job whose workspace had no turn for longest, or `job_id` if it may be carried out now; or None."""
    token = uuid.uuid4()
    only = "AND job.id = %(only)s" if job_id is not None else ""
    with connection.cursor() as database:
        database.execute(
            "UPDATE jobs_job SET lease_token = %(token)s, state = 'running', attempts = attempts + 1,"
            " turn_at = clock_timestamp(), started_at = coalesce(started_at, clock_timestamp()),"
            " lease_until = clock_timestamp() + make_interval(secs => %(lease)s)"
            f" WHERE id = ({_DUE} {only} {_IN_TURN} LIMIT 1 FOR UPDATE OF job SKIP LOCKED) RETURNING id, attempts",
            {**_rules(), "token": token, "lease": LEASE_S, "only": job_id},
        )
        row = database.fetchone()
    return None if row is None else JobLease(row[0], token, row[1])


def count_startable() -> int:
    """How many more runners have something to do, next to those that are running."""
    with connection.cursor() as database:
        database.execute(
            f"SELECT (SELECT count(*) FROM ({_DUE}) due),"
            " (SELECT count(*) FROM jobs_job WHERE lease_until >= clock_timestamp())",
            _rules(),
        )
        due, running = database.fetchone()
    return max(0, min(int(due), MOST_RUNNERS - int(running)))
