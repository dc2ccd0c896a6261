"""What Celery runs for reports: alarm clocks of the sync. The rows are the queue (reporting/sync)."""

from __future__ import annotations

from celery import shared_task

from reporting.commission import runs
from reporting.sync import run, states

MOST_RUNNERS = 4  # a sweep wakes at most so many
RUNNER_EXPIRES_S = 5


@shared_task
def sweep() -> int:
    """Wake as many runners as syncs are due."""
    states.ensure_states()
    due = min(states.count_due(), MOST_RUNNERS)
    for _ in range(due):
        run_due_syncs.apply_async(expires=RUNNER_EXPIRES_S)
    return due


@shared_task
def run_due_syncs() -> int:
    """Run due syncs until none is left or the time is up."""
    return run.run_due()


@shared_task
def accrue_commissions() -> int:
    """Wake as many runners as workspaces wait for their accrual and may have one."""
    runs.ensure_runs()
    startable = runs.count_startable()
    for _ in range(startable):
        run_due_accruals.apply_async(expires=RUNNER_EXPIRES_S)
    return startable


@shared_task
def run_due_accruals() -> int:
    """Accrue the workspaces that are due, each in turns, until none is left or the time is up."""
    return runs.run_due()
