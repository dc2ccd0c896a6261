"""Looking back over a long history as a job: what a page cannot wait for goes on, and is there on the next look."""

from __future__ import annotations

from collections.abc import Iterator

from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.urls import reverse
from django.utils import timezone

from editing.models import Change
from editing.what_if import WhatIf, simulate
from jobs.kinds import JobKind, JobRefused, JobStep, Result, Work, register
from jobs.models import Job
from jobs.services import ask
from users.models import Membership
from users.permissions import can_manage

KEPT_S = 3_600
PATIENCE = {"timeout_s": 30, "extended_timeout_s": 90, "retries": 0, "wait_budget_s": 30}


def summary_key(change_id: int) -> str:
    """Where the answer is in the cache."""
    return f"review-what-if:{change_id}"


def slices(work: Work) -> Iterator[JobStep]:
    """One call of the backend; what it answers is kept for the review."""
    own = Change.objects.filter(workspace=work.job.workspace, pk=work.job.parameters["change"])
    change = own.select_related("connection").first()
    if change is None:
        raise JobRefused("The change was discarded meanwhile: there is nothing to look back for.")
    work.report(0, None, "The backend decides the signals of the last days again.")
    try:
        with change.connection.client(**PATIENCE) as client:
            summary = simulate(change, client=client, now=work.now)
    except ImproperlyConfigured as error:
        raise JobRefused(str(error)) from error
    cache.set(summary_key(change.pk), summary, KEPT_S)
    yield JobStep(result=Result(in_short(summary), href=reverse("editing:change", args=[change.pk])))


def in_short(summary: WhatIf) -> str:
    """The answer in a sentence."""
    if summary.problem:
        return summary.problem
    copies = "1 copy" if summary.differs == 1 else f"{summary.differs} copies"
    signals = "1 signal" if summary.signals == 1 else f"{summary.signals} signals"
    return f"{copies} of {signals} of the last {summary.days} days would have been decided otherwise."


def newest_job(change: Change) -> Job | None:
    """The last looking back for this change, finished or not."""
    jobs = Job.objects.filter(workspace=change.workspace_id, kind=LOOKING_BACK.key, parameters__change=change.pk)
    return jobs.order_by("-pk").first()


def ask_for(change: Change, membership: Membership, *, before: Job | None) -> Job:
    """Have it done in the background. before: the last job for the change; two looks at once ask for one."""
    return ask(
        LOOKING_BACK.key,
        membership,
        title=change.name,
        parameters={"change": change.pk},
        origin=reverse("editing:change", args=[change.pk]),
        key=f"{change.pk}-{before.pk if before else 0}",
        now=timezone.now(),
    )


LOOKING_BACK = register(
    JobKind(
        key="looking-back",
        words="Looking back before a save",
        unit="signals",
        slices=slices,
        may_see=can_manage,
        may_ask=can_manage,
        is_stored_by_slice=False,
        most_attempts=2,
    )
)
