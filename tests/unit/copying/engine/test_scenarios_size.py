"""How large a copy is: every scaling mode, multipliers, volume limits on every level, rounding and tiny trades.

Provider and subscriber have 10,000 USD unless the row says otherwise; the provider buys 1 lot of EURUSD (ask 1.1002).
"""

from __future__ import annotations

import pytest

from copying.engine.model import OrderKind, Side
from tests.unit.copying.engine.worlds import chain, one, signal

RICH, POOR, EURO = {"balance": 50_000}, {"balance": 1_000}, {"currency": "EUR"}


def mode(name: str, **more) -> dict:
    return {"tradeSizeScaling": {"mode": name, **more}}


@pytest.mark.parametrize(
    ("settings", "account", "volume", "told"),
    [
        # without a mode: by balance
        ({}, {}, 1.0, "copied"),
        ({}, RICH, 5.0, "copied"),
        ({}, POOR, 0.1, "copied"),
        ({}, EURO, 1.1, "copied"),
        ({}, {"currency": "JPY", "balance": 1_500_000}, 1.0, "copied"),
        (mode("balance"), {"balance": 12_344}, 1.23, "copied"),
        (mode("balance"), {"balance": 12_350}, 1.24, "copied"),
        (mode("equity"), {"balance": 10_000, "equity": 5_000}, 0.5, "copied"),
        (mode("none"), RICH, 1.0, "copied"),
        (mode("none") | {"symbolMapping": [{"from": "EURUSD", "to": "EURUSDm"}]}, {}, 1.0, "copied"),
        (mode("contractSize") | {"symbolMapping": [{"from": "EURUSD", "to": "EURUSDm"}]}, {}, 100.0, "copied"),
        ({"symbolMapping": [{"from": "EURUSD", "to": "EURUSDm"}]}, {}, 100.0, "copied"),
        (mode("fixedVolume", tradeVolume=0.3), RICH, 0.3, "copied"),
        # 1 % of 10,000 at a stop of 50.2 pips, 10 USD a pip: 0.199 lots
        (mode("fixedRisk", riskFraction=0.01), {}, 0.2, "copied"),
        (mode("expression", expression="balance / 20000"), {}, 0.5, "copied"),
        (mode("expression", expression="balance > 20000 ? 1 : 0.25"), RICH, 1.0, "copied"),
        (mode("expression", expression="log(-1)"), {}, 0.0, "expression-failed"),
        (mode("expression", expression="0 - 1"), {}, 0.0, "expression-failed"),
        (mode("expression", expression="1 / (multiplier - 1)"), {}, 0.0, "expression-failed"),
    ],
)
def test_each_mode_gives_its_volume(settings: dict, account: dict, volume: float, told: str) -> None:
    seen = one(chain(subscription=settings), signal(stop_loss=1.0952), account)
    assert (seen.volume, seen.reason) == (volume, told)


@pytest.mark.parametrize("level", ["strategy", "member", "portfolio", "subscription"])
@pytest.mark.parametrize(
    ("settings", "lots", "told"),
    [
        # 20,000 USD and 15,000 of equity against the provider's 10,000; multipliers 2 at the member, 0.5 below it
        (mode("none"), 1.0, "copied"),
        (mode("contractSize"), 1.0, "copied"),
        (mode("balance"), 2.0, "copied"),
        (mode("equity"), 1.5, "copied"),
        (mode("expression", expression="providerVolume * multiplier * 0.3"), 0.3, "copied"),
        (mode("expression", expression="balance / 100000"), 0.2, "copied"),
        (mode("none", maxRiskCoefficient=1), 1.0, "copied"),
        (mode("none", forceTinyTrades=True), 1.0, "copied"),
    ],
)
def test_modes_do_the_same_on_every_level(level: str, settings: dict, lots: float, told: str) -> None:
    levels: dict = {"strategy": {}, "member": {}, "portfolio": {}, "subscription": {}}
    levels[level] = dict(settings)
    levels["member"] |= {"multiplier": 2}
    levels["subscription"] |= {"multiplier": 0.5}
    seen = one(chain(**levels), signal(stop_loss=1.0952), {"balance": 20_000, "equity": 15_000})
    assert (seen.volume, seen.reason) == (lots, told)


