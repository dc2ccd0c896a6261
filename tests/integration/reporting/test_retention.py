"""How long records are kept: what is removed when, what never is, what is said about it, and who may choose."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from copying.contract.accounts import DecisionDocument, DecisionPage
from jobs.models import Job
from reporting import removal, retention
from reporting.models import Decision, DecisionCount, LogRecord, OpenTrade, RecordKind, Retention, Transaction
from reporting.sync.decisions import Batch, _batches, store
from tests import builders
from tests.integration.conftest import make_deal
from tests.integration.reporting.test_decision_pages import decide
from users.models import AuditEntry, Workspace

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 29, 13, 30, tzinfo=UTC)
LIMIT = datetime(2026, 8, 31, tzinfo=UTC)  # 90 days before, at the beginning of the day
DECISIONS, LOG = RecordKind.DECISIONS.value, RecordKind.LOG.value


@pytest.fixture
def account(workspace):
    backend = builders.connection(workspace)
    strategy = builders.strategy(backend)
    account = builders.subscriber(backend)
    account.strategy = strategy
    return account


def decided(account, time: datetime, **fields) -> Decision:
    decision = decide(account, account.strategy, **fields)
    Decision.objects.filter(pk=decision.pk).update(time=time)
    return decision


def logged(account, time: datetime, **fields) -> LogRecord:
    return LogRecord.objects.create(
        workspace=account.workspace,
        connection=account.connection,
        time=time,
        level="INFO",
        message="m",
        digest=str(LogRecord.objects.count()),
        **fields,
    )


def keep(workspace: Workspace, kind: str, days: int | None = 90) -> Retention:
    return Retention.objects.create(workspace=workspace, kind=kind, days=days)


def remove(row: Retention, *, now: datetime = NOW, most: int = 2) -> int:
    total = 0
    while number := removal.remove_slice(row.pk, now=now, most=most):
        assert number <= most
        total += number
    return total


def test_nothing_goes_where_nothing_was_chosen(account):
    decided(account, NOW - timedelta(days=5000))
    assert list(removal.slices(_work(account)))[-1].result is not None
    assert Decision.objects.count() == 1
    row = keep(account.workspace, DECISIONS, None)
    assert (remove(row), Decision.objects.count()) == (0, 1)
    assert retention.kept_from(account.workspace.pk, DECISIONS) is None


def _work(account, now: datetime = NOW):
    from jobs.kinds import Work

    return Work(job=Job(workspace=account.workspace, kind="retention"), membership=None, now=now)


@pytest.mark.parametrize(("kind", "make", "model"), [(DECISIONS, decided, Decision), (LOG, logged, LogRecord)])
def test_whole_days_go_and_the_day_of_the_limit_stays(kind, make, model, account):
    moment = timedelta(microseconds=1)
    old = [make(account, LIMIT - age).pk for age in (timedelta(days=400), timedelta(days=1), moment)]
    stays = [make(account, time).pk for time in (LIMIT, LIMIT + moment, NOW)]
    row = keep(account.workspace, kind)
    assert remove(row) == len(old)
    assert sorted(model.objects.values_list("pk", flat=True)) == stays
    row.refresh_from_db()
    assert (row.kept_from, row.removed) == (LIMIT, 3)
    assert remove(row, now=NOW + timedelta(days=1)) == 2
    assert remove(row, now=NOW) == 0, "a clock that goes back keeps nothing that is gone"
    assert retention.kept_from(account.workspace.pk, kind) == LIMIT + timedelta(days=1)


def test_other_firms_other_kinds_deals_and_counts_stay(account):
    elsewhere = builders.workspace("Other")
    other = builders.subscriber(builders.connection(elsewhere))
    other.strategy = builders.strategy(other.connection)
    theirs = decided(other, LIMIT - timedelta(days=9))
    decided(account, LIMIT - timedelta(days=9))
    line = logged(account, LIMIT - timedelta(days=9))
    make_deal(account, account.strategy, "d1", LIMIT - timedelta(days=9))
    day = (LIMIT - timedelta(days=9)).date()
    DecisionCount.objects.create(
        workspace=account.workspace,
        connection=account.connection,
        subscriber_id="s",
        strategy_id="t",
        day=day,
        outcome="copied",
        reason="copied",
        decisions=1,
    )
    assert remove(keep(account.workspace, DECISIONS)) == 1
    assert list(Decision.objects.values_list("pk", flat=True)) == [theirs.pk]
    assert LogRecord.objects.filter(pk=line.pk).exists()
    assert Transaction.objects.count() == 1
    assert DecisionCount.objects.count() == 1


def test_what_belongs_to_an_open_signal_stays_until_it_is_over(account):
    signal = OpenTrade.objects.create(
        workspace=account.workspace,
        connection=account.connection,
        strategy_id=account.strategy.backend_id,
        signal_id="long",
        state="open",
        symbol="EURUSD",
        side="buy",
        opened_at=LIMIT - timedelta(days=99),
        copies=1,
    )
    stays = decided(account, LIMIT - timedelta(days=99), signal="long")
    for number in range(5):
        decided(account, LIMIT - timedelta(days=9, minutes=number), signal="short")
    line = logged(account, LIMIT - timedelta(days=99), position_id="long")
    rows = keep(account.workspace, DECISIONS), keep(account.workspace, LOG)
    assert [remove(row) for row in rows] == [5, 0]
    assert list(Decision.objects.values_list("pk", flat=True)) == [stays.pk]
    signal.delete()
    assert [remove(row) for row in rows] == [1, 1]
    assert not LogRecord.objects.filter(pk=line.pk).exists()


def test_a_shorter_choice_waits_a_day_and_can_be_taken_back(account, alice):
    old = decided(account, NOW - timedelta(days=100))
    choose = retention.choose
    row = choose(account.workspace, DECISIONS, 365, by=alice, now=NOW - timedelta(days=3))
    assert (row.days, row.next_days) == (None, 365)
    row = choose(account.workspace, DECISIONS, 90, by=alice, now=NOW)
    assert (row.days, row.next_days, row.next_at) == (365, 90, NOW + retention.GRACE)
    again = choose(account.workspace, DECISIONS, 90, by=alice, now=NOW + timedelta(hours=5))
    assert again.next_at == NOW + retention.GRACE, "the same choice does not begin to wait anew"
    assert remove(row, now=NOW + timedelta(hours=23)) == 0
    row = choose(account.workspace, DECISIONS, 365, by=alice, now=NOW + timedelta(hours=23))
    assert (row.days, row.next_days, row.next_at) == (365, None, None)
    assert remove(row, now=NOW + timedelta(days=2)) == 0
    assert Decision.objects.filter(pk=old.pk).exists()
    row = choose(account.workspace, DECISIONS, 30, by=alice, now=NOW + timedelta(days=2))
    assert remove(row, now=row.next_at - timedelta(microseconds=1)) == 0
    assert remove(row, now=row.next_at) == 1
    row.refresh_from_db()
    assert (row.days, row.next_at) == (30, None)
    changes = AuditEntry.objects.filter(action="retention changed").order_by("occurred_at")
    assert [change.details["after"] for change in changes] == ["365 days", "90 days", "365 days", "30 days"]
    with pytest.raises(ValueError, match="31 days"):
        choose(account.workspace, DECISIONS, 31, by=alice, now=NOW)


def test_what_was_removed_is_not_taken_in_again(account):
    """A sync that begins anew meets the old decisions: they were counted when they came."""
    remove(keep(account.workspace, DECISIONS))
    limit = retention.kept_from(account.workspace.pk, DECISIONS)

    def told(number: int, time: datetime) -> DecisionDocument:
        return DecisionDocument(
            id=f"{number}.0",
            time=time,
            signal_id="s",
            strategy_id="t",
            subscriber_id="a",
            symbol="EURUSD",
            outcome="copied",
            reason="copied",
            reason_text="Copied.",
        )

    page = DecisionPage(items=[told(1, LIMIT - timedelta(microseconds=1)), told(2, LIMIT)], next=None)

    class OnePage:
        def read(self, *_):
            return page

    (batch,) = _batches(OnePage(), "0.0", limit)
    assert isinstance(batch, Batch)
    assert store(batch, workspace_id=account.workspace.pk, connection_id=account.connection.pk) == 1
    assert Decision.objects.get().backend_id == "2.0"
    assert DecisionCount.objects.get().decisions == 1


def test_the_page_says_what_is_kept_and_an_owner_chooses(sign_in, account, alice, bob, dora):
    http = sign_in(alice)
    page = http.get("/settings/records/").content.decode()
    assert "for ever: fees are proved from them" in page
    answer = http.post("/settings/records/keep/", {"kind": "decisions", "days": "90"}, follow=True)
    assert "older than 90 days are removed from" in answer.content.decode()
    row = Retention.objects.get()
    assert (row.workspace, row.kind, row.days, row.next_days) == (account.workspace, "decisions", None, 90)
    for wrong in ({"kind": "decisions", "days": "31"}, {"kind": "deals", "days": "90"}, {"days": "90"}, {}):
        assert http.post("/settings/records/keep/", wrong).status_code == 422
    assert Retention.objects.count() == 1
    assert http.post("/settings/records/keep/", {"kind": "decisions", "days": ""}).status_code == 302
    assert Retention.objects.get().next_at is None
    assert sign_in(bob).post("/settings/records/keep/", {"kind": "decisions", "days": "30"}).status_code == 403
    assert sign_in(dora).get("/settings/records/").status_code == 404


@pytest.mark.parametrize("path", ["/decisions/", "/log/", "/me/decisions/"])
def test_lists_say_since_when_they_are_complete(path, sign_in, account, alice, dora):
    http = sign_in(dora if path.startswith("/me/") else alice)
    assert "are not kept any more" not in http.get(path).content.decode()
    for kind in RecordKind.values:
        Retention.objects.create(workspace=account.workspace, kind=kind, days=90, kept_from=LIMIT)
    assert re.search(r"from before 2026-08-31 are not kept any", http.get(path).content.decode())


def test_the_job_goes_through_all_kinds_in_slices(account, monkeypatch):
    monkeypatch.setattr(removal, "SLICE_ROWS", 2)
    monkeypatch.setattr(removal.remove_slice, "__kwdefaults__", {"most": 2})
    for number in range(5):
        decided(account, LIMIT - timedelta(days=1, minutes=number))
        logged(account, LIMIT - timedelta(days=1, minutes=number))
    for kind in RecordKind.values:
        keep(account.workspace, kind)
    steps = list(removal.slices(_work(account, timezone.now())))
    assert [step.done for step in steps] == [2, 4, 5, 7, 9, 10, 10]
    assert not Decision.objects.exists()
    assert not LogRecord.objects.exists()
