"""The life of a copied trade, from the provider's click to the last close."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from copying.backend.http import reads
from copying.backend.state.commands import Remove, Resynchronise, SetConnection
from copying.backend.state.effects import Deals, Decided
from copying.backend.state.errors import Refused
from copying.engine.model import Outcome
from copying.engine.reasons import Reason
from tests.unit.copying.backend.desk import DAY, Desk


@pytest.fixture
def copying(desk: Desk) -> Desk:
    """A provider and a subscriber that copies lot for lot."""
    desk.strategy()
    desk.subscriber()
    return desk


def ticket(answer: dict) -> str:
    return answer["positionId"]


def test_a_provider_position_is_opened_and_closed_at_the_subscriber(copying: Desk) -> None:
    answer = copying.trade("ORDER_TYPE_BUY")
    assert copying.held() == [("EURUSD", 1, 0.1)]
    copying.trade("POSITION_CLOSE_ID", position_id=ticket(answer))
    assert copying.held() == []
    assert [deals.kind for deals in copying.told(Deals)] == ["open", "close"]


def test_an_external_signal_needs_no_position_of_the_provider(copying: Desk) -> None:
    copying.signal()
    assert copying.held() == [("EURUSD", 1, 0.1)]
    assert copying.held("prov") == []
    copying.close_signal()
    assert copying.held() == []


def test_a_repeated_put_changes_nothing(copying: Desk) -> None:
    copying.signal()
    copying.signal()
    assert copying.held() == [("EURUSD", 1, 0.1)]


def test_a_closed_signal_id_is_not_used_again(copying: Desk) -> None:
    copying.signal()
    copying.close_signal()
    with pytest.raises(Refused) as refused:
        copying.signal()
    assert refused.value.status == 400


def test_partial_closes_keep_the_proportion(copying: Desk) -> None:
    copying.subscriber("b", multiplier=0.5)
    answer = copying.trade("ORDER_TYPE_BUY", volume_lots=0.4)
    copying.trade("POSITION_PARTIAL", position_id=ticket(answer), volume_lots=0.1)
    assert (copying.held("a"), copying.held("b")) == ([("EURUSD", 1, 0.3)], [("EURUSD", 1, 0.15)])
    copying.trade("POSITION_PARTIAL", position_id=ticket(answer), volume_lots=0.2)
    assert (copying.held("a"), copying.held("b")) == ([("EURUSD", 1, 0.1)], [("EURUSD", 1, 0.05)])


def test_lowering_the_volume_of_an_external_signal_is_a_partial_close(copying: Desk) -> None:
    copying.signal(volume=0.2)
    copying.signal(volume=0.05)
    assert copying.held() == [("EURUSD", 1, 0.05)]
    with pytest.raises(Refused):
        copying.signal(volume=0.3)


def test_stop_loss_and_take_profit_follow_where_they_are_copied(copying: Desk) -> None:
    copying.subscriber("b", reverse=True)
    copying.subscriber("c", copyStopLoss=False)
    answer = copying.trade("ORDER_TYPE_BUY")
    copying.trade("POSITION_MODIFY", position_id=ticket(answer), stop_loss=1.05, take_profit=1.15)
    positions = copying.book.positions
    stops = {
        copying.book.account_meta[positions.account[row]].id: (positions.stop_loss[row], positions.take_profit[row])
        for row in range(positions.size)
    }
    assert stops["a"] == (1.05, 1.15)
    assert stops["b"] == (1.15, 1.05)
    assert np.isnan(stops["c"][0])
    assert stops["c"][1] == 1.15


def test_a_provider_stop_loss_closes_the_copies_that_have_none(desk: Desk) -> None:
    desk.strategy()
    desk.subscriber(copyStopLoss=False)
    desk.trade("ORDER_TYPE_BUY", stop_loss=1.09)
    desk.tick(1, EURUSD=(1.0899, 1.09))
    assert desk.held() == []


def test_a_pending_order_is_copied_changed_and_cancelled(copying: Desk) -> None:
    answer = copying.trade("ORDER_TYPE_BUY_LIMIT", price=1.09)
    assert copying.waiting()[0]["openPrice"] == 1.09
    copying.trade("ORDER_MODIFY", order_id=answer["orderId"], price=1.08, stop_loss=1.05)
    assert (copying.waiting()[0]["openPrice"], copying.waiting()[0]["stopLoss"]) == (1.08, 1.05)
    copying.trade("ORDER_CANCEL", order_id=answer["orderId"])
    assert copying.waiting() == []


def test_a_filled_pending_order_becomes_one_position_each(copying: Desk) -> None:
    copying.subscriber("b", skipPendingOrders=True)
    copying.trade("ORDER_TYPE_BUY_LIMIT", price=1.09)
    assert copying.waiting("b") == []
    copying.tick(1, EURUSD=(1.0898, 1.0899))
    assert copying.held("prov") == copying.held("a") == copying.held("b") == [("EURUSD", 1, 0.1)]
    assert copying.waiting() == []


def test_a_delayed_signal_is_copied_after_the_wait(desk: Desk) -> None:
    desk.strategy()
    desk.subscriber(signalDelay={"minInSeconds": 30, "maxInSeconds": 30})
    desk.signal()
    assert desk.held() == []
    desk.tick(10)
    assert desk.held() == []
    desk.tick(25)
    assert desk.held() == [("EURUSD", 1, 0.1)]


def test_a_delayed_signal_that_closes_first_is_never_opened(desk: Desk) -> None:
    desk.strategy()
    desk.subscriber(signalDelay={"minInSeconds": 30, "maxInSeconds": 30})
    desk.signal()
    desk.close_signal()
    desk.tick(60)
    assert desk.held() == []


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_a_close_ends_the_delays_of_its_own_signal_alone(desk: Desk, closed: int) -> None:
    symbols = ["EURUSD", "GBPUSD", "USDJPY"]
    desk.strategy()
    desk.subscriber(signalDelay={"minInSeconds": 30, "maxInSeconds": 30})
    for number, symbol in enumerate(symbols):
        desk.signal(f"sig0000{number}", symbol=symbol)
    desk.close_signal(f"sig0000{closed}")
    desk.tick(60)
    assert [symbol for symbol, _, _ in desk.held()] == [each for each in symbols if each != symbols[closed]]


def test_a_delay_that_ends_unseen_is_too_late_after_the_window(desk: Desk) -> None:
    desk.strategy()
    desk.subscriber(signalDelay={"minInSeconds": 30, "maxInSeconds": 30})
    desk.signal()
    desk.tick(3600)  # nobody looked at the clock for an hour, as after a long stop
    assert desk.held() == []
    decided = desk.told(Decided)[-1]
    assert (decided.decisions.outcome[0], decided.decisions.reason[0]) == (Outcome.SKIPPED, Reason.TOO_LATE)


@pytest.mark.parametrize("is_online", [True, False])
def test_ways_to_one_leaf_wait_and_fail_on_their_own(desk: Desk, is_online: bool) -> None:
    desk.strategy()
    delay = {"minInSeconds": 30, "maxInSeconds": 30}
    desk.portfolio("P", [{"strategyId": "S", "signalDelay": delay}])
    desk.portfolio("Q", [{"strategyId": "P", "multiplier": 2}, {"strategyId": "S"}])
    desk.subscriber("a", "Q")
    desk.do(SetConnection(tenant="t", account_id="a", is_connected=is_online))
    desk.signal()
    assert desk.held() == ([("EURUSD", 1, 0.1)] if is_online else [])
    if is_online:
        position = str(int(desk.book.positions.id[0]))
        desk.trade("POSITION_CLOSE_ID", "a", position_id=position)  # by hand: it stays closed
    desk.do(SetConnection(tenant="t", account_id="a", is_connected=True))
    desk.tick(45)
    assert sorted(desk.held()) == [("EURUSD", 1, 0.1)] * (not is_online) + [("EURUSD", 1, 0.2)]


def test_a_signal_asked_for_again_while_it_waits_is_opened_once(desk: Desk) -> None:
    desk.strategy()
    desk.subscriber(signalDelay={"minInSeconds": 30, "maxInSeconds": 30})
    desk.signal(stopLoss=1.09)
    desk.tick(10)
    desk.do(Resynchronise(tenant="t", subscriber_id="a"))
    desk.tick(35)
    assert desk.held() == [("EURUSD", 1, 0.1)]
    desk.tick(1, EURUSD=(1.089, 1.0891))
    desk.tick(60)
    assert desk.held() == []


def test_a_copy_on_a_way_that_is_gone_is_not_copied_on_another(desk: Desk) -> None:
    desk.strategy()
    desk.portfolio("P", [{"strategyId": "S"}])
    desk.portfolio("Q", [{"strategyId": "P"}])
    desk.subscriber("a", "Q")
    desk.signal()
    desk.portfolio("Q", [{"strategyId": "S"}])
    desk.do(Resynchronise(tenant="t", subscriber_id="a"))
    assert desk.held() == [("EURUSD", 1, 0.1)]
    desk.close_signal()
    assert desk.held() == []


def test_resynchronise_reopens_what_was_closed_by_hand(copying: Desk) -> None:
    copying.signal()
    copying.trade("POSITION_CLOSE_ID", "a", position_id=str(int(copying.book.positions.id[0])))
    assert copying.held() == []
    copying.do(Resynchronise(tenant="t", subscriber_id="a"))
    copying.do(Resynchronise(tenant="t", subscriber_id="a"))
    assert copying.held() == [("EURUSD", 1, 0.1)]


def test_resynchronise_opens_for_a_late_subscriber_only_what_is_asked(copying: Desk) -> None:
    copying.signal("sig00001")
    copying.signal("sig00002", symbol="GBPUSD")
    copying.subscriber("late")
    copying.do(Resynchronise(tenant="t", subscriber_id="late", position_ids=["sig00002"]))
    assert copying.held("late") == [("GBPUSD", 1, 0.1)]


def test_manual_trades_of_a_subscriber_are_never_touched(copying: Desk) -> None:
    copying.trade("ORDER_TYPE_SELL", "a", symbol="GBPUSD", volume_lots=0.03)
    copying.signal()
    copying.do(Remove(tenant="t", what="subscriber", id="a"))
    assert copying.held() == [("GBPUSD", -1, 0.03)]


def test_close_only_takes_no_new_trades_and_still_closes(copying: Desk) -> None:
    copying.signal("sig00001")
    copying.subscriber("a", closeOnly="by-position")
    copying.signal("sig00002", symbol="GBPUSD")
    assert copying.held() == [("EURUSD", 1, 0.1)]
    copying.close_signal("sig00001")
    assert copying.held() == []


def test_close_only_immediately_closes_at_once(copying: Desk) -> None:
    copying.signal()
    copying.subscriber("a", closeOnly="immediately")
    assert copying.held() == []


def test_a_copied_position_ends_with_its_lifetime(desk: Desk) -> None:
    desk.strategy(timeSettings={"lifetimeInHours": 24})
    desk.subscriber()
    desk.signal()
    desk.tick(DAY - 600)
    assert len(desk.held()) == 1
    desk.tick(700)
    assert desk.held() == []


def test_a_portfolio_copies_its_members_with_their_weights(desk: Desk) -> None:
    desk.strategy("S")
    desk.strategy("T", "prov2")
    desk.portfolio("P", [{"strategyId": "S", "multiplier": 0.5}, {"strategyId": "T", "multiplier": 2}])
    desk.subscriber("a", "P")
    desk.signal("sig00001", "S")
    desk.signal("sig00002", "T", symbol="GBPUSD")
    assert desk.held() == [("EURUSD", 1, 0.05), ("GBPUSD", 1, 0.2)]
    assert desk.book.subscription_keys == [("a", "P")]


def test_a_portfolio_that_would_contain_itself_is_refused(desk: Desk) -> None:
    desk.strategy("S")
    desk.portfolio("P", [{"strategyId": "S"}])
    desk.portfolio("Q", [{"strategyId": "P"}])
    with pytest.raises(Refused) as refused:
        desk.portfolio("P", [{"strategyId": "Q"}])
    assert refused.value.details[0]["parameter"] == "members.0.strategyId"


@pytest.mark.parametrize("what", ["subscription", "subscriber", "strategy"])
@pytest.mark.parametrize(
    ("mode", "open_after"), [("preserve", 1), ("close-immediately", 0), ("close-gracefully-by-position", 1)]
)
def test_removal_modes(copying: Desk, what: str, mode: str, open_after: int) -> None:
    copying.signal()
    owner = {"subscription": "a", "subscriber": "a", "strategy": "S"}[what]
    copying.do(Remove(tenant="t", what=what, id=owner, part="S" if what == "subscription" else "", mode=mode))
    assert len(copying.held()) == open_after
    if mode == "preserve":
        assert copying.book.positions.subscription[0] == -1
    if mode == "close-gracefully-by-position":
        copying.close_signal()
        assert copying.held() == []
        copying.tick(1)
    assert (reads.subscriber(copying.book, "t", "a") is None) == (what == "subscriber")
    assert (reads.strategy(copying.book, "t", "S") is None) == (what == "strategy")
    assert what == "subscriber" or reads.subscriber(copying.book, "t", "a")["subscriptions"] == []


def test_winding_down_by_symbol_still_takes_symbols_that_are_open(copying: Desk) -> None:
    copying.signal("sig00001")
    copying.do(Remove(tenant="t", what="subscription", id="a", part="S", mode="close-gracefully-by-symbol"))
    copying.signal("sig00002")
    copying.signal("sig00003", symbol="GBPUSD")
    assert copying.held() == [("EURUSD", 1, 0.1)] * 2
    assert reads.subscriber(copying.book, "t", "a")["subscriptions"][0]["removed"] is True


def test_what_is_left_at_remove_after_belongs_to_the_account(copying: Desk) -> None:
    copying.signal()
    until = datetime.fromtimestamp(copying.now + 31 * DAY, UTC)
    copying.do(Remove(tenant="t", what="subscriber", id="a", mode="close-gracefully-by-position", remove_after=until))
    assert reads.subscriber(copying.book, "t", "a")["removed"] is True
    copying.tick(32 * DAY)
    assert reads.subscriber(copying.book, "t", "a") is None
    assert copying.held() == [("EURUSD", 1, 0.1)]


def test_a_subscription_that_a_new_document_leaves_out_ends(copying: Desk) -> None:
    copying.strategy("T", "prov2")
    copying.signal()
    copying.subscriber("a", "T")
    assert copying.held() == []
    copying.signal("sig00002")
    assert copying.held() == []


def test_strangers_are_told_nothing(copying: Desk) -> None:
    with pytest.raises(Refused) as refused:
        copying.do(Remove(tenant="stranger", what="strategy", id="S"))
    assert refused.value.status == 404
    assert reads.strategies(copying.book, "stranger") == []
    assert reads.subscriber(copying.book, "stranger", "a") is None
    assert reads.account_positions(copying.book, "stranger", "a") is None
