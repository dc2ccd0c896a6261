"""A stopout at its last moment: one step before, exactly at, and one step after."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db.models import DateTimeField, Value

from subscribers import models, states
from subscribers.models import Stopout, Subscriber, account_state
from tests import builders

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)
STEPS = [(-timedelta(microseconds=1), False), (timedelta(), False), (timedelta(microseconds=1), True)]


def stop(account: Subscriber, till: datetime) -> None:
    Stopout.objects.create(
        workspace=account.workspace,
        connection=account.connection,
        subscriber=account,
        reason="date-balance-difference",
        stopped_at=NOW - timedelta(hours=1),
        stopped_till=till,
    )


@pytest.fixture
def account(workspace, monkeypatch):
    """An account that was measured just now, with the database's clock standing still."""
    monkeypatch.setattr(models, "Now", lambda: Value(NOW, output_field=DateTimeField()))
    return builders.subscriber(builders.connection(workspace), measured_at=NOW)


@pytest.mark.parametrize(("step", "is_active"), STEPS)
def test_a_stopout_is_over_at_its_end(account, step, is_active):
    stop(account, NOW + step)
    code = "stopped" if is_active else "copying"
    assert Stopout.objects.active(NOW).exists() is is_active
    assert Subscriber.objects.get(pk=account.pk).facts.code == code
    assert bool(Subscriber.objects.get(pk=account.pk).facts.stopped) is is_active
    assert Subscriber.objects.filter(pk=account.pk).annotate(code=account_state()).get().code == code


@pytest.mark.parametrize(("step", "is_confirmed"), [(-1, False), (0, True), (1, True)])
def test_figures_are_too_old_after_the_time_of_silence(account, step, is_confirmed):
    Subscriber.objects.update(measured_at=NOW - states.SILENT_AFTER + timedelta(microseconds=step))
    assert Subscriber.objects.get(pk=account.pk).facts.is_unconfirmed is not is_confirmed
