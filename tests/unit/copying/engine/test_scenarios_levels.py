"""Prices that a broker refuses: stops and orders on the wrong side, distances in pips, prices of another symbol.

EURUSD stands at 1.1 / 1.1002, USDJPY at 150 / 150.02, XAUUSD at 2000 / 2000.5.
"""

from __future__ import annotations

import math

import pytest

from copying.engine.levels import Relation, relation_of
from copying.engine.model import OrderKind, Side
from tests.unit.copying.engine.worlds import INSTRUMENTS, World, chain, instrument, one, signal

SELL = {"side": Side.SELL, "price": 1.1}
NONE = {"tradeSizeScaling": {"mode": "none"}}
FIXED_RISK = {"tradeSizeScaling": {"mode": "fixedRisk", "riskFraction": 0.01}}
BY_STOP = {"tradeSizeScaling": {"mode": "expression", "expression": "providerStopLoss > 0 ? 0.1 : 0.2"}}


def order(side: Side, kind: OrderKind, price: float, **levels: float) -> dict:
    return {"side": side, "kind": kind, "price": price, **levels}


@pytest.mark.parametrize(
    ("of", "told"),
    [
        # a position is measured by what it would close at: one point before, at and behind it
        ({"stop_loss": 1.09999}, "copied"),
        ({"stop_loss": 1.1}, "invalid-stops"),
        ({"stop_loss": 1.10001}, "invalid-stops"),
        ({"take_profit": 1.10001}, "copied"),
        ({"take_profit": 1.1}, "invalid-stops"),
        ({"take_profit": 1.09999}, "invalid-stops"),
        ({**SELL, "stop_loss": 1.10021}, "copied"),
        ({**SELL, "stop_loss": 1.1002}, "invalid-stops"),
        ({**SELL, "stop_loss": 1.10019}, "invalid-stops"),
        ({**SELL, "take_profit": 1.10019}, "copied"),
        ({**SELL, "take_profit": 1.1002}, "invalid-stops"),
        ({**SELL, "take_profit": 1.10021}, "invalid-stops"),
        # pips
        ({"stop_loss": 50, "take_profit": 100}, "invalid-stops"),
        ({"take_profit": 50}, "invalid-stops"),
        ({**SELL, "stop_loss": 50}, "invalid-stops"),
        ({**SELL, "take_profit": 0.005}, "invalid-stops"),
        ({"take_profit": 3.3}, "copied"),
        ({"take_profit": 3.31}, "invalid-stops"),
        ({"stop_loss": 0.367}, "copied"),
        ({"stop_loss": 0.366}, "invalid-stops"),
        # pending orders: the price by the market, the levels by the price
        (order(Side.BUY, OrderKind.LIMIT, 1.10019), "copied"),
        (order(Side.BUY, OrderKind.LIMIT, 1.1002), "invalid-price"),
        (order(Side.BUY, OrderKind.LIMIT, 1.10021), "invalid-price"),
        (order(Side.BUY, OrderKind.STOP, 1.10021), "copied"),
        (order(Side.BUY, OrderKind.STOP, 1.1002), "invalid-price"),
        (order(Side.SELL, OrderKind.LIMIT, 1.10001), "copied"),
        (order(Side.SELL, OrderKind.LIMIT, 1.1), "invalid-price"),
        (order(Side.SELL, OrderKind.STOP, 1.09999), "copied"),
        (order(Side.SELL, OrderKind.STOP, 1.1), "invalid-price"),
        (order(Side.BUY, OrderKind.LIMIT, 0.3), "invalid-price"),
        (order(Side.BUY, OrderKind.LIMIT, 1.05, stop_loss=1.04999), "copied"),
        (order(Side.BUY, OrderKind.LIMIT, 1.05, stop_loss=1.05), "invalid-stops"),
        (order(Side.BUY, OrderKind.LIMIT, 1.05, stop_loss=1.06), "invalid-stops"),
        (order(Side.BUY, OrderKind.LIMIT, 1.05, take_profit=1.05001), "copied"),
        (order(Side.BUY, OrderKind.LIMIT, 1.05, take_profit=1.05), "invalid-stops"),
        (order(Side.SELL, OrderKind.STOP, 1.05, stop_loss=1.05001, take_profit=1.04999), "copied"),
        (order(Side.SELL, OrderKind.STOP, 1.05, stop_loss=1.05), "invalid-stops"),
        (order(Side.SELL, OrderKind.STOP, 1.05, take_profit=1.05), "invalid-stops"),
    ],
)
def test_prices_at_and_beside_the_market(of: dict, told: str) -> None:
    seen = one(chain(subscription=NONE), signal(**of))
    assert (seen.reason, seen.outcome) == (told, "copied" if told == "copied" else "failed")
    assert (seen.volume > 0) == (told == "copied")
    assert one(chain(subscription=NONE), signal(**of), checks_levels=False).reason == "copied"


