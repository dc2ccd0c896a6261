"""Prices on the wrong side and prices of another symbol: refused at every door, told, and never executed.

EURUSD stands at 1.1 / 1.1001, GBPUSD at 1.25 / 1.2501, USDJPY at 150 / 150.01.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from copying.backend.broker.paper import PaperBroker
from copying.backend.core.apply import apply
from copying.backend.core.render import Renderer, Rows
from copying.backend.state.book import Book
from copying.backend.state.commands import CommandEntry, Resynchronise, SetConnection
from copying.backend.state.effects import Deals, Decided, LogLine
from copying.backend.state.errors import Refused
from copying.engine.reasons import Reason
from tests.unit.copying.backend.desk import Desk

TO_POUND = {"symbolMapping": [{"from": "EURUSD", "to": "GBPUSD"}]}
TO_YEN = {"symbolMapping": [{"from": "EURUSD", "to": "USDJPY"}]}


@pytest.fixture
def copying(desk: Desk) -> Desk:
    """A provider and a subscriber that copies lot for lot."""
    desk.strategy()
    desk.subscriber()
    return desk


def reasons(desk: Desk) -> list[str]:
    told = desk.told(Decided)
    return [Reason(each.decisions.reason[row]).code for each in told for row in each.rows.tolist()]


def levels(desk: Desk, account_id: str = "a") -> list[tuple[float, float]]:
    row = desk.book.account_rows[account_id]
    return [
        pair
        for table in (desk.book.positions, desk.book.orders)
        for pair in zip(
            table.stop_loss[table.account == row].tolist(),
            table.take_profit[table.account == row].tolist(),
            strict=True,
        )
    ]


@pytest.mark.parametrize(
    ("fields", "parameter", "words"),
    [
        ({"stopLoss": 1.1}, "stopLoss", "must be below the bid (1.1)"),
        ({"stopLoss": 1.2}, "stopLoss", "must be below the bid (1.1)"),
        ({"takeProfit": 1.1}, "takeProfit", "must be above the bid (1.1)"),
        ({"type": "POSITION_TYPE_SELL", "stopLoss": 1.1001}, "stopLoss", "must be above the ask (1.1001)"),
        ({"type": "POSITION_TYPE_SELL", "takeProfit": 1.1001}, "takeProfit", "must be below the ask (1.1001)"),
        ({"stopLoss": 50, "takeProfit": 100}, "stopLoss", "must be below the bid (1.1)"),
        ({"takeProfit": 100}, "takeProfit", "must be a price near the bid (1.1), not a distance"),
        ({"type": "POSITION_TYPE_SELL", "stopLoss": 50}, "stopLoss", "not a distance"),
        ({"type": "ORDER_TYPE_BUY_LIMIT", "openPrice": 1.1001}, "openPrice", "below the market (ask 1.1001)"),
        ({"type": "ORDER_TYPE_SELL_STOP", "openPrice": 1.1}, "openPrice", "below the market (bid 1.1)"),
        ({"type": "ORDER_TYPE_BUY_LIMIT", "openPrice": 1.05, "stopLoss": 1.05}, "stopLoss", "order's price (1.05)"),
    ],
)
def test_a_new_signal_is_refused_with_the_level_and_the_market(copying: Desk, fields, parameter, words) -> None:
    with pytest.raises(Refused) as refused:
        copying.signal(**fields)
    assert (refused.value.status, refused.value.details[0]["parameter"]) == (400, parameter)
    assert words in refused.value.message
    assert copying.held() == []
    assert copying.waiting() == []
    assert not copying.book.signals


def test_levels_one_point_on_the_right_side_are_copied(copying: Desk) -> None:
    copying.signal(stopLoss=1.09999, takeProfit=1.10001)
    copying.signal("sig00002", type="POSITION_TYPE_SELL", stopLoss=1.10011, takeProfit=1.10009)
    copying.signal("sig00003", type="ORDER_TYPE_BUY_LIMIT", openPrice=1.10009)
    assert reasons(copying) == ["copied"] * 3


def test_a_wrong_change_is_refused_and_the_old_level_stays(copying: Desk) -> None:
    copying.signal(stopLoss=1.09, takeProfit=1.2)
    for change in ({"stopLoss": 1.11, "takeProfit": 1.2}, {"stopLoss": 1.09, "takeProfit": 1.05}):
        with pytest.raises(Refused):
            copying.signal(**change)
    assert levels(copying) == [(1.09, 1.2)]


def test_a_level_that_stays_is_not_judged_again(copying: Desk) -> None:
    copying.signal(stopLoss=1.09, takeProfit=1.2)
    copying.quote(EURUSD=(1.08, 1.0801))  # nobody has looked at the stops yet
    copying.signal(stopLoss=1.09, takeProfit=1.3)
    assert levels(copying) == [(1.09, 1.3)]


def test_a_pending_signal_is_moved_to_the_right_side_only(copying: Desk) -> None:
    order = {"type": "ORDER_TYPE_BUY_LIMIT", "stopLoss": 1.04}
    copying.signal(openPrice=1.05, **order)
    for price in (1.1001, 1.03):  # above the market; below its stop
        with pytest.raises(Refused):
            copying.signal(openPrice=price, **order)
    assert [each["openPrice"] for each in copying.waiting()] == [1.05]
    copying.signal(openPrice=1.06, **order)
    assert [each["openPrice"] for each in copying.waiting()] == [1.06]


def test_a_symbol_without_a_price_is_judged_on_each_route(desk: Desk) -> None:
    desk.strategy()
    desk.subscriber("a", symbolMapping=[{"from": "Euro", "to": "EURUSD"}])
    desk.subscriber("b", symbolMapping=[{"from": "Euro", "to": "EURUSD"}], copyStopLoss=False)
    effects = desk.signal(symbol="Euro", stopLoss=1.2)
    assert reasons(desk) == ["invalid-stops", "copied"]
    assert (desk.held("a"), desk.held("b")) == ([], [("EURUSD", 1, 0.1)])
    rows = Rows()
    list(Renderer(desk.book).render(effects, rows))
    told = [msgspec.json.decode(row[1]) for row in rows.log]
    summary = next(each for each in told if each["message"].startswith("Signal of") and "subscriberId" not in each)
    assert summary["level"] == "WARN"
    assert "1 invalid stops" in summary["message"]


def test_a_resynchronisation_behind_the_stop_opens_nothing(copying: Desk) -> None:
    copying.signal(stopLoss=1.09)
    copying.tick(1, EURUSD=(1.08, 1.0801))
    before = copying.balance()
    for _ in range(3):
        copying.do(Resynchronise(tenant="t", subscriber_id="a"))
    assert copying.held() == []
    assert copying.balance() == before
    assert reasons(copying)[1:] == ["invalid-stops"] * 3


def test_a_delayed_copy_is_not_opened_behind_its_stop(desk: Desk) -> None:
    desk.strategy(timeSettings={"openingIntervalInMinutes": 60})
    desk.subscriber(signalDelay={"minInSeconds": 60, "maxInSeconds": 60})
    desk.signal(stopLoss=1.09)
    desk.tick(61, EURUSD=(1.08, 1.0801))
    assert reasons(desk) == ["delayed", "invalid-stops"]
    assert desk.held() == []


@pytest.mark.parametrize(
    ("action", "fields", "answer"),
    [
        ("ORDER_TYPE_BUY", {"stop_loss": 1.1}, "TRADE_RETCODE_INVALID_STOPS"),
        ("ORDER_TYPE_BUY", {"take_profit": 1.1}, "TRADE_RETCODE_INVALID_STOPS"),
        ("ORDER_TYPE_SELL", {"stop_loss": 1.1001}, "TRADE_RETCODE_INVALID_STOPS"),
        ("ORDER_TYPE_SELL", {"take_profit": 1.1001}, "TRADE_RETCODE_INVALID_STOPS"),
        ("ORDER_TYPE_BUY", {"stop_loss": 1.09999, "take_profit": 1.10001}, "TRADE_RETCODE_DONE"),
        ("ORDER_TYPE_BUY_LIMIT", {"price": 1.1001}, "TRADE_RETCODE_INVALID_PRICE"),
        ("ORDER_TYPE_BUY_STOP", {"price": 1.1001}, "TRADE_RETCODE_INVALID_PRICE"),
        ("ORDER_TYPE_SELL_LIMIT", {"price": 1.1}, "TRADE_RETCODE_INVALID_PRICE"),
        ("ORDER_TYPE_SELL_STOP", {"price": 1.1}, "TRADE_RETCODE_INVALID_PRICE"),
        ("ORDER_TYPE_BUY_LIMIT", {"price": 1.05, "stop_loss": 1.05}, "TRADE_RETCODE_INVALID_STOPS"),
        ("ORDER_TYPE_BUY_LIMIT", {"price": 1.05, "stop_loss": 1.04, "take_profit": 1.06}, "TRADE_RETCODE_DONE"),
    ],
)
def test_trades_by_hand_are_answered_as_a_broker_does(copying: Desk, action, fields, answer) -> None:
    told = copying.trade(action, **fields)
    assert told["stringCode"] == answer
    is_done = answer == "TRADE_RETCODE_DONE"
    assert (len(copying.held()) + len(copying.waiting()) == 1) == is_done
    assert (len(copying.book.signals) == 1) == is_done


def test_a_position_is_not_moved_to_a_wrong_level(copying: Desk) -> None:
    ticket = copying.trade("ORDER_TYPE_BUY", stop_loss=1.09, take_profit=1.2)["positionId"]
    for change in ({"stop_loss": 1.1, "take_profit": 1.2}, {"stop_loss": 1.09, "take_profit": 1.1}):
        told = copying.trade("POSITION_MODIFY", position_id=ticket, **change)
        assert told["numericCode"] == 10016
    assert levels(copying) == levels(copying, "prov") == [(1.09, 1.2)]
    assert copying.trade("POSITION_MODIFY", position_id=ticket, stop_loss=1.095)["numericCode"] == 10009
    assert levels(copying)[0][0] == 1.095
    assert math.isnan(levels(copying)[0][1])  # what is not named is taken away, as at the vendor


def test_an_order_is_not_moved_to_the_wrong_side(copying: Desk) -> None:
    ticket = copying.trade("ORDER_TYPE_BUY_LIMIT", price=1.05, stop_loss=1.04)["orderId"]
    for change, code in (
        ({"price": 1.1001, "stop_loss": 1.04}, 10015),
        ({"price": 1.03, "stop_loss": 1.04}, 10016),
        ({"stop_loss": 1.05}, 10016),
    ):
        assert copying.trade("ORDER_MODIFY", order_id=ticket, **change)["numericCode"] == code
    assert [(each["openPrice"], each["stopLoss"]) for each in copying.waiting()] == [(1.05, 1.04)]


@pytest.mark.parametrize("terms", [TO_POUND, TO_YEN])
def test_levels_of_another_pair_are_never_copied(desk: Desk, terms: dict) -> None:
    desk.strategy()
    desk.subscriber(**terms)
    desk.subscriber("b")
    desk.signal(takeProfit=1.12)
    desk.signal("sig00002", stopLoss=1.09)
    desk.signal("sig00003", type="ORDER_TYPE_BUY_STOP", openPrice=1.12)
    assert reasons(desk)[::2] == ["copied", "prices-of-another-symbol", "prices-of-another-symbol"]
    assert reasons(desk)[1::2] == ["copied"] * 3
    assert len(desk.held("a")) == 1
    assert desk.waiting("a") == []
    assert np.isnan(levels(desk)).all()
    desk.signal(takeProfit=1.13, stopLoss=1.08)
    assert np.isnan(levels(desk)).all()
    assert levels(desk, "b")[0] == (1.08, 1.13)
    kept = [line.message for line in desk.told(LogLine) if line.subscriber_id == "a" and line.severity == 2]
    assert len(kept) == 2
    desk.tick(1)
    assert len(desk.held("a")) == 1


def test_a_moved_level_that_is_wrong_for_one_copy_stays_there(desk: Desk) -> None:
    desk.strategy()
    desk.subscriber("a")
    desk.subscriber("b", reverse=True)
    desk.signal(stopLoss=1.05, takeProfit=1.2)
    desk.signal(stopLoss=1.05, takeProfit=1.10005)  # above the bid, not above the ask, where the reversed copy ends
    assert levels(desk, "a") == [(1.05, 1.10005)]
    assert levels(desk, "b") == [(1.2, 1.05)]
    assert any("stays" in line.message and line.subscriber_id == "b" for line in desk.told(LogLine))


def test_levels_that_were_missed_are_made_up_for_on_the_right_side_only(copying: Desk) -> None:
    copying.signal(stopLoss=1.05)
    copying.do(SetConnection(tenant="t", account_id="a", is_connected=False))
    copying.signal(stopLoss=1.09)
    copying.quote(EURUSD=(1.08, 1.0801))
    copying.do(SetConnection(tenant="t", account_id="a", is_connected=True))
    assert levels(copying)[0][0] == 1.05


def test_fixed_risk_never_sizes_by_a_stop_on_the_wrong_side(desk: Desk) -> None:
    desk.strategy()
    scaling = {"tradeSizeScaling": {"mode": "fixedRisk", "riskFraction": 0.01}, "copyStopLoss": False}
    desk.subscriber(symbolMapping=[{"from": "Euro", "to": "EURUSD"}], **scaling)
    desk.signal(symbol="Euro", stopLoss=1.2)
    assert reasons(desk) == ["invalid-stops"]


def test_entries_from_before_replay_as_they_were_carried_out(copying: Desk) -> None:
    document = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "time": "2026-03-02T12:00:00.000Z", "volume": 0.1}
    copying.signal(**document)
    command = msgspec.structs.replace(
        copying.entries[-1].command, signal_id="sig00002", document=document | {"stopLoss": 1.2}
    )
    old = CommandEntry(time=copying.now + 1, quotes={}, command=command)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(old), type=CommandEntry).rules == 0
    effects = apply(copying.book, old, copying.book.sequence + 1)
    assert effects.refused is None
    assert [deals.kind for deals in effects.events if isinstance(deals, Deals)] == ["open"]
    assert copying.book.rules > 0

    again = Book(PaperBroker(), slippage_spreads=0.0)
    for number, entry in enumerate([*copying.entries, old], 1):
        apply(again, entry, number)
    assert np.array_equal(again.positions.price, copying.book.positions.price)
    assert np.array_equal(again.positions.stop_loss, copying.book.positions.stop_loss, equal_nan=True)
