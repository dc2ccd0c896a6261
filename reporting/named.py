"""The names behind the backend's ids: what rows of the history, the log and the open book share."""

from __future__ import annotations

from django.db import models

from strategies.models import Strategy
from subscribers.models import Subscriber


class NamedStrategy(models.Model):
    """What carries the backend's id of a strategy: a join to the mirror, for its name.

    Null while the configuration has not been mirrored yet.
    """

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


class NamedSubscriber(models.Model):
    """What carries the backend's id of a subscriber: likewise."""

    subscriber = models.ForeignObject(
        Subscriber,
        models.DO_NOTHING,
        ("connection", "subscriber_id"),
        ("connection", "backend_id"),
        related_name="+",
        null=True,
    )

    class Meta:
        abstract = True


class NamedIds(NamedSubscriber, NamedStrategy):
    """What carries both ids."""

    class Meta:
        abstract = True
