"""A signal is decided while its entry is written: taken only if nothing changed since. (That a replay, which cannot
look ahead, gives the same is in test_replay.py: the desk looks ahead.)
"""

from __future__ import annotations

import pytest

from copying.backend.core.apply import apply
from copying.backend.signals import orders
from copying.backend.signals.fan_out import LookAhead
from copying.backend.state.commands import NEWEST_RULES, CommandEntry, PutNews, PutSignal
from copying.backend.state.effects import Decided
from copying.backend.state.valuation import value
from tests.unit.copying.backend.desk import Desk

DOCUMENT = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "time": "2026-03-02T12:00:00.000Z", "volume": 0.1}


@pytest.fixture
def copying(desk: Desk) -> Desk:
    """A provider and a subscriber that copies lot for lot."""
    desk.strategy()
    desk.subscriber()
    return desk


def put(document: dict | None = None) -> PutSignal:
    return PutSignal(tenant="t", strategy_id="S", signal_id="sig00001", document=document or DOCUMENT)


def carried_out(desk: Desk, command: PutSignal, time: float) -> Decided:
    """What is told when the command arrives at `time` without looking ahead again."""
    effects = apply(
        desk.book, CommandEntry(time=time, rules=NEWEST_RULES, quotes={}, command=command), desk.book.sequence + 1
    )
    return next(told for told in effects.events if isinstance(told, Decided))


def test_nothing_happens_before_the_entry(copying: Desk) -> None:
    copying.look_ahead(put())
    assert copying.held() == []
    assert not copying.book.signals


def test_what_was_decided_ahead_is_carried_out(copying: Desk) -> None:
    copying.look_ahead(put())
    decided_ahead = copying.book.cache(LookAhead).foreseen.decisions
    assert carried_out(copying, put(), copying.book.time).decisions is decided_ahead
    assert copying.held() == [("EURUSD", 1, 0.1)]
    assert copying.book.cache(LookAhead).foreseen is None


def test_it_is_decided_anew_at_another_time(copying: Desk) -> None:
    copying.look_ahead(put())
    decided_ahead = copying.book.cache(LookAhead).foreseen.decisions
    assert carried_out(copying, put(), copying.book.time + 1).decisions is not decided_ahead


def test_it_is_decided_anew_after_another_entry(copying: Desk) -> None:
    copying.look_ahead(put())
    decided_ahead, time = copying.book.cache(LookAhead).foreseen.decisions, copying.book.time
    apply(
        copying.book,
        CommandEntry(time=time, rules=NEWEST_RULES, quotes={}, command=PutNews(tenant="t", events=[])),
        copying.book.sequence + 1,
    )
    assert carried_out(copying, put(), time).decisions is not decided_ahead


def test_another_signal_is_decided_by_itself(copying: Desk) -> None:
    copying.look_ahead(put())
    assert carried_out(copying, put(DOCUMENT | {"volume": 0.2}), copying.book.time)
    assert copying.held() == [("EURUSD", 1, 0.2)]


def test_orders_made_ahead_are_the_ones_placed(copying: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = copying
    carried_out(desk, put(), desk.book.time)  # symbols get their numbers from an entry
    second = PutSignal(tenant="t", strategy_id="S", signal_id="sig00002", document=DOCUMENT)
    desk.look_ahead(second)
    placed = []
    monkeypatch.setattr(orders, "orders_for", None)  # would be called if they were made again
    opened = desk.book.broker.open
    monkeypatch.setattr(desk.book.broker, "open", lambda *args: placed.append(args[2]) or opened(*args))
    _, made = desk.book.cache(LookAhead).foreseen.orders
    carried_out(desk, second, desk.book.time)
    assert placed == [made]
    assert desk.held() == [("EURUSD", 1, 0.1)] * 2


def test_no_orders_are_made_ahead_that_would_give_out_numbers_or_reach_nobody(copying: Desk) -> None:
    copying.look_ahead(put())
    assert copying.book.cache(LookAhead).foreseen.orders is None  # the symbol has no number yet
    carried_out(copying, put(), copying.book.time)
    copying.book.accounts.connected[:] = False
    copying.look_ahead(PutSignal(tenant="t", strategy_id="S", signal_id="sig00002", document=DOCUMENT))
    assert copying.book.cache(LookAhead).foreseen.orders is None


def test_prices_that_are_known_already_are_not_valued_again(copying: Desk) -> None:
    value(copying.book)
    copying.book.set_quotes(dict(copying.book.quotes))
    assert copying.book.valued
    bid, ask = copying.book.quotes["EURUSD"]
    copying.book.set_quotes({"EURUSD": (bid + 1e-5, ask)})
    assert not copying.book.valued
