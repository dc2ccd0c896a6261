"""What Celery runs for reports: alarm clocks of the sync. The rows are the queue (reporting/sync)."""

from __future__ import annotations

import contextlib

import httpx
from celery import shared_task
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerDown

from reporting import ecb, event_sources, notice_sources, watching
from reporting.commission import mailing
from reporting.sync import run, states
from users import notice_sending

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


def hurry_positions(connection_ids: list[int]) -> None:
    """Have the positions of connections read at once, where that is possible; without a broker the next sweep does."""
    if connection_ids and watching.hurry(connection_ids, timezone.now()):
        with contextlib.suppress(BrokerDown):
            run_due_syncs.apply_async(expires=RUNNER_EXPIRES_S, retry=False)


@shared_task
def fetch_reference_rates() -> str:
    """Fetch the European Central Bank's rates where that is due and somebody wants it."""
    with httpx.Client(timeout=10, follow_redirects=False) as client:
        return ecb.fetch_due(client=client, now=timezone.now())


@shared_task
def remind() -> int:
    """Put reminders of overdue statements into the outbox, where a workspace asks for them."""
    return mailing.remind_all(timezone.now())


@shared_task
def collect_events() -> int:
    """Tell programs of stopouts, copies that failed and statements that became overdue."""
    return event_sources.collect(timezone.now())


@shared_task
def collect_notices() -> int:
    """Find what people are to be told of, and have it sent."""
    number = notice_sources.collect(timezone.now())
    if number:
        notice_sending.wake()
    return number
