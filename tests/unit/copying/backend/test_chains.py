"""Copies on an account that provides a strategy are signals of that strategy: hop by hop, never in a circle."""

from __future__ import annotations

import numpy as np
import pytest

from copying.backend.broker.paper import PaperBroker
from copying.backend.core.apply import apply
from copying.backend.http import reads
from copying.backend.state import snapshot
from copying.backend.state.book import Book
from copying.backend.state.commands import Remove, Resynchronise, SetConnection
from copying.backend.state.effects import Deals, Decided, LogLine, SignalEvent
from copying.engine.model import Outcome
from copying.engine.reasons import Reason
from tests.unit.copying.backend.desk import Desk


@pytest.fixture
def chain(desk: Desk) -> Desk:
    """prov gives S, a copies S and gives T, b copies T at half size and gives U, c copies U."""
    desk.strategy("S", "prov")
    desk.subscriber("a", "S")
    desk.strategy("T", "a")
    desk.subscriber("b", "T", multiplier=0.5)
    desk.strategy("U", "b")
    desk.subscriber("c", "U")
    return desk


def lots(desk: Desk) -> dict[str, list[float]]:
    return {name: [each for _, _, each in desk.held(name)] for name in ("prov", "a", "b", "c")}


def decided(desk: Desk) -> list[tuple[str, Outcome, Reason]]:
    return [
        (told.signal.strategy_id, Outcome(told.decisions.outcome[row]), Reason(told.decisions.reason[row]))
        for told in desk.told(Decided)
        for row in told.rows.tolist()
    ]


def replayed(desk: Desk) -> bytes:
    fresh = Book(PaperBroker(), slippage_spreads=0.0)
    for sequence, entry in enumerate(desk.entries, 1):
        apply(fresh, entry, sequence)
    return snapshot.pack(fresh)


def stops(desk: Desk, name: str) -> list[float]:
    positions = desk.book.positions
    return positions.stop_loss[positions.account == desk.book.account_rows[name]].tolist()


def test_a_trade_goes_down_the_whole_chain_with_a_decision_and_a_deal_for_each_hop(chain: Desk) -> None:
    chain.trade("ORDER_TYPE_BUY", volume_lots=0.4)
    assert lots(chain) == {"prov": [0.4], "a": [0.4], "b": [0.2], "c": [0.2]}
    assert decided(chain) == [(each, Outcome.COPIED, Reason.COPIED) for each in "STU"]
    opened = [deals for deals in chain.told(Deals) if deals.kind == "open"]
    assert [chain.book.strategy_names.texts[deals.leaf[0]] for deals in opened] == ["S", "T", "U"]
    mine = reads.account_positions(chain.book, "t", "a")[0]
    assert list(opened[1].signal_ids.values()) == [mine["id"]]  # the copy's own ticket is the signal of T


def test_the_whole_life_is_passed_on(chain: Desk) -> None:
    answer = chain.trade("ORDER_TYPE_BUY", volume_lots=0.4)
    ticket = answer["positionId"]
    chain.trade("POSITION_MODIFY", position_id=ticket, stop_loss=1.05, take_profit=1.2)
    assert [stops(chain, name) for name in "abc"] == [[1.05]] * 3
    chain.trade("POSITION_PARTIAL", position_id=ticket, volume_lots=0.1)
    assert lots(chain) == {"prov": [0.3], "a": [0.3], "b": [0.15], "c": [0.15]}
    chain.trade("POSITION_PARTIAL", position_id=ticket, volume_lots=0.2)
    assert lots(chain) == {"prov": [0.1], "a": [0.1], "b": [0.05], "c": [0.05]}
    chain.trade("POSITION_CLOSE_ID", position_id=ticket)
    assert lots(chain) == {"prov": [], "a": [], "b": [], "c": []}
    assert chain.book.signals == chain.book.chained == {}
    events = [each.what for each in chain.told(SignalEvent) if each.strategy_id == "U"]
    assert events == ["open", "change", "part", "part", "close"]


