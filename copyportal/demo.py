"""The demo workspace: real trades of the embedded backend on a simulated market, its people and its first mirror.

Two steps, each safe to repeat: `demo history` before the backend starts (it needs the lock of the one writer), then
`invite_people` once it answers. What must exist only once is looked up before it is made.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from copyportal.demo_books import keep_books
from reporting.commission.services import accrue_workspace
from reporting.models import SyncKind, SyncState
from reporting.sync import run, states
from strategies.models import Strategy
from subscribers.agreements import publish_text
from subscribers.models import Subscriber, SubscriberAccess
from subscribers.own import set_bounds
from users.members import Refusal, create_invitation
from users.models import Connection, Membership, Role, Workspace
from users.services import add_member, create_owner, create_workspace_with_connection

MANAGER = "manager@example.com"
SUBSCRIBER = "subscriber@example.com"
INVITED = "accountant@example.com"
# what the demo's clients may change themselves
CLIENTS_MAY = {
    "may_pause": True,
    "may_close": True,
    "ranges": {
        "ratio": {"from": "0.05", "to": "1"},
        "trade": {"from": "0.01", "to": None},
        "risk": {"from": "0.002", "to": "0.05"},
        "loss": {"from": "0.01", "to": None},
    },
    "closing": ["close-gracefully-by-position", "close-immediately"],
}
DEMO_TEXTS = {
    "terms": "These are the terms of a demo: no money is real, and nothing is owed.\n\nEither side may end it.",
    "risk": "Trading with leverage can lose all that was paid in. Past results say nothing about those to come.",
}
LATER = [SyncKind.DECISIONS]  # no first page shows more of them than the counts of today
Progress = Callable[[str], None]


class DemoFailed(Exception):
    """The demo could not be finished; the text says why. Starting again goes on where it stopped."""


def sign_in_file() -> Path:
    """Where the demo's passwords are kept for `make up` to print: readable by the owner of the data folder only."""
    return settings.VAR / "sign-in.txt"


def describe() -> str:
    """How to sign in to the demo; empty without a demo."""
    return sign_in_file().read_text().strip() if sign_in_file().exists() else ""


def is_unfinished() -> bool:
    """Whether there is a demo whose subscriber has no account to look at yet."""
    waiting = Membership.objects.filter(workspace__is_demo=True, user__email=SUBSCRIBER, accesses=None)
    return waiting.exists()


def make_people() -> Workspace:
    """The demo workspace with its connection, a manager who owns it and a subscriber; made once."""
    existing = Workspace.objects.filter(is_demo=True).first()
    if existing:
        return existing
    passwords = {email: secrets.token_urlsafe(9) for email in (MANAGER, SUBSCRIBER)}
    with transaction.atomic():
        workspace = create_workspace_with_connection(name="Demo workspace", is_demo=True)
        owner = create_owner(email=MANAGER, password=passwords[MANAGER], name="Demo manager", workspace=workspace)
        add_member(
            workspace, email=SUBSCRIBER, password=passwords[SUBSCRIBER], role=Role.SUBSCRIBER, name="Demo subscriber"
        )
        invited = create_invitation(
            workspace,
            email=INVITED,
            role=Role.ACCOUNTANT,
            by=owner.user,
            now=timezone.now(),
            name="Demo accountant",
            lasts=timedelta(days=365),  # whoever tries the demo does not wait for a week
        )
        if isinstance(invited, Refusal):
            raise RuntimeError(invited.text)
        _keep(passwords, reverse("people:invitation", args=[invited.token]))
    return workspace


def _keep(passwords: dict[str, str], invitation: str) -> None:
    file = sign_in_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(0o600)
    file.write_text(
        "Sign in to the demo workspace (simulated market, paper accounts):\n"
        f"  manager     {MANAGER}     {passwords[MANAGER]}\n"
        f"  subscriber  {SUBSCRIBER}  {passwords[SUBSCRIBER]}\n"
        f"  invitation  {INVITED}  {invitation}\n"
    )


def mirror(workspace: Workspace, progress: Progress) -> None:
    """Bring the backend's past into the portal, as the workers would, but at once.

    The decisions are left to the workers: they take longest and no first page shows more than their counts.
    """
    states.ensure_states()
    connection = workspace.connections.get()
    states.request_sync(connection, list(SyncKind), now=timezone.now() + timedelta(days=1))
    first = [SyncKind.CONFIGURATION]  # balances belong to accounts that are known
    for kinds in (first, [kind for kind in SyncKind if kind not in first + LATER]):
        states.request_sync(connection, kinds)
        _run_due(connection, progress)
    states.request_sync(connection, LATER)


def _run_due(connection: Connection, progress: Progress) -> None:
    while (lease := states.claim_due()) is not None:
        run.run_one(lease, open_client=run.client_for, now=timezone.now())
        state = SyncState.objects.get(connection=connection, kind=lease.kind)
        if state.error:
            raise DemoFailed(f"Mirroring ({state.get_kind_display()}): {state.error}")
        progress(f"mirrored: {state.get_kind_display().lower()}, {state.rows_total:,} rows")


def give_access(workspace: Workspace) -> None:
    """Let the demo's subscriber see the account with the most subscriptions."""
    membership = workspace.memberships.get(user__email=SUBSCRIBER)
    account = Subscriber.objects.filter(workspace=workspace).order_by("-subscription_count", "id").first()
    if account is None:
        raise DemoFailed("The backend has no subscriber to show.")
    SubscriberAccess.objects.get_or_create(membership=membership, subscriber=account)
    owner = workspace.memberships.get(user__email=MANAGER).user
    for kind, text in DEMO_TEXTS.items():
        publish_text(workspace, kind, text, asks_again=True, by=owner, now=timezone.now())
    copied = Strategy.objects.filter(subscriptions__in=account.subscriptions.filter(is_removed=False))
    for strategy in copied.filter(client_bounds=None):
        set_bounds(strategy, CLIENTS_MAY, by=owner, now=timezone.now())


def invite_people(progress: Progress, *, now: datetime) -> Connection:
    """Make the demo visible in the portal: people, mirror, commissions."""
    workspace = make_people()
    mirror(workspace, progress)
    give_access(workspace)
    accrued = accrue_workspace(workspace.pk, now)
    progress(f"commissions: {accrued.lines_written:,} lines")
    owner = workspace.memberships.get(user__email=MANAGER).user
    statements, payments = keep_books(workspace, now=now, by=owner)
    progress(f"books: {statements:,} statements, {payments:,} payments")
    return workspace.connections.get()
