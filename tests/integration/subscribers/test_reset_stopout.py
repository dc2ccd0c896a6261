"""A stopout is reset in both steps at the backend, mirrored at once and noted."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from reporting.models import SyncKind
from subscribers.models import Stopout, Subscriber
from subscribers.services import reset_stopout
from tests.faults.mirroring import connect, settle
from tests.faults.sim_backend import SimBackend
from users.models import AuditEntry

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY_LIMIT = {"type": "day", "applyTo": "balance-difference", "maxRelativeRisk": 0.1, "closePositions": True}


def _stopped(backend: SimBackend, strategy: str | None) -> Stopout:
    event = {
        "sequenceNumber": 7,
        "subscriberId": "account-1",
        "reason": "day-balance-difference",
        "reasonDescription": "The day's loss reached 10 %.",
        "partial": False,
        "closePositions": True,
        "stoppedAt": "2026-03-01T11:00:00.000Z",
        "stoppedTill": "2999-01-01T00:00:00.000Z",
    }
    backend.stopouts.append({**event, **({"strategy": {"id": strategy, "name": "Trend"}} if strategy else {})})
    settle(connect(backend), [SyncKind.CONFIGURATION, SyncKind.STOPOUTS])
    return Stopout.objects.get()


def _reset(stopout: Stopout) -> Stopout:
    with stopout.connection.client() as client:
        return reset_stopout(stopout, client=client, by=None, now=NOW)


def test_an_accounts_own_limit_begins_anew_and_unknown_fields_stay():
    with SimBackend() as backend:
        backend.subscribers.append({"_id": "account-1", "name": "Dora", "riskLimits": [DAY_LIMIT], "new-field": [1]})
        stopout = _reset(_stopped(backend, None))
        assert stopout.ended_at == NOW
        assert backend.subscribers[0]["riskLimits"] == [DAY_LIMIT | {"startTime": "2026-03-01T12:00:00.000Z"}]
        assert backend.subscribers[0]["new-field"] == [1]
        assert backend.resets == ["/users/current/subscribers/account-1/stopouts/day-balance-difference/reset"]
        assert Subscriber.objects.get().document == backend.subscribers[0]
        assert AuditEntry.objects.get(action="stopout reset").details["account"] == "account-1"


def test_a_subscriptions_limit_begins_anew_where_it_is_set():
    with SimBackend() as backend:
        terms = [{"strategyId": "s1", "riskLimits": [DAY_LIMIT]}, {"strategyId": "s2", "riskLimits": [DAY_LIMIT]}]
        backend.subscribers.append({"_id": "account-1", "name": "Dora", "subscriptions": terms})
        _reset(_stopped(backend, "s1"))
        first, second = backend.subscribers[0]["subscriptions"]
        assert first["riskLimits"][0]["startTime"] == "2026-03-01T12:00:00.000Z"
        assert "startTime" not in second["riskLimits"][0]
        assert backend.resets[0].endswith("/account-1/subscription-strategies/s1/stopouts/day-balance-difference/reset")


def test_a_limit_of_the_strategy_begins_anew_for_this_subscription_alone():
    with SimBackend() as backend:
        backend.strategies.append({"_id": "s1", "name": "Trend", "riskLimits": [DAY_LIMIT]})
        backend.portfolios.append({"_id": "p1", "name": "Both", "members": [{"strategyId": "s1"}]})
        backend.subscribers.append({"_id": "account-1", "name": "Dora", "subscriptions": [{"strategyId": "p1"}]})
        _reset(_stopped(backend, "p1"))
        assert backend.strategies[0]["riskLimits"] == [DAY_LIMIT]
        begun = [DAY_LIMIT | {"startTime": "2026-03-01T12:00:00.000Z"}]
        assert backend.subscribers[0]["subscriptions"][0]["riskLimits"] == begun


def test_resetting_twice_is_harmless():
    with SimBackend() as backend:
        backend.subscribers.append({"_id": "account-1", "name": "Dora", "riskLimits": [DAY_LIMIT]})
        stopout = _stopped(backend, None)
        _reset(stopout)
        assert _reset(stopout).ended_at == NOW
