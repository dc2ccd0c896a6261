"""Versions of documents: one for each that the mirror saw, none twice, none for what is unchanged, by two at once."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection as database

from reporting.models import SyncKind
from strategies import versions
from strategies.mirror import keep_strategies
from strategies.models import Strategy
from strategies.targets import StrategyTarget
from strategies.versions import ConfigurationLook, Described, DocumentVersion
from subscribers.mirror import keep_subscribers
from tests import builders
from tests.faults.mirroring import settle
from tests.faults.sim_backend import SimBackend

pytestmark = pytest.mark.django_db
START = datetime(2026, 3, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def backend(workspace):
    return builders.connection(workspace)


def strategy(**fields) -> dict:
    return {"_id": "s1", "name": "Trend", **fields}


def spans() -> list[tuple]:
    """(maximum volume, from, certainly until, until) in minutes, oldest first."""

    def minutes(moment):
        return None if moment is None else (moment - START) / MINUTE

    return [
        (v.document.get("maxTradeVolume"), minutes(v.first_seen_at), minutes(v.last_seen_at), minutes(v.replaced_at))
        for v in DocumentVersion.objects.order_by("first_seen_at", "pk")
    ]


def test_an_unchanged_document_has_one_version_however_often_it_is_seen(backend):
    for minute in range(3):
        keep_strategies(backend, [strategy(maxTradeVolume=1)], now=START + minute * MINUTE)
        versions.note_look(backend, now=START + minute * MINUTE)
    assert spans() == [(1, 0, None, None)]


def test_a_change_ends_one_version_and_begins_another_with_the_time_in_between(backend):
    keep_strategies(backend, [strategy(maxTradeVolume=1)], now=START)
    versions.note_look(backend, now=START + 4 * MINUTE)
    keep_strategies(backend, [strategy(maxTradeVolume=2)], now=START + 5 * MINUTE)
    assert spans() == [(1, 0, 4, 5), (2, 5, None, None)]
    first, second = DocumentVersion.objects.order_by("first_seen_at")
    assert [first.is_certain_at(START + minute * MINUTE) for minute in (3, 4, 5)] == [True, True, False]
    assert [first.holds_at(START + minute * MINUTE) for minute in (-1, 0, 4, 5)] == [False, True, True, False]
    assert second.holds_at(START + 5 * MINUTE)


def test_a_version_that_comes_back_is_a_version_of_its_own(backend):
    for minute, volume in enumerate((1, 2, 1)):
        keep_strategies(backend, [strategy(maxTradeVolume=volume)], now=START + minute * MINUTE)
    assert [(volume, begin, end) for volume, begin, _, end in spans()] == [(1, 0, 1), (2, 1, 2), (1, 2, None)]


def test_what_was_read_before_an_edit_and_mirrored_after_it_ends_nothing_before_it_began(backend):
    keep_strategies(backend, [strategy(maxTradeVolume=1)], now=START)
    keep_strategies(backend, [strategy(maxTradeVolume=2)], now=START + 5 * MINUTE)
    keep_strategies(backend, [strategy(maxTradeVolume=1)], now=START + 4 * MINUTE)
    assert all(v.replaced_at is None or v.replaced_at >= v.first_seen_at for v in DocumentVersion.objects.all())
    assert [volume for volume, _, _, end in spans() if end is None] == [1]


def test_kinds_and_connections_are_told_apart(backend, workspace):
    other = builders.connection(workspace, name="Other")
    keep_strategies(backend, [strategy()], now=START)
    keep_strategies(backend, [{"_id": "p1", "name": "Mix", "members": []}], kind="portfolio", now=START)
    keep_subscribers(backend, [{"_id": "s1", "name": "A client", "subscriptions": []}], now=START)
    keep_strategies(other, [strategy()], now=START)
    kinds = DocumentVersion.objects.filter(connection=backend).values_list("kind", "backend_id")
    assert set(kinds) == {("strategy", "s1"), ("portfolio", "p1"), ("subscriber", "s1")}
    assert DocumentVersion.objects.filter(connection=other).count() == 1


def test_secrets_are_in_no_version(backend):
    publishing = {"publishing": {"token": "123:secret", "chatId": "1", "template": "x"}}
    keep_strategies(backend, [strategy(telegram=publishing)], now=START)
    assert "secret" not in str(DocumentVersion.objects.get().document)
    publishing["publishing"]["token"] = "456:another"
    keep_strategies(backend, [strategy(telegram=publishing)], now=START + MINUTE)
    assert DocumentVersion.objects.count() == 1, "what differs is hidden: the document says the same"


def test_what_is_gone_has_no_version_in_force_and_begins_anew_when_it_comes_back(backend):
    keep_strategies(backend, [strategy(maxTradeVolume=1)], now=START)
    StrategyTarget().mirror(backend, "s1", None, now=START + MINUTE)
    assert spans() == [(1, 0, 0, 1)]
    assert versions.end_versions(backend, Described.STRATEGY, ["s1"], now=START + 2 * MINUTE) == 0
    keep_strategies(backend, [strategy(maxTradeVolume=1)], now=START + 3 * MINUTE)
    assert [(begin, end) for _, begin, _, end in spans()] == [(0, 1), (3, None)]


@pytest.mark.parametrize(("number", "kept"), [(2, 2), (3, 3), (4, 3)])
def test_of_one_document_so_many_versions_are_kept(backend, number, kept):
    for minute in range(number):
        documents = [("s1", f'{{"maxTradeVolume": {minute}}}')]
        versions.keep_versions(backend, Described.STRATEGY, documents, now=START + minute * MINUTE, most=3)
    assert [volume for volume, *_ in spans()] == list(range(number))[-kept:]


@pytest.mark.parametrize(("late", "left"), [(timedelta(0), 2), (timedelta(microseconds=1), 1)])
def test_what_was_replaced_long_ago_goes_with_the_next_look(backend, late, left):
    for minute in range(2):
        keep_strategies(backend, [strategy(maxTradeVolume=minute)], now=START + minute * MINUTE)
    versions.note_look(backend, now=START + MINUTE + versions.KEPT + late)
    assert DocumentVersion.objects.count() == left


def test_only_staff_of_the_workspace_sees_versions(backend, alice, charlie, dora):
    keep_strategies(backend, [strategy()], now=START)
    visible = [DocumentVersion.objects.visible_to(p.memberships.first()).count() for p in (alice, charlie, dora)]
    assert visible == [1, 0, 0]


@pytest.mark.parametrize(
    ("start", "end", "volumes"), [(-2, -1, []), (-2, 0, [1]), (0, 0, [1]), (1, 1, [2]), (0, 1, [1, 2]), (2, 9, [2])]
)
def test_versions_of_a_stretch_of_time(backend, start, end, volumes):
    for minute, volume in enumerate((1, 2)):
        keep_strategies(backend, [strategy(maxTradeVolume=volume)], now=START + minute * MINUTE)
    own = DocumentVersion.objects.during(START + start * MINUTE, START + end * MINUTE).order_by("first_seen_at")
    assert [version.document["maxTradeVolume"] for version in own] == volumes


@pytest.mark.django_db(transaction=True)
def test_two_syncs_at_once_keep_one_version_of_each(backend):
    barrier = threading.Barrier(2)

    def mirror(volumes):
        try:
            for minute, volume in enumerate(volumes):
                barrier.wait()
                documents = [{"_id": f"s{n}", "name": "x", "maxTradeVolume": volume} for n in range(20)]
                keep_strategies(backend, documents, now=START + minute * MINUTE)
        finally:
            database.close()

    threads = [threading.Thread(target=mirror, args=([1, 1, 2, 3, 3],)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Strategy.objects.count() == 20
    for number in range(20):
        own = DocumentVersion.objects.filter(backend_id=f"s{number}").order_by("first_seen_at", "pk")
        assert [version.document["maxTradeVolume"] for version in own] == [1, 2, 3]


@pytest.mark.django_db(transaction=True)
def test_the_sync_of_configuration_keeps_what_was_and_when_it_looked(workspace):
    with SimBackend() as running:
        running.strategies.append({"_id": "s1", "name": "Trend", "maxTradeVolume": 1})
        running.subscribers.append({"_id": "a1", "name": "A", "subscriptions": [{"strategyId": "s1"}]})
        backend = builders.connection(workspace, base_url=running.url)
        settle(backend, [SyncKind.CONFIGURATION])
        first = ConfigurationLook.objects.get().looked_at
        settle(backend, [SyncKind.CONFIGURATION])
        assert ConfigurationLook.objects.get().looked_at > first
        running.strategies[0] = {"_id": "s1", "name": "Trend", "maxTradeVolume": 2}
        running.subscribers.clear()
        second = ConfigurationLook.objects.get().looked_at
        settle(backend, [SyncKind.CONFIGURATION])
    own = DocumentVersion.objects.filter(backend_id="s1").order_by("first_seen_at")
    assert [version.document["maxTradeVolume"] for version in own] == [1, 2]
    assert own[0].last_seen_at == second
    gone = DocumentVersion.objects.get(kind=Described.SUBSCRIBER)
    assert gone.replaced_at is not None
