"""What a trade by hand may ask for: every bound one step before, exactly at, and one step after."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from copying.backend.signals.trading import check_trade, row_of
from copying.backend.state.commands import Trade
from copying.backend.state.errors import Refused
from tests.unit.copying.backend.desk import Desk

POINT = 1e-5


def problem(desk: Desk, **fields: Any) -> dict[str, Any] | None:
    """The parameter at fault with its value; None: the trade is accepted."""
    command = Trade(**{"tenant": "t", "account_id": "a", "symbol": "EURUSD", **fields})
    try:
        check_trade(desk.book, command)
    except Refused as refused:
        return {"status": refused.status, **refused.details[0]}
    return None


def refusal(parameter: str, value: float | None, message: str) -> dict[str, Any]:
    return {"status": 400, "parameter": parameter, "value": value, "message": message}


@pytest.fixture
def trader(desk: Desk) -> Desk:
    desk.account("a", deposit=100_000)
    return desk


@pytest.mark.parametrize(("field", "parameter"), [("stop_loss", "stopLoss"), ("take_profit", "takeProfit")])
@pytest.mark.parametrize(
    ("price", "is_price"),
    [
        (-1e-9, False),
        (0, True),
        (1e-9, True),
        (np.nextafter(1e9, 0), True),
        (1e9, False),
        (2e9, False),
        (math.nan, False),
        (math.inf, False),
        (-math.inf, False),
        (None, True),
    ],
)
def test_a_price_is_between_nothing_and_a_billion(trader: Desk, field: str, parameter: str, price, is_price) -> None:
    ticket = trader.trade("ORDER_TYPE_BUY", "a")["positionId"]
    wrong = problem(trader, action_type="POSITION_MODIFY", position_id=ticket, **{field: price})
    assert wrong == (None if is_price else refusal(parameter, None, "must be a price"))


@pytest.mark.parametrize(
    ("volume", "shown"),
    [
        (None, None),
        (math.nan, None),
        (math.inf, None),
        (-0.01, -0.01),
        (0.0, 0.0),
        (0.009, 0.009),
        (0.01, "ok"),
        (0.011, 0.011),
        (0.015, 0.015),
        (0.019, 0.019),
        (0.02, "ok"),
        (499.99, "ok"),
        (500.0, "ok"),
        (500.01, 500.01),
    ],
)
def test_a_volume_is_in_steps_between_the_symbols_bounds(trader: Desk, volume: float | None, shown: Any) -> None:
    spec = trader.book.instrument("EURUSD")
    assert (spec.min_volume, spec.volume_step, spec.max_volume) == (0.01, 0.01, 500)
    wrong = problem(trader, action_type="ORDER_TYPE_BUY", volume_lots=volume)
    assert (wrong is None) is (shown == "ok")
    assert wrong is None or (wrong["parameter"], wrong["value"]) == ("volume", shown)


@pytest.mark.parametrize(("volume", "is_refused"), [(0.09, False), (0.1, False), (0.11, True)])
def test_no_more_is_closed_than_is_open(trader: Desk, volume: float, is_refused: bool) -> None:
    ticket = trader.trade("ORDER_TYPE_BUY", "a")["positionId"]
    wrong = problem(trader, action_type="POSITION_PARTIAL", position_id=ticket, volume_lots=volume)
    assert bool(wrong) is is_refused


@pytest.mark.parametrize(
    ("kind", "market", "towards"),
    [("BUY_LIMIT", 1.1001, -1), ("SELL_LIMIT", 1.1, 1), ("BUY_STOP", 1.1001, 1), ("SELL_STOP", 1.1, -1)],
)
@pytest.mark.parametrize(("points", "is_refused"), [(1, False), (0, True), (-1, True)])
def test_a_pending_price_of_entries_from_before(trader: Desk, kind, market, towards, points, is_refused) -> None:
    """By the rules of old entries the command is refused, not by the broker's answer."""
    trader.book.rules = 0
    price = round(market + points * towards * POINT, 5)
    wrong = problem(trader, action_type=f"ORDER_TYPE_{kind}", volume_lots=0.1, price=price)
    assert (wrong is not None) is is_refused
    side = "below" if towards < 0 else "above"
    assert wrong is None or wrong["message"] == f"must be {side} the market ({market})"


@pytest.mark.parametrize("price", [None, 0.0])
def test_a_pending_order_needs_a_price(trader: Desk, price: float | None) -> None:
    wrong = problem(trader, action_type="ORDER_TYPE_BUY_LIMIT", volume_lots=0.1, price=price)
    assert wrong == refusal("openPrice", price, "is needed for pending orders")


@pytest.mark.parametrize(
    ("ticket", "is_known"),
    [
        ("{own}", True),
        ("{other}", False),
        ("0{own}", True),
        ("-{own}", False),
        ("{own}x", False),
        ("", False),
        ("9" * 18, False),
        ("9" * 19, False),
        ("9" * 400, False),
    ],
)
def test_a_ticket_is_a_number_of_the_account(trader: Desk, ticket: str, is_known: bool) -> None:
    trader.account("b")
    tickets = {
        name: trader.trade("ORDER_TYPE_BUY", account)["positionId"] for name, account in (("own", "a"), ("other", "b"))
    }
    row = row_of(trader.book.positions, trader.book.account_rows["a"], ticket.format(**tickets))
    assert row == (0 if is_known else None)


def test_a_trade_by_hand_is_no_copy(trader: Desk) -> None:
    """Its row belongs to no subscription, part, signal or strategy, ends never and copies nothing."""
    trader.strategy()
    trader.subscriber("a")
    trader.trade("ORDER_TYPE_BUY", "a", magic=7)
    trader.trade("ORDER_TYPE_SELL_LIMIT", "a", price=1.2)
    for table in (trader.book.positions, trader.book.orders):
        row = {name: column.tolist() for name, column in table.take(np.array([0])).items()}
        assert [row[name] for name in ("subscription", "part", "signal", "leaf")] == [[-1]] * 4
        assert (row["flags"], row["expires"]) == ([0], [math.inf])
    assert trader.book.positions.magic.tolist() == [7]


@pytest.mark.parametrize(
    ("field", "value", "is_taken"),
    [
        ("leverage", 0.99, False),
        ("leverage", 1, True),
        ("leverage", 1000, True),
        ("leverage", 1000.01, False),
        ("leverage", math.nan, False),
        ("deposit", -0.01, False),
        ("deposit", 0, True),
        ("deposit", 1e12, True),
        ("deposit", 1.01e12, False),
        ("deposit", math.inf, False),
    ],
)
def test_an_account_has_a_leverage_and_a_deposit_that_can_be(
    desk: Desk, field: str, value: float, is_taken: bool
) -> None:
    if is_taken:
        desk.account("a", **{field: value})
        return
    with pytest.raises(Refused) as refused:
        desk.account("a", **{field: value})
    assert refused.value.details[0]["parameter"] == field


@pytest.mark.parametrize("ticket", [1, 10**17, 10**18 - 1])
def test_an_id_of_up_to_18_digits_is_known(trader: Desk, ticket: int) -> None:
    trader.trade("ORDER_TYPE_BUY", "a")
    table, account = trader.book.positions, trader.book.account_rows["a"]
    table.id[:] = ticket
    assert row_of(table, account, str(ticket)) == 0
    for unknown in (str(ticket) + "0", "-1", "1.0", "", "x", "9" * 40):
        assert row_of(table, account, unknown) is None
