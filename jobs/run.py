"""Carries jobs out, in turns of some seconds: slices of one, each stored with the lease, then the others have theirs.

Whoever finds nothing to claim goes home at once. A worker that was killed has stored whole slices only; one that was
merely slow learns at its next slice that another has taken over, and that slice is dropped.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import nullcontext

import structlog
from django.db import transaction
from django.utils import timezone

from jobs.kinds import KINDS, CancelAsked, JobKind, JobRefused, JobStep, Result, Work
from jobs.leases import LeaseLost, heartbeat
from jobs.models import Job
from jobs.queue import JobLease, claim_due
from users.models import Membership

log = structlog.get_logger(__name__)

TURN_S = 4.0
BUDGET_S = 8.0
NO_LONGER_ALLOWED = "Not carried out: whoever asked for it may not do this any more."
UNKNOWN_ERROR = "It met an error; the worker's log names it."


def run_due(*, budget_s: float = BUDGET_S, turn_s: float = TURN_S) -> int:
    """Give jobs their turns until none is due or the time is up; returns how many turns there were."""
    stop_at, turns = time.monotonic() + budget_s, 0
    while time.monotonic() < stop_at:
        lease = claim_due()
        if lease is None:
            break
        run_turn(lease, stop_at=min(stop_at, time.monotonic() + turn_s))
        turns += 1
    return turns


def run_turn(lease: JobLease, *, stop_at: float) -> None:
    """Slices of one job until it is finished, cancelled, or it is `stop_at` (monotonic); at least one."""
    job = Job.objects.select_related("workspace", "asked_by").get(pk=lease.job_id)
    kind, work = KINDS[job.kind], Work(job, _membership(job), timezone.now())
    if work.membership is None and job.asked_by is None and kind.member_of is not None:
        work.membership = kind.member_of(job)
    try:
        if job.cancel_asked_at is not None:
            lease.cancel()
            return
        if not job.is_standing and (work.membership is None or not kind.may_ask(work.membership)):
            raise JobRefused(NO_LONGER_ALLOWED)
        if lease.attempts > kind.most_attempts and not job.is_standing:
            raise JobRefused(f"Given up after {kind.most_attempts} tries. {job.message}".strip())
        with heartbeat(lambda: lease.renew(work), work.lost):
            _run_slices(kind, work, lease, stop_at)
    except LeaseLost:
        log.info("job taken over", job=job.pk, kind=job.kind)
    except CancelAsked:
        _as_holder(lease.cancel)
    except Exception as error:
        _after_error(error, job, lease, kind)


def _run_slices(kind: JobKind, work: Work, lease: JobLease, stop_at: float) -> None:
    steps = kind.slices(work)
    try:
        while True:
            step, is_cancelled = _run_slice(steps, kind, work, lease)
            if step.result is not None:
                return
            if is_cancelled:
                lease.cancel()
                return
            if step.pause_s or time.monotonic() >= stop_at:
                lease.give_back(step.pause_s)
                return
    finally:
        close = getattr(steps, "close", None)  # ends what a generator holds open: files, clients
        if close is not None:
            close()


def _run_slice(steps: Iterator[JobStep], kind: JobKind, work: Work, lease: JobLease) -> tuple[JobStep, bool]:
    """One slice and its step, stored together; a generator that ends without a result is finished."""
    with transaction.atomic() if kind.is_stored_by_slice else nullcontext():
        step = next(steps, None) or JobStep(result=Result("Done."))
        if work.lost.is_set():
            raise LeaseLost
        work.progress = None  # what is stored now is newer than what the slice reported
        return step, lease.save(step, kind.repeats_after_s)


def _membership(job: Job) -> Membership | None:
    """Of whoever asked, with the role of now; None: nobody did, or they left."""
    if job.asked_by is None or not job.asked_by.is_active:
        return None
    own = Membership.objects.filter(workspace_id=job.workspace_id, user=job.asked_by, deactivated_at=None)
    members = list(own.select_related("workspace", "user").order_by("id"))
    return next((member for member in members if member.is_staff_role), members[0] if members else None)


def _after_error(error: Exception, job: Job, lease: JobLease, kind: JobKind) -> None:
    """What cannot succeed fails with its sentence; anything else is tried again after a pause, so many times."""
    text = str(getattr(error, "text", "")) or UNKNOWN_ERROR
    is_final = not getattr(error, "transient", True) or lease.attempts >= kind.most_attempts
    if not isinstance(error, JobRefused):
        log.exception("job met an error", job=job.pk, kind=job.kind, workspace=job.workspace_id, attempt=lease.attempts)
    _as_holder(lambda: lease.fail(text) if is_final and not job.is_standing else lease.try_later(text))


def _as_holder(act) -> None:
    """Do what only the holder may; whoever is it no longer leaves it to the new one."""
    try:
        act()
    except LeaseLost:
        log.info("job taken over")