def test_a_pending_order_waits_on_every_hop_and_fills(chain: Desk) -> None:
    answer = chain.trade("ORDER_TYPE_BUY_LIMIT", price=1.09)
    assert [len(chain.waiting(name)) for name in "abc"] == [1, 1, 1]
    chain.trade("ORDER_MODIFY", order_id=answer["orderId"], price=1.08)
    assert [chain.waiting(name)[0]["openPrice"] for name in "abc"] == [1.08] * 3
    chain.tick(1, EURUSD=(1.0798, 1.0799))
    assert lots(chain) == {"prov": [0.1], "a": [0.1], "b": [0.05], "c": [0.05]}
    assert [len(chain.waiting(name)) for name in "abc"] == [0, 0, 0]
    position = reads.account_positions(chain.book, "t", "prov")[0]["id"]
    chain.trade("POSITION_CLOSE_ID", position_id=position)
    assert lots(chain) == {"prov": [], "a": [], "b": [], "c": []}


def test_a_cancelled_order_is_withdrawn_on_every_hop(chain: Desk) -> None:
    answer = chain.trade("ORDER_TYPE_SELL_STOP", price=1.09)
    chain.trade("ORDER_CANCEL", order_id=answer["orderId"])
    assert [len(chain.waiting(name)) for name in "abc"] == [0, 0, 0]
    assert chain.book.signals == {}


def test_what_ends_in_the_middle_ends_below_and_stays_above(chain: Desk) -> None:
    chain.signal(volume=0.4)
    mine = reads.account_positions(chain.book, "t", "a")[0]["id"]
    chain.trade("POSITION_PARTIAL", "a", position_id=mine, volume_lots=0.2)
    assert lots(chain) == {"prov": [], "a": [0.2], "b": [0.1], "c": [0.1]}
    chain.trade("POSITION_CLOSE_ID", "a", position_id=mine)
    assert lots(chain) == {"prov": [], "a": [], "b": [], "c": []}
    assert [each.strategy_id for each in chain.book.signals.values()] == ["S"]
    chain.do(Resynchronise(tenant="t", subscriber_id="a"))
    assert lots(chain) == {"prov": [], "a": [0.4], "b": [0.2], "c": [0.2]}


def test_a_stop_loss_in_the_middle_closes_what_follows(desk: Desk) -> None:
    desk.strategy("S", "prov")
    desk.subscriber("a", "S", maxStopLoss={"value": 50, "units": "pips"})
    desk.strategy("T", "a")
    desk.subscriber("b", "T", copyStopLoss=False)
    desk.signal(stopLoss=1.0)
    desk.tick(1, EURUSD=(1.0949, 1.095))
    assert desk.held("a") == desk.held("b") == []
    assert [each.strategy_id for each in desk.book.signals.values()] == ["S"]


def test_released_copies_go_on_giving_their_signal(chain: Desk) -> None:
    chain.signal(volume=0.4)
    chain.do(Remove(tenant="t", what="subscriber", id="a", mode="preserve"))
    assert lots(chain)["c"] == [0.2]
    mine = reads.account_positions(chain.book, "t", "a")[0]["id"]
    chain.trade("POSITION_CLOSE_ID", "a", position_id=mine)
    assert lots(chain) == {"prov": [], "a": [], "b": [], "c": []}


def test_two_accounts_that_copy_each_other_stop_where_the_trade_came_from(desk: Desk) -> None:
    desk.strategy("S", "a")
    desk.strategy("T", "b")
    desk.subscriber("a", "T")
    desk.subscriber("b", "S")
    desk.trade("ORDER_TYPE_BUY", "a")
    assert (desk.held("a"), desk.held("b")) == ([("EURUSD", 1, 0.1)], [("EURUSD", 1, 0.1)])
    assert decided(desk) == [
        ("S", Outcome.COPIED, Reason.COPIED),
        ("T", Outcome.SKIPPED, Reason.CIRCULAR),
    ]
    desk.trade("ORDER_TYPE_SELL", "b")
    assert len(desk.held("a")) == len(desk.held("b")) == 2


def test_nobody_copies_a_trade_of_the_own_account(desk: Desk) -> None:
    desk.strategy("S", "a")
    desk.subscriber("a", "S")
    desk.trade("ORDER_TYPE_BUY", "a")
    assert desk.held("a") == [("EURUSD", 1, 0.1)]
    assert decided(desk) == [("S", Outcome.SKIPPED, Reason.CIRCULAR)]


def test_an_external_signal_copied_onto_its_own_account_is_told_once(desk: Desk) -> None:
    desk.strategy("S", "a")
    desk.subscriber("a", "S")
    desk.subscriber("b", "S")
    desk.signal()
    assert (desk.held("a"), desk.held("b")) == ([("EURUSD", 1, 0.1)], [("EURUSD", 1, 0.1)])


