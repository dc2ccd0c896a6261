"""What people and programs do with the addresses that are told of events, each noted in the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from users.events import EventEndpoint, add_endpoint, new_secret
from users.models import User, Workspace
from users.services import record_audit

MOST_ENDPOINTS = 20
NAMES = ("name", "url", "kinds", "is_enabled")


class TooManyEndpoints(Exception):
    """A workspace has as many addresses as it may. text: a sentence for the person."""

    text = f"A workspace has at most {MOST_ENDPOINTS} addresses: remove one first."


def values_of(endpoint: EventEndpoint) -> dict[str, Any]:
    """What a person may change of it."""
    return {name: getattr(endpoint, name) for name in NAMES}


def note(endpoint: EventEndpoint, action: str, *, by: User | None, now: datetime, **details: Any) -> None:
    """The entry of the audit log."""
    details = details or {"address": endpoint.url}
    record_audit(endpoint.workspace, user=by, action=action, subject=endpoint.name, details=details, now=now)


@transaction.atomic
def enter(workspace: Workspace, *, by: User | None, now: datetime, **fields: Any) -> tuple[EventEndpoint, str]:
    """An address and its secret, which nobody can read again. Raises TooManyEndpoints."""
    locked = Workspace.objects.select_for_update(of=("self",), no_key=True).get(pk=workspace.pk)
    if EventEndpoint.objects.filter(workspace=locked).count() >= MOST_ENDPOINTS:
        raise TooManyEndpoints
    secret = new_secret()
    endpoint = add_endpoint(workspace.pk, secret=secret, by=by, now=now, **fields)
    note(endpoint, "event address added", by=by, now=now)
    return endpoint, secret


@transaction.atomic
def change(endpoint: EventEndpoint, fields: dict[str, Any], *, by: User | None, now: datetime) -> None:
    """Change name, address, events, or switch it off and on. fields: all of NAMES.

    Only what is different is written: it may have been switched off since it was read, because it fails.
    """
    before = values_of(endpoint)
    changed = [name for name in NAMES if fields[name] != before[name]]
    for name in changed:
        setattr(endpoint, name, fields[name])
    if "is_enabled" in changed and endpoint.is_enabled:
        endpoint.disabled_at = endpoint.failing_since = endpoint.paused_until = None
        changed += ["disabled_at", "failing_since", "paused_until"]
    endpoint.save(update_fields=changed)
    after = values_of(endpoint)
    if after != before:
        note(endpoint, "event address changed", by=by, now=now, before=before, after=after)


@transaction.atomic
def replace_secret(endpoint: EventEndpoint, *, by: User | None, now: datetime) -> str:
    """Another secret, from now on."""
    secret = new_secret()
    EventEndpoint.objects.filter(pk=endpoint.pk).update(secret=secret)
    note(endpoint, "event address got another secret", by=by, now=now)
    return secret


@transaction.atomic
def remove(endpoint: EventEndpoint, *, by: User | None, now: datetime) -> None:
    """Tell it nothing more, and forget what it was told."""
    note(endpoint, "event address removed", by=by, now=now)
    endpoint.delete()
