"""Everything that can happen to a copy between the provider's click and its last deal, with accounts that come and go.

The plain life (open, change, partial closes, pending orders, lifetime) is told in test_signal_life.py.
"""

from __future__ import annotations

import numpy as np
import pytest

from copying.backend.broker.paper import PaperBroker
from copying.backend.core.apply import apply
from copying.backend.state import snapshot
from copying.backend.state.book import Book
from copying.backend.state.commands import Remove, Resynchronise, SetConnection
from copying.backend.state.effects import Deals, Decided, LogLine
from copying.engine.model import Outcome
from copying.engine.reasons import Reason
from tests.unit.copying.backend.desk import Desk


@pytest.fixture
def copying(desk: Desk) -> Desk:
    """A provider and a subscriber that copies lot for lot."""
    desk.strategy()
    desk.subscriber()
    return desk


def disconnect(desk: Desk, account_id: str = "a") -> None:
    desk.do(SetConnection(tenant="t", account_id=account_id, is_connected=False))


def reconnect(desk: Desk, account_id: str = "a") -> None:
    desk.do(SetConnection(tenant="t", account_id=account_id, is_connected=True))


def decided(desk: Desk) -> list[tuple[Outcome, Reason]]:
    """Every decision told so far, on one route."""
    return [
        (Outcome(told.decisions.outcome[row]), Reason(told.decisions.reason[row]))
        for told in desk.told(Decided)
        for row in told.rows.tolist()
    ]


def causes(desk: Desk) -> list[str]:
    return [deals.cause for deals in desk.told(Deals) if deals.kind == "close"]


def balances_are_explained(desk: Desk) -> bool:
    accounts = desk.book.accounts
    return bool(np.allclose(accounts.balance, accounts.deposits + accounts.traded))


# ------------------------------------------------------------------------------------------------- subscriber offline


def test_a_signal_is_opened_when_the_account_is_back_inside_the_window(copying: Desk) -> None:
    disconnect(copying)
    copying.signal()
    assert copying.held() == []
    copying.tick(30)
    reconnect(copying)
    assert copying.held() == [("EURUSD", 1, 0.1)]
    assert decided(copying) == [(Outcome.FAILED, Reason.OFFLINE), (Outcome.COPIED, Reason.COPIED)]


def test_a_signal_is_too_late_when_the_account_is_back_after_the_window(copying: Desk) -> None:
    disconnect(copying)
    copying.signal()
    copying.tick(70)
    reconnect(copying)
    assert copying.held() == []
    assert decided(copying) == [(Outcome.FAILED, Reason.OFFLINE), (Outcome.SKIPPED, Reason.TOO_LATE)]


def test_the_window_is_the_strategys(desk: Desk) -> None:
    desk.strategy(timeSettings={"openingIntervalInMinutes": 10})
    desk.subscriber()
    disconnect(desk)
    desk.signal()
    desk.tick(500)
    reconnect(desk)
    assert desk.held() == [("EURUSD", 1, 0.1)]


def test_the_window_begins_after_the_delay(desk: Desk) -> None:
    desk.strategy()
    desk.subscriber(signalDelay={"minInSeconds": 90, "maxInSeconds": 90})
    disconnect(desk)
    desk.signal()
    desk.tick(95)
    assert decided(desk)[-1] == (Outcome.FAILED, Reason.OFFLINE)
    desk.tick(30)
    reconnect(desk)
    assert desk.held() == [("EURUSD", 1, 0.1)]


def test_a_signal_that_closes_meanwhile_is_never_opened(copying: Desk) -> None:
    disconnect(copying)
    copying.signal()
    copying.close_signal()
    reconnect(copying)
    assert copying.held() == []


def test_a_pending_order_is_placed_as_long_as_the_signal_stands(copying: Desk) -> None:
    disconnect(copying)
    copying.trade("ORDER_TYPE_BUY_LIMIT", price=1.09)
    copying.tick(3600)
    reconnect(copying)
    assert [order["openPrice"] for order in copying.waiting()] == [1.09]


