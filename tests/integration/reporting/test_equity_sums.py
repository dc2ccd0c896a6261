"""The sums of equity that are kept with the points say what all the points say, whatever happens in which order."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.cache import cache
from django.db import transaction
from django.utils import timezone

from reporting import equity_sums, overview, performance
from reporting.models import EquityMember, EquitySum, SyncKind, SyncState, Transaction
from reporting.sync.accounts import _keep_points
from subscribers.models import Subscriber, Subscription
from tests import builders

pytestmark = pytest.mark.django_db
START = datetime(2026, 3, 1, tzinfo=UTC)
DAYS = 6


@pytest.fixture
def firm(workspace):
    """Two connections with two strategies and five accounts each, in two currencies; nobody follows anything yet."""
    for name in ("first", "second"):
        linked = builders.connection(workspace, name=name, base_url=f"http://127.0.0.1/{name}")
        SyncState.objects.create(connection=linked, kind=SyncKind.EQUITY, due_at=timezone.now())
        for number in range(2):
            builders.strategy(linked, backend_id=f"s{number}", name=f"{name} {number}")
        for number in range(5):
            builders.subscriber(linked, backend_id=f"a{number}", currency=("USD", "EUR")[number % 2])
    return workspace


def store(connection, *points, replace=True) -> None:
    """points: (account, moment, equity, net deposits or None)."""
    with transaction.atomic():
        rows = [
            (account, moment, Decimal(0), Decimal(equity), deposits) for account, moment, equity, deposits in points
        ]
        _keep_points(connection, rows, replace=replace)


def follow(connection, account: str, strategy: str) -> None:
    owner = Subscriber.objects.get(connection=connection, backend_id=account)
    terms = {"strategy": connection.strategies.get(backend_id=strategy), "first_seen_at": START, "is_removed": False}
    Subscription.objects.update_or_create(subscriber=owner, strategy_backend_id=strategy, defaults=terms)


def settle(workspace) -> None:
    for linked in workspace.connections.all():
        assert equity_sums.follow_members(linked, save=lambda: None)


def figures(workspace, *, of_sums: bool, monkeypatch) -> dict:
    """Everything that pages read, from the sums or from the points."""
    cache.clear()
    monkeypatch.setattr(equity_sums, "are_complete", lambda ids: of_sums)
    curves = {
        (currency, step): overview._read_curve(workspace, currency, step)
        for currency in ("USD", "EUR")
        for step in (3600, 86_400)
    }
    strategies = [strategy for linked in workspace.connections.all() for strategy in linked.strategies.all()]
    changes = performance._followers_changes(strategies)
    for strategy in strategies:
        own = changes.get((strategy.connection_id, strategy.backend_id), {})
        curves[strategy.pk] = {
            currency: [(day, round(change, 4), round(moved, 4)) for day, change, moved in days]
            for currency, days in sorted(own.items())
        }
    return curves


def compare(workspace, monkeypatch) -> dict:
    of_sums = figures(workspace, of_sums=True, monkeypatch=monkeypatch)
    assert of_sums == figures(workspace, of_sums=False, monkeypatch=monkeypatch)
    return of_sums


def moments(chance: random.Random) -> Iterator[datetime]:
    """Some times within the days, on full hours and beside them, the same one more than once."""
    while True:
        hour = START + timedelta(hours=chance.randrange(24 * DAYS))
        yield hour + timedelta(minutes=chance.choice((0, 0, 0, 17)))


@pytest.mark.parametrize("seed", range(8))
def test_sums_are_the_sums_of_the_points(firm, monkeypatch, seed):
    chance = random.Random(seed)
    times, linked = moments(chance), list(firm.connections.all())
    for _ in range(40):
        connection = chance.choice(linked)
        match chance.randrange(8):
            case 0 | 1 | 2 | 3:
                points = {}
                for _ in range(chance.randrange(1, 12)):
                    account = f"a{chance.randrange(5)}"
                    deposits = Decimal(chance.randrange(3) * 100) if account != "a4" else None
                    points[account, next(times)] = (chance.randrange(1000, 2000), deposits)
                rows = [(account, moment, *figure) for (account, moment), figure in points.items()]
                store(connection, *rows, replace=chance.random() < 0.8)
            case 4 | 5:
                follow(connection, f"a{chance.randrange(5)}", f"s{chance.randrange(2)}")
            case 6:
                own = Subscription.objects.filter(subscriber__connection=connection).order_by("?").first()
                if own is not None:
                    Subscription.objects.filter(pk=own.pk).update(is_removed=True)
            case 7:
                one = Subscriber.objects.filter(connection=connection, backend_id=f"a{chance.randrange(5)}")
                one.update(currency=chance.choice(("USD", "EUR", "")))
        if chance.random() < 0.3:
            settle(firm)
            compare(firm, monkeypatch)
    settle(firm)
    curves = compare(firm, monkeypatch)
    assert any(curves.values())


def test_money_that_only_deals_tell_of_is_no_result(firm, monkeypatch):
    linked = firm.connections.first()
    follow(linked, "a0", "s0")
    days = [START + timedelta(days=day, hours=hour) for day in range(4) for hour in (9, 18)]
    store(linked, *[("a0", moment, 1000, None) for moment in days])
    settle(firm)
    deals = ((days[2], "s0", "deal0"), (days[2], "s1", "deal0"), (days[0] - timedelta(days=2), "s0", "deal1"))
    for when, strategy, deal in deals:
        Transaction.objects.create(
            workspace=firm,
            connection=linked,
            backend_id=deal,
            subscriber_id="a0",
            strategy_id=strategy,
            time=when + timedelta(minutes=1),
            type="DEAL_TYPE_BALANCE",
            profit=200,
            swap=0,
            provider_commission=0,
            platform_commission=0,
            improvement=0,
        )
    assert EquityMember.objects.get(connection=linked, account_id="a0", strategy_id="").has_deposits is False
    curves = compare(firm, monkeypatch)
    moved = [moved for _, _, moved in curves["USD", 86_400]]
    assert moved == [1000, 200, 0, 0]  # one deal that came with two strategies; what was before the account is no flow
    strategy = linked.strategies.get(backend_id="s0")
    assert [moved for _, _, moved in curves[strategy.pk]["USD"]] == [1000, 200, 0, 0]


def test_sums_are_read_once_they_hold_everybody(firm):
    ids = list(firm.connections.values_list("pk", flat=True))
    assert not equity_sums.are_complete(ids)
    states = SyncState.objects.filter(kind=SyncKind.EQUITY).order_by("connection_id")
    states.filter(connection_id=ids[0]).update(cursor={equity_sums.CURSOR_KEY: True})
    assert equity_sums.are_complete(ids[:1])
    assert not equity_sums.are_complete(ids)
    SyncState.objects.create(
        connection_id=ids[1], kind=SyncKind.ACCOUNTS, due_at=timezone.now(), cursor={equity_sums.CURSOR_KEY: True}
    )
    assert equity_sums.are_complete(ids)


def test_many_members_are_followed_some_at_a_time(firm, monkeypatch):
    monkeypatch.setattr(equity_sums, "SLICE", 3)
    linked, saves = firm.connections.first(), []
    store(linked, *[(f"a{n}", START, 1000, None) for n in range(5)])
    assert equity_sums.follow_members(linked, save=lambda: saves.append(EquityMember.objects.count()))
    assert saves == [3, 5]
    assert equity_sums.follow_members(linked, save=lambda: None, budget_s=0) is False
    assert sum(EquitySum.objects.values_list("change", flat=True)) == 5000


def test_the_figures_of_many_strategies_take_as_many_queries_as_of_one(firm, monkeypatch, django_assert_num_queries):
    monkeypatch.setattr(equity_sums, "are_complete", lambda ids: True)
    strategies = [strategy for linked in firm.connections.all() for strategy in linked.strategies.all()]
    for listed in (strategies[:1], strategies):
        cache.clear()
        with django_assert_num_queries(3):  # followers, sums, and the rates that the workspace entered
            performance.strategy_figures(firm, listed, now=START)