@pytest.mark.parametrize(
    ("settings", "of", "told"),
    [
        # what is not copied and sizes nothing does no harm
        ({"copyStopLoss": False}, {"stop_loss": 1.2}, "copied"),
        ({"copyTakeProfit": False}, {"take_profit": 1.0}, "copied"),
        ({"copyStopLoss": False, "maxTradeRisk": 0.01}, {"stop_loss": 1.2}, "invalid-stops"),
        ({"copyStopLoss": False, **FIXED_RISK}, {"stop_loss": 1.2}, "invalid-stops"),
        ({"copyStopLoss": False, **BY_STOP}, {"stop_loss": 1.2}, "invalid-stops"),
        # reversed, both are exchanged: between bid and ask one of the two sides is wrong
        ({"reverse": True}, {"stop_loss": 1.05, "take_profit": 1.2}, "copied"),
        ({"reverse": True}, {"take_profit": 1.1001}, "invalid-stops"),
        ({}, {"take_profit": 1.1001}, "copied"),
        ({"reverse": True}, order(Side.BUY, OrderKind.LIMIT, 1.1001), "invalid-price"),
        ({"reverse": True}, order(Side.BUY, OrderKind.LIMIT, 1.0999), "copied"),
        # the terms would bring the stop into the spread
        ({"maxStopLoss": {"value": 2.1, "units": "pips"}}, {"stop_loss": 1.09}, "copied"),
        ({"maxStopLoss": {"value": 2, "units": "pips"}}, {"stop_loss": 1.09}, "invalid-stops"),
        ({"maxTradeRisk": 0.0001}, {}, "invalid-stops"),
    ],
)
def test_prices_that_are_wrong_on_one_route_only(settings: dict, of: dict, told: str) -> None:
    assert one(chain(subscription=NONE | settings), signal(**of)).reason == told


def test_the_decision_tells_the_price_that_it_was_measured_by() -> None:
    seen = one(chain(subscription=NONE), signal(stop_loss=1.2))
    assert seen.limit_value == 1.1
    assert "(1.1)" in seen.text


def to(symbol: str, **settings: object) -> dict:
    return chain(subscription=NONE | {"symbolMapping": [{"from": "EURUSD", "to": symbol}]} | settings)


@pytest.mark.parametrize(
    ("settings", "of", "told"),
    [
        ({}, {}, "copied"),
        ({}, {"stop_loss": 1.09}, "prices-of-another-symbol"),
        ({}, order(Side.BUY, OrderKind.STOP, 1.12), "prices-of-another-symbol"),
        ({"copyStopLoss": False}, {"stop_loss": 1.09}, "copied"),
        ({"copyStopLoss": False, **FIXED_RISK}, {"stop_loss": 1.09}, "prices-of-another-symbol"),
        ({"copyStopLoss": False, "maxTradeRisk": 0.1}, {"stop_loss": 1.09}, "prices-of-another-symbol"),
        ({"copyStopLoss": False, **BY_STOP}, {"stop_loss": 1.09}, "prices-of-another-symbol"),
        ({"copyStopLoss": False, **BY_STOP}, {}, "copied"),
        ({"maxTradeRisk": 0.5}, {}, "copied"),  # our own stop, in prices of the subscriber's symbol
        ({"reverse": True}, {"take_profit": 1.12}, "prices-of-another-symbol"),
        ({"maxStopLoss": {"value": 20, "units": "pips"}}, {"stop_loss": 1.09}, "prices-of-another-symbol"),
        (FIXED_RISK, {}, "no-stop-loss"),
    ],
)
@pytest.mark.parametrize("symbol", ["USDJPY", "XAUUSD"])
def test_levels_of_another_symbol_are_never_copied(symbol: str, settings: dict, of: dict, told: str) -> None:
    seen = one(to(symbol, **settings), signal(**of))
    assert seen.reason == told
    assert math.isnan(seen.take_profit)