@pytest.mark.parametrize(
    ("level", "fixed_lots", "risked_lots"),
    [
        # only multipliers below the level count: below the strategy 2 x 0.5, below member and portfolio 0.5
        ("strategy", 0.4, 0.4),
        ("member", 0.2, 0.2),
        ("portfolio", 0.2, 0.2),
        ("subscription", 0.4, 0.4),
    ],
)
def test_fixed_sizes_on_every_level(level: str, fixed_lots: float, risked_lots: float) -> None:
    wanted = {"fixedVolume": fixed_lots, "fixedRisk": risked_lots}
    for name, number in (("fixedVolume", {"tradeVolume": 0.4}), ("fixedRisk", {"riskFraction": 0.01})):
        levels: dict = {"strategy": {}, "member": {}, "portfolio": {}, "subscription": {}}
        levels[level] = mode(name, **number)
        levels["member"] |= {"multiplier": 2}
        levels["subscription"] |= {"multiplier": 0.5}
        # 1 % of 20,800 is lost at 52 pips with 0.4 lots
        seen = one(chain(**levels), signal(stop_loss=1.0952 - 0.0002), {"balance": 20_800})
        assert (seen.volume, seen.reason) == (wanted[name], "copied")


@pytest.mark.parametrize("level", ["strategy", "member", "portfolio", "subscription"])
@pytest.mark.parametrize(
    ("lots", "scaling", "volume", "told"),
    [
        (0.004, {"forceTinyTrades": True}, 0.01, "tiny-trade-forced"),
        (0.0019, {"forceTinyTrades": True}, 0.0, "max-risk-coefficient"),
        (0.016, {"maxRiskCoefficient": 1.1}, 0.01, "max-risk-coefficient"),
        (0.006, {"maxRiskCoefficient": 1.5}, 0.0, "max-risk-coefficient"),
    ],
)
def test_tiny_trades_on_every_level(level: str, lots: float, scaling: dict, volume: float, told: str) -> None:
    levels = {"member": {}, "portfolio": {}} | {level: mode("none", **scaling)}
    seen = one(chain(**levels), signal(volume_lots=lots))
    assert (seen.volume, seen.reason, seen.level) == (volume, told, level)


@pytest.mark.parametrize("level", ["strategy", "member", "portfolio", "subscription"])
def test_the_last_mode_of_the_chain_wins(level: str) -> None:
    levels: dict = {"member": {}, "portfolio": {}, "strategy": mode("fixedVolume", tradeVolume=9)}
    levels[level] = mode("fixedVolume", tradeVolume=0.4)
    assert one(chain(**levels)).volume == 0.4


@pytest.mark.parametrize(
    ("member", "subscription", "settings", "volume"),
    [
        (0.5, 0.5, {}, 0.25),
        (2, 1, mode("none"), 2.0),
        # fixedVolume and fixedRisk: only multipliers below the level that set the mode
        (0.5, 0.5, {"strategy": mode("fixedVolume", tradeVolume=0.8)}, 0.2),
        (0.5, 0.5, {"member": mode("fixedVolume", tradeVolume=0.8)}, 0.4),
        (0.5, 0.5, {"portfolio": mode("fixedVolume", tradeVolume=0.8)}, 0.4),
        (0.5, 0.5, {"subscription": mode("fixedVolume", tradeVolume=0.8)}, 0.8),
        # an expression has the multiplier as a variable and is not multiplied again
        (0.5, 0.5, {"strategy": mode("expression", expression="0.8")}, 0.8),
        (0.5, 0.5, {"strategy": mode("expression", expression="0.8 * multiplier")}, 0.2),
    ],
)
def test_multipliers_scale_the_volume(member: float, subscription: float, settings: dict, volume: float) -> None:
    where = {"strategy", "member", "portfolio", "subscription"}
    levels = settings if settings.keys() & where else {"strategy": settings}
    levels = {name: dict(levels.get(name, {})) for name in where}
    levels["member"]["multiplier"], levels["subscription"]["multiplier"] = member, subscription
    assert one(chain(**levels)).volume == volume


