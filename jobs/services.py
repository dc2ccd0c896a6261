"""What people do with jobs: ask for one, end it, try it again; and what cleans up after them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerDown

from jobs import files
from jobs.kinds import KINDS
from jobs.models import UNFINISHED, Job, JobState
from users.models import Membership, User, Workspace
from users.services import record_audit

MOST_UNFINISHED = 10  # of one person in one workspace
RESULT_STAYS = timedelta(days=3)
MOST_FILES = 50  # of one workspace
REMOVED = "Its file was removed: it is prepared anew when it is asked for again."


class TooMany(Exception):
    """A person has asked for so much that nothing more is taken.

    text: a sentence for the person.
    """

    text = f"Not started: {MOST_UNFINISHED} jobs of yours are not finished yet. Wait for one, or cancel it under Jobs."


def ask(
    kind: str,
    membership: Membership,
    *,
    title: str,
    parameters: Mapping[str, Any] | None = None,
    origin: str = "",
    key: str = "",
    now: datetime,
    wakes: bool = True,
) -> Job:
    """Put a job into the queue and wake a worker. With the key of a job that exists: that one. Raises TooMany.

    A key belongs to the person: somebody else's never names one's job. wakes: False for whoever begins with it
    (run.run_now), so that no worker takes it from under the request that waits for it.
    """
    if not KINDS[kind].may_ask(membership):
        raise ValueError(f"{membership} may not ask for {kind}; the view has to check it.")
    named = f"{kind}:{membership.user_id}:{key}"[:120] if key else ""
    with transaction.atomic():
        if named and (job := Job.objects.filter(workspace_id=membership.workspace_id, key=named).first()):
            return job
        own = Job.objects.filter(workspace_id=membership.workspace_id, asked_by_id=membership.user_id).unfinished()
        if own.count() >= MOST_UNFINISHED:
            raise TooMany
        values = {
            "kind": kind, "title": title[:200], "asked_by_id": membership.user_id, "origin": origin[:500],
            "parameters": dict(parameters or {}), "due_at": now, "created_at": now,
        }  # fmt: skip
        if named:
            job, _ = Job.objects.get_or_create(workspace_id=membership.workspace_id, key=named, defaults=values)
        else:
            job = Job.objects.create(workspace_id=membership.workspace_id, **values)
        if wakes:
            transaction.on_commit(wake)
    return job


def wake() -> None:
    """Have a worker look at once. Without the broker the next sweep does, within seconds."""
    from jobs.tasks import RUNNER_EXPIRES_S, run_due_jobs

    try:
        run_due_jobs.apply_async(expires=RUNNER_EXPIRES_S, retry=False)
    except BrokerDown:
        return


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


@transaction.atomic
def cancel(job: Job, *, by: User, now: datetime) -> Job:
    """Ask for its end: at once where no worker has it, else after the slice that is under way."""
    locked = Job.objects.select_for_update().get(pk=job.pk)
    if not locked.is_unfinished or locked.is_standing or locked.cancel_asked_at is not None:
        return locked
    locked.cancel_asked_at, locked.cancel_asked_by = now, by
    if locked.lease_token is None:
        locked.state, locked.finished_at = JobState.CANCELLED, now
    locked.save(update_fields=["cancel_asked_at", "cancel_asked_by", "state", "finished_at"])
    record_audit(locked.workspace, user=by, action="job cancelled", subject=locked.title, now=now)
    return locked


@transaction.atomic
def try_again(job: Job, *, by: User, now: datetime) -> Job:
    """Put a job that failed or was cancelled into the queue again, in the name of whoever says so now.

    It goes on behind what it had stored.
    """
    locked = Job.objects.select_for_update().get(pk=job.pk)
    if locked.state not in (JobState.FAILED, JobState.CANCELLED):
        return locked
    locked.state, locked.attempts, locked.message, locked.due_at = JobState.QUEUED, 0, "", now
    locked.asked_by, locked.cancel_asked_at, locked.cancel_asked_by, locked.finished_at = by, None, None, None
    locked.answered_at = None
    locked.save()
    record_audit(locked.workspace, user=by, action="job tried again", subject=locked.title, now=now)
    transaction.on_commit(wake)
    return locked


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