@pytest.mark.parametrize(("settings", "told"), [({}, True), ({"copyTakeProfit": False}, False)])
def test_a_take_profit_of_another_symbol_is_left_out_and_told(settings: dict, told: bool) -> None:
    seen = one(to("USDJPY", **settings), signal(take_profit=1.12))
    assert (seen.reason, math.isnan(seen.take_profit)) == ("copied", True)
    assert ("take profit was left out" in seen.text) == told


def test_another_brokers_name_of_the_same_pair_keeps_its_levels() -> None:
    seen = one(to("EURUSDm"), signal(stop_loss=1.09, take_profit=1.12))
    assert (seen.reason, seen.stop_loss, seen.take_profit) == ("copied", 1.09, 1.12)


@pytest.mark.parametrize(
    ("name", "own", "expected"),
    [
        ("EURUSD", "EURUSD", Relation.SAME),
        ("EURUSD", "EURUSDm", Relation.SAME),
        ("FX:EURUSD", "EURUSD", Relation.SAME),
        ("EURUSD.proECN7", "EURUSD", Relation.SAME),
        ("eurusd-cash", "EURUSDm", Relation.SAME),
        ("EURUSD", "USDJPY", Relation.ANOTHER),
        ("XAUUSD", "EURUSD", Relation.ANOTHER),
        ("OANDA:GBPJPY", "USDJPY", Relation.ANOTHER),
        ("US500", "XAUUSD", Relation.ANOTHER),
        ("GOLD", "XAUUSD", Relation.UNKNOWN),
        ("GER40.cash", "US500", Relation.UNKNOWN),
    ],
)
def test_when_two_names_are_one_instrument(name: str, own: str, expected: Relation) -> None:
    assert relation_of(name, INSTRUMENTS.get(name), INSTRUMENTS[own]) is expected


def test_two_indices_in_one_currency_are_not_the_same() -> None:
    made = [instrument(name, "USD", "USD", 1) for name in ("US30", "US30.cash", "US500")]
    assert relation_of("US30", made[0], made[1]) is Relation.SAME
    assert relation_of("US30", made[0], made[2]) is Relation.ANOTHER


@pytest.mark.parametrize(
    ("mode", "name", "told"),
    [
        ("balance", "GBPJPY", "no-provider-price"),
        ("equity", "GBPJPY", "no-provider-price"),
        ("contractSize", "GBPJPY", "no-provider-price"),
        ("none", "GBPJPY", "copied"),
        ("balance", "ODD", "no-provider-price"),
        ("contractSize", "ODD", "copied"),
        ("balance", "GOLD", "copied"),
    ],
)
def test_lots_are_not_scaled_from_a_symbol_that_nobody_knows(mode: str, name: str, told: str) -> None:
    settings = {"tradeSizeScaling": {"mode": mode}, "symbolMapping": [{"from": name, "to": "USDJPY"}]}
    seen = one(chain(subscription=settings), signal(symbol=name), market=World())
    assert seen.reason == told
    assert ("was taken for one of the subscriber" in seen.text) == (name == "GOLD")


def test_a_signal_without_a_known_market_is_not_judged() -> None:
    silent = signal(symbol="SILENT", kind=OrderKind.LIMIT, price=1.05, stop_loss=1.04)
    assert one(chain(subscription=NONE), silent).reason == "copied"
    wrong = signal(symbol="SILENT", kind=OrderKind.LIMIT, price=1.05, stop_loss=1.06)
    assert one(chain(subscription=NONE), wrong).reason == "invalid-stops"
