"""The names behind the backend's ids: what rows of the history, the log and the open book share."""

from __future__ import annotations

from django.db import models

from strategies.models import Strategy
from subscribers.models import Subscriber


class NamedIds(models.Model):
    """What carries the backend's ids of a subscriber and a strategy: joins to the mirror, for their names.

    Null while the configuration has not been mirrored yet.
    """

    subscriber = models.ForeignObject(
        Subscriber,
        models.DO_NOTHING,
        ("connection", "subscriber_id"),
        ("connection", "backend_id"),
        related_name="+",
        null=True,
    )
    strategy = models.ForeignObject(
        Strategy,
        models.DO_NOTHING,
        ("connection", "strategy_id"),
        ("connection", "backend_id"),
        related_name="+",
        null=True,
    )

    class Meta:
        abstract = True
