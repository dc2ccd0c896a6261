"""Copied orders that wait at the broker are no way around what refuses new trades."""

from __future__ import annotations

import pytest

from tests.unit.copying.backend.desk import DAY, Desk

ORDER = {"type": "ORDER_TYPE_BUY_LIMIT", "openPrice": 1.08, "volume": 0.2}
FELL = (1.079, 1.0791)


def limit(**terms) -> dict:
    return {"riskLimits": [{"type": "day", "applyTo": "balance-minus-equity", "maxAbsoluteRisk": 50, **terms}]}


@pytest.mark.parametrize("level", ["strategy", "member", "portfolio", "subscription", "subscriber"])
@pytest.mark.parametrize(("closes", "left"), [(False, [0.1]), (True, [])])
def test_a_stopout_withdraws_orders(desk: Desk, level: str, closes: bool, left: list[float]) -> None:
    at = {level: limit(closePositions=closes)}
    desk.strategy(**at.get("strategy", {}))
    desk.portfolio("P", [{"strategyId": "S", **at.get("member", {})}], **at.get("portfolio", {}))
    desk.subscriber("a", "P", settings=at.get("subscriber"), **at.get("subscription", {}))
    desk.trade("ORDER_TYPE_BUY_LIMIT", "a", price=1.01)  # by hand: stays
    desk.signal()
    desk.signal("sig00002", **ORDER)
    desk.tick(1, EURUSD=(1.09, 1.0901))
    assert [each["openPrice"] for each in desk.waiting()] == [1.01]
    desk.tick(1, EURUSD=FELL)
    assert [lots for *_, lots in desk.held()] == left


def test_an_order_that_the_provider_fills_after_the_stopout_is_copied(desk: Desk) -> None:
    desk.strategy()
    desk.subscriber(settings=limit(closePositions=True))
    desk.signal()
    desk.signal("sig00002", **ORDER)
    desk.tick(1, EURUSD=(1.09, 1.0901))
    desk.tick(DAY)
    desk.signal("sig00002", type="POSITION_TYPE_BUY", volume=0.2)
    assert desk.held() == [("EURUSD", 1, 0.2)]


@pytest.mark.parametrize("level", ["subscription", "subscriber"])
@pytest.mark.parametrize(
    ("mode", "is_open", "waiting", "held"),
    [
        ("by-position", True, [], [0.1]),
        ("by-symbol", True, [1.08], [0.1, 0.2]),
        ("by-symbol", False, [], []),
        ("immediately", True, [], []),
    ],
)
def test_close_only_withdraws_orders(desk: Desk, level, mode, is_open, waiting, held) -> None:
    desk.strategy()
    desk.subscriber()
    if is_open:
        desk.signal()
    desk.trade("ORDER_TYPE_BUY", "a", volume_lots=0.05)  # by hand: neither closed nor a reason to open more
    desk.signal("sig00002", **ORDER)
    desk.subscriber(**({"closeOnly": mode} if level == "subscription" else {"settings": {"closeOnly": mode}}))
    assert [each["openPrice"] for each in desk.waiting()] == waiting
    desk.tick(1, EURUSD=FELL)
    assert sorted(lots for *_, lots in desk.held()) == sorted([0.05, *held])
