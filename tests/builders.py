"""Plain functions that build what tests need, with defaults for everything a test does not care about."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

from django.utils import timezone

from accounts.models import BrokerAccount
from strategies.models import Strategy
from subscribers.models import Subscriber, SubscriberAccess, Subscription
from users.models import Connection, Membership, User, Workspace

PASSWORD = "a-long-enough-password"
LONG_AGO = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
_numbers = itertools.count(1)


def workspace(name: str = "Alice Capital", **fields) -> Workspace:
    """A firm."""
    return Workspace.objects.create(name=name, **fields)


def member(workspace: Workspace, name: str, role: str) -> User:
    """A person with a role in the workspace; signs in as name@example.com with PASSWORD."""
    person = User.objects.create_user(f"{name}@example.com", PASSWORD, name=name.title())
    Membership.objects.create(workspace=workspace, user=person, role=role)
    return person


def connection(workspace: Workspace, **fields) -> Connection:
    """A connection to a backend that nobody runs."""
    given = {"name": "Backend", "base_url": "http://127.0.0.1:9", "token": "a.b.c", "token_hint": "b.c"}
    return Connection.objects.create(workspace=workspace, **{**given, **fields})


def strategy(connection: Connection, **fields) -> Strategy:
    """A mirrored strategy."""
    number = next(_numbers)
    given = {"backend_id": f"s{number:03}", "name": f"Strategy {number}", "revision": "1"}
    times = {"first_seen_at": LONG_AGO, "synced_at": LONG_AGO}
    return Strategy.objects.create(
        workspace=connection.workspace, connection=connection, **{**given, **times, **fields}
    )


def subscriber(connection: Connection, *, access: User | None = None, **fields) -> Subscriber:
    """A mirrored subscriber; `access` names the person who may see it as its subscriber."""
    number = next(_numbers)
    given = {"backend_id": f"account-{number:05}", "name": f"Subscriber {number}", "revision": "1", "currency": "USD"}
    times = {"first_seen_at": LONG_AGO, "synced_at": LONG_AGO, "measured_at": timezone.now()}
    made = Subscriber.objects.create(
        workspace=connection.workspace, connection=connection, **{**given, **times, **fields}
    )
    if access is not None:
        membership = access.memberships.get(workspace=connection.workspace)
        SubscriberAccess.objects.create(membership=membership, subscriber=made)
    return made


def broker_account(connection: Connection, **fields) -> BrokerAccount:
    """A mirrored trading account that runs and was just seen."""
    number, now = next(_numbers), timezone.now()
    given = {"backend_id": f"trading-{number:05}", "name": f"Account {number}", "login": str(10_000 + number)}
    given |= {"server": "Broker-Demo", "platform": "mt5", "state": "DEPLOYED", "connection_status": "CONNECTED"}
    given |= {"revision": "1", "first_seen_at": LONG_AGO, "seen_at": now}
    return BrokerAccount.objects.create(workspace=connection.workspace, connection=connection, **{**given, **fields})


def subscription(subscriber: Subscriber, strategy: Strategy, **fields) -> Subscription:
    """The subscriber copies the strategy."""
    given = {"strategy_backend_id": strategy.backend_id}
    return Subscription.objects.create(subscriber=subscriber, strategy=strategy, **{**given, **fields})
