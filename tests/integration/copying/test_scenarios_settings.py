"""Every copy setting on every level where it may stand, from the PUT of the documents to the position on the account.

The chain: strategy s -> member -> portfolio -> subscription -> subscriber with 10 000 USD. Sizes follow mode "none",
the signal is 0.1 lots of EURUSD bought at 1.10008, unless a row says otherwise.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.integration.copying.conftest import PORTFOLIOS, STRATEGIES, SUBSCRIBERS, User, iso

pytestmark = [pytest.mark.anyio, pytest.mark.django_db]

LEVELS = {"S": "strategy", "M": "member", "P": "portfolio", "B": "subscription", "U": "subscriber"}
LIMIT = {"type": "day", "applyTo": "balance-minus-equity", "maxAbsoluteRisk": 1, "closePositions": False}
NEWS = {"calendarNewsFilter": {"priorities": ["high"], "openPositionFollowingTimeGapInMinutes": 30}}
STOPS = {"stopLoss": 1.09508, "takeProfit": 1.12}
ORDER = {"type": "ORDER_TYPE_BUY_LIMIT", "openPrice": 1.05}

# setting; the levels where it may stand; the signal; what the account holds then, or the reason why nothing
TABLE: list[tuple[dict[str, Any], str, dict[str, Any], dict[str, Any] | str]] = [
    ({"skipPendingOrders": True}, "SMPB", ORDER, "pending-orders-skipped"),
    ({"skipPendingOrders": True}, "SMPB", {}, {"volume": 0.1}),
    ({"maxTradeRisk": 0.01}, "SMPB", {"volume": 1, **STOPS}, {"volume": 0.2, "reason": "max-trade-risk"}),
    ({"maxTradeRisk": 0.01}, "SMPB", {"volume": 0.2}, {"volume": 0.2, "stopLoss": 1.09508}),
    ({"reverse": True}, "SMPB", STOPS, {"type": "POSITION_TYPE_SELL", "stopLoss": 1.12, "takeProfit": 1.09508}),
    ({"symbolFilter": {"excluded": ["EURUSD"]}}, "SMPB", {}, "symbol-filter"),
    ({"symbolFilter": {"included": ["EURUSD"]}}, "SMPB", {}, {"volume": 0.1}),
    ({"newsFilter": NEWS}, "SMPB", {}, "news"),
    ({"maxStopLoss": {"value": 10, "units": "pips"}}, "SMPB", STOPS, {"stopLoss": 1.09908}),
    ({"maxLeverage": 1}, "SMPBU", {"volume": 1}, {"volume": 0.09, "reason": "max-leverage"}),
    ({"symbolMapping": [{"from": "EURUSD", "to": "EURUSDm"}]}, "SMPB", {}, {"symbol": "EURUSDm"}),
    ({"tradeSizeScaling": {"mode": "fixedVolume", "tradeVolume": 0.03}}, "SMPB", {}, {"volume": 0.03}),
    (
        {"tradeSizeScaling": {"mode": "expression", "expression": "min(providerVolume, 0.07)"}},
        "SMPB",
        {},
        {"volume": 0.07},
    ),
    ({"tradeSizeScaling": {"mode": "contractSize"}}, "SMPB", {}, {"volume": 0.1}),
    ({"tradeSizeScaling": {"mode": "balance"}}, "SMPB", {}, {"volume": 0.1}),
    ({"tradeSizeScaling": {"mode": "equity"}}, "SMPB", {}, {"volume": 0.1}),
    ({"tradeSizeScaling": {"mode": "fixedRisk", "riskFraction": 0.01}}, "SMPB", STOPS, {"volume": 0.2}),
    ({"tradeSizeScaling": {"mode": "fixedRisk", "riskFraction": 0.01}}, "SMPB", {}, "no-stop-loss"),
    (
        {"tradeSizeScaling": {"mode": "none", "forceTinyTrades": True}},
        "SMPB",
        {"volume": 0.004},
        {"volume": 0.01, "reason": "tiny-trade-forced"},
    ),
    (
        {"tradeSizeScaling": {"mode": "none", "maxRiskCoefficient": 1}},
        "SMPB",
        {"volume": 0.016},
        {"volume": 0.01, "reason": "max-risk-coefficient"},
    ),
    ({"copyStopLoss": False}, "SMPBU", STOPS, {"stopLoss": None, "takeProfit": 1.12}),
    ({"copyTakeProfit": False}, "SMPBU", STOPS, {"stopLoss": 1.09508, "takeProfit": None}),
    ({"allowedSides": ["sell"]}, "SMPBU", {}, "side-not-allowed"),
    ({"minTradeVolume": 0.5}, "SMPBU", {}, "min-trade-volume"),
    ({"maxTradeVolume": 0.04}, "SMPBU", {}, {"volume": 0.04, "reason": "max-trade-volume"}),
    ({"signalDelay": {"minInSeconds": 60, "maxInSeconds": 60}}, "SMPBU", {}, "delayed"),
    ({"multiplier": 0.5}, "MB", {}, {"volume": 0.05}),
    ({"closeOnly": "by-position"}, "BU", {}, "close-only"),
    ({"closeOnly": "by-symbol"}, "BU", {}, "close-only"),
    ({"magicFilter": {"included": ["1-5", "9"]}}, "S", {"magic": 7}, "magic-filter"),
    ({"magicFilter": {"excluded": ["1-5"]}}, "S", {"magic": 7}, {"volume": 0.1}),
    ({"drawdownFilter": {"action": "include", "maxDrawdown": 0.1}}, "S", {}, "drawdown-filter"),
    ({"drawdownFilter": {"action": "include", "maxRelativeDrawdown": 0.1}}, "S", {}, "drawdown-filter"),
    ({"drawdownFilter": {"action": "include", "maxAbsoluteDrawdown": 10}}, "S", {}, "drawdown-filter"),
    ({"drawdownFilter": {"action": "exclude", "maxDrawdown": 0.1}}, "S", {}, {"volume": 0.1}),
    ({"equityCurveFilter": {"period": 3, "timeframe": "1h"}}, "S", {}, {"volume": 0.1}),
    ({"symbolsTraded": ["EURUSD"]}, "S", {}, {"volume": 0.1}),
    ({"timeSettings": {"expirePendingOrderSignals": True}}, "S", {}, {"volume": 0.1}),
    ({"reservedMarginFraction": 200}, "U", {}, "reserved-margin"),
    ({"minTradeAmount": 20_000}, "U", {}, "min-trade-amount"),
    ({"phoneNumbers": ["+3612345678"]}, "U", {}, {"volume": 0.1}),
]
ROWS = [
    pytest.param(settings, level, signal, told, id=f"{row}-{next(iter(settings))}-{LEVELS[level]}")
    for row, (settings, levels, signal, told) in enumerate(TABLE)
    for level in levels
]


async def chain(user: User, **settings: dict[str, Any]) -> tuple[str, str]:
    """The chain with settings by level (S, M, P, B, U). Returns the ids of strategy and subscriber."""
    given = {level: settings.get(level, {}) for level in LEVELS}
    strategy_id, portfolio_id, subscriber_id = user.id("s"), user.id("p"), user.id("a")
    account = {"accountId": user.id("provider"), "tradeSizeScaling": {"mode": "none"}}
    await user.put(f"{STRATEGIES}/{strategy_id}", {"name": "s", "description": "d", **account, **given["S"]})
    members = [{"strategyId": strategy_id, **given["M"]}]
    await user.put(f"{PORTFOLIOS}/{portfolio_id}", {"name": "p", "description": "d", "members": members, **given["P"]})
    subscriptions = [{"strategyId": portfolio_id, **given["B"]}]
    await user.put(f"{SUBSCRIBERS}/{subscriber_id}", {"name": "a", "subscriptions": subscriptions, **given["U"]})
    return strategy_id, subscriber_id


async def held(user: User, subscriber_id: str) -> list[dict[str, Any]]:
    return await user.get(f"/users/current/accounts/{subscriber_id}/positions")


async def decision(user: User, signal_id: str) -> dict[str, Any]:
    """What was decided first about a signal."""
    return (await user.get("/users/current/decisions", signalId=signal_id))["items"][-1]


@pytest.mark.parametrize(("settings", "level", "signal", "told"), ROWS)
async def test_a_setting_does_the_same_on_every_level(user, settings, level, signal, told):
    strategy_id, subscriber_id = await chain(user, **{level: settings})
    if "newsFilter" in settings:
        event = {"time": iso(time.time() - 60), "currency": "USD", "priority": "high"}
        await user.put("/users/current/news-calendar", {"events": [event]})
    await user.signal(strategy_id, "sig00001", **signal)
    positions, decided = await held(user, subscriber_id), await decision(user, "sig00001")
    if isinstance(told, str):
        assert (positions, decided["reason"]) == ([], told)
        assert decided["level"] == LEVELS[level]
        return
    [position] = positions
    for name, value in told.items():
        found = decided["reason"] if name == "reason" else position.get(name)
        assert found == (value if value is None or isinstance(value, str) else pytest.approx(value, abs=1e-9)), name
    if "reason" in told:
        assert decided["level"] == LEVELS[level]


@pytest.mark.parametrize("level", LEVELS)
async def test_a_risk_limit_stops_trading_on_every_level(user, backend, level):
    strategy_id, subscriber_id = await chain(user, **{level: {"riskLimits": [LIMIT]}})
    await user.signal(strategy_id, "sig00001")  # the spread and the commission are a loss already
    backend.core.look_at_market()
    await user.signal(strategy_id, "sig00002")
    assert len(await held(user, subscriber_id)) == 1
    decided = await decision(user, "sig00002")
    assert (decided["reason"], decided["level"]) == ("stopped-out", LEVELS[level])


@pytest.mark.parametrize("level", "BU")
@pytest.mark.parametrize(
    ("mode", "kept", "opened"),
    [("by-position", True, False), ("by-symbol", True, True), ("immediately", False, False)],
)
async def test_close_only_in_three_ways(user, level, mode, kept, opened):
    strategy_id, subscriber_id = await chain(user)
    await user.signal(strategy_id, "sig00001")
    trade = {"actionType": "ORDER_TYPE_BUY", "symbol": "EURUSD", "volume": 0.07}
    assert await user.status("POST", f"/users/current/accounts/{subscriber_id}/trade", json=trade) == 200
    await chain(user, **{level: {"closeOnly": mode}})
    await user.signal(strategy_id, "sig00002", volume=0.2)
    await user.signal(strategy_id, "sig00003", volume=0.3, symbol="GBPUSD")
    wanted = [0.07, *[0.1] * kept, *[0.2] * opened]  # what was traded by hand stays
    assert sorted(each["volume"] for each in await held(user, subscriber_id)) == wanted


# ---------------------------------------------------------------------------------------------- documented examples


@pytest.mark.parametrize(
    ("limit", "lots", "told"),
    [
        # strategy 0.1, subscription 0.08 with a multiplier of 0.5: at least max(0.1 x 0.5, 0.08) = 0.08 lots
        ("minTradeVolume", 0.16, [0.08]),
        ("minTradeVolume", 0.14, []),
        # and at most min(0.1 x 0.5, 0.08) = 0.05 lots
        ("maxTradeVolume", 1.0, [0.05]),
        ("maxTradeVolume", 0.08, [0.04]),
    ],
)
async def test_a_volume_limit_above_a_multiplier_is_multiplied_by_it(user, limit, lots, told):
    strategy_id, subscriber_id = await chain(user, S={limit: 0.1}, B={limit: 0.08, "multiplier": 0.5})
    await user.signal(strategy_id, volume=lots)
    assert [each["volume"] for each in await held(user, subscriber_id)] == told


@pytest.mark.parametrize("scope", ["by-strategy", "by-account", "by-symbol"])
@pytest.mark.parametrize("level", "SMPB")
@pytest.mark.parametrize(
    ("lots", "told"),
    [
        (0.2, [0.1]),  # long 0.1 EURUSD is short 0.1 USD: of a short 0.2 USDJPY only 0.1 is opened
        (0.05, []),  # and of a short 0.05 nothing
    ],
)
async def test_correlated_exposure_is_reduced(user, level, scope, lots, told):
    strategy_id, subscriber_id = await chain(user, **{level: {"reduceCorrelations": scope}})
    await user.signal(strategy_id, "sig00001", volume=0.1)
    await user.signal(strategy_id, "sig00002", volume=lots, symbol="USDJPY", type="POSITION_TYPE_SELL")
    shorts = [each["volume"] for each in await held(user, subscriber_id) if each["symbol"] == "USDJPY"]
    assert shorts == pytest.approx(told)


async def test_symbols_are_mapped_one_level_after_the_other(user):
    first, last = [{"from": "EURUSDi", "to": "EURUSD"}], [{"from": "EURUSD", "to": "EURUSDm"}]
    strategy_id, subscriber_id = await chain(user, S={"symbolMapping": first}, B={"symbolMapping": last})
    await user.signal(strategy_id, symbol="EURUSDi")
    assert [each["symbol"] for each in await held(user, subscriber_id)] == ["EURUSDm"]


# --------------------------------------------------------------------------------------------- how levels combine


@pytest.mark.parametrize(
    ("settings", "signal", "told"),
    [
        # last wins
        ({"S": {"maxLeverage": 1}, "U": {"maxLeverage": 3}}, {"volume": 1}, {"volume": 0.27}),
        (
            {
                "S": {"tradeSizeScaling": {"mode": "fixedVolume", "tradeVolume": 1}},
                "B": {"tradeSizeScaling": {"mode": "fixedVolume", "tradeVolume": 0.02}},
            },
            {},
            {"volume": 0.02},
        ),
        ({"M": {"maxTradeRisk": 0.01}, "B": {"maxTradeRisk": 0.02}}, {"volume": 1, **STOPS}, {"volume": 0.4}),
        # product
        ({"M": {"multiplier": 3}, "B": {"multiplier": 0.5}}, {}, {"volume": 0.15}),
        # exclusive or
        ({"S": {"reverse": True}, "P": {"reverse": True}}, {}, {"type": "POSITION_TYPE_BUY"}),
        ({"S": {"reverse": True}, "P": {"reverse": True}, "B": {"reverse": True}}, {}, {"type": "POSITION_TYPE_SELL"}),
        # the smallest
        (
            {
                "S": {"maxStopLoss": {"value": 30, "units": "pips"}},
                "B": {"maxStopLoss": {"value": 40, "units": "pips"}},
            },
            STOPS,
            {"stopLoss": 1.09708},
        ),
        # false anywhere
        (
            {"S": {"copyStopLoss": True}, "M": {"copyStopLoss": False}, "U": {"copyStopLoss": True}},
            STOPS,
            {"stopLoss": None},
        ),
        # intersection
        ({"S": {"allowedSides": ["buy", "sell"]}, "U": {"allowedSides": ["sell"]}}, {}, "side-not-allowed"),
        # all filters
        (
            {"S": {"symbolFilter": {"included": ["EURUSD"]}}, "B": {"symbolFilter": {"excluded": ["EURUSD"]}}},
            {},
            "symbol-filter",
        ),
        # the subscription's, else the subscriber's
        ({"B": {"closeOnly": "by-position"}, "U": {"closeOnly": "by-symbol"}}, {}, "close-only"),
    ],
)
async def test_levels_combine(user, settings, signal, told):
    strategy_id, subscriber_id = await chain(user, **settings)
    await user.signal(strategy_id, "sig00001", **signal)
    if isinstance(told, str):
        assert (await decision(user, "sig00001"))["reason"] == told
        return
    [position] = await held(user, subscriber_id)
    for name, value in told.items():
        assert position.get(name) == (value if value is None or isinstance(value, str) else pytest.approx(value)), name
