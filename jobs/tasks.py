"""What Celery runs for jobs: alarm clocks. The rows are the queue (queue.py)."""

from __future__ import annotations

from celery import shared_task

from jobs import queue, run, upkeep

RUNNER_EXPIRES_S = 5


@shared_task
def sweep_jobs() -> int:
    """Wake as many runners as jobs are due and may be carried out at the same time."""
    upkeep.ensure_standing()
    startable = queue.count_startable()
    for _ in range(startable):
        run_due_jobs.apply_async(expires=RUNNER_EXPIRES_S)
    return startable


@shared_task
def run_due_jobs() -> int:
    """Carry due jobs out, each in turns, until none is left or the time is up."""
    return run.run_due()


@shared_task
def clean_jobs() -> int:
    """Remove results and rows that are too old or too many."""
    return upkeep.clean_now()
