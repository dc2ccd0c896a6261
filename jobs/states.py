"""The state of a job as pages, lists and files say it."""

from __future__ import annotations

from typing import Any

from django.db.models import Case, CharField, F, Q, Value, When

from jobs.models import UNFINISHED, JobState
from users.states import State, by_code

JOB_STATES = by_code(
    State(JobState.QUEUED, "Waiting", "quiet", "A worker takes it within seconds, or after what has to come first"),
    State(JobState.RUNNING, "Running", "info"),
    State("trying-again", "Trying again", "warn", "It met an error and is tried again after a pause"),
    State("ending", "Being cancelled", "warn", "It ends after the part that is being worked on"),
    State(JobState.DONE, "Done", "good"),
    State(JobState.FAILED, "Failed", "bad"),
    State(JobState.CANCELLED, "Cancelled"),
)
WAITS_TO_REPEAT = State("up-to-date", "Up to date", "good", "It begins again by itself")
WITH_ERRORS = State("with-errors", "With errors", "bad", "It begins again by itself")


def state_code() -> Case:
    """The code of `job_state` in the database, for lists and files; of what people ask for."""
    ending = Q(state__in=UNFINISHED, cancel_asked_at__isnull=False)
    trying = Q(state__in=UNFINISHED, attempts__gt=0, lease_token=None)
    return Case(
        When(ending, then=Value("ending")),
        When(trying, then=Value("trying-again")),
        default=F("state"),
        output_field=CharField(),
    )


def job_state(job: Any) -> State:
    """Of a job, or of a row of the list that has its `code`."""
    if hasattr(job, "code"):
        return JOB_STATES[job.code]
    if job.is_unfinished and job.cancel_asked_at is not None:
        return JOB_STATES["ending"]
    if job.is_unfinished and job.attempts and job.lease_token is None:
        return JOB_STATES["trying-again"].because(job.message or JOB_STATES["trying-again"].why)
    if job.is_standing and job.state == JobState.QUEUED and job.finished_at is not None:
        return WITH_ERRORS.because(job.message) if (job.result or {}).get("is_error") else WAITS_TO_REPEAT
    return JOB_STATES[job.state]
