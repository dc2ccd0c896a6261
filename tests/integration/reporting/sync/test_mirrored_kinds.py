"""What is mirrored beside the history: configuration, logs, stopouts, balances, equity; and with how few requests."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from reporting.models import (
    CreditPool,
    DailyResult,
    EquityPoint,
    LogRecord,
    QuarantinedPage,
    SyncKind,
    SyncState,
    Transaction,
)
from reporting.sync import run, states
from strategies.models import Strategy
from subscribers.models import Stopout, Subscriber, Subscription
from tests.faults.mirroring import connect, settle, sync
from tests.faults.sim_backend import SimBackend, at, history, iso
from users.listing.counting import estimate

pytestmark = pytest.mark.django_db(transaction=True)
TREND = {
    "_id": "s1",
    "name": "Trend",
    "accountId": "a1",
    "commissionScheme": {"type": "flat-fee"},
    "unknown": {"x": 1.5},
}
DORA = {"_id": "account-1", "name": "Dora", "subscriptions": [{"strategyId": "s1", "multiplier": 2}]}


def _account(number: int, **fields) -> dict:
    given = {"accountId": f"account-{number}", "currency": "EUR", "balance": 1000.1, "equity": 1001.25, "margin": 3}
    return {**given, "leverage": 100, "time": "2026-01-02T00:00:00.000Z", **fields}


def _stopout(number: int, **fields) -> dict:
    given = {
        "sequenceNumber": number,
        "subscriberId": "account-1",
        "reason": "day-balance-difference",
        "partial": False,
    }
    times = {"stoppedAt": f"2026-01-01T00:00:{number:02}.000Z", "stoppedTill": "2999-01-01T00:00:00.000Z"}
    return {**given, **times, "reasonDescription": "Too much", "partial": False, **fields}


def _snapshot(number: int) -> dict:
    point = {"accountId": "account-1", "balance": 1000.5, "equity": 999.125}
    return point | {"sequenceNumber": number, "time": f"2026-01-{number:02}T00:00:00.000Z"}


def test_configuration_is_kept_as_it_was_sent_and_follows_changes():
    with SimBackend() as backend:
        backend.strategies.append(dict(TREND))
        backend.portfolios.append({"_id": "p1", "name": "Both", "members": [{"strategyId": "s1"}]})
        backend.subscribers.append(DORA | {})
        connection = connect(backend)
        settle(connection, [SyncKind.CONFIGURATION])
        trend = Strategy.objects.get(backend_id="s1")
        assert (trend.document, trend.scheme, trend.is_removed) == (TREND, "flat-fee", False)
        assert Strategy.objects.get(backend_id="p1").kind == "portfolio"
        assert Subscription.objects.get().strategy == trend
        assert Subscription.objects.get().multiplier == 2
        first = trend.revision
        settle(connection, [SyncKind.CONFIGURATION])
        assert Strategy.objects.get(backend_id="s1").revision == first
        backend.subscribers[0] = DORA | {"subscriptions": []}
        backend.strategies.clear()
        settle(connection, [SyncKind.CONFIGURATION])
        assert Subscription.objects.get().is_removed
        assert Subscriber.objects.get().subscription_count == 0
        assert Strategy.objects.get(backend_id="s1").is_removed
        assert not Strategy.objects.get(backend_id="p1").is_removed


def test_what_winds_down_is_gone_when_the_backend_does_not_know_it_any_more():
    with SimBackend() as backend:
        backend.strategies.append(TREND | {"closeOnRemovalMode": "close-gracefully-by-position"})
        connection = connect(backend)
        settle(connection, [SyncKind.CONFIGURATION])
        assert Strategy.objects.get().state == "ending"
        backend.strategies.clear()
        settle(connection, [SyncKind.CONFIGURATION])
        assert Strategy.objects.get().state == "removed"


def run_each_once(connection, kinds):
    """One run of each kind, however long it takes: on a busy machine a short interval would pass meanwhile."""
    for kind in kinds:
        SyncState.objects.update(due_at="2999-01-01T00:00:00Z")
        states.request_sync(connection, [kind])
        run.run_one(states.claim_due(), open_client=run.client_for, now=timezone.now())


def test_ten_thousand_subscribers_of_a_connection_take_few_requests():
    with SimBackend() as backend:
        backend.strategies += [{"_id": f"s{n}", "name": f"Strategy {n}"} for n in range(10)]
        terms = [{"strategyId": "s1"}]
        backend.subscribers += [
            {"_id": f"account-{n}", "name": f"No {n}", "subscriptions": terms} for n in range(10_000)
        ]
        backend.accounts += [_account(n) for n in range(10_000)]
        backend.stopouts += [_stopout(n, subscriberId=f"account-{n}") for n in range(1, 31)]
        connection = connect(backend)
        settle(connection, [SyncKind.CONFIGURATION])
        before = backend.number
        run_each_once(connection, list(SyncKind))
        polls = backend.number - before
        assert Subscriber.objects.filter(balance=Decimal("1000.1")).count() == 10_000
        assert Subscription.objects.count() == 10_000
        assert polls <= 90, backend.requests  # among them six that find out that no positions are told
        before = backend.number
        run_each_once(connection, [SyncKind.PROVIDED, SyncKind.SUBSCRIBED, SyncKind.STOPOUTS, SyncKind.EQUITY])
        assert backend.number - before <= 14, "what is polled every few seconds does not grow with the subscribers"


def test_a_large_first_run_leaves_fresh_statistics_so_that_lists_know_their_length():
    with SimBackend(history(6_000)) as backend:
        settle(connect(backend), [SyncKind.PROVIDED])
    count, _ = estimate(Transaction.objects.all())
    assert 5_500 <= count <= 6_500


def test_a_failing_kind_does_not_stop_the_others():
    with SimBackend() as backend:
        backend.plan = lambda number, path, params: "500" if "configuration" in path else None
        backend.accounts.append(_account(1))
        connection = connect(backend)
        found = {state.kind: state for state in sync(connection)}
        assert "500" in found["configuration"].error
        assert found["configuration"].last_success_at is None
        assert all(state.error == "" for kind, state in found.items() if kind != "configuration")


def test_log_lines_come_once_and_identical_lines_of_a_moment_are_all_kept():
    now = datetime.now(UTC)
    line = {
        "time": iso(now - timedelta(hours=1)),
        "level": "WARN",
        "message": "Not copied",
        "subscriberId": "account-1",
    }
    with SimBackend() as backend:
        backend.strategies.append(dict(TREND))
        backend.logs["s1"] = [line, dict(line), line | {"time": iso(now - timedelta(minutes=1)), "message": "Copied"}]
        connection = connect(backend)
        settle(connection, [SyncKind.CONFIGURATION])
        settle(connection, [SyncKind.LOGS])
        settle(connection, [SyncKind.LOGS])
        assert LogRecord.objects.count() == 3
        assert set(LogRecord.objects.values_list("strategy_id", "subscriber_id")) == {("s1", "account-1")}


def test_stopouts_come_by_the_stream_and_a_reset_made_elsewhere_is_found():
    with SimBackend() as backend:
        backend.stopouts += [
            _stopout(1),
            _stopout(2, reason="month-balance-difference", strategy={"id": "s1", "name": ""}),
        ]
        connection = connect(backend)
        settle(connection, [SyncKind.STOPOUTS])
        assert Stopout.objects.active(datetime.now(UTC)).count() == 2
        assert Subscriber.objects.get().backend_id == "account-1", "a row for an account that is not mirrored yet"
        backend.stopouts[0]["reset"] = True
        SyncState.objects.update(cursor={"sequence": 2})
        settle(connection, [SyncKind.STOPOUTS])
        assert [s.reason for s in Stopout.objects.active(datetime.now(UTC))] == ["month-balance-difference"]
        assert backend.requests["/users/current/stopouts/stream"] == 2


@pytest.mark.parametrize("kind", [SyncKind.STOPOUTS, SyncKind.EQUITY])
def test_a_backend_that_was_restored_to_an_earlier_time_is_read_from_its_beginning(kind):
    with SimBackend() as backend:
        backend.stopouts.append(_stopout(1))
        backend.snapshots.append(_snapshot(1))
        connection = connect(backend)
        settle(connection, [SyncKind.ACCOUNTS, kind])
        SyncState.objects.filter(kind=kind).update(cursor={"sequence": 90})
        backend.stopouts.append(_stopout(2, reason="month-balance-difference"))
        backend.snapshots.append(_snapshot(2))
        (state,) = sync(connection, [kind])
        assert (state.error, state.cursor["sequence"]) == ("", 2)
        kept = Stopout.objects if kind == SyncKind.STOPOUTS else EquityPoint.objects
        assert kept.count() == 2


def test_a_stopout_that_lacks_its_reason_is_kept_aside_and_said_so():
    with SimBackend() as backend:
        backend.stopouts.append(_stopout(1, reason=None))
        connection = connect(backend)
        (state,) = sync(connection, [SyncKind.STOPOUTS])
        assert "could not be read" in state.error
        backend.stopouts[0] = _stopout(1)
        settle(connection, [SyncKind.STOPOUTS])
        assert Stopout.objects.count() == 1
        assert QuarantinedPage.objects.get().resolved_at is not None


def test_balances_of_a_backend_without_a_list_are_asked_a_few_a_run():
    with SimBackend() as backend:
        backend.accounts = backend.snapshots = None
        backend.subscribers += [{"_id": f"account-{n}", "name": f"No {n}"} for n in range(30)]
        connection = connect(backend)
        settle(connection, [SyncKind.CONFIGURATION])
        settle(connection, [SyncKind.ACCOUNTS, SyncKind.EQUITY])
        assert Subscriber.objects.exclude(equity=None).count() == 20
        CreditPool.objects.all().delete()  # as if it had filled again
        settle(connection, [SyncKind.ACCOUNTS])
        assert Subscriber.objects.filter(equity=Decimal("990.25"), currency="USD").count() == 30
        assert EquityPoint.objects.count() >= 30, "its equity history is kept here"


@pytest.mark.parametrize(
    ("health", "trouble"),
    [
        (None, ""),
        ((200, {"status": "ok"}), ""),
        ((200, {"status": "degraded", "message": "The clock is behind."}), "The clock is behind."),
        ((503, {"status": "unavailable", "message": "The clock has stepped."}), "new external signals are refused"),
        ((503, {"message": "Over capacity."}), ""),
        ((200, ["what is this"]), ""),
    ],
)
def test_a_backend_with_a_wrong_clock_is_told_from_one_without(health, trouble):
    with SimBackend() as backend:
        backend.health = health
        connection = connect(backend)
        (state,) = sync(connection, [SyncKind.ACCOUNTS])
        assert state.error == ""
        assert state.cursor["clock"] == "" if not trouble else trouble in state.cursor["clock"]
        backend.health = None
        (state,) = sync(connection, [SyncKind.ACCOUNTS])
        assert state.cursor["clock"] == "", "it is over"


def _limits(number: int, drawdown: float) -> dict:
    limit = {"type": "date", "applyTo": "equity-difference", "maxAbsoluteRisk": 100, "drawdown": drawdown}
    return {"accountId": f"account-{number}", "currency": "EUR", "time": "2026-01-02T00:00:00.000Z", "limits": [limit]}


def test_what_is_left_of_limits_follows_the_backend_and_goes_with_the_limits():
    with SimBackend() as backend:
        backend.subscribers += [{"_id": f"account-{n}", "name": f"No {n}"} for n in range(1500)]
        backend.limits += [_limits(n, n / 100) for n in range(1500)]
        connection = connect(backend)
        settle(connection, [SyncKind.CONFIGURATION])
        (state,) = settle(connection, [SyncKind.LIMITS])
        assert (state.rows_last_run, backend.requests["/users/current/risk-limits"]) == (1500, 2)
        assert Subscriber.objects.get(backend_id="account-250").headroom == Decimal("0.975")
        (state,) = settle(connection, [SyncKind.LIMITS])
        assert state.rows_last_run == 0, "nothing is written twice"
        backend.limits[:] = [_limits(1, 60)]
        settle(connection, [SyncKind.LIMITS])
        assert [s.headroom for s in Subscriber.objects.exclude(headroom=None)] == [Decimal("0.4")]
        assert Subscriber.objects.exclude(limits=[]).count() == 1


def test_a_backend_that_tells_nothing_of_limits_is_in_order_and_shows_none():
    with SimBackend() as backend:
        backend.subscribers.append({"_id": "account-1", "name": "Dora"})
        backend.limits.append(_limits(1, 60))
        connection = connect(backend)
        settle(connection, [SyncKind.CONFIGURATION])
        settle(connection, [SyncKind.LIMITS])
        backend.limits = None
        (state,) = settle(connection, [SyncKind.LIMITS])
        assert state.cursor["is_offered"] is False
        assert Subscriber.objects.get().headroom is None


def test_an_answer_about_limits_that_cannot_be_read_is_kept_aside():
    with SimBackend() as backend:
        backend.limits.append({"accountId": "account-1", "limits": [{"drawdown": "much"}]})
        connection = connect(backend)
        (state,) = sync(connection, [SyncKind.LIMITS])
        assert "could not be read" in state.error
        backend.limits.clear()
        settle(connection, [SyncKind.LIMITS])
        assert QuarantinedPage.objects.get().resolved_at is not None


def test_since_when_something_trades_is_noted_with_the_configuration():
    with SimBackend() as backend:
        backend.strategies.append(dict(TREND))
        backend.subscribers.append(DORA | {})
        connection = connect(backend)
        settle(connection, [SyncKind.CONFIGURATION])
        assert Strategy.objects.get().traded_since is None
        for day in (9, 4, 6):
            DailyResult.objects.create(
                workspace=connection.workspace,
                connection=connection,
                subscriber_id="account-1",
                strategy_id="s1",
                day=date(2026, 1, day),
            )
        settle(connection, [SyncKind.CONFIGURATION])
        assert Strategy.objects.get().traded_since == date(2026, 1, 4)
        assert Subscription.objects.get().traded_since == date(2026, 1, 4)


def test_the_equity_history_comes_by_its_stream():
    with SimBackend() as backend:
        backend.snapshots += [_snapshot(number) for number in range(1, 29)]
        connection = connect(backend)
        settle(connection, [SyncKind.EQUITY])
        settle(connection, [SyncKind.EQUITY])
        assert EquityPoint.objects.count() == 28
        assert EquityPoint.objects.earliest("time").equity == Decimal("999.125")


def test_a_request_while_a_sync_runs_makes_it_due_again():
    with SimBackend() as backend:
        connection = connect(backend)
        states.request_sync(connection, [SyncKind.STOPOUTS])
        SyncState.objects.exclude(kind=SyncKind.STOPOUTS).update(due_at="2999-01-01T00:00:00Z")
        lease = states.claim_due()
        states.request_sync(connection, [SyncKind.STOPOUTS])
        states.finish(lease, next_in_s=60)
        assert states.claim_due() is not None


def test_a_disabled_connection_is_left_alone():
    with SimBackend(plan=at(1, fault="500")) as backend:
        connection = connect(backend, is_enabled=False)
        sync(connection)
        assert backend.number == 0
