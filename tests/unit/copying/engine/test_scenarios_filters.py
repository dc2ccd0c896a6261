"""Who copies a signal at all: filters, sides, reversal, close-only, removal, stopouts, news, delay, accounts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from copying.engine.model import Level, NewsEvent, OrderKind, Side
from tests.unit.copying.engine.worlds import chain, one, signal

LEVELS = ["strategy", "member", "portfolio", "subscription"]
NOW = 1_700_049_600.0


def at(level: str, settings: dict) -> dict:
    """A chain of five levels with settings on one of them."""
    return {"member": {}, "portfolio": {}} | {level: settings}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("settings", "of", "told"),
    [
        ({"symbolFilter": {"included": ["EURUSD"]}}, {}, "copied"),
        ({"symbolFilter": {"included": ["USDJPY"]}}, {}, "symbol-filter"),
        ({"symbolFilter": {"excluded": ["EURUSD"]}}, {}, "symbol-filter"),
        ({"symbolFilter": {"included": ["EURUSD"], "excluded": ["EURUSD"]}}, {}, "symbol-filter"),
        ({"symbolFilter": {"included": [], "excluded": []}}, {}, "copied"),
        ({"skipPendingOrders": True}, {}, "copied"),
        ({"skipPendingOrders": True}, {"kind": OrderKind.LIMIT}, "pending-orders-skipped"),
        ({"skipPendingOrders": False}, {"kind": OrderKind.STOP, "price": 1.11}, "copied"),
        ({"allowedSides": ["buy"]}, {}, "copied"),
        ({"allowedSides": ["sell"]}, {}, "side-not-allowed"),
        ({"allowedSides": ["sell"]}, {"side": Side.SELL}, "copied"),
        ({"allowedSides": ["buy", "sell"]}, {"side": Side.SELL}, "copied"),
    ],
)
def test_filters_on_every_level(level: str, settings: dict, of: dict, told: str) -> None:
    seen = one(chain(**at(level, settings)), signal(**of))
    assert seen.reason == told
    assert seen.level == ("none" if told == "copied" else level)


@pytest.mark.parametrize(
    ("sides", "told"), [(["sell"], "side-not-allowed"), (["buy"], "copied"), ([], "side-not-allowed")]
)
def test_sides_of_the_subscriber(sides: list[str], told: str) -> None:
    seen = one(chain(subscriber={"allowedSides": sides}))
    assert (seen.reason, seen.level) == (told, "none" if told == "copied" else "subscriber")


@pytest.mark.parametrize("level", LEVELS)
def test_reversal_and_mapping_on_every_level(level: str) -> None:
    settings = {"reverse": True, "symbolMapping": [{"from": "EURUSD", "to": "EURUSDm"}]}
    seen = one(chain(**at(level, settings)))
    assert (seen.side, seen.symbol, seen.reason) == (Side.SELL, "EURUSDm", "copied")


@pytest.mark.parametrize("first", LEVELS)
@pytest.mark.parametrize("last", LEVELS)
@pytest.mark.parametrize(
    ("settings", "kind", "told"),
    [
        ({"skipPendingOrders": True}, OrderKind.LIMIT, "pending-orders-skipped"),
        ({"symbolFilter": {"excluded": ["EURUSD"]}}, OrderKind.MARKET, "symbol-filter"),
        ({"allowedSides": ["sell"]}, OrderKind.MARKET, "side-not-allowed"),
    ],
)
def test_of_two_levels_that_refuse_the_first_is_named(first: str, last: str, settings: dict, kind, told: str) -> None:
    levels: dict = {"member": {}, "portfolio": {}} | {first: settings} | {last: settings}
    seen = one(chain(**levels), signal(kind=kind))
    assert (seen.reason, seen.level) == (told, min(first, last, key=LEVELS.index))


def test_sides_are_an_intersection() -> None:
    levels = chain(strategy={"allowedSides": ["buy"]}, subscriber={"allowedSides": ["sell"]})
    assert one(levels).level == "subscriber"
    assert one(levels, signal(side=Side.SELL)).level == "strategy"


@pytest.mark.parametrize(
    ("levels", "side", "told"),
    [
        ({"strategy": {"reverse": True}}, Side.SELL, "copied"),
        ({"strategy": {"reverse": True}, "subscription": {"reverse": True}}, Side.BUY, "copied"),
        (
            {"strategy": {"reverse": True}, "member": {"reverse": True}, "portfolio": {"reverse": True}},
            Side.SELL,
            "copied",
        ),
        ({"subscription": {"reverse": True, "allowedSides": ["sell"]}}, Side.SELL, "copied"),
        ({"subscription": {"reverse": True, "allowedSides": ["buy"]}}, Side.SELL, "side-not-allowed"),
    ],
)
def test_reversals_cancel_in_pairs(levels: dict, side: Side, told: str) -> None:
    seen = one(chain(**levels))
    assert (seen.side, seen.reason) == (side, told)


@pytest.mark.parametrize(
    ("kind", "reversed_kind"),
    [(OrderKind.MARKET, OrderKind.MARKET), (OrderKind.LIMIT, OrderKind.STOP), (OrderKind.STOP, OrderKind.LIMIT)],
)
def test_reversed_orders_keep_their_trigger_price(kind: OrderKind, reversed_kind: OrderKind) -> None:
    price = {OrderKind.LIMIT: 1.09, OrderKind.STOP: 1.11}.get(kind, 1.1002)
    seen = one(chain(subscription={"reverse": True}), signal(kind=kind, price=price, stop_loss=1.05, take_profit=1.2))
    assert (seen.kind, seen.side, seen.stop_loss, seen.take_profit) == (reversed_kind, Side.SELL, 1.2, 1.05)


@pytest.mark.parametrize(
    ("levels", "symbol", "told"),
    [
        # the documented example
        (
            {
                "strategy": {"symbolMapping": [{"from": "EURUSDi", "to": "EURUSD"}]},
                "subscription": {"symbolMapping": [{"from": "EURUSD", "to": "EURUSDm"}]},
            },
            "EURUSDm",
            "copied",
        ),
        # a filter sees the name before its own level's mapping
        (
            {
                "strategy": {
                    "symbolMapping": [{"from": "EURUSDi", "to": "EURUSD"}],
                    "symbolFilter": {"included": ["EURUSDi"]},
                }
            },
            "EURUSD",
            "copied",
        ),
        (
            {
                "strategy": {"symbolMapping": [{"from": "EURUSDi", "to": "EURUSD"}]},
                "subscription": {"symbolFilter": {"included": ["EURUSDi"]}},
            },
            None,
            "symbol-filter",
        ),
        (
            {
                "subscription": {
                    "symbolMapping": [{"from": "EURUSDi", "to": "EURUSD"}, {"from": "EURUSD", "to": "US500"}]
                }
            },
            "EURUSD",
            "copied",
        ),
        ({}, "EURUSDi", "unknown-symbol"),
        ({"strategy": {"symbolMapping": [{"from": "EURUSDi", "to": "SILENT"}]}}, "SILENT", "no-price"),
        ({"strategy": {"symbolMapping": [{"from": "EURUSDi", "to": "ODD"}]}}, "ODD", "no-exchange-rate"),
    ],
)
def test_names_change_along_the_chain(levels: dict, symbol: str | None, told: str) -> None:
    seen = one(chain(**levels), signal(symbol="EURUSDi"))
    assert (seen.symbol, seen.reason) == (symbol, told)


@pytest.mark.parametrize(
    ("magic_filter", "magic", "told"),
    [
        ({"included": ["1000"]}, 1000, "copied"),
        ({"included": ["1000"]}, 1001, "magic-filter"),
        ({"included": ["1000", "1010-1019"]}, 1010, "copied"),
        ({"included": ["1000", "1010-1019"]}, 1019, "copied"),
        ({"included": ["1000", "1010-1019"]}, 1020, "magic-filter"),
        ({"excluded": ["1010-1019"]}, 1015, "magic-filter"),
        ({"excluded": ["1010-1019"]}, 7, "copied"),
        ({"included": ["1-9"], "excluded": ["7"]}, 7, "magic-filter"),
        ({"included": [], "excluded": []}, 7, "copied"),
        ({"included": ["-5--1"]}, -3, "copied"),
    ],
)
def test_magic_numbers_and_ranges(magic_filter: dict, magic: int, told: str) -> None:
    assert one(chain(strategy={"magicFilter": magic_filter}), signal(magic=magic)).reason == told


@pytest.mark.parametrize(
    ("equity", "average", "told"),
    [(10_001, 10_000, "copied"), (10_000, 10_000, "equity-curve-filter"), (9_000, None, "copied")],
)
def test_equity_curve_filter(equity: float, average: float | None, told: str) -> None:
    levels = chain(strategy={"equityCurveFilter": {"period": 3, "timeframe": "2h"}})
    assert one(levels, provider_equity=equity, provider_balance_average=average).reason == told


@pytest.mark.parametrize(
    ("drawdown_filter", "equity", "told"),
    [
        ({"maxDrawdown": 0.1, "action": "exclude"}, 9_100, "copied"),
        ({"maxDrawdown": 0.1, "action": "exclude"}, 9_000, "drawdown-filter"),
        ({"maxRelativeDrawdown": 0.1, "action": "include"}, 9_100, "drawdown-filter"),
        ({"maxRelativeDrawdown": 0.1, "action": "include"}, 8_900, "copied"),
        ({"maxAbsoluteDrawdown": 500, "action": "exclude"}, 9_501, "copied"),
        ({"maxAbsoluteDrawdown": 500, "action": "exclude"}, 9_499, "drawdown-filter"),
        ({"maxAbsoluteDrawdown": 500, "maxDrawdown": 0.5, "action": "exclude"}, 9_400, "drawdown-filter"),
        ({"action": "exclude"}, 1_000, "copied"),
    ],
)
def test_drawdown_filter(drawdown_filter: dict, equity: float, told: str) -> None:
    assert one(chain(strategy={"drawdownFilter": drawdown_filter}), provider_equity=equity).reason == told


@pytest.mark.parametrize(
    ("subscription", "subscriber", "open_symbols", "told", "level"),
    [
        ("by-position", None, ["EURUSD"], "close-only", "subscription"),
        (None, "by-position", ["EURUSD"], "close-only", "subscriber"),
        ("immediately", None, ["EURUSD"], "close-only", "subscription"),
        ("by-symbol", None, ["EURUSD"], "copied", "none"),
        ("by-symbol", None, ["USDJPY"], "close-only", "subscription"),
        ("by-symbol", "immediately", ["EURUSD"], "copied", "none"),
        (None, "by-symbol", [], "close-only", "subscriber"),
    ],
)
def test_close_only(subscription, subscriber, open_symbols: list[str], told: str, level: str) -> None:
    levels = chain(subscription={"closeOnly": subscription}, subscriber={"closeOnly": subscriber})
    seen = one(levels, open_symbols={symbol: np.array([True]) for symbol in open_symbols})
    assert (seen.reason, seen.level) == (told, level)


@pytest.mark.parametrize("level", [*LEVELS, "subscriber"])
@pytest.mark.parametrize(
    ("mode", "is_open", "told"),
    [
        ("preserve", True, "removed"),
        ("close-gracefully-by-position", True, "removed"),
        ("close-gracefully-by-symbol", True, "copied"),
        ("close-gracefully-by-symbol", False, "removed"),
        ("close-immediately", True, "removed"),
        (None, True, "removed"),
    ],
)
def test_what_is_being_removed_winds_down(level: str, mode: str | None, is_open: bool, told: str) -> None:
    settings = {"removed": True} | ({"closeOnRemovalMode": mode} if mode else {})
    seen = one(chain(**at(level, settings)), open_symbols={"EURUSD": np.array([is_open])})
    assert (seen.reason, seen.level) == (told, "none" if told == "copied" else level)


@pytest.mark.parametrize("level", [Level.STRATEGY, Level.SUBSCRIPTION, Level.SUBSCRIBER])
def test_a_stopout_refuses_at_its_level(level: Level) -> None:
    seen = one(chain(), stopped=np.array([True]), stopped_level=np.array([level], np.uint8))
    assert (seen.outcome, seen.reason, seen.level) == ("skipped", "stopped-out", level.name.lower())


def calendar(*priorities: str, **gaps: float) -> dict:
    return {"newsFilter": {"calendarNewsFilter": {"priorities": list(priorities), **gaps}}}


EXAMPLE = calendar("high", openPositionPrecedingTimeGapInMinutes=60, openPositionFollowingTimeGapInMinutes=120)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("settings", "minutes_to_event", "event", "told"),
    [
        # the documented example: 60 minutes before to 120 minutes after
        (EXAMPLE, 61, {}, "copied"),
        (EXAMPLE, 60, {}, "news"),
        (EXAMPLE, 0, {}, "news"),
        (EXAMPLE, -119, {}, "news"),
        (EXAMPLE, -120, {}, "copied"),
        (EXAMPLE, 0, {"priority": "low"}, "copied"),
        (EXAMPLE, 0, {"currency": "JPY"}, "copied"),
        (EXAMPLE, 0, {"currency": "USD"}, "news"),
        (EXAMPLE, -5, {"is_breaking": True}, "copied"),
        (calendar("high"), 120, {}, "news"),
        (calendar("high"), 121, {}, "copied"),
        (calendar("high"), -60, {}, "copied"),
        (calendar(), 0, {}, "copied"),
        ({"newsFilter": {"breakingNewsFilter": {"priorities": ["high"]}}}, -59, {"is_breaking": True}, "news"),
        ({"newsFilter": {"breakingNewsFilter": {"priorities": ["high"]}}}, -60, {"is_breaking": True}, "copied"),
        ({"newsFilter": {"breakingNewsFilter": {"priorities": ["high"]}}}, 1, {"is_breaking": True}, "copied"),
    ],
)
def test_news(level: str, settings: dict, minutes_to_event: float, event: dict, told: str) -> None:
    happens = NewsEvent(**({"time": NOW + 60 * minutes_to_event, "currency": "EUR", "priority": "high"} | event))
    seen = one(chain(**at(level, settings)), news=(happens,), now=NOW)
    assert (seen.reason, seen.level) == (told, "none" if told == "copied" else level)


@pytest.mark.parametrize(
    ("minutes", "told", "level"),
    [(100, "news", "strategy"), (20, "news", "strategy"), (-70, "news", "subscription"), (-130, "copied", "none")],
)
def test_news_filters_of_two_levels_both_apply(minutes: float, told: str, level: str) -> None:
    before = calendar("high", openPositionPrecedingTimeGapInMinutes=120, openPositionFollowingTimeGapInMinutes=0)
    after = calendar("high", openPositionPrecedingTimeGapInMinutes=0, openPositionFollowingTimeGapInMinutes=120)
    event = NewsEvent(time=NOW + 60 * minutes, currency="EUR", priority="high")
    seen = one(chain(strategy=before, subscription=after), news=(event,), now=NOW)
    assert (seen.reason, seen.level) == (told, level)


@pytest.mark.parametrize("level", [*LEVELS, "subscriber"])
def test_a_fixed_delay(level: str) -> None:
    seen = one(chain(**at(level, {"signalDelay": {"minInSeconds": 90, "maxInSeconds": 90}})))
    assert (seen.outcome, seen.reason, seen.level, seen.delay_s, seen.volume) == ("delayed", "delayed", level, 90, 1.0)


def test_a_random_delay_depends_on_signal_and_route_only() -> None:
    levels = chain(strategy={"signalDelay": {"minInSeconds": 1, "maxInSeconds": 9}})
    waits = {one(levels, signal(id=f"signal{number}")).delay_s for number in range(50)}
    assert len(waits) == 50
    assert all(1 <= wait <= 9 for wait in waits)
    assert max(waits) - min(waits) > 6
    assert one(levels).delay_s == one(levels).delay_s


def test_the_last_delay_wins_even_when_it_is_none() -> None:
    waits = {"signalDelay": {"minInSeconds": 5, "maxInSeconds": 5}}
    assert (
        one(chain(strategy=waits, subscriber={"signalDelay": {"minInSeconds": 0, "maxInSeconds": 0}})).outcome
        == "copied"
    )


@pytest.mark.parametrize(
    ("account", "told", "outcome"),
    [
        ({"balance": 0}, "no-money", "skipped"),
        ({"balance": 100, "equity": -1}, "no-money", "skipped"),
        ({"currency": "XXX"}, "no-exchange-rate", "failed"),
    ],
)
def test_accounts_that_cannot_trade(account: dict, told: str, outcome: str) -> None:
    seen = one(chain(), account=account)
    assert (seen.reason, seen.outcome, seen.volume) == (told, outcome, 0)
    assert math.isnan(seen.stop_loss)