def test_a_triangle_ends_after_one_round(desk: Desk) -> None:
    for strategy, account in (("S", "a"), ("T", "b"), ("U", "c")):
        desk.strategy(strategy, account)
    for subscriber, strategy in (("b", "S"), ("c", "T"), ("a", "U")):
        desk.subscriber(subscriber, strategy)
    desk.trade("ORDER_TYPE_BUY", "b")
    assert [len(desk.held(name)) for name in "abc"] == [1, 1, 1]
    assert decided(desk)[-1] == ("S", Outcome.SKIPPED, Reason.CIRCULAR)


def test_a_chain_ends_after_eight_strategies(desk: Desk) -> None:
    for number in range(11):
        desk.strategy(f"S{number}", f"p{number}")
        desk.subscriber(f"p{number + 1}", f"S{number}")
    desk.trade("ORDER_TYPE_BUY", "p0", volume_lots=0.1)
    assert [len(desk.held(f"p{number}")) for number in range(11)] == [1] * 9 + [0] * 2
    assert [line.strategy_id for line in desk.told(LogLine) if "any further" in line.message] == ["S8"]


def test_a_strategy_that_comes_later_does_not_publish_what_was_open(desk: Desk) -> None:
    desk.strategy("S", "prov")
    desk.subscriber("a", "S")
    desk.signal("sig00001")
    desk.strategy("T", "a")
    desk.subscriber("b", "T")
    assert desk.held("b") == []
    desk.signal("sig00002", volume=0.3)
    assert desk.held("b") == [("EURUSD", 1, 0.3)]


def test_a_chain_through_a_lost_connection_is_made_up_for(chain: Desk) -> None:
    chain.signal("sig00001", volume=0.4)
    chain.do(SetConnection(tenant="t", account_id="a", is_connected=False))
    chain.close_signal("sig00001")
    chain.signal("sig00002", volume=0.2)
    assert lots(chain) == {"prov": [], "a": [0.4], "b": [0.2], "c": [0.2]}
    chain.tick(10)
    chain.do(SetConnection(tenant="t", account_id="a", is_connected=True))
    assert lots(chain) == {"prov": [], "a": [0.2], "b": [0.1], "c": [0.1]}


def test_an_order_in_the_middle_that_filled_without_a_connection_is_published_late(chain: Desk) -> None:
    chain.trade("ORDER_TYPE_BUY_LIMIT", price=1.09)
    chain.do(SetConnection(tenant="t", account_id="a", is_connected=False))
    chain.tick(1, EURUSD=(1.0898, 1.0899))
    assert lots(chain)["a"] == [0.1]
    chain.tick(5)
    chain.do(SetConnection(tenant="t", account_id="a", is_connected=True))
    assert lots(chain) == {"prov": [0.1], "a": [0.1], "b": [0.05], "c": [0.05]}
    assert [len(chain.waiting(name)) for name in "abc"] == [0, 0, 0]


def test_a_replay_and_a_restored_snapshot_give_the_same_chains(chain: Desk) -> None:
    answer = chain.trade("ORDER_TYPE_BUY", volume_lots=0.4)
    held, place = snapshot.pack(chain.book), len(chain.entries)
    chain.trade("POSITION_PARTIAL", position_id=answer["positionId"], volume_lots=0.1)
    chain.trade("ORDER_TYPE_SELL_LIMIT", price=1.2)
    chain.tick(1, EURUSD=(1.2001, 1.2002))
    chain.trade("POSITION_CLOSE_ID", position_id=answer["positionId"])
    restored = snapshot.unpack(held, PaperBroker())
    for sequence, entry in enumerate(chain.entries[place:], place + 1):
        apply(restored, entry, sequence)
    assert replayed(chain) == snapshot.pack(restored) == snapshot.pack(chain.book)
    accounts = chain.book.accounts
    assert np.allclose(accounts.balance, accounts.deposits + accounts.traded)


def test_an_order_that_fills_with_other_stops_hands_on_both(desk: Desk) -> None:
    desk.strategy("S", "prov")
    desk.subscriber("a", "S")
    desk.strategy("T", "a")
    desk.subscriber("b", "T", skipPendingOrders=True)
    desk.signal(type="ORDER_TYPE_BUY_LIMIT", openPrice=1.09, stopLoss=1.04)
    desk.signal(type="POSITION_TYPE_BUY", openPrice=1.1, stopLoss=1.05)
    assert stops(desk, "a") == stops(desk, "b") == [1.05]
