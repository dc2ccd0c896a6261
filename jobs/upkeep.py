"""What keeps the rows of jobs in order: those that repeat exist, and what is over is removed."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection
from django.utils import timezone

from jobs import files
from jobs.kinds import KINDS
from jobs.models import UNFINISHED, Job
from users.models import Workspace

RESULT_STAYS = timedelta(days=3)
MOST_FILES = 50  # of one workspace
REMOVED = "Its file was removed: it is prepared anew when it is asked for again."


def ensure_standing() -> int:
    """One row for every kind that repeats in every workspace; returns how many were missing."""
    kinds = [kind for kind in KINDS.values() if kind.repeats_after_s is not None]
    with connection.cursor() as database:
        database.execute(
            "INSERT INTO jobs_job (workspace_id, kind, title, origin, key, parameters, cursor, state, is_standing,"
            " done, message, file, attempts, due_at, created_at)"
            " SELECT w.id, k.kind, k.title, '', 'standing:' || k.kind, '{}', '{}', 'queued', TRUE, 0, '', '', 0,"
            " clock_timestamp(), clock_timestamp()"
            " FROM users_workspace w CROSS JOIN unnest(%s::text[], %s::text[]) AS k (kind, title)"
            " WHERE NOT EXISTS (SELECT FROM jobs_job j WHERE j.workspace_id = w.id AND j.key = 'standing:' || k.kind)"
            " ON CONFLICT DO NOTHING",
            [[kind.key for kind in kinds], [kind.words for kind in kinds]],
        )
        return int(database.rowcount)


def clean(now: datetime) -> int:
    """Remove results that are old or too many, rows of finished jobs that are older, and files that no row names.

    Returns how many files were removed.
    """
    removed = 0
    for workspace in Workspace.objects.filter(jobs__in=Job.objects.exclude(file="")).distinct():
        with_file = Job.objects.filter(workspace=workspace).exclude(file="").order_by("-finished_at", "-pk")
        for place, job in enumerate(with_file):
            if place >= MOST_FILES or job.finished_at is None or job.finished_at <= now - RESULT_STAYS:
                removed += remove_file(job)
    for kind in KINDS.values():
        old = Job.objects.filter(kind=kind.key, finished_at__lte=now - kind.stays, file="", is_standing=False)
        old.exclude(state__in=UNFINISHED).delete()
    return removed + files.remove_strays(set(Job.objects.exclude(file="").values_list("file", flat=True)), now)


def remove_file(job: Job) -> int:
    """Remove a result: first the row says that it is gone, so that no page offers what is not there."""
    name = job.file
    Job.objects.filter(pk=job.pk, file=name).update(file="", message=REMOVED)
    return files.remove(name)


def clean_now() -> int:
    """The same for the clock of the background work."""
    return clean(timezone.now())
