"""Things that are removed while others still refer to them leave nothing behind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from copying.backend.broker.paper import PaperBroker
from copying.backend.core.apply import apply
from copying.backend.state.commands import (
    NEWEST_RULES,
    Command,
    CommandEntry,
    PutWebhook,
    Remove,
    SetConnection,
    Tick,
    Trade,
)
from copying.backend.state.snapshot import pack, unpack
from tests.unit.copying.backend.desk import Desk


def remove(desk: Desk, what: str, owner: str, part: str = "", mode: str = "preserve") -> None:
    desk.do(Remove(tenant="t", what=what, id=owner, part=part, mode=mode))


def by_rules(desk: Desk, rules: int, command: Command, **fields: Any) -> None:
    """Carry a command out as an entry of some rules."""
    desk.now += 1
    entry = CommandEntry(time=desk.now, rules=rules, quotes={}, command=command, **fields)
    assert apply(desk.book, entry, desk.book.sequence + 1).refused is None


def test_a_portfolio_that_dropped_a_strategy_does_not_keep_its_copies_managed(desk: Desk) -> None:
    desk.strategy("S")
    desk.strategy("T", "prov2")
    desk.portfolio("P", [{"strategyId": "S"}, {"strategyId": "T"}])
    desk.subscriber("a", "P")
    desk.signal()
    desk.portfolio("P", [{"strategyId": "T"}])
    remove(desk, "strategy", "S")
    assert desk.held() == [("EURUSD", 1, 0.1)]
    assert desk.book.positions.subscription.tolist() == [-1]


def test_a_subscriber_goes_with_the_removals_of_its_subscriptions(desk: Desk) -> None:
    desk.strategy("S")
    desk.subscriber("a", "S")
    desk.signal()
    remove(desk, "subscription", "a", "S", "close-gracefully-by-position")
    remove(desk, "subscriber", "a")
    assert desk.book.removals == []
    desk.close_signal()
    assert desk.held() == [("EURUSD", 1, 0.1)]


def test_orders_placed_while_winding_down_by_symbol_end_with_it(desk: Desk) -> None:
    desk.strategy("S")
    desk.subscriber("a", "S")
    desk.signal("sig00001")
    remove(desk, "subscription", "a", "S", "close-gracefully-by-symbol")
    desk.signal("sig00002", type="ORDER_TYPE_BUY_LIMIT", openPrice=1.05)
    assert len(desk.waiting()) == 1
    desk.close_signal("sig00001")
    assert desk.book.removals == []
    assert desk.waiting() == []


@pytest.mark.parametrize("by_hand", [True, False])
def test_a_strategy_that_is_removed_by_symbol_still_gives_signals_of_what_is_open(desk: Desk, by_hand: bool) -> None:
    def publish(number: int, symbol: str) -> None:
        if by_hand:
            desk.trade("ORDER_TYPE_BUY", symbol=symbol, volume_lots=0.1)
        else:
            desk.signal(f"sig0000{number}", symbol=symbol)

    desk.strategy()
    desk.subscriber()
    publish(1, "EURUSD")
    desk.do(Remove(tenant="t", what="strategy", id="S", mode="close-gracefully-by-symbol"))
    publish(2, "EURUSD")
    publish(3, "GBPUSD")
    assert desk.held() == [("EURUSD", 1, 0.1), ("EURUSD", 1, 0.1)]


def test_what_a_late_partial_close_leaves_of_an_ended_subscription_is_the_owners(desk: Desk) -> None:
    desk.strategy()
    desk.subscriber()
    ticket = desk.trade("ORDER_TYPE_BUY", volume_lots=0.2)["positionId"]
    desk.do(SetConnection(tenant="t", account_id="a", is_connected=False))
    desk.trade("POSITION_PARTIAL", position_id=ticket, volume_lots=0.1)
    remove(desk, "subscription", "a", "S", "preserve")
    assert desk.held() == [("EURUSD", 1, 0.2)]
    desk.do(SetConnection(tenant="t", account_id="a", is_connected=True))
    assert desk.held() == [("EURUSD", 1, 0.1)]
    mine = desk.book.positions.account == desk.book.account_rows["a"]
    assert desk.book.positions.subscription[mine].tolist() == [-1]


@pytest.mark.parametrize("later", ["POSITION_PARTIAL", "POSITION_CLOSE_ID", "POSITION_MODIFY"])
@pytest.mark.parametrize("rules", [1, NEWEST_RULES])
@pytest.mark.parametrize(
    ("what", "owner"),
    [
        ("member", ("P", "S")),
        ("strategy", ("S", "")),
        ("portfolio", ("P", "")),
        ("subscription", ("a", "P")),
        ("subscriber", ("a", "")),
    ],
)
def test_what_a_late_partial_close_leaves_of_a_removed_way_is_the_owners(
    desk: Desk, what: str, owner: tuple[str, str], rules: int, later: str
) -> None:
    """Account a is away, b is there, and c is left out of the partial close. Entries of older rules left a copy."""
    accounts = ("a", "b", "c")
    desk.strategy()
    desk.portfolio("P", [{"strategyId": "S"}])
    for account_id in accounts:
        desk.subscriber(account_id, "P")
    ticket = desk.trade("ORDER_TYPE_BUY", volume_lots=0.4)["positionId"]
    desk.do(SetConnection(tenant="t", account_id="a", is_connected=False))
    partial = Trade(tenant="t", account_id="prov", action_type="POSITION_PARTIAL", position_id=ticket, volume_lots=0.1)
    by_rules(desk, rules, partial, left_out=["c"])
    by_rules(desk, rules, Remove(tenant="t", what=what, id=owner[0], part=owner[1], mode="preserve"))
    desk.book = unpack(pack(desk.book), PaperBroker())
    if rules == NEWEST_RULES and what != "strategy":  # what its provider does from now on is not the owner's business
        further = Trade(
            tenant="t", account_id="prov", action_type=later, position_id=ticket, volume_lots=0.1, stop_loss=1.05
        )
        by_rules(desk, rules, further, left_out=["c"])
    by_rules(desk, rules, Tick(tenant=""))
    by_rules(desk, rules, SetConnection(tenant="t", account_id="a", is_connected=True))
    assert desk.book.missed == []
    positions = desk.book.positions
    copies = {each: positions.subscription[positions.account == desk.book.account_rows[each]] >= 0 for each in accounts}
    if rules == NEWEST_RULES:
        followed = {"POSITION_PARTIAL": [0.2], "POSITION_CLOSE_ID": [], "POSITION_MODIFY": [0.3]}[later]
        for each in accounts:
            is_concerned = owner[0] in (each, "P", "S")
            lots = [0.3] if is_concerned or what == "strategy" else followed
            assert [volume for *_, volume in desk.held(each)] == pytest.approx(lots)
            assert copies[each].tolist() == [not is_concerned] * len(lots)
        mine = positions.account == desk.book.account_rows["a"]
        assert np.isnan(positions.stop_loss[mine]).all()
    else:  # a copy as before, but an orphan without its strategy
        assert [copies[each].tolist() for each in ("a", "c")] == [[] if what == "strategy" else [True]] * 2


def test_a_removal_that_is_asked_for_again_replaces_itself_alone(desk: Desk) -> None:
    for number, strategy_id in enumerate(("S", "T")):
        desk.strategy(strategy_id, f"prov{number}")
    for account in ("a", "b"):
        desk.subscriber(account, "S")
    for number, strategy_id in enumerate(("S", "T")):
        desk.signal(f"sig0000{number}", strategy_id)
    remove(desk, "subscriber", "a", mode="close-gracefully-by-position")
    remove(desk, "subscriber", "b", mode="close-gracefully-by-position")
    assert [removal.id for removal in desk.book.removals] == ["a", "b"]
    remove(desk, "subscriber", "a", mode="close-gracefully-by-symbol")
    assert [(removal.id, removal.mode) for removal in desk.book.removals] == [
        ("b", "close-gracefully-by-position"),
        ("a", "close-gracefully-by-symbol"),
    ]


@pytest.mark.parametrize("removed", ["A", "M", "Z"])
def test_webhooks_go_with_their_own_strategy_alone(desk: Desk, removed: str) -> None:
    names = ["A", "M", "Z"]
    for strategy_id in names:
        desk.strategy(strategy_id, f"prov-{strategy_id}")
        desk.do(PutWebhook(tenant="t", strategy_id=strategy_id, webhook_id=f"hook-{strategy_id}", document={}))
    remove(desk, "strategy", removed)
    assert sorted(desk.book.webhooks_by_id) == [f"hook-{name}" for name in names if name != removed]
