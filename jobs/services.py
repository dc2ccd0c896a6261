"""What people do with jobs: ask for one, end it, try it again."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerDown

from jobs.kinds import KINDS
from jobs.models import Job, JobState
from jobs.queue import claim_due
from jobs.run import run_turn
from jobs.tasks import RUNNER_EXPIRES_S, run_due_jobs
from users.models import Membership, User
from users.services import record_audit

MOST_UNFINISHED = 10  # of one person in one workspace


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
    (run_now), so that no worker takes it from under the request that waits for it.
    """
    if not KINDS[kind].may_ask(membership):
        raise ValueError(f"{membership} may not ask for {kind}; the view has to check it.")
    named = f"{kind}:{membership.user_id}:{key}"[:120] if key else ""
    with transaction.atomic():
        if named and (job := Job.objects.filter(workspace_id=membership.workspace_id, key=named).first()):
            return job
        own = Job.objects.filter(workspace_id=membership.workspace_id, asked_by_id=membership.user_id).unfinished()
        own = own.filter(is_standing=False)
        if own.count() >= MOST_UNFINISHED:
            raise TooMany
        values = {
            "kind": kind,
            "title": title[:200],
            "asked_by_id": membership.user_id,
            "origin": origin[:500],
            "parameters": dict(parameters or {}),
            "due_at": now,
            "created_at": now,
        }
        if named:
            job, _ = Job.objects.get_or_create(workspace_id=membership.workspace_id, key=named, defaults=values)
        else:
            job = Job.objects.create(workspace_id=membership.workspace_id, **values)
        if wakes:
            transaction.on_commit(wake)
    return job


def wake() -> None:
    """Have a worker look at once. Without the broker the next sweep does, within seconds."""
    try:
        run_due_jobs.apply_async(expires=RUNNER_EXPIRES_S, retry=False)
    except BrokerDown:
        return


def run_now(job: Job, *, patience_s: float) -> Job:
    """Carry out the slices of a job that fit into so many seconds, in the request that asked for it.

    A small job is done when its page is answered, which says so, and the live line of that page does not say it again;
    the workers go on with a large one. Returns the job as it is then.
    """
    stop_at = time.monotonic() + patience_s
    lease = claim_due(job.pk)
    if lease is not None:
        run_turn(lease, stop_at=stop_at)
    job = Job.objects.select_related("asked_by", "workspace").get(pk=job.pk)
    if job.is_unfinished:
        wake()
    else:
        job.answered_at = timezone.now()
        job.save(update_fields=["answered_at"])
    return job


@transaction.atomic
def cancel(job: Job, *, by: User | None, now: datetime) -> Job:
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
