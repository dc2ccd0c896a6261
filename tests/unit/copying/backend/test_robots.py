"""What the robots of the demo wish for, one step before, at and after each bound of theirs."""

from __future__ import annotations

import numpy as np
import pytest

from copying.backend.demo import robots
from tests.unit.copying.backend.desk import Desk

RISING, FALLING = np.linspace(1.0, 2.0, 60), np.linspace(2.0, 1.0, 60)


@pytest.mark.parametrize(
    ("wish", "distance", "side", "wanted"),
    [
        (robots.pullback, -1.51, 0, 1),
        (robots.pullback, -1.5, 0, None),
        (robots.pullback, 1.51, 0, None),
        (robots.pullback, 0.21, 1, 0),
        (robots.pullback, 0.2, 1, None),
        (robots.pullback, -0.21, -1, 0),
        (robots.pullback, -0.2, -1, None),
        (robots.reversion, 1.51, 0, -1),
        (robots.reversion, 1.5, 0, None),
        (robots.reversion, -1.51, 0, 1),
        (robots.reversion, -1.5, 0, None),
        (robots.rare_reversion, 2.51, 0, -1),
        (robots.rare_reversion, 2.5, 0, None),
        (robots.rare_reversion, -2.51, 0, 1),
        (robots.rare_reversion, -0.19, 1, 0),
        (robots.rare_reversion, -0.2, 1, None),
        (robots.rare_reversion, 0.19, -1, 0),
        (robots.rare_reversion, 0.2, -1, None),
        (robots.rare_reversion, 3.0, 1, 0),
    ],
)
def test_robots_trade_beyond_their_bounds_only(monkeypatch, wish, distance, side, wanted) -> None:
    monkeypatch.setattr(robots, "stretch", lambda mids, bars: distance)
    assert wish(RISING, side) == wanted


@pytest.mark.parametrize(("distance", "wanted"), [(1.51, -1), (1.5, None), (-1.51, None)])
def test_in_a_falling_market_rallies_are_sold(monkeypatch, distance, wanted) -> None:
    monkeypatch.setattr(robots, "stretch", lambda mids, bars: distance)
    assert robots.pullback(FALLING, 0) == wanted


def test_a_stretch_is_counted_in_standard_deviations_of_its_bars() -> None:
    mids = np.array([100.0, *[1.0] * 3, 2.0])
    assert robots.stretch(mids, 4) == pytest.approx(0.75 / np.sqrt(3 / 16))
    assert robots.stretch(np.ones(10), 4) == 0.0


@pytest.mark.parametrize(
    ("last", "side", "wanted"),
    [
        (1.5, 0, None),
        (1.51, 0, -1),
        (0.5, 0, None),
        (0.49, 0, 1),
        (1.0, 1, None),
        (1.01, 1, 0),
        (1.0, -1, None),
        (0.99, -1, 0),
    ],
)
def test_breaks_of_the_range_are_faded_until_the_middle(last: float, side: int, wanted: int | None) -> None:
    mids = np.array([9.0, *[0.5, 1.5] * 12, last])
    assert robots.fading(mids, side) == wanted


def test_a_robot_knows_what_it_holds_itself(desk: Desk) -> None:
    rule = robots.Rule("r", ("EURUSD",), 60.0, 0.1, 0.0, robots.fading)
    desk.strategy()
    desk.subscriber("a")
    desk.signal()  # a copy on its account is nothing of its own
    assert robots.holding(desk.book, rule, "a", "EURUSD") == ([], 0)
    ticket = desk.trade("ORDER_TYPE_SELL", "a")["positionId"]
    desk.trade("ORDER_TYPE_BUY", "a", symbol="GBPUSD")
    desk.trade("ORDER_TYPE_BUY", "prov")
    assert robots.holding(desk.book, rule, "a", "EURUSD") == ([ticket], -1)


def test_external_signals_of_a_robot_have_an_id_for_every_second_and_symbol(desk: Desk) -> None:
    rule = robots.Rule("r", ("EURUSD", "GBPUSD"), 60.0, 0.1, 2.0, robots.fading, strategy_id="S")
    ids = []
    for second in (0, 1, 26, 27 * 26**3):
        for symbol in rule.symbols:
            [signal] = robots.open_(rule, desk.book, "t", "a", symbol, 1, RISING, float(second))
            ids.append(signal.signal_id)
    assert ids[:3] == ["aaaaaaaa", "baaaaaaa", "caaaaaaa"]
    assert ids[4:6] == ["acaaaaaa", "bcaaaaaa"]
    assert ids[6:] == ["aaaccaaa", "baaccaaa"]


@pytest.mark.parametrize(("side", "stop"), [(1, 1.0661), (-1, 1.1339)])
def test_a_stop_stands_some_bars_away_from_the_price(desk: Desk, side: int, stop: float) -> None:
    rule = robots.Rule("trend", ("EURUSD",), 60.0, 0.1, 2.0, robots.fading)
    [trade] = robots.open_(rule, desk.book, "t", "a", "EURUSD", side, RISING, 0.0)
    price = 1.1001 if side > 0 else 1.1
    assert trade.stop_loss == pytest.approx(round(price - side * 2 / 59, 5))
    assert (trade.action_type, trade.volume_lots) == (f"ORDER_TYPE_{'BUY' if side > 0 else 'SELL'}", 0.1)
