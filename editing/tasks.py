"""What Celery runs for edits: an alarm clock. The rows in flight are the queue (editing/saving.py)."""

from __future__ import annotations

import logging
from itertools import groupby

from celery import shared_task
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from copying.client import ClientError
from editing.backend import PATIENCE
from editing.models import Change
from editing.saving import due_to_settle, settle
from users.models import Connection

MOST_SETTLED = 50  # in one run
logger = logging.getLogger(__name__)


@shared_task
def settle_changes() -> int:
    """Find out what became of changes in flight; returns how many are settled. A silent backend keeps no other back."""
    due = sorted(due_to_settle(timezone.now())[:MOST_SETTLED], key=lambda change: change.connection_id)
    settled = 0
    for _, group in groupby(due, key=lambda change: change.connection_id):
        changes = list(group)
        settled += _settle_all(changes[0].connection, changes)
    return settled


def _settle_all(connection: Connection, changes: list[Change]) -> int:
    """Of one backend; one that does not answer is asked again with the next run, and after the others."""
    settled = 0
    try:
        with connection.client(**PATIENCE) as client:
            for change in changes:
                settled += not settle(change, client=client, now=timezone.now()).is_in_flight
    except (ClientError, ImproperlyConfigured) as error:
        logger.warning("changes of connection %s cannot be settled yet: %s", connection.pk, error)
        Change.objects.filter(pk__in=[change.pk for change in changes]).update(looked_at=timezone.now())
    return settled
