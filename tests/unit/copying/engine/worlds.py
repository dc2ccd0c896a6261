"""A small fixed world for the engine's tests: four symbols, four currencies, accounts and signals with defaults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import nan

import numpy as np

from copying.engine.decide import decide
from copying.engine.model import Accounts, Decisions, Facts, Instrument, Level, OrderKind, Outcome, Side, Signal
from copying.engine.reasons import Reason, sentence
from copying.engine.routes import Configuration, RouteTable, compile_routes

CURRENCIES = ["USD", "EUR", "GBP", "JPY", "XXX"]  # nobody knows the rate of XXX
RATES = {"USD": 1.0, "EUR": 1.1, "GBP": 1.25, "JPY": 1 / 150}


def instrument(symbol: str, base: str, profit: str, digits: int, **more: float) -> Instrument:
    """A pair with the usual contract of 100,000."""
    tick = 10.0**-digits
    numbers = {"contract_size": 100_000.0, "min_volume": 0.01, "max_volume": 50.0, "volume_step": 0.01} | more
    return Instrument(
        symbol=symbol,
        base_currency=base,
        profit_currency=profit,
        digits=digits,
        tick_size=tick,
        tick_value=numbers["contract_size"] * tick,
        **numbers,
    )


INSTRUMENTS = {
    each.symbol: each
    for each in (
        instrument("EURUSD", "EUR", "USD", 5),
        instrument("EURUSDm", "EUR", "USD", 5, contract_size=1_000.0, min_volume=0.1, volume_step=0.1, max_volume=500),
        instrument("USDJPY", "USD", "JPY", 3),
        instrument("XAUUSD", "XAU", "USD", 2, contract_size=100.0, min_volume=0.05, volume_step=0.05, max_volume=20),
        instrument("US500", "USD", "USD", 1, contract_size=1.0, min_volume=1.0, volume_step=1.0, max_volume=200),
        instrument("SILENT", "EUR", "USD", 5),
        instrument("ODD", "EUR", "XXX", 5),
    )
}
QUOTES = {
    "EURUSD": (1.1, 1.1002),
    "EURUSDm": (1.0999, 1.1003),
    "USDJPY": (150.0, 150.02),
    "XAUUSD": (2000.0, 2000.5),
    "US500": (5000.0, 5000.4),
    "ODD": (3.0, 3.1),
}


@dataclass
class World:
    """The engine's market."""

    instruments: dict[str, Instrument] = field(default_factory=lambda: dict(INSTRUMENTS))
    quotes: dict[str, tuple[float, float]] = field(default_factory=lambda: dict(QUOTES))

    def instrument(self, symbol: str) -> Instrument | None:
        return self.instruments.get(symbol)

    def quote(self, symbol: str) -> tuple[float, float] | None:
        return self.quotes.get(symbol)

    def rate(self, currency: str, target: str) -> float | None:
        if currency not in RATES or target not in RATES:
            return None
        return RATES[currency] / RATES[target]

    def rates(self, currencies: Sequence[str], target: str) -> list[float]:
        return [nan if (rate := self.rate(currency, target)) is None else rate for currency in currencies]


def accounts(*rows: dict) -> Accounts:
    """Accounts named a, b, c...; 10,000 USD each unless said otherwise."""

    def column(name: str, default: float | None = None) -> np.ndarray:
        return np.array(
            [float(row.get(name, row.get("balance", 10_000) if default is None else default)) for row in rows]
        )

    return Accounts(
        ids=[chr(ord("a") + number) for number in range(len(rows))],
        currency=np.array([CURRENCIES.index(row.get("currency", "USD")) for row in rows], np.int32),
        currencies=CURRENCIES,
        balance=column("balance"),
        equity=column("equity"),
        margin=column("margin", 0.0),
        leverage=column("leverage", 100.0),
        position_value=column("position_value", 0.0),
    )


def facts(of: Accounts, **more) -> Facts:
    """A provider with 10,000 USD, at noon of a Wednesday."""
    defaults = {
        "now": 1_700_049_600.0,
        "market": World(),
        "accounts": of,
        "provider_account": None,
        "provider_balance_base": 10_000.0,
        "provider_equity_base": 10_000.0,
        "provider_balance": 10_000.0,
        "provider_equity": 10_000.0,
    }
    return Facts(**(defaults | more))


def signal(**more) -> Signal:
    """Buy 1 lot of EURUSD at the market."""
    defaults = {
        "id": "signal01",
        "strategy_id": "s",
        "symbol": "EURUSD",
        "side": Side.BUY,
        "kind": OrderKind.MARKET,
        "volume_lots": 1.0,
        "price": 1.1002,
        "time": 1_700_049_600.0,
    }
    return Signal(**(defaults | more))


@dataclass
class Seen:
    """One route's decision, readable."""

    outcome: str
    reason: str
    level: str
    volume: float
    text: str
    steps: list[float]
    symbol: str | None
    side: Side
    kind: OrderKind
    stop_loss: float
    take_profit: float
    delay_s: float
    limit_value: float


def see(decisions: Decisions, row: int, of: Signal) -> Seen:
    """The decision of one route."""
    reason, outcome = Reason(decisions.reason[row]), Outcome(decisions.outcome[row])
    level, number = Level(decisions.level[row]), decisions.symbol[row]
    symbol = decisions.symbols[number] if number >= 0 else None
    value = float(decisions.limit_value[row])
    return Seen(
        outcome=outcome.name.lower(),
        reason=reason.code,
        level=level.name.lower(),
        volume=float(decisions.volume_lots[row]),
        text=sentence(
            reason,
            outcome,
            level,
            decisions.steps[row],
            value,
            symbol or "",
            of.symbol,
            int(decisions.notes[row]),
        ),
        steps=[float(step) for step in decisions.steps[row]],
        symbol=symbol,
        side=Side(int(decisions.side[row])),
        kind=OrderKind(int(decisions.kind[row])),
        stop_loss=float(decisions.stop_loss[row]),
        take_profit=float(decisions.take_profit[row]),
        delay_s=float(decisions.delay_s[row]),
        limit_value=value,
    )


def chain(**levels: dict) -> Configuration:
    """One route through all five levels, or three when neither member nor portfolio is given.

    levels: strategy, member, portfolio, subscription, subscriber.
    """
    has_portfolio = "member" in levels or "portfolio" in levels
    target = "p" if has_portfolio else "s"
    subscription = {"strategyId": target} | levels.get("subscription", {})
    portfolio = {"members": [{"strategyId": "s"} | levels.get("member", {})]} | levels.get("portfolio", {})
    return Configuration(
        strategies={"s": levels.get("strategy", {})},
        portfolios={"p": portfolio} if has_portfolio else {},
        subscribers={"a": {"subscriptions": [subscription]} | levels.get("subscriber", {})},
    )


def compiled(configuration: Configuration, of: Accounts, strategy_id: str = "s") -> RouteTable:
    """The route table with rows by account name."""
    return compile_routes(strategy_id, configuration, {name: row for row, name in enumerate(of.ids)})


def one(configuration: Configuration, of: Signal | None = None, account: dict | None = None, **more) -> Seen:
    """The decision of the only route of `configuration`."""
    of = of or signal()
    rows = accounts(account or {})
    return see(decide(compiled(configuration, rows), of, facts(rows, **more)), 0, of)
