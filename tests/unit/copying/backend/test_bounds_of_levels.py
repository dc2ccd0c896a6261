"""Levels beside their reference, by columns and one by one: rows that differ, and both sides of every bound."""

from __future__ import annotations

import math

import numpy as np
import pytest

from copying.backend.signals import levels
from copying.backend.state.errors import Refused
from copying.engine.model import OrderKind
from tests.unit.copying.backend.desk import Desk

POINT = 1e-5
TO_POUND = {"symbolMapping": [{"from": "EURUSD", "to": "GBPUSD"}]}
# a reference of 1.5: (level, refused above it, refused below it)
TABLE = [
    (1.49999, True, False),
    (1.5, True, True),
    (1.50001, False, True),
    (4.5, False, True),
    (4.50001, True, True),
    (0.5, True, False),
    (0.49999, True, True),
    (math.nan, False, False),
]


def test_a_column_of_levels_is_judged_row_by_row() -> None:
    price = np.array([level for level, _, _ in TABLE])
    for away, place in ((1, 1), (-1, 2)):
        refused = levels.are_refused(price, np.full(len(price), 1.5), np.full(len(price), away))
        assert refused.tolist() == [row[place] for row in TABLE]


@pytest.mark.parametrize(("level", "above", "below"), TABLE[:-1])
@pytest.mark.parametrize("side", [1, -1])
def test_one_order_is_judged_like_a_column(side: int, level: float, above: bool, below: bool) -> None:
    quote = (1.5, 1.8) if side > 0 else (1.2, 1.5)  # what it would close at is 1.5
    is_refused = {1: above, -1: below}
    stop = levels.wrong_price(side, OrderKind.MARKET, levels.Levels(stop_loss=level), math.nan, quote)
    take = levels.wrong_price(side, OrderKind.MARKET, levels.Levels(take_profit=level), math.nan, quote)
    assert (stop is not None, take is not None) == (is_refused[-side], is_refused[side])
    assert [wrong.parameter for wrong in (stop, take) if wrong] == ["stopLoss"] * (stop is not None) + [
        "takeProfit"
    ] * (take is not None)


@pytest.mark.parametrize(("kind", "toward"), [(OrderKind.LIMIT, -1), (OrderKind.STOP, 1)])
@pytest.mark.parametrize(("level", "above", "below"), TABLE[:-1])
@pytest.mark.parametrize("side", [1, -1])
def test_a_pending_price_is_judged_by_what_the_market_opens_at(side, level, above, below, kind, toward) -> None:
    quote = (1.2, 1.5) if side > 0 else (1.5, 1.8)
    wrong = levels.wrong_price(side, kind, levels.Levels(order_price=level), level, quote)
    assert (wrong is not None) is (above if side * toward > 0 else below)
    assert wrong is None or wrong.parameter == "openPrice"


@pytest.mark.parametrize("side", [1, -1])
def test_levels_of_a_pending_order_are_judged_by_its_price(side: int) -> None:
    """The market stands elsewhere and does not count."""
    for level, above, below in TABLE[:-1]:
        for name, away in (("stop_loss", -side), ("take_profit", side)):
            named = levels.Levels(**{name: level})
            wrong = levels.wrong_price(side, OrderKind.LIMIT, named, 1.5, (5.0, 5.1))
            assert (wrong is not None) is (above if away > 0 else below)


def test_without_a_quote_only_the_order_itself_is_judged() -> None:
    wrong = levels.wrong_price(1, OrderKind.LIMIT, levels.Levels(1.3, 1.1, 1.2), 1.2, None)
    assert wrong == ("stopLoss", 1.3, "must be below the order's price (1.2)")
    assert levels.wrong_price(1, OrderKind.MARKET, levels.Levels(1.3, 1.1), math.nan, None) is None


@pytest.mark.parametrize(
    ("change", "parameter"),
    [
        ({"stopLoss": 1.1, "takeProfit": 1.2}, "stopLoss"),
        ({"stopLoss": 1.09, "takeProfit": 1.1}, "takeProfit"),
        ({"stopLoss": 1.1, "takeProfit": 1.1}, "stopLoss"),
        ({"stopLoss": 1.09999, "takeProfit": 1.10001}, None),
        ({"stopLoss": 1.08, "takeProfit": 1.2}, None),
    ],
)
def test_the_level_that_is_wrong_is_named(desk: Desk, change: dict[str, float], parameter: str | None) -> None:
    desk.strategy()
    desk.subscriber()
    desk.signal(stopLoss=1.09, takeProfit=1.2)
    if parameter is None:
        desk.signal(**change)
        return
    with pytest.raises(Refused) as refused:
        desk.signal(**change)
    assert (refused.value.details[0]["parameter"], refused.value.details[0]["value"]) == (parameter, change[parameter])


