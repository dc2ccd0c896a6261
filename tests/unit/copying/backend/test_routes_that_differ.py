"""Routes of one signal that differ: what is wrong with one never reaches the others, now or at any price to come."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

import pytest

from copying.backend.broker.paper import PaperBroker
from copying.backend.core import ticks
from copying.backend.core.apply import apply
from copying.backend.http import reads
from copying.backend.http.reads import risk_limits
from copying.backend.signals.plans import plan_for
from copying.backend.state.book import Book
from copying.backend.state.commands import (
    Command,
    CommandEntry,
    PutSignal,
    RemoveSignal,
    Resynchronise,
    SetConnection,
)
from copying.backend.state.effects import Decided
from copying.backend.state.parts import UNKNOWN as UNKNOWN_PART
from copying.backend.state.snapshot import pack, unpack
from copying.backend.state.times import iso
from copying.engine.reasons import Reason
from tests.unit.copying.backend.desk import DAY, Desk

UNKNOWN = ("XPTJPY", "EURUSD.proECN7", "€", "EURUSD2")
KINDS: dict[str, dict[str, Any]] = {
    "market": {},
    "limit": {"type": "ORDER_TYPE_BUY_LIMIT", "openPrice": 1.05},
    "stop": {"type": "ORDER_TYPE_BUY_STOP", "openPrice": 1.15},
}


def mapped(name: str, of: str = "EURUSD") -> dict[str, Any]:
    return {"symbolMapping": [{"from": of, "to": name}]}


def outcomes(desk: Desk) -> dict[str, str]:
    """Subscriber -> the reason of its newest decision."""
    found = {}
    for told in desk.told(Decided):
        for row in told.rows.tolist():
            subscriber_id, _ = desk.book.subscription_keys[told.subscription[row]]
            found[subscriber_id] = Reason(int(told.decisions.reason[row])).code
    return found


def live_on(desk: Desk) -> None:
    """Everything that looks at the whole book: prices, a night, limits, reads, a snapshot and another order."""
    desk.tick(1, EURUSD=(1.101, 1.1011))
    desk.tick(DAY, snapshots=True)
    desk.tick(3 * DAY)
    desk.do(Resynchronise(tenant="t", subscriber_id="a"))
    for account in ("a", "b", "prov"):
        reads.account_positions(desk.book, "t", account)
        reads.account_orders(desk.book, "t", account)
    reads.trading_signals(desk.book, "t", "b")
    risk_limits(desk.book, "t")
    again: Book = unpack(pack(desk.book), PaperBroker())
    assert ticks.due(again, desk.now) == ticks.due(desk.book, desk.now)
    desk.trade("ORDER_TYPE_BUY", "a", symbol="GBPUSD")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", UNKNOWN)
@pytest.mark.parametrize("first", ["a", "b"])
def test_a_symbol_unknown_on_one_route_fails_that_route_alone(desk: Desk, kind: str, name: str, first: str) -> None:
    desk.strategy()
    for account in ("a", "b") if first == "a" else ("b", "a"):
        desk.subscriber(account, **(mapped(name) if account == "b" else {}))
    desk.signal("sig00001", **KINDS[kind])
    assert outcomes(desk) == {"a": "copied", "b": "unknown-symbol"}
    assert len(desk.held("a")) + len(desk.waiting("a")) == 1
    assert desk.held("b") == desk.waiting("b") == []
    live_on(desk)
    desk.signal("sig00002")
    assert outcomes(desk) == {"a": "copied", "b": "unknown-symbol"}
    desk.close_signal("sig00002")
    assert name not in desk.book.symbols.texts, "a name that nothing was placed in is not kept"


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_symbol_that_one_route_can_translate_is_copied_there(desk: Desk, kind: str) -> None:
    desk.strategy()
    desk.subscriber("a", **mapped("EURUSD", of="XPTJPY"))
    desk.subscriber("b")
    desk.signal(symbol="XPTJPY", **KINDS[kind])
    translated = "copied" if kind == "market" else "prices-of-another-symbol"
    assert outcomes(desk) == {"a": translated, "b": "unknown-symbol"}
    live_on(desk)


def test_a_providers_own_trade_is_carried_out_whatever_names_its_followers_have(desk: Desk) -> None:
    desk.strategy()
    desk.subscriber("a")
    desk.subscriber("b", **mapped("XPTJPY"))
    assert desk.trade("ORDER_TYPE_BUY")["stringCode"] == "TRADE_RETCODE_DONE"
    assert desk.trade("ORDER_TYPE_BUY_LIMIT", price=1.05)["stringCode"] == "TRADE_RETCODE_DONE"
    assert len(desk.held("a")) == len(desk.waiting("a")) == 1
    live_on(desk)


TROUBLES: dict[str, dict[str, Any]] = {
    "unknown-symbol": mapped("XPTJPY"),
    "no-price": mapped("GBPJPY"),
    "symbol-filter": {"symbolFilter": {"excluded": ["EURUSD"]}},
    "expression-failed": {"tradeSizeScaling": {"mode": "expression", "expression": "1 / (balance - balance)"}},
    "delayed": {"signalDelay": {"minInSeconds": 60, "maxInSeconds": 90}},
    "offline": {},
    "close-only": {"closeOnly": "by-position"},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("troubles", list(itertools.combinations(TROUBLES, 3)), ids="+".join)
def test_every_mixture_of_troubles_leaves_the_good_routes_alone(kind: str, troubles: tuple[str, ...]) -> None:
    desk = Desk()
    desk.book.quotes.pop("GBPJPY")
    desk.pending.pop("GBPJPY")
    desk.strategy()
    desk.subscriber("a")
    for trouble in troubles:
        desk.subscriber(trouble, **TROUBLES[trouble])
        if trouble == "offline":
            desk.do(SetConnection(tenant="t", account_id="offline", is_connected=False))
    desk.subscriber("b")
    desk.signal(**KINDS[kind])
    expected = {trouble: trouble for trouble in troubles} | {"a": "copied", "b": "copied"}
    if kind != "market":
        expected.pop("no-price", None)  # a pending order needs none
    told = outcomes(desk)
    assert {key: told[key] for key in expected} == expected
    live_on(desk)
    desk.close_signal()
    assert desk.held("b") == desk.waiting("b") == []


def test_a_book_that_holds_an_unknown_name_lives(desk: Desk) -> None:
    """As books of earlier versions do: in the list of symbols, and even under a position."""
    desk.strategy()
    desk.subscriber("a")
    desk.signal()
    number = desk.book.symbols.number("XPTJPY")
    live_on(desk)
    desk.signal("sig00002")
    balance = desk.balance("a")
    desk.book.positions.symbol[desk.book.positions.account == desk.book.account_rows["a"]] = number
    desk.book.valued = False
    live_on(desk)
    desk.close_signal("sig00002")
    desk.close_signal()
    assert desk.balance("a") == pytest.approx(balance, abs=50), "a result, not nothing and no number"


def test_a_plan_knows_the_parts_that_were_made_while_an_account_was_left_out(desk: Desk) -> None:
    desk.strategy()
    desk.portfolio("P", [{"strategyId": "S"}])
    desk.subscriber("a", "P")
    desk.subscriber("b", "P")
    plan = plan_for(desk.book, "S")
    document = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "time": iso(desk.now + 1), "volume": 0.1}
    command = PutSignal(tenant="t", strategy_id="S", signal_id="sig00001", document=document)
    entry = CommandEntry(time=desk.now + 1, rules=desk.book.rules, quotes=desk.pending, command=command, left_out=["b"])
    apply(desk.book, entry, desk.book.sequence + 1)
    assert [key.subscriber_id for key in plan.table.keys] == ["a", "b"]
    assert plan_for(desk.book, "S") is plan
    again = unpack(pack(desk.book), PaperBroker())
    assert plan.part.tolist() == plan_for(again, "S").part.tolist() == [0, UNKNOWN_PART]


def without_b(desk: Desk, command: Command, faulty: bool = True) -> None:
    """Carry a command out as after a fault on account b."""
    desk.now += 1
    left_out = {"faulty": ["b"]} if faulty else {"left_out": ["b"]}
    entry = CommandEntry(time=desk.now, rules=desk.book.rules, quotes=desk.pending, command=command, **left_out)
    desk.pending = {}
    desk.effects.append(apply(desk.book, entry, desk.book.sequence + 1))


@pytest.mark.parametrize("faulty", [True, False])
def test_a_close_that_an_account_was_left_out_of_is_made_up_for_at_the_next_look(desk: Desk, faulty: bool) -> None:
    desk.strategy()
    desk.subscriber("a")
    desk.subscriber("b")
    desk.signal()
    moment = datetime.fromtimestamp(desk.now, UTC)
    without_b(desk, RemoveSignal(tenant="t", strategy_id="S", signal_id="sig00001", time=moment), faulty)
    assert (len(desk.held("a")), len(desk.held("b"))) == (0, 1)
    again: Book = unpack(pack(desk.book), PaperBroker())
    assert ticks.due(again, desk.now)
    assert desk.tick(1) is not None
    assert desk.held("b") == []
    assert desk.book.missed == []
    assert not ticks.due(desk.book, desk.now)


def test_levels_and_withdrawals_that_an_account_was_left_out_of_are_made_up_for(desk: Desk) -> None:
    desk.strategy()
    desk.subscriber("a")
    desk.subscriber("b")
    desk.signal("sig00001")
    desk.signal("sig00002", **KINDS["limit"])
    document = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "time": iso(desk.now), "volume": 0.1, "stopLoss": 1.05}
    without_b(desk, PutSignal(tenant="t", strategy_id="S", signal_id="sig00001", document=document))
    moment = datetime.fromtimestamp(desk.now, UTC)
    without_b(desk, RemoveSignal(tenant="t", strategy_id="S", signal_id="sig00002", time=moment))
    stops = {account: reads.account_positions(desk.book, "t", account)[0].get("stopLoss") for account in ("a", "b")}
    assert stops == {"a": 1.05, "b": None}
    assert (len(desk.waiting("a")), len(desk.waiting("b"))) == (0, 1)
    desk.tick(1)
    assert reads.account_positions(desk.book, "t", "b")[0]["stopLoss"] == 1.05
    assert desk.waiting("b") == []


def test_an_account_that_was_left_out_of_its_own_return_catches_up_at_the_next_look(desk: Desk) -> None:
    desk.strategy()
    desk.subscriber("b")
    desk.signal()
    desk.do(SetConnection(tenant="t", account_id="b", is_connected=False))
    desk.close_signal()
    without_b(desk, SetConnection(tenant="t", account_id="b", is_connected=True))
    assert len(desk.held("b")) == 1
    desk.tick(1)
    assert desk.held("b") == []
    assert not ticks.due(desk.book, desk.now)