@pytest.mark.parametrize(
    ("levels", "volume", "told", "level"),
    [
        # the documented example: strategy 0.1, subscription 0.08 with multiplier 0.5 -> maximum 0.05
        (
            {"strategy": {"maxTradeVolume": 0.1}, "subscription": {"maxTradeVolume": 0.08, "multiplier": 0.5}},
            0.05,
            "max-trade-volume",
            "strategy",
        ),
        (
            {"strategy": {"maxTradeVolume": 0.3}, "subscription": {"maxTradeVolume": 0.08, "multiplier": 0.5}},
            0.08,
            "max-trade-volume",
            "subscription",
        ),
        ({"strategy": {"maxTradeVolume": 0.2}}, 0.2, "max-trade-volume", "strategy"),
        ({"member": {"maxTradeVolume": 0.2, "multiplier": 0.5}}, 0.2, "max-trade-volume", "member"),
        (
            {"portfolio": {"maxTradeVolume": 0.2}, "subscription": {"multiplier": 2}},
            0.4,
            "max-trade-volume",
            "portfolio",
        ),
        ({"subscriber": {"maxTradeVolume": 0.2}}, 0.2, "max-trade-volume", "subscriber"),
        # 0.3 x 0.3 is 0.09: of two equal limits the first is named
        (
            {"strategy": {"maxTradeVolume": 0.3}, "member": {"maxTradeVolume": 0.09, "multiplier": 0.3}},
            0.09,
            "max-trade-volume",
            "strategy",
        ),
        (
            {"strategy": {"maxTradeVolume": 0.7}, "member": {"maxTradeVolume": 0.07, "multiplier": 0.1}},
            0.07,
            "max-trade-volume",
            "strategy",
        ),
        ({"subscriber": {"maxTradeVolume": 0.205}}, 0.2, "max-trade-volume", "subscriber"),
        ({"subscriber": {"maxTradeVolume": 0.004}}, 0.0, "max-trade-volume", "subscriber"),
        ({"subscriber": {"maxTradeVolume": 1}}, 1.0, "copied", "none"),
        # minimum: max(0.1 x 0.5, 0.08) = 0.08
        (
            {"strategy": {"minTradeVolume": 0.1}, "subscription": {"minTradeVolume": 0.08, "multiplier": 0.5}},
            0.5,
            "copied",
            "none",
        ),
        ({"strategy": {"minTradeVolume": 2}}, 0.0, "min-trade-volume", "strategy"),
        ({"strategy": {"minTradeVolume": 2}, "subscription": {"multiplier": 0.5}}, 0.0, "min-trade-volume", "strategy"),
        ({"member": {"minTradeVolume": 2}}, 0.0, "min-trade-volume", "member"),
        ({"portfolio": {"minTradeVolume": 2}}, 0.0, "min-trade-volume", "portfolio"),
        ({"subscription": {"minTradeVolume": 2}}, 0.0, "min-trade-volume", "subscription"),
        ({"subscriber": {"minTradeVolume": 1}}, 1.0, "copied", "none"),
        ({"subscriber": {"minTradeVolume": 1.01}}, 0.0, "min-trade-volume", "subscriber"),
    ],
)
def test_volume_limits_on_every_level(levels: dict, volume: float, told: str, level: str) -> None:
    seen = one(chain(**levels))
    assert (seen.volume, seen.reason, seen.level) == (volume, told, level)


@pytest.mark.parametrize(
    ("strategy_minimum", "provider_lots", "told", "level"),
    [
        # max(0.1 x 0.5, 0.08) = 0.08
        (0.1, 0.14, "min-trade-volume", "subscription"),
        (0.1, 0.16, "copied", "none"),
        # max(0.2 x 0.5, 0.08) = 0.1
        (0.2, 0.18, "min-trade-volume", "strategy"),
        (0.2, 0.2, "copied", "none"),
    ],
)
def test_the_documented_minimum(strategy_minimum: float, provider_lots: float, told: str, level: str) -> None:
    levels = chain(
        strategy={"minTradeVolume": strategy_minimum} | mode("none"),
        subscription={"minTradeVolume": 0.08, "multiplier": 0.5},
    )
    seen = one(levels, signal(volume_lots=provider_lots))
    assert (seen.reason, seen.level) == (told, level)


