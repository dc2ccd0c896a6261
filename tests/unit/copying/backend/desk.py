"""A book with a provider and subscribers on a still market: what the scenario tests of the backend are played on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np

from copying.backend.broker.paper import PaperBroker
from copying.backend.core import ticks
from copying.backend.core.apply import apply, check, look_ahead
from copying.backend.http import reads
from copying.backend.state.book import Book
from copying.backend.state.commands import (
    Command,
    CommandEntry,
    OpenAccount,
    PutPortfolio,
    PutSignal,
    PutStrategy,
    PutSubscriber,
    RemoveSignal,
    Tick,
    Trade,
)
from copying.backend.state.effects import Effects
from copying.backend.state.errors import Refused
from copying.backend.state.times import iso
from copying.backend.state.valuation import value

MONDAY = datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp()
DAY = 86_400.0
QUOTES = {
    "EURUSD": (1.1, 1.1001),
    "GBPUSD": (1.25, 1.2501),
    "USDJPY": (150.0, 150.01),
    "USDCHF": (0.9, 0.9001),
    "AUDUSD": (0.65, 0.6501),
    "USDCAD": (1.35, 1.3501),
    "NZDUSD": (0.6, 0.6001),
    "EURGBP": (0.88, 0.8801),
    "EURJPY": (165.0, 165.02),
    "GBPJPY": (187.5, 187.53),
    "EURCHF": (0.99, 0.9902),
    "AUDJPY": (97.5, 97.52),
}


class Desk:
    """Applies commands one second apart, looking ahead as the core does; `entries` and `effects` keep what happened."""

    def __init__(self, *, slippage_spreads: float = 0.0) -> None:
        self.book = Book(PaperBroker(), slippage_spreads=slippage_spreads)
        self.now = MONDAY
        self.entries: list[CommandEntry] = []
        self.effects: list[Effects] = []
        self.pending: dict[str, tuple[float, float]] = {}
        self.quote(**QUOTES)

    def do(self, command: Command) -> Effects:
        """Carry a command out; a refusal is raised."""
        effects = self.try_(command)
        if effects.refused:
            raise effects.refused
        return effects

    def try_(self, command: Command) -> Effects:
        """Carry a command out, whatever comes of it."""
        self.now += 1
        entry = CommandEntry(time=self.now, rules=self.book.rules, quotes=self.pending, command=command)
        self.pending = {}
        self.book.time = self.now
        self.look_ahead(command)
        effects = apply(self.book, entry, self.book.sequence + 1)
        self.entries.append(entry)
        self.effects.append(effects)
        return effects

    def look_ahead(self, command: Command) -> None:
        """What the core does while the entry is written."""
        try:
            check(self.book, command)
        except Refused:
            return
        look_ahead(self.book, command)

    def quote(self, **quotes: tuple[float, float]) -> None:
        """Prices move; nothing is evaluated yet."""
        self.pending.update(quotes)
        self.book.set_quotes(quotes)

    def tick(self, seconds: float = 0.0, *, snapshots: bool = False, **quotes: tuple[float, float]) -> Effects | None:
        """Time and prices move, as the core sees them: an entry only when something is due."""
        self.now += seconds
        self.quote(**quotes)
        if snapshots or ticks.due(self.book, self.now + 1):
            return self.do(Tick(tenant="", snapshots=snapshots))
        return None

    # ------------------------------------------------------------------------------------------------- building blocks

    def account(self, account_id: str, **terms: Any) -> None:
        self.do(OpenAccount(**{"tenant": "t", "account_id": account_id, "name": account_id, **terms}))

    def strategy(self, strategy_id: str = "S", account_id: str = "prov", **settings: Any) -> None:
        if account_id not in self.book.account_rows:
            self.account(account_id, deposit=100_000)
        document = {"name": strategy_id, "description": "", "accountId": account_id, **settings}
        self.do(PutStrategy(tenant="t", strategy_id=strategy_id, document=document))

    def portfolio(self, strategy_id: str, members: list[dict[str, Any]], **settings: Any) -> None:
        document = {"name": strategy_id, "description": "", "members": members, **settings}
        self.do(PutPortfolio(tenant="t", strategy_id=strategy_id, document=document))

    def subscriber(self, account_id: str = "a", strategy_id: str = "S", settings: Any = None, **terms: Any) -> Effects:
        subscription = {"strategyId": strategy_id, "tradeSizeScaling": {"mode": "none"}, **terms}
        document = {"name": account_id, "subscriptions": [subscription], **(settings or {})}
        return self.do(PutSubscriber(tenant="t", subscriber_id=account_id, document=document))

    def signal(self, signal_id: str = "sig00001", strategy_id: str = "S", **fields: Any) -> Effects:
        moment = iso(self.now + 1)
        document = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "time": moment, "volume": 0.1, **fields}
        return self.do(PutSignal(tenant="t", strategy_id=strategy_id, signal_id=signal_id, document=document))

    def close_signal(self, signal_id: str = "sig00001", strategy_id: str = "S") -> Effects:
        moment = datetime.fromtimestamp(self.now, UTC)
        return self.do(RemoveSignal(tenant="t", strategy_id=strategy_id, signal_id=signal_id, time=moment))

    def trade(self, action: str, account_id: str = "prov", **fields: Any) -> dict[str, Any]:
        if action.startswith("ORDER_TYPE"):
            fields = {"symbol": "EURUSD", "volume_lots": 0.1, **fields}
        return self.do(Trade(tenant="t", account_id=account_id, action_type=action, **fields)).answer

    # ----------------------------------------------------------------------------------------------------- what to ask

    def held(self, account_id: str = "a") -> list[tuple[str, int, float]]:
        """(symbol, side, lots) of an account's positions."""
        positions = self.book.positions
        rows = np.flatnonzero(positions.account == self.book.account_rows[account_id])
        return [
            (self.book.symbols.texts[positions.symbol[row]], int(positions.side[row]), float(positions.volume[row]))
            for row in rows
        ]

    def waiting(self, account_id: str = "a") -> list[dict[str, Any]]:
        return reads.account_orders(self.book, "t", account_id)

    def balance(self, account_id: str = "a") -> float:
        return float(self.book.accounts.balance[self.book.account_rows[account_id]])

    def equity(self, account_id: str = "a") -> float:
        value(self.book)
        return float(self.book.accounts.equity[self.book.account_rows[account_id]])

    def told(self, kind: type) -> list[Any]:
        """Everything of a kind that was told so far."""
        return [each for effects in self.effects for each in effects.events if isinstance(each, kind)]
