"""Has the books' long work done: as a job, whose first slices are carried out before the page is answered."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.utils import timezone

from jobs.models import Job, JobState
from jobs.services import TooMany, ask, run_now
from reporting.commission.approving import nobody_else, request_run
from users.once import FIELD
from users.requests import MemberRequest

PATIENCE_S = 2.0  # what a person waits for one click; the workers go on with what takes longer


def carry_out(request: MemberRequest, kind: str, *, title: str, parameters: dict[str, Any], origin: str) -> None:
    """Ask for a job and say what came of it, or that it goes on. A small one is done when this returns."""
    token = request.POST.get(FIELD, "")
    try:
        job = ask(
            kind,
            request.membership,
            title=title,
            parameters=parameters,
            origin=origin,
            key=token,
            now=timezone.now(),
            wakes=False,
        )
    except TooMany as error:
        messages.error(request, error.text)
        return
    begin(request, job)


def carry_out_or_ask(request: MemberRequest, kind: str, *, title: str, parameters: dict[str, Any], origin: str) -> None:
    """The same, where the workspace does not ask a second person first; else that person is asked."""
    if not request.workspace.asks_approval:
        carry_out(request, kind, title=title, parameters=parameters, origin=origin)
        return
    own, is_new = request_run(
        request.membership, kind, title=title, parameters=parameters, origin=origin, now=timezone.now()
    )
    if is_new:
        messages.success(request, f"Nothing is done yet: “{title}” waits for a second person, under Approvals.")
    else:
        waits = f"“{own.title}” of {own.requested_by} waits for approval already, under Approvals."
        messages.info(request, f"Nothing new was asked for: {waits}")
    if problem := nobody_else(request.workspace, own.requested_by):
        messages.warning(request, problem)


def begin(request: MemberRequest, job: Job) -> None:
    """Carry out a job's first slices and say what came of it."""
    job = run_now(job, patience_s=PATIENCE_S)
    if job.state == JobState.DONE:
        level = messages.success if (job.result or {}).get("number") else messages.info
        level(request, job.message)
    elif job.state == JobState.FAILED:
        messages.error(request, f"It was not carried out to its end: {job.message} Jobs says how far it came.")
    else:
        messages.info(request, "It goes on in the background. You can leave this page; Jobs says how far it is.")
