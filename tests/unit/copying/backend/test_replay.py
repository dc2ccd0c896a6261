"""A replay of the journal gives the same state and the same effects; a snapshot is the state."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from copying.backend.broker.paper import PaperBroker
from copying.backend.core.apply import apply
from copying.backend.core.render import Renderer, Rows
from copying.backend.state import snapshot
from copying.backend.state.book import Book
from copying.backend.state.commands import (
    Deposit,
    PutSignal,
    Remove,
    RemoveSignal,
    Resynchronise,
    Trade,
)
from copying.backend.state.effects import Deals
from copying.backend.state.times import iso
from tests.unit.copying.backend.desk import DAY, Desk

LIMIT = {"type": "date", "applyTo": "balance-minus-equity", "maxAbsoluteRisk": 80, "closePositions": True}
STEPS = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 5), st.floats(-1, 1), st.floats(0, 3 * DAY)), min_size=5, max_size=40
)


def play(steps: list[tuple[int, int, float, float]]) -> Desk:
    """Anything may happen in any order; what makes no sense is refused."""
    desk = Desk(slippage_spreads=0.1)
    desk.strategy("S")
    desk.strategy("T", "prov2", commissionScheme={"type": "lots-won", "billingPeriod": "week", "commissionRate": 3})
    desk.portfolio("P", [{"strategyId": "S"}, {"strategyId": "T", "multiplier": 0.5}])
    desk.subscriber("a", "S", settings={"riskLimits": [LIMIT]})
    desk.subscriber("b", "P", reverse=True)
    desk.account("c", currency="JPY", deposit=900_000)
    desk.subscriber("c", "P", signalDelay={"minInSeconds": 5, "maxInSeconds": 50})
    for kind, number, move, seconds in steps:
        bid = round(1.1 * (1 + move / 50), 5)
        desk.tick(seconds, snapshots=kind == 9, EURUSD=(bid, round(bid + 0.0001, 5)))
        signal_id, strategy = f"sig0000{number}", "ST"[number % 2]
        document = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "time": iso(desk.now - 30 * (number % 3))}
        document["volume"] = round(0.1 + abs(move), 2)
        when = datetime.fromtimestamp(desk.now, UTC)
        position = str(int(desk.book.positions.id[number])) if number < desk.book.positions.size else "0"
        desk.try_(
            [
                PutSignal(tenant="t", strategy_id=strategy, signal_id=signal_id, document=document),
                RemoveSignal(tenant="t", strategy_id=strategy, signal_id=signal_id, time=when),
                Trade(
                    tenant="t",
                    account_id="prov",
                    action_type="ORDER_TYPE_SELL",
                    symbol="EURUSD",
                    volume_lots=0.2,
                    stop_loss=1.12,
                ),
                Trade(
                    tenant="t",
                    account_id="prov",
                    action_type="ORDER_TYPE_BUY_LIMIT",
                    symbol="EURUSD",
                    volume_lots=0.1,
                    price=round(bid - 0.002, 5),
                ),
                Trade(tenant="t", account_id="prov", action_type="POSITION_CLOSE_ID", position_id=position),
                Trade(tenant="t", account_id="a", action_type="POSITION_CLOSE_ID", position_id=position),
                Resynchronise(tenant="t", subscriber_id="abc"[number % 3]),
                Deposit(tenant="t", account_id="a", amount=round(move * 1000, 2)),
                Remove(
                    tenant="t",
                    what="subscription",
                    id="a",
                    part="S",
                    mode=["preserve", "close-immediately", "close-gracefully-by-position"][number % 3],
                ),
                Trade(tenant="t", account_id="b", action_type="ORDER_TYPE_BUY", symbol="EURUSD", volume_lots=0.05),
            ][kind]
        )
    return desk


def rendered(book: Book, effects) -> list[tuple]:
    renderer = Renderer(book)
    rows = Rows()
    for each in effects:
        for _ in renderer.render(each, rows):
            pass
    return [rows.transactions, rows.log, rows.decisions, rows.stopouts, rows.snapshots]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_replay_equals_live(steps) -> None:
    desk = play(steps)
    book = Book(PaperBroker(), slippage_spreads=0.1)
    effects = [apply(book, entry, number) for number, entry in enumerate(desk.entries, 1)]
    desk.book.set_quotes(desk.pending)
    book.set_quotes(desk.pending)
    assert snapshot.pack(book) == snapshot.pack(desk.book)
    assert rendered(book, effects) == rendered(desk.book, desk.effects)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS, st.integers(0, 60))
def test_a_snapshot_anywhere_continues_like_the_original(steps, place) -> None:
    desk = play(steps)
    place = min(place, len(desk.entries))
    book = Book(PaperBroker(), slippage_spreads=0.1)
    for number, entry in enumerate(desk.entries, 1):
        if number == place:
            book = snapshot.unpack(snapshot.pack(book), PaperBroker())
        apply(book, entry, number)
    book.set_quotes(desk.pending)
    assert snapshot.pack(book) == snapshot.pack(desk.book)


def test_a_limit_begins_its_next_period_at_the_prices_of_its_tick_on_replay_too() -> None:
    desk = Desk()
    desk.strategy()
    limit = {"type": "day", "applyTo": "equity-difference", "maxAbsoluteRisk": 1000, "closePositions": True}
    desk.subscriber(settings={"riskLimits": [limit]})
    desk.signal()
    desk.tick(DAY * 0.8)  # midnight on its own: it would value the book first
    desk.tick(DAY * 0.2, EURUSD=(1.09, 1.0901))
    replayed = Book(PaperBroker(), slippage_spreads=0.0)
    for number, entry in enumerate(desk.entries, 1):
        apply(replayed, entry, number)
    assert desk.book.limits.base.tolist() == replayed.limits.base.tolist() == [desk.equity()]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_balances_are_explained_and_volumes_are_tradable(steps) -> None:
    book = play(steps).book
    accounts, positions = book.accounts, book.positions
    assert accounts.balance == pytest.approx(accounts.deposits + accounts.traded, abs=1e-6)
    assert np.round(positions.volume * 100) == pytest.approx(positions.volume * 100, abs=1e-6)
    assert (positions.volume > 0).all()
    copied = positions.subscription >= 0
    pairs = list(zip(positions.subscription[copied], positions.signal[copied], positions.leaf[copied], strict=True))
    assert len(pairs) == len(set(pairs))  # nothing is copied twice
    assert set(positions.signal[copied].tolist()) <= set(book.signals)  # no orphans


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_results_of_subscriptions_and_their_parts_are_the_sums_of_their_deals(steps) -> None:
    desk = play(steps)
    subscriptions, parts = desk.book.subscriptions, desk.book.parts
    by_subscription, by_part = np.zeros(subscriptions.size), np.zeros(parts.size)
    for deals in desk.told(Deals):
        for place, subscription in enumerate(deals.subscription.tolist()):
            result = deals.profit[place] + deals.swap[place] + deals.commission[place]
            by_subscription[subscription] += result
            if deals.part is not None and deals.part[place] >= 0:
                by_part[deals.part[place]] += result
    assert subscriptions.realised == pytest.approx(by_subscription, abs=1e-6)
    assert parts.realised == pytest.approx(by_part, abs=1e-6)
    results = desk.book.results
    assert np.bincount(results.account, results.amount, desk.book.accounts.size) == pytest.approx(
        desk.book.accounts.traded, abs=1e-6
    )


def test_positions_that_close_together_all_count_for_their_subscription() -> None:
    desk = Desk()
    desk.strategy()
    desk.portfolio("P", [{"strategyId": "S"}])
    desk.subscriber("a", "P", settings={"riskLimits": [LIMIT]})
    desk.signal("sig00001")
    desk.signal("sig00002")
    desk.tick(1, EURUSD=(1.09, 1.0901))
    assert desk.held() == []
    lost = desk.balance() - 10_000
    assert desk.book.subscriptions.realised.tolist() == desk.book.parts.realised.tolist() == [pytest.approx(lost)]
