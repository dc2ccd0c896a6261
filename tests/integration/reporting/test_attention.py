"""Needs attention names every trouble, and "in order" is said only when everything is known and fine."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from reporting.attention import attention
from reporting.models import Decision, LogRecord, QuarantinedPage, SyncState
from tests import builders

pytestmark = pytest.mark.django_db


@pytest.fixture
def quiet(workspace, alice):
    """A firm with nothing wrong."""
    connection = builders.connection(workspace, name="Backend one")
    now = timezone.now()
    state = SyncState.objects.create(connection=connection, kind="accounts", due_at=now, last_success_at=now)
    return connection, builders.subscriber(connection, name="First"), state


def decide(connection, outcome, reason, *, at, number=0):
    Decision.objects.create(
        workspace=connection.workspace,
        connection=connection,
        backend_id=f"{outcome}-{number}",
        time=at,
        signal_id="s",
        strategy_id="a",
        source_strategy_id="a",
        subscriber_id="x",
        symbol="XAUUSD",
        subscriber_symbol="XAUUSD",
        side="buy",
        outcome=outcome,
        reason=reason,
        level="",
        text="t",
    )


def told(alice, quiet, now=None):
    membership = alice.memberships.get()
    lines = attention(membership, now=now or timezone.now()).lines
    return [f"{line.title} {line.rest} {line.note}".strip() for line in lines]


def test_all_is_known_and_fine(quiet, alice, sign_in):
    assert told(alice, quiet) == []
    assert "Everything is in order" in sign_in(alice).get("/").content.decode()


def test_failed_copies_by_reason_with_their_list(quiet, alice, sign_in):
    now, connection = timezone.now(), quiet[0]
    for number in range(2):
        decide(connection, "failed", "unknown-symbol", at=now - timedelta(minutes=number), number=number)
    decide(connection, "failed", "no-price", at=now - timedelta(hours=1), number=9)
    decide(connection, "skipped", "close-only", at=now, number=10)
    assert told(alice, quiet) == ["3 copies failed within 24 hours 2 unknown symbol, 1 no price"]
    page = sign_in(alice).get("/").content.decode()
    assert "Everything is in order" not in page
    assert "outcome=failed" in page


@pytest.mark.parametrize(("offered", "lines"), [(False, 1), (None, 0)])
def test_a_subscription_to_what_is_not_offered(quiet, alice, offered, lines):
    part = {"strategyId": "theirs"} | ({} if offered is None else {"offered": offered})
    account = builders.subscriber(quiet[0], name="Stale", document={"subscriptions": [part]})
    subscription = builders.subscription(
        account, builders.strategy(quiet[0]), document=part, first_seen_at=builders.LONG_AGO
    )
    assert [line for line in told(alice, quiet) if "Stale copies a strategy that is not offered" in line][lines:] == []
    assert len([line for line in told(alice, quiet) if "not offered" in line]) == lines
    assert (subscription.pill.code == "not-offered") is bool(lines)


@pytest.mark.parametrize(("hours", "lines"), [(23.9, 1), (24.1, 0)])
def test_failures_of_a_day(quiet, alice, hours, lines):
    decide(quiet[0], "failed", "no-price", at=timezone.now() - timedelta(hours=hours))
    assert len(told(alice, quiet)) == lines


def test_what_is_not_known_is_not_in_order(quiet, alice, sign_in):
    connection, account, state = quiet
    now = timezone.now()

    def after(change):
        change()
        return " | ".join(told(alice, quiet))

    assert "not up to date" in after(lambda: SyncState.objects.update(last_success_at=now - timedelta(minutes=4)))
    assert "Not synced yet" in after(lambda: SyncState.objects.update(last_success_at=None))
    assert "does not sync" in after(lambda: SyncState.objects.update(last_success_at=now, failing_since=now))
    assert "Not synced yet" in after(lambda: SyncState.objects.all().delete())
    state.pk = None
    state.save()
    assert after(lambda: None) == ""
    type(account).objects.update(measured_at=now - timedelta(hours=3))
    assert "1 account not measured" in after(lambda: None)
    type(account).objects.update(measured_at=None, first_seen_at=now - timedelta(minutes=11))
    assert "1 account not measured" in after(lambda: None)
    type(account).objects.update(first_seen_at=now - timedelta(minutes=9))
    assert "not measured" not in after(lambda: None)
    type(account).objects.update(measured_at=now)
    QuarantinedPage.objects.create(
        connection=connection, kind="logs", request="/x", reason="r", body_start="", first_seen_at=now, last_seen_at=now
    )
    assert "could not be read" in after(lambda: None)
    QuarantinedPage.objects.all().delete()
    LogRecord.objects.create(
        workspace=connection.workspace,
        connection=connection,
        time=now,
        level="ERROR",
        message="No margin left",
        digest="1",
    )
    assert "No margin left" in after(lambda: None)
    LogRecord.objects.all().delete()
    type(connection).objects.update(is_enabled=False)
    assert "No backend is connected" in after(lambda: None)
    assert "Backend one is switched off" in after(lambda: None)


def test_another_workspace_is_nobodys_attention(quiet, alice):
    stranger = builders.connection(builders.workspace("Elsewhere"))
    decide(stranger, "failed", "no-price", at=timezone.now())
    assert told(alice, quiet) == []
