"""What providers do to their stops after copying: followed, but never beyond the terms of the copy."""

from __future__ import annotations

import math

import numpy as np
import pytest

from copying.backend.state.commands import SetConnection
from tests.unit.copying.backend.desk import Desk

PIPS_30 = {"maxStopLoss": {"value": 30, "units": "pips"}}


def stops(desk: Desk, account_id: str = "a") -> list[float]:
    account = desk.book.account_rows[account_id]
    tables = desk.book.positions, desk.book.orders
    return [float(each) for table in tables for each in table.stop_loss[table.account == account]]


@pytest.mark.parametrize("level", ["strategy", "member", "portfolio", "subscription"])
@pytest.mark.parametrize(
    ("terms", "first", "then", "wanted"),
    [
        # 0.1 lots bought at 1.1001, 1 USD a pip, 10 000 USD less 0.30 of commission
        (PIPS_30, 1.0991, 1.05, 1.0971),
        (PIPS_30, None, 1.05, 1.0971),
        (PIPS_30, 1.0991, None, 1.0971),
        (PIPS_30, 1.0991, 1.0995, 1.0995),
        ({"maxTradeRisk": 0.005}, 1.0991, 1.05, 1.09511),
        ({"maxTradeRisk": 0.005}, 1.0991, None, 1.09511),
        ({"maxTradeRisk": 0.005, "copyStopLoss": False}, 1.0991, None, math.nan),
        ({}, 1.0991, 1.05, 1.05),
    ],
)
def test_a_moved_stop_stays_within_the_terms(desk: Desk, level, terms, first, then, wanted) -> None:
    at = {level: terms}
    desk.strategy(**at.get("strategy", {}))
    desk.portfolio("P", [{"strategyId": "S", **at.get("member", {})}], **at.get("portfolio", {}))
    desk.subscriber("a", "P", **at.get("subscription", {}))
    desk.signal(stopLoss=first, takeProfit=1.2)
    desk.signal(stopLoss=then, takeProfit=1.3)
    assert stops(desk) == pytest.approx([wanted], nan_ok=True)


def test_the_stop_of_a_reversed_copy_is_the_providers_take_profit(desk: Desk) -> None:
    desk.strategy()
    desk.subscriber(reverse=True, **PIPS_30)
    desk.signal(stopLoss=1.05, takeProfit=1.101)
    desk.signal(stopLoss=1.05, takeProfit=1.2)
    assert stops(desk) == pytest.approx([1.103])


def test_orders_keep_within_the_terms_too(desk: Desk) -> None:
    desk.strategy()
    desk.subscriber(**PIPS_30)
    order = {"type": "ORDER_TYPE_BUY_LIMIT", "openPrice": 1.05}
    desk.signal(stopLoss=1.049, **order)
    desk.signal(stopLoss=1.0, **order)
    assert stops(desk) == pytest.approx([1.047])


def test_each_way_has_its_own_terms(desk: Desk) -> None:
    desk.strategy()
    desk.portfolio("P", [{"strategyId": "S", **PIPS_30}])
    desk.portfolio("Q", [{"strategyId": "P"}, {"strategyId": "S"}])
    desk.subscriber("a", "Q")
    desk.subscriber("b", "S")
    desk.signal(stopLoss=1.0991)
    desk.signal(stopLoss=1.05)
    assert sorted(stops(desk)) == pytest.approx([1.05, 1.0971])
    assert stops(desk, "b") == [1.05]


def test_an_account_without_connection_gets_the_stop_within_its_terms_later(desk: Desk) -> None:
    desk.strategy()
    desk.subscriber(**PIPS_30)
    desk.signal(stopLoss=1.0991)
    desk.do(SetConnection(tenant="t", account_id="a", is_connected=False))
    desk.signal(stopLoss=1.05)
    desk.do(SetConnection(tenant="t", account_id="a", is_connected=True))
    assert stops(desk) == pytest.approx([1.0971])


def test_copies_whose_subscription_was_released_do_not_matter(desk: Desk) -> None:
    desk.strategy()
    desk.subscriber()
    desk.signal(stopLoss=1.0991)
    assert np.isfinite(stops(desk)).all()
    desk.portfolio("P", [{"strategyId": "S"}])
    desk.subscriber("b", "P", maxTradeRisk=0.005)
    desk.signal(stopLoss=1.05)
    assert stops(desk) == [1.05]
