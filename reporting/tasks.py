"""What Celery runs for reports: alarm clocks of the sync. The rows are the queue (reporting/sync)."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from reporting.commission import services as commission
from reporting.sync import run, states
from users.models import Workspace

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
def accrue_commissions() -> None:
    """Bring every workspace's ledger up to date."""
    for workspace_id in Workspace.objects.values_list("id", flat=True):
        commission.accrue_workspace(workspace_id, timezone.now())
