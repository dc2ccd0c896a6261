"""Accruals in turns and slices: one run per workspace, fair, and whole after a kill between slices."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from django.db import OperationalError, connection, connections
from django.utils import timezone

from reporting.commission import runs, services
from reporting.commission.services import Bounds, accrue_slice, due_accounts
from reporting.models import AccrualRun, AccrualState, DailyResult
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


def ended(workspace) -> AccrualRun:
    return AccrualRun.objects.get(workspace=workspace)


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
    assert set(firm.amounts()) == {5, 15}


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
    runs.ensure_runs()
    turn = runs.claim_due()
    started = time.monotonic()
    assert apart(runs.run_due, runs.run_due, runs.claim_due) == [0, 0, None]
    assert time.monotonic() - started < 5
    assert runs.count_startable() == 0
    runs.run_turn(turn, now=timezone.now(), stop_at=time.monotonic() + 20)
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
        turns = runs.run_due()
        go_on.set()
        return turns

    assert apart(closes, accrues) == [None, 1]
    assert firm.amounts() == []
    AccrualRun.objects.update(due_at=at(1, 1))
    assert runs.run_due() == 1
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
        if len(slices) == 3:  # PostgreSQL ends the connection of a worker that is killed
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return accrue_slice(account, run, bounds, waits=waits)

    monkeypatch.setattr(runs, "accrue_slice", dies)
    with pytest.raises(OperationalError):
        runs.run_due(bounds=ONE)
    connection.close()
    monkeypatch.undo()
    assert firm.lines.values("subscriber_id").distinct().count() == 2
    assert AccrualState.objects.get().settled_until is None
    assert runs.run_due(bounds=ONE) == 0  # its lease has not ended
    AccrualRun.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert runs.run_due(bounds=ONE) == 1
    assert firm.contents() == whole
    assert ended(firm.workspace).finished_at is not None


@pytest.mark.django_db(transaction=True)
def test_whoever_lost_the_lease_writes_nothing_more():
    firm = crowded()
    runs.ensure_runs()
    slow = runs.claim_due()
    AccrualRun.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert runs.claim_due() is not None
    runs.run_turn(slow, now=timezone.now(), stop_at=time.monotonic() + 20)
    assert firm.amounts() == []


def test_workspaces_and_strategies_have_turns():
    big, small = crowded(people=6), crowded(people=1)
    runs.ensure_runs()
    first = runs.claim_due()
    runs.run_turn(first, now=timezone.now(), stop_at=0, bounds=ONE)  # one slice, more is left
    second = runs.claim_due()
    assert {first.workspace_id, second.workspace_id} == {big.workspace.pk, small.workspace.pk}
    runs.run_turn(second, now=timezone.now(), stop_at=0, bounds=ONE)
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
    runs.run_due()
    assert {line.strategy_id for line in firm.lines} == {other.backend_id}
    assert broken.backend_id in ended(firm.workspace).error
    monkeypatch.undo()
    AccrualRun.objects.update(due_at=at(1, 1))
    runs.run_due()
    assert ended(firm.workspace).error == ""
    assert {line.strategy_id for line in firm.lines} == {other.backend_id, broken.backend_id}
