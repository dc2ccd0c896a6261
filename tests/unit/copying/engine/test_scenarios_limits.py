"""What limits a copy: risk, stops, leverage, margin, amount and correlations.

10,000 USD, 1 lot of EURUSD bought at 1.1002: worth 110,020 USD, 10 USD a pip.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from copying.engine.model import OrderKind, Side
from tests.unit.copying.engine.worlds import chain, one, signal

LEVELS = ["strategy", "member", "portfolio", "subscription"]


def at(level: str, settings: dict) -> dict:
    return {"member": {}, "portfolio": {}} | {level: settings}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("risk", "stop_loss", "volume", "told"),
    [
        # 50 pips: 500 USD a lot
        (0.01, 1.0952, 0.2, "max-trade-risk"),
        (0.05, 1.0952, 1.0, "copied"),
        (0.012, 1.0952, 0.24, "max-trade-risk"),
        (0.0129, 1.0952, 0.25, "max-trade-risk"),
        (0.0004, 1.0952, 0.0, "max-trade-risk"),
    ],
)
def test_max_trade_risk_cuts_to_the_loss_at_the_stop(
    level: str, risk: float, stop_loss: float, volume: float, told: str
) -> None:
    seen = one(chain(**at(level, {"maxTradeRisk": risk})), signal(stop_loss=stop_loss))
    assert (seen.volume, seen.reason) == (volume, told)
    assert seen.level == ("none" if told == "copied" else level)


@pytest.mark.parametrize(
    ("settings", "of", "stop_loss", "told"),
    [
        # without a stop one is placed where 1 lot loses 1 % of 10,000: 10 pips
        ({"maxTradeRisk": 0.01}, {}, 1.0992, "copied"),
        ({"maxTradeRisk": 0.01}, {"side": Side.SELL}, 1.101, "copied"),
        ({"maxTradeRisk": 0.01, "reverse": True, "tradeSizeScaling": {"mode": "none"}}, {}, 1.101, "copied"),
        ({"maxTradeRisk": 0.01, "maxTradeVolume": 0.1}, {}, 1.0902, "max-trade-volume"),
        ({"maxTradeRisk": 0.01, "maxStopLoss": {"value": 4, "units": "pips"}}, {}, 1.0998, "copied"),
        ({"maxTradeRisk": 50}, {}, math.nan, "copied"),
        ({"maxTradeRisk": 0.0000001}, {}, math.nan, "max-trade-risk"),
        # sized with the provider's stop, then stripped; without any stop refused
        ({"maxTradeRisk": 0.05, "copyStopLoss": False}, {"stop_loss": 1.0952}, math.nan, "copied"),
        ({"maxTradeRisk": 0.05, "copyStopLoss": False}, {}, math.nan, "stop-loss-needed"),
    ],
)
def test_stops_placed_for_max_trade_risk(settings: dict, of: dict, stop_loss: float, told: str) -> None:
    seen = one(chain(subscription=settings), signal(**of))
    assert seen.reason == told
    if told in ("copied", "max-trade-volume"):
        assert seen.stop_loss == pytest.approx(stop_loss, nan_ok=True, abs=1e-12)


def test_the_last_max_trade_risk_wins() -> None:
    levels = chain(strategy={"maxTradeRisk": 0.001}, subscription={"maxTradeRisk": 0.05})
    assert one(levels, signal(stop_loss=1.0952)).volume == 1.0


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("pips", "of", "stop_loss"),
    [
        (20, {"stop_loss": 1.0952}, 1.0982),
        (80, {"stop_loss": 1.0952}, 1.0952),
        (20, {}, math.nan),
        (20, {"side": Side.SELL, "stop_loss": 1.2}, 1.102),
        (20.55, {"stop_loss": 1.0952}, 1.09815),
        (20, {"symbol": "USDJPY", "stop_loss": 140.0}, 149.82),
        (80, {"symbol": "XAUUSD", "stop_loss": 1_900.0}, 1_999.7),
    ],
)
def test_max_stop_loss_tightens_and_never_adds(level: str, pips: float, of: dict, stop_loss: float) -> None:
    settings = {"maxStopLoss": {"value": pips, "units": "pips"}}
    assert one(chain(**at(level, settings)), signal(**of)).stop_loss == pytest.approx(stop_loss, nan_ok=True, abs=1e-12)


def test_the_smallest_max_stop_loss_of_the_chain_wins() -> None:
    levels = chain(strategy={"maxStopLoss": {"value": 10}}, subscription={"maxStopLoss": {"value": 30}})
    assert one(levels, signal(stop_loss=1.0)).stop_loss == pytest.approx(1.0992)


def test_max_trade_risk_counts_the_tightened_stop() -> None:
    settings = {"maxStopLoss": {"value": 10}, "maxTradeRisk": 0.005}
    assert one(chain(subscription=settings), signal(stop_loss=1.0)).volume == 0.5


@pytest.mark.parametrize("level", [*LEVELS, "subscriber"])
def test_stops_are_stripped_on_every_level(level: str) -> None:
    of = signal(stop_loss=1.09, take_profit=1.12)
    seen = one(chain(**at(level, {"copyStopLoss": False})), of)
    assert math.isnan(seen.stop_loss)
    assert seen.take_profit == 1.12
    seen = one(chain(**at(level, {"copyTakeProfit": False})), of)
    assert seen.stop_loss == 1.09
    assert math.isnan(seen.take_profit)


@pytest.mark.parametrize("level", [*LEVELS, "subscriber"])
@pytest.mark.parametrize(
    ("ratio", "account", "of", "volume", "told"),
    [
        (20, {}, {}, 1.0, "copied"),
        (5, {}, {}, 0.45, "max-leverage"),
        (5, {"position_value": 40_000}, {}, 0.09, "max-leverage"),
        (5, {"position_value": 50_000}, {}, 0.0, "max-leverage"),
        (5, {"position_value": 90_000}, {}, 0.0, "max-leverage"),
        (5, {"equity": 20_000}, {}, 0.9, "max-leverage"),
        (5, {"position_value": 90_000}, {"kind": OrderKind.LIMIT, "price": 1.09}, 1.0, "copied"),
    ],
)
def test_max_leverage(level: str, ratio: float, account: dict, of: dict, volume: float, told: str) -> None:
    seen = one(chain(**at(level, {"maxLeverage": ratio})), signal(**of), account)
    assert (seen.volume, seen.reason) == (volume, told)
    assert seen.level == ("none" if told == "copied" else level)


@pytest.mark.parametrize(
    ("fraction", "account", "told"),
    [
        # free margin 10,000 x 100 - 110,020 = 889,980 against balance x fraction
        (20, {}, "copied"),
        (88, {}, "copied"),
        (89, {}, "reserved-margin"),
        (20, {"margin": 9_000}, "reserved-margin"),
        (20, {"leverage": 30}, "reserved-margin"),
    ],
)
def test_reserved_margin(fraction: float, account: dict, told: str) -> None:
    assert one(chain(subscriber={"reservedMarginFraction": fraction}), account=account).reason == told


@pytest.mark.parametrize(
    ("amount", "account", "told"),
    [(110_000, {}, "copied"), (110_021, {}, "min-trade-amount"), (115_000, {"currency": "EUR"}, "min-trade-amount")],
)
def test_min_trade_amount_is_in_account_currency(amount: float, account: dict, told: str) -> None:
    assert one(chain(subscriber={"minTradeAmount": amount}), account=account).reason == told


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("of", "lots", "volume", "told"),
    [
        # the documented examples: long 0.1 EURUSD is open
        ({"symbol": "USDJPY", "side": Side.SELL}, 0.2, 0.1, "correlation"),
        ({"symbol": "USDJPY", "side": Side.SELL}, 0.05, 0.0, "correlation"),
        ({"symbol": "USDJPY", "side": Side.BUY}, 0.2, 0.2, "copied"),
        ({"symbol": "EURUSD", "side": Side.BUY}, 0.25, 0.15, "correlation"),
        ({"symbol": "EURUSD", "side": Side.SELL}, 0.25, 0.25, "copied"),
        ({"symbol": "XAUUSD", "side": Side.BUY}, 0.2, 0.1, "correlation"),
        ({"symbol": "US500", "side": Side.BUY}, 1.0, 1.0, "copied"),
    ],
)
@pytest.mark.parametrize("scope", ["by-strategy", "by-account", "by-symbol"])
def test_correlated_exposure_is_cut(level: str, of: dict, lots: float, volume: float, told: str, scope: str) -> None:
    held = {"EUR": np.array([0.1]), "USD": np.array([-0.1])}
    exposure = {"strategy_exposure" if scope == "by-strategy" else "account_exposure": held}
    levels = at(level, {"reduceCorrelations": scope})
    levels["subscription"] = levels.get("subscription", {}) | {"tradeSizeScaling": {"mode": "none"}}
    seen = one(chain(**levels), signal(volume_lots=lots, **of), **exposure)
    assert (seen.volume, seen.reason) == (volume, told)


@pytest.mark.parametrize(
    ("first", "last", "volume"), [("by-strategy", "by-account", 0.5), ("by-account", "by-strategy", 0.9)]
)
def test_the_last_scope_of_correlations_wins(first: str, last: str, volume: float) -> None:
    levels = chain(strategy={"reduceCorrelations": first}, subscription={"reduceCorrelations": last})
    exposures = {"strategy_exposure": {"EUR": np.array([0.1])}, "account_exposure": {"EUR": np.array([0.5])}}
    assert one(levels, **exposures).volume == volume


@pytest.mark.parametrize(
    ("levels", "volume"),
    [
        ({"strategy": {"maxLeverage": 1}, "subscriber": {"maxLeverage": 5}}, 0.45),
        ({"strategy": {"maxLeverage": 5}, "subscriber": {"maxLeverage": 1}}, 0.09),
        ({"portfolio": {"maxLeverage": 5}, "member": {"maxLeverage": 1}}, 0.45),
    ],
)
def test_the_last_max_leverage_wins(levels: dict, volume: float) -> None:
    assert one(chain(**levels)).volume == volume


def test_what_arithmetic_leaves_of_equal_volumes_is_nothing() -> None:
    levels = chain(
        strategy={"reduceCorrelations": "by-account", "maxLeverage": 0, "tradeSizeScaling": {"mode": "none"}}
    )
    seen = one(levels, signal(volume_lots=0.1 + 0.2), account_exposure={"EUR": np.array([0.3])})
    assert (seen.reason, seen.steps[3]) == ("correlation", 0)


def test_other_scopes_exposure_does_not_count() -> None:
    held = {"EUR": np.array([0.5]), "USD": np.array([-0.5])}
    assert one(chain(strategy={"reduceCorrelations": "by-strategy"}), account_exposure=held).volume == 1.0


def test_the_sentence_names_rule_level_and_numbers() -> None:
    held = {"EUR": np.array([0.25])}
    seen = one(chain(portfolio={"reduceCorrelations": "by-account"}), account_exposure=held)
    assert seen.text == (
        "Volume cut from 1 to 0.75 lots: 0.25 lots of the same exposure are open"
        " and the portfolio reduces correlations."
    )
    seen = one(chain(strategy={"maxTradeRisk": 0.01}), signal(stop_loss=1.0952))
    assert seen.text == "Volume cut from 1 to 0.2 lots: the strategy risks at most 1 % per trade."
