"""Programs that call the API: one per person and kind of token, in two workspaces."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from api.tokens import issue_token
from tests import builders
from users.models import Membership

LONG = timedelta(days=30)


@dataclass
class Program:
    """Calls `/api/v1/`; text: its token, empty for none."""

    text: str

    def call(self, method: str, path: str, data: Any = None, **headers: str):
        """The answer; a path that begins with no slash is below /api/v1/."""
        if self.text:
            headers = {"Authorization": f"Bearer {self.text}", **headers}
        path = path if path.startswith("/") else f"/api/v1/{path}"
        http = Client(raise_request_exception=True)
        if method in ("get", "head"):
            return getattr(http, method)(path, data or {}, headers=headers)
        return getattr(http, method)(path, data, content_type="application/json", headers=headers)

    def write(self, method: str, path: str, data: Any = None, *, key: str | None = None, version: str = ""):
        """A write with an Idempotency-Key of its own, unless one is given; version: an ETag."""
        headers = {"Idempotency-Key": uuid.uuid4().hex if key is None else key} | (
            {"If-Match": version} if version else {}
        )
        return self.call(method, path, {} if data is None else data, **headers)

    def get(self, path: str, data: Any = None, **headers: str):
        return self.call("get", path, data, **headers)


def token_for(membership: Membership, scope: str = "write", **options) -> str:
    given = {"name": "Program", "scope": scope, "lasts": LONG, "now": timezone.now()} | options
    return issue_token(membership, **given).text


@pytest.fixture
def program():
    """A function that makes a program of a person: of their first membership."""

    def of(person, scope: str = "write", **options) -> Program:
        return Program(token_for(person.memberships.get(), scope, **options))

    return of


@pytest.fixture
def programs(workspace, alice, bob, dora, charlie, program) -> dict[str, Program]:
    """A program of everybody who might call."""
    now = timezone.now()
    manager, accountant = (builders.member(workspace, role, role) for role in ("manager", "accountant"))
    leaver = builders.member(workspace, "leaver", "owner")
    gone, inactive, paused = (builders.member(workspace, name, "owner") for name in ("gone", "inactive", "paused"))
    elsewhere = charlie.memberships.get().workspace
    made = {
        "owner": program(alice),
        "manager": program(manager),
        "accountant": program(accountant),
        "viewer": program(bob),
        "subscriber": program(dora),
        "other-client": program(builders.member(workspace, "frank", "subscriber")),
        "read-only": program(alice, "read"),
        "leaver": program(leaver),
        "service": program(alice, service_role="manager"),
        "foreign": program(charlie),
        "foreign-client": program(builders.member(elsewhere, "erin", "subscriber")),
        "gone": program(gone),
        "inactive": program(inactive),
        "paused": program(paused),
        "revoked": program(alice),
        "nobody": Program(""),
        "expired": program(alice, lasts=timedelta(seconds=1), now=now - timedelta(seconds=2)),
        "unknown": Program("cpt_" + "x" * 43),
    }
    leaver.memberships.update(role="viewer")
    gone.memberships.all().delete()
    paused.memberships.update(deactivated_at=now)
    type(inactive).objects.filter(pk=inactive.pk).update(is_active=False)
    alice.memberships.get().api_tokens.filter(hint=made["revoked"].text[-4:]).update(revoked_at=now)
    return made