def test_a_pending_order_with_a_window_is_too_late_after_it(desk: Desk) -> None:
    desk.strategy(timeSettings={"expirePendingOrderSignals": True, "openingIntervalInMinutes": 5})
    desk.subscriber()
    disconnect(desk)
    desk.trade("ORDER_TYPE_BUY_LIMIT", price=1.09)
    desk.tick(301)
    reconnect(desk)
    assert desk.waiting() == []
    assert decided(desk)[-1] == (Outcome.SKIPPED, Reason.TOO_LATE)


def test_a_missing_margin_is_tried_again_and_told_once(copying: Desk) -> None:
    copying.account("poor", deposit=50)
    copying.subscriber("poor")
    copying.signal(volume=0.1)
    for _ in range(3):
        copying.tick(15)
    assert decided(copying).count((Outcome.FAILED, Reason.NOT_ENOUGH_MARGIN)) == 1
    copying.tick(15)
    copying.tick(15)
    assert decided(copying)[-1] == (Outcome.SKIPPED, Reason.TOO_LATE)
    assert copying.book.delayed.size == 0


def test_a_close_waits_for_the_connection_without_limit(copying: Desk) -> None:
    copying.signal()
    disconnect(copying)
    copying.close_signal()
    copying.tick(7 * 86_400)
    assert copying.held() == [("EURUSD", 1, 0.1)]
    reconnect(copying)
    assert copying.held() == []
    closing = [deals for deals in copying.told(Deals) if deals.kind == "close"]
    assert [list(deals.signal_ids.values()) for deals in closing] == [["sig00001"]]
    assert balances_are_explained(copying)


def test_partial_closes_are_made_up_for_in_order(copying: Desk) -> None:
    answer = copying.trade("ORDER_TYPE_BUY", volume_lots=0.4)
    disconnect(copying)
    copying.trade("POSITION_PARTIAL", position_id=answer["positionId"], volume_lots=0.1)
    reconnect(copying)
    assert copying.held() == [("EURUSD", 1, 0.3)]
    disconnect(copying)
    copying.trade("POSITION_PARTIAL", position_id=answer["positionId"], volume_lots=0.2)
    copying.trade("POSITION_CLOSE_ID", position_id=answer["positionId"])
    reconnect(copying)
    assert copying.held() == []
    assert balances_are_explained(copying)


def test_two_partial_closes_missed_in_a_row_close_their_sum(copying: Desk) -> None:
    answer = copying.trade("ORDER_TYPE_BUY", volume_lots=0.4)
    disconnect(copying)
    copying.trade("POSITION_PARTIAL", position_id=answer["positionId"], volume_lots=0.1)
    copying.trade("POSITION_PARTIAL", position_id=answer["positionId"], volume_lots=0.1)
    reconnect(copying)
    assert copying.held() == [("EURUSD", 1, 0.2)]


def test_a_part_that_is_missed_after_the_whole_takes_nothing_back(copying: Desk) -> None:
    copying.strategy("T", "prov2")
    copying.signal(volume=0.4)
    disconnect(copying)
    copying.subscriber("a", "T")  # no longer S: everything is to be closed
    copying.signal(volume=0.1)
    reconnect(copying)
    assert copying.held() == []


def test_new_stops_are_made_up_for(copying: Desk) -> None:
    answer = copying.trade("ORDER_TYPE_BUY")
    disconnect(copying)
    copying.trade("POSITION_MODIFY", position_id=answer["positionId"], stop_loss=1.04, take_profit=1.16)
    copying.trade("POSITION_MODIFY", position_id=answer["positionId"], stop_loss=1.05, take_profit=1.15)
    copy = copying.book.positions.subscription >= 0
    assert np.isnan(copying.book.positions.stop_loss[copy]).all()
    reconnect(copying)
    assert copying.book.positions.stop_loss[copy].tolist() == [1.05]
    assert copying.book.positions.take_profit[copy].tolist() == [1.15]


def test_a_changed_pending_order_is_changed_late(copying: Desk) -> None:
    answer = copying.trade("ORDER_TYPE_BUY_LIMIT", price=1.09)
    disconnect(copying)
    copying.trade("ORDER_MODIFY", order_id=answer["orderId"], price=1.08, stop_loss=1.05)
    assert copying.waiting()[0]["openPrice"] == 1.09
    reconnect(copying)
    assert (copying.waiting()[0]["openPrice"], copying.waiting()[0]["stopLoss"]) == (1.08, 1.05)