@pytest.mark.parametrize(
    ("lots", "scaling", "volume", "told"),
    [
        # EURUSD: at least 0.01 in steps of 0.01
        (0.004, {}, 0.0, "tiny-trade"),
        (0.005, {}, 0.01, "copied"),
        (0.014, {}, 0.01, "copied"),
        (0.015, {}, 0.02, "copied"),
        (0.29, {}, 0.29, "copied"),
        (0.1 + 0.2, {}, 0.3, "copied"),
        (0.004, {"forceTinyTrades": True}, 0.01, "tiny-trade-forced"),
        (0.002, {"forceTinyTrades": True}, 0.01, "tiny-trade-forced"),
        (0.0019, {"forceTinyTrades": True}, 0.0, "max-risk-coefficient"),
        (0.0019, {"forceTinyTrades": True, "maxRiskCoefficient": 10}, 0.01, "tiny-trade-forced"),
        (0.0049, {"forceTinyTrades": True, "maxRiskCoefficient": 2}, 0.0, "max-risk-coefficient"),
        (0.016, {"maxRiskCoefficient": 1.1}, 0.01, "max-risk-coefficient"),
        (0.006, {"maxRiskCoefficient": 1.5}, 0.0, "max-risk-coefficient"),
        (60.0, {}, 50.0, "broker-max-volume"),
    ],
)
def test_rounding_and_tiny_trades(lots: float, scaling: dict, volume: float, told: str) -> None:
    seen = one(chain(subscription=mode("none", **scaling)), signal(volume_lots=lots))
    assert (seen.volume, seen.reason) == (volume, told)


@pytest.mark.parametrize(
    ("symbol", "lots", "volume"),
    [("XAUUSD", 0.12, 0.1), ("XAUUSD", 0.13, 0.15), ("XAUUSD", 0.02, 0.0), ("US500", 2.4, 2.0), ("US500", 0.4, 0.0)],
)
def test_every_symbol_has_its_own_step(symbol: str, lots: float, volume: float) -> None:
    assert one(chain(subscription=mode("none")), signal(symbol=symbol, volume_lots=lots, price=2_000)).volume == volume


@pytest.mark.parametrize(
    ("settings", "facts", "told"),
    [
        ({}, {"provider_balance_base": 0.0}, "provider-without-money"),
        (mode("equity"), {"provider_equity_base": -1.0}, "provider-without-money"),
        (mode("none"), {"provider_balance_base": 0.0}, "copied"),
        (mode("fixedRisk", riskFraction=0.01), {}, "no-stop-loss"),
    ],
)
def test_a_mode_without_its_numbers_is_refused(settings: dict, facts: dict, told: str) -> None:
    seen = one(chain(subscription=settings), **facts)
    assert seen.reason == told
    assert seen.outcome in ("copied", "skipped" if told == "no-stop-loss" else "failed")


def test_fixed_risk_of_a_reversed_route_uses_the_providers_take_profit() -> None:
    settings = mode("fixedRisk", riskFraction=0.01) | {"reverse": True}
    seen = one(chain(subscription=settings), signal(take_profit=1.11, stop_loss=1.05))
    assert (seen.side, seen.volume, seen.stop_loss, seen.take_profit) == (Side.SELL, 0.1, 1.11, 1.05)


def test_pending_orders_are_valued_at_their_own_price() -> None:
    of = signal(kind=OrderKind.LIMIT, price=1.0)
    assert one(chain(), of).steps == [1.0] * 6


def test_the_steps_tell_the_whole_way() -> None:
    levels = chain(strategy={"maxTradeVolume": 1.004}, subscription={"multiplier": 0.5}, subscriber={})
    seen = one(levels, signal(volume_lots=2), {"balance": 30_000})
    assert seen.steps == pytest.approx([2, 6, 3, 0.502, 0.5, 0.5])
    assert seen.text == "Volume cut from 3 to 0.5 lots: the largest trade of the strategy."
