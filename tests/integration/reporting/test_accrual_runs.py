"""Accruals in turns and slices: one run per workspace, fair, and whole after a kill between slices."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from django.db import connection, connections
from django.utils import timezone

from jobs import queue, run, upkeep
from jobs.kinds import KINDS
from jobs.models import Job
from reporting.commission import runs, services
from reporting.commission.services import Bounds, accrue_slice, due_accounts
from reporting.models import AccrualState, DailyResult
from tests import builders
from tests.firm import SCHEMES, Firm, at

pytestmark = pytest.mark.django_db
ONE = Bounds(subscribers=1)


def crowded(scheme="amount-won", people=5, **more) -> Firm:
    """A firm with several subscribers, each with a deal in April and one in May."""
    firm = Firm(scheme, 0.2, **more)
    for number in range(people):
        one = builders.subscriber(firm.connection)
        builders.subscription(one, firm.strategy, first_seen_at=at(4, 1))
        firm.deal(at(4, 4 + number), "10", subscriber=one)
        firm.deal(at(5, 4), "30", subscriber=one)
        firm.deal(at(5, 4), subscriber=one, side="open")
    return firm


@pytest.fixture(autouse=True)
def _slices(monkeypatch):
    monkeypatch.setattr(runs, "SLICE", ONE)
    monkeypatch.delitem(KINDS, "retention")  # the turns that are counted here are those of accruals
    monkeypatch.delitem(KINDS, "reconstruction")


def ended(workspace) -> Job:
    return Job.objects.get(workspace=workspace, kind="accrual")


def run_due() -> int:
    """What a worker does when it is woken: turns until nothing is due."""
    upkeep.ensure_standing()
    return run.run_due()


def turn(seconds: float = 20) -> int:
    """One turn of whoever is next; returns the workspace."""
    lease = queue.claim_due()
    run.run_turn(lease, stop_at=time.monotonic() + seconds)
    return Job.objects.get(pk=lease.job_id).workspace_id


def apart(*functions):
    """Run each in a thread of its own, with its own connection; returns their results."""
    results = {}

    def call(number, function):
        try:
            results[number] = function()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=call, args=pair) for pair in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return [results.get(number) for number in range(len(functions))]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_slices_make_the_lines_of_one_transaction(scheme):
    firm = crowded(scheme)
    firm.accrue()
    whole, total = firm.contents(), firm.total
    firm.lines.delete()
    AccrualState.objects.all().delete()
    DailyResult.objects.update(is_accrued=False)
    services.accrue_workspace(firm.workspace.pk, at(5, 20, 12), ONE)
    assert firm.contents() == whole
    assert firm.total == total
    services.accrue_workspace(firm.workspace.pk, at(5, 20, 12), ONE)
    assert firm.contents() == whole


@pytest.mark.parametrize(("most", "slices"), [(1, 5), (2, 3), (3, 2), (4, 2), (5, 1), (6, 1)])
def test_a_slice_is_bounded_by_subscribers(most, slices):
    firm = crowded()
    ((account, run),) = due_accounts(firm.workspace.pk, at(5, 20))
    number, more = 0, True
    while more:
        _, more = accrue_slice(account, run, Bounds(subscribers=most))
        number += 1
    assert number == slices


def test_a_slice_is_bounded_by_deals_but_takes_one_subscriber_in_any_case():
    firm = crowded(people=3)
    DailyResult.objects.update(deals=10)  # 20 of each subscriber
    ((account, run),) = due_accounts(firm.workspace.pk, at(5, 20))
    assert [accrue_slice(account, run, Bounds(deals=40))[0].subscriptions for _ in range(2)] == [2, 1]
    DailyResult.objects.update(is_accrued=False)
    assert accrue_slice(account, run, Bounds(deals=1))[0].subscriptions == 1


def test_a_pass_begins_again_when_its_terms_change_meanwhile():
    firm = crowded()
    ((account, run),) = due_accounts(firm.workspace.pk, at(5, 20))
    accrue_slice(account, run, ONE)
    firm.change_scheme(commissionRate=0.5)
    services.accrue_workspace(firm.workspace.pk, at(5, 20), ONE)
    assert set(firm.amounts()) == {2, 6}  # made before the change
    assert {line.policy["terms"] for line in firm.lines} == {1}
    for subscriber in firm.connection.subscribers.all():
        firm.deal(at(5, 21), "10", subscriber=subscriber)
    services.accrue_workspace(firm.workspace.pk, at(5, 22), ONE)
    assert set(firm.amounts()) == {2, 6, 5}
    assert AccrualState.objects.get().pass_key == ""


def test_what_arrives_behind_a_pass_is_taken_up_after_it():
    firm = crowded()
    ((account, run),) = due_accounts(firm.workspace.pk, at(5, 20))
    accrue_slice(account, run, ONE)
    done = firm.lines.first().subscriber_id
    firm.deal(at(5, 6), "100", subscriber=firm.connection.subscribers.get(backend_id=done))
    services.accrue_workspace(firm.workspace.pk, at(5, 20), ONE)
    services.accrue_workspace(firm.workspace.pk, at(5, 20), ONE)
    assert 20 in firm.amounts()
    assert not DailyResult.objects.filter(is_accrued=False).exists()


@pytest.mark.django_db(transaction=True)
def test_a_second_copy_goes_home_at_once():
    firm = crowded()
    upkeep.ensure_standing()
    lease = queue.claim_due()
    started = time.monotonic()
    assert apart(run_due, run_due, queue.claim_due) == [0, 0, None]
    assert time.monotonic() - started < 5
    assert queue.count_startable() == 0
    run.run_turn(lease, stop_at=time.monotonic() + 20)
    assert len(firm.amounts()) == 10


@pytest.mark.django_db(transaction=True)
def test_a_strategy_that_is_being_closed_does_not_hold_a_worker():
    firm, began, go_on = crowded(), threading.Event(), threading.Event()
    AccrualState.objects.create(connection=firm.connection, strategy_id=firm.strategy.backend_id)
    ((account, _),) = due_accounts(firm.workspace.pk, at(5, 20))

    def closes():
        with services.transaction.atomic():
            services._lock(account)
            began.set()
            go_on.wait(20)

    def accrues():
        began.wait(20)
        turns = run_due()
        go_on.set()
        return turns

    assert apart(closes, accrues) == [None, 1]
    assert firm.amounts() == []
    Job.objects.update(due_at=at(1, 1))
    assert run_due() == 1
    assert len(firm.amounts()) == 10


@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_between_slices_is_taken_over_where_it_was(monkeypatch):
    firm = crowded()
    services.accrue_workspace(firm.workspace.pk, timezone.now())
    whole = firm.contents()
    firm.lines.delete()
    AccrualState.objects.all().delete()
    DailyResult.objects.update(is_accrued=False)
    slices = []

    def dies(account, run, bounds, *, waits):
        slices.append(account)
        if len(slices) == 3:
            raise SystemExit  # nothing of the worker goes on, as after a kill
        return accrue_slice(account, run, bounds, waits=waits)

    monkeypatch.setattr(runs, "accrue_slice", dies)
    with pytest.raises(SystemExit):
        run_due()
    monkeypatch.setattr(runs, "accrue_slice", accrue_slice)
    assert firm.lines.values("subscriber_id").distinct().count() == 2
    assert AccrualState.objects.get().settled_until is None
    assert run_due() == 0  # its lease has not ended
    Job.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert run_due() == 1
    assert firm.contents() == whole
    assert ended(firm.workspace).finished_at is not None


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_the_database_ends_costs_one_slice_and_a_pause(monkeypatch):
    firm = crowded()
    services.accrue_workspace(firm.workspace.pk, timezone.now())
    whole = firm.contents()
    firm.lines.delete()
    AccrualState.objects.all().delete()
    DailyResult.objects.update(is_accrued=False)
    slices = []

    def loses_its_connection(account, run, bounds, *, waits):
        slices.append(account)
        if len(slices) == 3:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return accrue_slice(account, run, bounds, waits=waits)

    monkeypatch.setattr(runs, "accrue_slice", loses_its_connection)
    run_due()
    assert firm.lines.values("subscriber_id").distinct().count() == 2
    job = ended(firm.workspace)
    assert (job.attempts, job.lease_token, job.state) == (1, None, "running")
    Job.objects.update(due_at=at(1, 1))
    run_due()
    assert firm.contents() == whole


@pytest.mark.django_db(transaction=True)
def test_whoever_lost_the_lease_writes_nothing_more():
    firm = crowded()
    upkeep.ensure_standing()
    slow = queue.claim_due()
    Job.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert queue.claim_due() is not None
    run.run_turn(slow, stop_at=time.monotonic() + 20)
    assert firm.amounts() == []


def test_workspaces_and_strategies_have_turns():
    big, small = crowded(people=6), crowded(people=1)
    upkeep.ensure_standing()
    first, second = turn(0), turn(0)  # one slice each, more is left of the first one
    assert {first, second} == {big.workspace.pk, small.workspace.pk}
    assert big.lines.exists()
    assert small.lines.exists()


def test_a_strategy_in_trouble_does_not_stop_the_others(monkeypatch):
    firm = crowded()
    other = builders.strategy(firm.connection, document=firm.strategy.document)
    broken, firm.strategy = firm.strategy, other
    firm.deal(at(5, 4), "10")

    def fails(account, run, bounds, *, waits):
        if account.strategy_id == broken.backend_id:
            raise ValueError("a document that nobody expected")
        return accrue_slice(account, run, bounds, waits=waits)

    monkeypatch.setattr(runs, "accrue_slice", fails)
    run_due()
    assert {line.strategy_id for line in firm.lines} == {other.backend_id}
    assert ended(firm.workspace).result["is_error"] is True
    assert broken.backend_id in ended(firm.workspace).message
    monkeypatch.undo()
    Job.objects.update(due_at=at(1, 1))
    run_due()
    assert ended(firm.workspace).result["is_error"] is False
    assert {line.strategy_id for line in firm.lines} == {other.backend_id, broken.backend_id}


@pytest.mark.django_db(transaction=True)
def test_the_queue_of_the_version_before_becomes_jobs_and_back():
    from importlib import import_module

    migration = import_module("reporting.migrations.0006_accrual_as_job")
    firm, broken = crowded(people=1), crowded(people=1)
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMPORARY TABLE reporting_accrualrun (workspace_id bigint, due_at timestamptz, position text,"
            " started_at timestamptz, finished_at timestamptz, error text)"
        )
        rows = [(firm.workspace.pk, "000000000001:s1", ""), (broken.workspace.pk, "", "It met an error.")]
        insert = "INSERT INTO reporting_accrualrun VALUES (%s, '2026-05-20', %s, '2026-05-19', '2026-05-19', %s)"
        cursor.executemany(insert, rows)
        cursor.execute(migration.MOVE)
        assert upkeep.ensure_standing() == 0, "nothing is missing"
        assert ended(firm.workspace).cursor == {"position": "000000000001:s1"}
        assert ended(broken.workspace).result == {"text": "It met an error.", "is_error": True}
        assert run_due() == 2
        assert len(firm.amounts()) == 2
        cursor.execute("DELETE FROM reporting_accrualrun")
        cursor.execute(migration.MOVE_BACK)
        cursor.execute("SELECT count(*) FROM reporting_accrualrun")
        assert cursor.fetchone() == (2,)
        cursor.execute("DROP TABLE reporting_accrualrun")
    assert not Job.objects.filter(kind="accrual").exists()
