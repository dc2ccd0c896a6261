"""What fills come to: drawn slippage number for number, and what a close is compared with on either side."""

from __future__ import annotations

import numpy as np
import pytest

from copying.backend.broker.paper import draw
from copying.backend.state.effects import Deals
from tests.unit.copying.backend.desk import Desk

BITS = (1 << 64) - 1


def drawn(ticket: int) -> float:
    """The same number by whole numbers of Python."""
    mixed = ticket * 0x9E3779B97F4A7C15 & BITS
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9 & BITS
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB & BITS
    mixed ^= mixed >> 31
    return (mixed >> 11) / 2**52 - 1.0


@pytest.mark.parametrize("ticket", [0, 1, 2, 1_000, 10**6 + 1, 2**31, 2**40 - 1, 2**62])
def test_slippage_is_drawn_from_the_ticket_alone(ticket: int) -> None:
    assert draw(np.array([ticket])).tolist() == [drawn(ticket)]


def test_drawn_numbers_are_spread_evenly() -> None:
    numbers = draw(np.arange(1, 20_001))
    counts, _ = np.histogram(numbers, bins=20, range=(-1.0, 1.0))
    assert counts.sum() == 20_000
    assert np.abs(counts - 1_000).max() < 150


@pytest.mark.parametrize("kind", ["POSITION_TYPE_BUY", "POSITION_TYPE_SELL"])
def test_a_close_at_the_providers_price_has_no_slippage(desk: Desk, kind: str) -> None:
    desk.strategy()
    desk.subscriber()
    desk.signal(type=kind)
    desk.close_signal()
    [closed] = [deals for deals in desk.told(Deals) if deals.kind == "close"]
    assert closed.slippage.tolist() == [0.0]
    assert closed.slippage_money.tolist() == [0.0]


@pytest.mark.parametrize(("kind", "side"), [("POSITION_TYPE_BUY", 1), ("POSITION_TYPE_SELL", -1)])
def test_a_close_at_another_price_is_worse_by_the_difference(kind: str, side: int) -> None:
    desk = Desk(slippage_spreads=1.0)
    desk.strategy()
    desk.subscriber()
    desk.signal(type=kind)
    desk.close_signal()
    [closed] = [deals for deals in desk.told(Deals) if deals.kind == "close"]
    provider = 1.1 if side > 0 else 1.1001
    assert closed.slippage == pytest.approx((closed.price - provider) * side)
    assert abs(closed.slippage[0]) <= 0.0001 + 1e-9


@pytest.mark.parametrize(
    "terms",
    [{"reverse": True}, {"symbolMapping": [{"from": "EURUSD", "to": "GBPUSD"}]}, {"reverse": True, "multiplier": 2}],
)
@pytest.mark.parametrize("kind", ["POSITION_TYPE_BUY", "POSITION_TYPE_SELL"])
def test_a_close_of_another_side_or_symbol_has_no_slippage_to_tell(desk: Desk, kind: str, terms: dict) -> None:
    desk.strategy()
    desk.subscriber(**terms)
    desk.signal(type=kind)
    desk.close_signal()
    [closed] = [deals for deals in desk.told(Deals) if deals.kind == "close"]
    assert np.isnan(closed.slippage).all()
    assert np.isnan(closed.slippage_money).all()


def test_what_nobody_copies_belongs_to_no_signal(desk: Desk) -> None:
    desk.account("a")
    desk.trade("ORDER_TYPE_BUY", "a")
    desk.trade("ORDER_TYPE_BUY_LIMIT", "a", price=1.05)
    for table in (desk.book.positions, desk.book.orders):
        assert [table.subscription[0], table.signal[0], table.leaf[0], table.part[0]] == [-1, -1, -1, -1]
