"""Decisions of a backend that keeps them to itself: worked out from deals, log and settings, marked and counted."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import transaction as transactions
from django.utils import timezone

from jobs.kinds import Work
from jobs.models import Job
from reporting.models import Decision, DecisionCount, MirroredSignal, OpenTrade, SyncKind, SyncState
from reporting.reconstruction import runs
from reporting.reconstruction.assumptions import NOT_IN_LOG, OTHER_VOLUME
from reporting.reconstruction.deciding import decide_signals, due_signals
from strategies.mirror import keep_strategies
from subscribers.mirror import keep_subscribers
from tests import builders
from tests.faults.mirroring import settle
from tests.faults.sim_backend import SimBackend, iso, transaction

pytestmark = pytest.mark.django_db(transaction=True)
FIXED = {"tradeSizeScaling": {"mode": "fixedVolume", "tradeVolume": 0.1}}


def work(workspace) -> list:
    """One turn of the standing job."""
    job = Job(workspace=workspace, kind="reconstruction", cursor=getattr(workspace, "job_cursor", {}))
    with transactions.atomic():  # as each slice of a job is
        steps = list(runs.slices(Work(job, None, timezone.now())))
    workspace.job_cursor = next((step.cursor for step in reversed(steps) if step.cursor), {})
    return steps


def deal(number: int, account: str, moment: datetime, *, signal: str = "", lots: float = 0.1, **fields) -> dict:
    """An opening deal of a copy."""
    given = {
        "id": f"{number}:open",
        "type": "DEAL_TYPE_BUY",
        "subscriberId": account,
        "positionId": signal or f"p{number}",
        "slavePositionId": f"c{number}",
        "quantity": lots,
        "tickPrice": 1.1,
        "profit": 0,
        "strategy": {"id": "s1", "name": "Trend"},
    }
    return transaction(number, moment, **{**given, **fields})


@pytest.fixture
def backend():
    """Two accounts with fixed volumes copy a strategy; a third has only sells."""
    with SimBackend() as running:
        running.strategies.append({"_id": "s1", "name": "Trend", "accountId": "p1"})
        for number in (1, 2):
            terms = [{"strategyId": "s1", **FIXED}]
            running.subscribers.append({"_id": f"a{number}", "name": f"Client {number}", "subscriptions": terms})
        terms = [{"strategyId": "s1", "allowedSides": ["sell"]}]
        running.subscribers.append({"_id": "a3", "name": "Client 3", "subscriptions": terms})
        yield running


@pytest.fixture
def connection(workspace, backend):
    """Mirrored settings that were in force long before the deals."""
    own = builders.connection(workspace, base_url=backend.url)
    past = datetime.now(UTC) - timedelta(days=2)
    keep_strategies(own, backend.strategies, now=past)
    keep_subscribers(own, backend.subscribers, now=past)
    settle(own, [SyncKind.DECISIONS])
    return own


def outcomes() -> dict:
    rows = Decision.objects.order_by("subscriber_id", "time")
    return {
        (row.subscriber_id, row.signal_id): (row.outcome, row.reason, row.final_lots, row.expected_lots) for row in rows
    }


def assert_counts_agree():
    told = {
        (c.subscriber_id, c.day, c.outcome, c.reason): c.decisions for c in DecisionCount.objects.exclude(decisions=0)
    }
    counted: dict = {}
    for row in Decision.objects.all():
        key = row.subscriber_id, row.time.astimezone(UTC).date(), row.outcome, row.reason
        counted[key] = counted.get(key, 0) + 1
    assert told == counted


def test_every_account_that_was_subscribed_has_a_decision(workspace, backend, connection):
    moment = datetime.now(UTC) - timedelta(minutes=30)
    backend.add([deal(1, "a1", moment)])
    settle(connection)
    work(workspace)
    assert outcomes() == {
        ("a1", "p1"): ("copied", "copied", Decimal("0.1"), Decimal("0.1")),
        ("a2", "p1"): ("skipped", NOT_IN_LOG, 0, Decimal("0.1")),
        ("a3", "p1"): ("skipped", "side-not-allowed", 0, 0),
    }
    assert set(Decision.objects.values_list("is_reconstructed", flat=True)) == {True}
    assert Decision.objects.get(subscriber_id="a3").level == "subscription"
    assert_counts_agree()


def test_looking_again_changes_nothing_and_what_comes_late_is_taken_up(workspace, backend, connection):
    moment = datetime.now(UTC) - timedelta(minutes=30)
    backend.add([deal(1, "a1", moment)])
    settle(connection)
    work(workspace)
    before = list(Decision.objects.order_by("pk").values())
    MirroredSignal.objects.update(due_at=timezone.now())
    work(workspace)
    settle(connection)
    work(workspace)
    assert list(Decision.objects.order_by("pk").values()) == before
    backend.add([deal(2, "a2", moment + timedelta(seconds=2), signal="p1", lots=0.05)])
    settle(connection)
    work(workspace)
    assert outcomes()["a2", "p1"] == ("copied", OTHER_VOLUME, Decimal("0.05"), Decimal("0.1"))
    assert Decision.objects.count() == 3
    assert_counts_agree()


def test_a_signal_of_this_minute_says_nothing_of_accounts_that_may_still_copy_it(workspace, backend, connection):
    backend.add([deal(1, "a1", datetime.now(UTC) - timedelta(seconds=5))])
    settle(connection)
    work(workspace)
    assert set(outcomes()) == {("a1", "p1")}
    assert MirroredSignal.objects.get().due_at is not None
    MirroredSignal.objects.update(time=timezone.now() - timedelta(minutes=10), due_at=timezone.now())
    work(workspace)
    assert set(outcomes()) == {("a1", "p1"), ("a2", "p1"), ("a3", "p1")}
    assert MirroredSignal.objects.get().due_at is None


@pytest.mark.parametrize(
    ("age", "pause"),
    [
        (timedelta(minutes=4), timedelta(minutes=1)),
        (timedelta(hours=8), timedelta(hours=2)),
        (timedelta(hours=24), timedelta(hours=6)),
        (timedelta(days=30), timedelta(hours=6)),
    ],
)
def test_a_signal_that_waits_for_a_page_is_looked_at_less_and_less(workspace, backend, connection, age, pause):
    now = datetime.now(UTC)
    backend.add([deal(1, "a1", now - age)])
    settle(connection)
    work(workspace)
    SyncState.objects.filter(connection=connection, kind=SyncKind.SUBSCRIBED).update(complete_until=None)
    signals = list(MirroredSignal.objects.all())
    decide_signals(connection, signals, now=signals[0].time + age)
    assert MirroredSignal.objects.get().due_at == signals[0].time + age + pause


def test_signals_whose_decisions_are_kept_no_more_are_forgotten_unless_open(
    workspace, backend, connection, monkeypatch
):
    limit = timezone.now() - timedelta(days=30)
    for name, moment in (("before", limit - timedelta(seconds=1)), ("at", limit), ("open", limit - timedelta(days=9))):
        MirroredSignal.objects.create(
            workspace=workspace,
            connection=connection,
            strategy_id="s1",
            signal_id=name,
            symbol="EURUSD",
            side="buy",
            time=moment,
        )
    OpenTrade.objects.create(
        workspace=workspace,
        connection=connection,
        strategy_id="s1",
        signal_id="open",
        symbol="EURUSD",
        side="buy",
        state="open",
        opened_at=limit,
    )
    assert runs.forget_old(connection) == 0
    monkeypatch.setattr(runs, "kept_from", lambda workspace_id, kind: limit)
    assert runs.forget_old(connection) == 1
    assert sorted(MirroredSignal.objects.values_list("signal_id", flat=True)) == ["at", "open"]


def test_settings_are_those_of_the_moment_and_unknown_before_the_first(workspace, backend, connection):
    now = datetime.now(UTC)
    changed = [{**backend.subscribers[0], "subscriptions": [{"strategyId": "s1", **FIXED, "maxTradeVolume": 0.04}]}]
    keep_subscribers(connection, changed, now=now - timedelta(hours=2))
    backend.subscribers[0] = changed[0]
    backend.add(
        [
            deal(1, "a1", now - timedelta(days=3)),
            deal(2, "a1", now - timedelta(hours=3)),
            deal(3, "a1", now - timedelta(hours=1), lots=0.04),
        ]
    )
    settle(connection)
    work(workspace)
    own = {signal: told for (account, signal), told in outcomes().items() if account == "a1"}
    assert own["p1"] == ("copied", "copied", Decimal("0.1"), None)
    assert own["p2"] == ("copied", "copied", Decimal("0.1"), Decimal("0.1"))
    assert own["p3"] == ("resized", "max-trade-volume", Decimal("0.04"), Decimal("0.04"))
    assert Decision.objects.get(signal_id="p1").assumptions == ["settings-unknown"]
    assert not Decision.objects.filter(signal_id="p1").exclude(subscriber_id="a1").exists()


def test_the_log_tells_why_and_of_signals_that_nobody_copied(workspace, backend, connection):
    moment = datetime.now(UTC) - timedelta(minutes=30)
    line = {"symbol": "EURUSD", "strategyId": "s1", "positionId": "p9", "side": "buy", "type": "market"}
    backend.logs["s1"] = [
        {**line, "time": iso(moment), "level": "WARN", "message": "Not enough money.", "subscriberId": "a1"}
    ]
    settle(connection)
    work(workspace)
    row = Decision.objects.get(subscriber_id="a1")
    assert (row.outcome, row.reason) == ("skipped", "told-in-log")
    assert "Not enough money." in row.text
    assert Decision.objects.get(subscriber_id="a2").reason == NOT_IN_LOG


def logged(moment: datetime, **fields) -> dict:
    """A line of the log about a signal."""
    line = {"symbol": "EURUSD", "strategyId": "s1", "positionId": "p9", "side": "buy", "type": "market"}
    return {**line, "time": iso(moment), "level": "WARN", "message": "Not enough money.", **fields}


def test_history_that_nobody_copied_is_taken_up_from_the_log_alone(workspace, backend, connection):
    SyncState.objects.filter(kind=SyncKind.DECISIONS).update(cursor={})
    now = datetime.now(UTC)
    backend.logs["s1"] = [
        logged(now - timedelta(days=4), subscriberId="a1"),
        logged(now - timedelta(days=3), positionId="p8", level="INFO", message="Opened."),
        logged(now - timedelta(hours=2), positionId="p7", subscriberId="a1"),
    ]
    backend.add([deal(1, "a2", now - timedelta(hours=30), signal="p1")])
    for kind in (SyncKind.CONFIGURATION, SyncKind.PROVIDED, SyncKind.SUBSCRIBED, SyncKind.LOGS, SyncKind.DECISIONS):
        settle(connection, [kind])
    assert not MirroredSignal.objects.exists(), "it came before it was known that the backend tells no decisions"
    work(workspace)
    reasons = {key: told[1] for key, told in outcomes().items()}
    assert reasons["a1", "p9"] == "told-in-log", "of an account whose settings of that time nobody knows"
    assert {key[0]: reason for key, reason in reasons.items() if key[1] == "p8"} == dict.fromkeys(
        ("a1", "a2", "a3"), "settings-unknown"
    )
    assert reasons["a1", "p7"] == "told-in-log"
    assert reasons["a2", "p7"] == NOT_IN_LOG
    assert reasons["a3", "p7"] == "side-not-allowed"
    unknown = Decision.objects.filter(signal_id="p8")
    assert {(row.outcome, row.expected_lots, row.final_lots) for row in unknown} == {("skipped", None, 0)}
    assert {tuple(row.assumptions) for row in unknown} == {("settings-unknown",)}
    assert_counts_agree()
    before = list(Decision.objects.order_by("pk").values())
    MirroredSignal.objects.update(due_at=timezone.now())
    work(workspace)
    assert list(Decision.objects.order_by("pk").values()) == before


def test_history_from_before_is_taken_up_once(workspace, backend, connection):
    SyncState.objects.filter(kind=SyncKind.DECISIONS).update(cursor={})
    ages = (72, 40, 30, 2, 1)  # hours; days without a deal between them
    backend.add([deal(number, "a1", datetime.now(UTC) - timedelta(hours=age)) for number, age in enumerate(ages)])
    settle(connection, [SyncKind.CONFIGURATION])
    settle(connection, [SyncKind.PROVIDED])
    settle(connection, [SyncKind.SUBSCRIBED])
    assert not MirroredSignal.objects.exists()
    settle(connection, [SyncKind.DECISIONS])
    work(workspace)
    assert MirroredSignal.objects.count() == len(ages)
    assert Decision.objects.filter(subscriber_id="a1").count() == len(ages)
    MirroredSignal.objects.all().delete()
    work(workspace)
    assert not MirroredSignal.objects.exists(), "what was taken up is not taken up again"


def test_what_the_backend_tells_itself_replaces_what_was_concluded(workspace, backend, connection):
    moment = datetime.now(UTC) - timedelta(minutes=30)
    backend.add([deal(1, "a1", moment)])
    settle(connection)
    work(workspace)
    told = {
        "id": "1-0",
        "time": iso(moment),
        "signalId": "p1",
        "strategyId": "s1",
        "subscriberId": "a1",
        "sourceStrategyId": "s1",
        "symbol": "EURUSD",
        "subscriberSymbol": "EURUSD",
        "side": "buy",
        "outcome": "copied",
        "reason": "copied",
        "level": "none",
        "text": "Copied with 0.1 lots.",
    }
    backend.decisions = [told]
    settle(connection, [SyncKind.DECISIONS])
    work(workspace)
    own = Decision.objects.filter(subscriber_id="a1")
    assert [row.is_reconstructed for row in own] == [False]
    assert_counts_agree()


def test_a_backend_that_tells_its_decisions_has_none_reconstructed(workspace, backend, connection):
    backend.decisions = []
    settle(connection, [SyncKind.DECISIONS])
    backend.add([deal(1, "a1", datetime.now(UTC) - timedelta(minutes=30))])
    settle(connection)
    work(workspace)
    assert not MirroredSignal.objects.exists()
    assert not Decision.objects.exists()


def test_pages_files_and_the_overview_show_them_with_their_mark(
    workspace, backend, connection, alice, dora, sign_in, text_of
):
    moment = datetime.now(UTC) - timedelta(minutes=4)
    backend.add([deal(1, "a1", moment, strategy={"id": "s1", "name": "Trend"})])
    line = {"symbol": "EURUSD", "strategyId": "s1", "positionId": "p1", "side": "buy", "type": "market"}
    line |= {"time": iso(moment), "level": "ERROR", "message": "Secret words.", "subscriberId": "a2"}
    backend.logs["s1"] = [line]
    settle(connection)
    work(workspace)
    staff = sign_in(alice)
    page = text_of(staff.get("/decisions/?told=reconstructed"))
    assert page.count("reconstructed</span>") >= 3
    assert "No decision" in text_of(staff.get("/decisions/?told=backend"))
    assert "Secret words." in text_of(staff.get("/decisions/?reason=told-in-log"))
    row = next(csv.DictReader(io.StringIO(text_of(staff.get("/decisions/?format=csv&subscriber=a1")))))
    assert (row["is_reconstructed"], row["expected_lots"], row["assumed"]) == ("true", "0.1", "specification")
    copied = Decision.objects.get(subscriber_id="a1")
    detail = text_of(staff.get(f"/decisions/{copied.pk}/"))
    assert "reconstructed from deals" in detail
    assert "volume step are those that are usual at brokers" in detail
    if moment.date() == timezone.now().date():  # not just after midnight
        overview = text_of(staff.get("/"))
        assert "since midnight UTC, reconstructed" in overview
        assert "No signal has come today" not in overview
        assert 'data-flash="copies-copied">1<' in overview
    for name in ("a1", "a2", "a3"):
        dora.memberships.get().accesses.create(subscriber=connection.subscribers.get(backend_id=name))
    client = sign_in(dora)
    own = text_of(client.get("/me/decisions/"))
    assert own.count("Worked out from your deals and settings") == 3
    assert "Secret words." not in own
    assert "Secret words." not in text_of(client.get("/me/decisions/?format=csv"))


def test_queries_of_a_slice_do_not_grow_with_signals_and_accounts(
    workspace, backend, connection, django_assert_max_num_queries
):
    def due(number: int) -> list[MirroredSignal]:
        moment = datetime.now(UTC) - timedelta(minutes=30)
        backend.add([deal(number + n, "a1", moment + timedelta(seconds=n)) for n in range(number)])
        settle(connection)
        with transactions.atomic():
            return due_signals(connection.pk, now=timezone.now())

    few = due(1)
    with django_assert_max_num_queries(20):
        decide_signals(connection, few, now=timezone.now())
    many = due(12)
    assert len(many) == 12
    with django_assert_max_num_queries(20):
        decide_signals(connection, many, now=timezone.now())
    assert Decision.objects.count() == 39
