"""Random books in which every rule has work to do: configuration, accounts, the state of the world and a signal.

A book is a function of one integer, so that a failing one is named by its seed and large ones are quick to make.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from hypothesis import strategies as st

from copying.engine.model import Accounts, Facts, Level, NewsEvent, OrderKind, Side, Signal
from copying.engine.routes import Configuration, RouteTable, compile_routes
from tests.unit.copying.engine import oracle
from tests.unit.copying.engine.worlds import accounts, facts, signal

COMMON = ["EURUSD"] * 8 + ["USDJPY"] * 4 + ["XAUUSD"] * 3 + ["US500", "EURUSDm"]
RARE = ["SILENT", "ODD", "NOWHERE", "EURUSDi", "GBPUSD", "GBPUSD"]
EXPRESSIONS = {
    "providerVolume * multiplier": "providerVolume * multiplier",
    "balance > 9000 ? 0.1 : 0.02": "(0.1 if balance > 9000 else 0.02)",
    "min(providerTradeAmount / quoteOrOpenPrice / contractSize, 3) ^ 2": (
        "min(providerTradeAmount / quoteOrOpenPrice / contractSize, 3) ** 2"
    ),
    "sqrt(balance / providerBalance) - 0.2": "sqrt(balance / providerBalance) - 0.2",
    "providerStopLoss > 0 and not (tickSize >= 1) ? 0.3 : providerScaledVolume / contractSize": (
        "(0.3 if providerStopLoss > 0 and not tickSize >= 1 else providerScaledVolume / contractSize)"
    ),
    "1 / (multiplier - 1)": "1 / (multiplier - 1)",
    "accountCurrencyExchangeRate * tickValue / 10": "accountCurrencyExchangeRate * tickValue / 10",
    "floor(balance * 0.0001 * 0.29 * 100) / 100": "floor(balance * 0.0001 * 0.29 * 100) / 100",
    "ceil(multiplier * 3 * 10) / 100 % 0.25": "mod(ceil(multiplier * 3 * 10) / 100, 0.25)",
    "(balance % (multiplier - 1)) / 1e5": "mod(balance, multiplier - 1) / 1e5",
    "multiplier - 0.1 * 3 == 0 xor balance < 2000 ? 0.07 : 0.3": (
        "(0.07 if is_equal(multiplier - 0.1 * 3, 0) != (balance < 2000) else 0.3)"
    ),
}
oracle.PYTHON_SPELLING.update(EXPRESSIONS)
PRIORITIES = ["election", "high", "medium", "low"]
LOTS = [0.005, 0.01, 0.02, 0.05, 0.07, 0.1, 0.3, 0.5, 1.0, 2.5, 10.0]
GAPS = [0, 5, 30, 120]
NOW = 1_700_049_600.0


@dataclass
class Book:
    """What `decide` is asked. rows: account id -> row of the accounts."""

    seed: int
    configuration: Configuration
    table: RouteTable
    accounts: Accounts
    facts: Facts
    signal: Signal
    rows: dict[str, int]


def symbol(r: Random) -> str:
    """Mostly one that exists."""
    return r.choice(RARE) if r.random() < 0.04 else r.choice(COMMON)


def scaling(r: Random) -> dict[str, Any]:
    """Any mode with its number."""
    modes = ["none", "contractSize", "balance", "equity", "fixedVolume", "fixedRisk", "expression"]
    made: dict[str, Any] = {"mode": r.choice(modes)}
    made |= {"tradeVolume": r.choice(LOTS), "riskFraction": r.choice([0.001, 0.01, 0.05])}
    made["expression"] = r.choice(list(EXPRESSIONS))
    if r.random() < 0.5:
        made["forceTinyTrades"] = r.random() < 0.7
    if r.random() < 0.5:
        made["maxRiskCoefficient"] = r.choice([1, 1.2, 2, 5, 20])
    return made


def news_filter(r: Random) -> dict[str, Any]:
    """A calendar filter, a breaking one or both."""
    made: dict[str, Any] = {}
    if r.random() < 0.8:
        made["calendarNewsFilter"] = {"priorities": r.sample(PRIORITIES, r.randint(0, 3))}
        if r.random() < 0.5:
            made["calendarNewsFilter"]["openPositionPrecedingTimeGapInMinutes"] = r.choice(GAPS)
        if r.random() < 0.5:
            made["calendarNewsFilter"]["openPositionFollowingTimeGapInMinutes"] = r.choice(GAPS)
    if r.random() < 0.5:
        made["breakingNewsFilter"] = {"priorities": r.sample(PRIORITIES[1:], 2)}
        if r.random() < 0.5:
            made["breakingNewsFilter"]["openPositionFollowingTimeGapInMinutes"] = r.choice(GAPS)
    return made


def symbol_filter(r: Random) -> dict[str, list[str]]:
    """Includes what is common, excludes little."""
    made = {}
    if r.random() < 0.5:
        made["included"] = sorted(set(COMMON) - {r.choice(COMMON[8:])})
    if r.random() < 0.5:
        made["excluded"] = [r.choice(COMMON[8:] + RARE)]
    return made


def mapping(r: Random) -> list[dict[str, str]]:
    """Up to two renames."""
    return [{"from": r.choice(COMMON + RARE), "to": symbol(r)} for _ in range(r.randint(0, 2))]


EVERYWHERE = {
    "allowedSides": lambda r: r.choice([["buy"], ["sell"], ["buy", "sell"], ["sell", "buy"]]),
    "copyStopLoss": lambda r: r.random() < 0.5,
    "copyTakeProfit": lambda r: r.random() < 0.5,
    "minTradeVolume": lambda r: r.choice(LOTS[:6]),
    "maxTradeVolume": lambda r: r.choice(LOTS[3:]),
    "maxLeverage": lambda r: r.choice([0.5, 1, 5, 30, 100]),
    "signalDelay": lambda r: {"minInSeconds": r.choice([0, 1, 3]), "maxInSeconds": r.choice([0, 3, 9])},
}
TERMS = EVERYWHERE | {
    "skipPendingOrders": lambda r: r.random() < 0.5,
    "reverse": lambda r: r.random() < 0.7,
    "symbolFilter": symbol_filter,
    "symbolMapping": mapping,
    "newsFilter": news_filter,
    "maxTradeRisk": lambda r: r.choice([0.0005, 0.01, 0.05, 0.5]),
    "maxStopLoss": lambda r: {"value": r.choice([0.05, 5, 20.5, 100]), "units": "pips"},
    "reduceCorrelations": lambda r: r.choice(["by-strategy", "by-account", "by-symbol"]),
    "tradeSizeScaling": scaling,
}
CLOSE_ONLY = {"closeOnly": lambda r: r.choice(["by-position", "by-symbol", "by-symbol", "immediately"])}
REMOVALS = ["preserve", "close-gracefully-by-position", *["close-gracefully-by-symbol"] * 3, "close-immediately"]


def document(r: Random, fields: dict, chance: float, **always: Any) -> dict[str, Any]:
    """A document in which every field stands with the given chance."""
    made = {name: make(r) for name, make in fields.items() if r.random() < chance}
    if "allowedSides" in made and r.random() < 0.6:
        made["allowedSides"] = ["buy", "sell"]
    if "closeOnly" in made and r.random() < 0.6:
        del made["closeOnly"]
    if r.random() < 0.02:
        made["removed"], made["closeOnRemovalMode"] = True, r.choice(REMOVALS)
    return made | always


def multiplier(r: Random) -> dict[str, float]:
    """A weight or none."""
    return {"multiplier": r.choice([0.5, 0.1, 2, 3, 0.3])} if r.random() < 0.5 else {}


def configuration(r: Random, subscribers: int) -> Configuration:
    """A strategy, two portfolios in each other, and subscribers of any of them; every twentieth without an account."""
    strategy = document(r, TERMS, 0.06)
    if r.random() < 0.5:
        strategy["symbolMapping"] = [{"from": "GBPUSD", "to": "EURUSD"}]  # of a symbol that nobody here knows
    if r.random() < 0.2:
        strategy["magicFilter"] = {"included": ["7", "0-5"], "excluded": [r.choice(["3", "7-9"])]}
    if r.random() < 0.1:
        strategy["equityCurveFilter"] = {"period": 3, "timeframe": "2h"}
    if r.random() < 0.15:
        strategy["drawdownFilter"] = {"action": r.choice(["include", "exclude"])}
        strategy["drawdownFilter"] |= {"maxDrawdown": 0.1} if r.random() < 0.6 else {"maxAbsoluteDrawdown": 500}
    inner = document(r, TERMS, 0.06)
    inner["members"] = [
        document(r, TERMS, 0.06, strategyId="s", **multiplier(r)) for _ in range(1 + (r.random() < 0.2))
    ]
    outer = document(r, TERMS, 0.06)
    outer["members"] = [document(r, TERMS, 0.06, strategyId=child, **multiplier(r)) for child in ("p", "q", "s")]
    found = {}
    for number in range(subscribers):
        targets = r.sample(["s", "p", "q"], r.choice([1, 1, 1, 2]))
        subscriptions = [document(r, TERMS | CLOSE_ONLY, 0.12, strategyId=each, **multiplier(r)) for each in targets]
        subscriber = document(r, EVERYWHERE | CLOSE_ONLY, 0.1)
        if r.random() < 0.15:
            subscriber["reservedMarginFraction"] = r.choice([0, 5, 25, 60])
        if r.random() < 0.15:
            subscriber["minTradeAmount"] = r.choice([0, 50, 20_000])
        found[f"account{number}"] = subscriber | {"subscriptions": subscriptions}
    return Configuration({"s": strategy}, {"p": inner, "q": outer}, found)


def some_accounts(r: Random, count: int) -> Accounts:
    """Rich and poor, in five currencies, one of which nobody can convert."""

    def account() -> dict[str, Any]:
        balance = r.choice([-5, 0]) if r.random() < 0.03 else r.choice([100, 1_234.56, 10_000, 250_000])
        return {
            "currency": "XXX" if r.random() < 0.02 else r.choice(["USD", "USD", "EUR", "GBP", "JPY"]),
            "balance": balance,
            "equity": max(balance, 0) * r.choice([0.8, 1, 1, 1.1]),
            "margin": r.choice([0, 0, max(balance, 0) * 0.1]),
            "leverage": r.choice([1, 30, 100, 500]),
            "position_value": r.choice([0, 0, 40_000, 1_000]),
        }

    return accounts(*[account() for _ in range(count)])


def some_signal(r: Random) -> Signal:
    """Any kind; prices mostly on the side where a broker takes them, else anywhere."""
    name = symbol(r)
    price = {"USDJPY": 150.1, "XAUUSD": 2_001.0, "US500": 5_001.0}.get(name, 1.101)
    side = r.choice(list(Side))
    kind = r.choice([OrderKind.MARKET, OrderKind.MARKET, OrderKind.LIMIT, OrderKind.STOP])
    if kind is not OrderKind.MARKET and r.random() < 0.8:
        price = round(price * (0.99 if (side is Side.BUY) == (kind is OrderKind.LIMIT) else 1.01), 4)

    def near(away: int) -> float | None:
        if r.random() < 0.3:
            return None
        if r.random() < 0.9:
            return round(price * (1 + away * r.choice([0.001, 0.02, 0.03])), 3)
        return round(price * r.choice([0.001, 0.98, 0.999, 1.0, 1.001, 1.03, 50]), 3)

    return signal(
        id=f"signal{r.randint(0, 99)}",
        symbol=name,
        side=side,
        kind=kind,
        volume_lots=r.choice([0.01, 0.03, 0.29, 1.0, 7.5]),
        price=price,
        stop_loss=near(-side),
        take_profit=near(side),
        magic=r.choice([0, 0, 0, 3, 7, 12]),
    )


def some_facts(r: Random, of: Accounts, n: int) -> Facts:
    """Stopouts, exposures, open symbols, news and the provider's money."""
    random = np.random.default_rng(r.getrandbits(32))
    levels = np.array([Level.STRATEGY, Level.SUBSCRIPTION, Level.SUBSCRIBER], np.uint8)
    lots = np.array([-0.3, -0.02, 0.0, 0.01, 0.2])
    assets = r.sample(["EUR", "USD", "JPY", "XAU"], r.randint(0, 4))
    equity = r.choice([8_800.0, 10_000.0, 10_100.0, 10_000.0])
    has_money = r.random() > 0.05
    events = tuple(
        NewsEvent(
            NOW + r.choice([-180, -60, -30, 0, 5, 120, 121]) * 60, currency, r.choice(PRIORITIES), r.random() < 0.4
        )
        for currency in r.sample(["EUR", "USD", "JPY"], r.choice([0, 0, 1, 2]))
    )
    return facts(
        of,
        now=NOW,
        stopped=random.random(n) < 0.05 if r.random() < 0.5 else None,
        stopped_level=random.choice(levels, n),
        open_symbols={name: random.random(n) < 0.5 for name in ("EURUSD", "USDJPY", "XAUUSD")},
        strategy_exposure={asset: random.choice(lots, n) for asset in assets},
        account_exposure={asset: random.choice(lots, len(of.ids)) for asset in assets},
        news=events,
        provider_balance_base=10_000.0 if has_money else 0.0,
        provider_equity_base=equity if has_money else 0.0,
        provider_equity=equity,
        provider_balance_average=r.choice([None, 9_999.0, 10_050.0]),
    )


def make_book(seed: int, subscribers: int = 30) -> Book:
    """The book of a seed."""
    r = Random(seed)
    made = configuration(r, subscribers)
    of = some_accounts(r, subscribers)
    rows = {f"account{number}": number for number in range(subscribers) if r.random() > 0.03}
    table = compile_routes("s", made, rows)
    return Book(seed, made, table, of, some_facts(r, of, len(table)), some_signal(r), rows)


seeds = st.integers(0, 2**40)