def test_a_cancelled_pending_order_is_withdrawn_late(copying: Desk) -> None:
    answer = copying.trade("ORDER_TYPE_BUY_LIMIT", price=1.09)
    disconnect(copying)
    copying.trade("ORDER_CANCEL", order_id=answer["orderId"])
    assert len(copying.waiting()) == 1
    reconnect(copying)
    assert copying.waiting() == []


def test_an_order_that_fills_at_the_broker_after_its_signal_ended_is_an_orphan(copying: Desk) -> None:
    answer = copying.trade("ORDER_TYPE_BUY_LIMIT", price=1.09)
    disconnect(copying)
    copying.trade("ORDER_CANCEL", order_id=answer["orderId"])
    copying.tick(1, EURUSD=(1.0898, 1.0899))
    assert copying.held() == [("EURUSD", 1, 0.1)]
    reconnect(copying)
    assert copying.held() == []
    assert causes(copying) == ["orphan: its signal is closed"]
    assert balances_are_explained(copying)


def test_an_order_that_fills_after_its_subscription_ended_is_closed_late(copying: Desk) -> None:
    copying.strategy("T", "prov2")
    copying.trade("ORDER_TYPE_BUY_LIMIT", price=1.09)
    disconnect(copying)
    copying.subscriber("a", "T")  # no longer S
    copying.tick(1, EURUSD=(1.0898, 1.0899))
    assert copying.held() == [("EURUSD", 1, 0.1)]
    reconnect(copying)
    assert copying.held() == []
    assert causes(copying) == ["its order was withdrawn, made up for"]


def test_an_order_waits_at_the_broker_while_its_signal_becomes_a_position(copying: Desk) -> None:
    copying.signal(type="ORDER_TYPE_BUY_LIMIT", openPrice=1.09)
    disconnect(copying)
    copying.signal(type="POSITION_TYPE_BUY", openPrice=1.1)
    assert (copying.held(), len(copying.waiting())) == ([], 1)
    reconnect(copying)
    assert (copying.held(), copying.waiting()) == ([("EURUSD", 1, 0.1)], [])


def test_the_broker_keeps_its_stops_without_a_connection(copying: Desk) -> None:
    copying.signal(stopLoss=1.09)
    disconnect(copying)
    copying.tick(1, EURUSD=(1.0899, 1.09))
    assert copying.held() == []
    copying.close_signal()
    reconnect(copying)
    assert len(causes(copying)) == 1


def test_a_removal_is_carried_out_when_the_account_is_back(copying: Desk) -> None:
    copying.signal()
    disconnect(copying)
    copying.do(Remove(tenant="t", what="subscription", id="a", part="S", mode="close-immediately"))
    assert copying.held() == [("EURUSD", 1, 0.1)]
    reconnect(copying)
    assert copying.held() == []
    assert [deals.kind for deals in copying.told(Deals)] == ["open", "close"]


def test_a_lifetime_that_ends_without_a_connection_ends_later(desk: Desk) -> None:
    desk.strategy(timeSettings={"lifetimeInHours": 24})
    desk.subscriber()
    desk.signal()
    disconnect(desk)
    desk.tick(86_500)
    assert desk.tick(1) is None
    reconnect(desk)
    assert causes(desk) == ["its lifetime ended, made up for"]


def test_nobody_trades_by_hand_through_a_lost_connection(copying: Desk) -> None:
    disconnect(copying)
    assert copying.trade("ORDER_TYPE_BUY", "a")["stringCode"] == "TRADE_RETCODE_CONNECTION"
    assert copying.held() == []


def test_a_state_that_does_not_change_says_nothing(copying: Desk) -> None:
    before = len(copying.told(LogLine))
    reconnect(copying)
    assert len(copying.told(LogLine)) == before


# --------------------------------------------------------------------------------------------------- provider offline


def test_a_provider_close_is_copied_when_the_provider_is_back(copying: Desk) -> None:
    copying.trade("ORDER_TYPE_BUY", stop_loss=1.09)
    copying.subscriber("b", copyStopLoss=False)
    copying.do(Resynchronise(tenant="t", subscriber_id="b"))
    disconnect(copying, "prov")
    copying.tick(1, EURUSD=(1.0899, 1.09))
    assert (copying.held("prov"), copying.held("a")) == ([], [])
    assert copying.held("b") == [("EURUSD", 1, 0.1)]
    reconnect(copying, "prov")
    assert copying.held("b") == []


