"""What a simulation knows: recorded signals, the book's state at one moment, prices and balances of the past."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from copying.backend.settings.offers import owners_of
from copying.backend.signals.recording import MONEY, RecordedFacts
from copying.backend.state.book import Book
from copying.backend.state.effects import SignalValues
from copying.engine import model
from copying.engine.model import Accounts
from copying.engine.routes import Configuration
from copying.symbols.instruments import ACCOUNT_CURRENCIES, base_symbol, dollars, instrument


class Event(SignalValues):
    """A recorded event (signals/recording.py)."""

    facts: RecordedFacts | None = None


@dataclass(slots=True)
class Scene:
    """What is taken from the book, in the writer's thread; nothing in it changes any more."""

    configuration: Configuration
    account_ids: list[str]
    money: dict[str, np.ndarray]
    provider_balances: dict[str, list[tuple[float, float]]]
    quotes: dict[str, tuple[float, float]]


def scene_of(book: Book, tenant: str) -> Scene:
    """The user's own subscribers, and all strategies, since they may subscribe to anybody's."""
    strategies = book.strategies_by_id
    return Scene(
        Configuration(
            {key: strategy.document for key, strategy in strategies.items() if not strategy.is_portfolio},
            {key: strategy.document for key, strategy in strategies.items() if strategy.is_portfolio},
            {
                key: subscriber.document
                for key, subscriber in book.subscribers_by_id.items()
                if subscriber.tenant == tenant
            },
            owners_of(book),
        ),
        [meta.id for meta in book.account_meta],
        {name: getattr(book.accounts, name).copy() for name in ("currency", "leverage", *MONEY)},
        {key: list(pairs) for key, pairs in book.provider_balances.items()},
        dict(book.quotes),
    )


def leaves_of(configuration: Configuration) -> set[str]:
    """Strategies whose signals reach a subscriber."""
    leaves: set[str] = set()
    waiting = [
        subscription["strategyId"]
        for subscriber in configuration.subscribers.values()
        for subscription in subscriber.get("subscriptions") or ()
    ]
    seen: set[str] = set()
    while waiting:
        strategy_id = waiting.pop()
        if strategy_id in seen:
            continue
        seen.add(strategy_id)
        if strategy_id in configuration.strategies:
            leaves.add(strategy_id)
        portfolio = configuration.portfolios.get(strategy_id) or {}
        waiting += [member["strategyId"] for member in portfolio.get("members") or ()]
    return leaves


@dataclass(slots=True)
class Past:
    """The market of a moment (engine.model.Market)."""

    quotes: dict[str, tuple[float, float]]

    def instrument(self, symbol: str) -> model.Instrument | None:
        return instrument(symbol)

    def quote(self, symbol: str) -> tuple[float, float] | None:
        return self.quotes.get(symbol) or self.quotes.get(base_symbol(symbol) or "")

    def rate(self, currency: str, target: str) -> float | None:
        worth, base = dollars(currency, self.quotes), dollars(target, self.quotes)
        return None if worth is None or base is None else worth / base

    def rates(self, currencies: Sequence[str], target: str) -> list[float]:
        rates = (self.rate(currency, target) for currency in currencies)
        return [math.nan if rate is None else rate for rate in rates]


class PastMoney:
    """Balances and equities as they were when a signal was decided, for all accounts of both configurations."""

    def __init__(self, scene: Scene, subscriber_ids: Iterable[str]) -> None:
        ids = list(dict.fromkeys(subscriber_ids))
        self.rows = {account_id: row for row, account_id in enumerate(ids)}
        known = {account_id: row for row, account_id in enumerate(scene.account_ids)}
        places = np.array([known.get(account_id, -1) for account_id in ids], dtype=np.intp)
        defaults = {"currency": 0, "leverage": 100.0, "balance": 10_000.0, "equity": 10_000.0}
        self._columns = {
            name: np.where(places >= 0, column[places] if len(column) else 0, defaults.get(name, 0))
            for name, column in scene.money.items()
        }
        self._here = np.full(len(scene.account_ids), -1, dtype=np.intp)
        self._here[places[places >= 0]] = np.flatnonzero(places >= 0)
        self.accounts = Accounts(ids=ids, currencies=list(ACCOUNT_CURRENCIES), **self._columns)

    def row_of(self, account: int) -> int:
        """Row here of an account of the book, -1 when it is nobody's here."""
        return int(self._here[account]) if account < len(self._here) else -1

    def set(self, facts: RecordedFacts) -> None:
        """Take over what was recorded."""
        rows = np.frombuffer(facts.accounts, dtype=np.int32)
        values = np.frombuffer(facts.money).reshape(len(MONEY), -1)
        here = self._here[rows]
        mine = here >= 0
        for place, name in enumerate(MONEY):
            self._columns[name][here[mine]] = values[place][mine]