@pytest.mark.parametrize("name", ["stopLoss", "takeProfit"])
def test_a_level_that_was_passed_by_is_judged_only_when_it_moves(desk: Desk, name: str) -> None:
    """The other level may be moved meanwhile."""
    desk.strategy()
    desk.signal(stopLoss=1.09, takeProfit=1.11)
    bid = 1.08 if name == "stopLoss" else 1.12
    desk.quote(EURUSD=(bid, bid + 0.0001))
    other = {"stopLoss": {"takeProfit": 1.3}, "takeProfit": {"stopLoss": 1.0}}[name]
    desk.signal(**{"stopLoss": 1.09, "takeProfit": 1.11, **other})
    old = {"stopLoss": 1.09, "takeProfit": 1.11}
    step = 0.001 if name == "stopLoss" else -0.001  # still on the wrong side
    with pytest.raises(Refused):
        desk.signal(**{"stopLoss": 1.09, "takeProfit": 1.11, **other, name: old[name] + step})


@pytest.mark.parametrize(
    ("change", "parameter"),
    [
        ({"stopLoss": 1.1001, "takeProfit": 1.0}, "stopLoss"),
        ({"stopLoss": 1.09, "takeProfit": 1.0}, "stopLoss"),
        ({"stopLoss": 1.12, "takeProfit": 1.1001}, "takeProfit"),
        ({"stopLoss": 1.10011, "takeProfit": 1.10009}, None),
    ],
)
def test_the_level_of_a_sale_that_is_wrong_is_named(
    desk: Desk, change: dict[str, float], parameter: str | None
) -> None:
    desk.strategy()
    sale = {"type": "POSITION_TYPE_SELL"}
    desk.signal(stopLoss=1.12, takeProfit=1.0, **sale)
    if parameter is None:
        desk.signal(**change, **sale)
        return
    with pytest.raises(Refused) as refused:
        desk.signal(**change, **sale)
    assert refused.value.details[0]["parameter"] == parameter


@pytest.mark.parametrize("moved", ["stop loss", "take profit"])
@pytest.mark.parametrize(
    ("step", "refused"),
    [(-0.3, [False, True]), (-0.01, [False, True]), (0.01, [True, True]), (0.3, [True, True])],
)
def test_copies_keep_the_level_that_their_own_broker_refuses(desk: Desk, moved: str, step: float, refused) -> None:
    """Two copies of one signal: the symbol of the second is another instrument, whose prices say nothing.

    step: from the bid of EURUSD, to the side on which the level may not be.
    """
    desk.strategy()
    desk.subscriber("a")
    desk.subscriber("b", **TO_POUND)
    desk.signal()
    signal, positions = next(iter(desk.book.signals.values())), desk.book.positions
    rows = np.flatnonzero(positions.subscription >= 0)
    new = np.full(len(rows), 1.1 + step if moved == "stop loss" else 1.1 - step)
    none = np.full(len(rows), math.nan)
    wanted = (new, none) if moved == "stop loss" else (none, new)
    stop, take = levels.refused_levels(desk.book, signal, positions, rows, *wanted)
    expected = refused, [False, False]
    assert (stop.tolist(), take.tolist()) == (expected if moved == "stop loss" else expected[::-1])


def test_pending_copies_are_moved_where_their_own_market_allows(desk: Desk) -> None:
    desk.strategy()
    desk.subscriber("a")
    desk.subscriber("b", **TO_POUND)
    desk.signal(type="ORDER_TYPE_BUY_LIMIT", openPrice=1.05)
    signal, orders = next(iter(desk.book.signals.values())), desk.book.orders
    symbols = desk.book.symbols.texts
    for price, refused in ((1.10009, {"EURUSD": False}), (1.1001, {"EURUSD": True}), (1.10011, {"EURUSD": True})):
        rows = np.arange(orders.size)
        verdict = levels.refused_prices(desk.book, signal, rows, price)
        shown = dict(zip([symbols[number] for number in orders.symbol.tolist()], verdict.tolist(), strict=True))
        assert shown == {**refused, **({"GBPUSD": True} if "GBPUSD" in shown else {})}
    assert levels.refused_prices(desk.book, signal, np.empty(0, np.intp), 9.0).tolist() == []