@pytest.mark.parametrize(("minutes", "lots"), [(0.5, [("EURUSD", 1, 0.1)]), (5, [])])
def test_a_provider_fill_is_copied_late_only_inside_the_window(copying: Desk, minutes: float, lots: list) -> None:
    copying.subscriber("a", skipPendingOrders=True)
    copying.trade("ORDER_TYPE_BUY_LIMIT", price=1.09)
    disconnect(copying, "prov")
    copying.tick(1, EURUSD=(1.0898, 1.0899))
    assert copying.held() == []
    copying.tick(minutes * 60)
    reconnect(copying, "prov")
    assert copying.held() == lots
    copying.trade("POSITION_CLOSE_ID", position_id=str(int(copying.book.positions.id[0])))
    assert copying.held() == copying.held("prov") == []


def test_a_provider_fill_and_close_while_offline_leaves_nothing(copying: Desk) -> None:
    copying.trade("ORDER_TYPE_BUY_LIMIT", price=1.09, stop_loss=1.08)
    disconnect(copying, "prov")
    copying.tick(1, EURUSD=(1.0898, 1.0899))
    copying.tick(1, EURUSD=(1.0798, 1.0799))
    reconnect(copying, "prov")
    assert copying.held() == copying.held("prov") == []
    assert copying.book.signals == {}


def test_the_providers_stop_out_closes_the_copies(desk: Desk) -> None:
    desk.account("prov", deposit=1_000)
    desk.strategy()
    desk.subscriber()
    desk.trade("ORDER_TYPE_BUY", volume_lots=0.5)
    desk.tick(1, EURUSD=(1.085, 1.0851))
    assert desk.held("prov") == desk.held() == []
    assert causes(desk) == ["the provider's position closed: stop out by margin"]


# ------------------------------------------------------------------------------------------------------------ by hand


def test_a_copy_closed_by_hand_stays_closed_until_it_is_resynchronised(copying: Desk) -> None:
    answer = copying.trade("ORDER_TYPE_BUY", volume_lots=0.2)
    mine = copying.book.positions.id[copying.book.positions.subscription >= 0]
    copying.trade("POSITION_CLOSE_ID", "a", position_id=str(int(mine[0])))
    copying.trade("POSITION_PARTIAL", position_id=answer["positionId"], volume_lots=0.1)
    copying.tick(3600)
    assert copying.held() == []
    copying.do(Resynchronise(tenant="t", subscriber_id="a", strategy_ids=["S"]))
    assert copying.held() == [("EURUSD", 1, 0.1)]


def test_a_late_subscriber_opens_by_resynchronisation_what_is_left(copying: Desk) -> None:
    copying.signal(volume=0.4)
    copying.signal(volume=0.1)
    copying.subscriber("late")
    assert copying.held("late") == []
    copying.do(Resynchronise(tenant="t", subscriber_id="late"))
    assert copying.held("late") == [("EURUSD", 1, 0.1)]


# ------------------------------------------------------------------------------------------------------------- replay


def test_a_replay_with_missed_orders_gives_the_same_book(copying: Desk) -> None:
    answer = copying.trade("ORDER_TYPE_BUY", volume_lots=0.4)
    disconnect(copying)
    copying.trade("POSITION_PARTIAL", position_id=answer["positionId"], volume_lots=0.1)
    copying.signal()
    held = snapshot.pack(copying.book)
    place = len(copying.entries)
    copying.tick(20)
    reconnect(copying)
    fresh = Book(PaperBroker(), slippage_spreads=0.0)
    for sequence, entry in enumerate(copying.entries, 1):
        apply(fresh, entry, sequence)
    restored = snapshot.unpack(held, PaperBroker())
    for sequence, entry in enumerate(copying.entries[place:], place + 1):
        apply(restored, entry, sequence)
    assert snapshot.pack(fresh) == snapshot.pack(restored) == snapshot.pack(copying.book)
    assert copying.held() == [("EURUSD", 1, 0.3), ("EURUSD", 1, 0.1)]
