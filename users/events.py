"""What happens in a workspace, told to programs of the firm: each event is a row, written with what causes it.

Tasks deliver the rows (users/event_sending.py) to the addresses that the workspace has entered, signed as Standard
Webhooks asks. An event holds ids, names and amounts, never a secret. Where a workspace has no address, nothing is kept.
"""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Protocol, Self

from celery import current_app
from django.db import models, transaction
from kombu.exceptions import OperationalError as BrokerDown

from users.secrets import EncryptedTextField

KINDS = {
    "copy.failed": "A trade was not copied for a fault",
    "stopout.started": "A risk limit fired",
    "subscription.changed": "Settings of an account or subscription were changed",
    "statement.issued": "A statement was issued",
    "statement.overdue": "A statement is overdue",
    "statement.paid": "A statement is paid in full",
    "payment.recorded": "A payment was recorded",
    "payment.undone": "A payment was taken back",
    "member.joined": "Somebody joined the workspace",
    "member.left": "Somebody left, or was removed",
    "member.changed": "Somebody got another role",
}
TEST = "endpoint.test"
DELIVER = "users.tasks.deliver_events"  # by name: tasks know the services, not the other way round
WOKEN_EXPIRES_S = 60
SECRET_BYTES = 32
PREFIX = "whsec_"


class Asker(Protocol):
    """Whoever looks at addresses: a membership, which is written above this file."""

    workspace_id: int

    @property
    def is_staff_role(self) -> bool: ...


class EventEndpointQuerySet(models.QuerySet["EventEndpoint"]):
    """Every read for a page starts with `visible_to`."""

    def visible_to(self, membership: Asker) -> Self:
        """Staff of the workspace."""
        own = self.filter(workspace_id=membership.workspace_id)
        return own if membership.is_staff_role else own.none()


class EventEndpoint(models.Model):
    """An address that is told of events. kinds: of KINDS, []: all. secret: of the signatures; only shown when made.

    failing_since: of its first failed attempt after the last that was taken. paused_until: it is left in peace after a
    failure, so that an address that hangs takes no worker from others.
    """

    workspace = models.ForeignKey("users.Workspace", on_delete=models.CASCADE, related_name="event_endpoints")
    name = models.CharField(max_length=120)
    url = models.CharField(max_length=500)
    secret = EncryptedTextField()
    kinds = models.JSONField(default=list)
    is_enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField()
    created_by = models.ForeignKey("users.User", null=True, on_delete=models.SET_NULL, related_name="+")
    succeeded_at = models.DateTimeField(null=True)
    failing_since = models.DateTimeField(null=True)
    paused_until = models.DateTimeField(null=True)
    disabled_at = models.DateTimeField(null=True, help_text="When it was switched off after a long failure.")

    objects = EventEndpointQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name

    def wants(self, kind: str) -> bool:
        """Whether it is told of such events; of a test always."""
        return kind == TEST or not self.kinds or kind in self.kinds


class PortalEvent(models.Model):
    """Something that happened. id: the `webhook-id`, the same at every attempt. body: as it is sent, byte by byte.

    key: what it is about, where the same must not be told twice; empty: it cannot be.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey("users.Workspace", on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=40)
    key = models.CharField(max_length=120, blank=True, default="")
    body = models.TextField()
    occurred_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "key"], condition=~models.Q(key=""), name="one_event_per_cause"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


class DeliveryState(models.TextChoices):
    """What became of an event at one address."""

    QUEUED = "queued", "Waiting"
    DELIVERED = "delivered", "Delivered"
    GIVEN_UP = "given-up", "Given up"
    WITHDRAWN = "withdrawn", "Not sent"


class EventDeliveryQuerySet(models.QuerySet["EventDelivery"]):
    """Every read for a page starts with `visible_to`."""

    def visible_to(self, membership: Asker) -> Self:
        """Staff of the workspace."""
        own = self.filter(endpoint__workspace_id=membership.workspace_id)
        return own if membership.is_staff_role else own.none()


class EventDelivery(models.Model):
    """One event on its way to one address. status: of the last answer, null: there was none; refusal: why it failed."""

    event = models.ForeignKey(PortalEvent, on_delete=models.CASCADE, related_name="deliveries")
    endpoint = models.ForeignKey(EventEndpoint, on_delete=models.CASCADE, related_name="deliveries")
    state = models.CharField(max_length=9, choices=DeliveryState.choices, default=DeliveryState.QUEUED)
    attempts = models.PositiveSmallIntegerField(default=0)
    status = models.PositiveSmallIntegerField(null=True)
    refusal = models.CharField(max_length=200, blank=True, default="")
    duration_ms = models.PositiveIntegerField(null=True)
    queued_at = models.DateTimeField()
    due_at = models.DateTimeField()
    lease_until = models.DateTimeField(null=True)
    lease_token = models.UUIDField(null=True)
    settled_at = models.DateTimeField(null=True)

    objects = EventDeliveryQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["event", "endpoint"], name="one_delivery_per_endpoint")]
        indexes = [
            models.Index(fields=["endpoint", "-queued_at", "-id"], name="event_delivery_by_time"),
            models.Index(
                fields=["endpoint", "due_at", "id"], condition=models.Q(state="queued"), name="event_to_deliver"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event} to {self.endpoint}"


def new_secret() -> str:
    """A secret as Standard Webhooks writes it: whsec_ and base64."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def add_endpoint(workspace_id: int, *, secret: str, by: Any, now: datetime, **fields: Any) -> EventEndpoint:
    """Enter an address. fields: name, url, kinds."""
    return EventEndpoint.objects.create(
        workspace_id=workspace_id, secret=secret, created_by=by, created_at=now, **fields
    )


def listening(workspace_id: int) -> list[EventEndpoint]:
    """The addresses that are told of events."""
    return list(EventEndpoint.objects.filter(workspace_id=workspace_id, is_enabled=True).defer("secret"))


def emit(
    workspace_id: int,
    kind: str,
    data: dict[str, Any],
    *,
    now: datetime,
    key: str = "",
    to: Iterable[EventEndpoint] | None = None,
) -> PortalEvent | None:
    """Tell of an event, in the caller's transaction: it goes out if, and only if, that is committed.

    key: told once of the same; to: these addresses instead of those that want such events. None: nobody is told.
    """
    endpoints = [endpoint for endpoint in (listening(workspace_id) if to is None else to) if endpoint.wants(kind)]
    if not endpoints:
        return None
    body = json.dumps({"type": kind, "timestamp": now.isoformat(), "data": data}, ensure_ascii=False)
    event = PortalEvent(workspace_id=workspace_id, kind=kind, key=key, body=body, occurred_at=now)
    if key:
        known = PortalEvent.objects.bulk_create([event], ignore_conflicts=True)[0]
        if not PortalEvent.objects.filter(pk=known.pk).exists():
            return None  # it was told before
    else:
        event.save(force_insert=True)
    EventDelivery.objects.bulk_create(
        EventDelivery(event=event, endpoint=endpoint, queued_at=now, due_at=now) for endpoint in endpoints
    )
    transaction.on_commit(wake)
    return event


def wake() -> None:
    """Have a worker deliver now. Without the broker beat does, within seconds."""
    with contextlib.suppress(BrokerDown):
        current_app.send_task(DELIVER, expires=WOKEN_EXPIRES_S, retry=False)
