"""Things that are removed while others still refer to them leave nothing behind."""

from __future__ import annotations

import pytest

from copying.backend.state.commands import Remove, SetConnection
from tests.unit.copying.backend.desk import Desk


def remove(desk: Desk, what: str, owner: str, part: str = "", mode: str = "preserve") -> None:
    desk.do(Remove(tenant="t", what=what, id=owner, part=part, mode=mode))


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
