"""The standing job that removes what is older than its workspace keeps it (reporting/retention.py), in slices."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.db import connection, transaction

from jobs.kinds import JobKind, JobStep, Result, Work, nobody, register, staff
from reporting.retention import RecordKind, Retention

SLICE_ROWS = 5_000
REPEATS_AFTER_S = 1_800.0
TABLES = {RecordKind.DECISIONS: "reporting_decision", RecordKind.LOG: "reporting_logrecord"}


def slices(work: Work) -> Iterator[JobStep]:
    """Remove what is older than its workspace keeps, some thousand rows a slice, oldest first."""
    removed = 0
    for row in Retention.objects.filter(workspace_id=work.job.workspace_id).order_by("kind"):
        while number := remove_slice(row.pk, now=work.now):
            removed += number
            yield JobStep(done=removed, message=f"{RecordKind(row.kind).label} that are old are removed.")
    yield JobStep(done=removed, result=Result("Nothing is older than it is kept."))


def remove_slice(pk: int, *, now: datetime, most: int = SLICE_ROWS) -> int:
    """Remove the oldest rows that are not kept any more; returns how many. The limit is stored before a row goes."""
    with transaction.atomic():
        row = Retention.objects.select_for_update().get(pk=pk)
        row.settle(now)
        cutoff = row.cutoff(now)
        number = 0
        if cutoff is not None:
            row.kept_from = cutoff
            number = _remove(TABLES[RecordKind(row.kind)], row.workspace_id, cutoff, most)
            row.removed += number
        row.save()
    return number


def _remove(table: str, workspace_id: int, before: datetime, most: int) -> int:
    """What belongs to a signal that is still open stays: pages tell from it which copies are missing, and why."""
    still_open = "SELECT FROM reporting_opentrade o WHERE o.connection_id = r.connection_id AND o.signal_id = r."
    still_open += "signal_id" if table == TABLES[RecordKind.DECISIONS] else "position_id"
    with connection.cursor() as database:
        database.execute(
            f"DELETE FROM {table} WHERE id = ANY(ARRAY(SELECT id FROM {table} r WHERE workspace_id = %s AND time < %s"
            f" AND NOT EXISTS ({still_open}) ORDER BY workspace_id, time, id LIMIT %s))",
            [workspace_id, before, most],
        )
        return int(database.rowcount)


REMOVAL = register(
    JobKind(
        key="retention",
        words="Removal of old records",
        unit="rows",
        slices=slices,
        may_see=staff,
        may_ask=nobody,
        repeats_after_s=REPEATS_AFTER_S,
    )
)
