"""The mirror of decisions: incremental, repeated, stopped in the middle, unreadable, and where there is none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from reporting.models import Decision, DecisionCount, QuarantinedPage, SyncKind, SyncState
from reporting.sync import decisions, run, states
from reporting.sync.source import Source
from tests.faults.mirroring import connect, settle, sync
from tests.faults.sim_backend import SimBackend, at, iso

pytestmark = pytest.mark.django_db(transaction=True)
START = datetime(2026, 1, 1, tzinfo=UTC)
KINDS = [SyncKind.DECISIONS]


def decision(number: int, **fields) -> dict:
    """The decision with this number, as on the wire; every tenth was resized."""
    resized = number % 10 == 0
    volumes = {"provider": 1, "scaled": 0.5, "multiplied": 0.384873, "limited": 0.2, "rounded": 0.2, "final": 0.2}
    given = {
        "id": f"{number}-0",
        "time": iso(START + timedelta(minutes=number)),
        "signalId": f"signal-{number // 40}",
        "strategyId": "s1",
        "subscriberId": f"account-{number % 40}",
        "sourceStrategyId": "s1",
        "symbol": "EURUSD",
        "subscriberSymbol": "EURUSDm",
        "side": "buy",
        "outcome": "resized" if resized else "copied",
        "reason": "max-trade-volume" if resized else "copied",
        "level": "subscription" if resized else "none",
        "volumes": volumes,
        "limitValue": 0.2 if resized else None,
        "text": f"Decision {number}.",
    }
    return {**given, **fields}


@pytest.fixture
def backend():
    with SimBackend() as running:
        running.decisions = []
        yield running


def assert_counts_agree():
    told = {(c.subscriber_id, c.day, c.outcome): c.decisions for c in DecisionCount.objects.all()}
    counted: dict = {}
    for row in Decision.objects.all():
        key = row.subscriber_id, row.time.date(), row.outcome
        counted[key] = counted.get(key, 0) + 1
    assert told == counted


def test_only_what_is_new_is_asked_for_and_counted(backend):
    backend.decisions = [decision(number) for number in range(2500)]
    connection = connect(backend)
    settle(connection, KINDS)
    assert Decision.objects.count() == 2500
    assert backend.requests[decisions.PATH] == 3
    backend.decisions += [decision(number) for number in range(2500, 2510)]
    settle(connection, KINDS)
    assert Decision.objects.count() == 2510
    assert backend.requests[decisions.PATH] == 4
    assert_counts_agree()
    assert SyncState.objects.get(kind=SyncKind.DECISIONS).rows_total == 2510


def test_a_decision_is_kept_with_its_chain_and_its_words(backend):
    backend.decisions = [decision(10, text="A\ttab, a \\ and a\nline")]
    settle(connect(backend), KINDS)
    row = Decision.objects.get()
    assert (row.time, row.level, row.reason) == (START + timedelta(minutes=10), "subscription", "max-trade-volume")
    assert (row.multiplied_lots, row.final_lots, row.limit_value) == (
        Decimal("0.384873"),
        Decimal("0.2"),
        Decimal("0.2"),
    )
    assert row.text == "A\ttab, a \\ and a\nline"


def test_volumes_that_were_not_worked_out_and_numbers_beyond_all_measure_are_unknown(backend):
    backend.decisions = [decision(1, volumes={"provider": 1e300, "scaled": None}, text="x" * 1000, symbol="S" * 99)]
    settle(connect(backend), KINDS)
    row = Decision.objects.get()
    assert (row.provider_lots, row.scaled_lots, row.final_lots) == (None, None, None)
    assert (len(row.text), len(row.symbol)) == (400, 32)


def test_reading_everything_again_adds_only_what_is_new(backend):
    backend.decisions = [decision(number) for number in range(1500)]
    connection = connect(backend)
    settle(connection, KINDS)
    backend.decisions += [decision(number) for number in range(1500, 1510)]
    SyncState.objects.update(cursor={})
    settle(connection, KINDS)
    assert Decision.objects.count() == 1510
    assert SyncState.objects.get(kind=SyncKind.DECISIONS).rows_total == 1510
    assert_counts_agree()


def test_a_run_that_dies_between_two_batches_is_continued(backend, monkeypatch):
    monkeypatch.setattr(decisions, "BATCH_ROWS", 1000)
    backend.decisions = [decision(number) for number in range(3500)]
    connection = connect(backend)
    states.ensure_states()
    SyncState.objects.exclude(kind=SyncKind.DECISIONS).update(due_at="2999-01-01T00:00:00Z")
    states.request_sync(connection, KINDS)
    lease = states.claim_due()
    lost = states.LeaseLost
    with run.client_for(connection) as client:
        store, calls = decisions.store, []

        def dying(batch, **scope):
            if len(calls) == 2:
                raise lost
            calls.append(store(batch, **scope))
            return calls[-1]

        monkeypatch.setattr(decisions, "store", dying)
        with pytest.raises(lost):
            decisions.sync_decisions(lease, source=Source(client), backend=connection, now=datetime.now(UTC))
    monkeypatch.setattr(decisions, "store", store)
    assert Decision.objects.count() == 2000
    assert SyncState.objects.get(kind=SyncKind.DECISIONS).cursor["after"].endswith(".2000")
    SyncState.objects.update(lease_until=None, lease_token=None)
    settle(connection, KINDS)
    assert Decision.objects.count() == 3500
    assert_counts_agree()


def test_a_backend_without_decisions_is_no_error_and_asked_again_later(backend):
    backend.decisions = None
    connection = connect(backend)
    (state,) = sync(connection, KINDS)
    assert (state.error, state.failing_since) == ("", None)
    assert state.cursor == {"is_offered": False}
    assert state.due_at - state.last_success_at > timedelta(minutes=50)
    backend.decisions = [decision(1)]
    (state,) = sync(connection, KINDS)
    assert "is_offered" not in state.cursor
    assert Decision.objects.count() == 1


def test_an_answer_that_cannot_be_read_is_kept_and_asked_for_again(backend):
    backend.decisions = [decision(number) for number in range(1200)]
    backend.plan = at(2, fault="half")
    connection = connect(backend)
    (state,) = sync(connection, KINDS)
    assert "could not be read" in state.error
    assert Decision.objects.count() == 1000
    assert QuarantinedPage.objects.filter(resolved_at=None).count() == 1
    settle(connection, KINDS)
    assert Decision.objects.count() == 1200
    assert not QuarantinedPage.objects.filter(resolved_at=None).exists()
