"""One configuration over recorded signals, in the order of their times: what it decides, holds and earns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from copying.backend.broker.paper import COMMISSION_DOLLARS
from copying.backend.signals.fan_out import bar
from copying.backend.signals.recording import RecordedFacts
from copying.backend.signals.scopes import Scopes, correlation_scopes, removal_scopes
from copying.backend.state import provider_balances
from copying.backend.state.parts import is_below, path_text
from copying.engine import model
from copying.engine.decide import decide
from copying.engine.model import NewsEvent, OrderKind, Outcome, Side
from copying.engine.reasons import CODES, Reason
from copying.engine.routes import Configuration, RouteKey, RouteTable, compile_routes
from copying.symbols.instruments import CURRENCIES, dollars, instrument

from .past import Event, Past, PastMoney, Scene

OUTCOMES = ("copied", "resized", "skipped", "failed")
_PLACE = {Outcome.COPIED: 0, Outcome.RESIZED: 1, Outcome.DELAYED: 0, Outcome.SKIPPED: 2, Outcome.FAILED: 3}
PLACES = np.array([_PLACE[outcome] for outcome in Outcome])


@dataclass(slots=True)
class Tally:
    """What one configuration did with one signal, over its routes."""

    counts: list[int]
    reasons: Counter
    volume: float
    profit: float = 0.0
    floating: float = 0.0

    def served(self) -> dict[str, Any]:
        return {
            **dict(zip(OUTCOMES, self.counts, strict=True)),
            "volume": round(self.volume, 2),
            "profit": round(self.profit, 2),
            "floatingProfit": round(self.floating, 2),
            "reasons": dict(self.reasons),
        }


@dataclass(slots=True)
class Holding:
    """The copies of a signal: lots by route, and where they were entered (None: an order that waits)."""

    event: Event
    kinds: np.ndarray
    reasons: np.ndarray
    lots: np.ndarray
    side: np.ndarray
    symbol: np.ndarray
    symbols: list[str]
    subscription: np.ndarray
    subscriber: np.ndarray
    left: float
    entry: Past | None
    tally: Tally


@dataclass(slots=True)
class Scoped:
    """What is open of the copies that came through one member (signals/scopes.py), by subscription."""

    exposure: np.ndarray
    symbols: dict[str, np.ndarray]


class SimulationRun:
    """One configuration over the signals, in the order of their times."""

    def __init__(
        self, configuration: Configuration, scene: Scene, money: PastMoney, wanted: Callable[[str, RouteKey], bool]
    ) -> None:
        self.configuration = configuration
        self.scene, self.money, self.wanted = scene, money, wanted
        self.tables: dict[str, tuple[RouteTable, np.ndarray, np.ndarray]] = {}
        self.scopes: dict[str, tuple[Scopes, Scopes]] = {}
        self.subscriptions: dict[tuple[str, str], int] = {}
        subscriptions = sum(
            len(subscriber.get("subscriptions") or ()) for subscriber in configuration.subscribers.values()
        )
        self.exposure = np.zeros((subscriptions + 1, len(CURRENCIES)))
        self.account_exposure = np.zeros((len(money.rows), len(CURRENCIES)))
        self.assets: set[int] = set()  # numbers in CURRENCIES of all that was ever open
        self.held_symbols: dict[str, np.ndarray] = {}
        self.scoped: dict[str, Scoped] = {}
        self.holdings: dict[int, list[Holding]] = {}
        people = len(money.rows)
        self.counts = np.zeros((people, len(OUTCOMES)), dtype=np.int64)
        self.volume, self.profit, self.floating = np.zeros(people), np.zeros(people), np.zeros(people)
        self._peak, self.drawdown = np.zeros(people), np.zeros(people)
        self._total_peak = self.total_drawdown = 0.0

    def table(self, strategy_id: str) -> tuple[RouteTable, np.ndarray, np.ndarray]:
        """Routes of a leaf, their subscriptions, and which of them are asked for."""
        known = self.tables.get(strategy_id)
        if known is None:
            table = compile_routes(strategy_id, self.configuration, self.money.rows)
            places = self.subscriptions
            rows = [places.setdefault((key.subscriber_id, key.strategy_id), len(places)) for key in table.keys]
            asked = np.array([self.wanted(strategy_id, key) for key in table.keys], dtype=bool)
            known = self.tables[strategy_id] = (table, np.array(rows, dtype=np.intp), asked)
            self.scopes[strategy_id] = scopes = (
                correlation_scopes(self.configuration, table),
                removal_scopes(self.configuration, table),
            )
            for text in (text for scope in scopes for text in scope.texts):
                self.scoped.setdefault(text, Scoped(np.zeros_like(self.exposure), {}))
        return known

    def decide(self, event: Event) -> tuple[Tally, np.ndarray, np.ndarray]:
        """Decide a signal. The tally, and outcome and lots by route."""
        nothing = Tally([0] * len(OUTCOMES), Counter(), 0.0), np.empty(0), np.empty(0)
        if event.facts is None or event.strategy_id not in self.configuration.strategies:
            return nothing
        table, _, asked = self.table(event.strategy_id)
        if not len(table):
            return nothing
        decisions = self._ask(event, event.facts, table)
        lots = np.where(decisions.opens & asked, decisions.volume_lots, 0.0)
        kinds = PLACES[decisions.outcome]
        np.add.at(self.counts, (table.account[asked], kinds[asked]), 1)
        tally = Tally(
            np.bincount(kinds[asked], minlength=len(OUTCOMES)).tolist(), counted(decisions.reason[asked]), 0.0
        )
        entry = Past(event.quotes) if event.kind == OrderKind.MARKET else None
        self._take(event, decisions, lots, tally, entry)
        return tally, np.where(asked, kinds, -1), lots

    def _ask(self, event: Event, recorded: RecordedFacts, table: RouteTable) -> model.Decisions:
        signal = model.Signal(
            id=event.signal_id,
            strategy_id=event.strategy_id,
            symbol=event.symbol,
            side=Side(event.side),
            kind=OrderKind(event.kind),
            volume_lots=event.volume,
            price=event.price,
            time=event.time,
            stop_loss=event.stop_loss,
            take_profit=event.take_profit,
            magic=event.magic,
        )
        decisions = decide(table, signal, self._facts(event, recorded, table), is_after_delay=True)
        barred = [self.money.row_of(account) for account in recorded.barred]
        if barred:
            bar(decisions, np.flatnonzero(np.isin(table.account, [row for row in barred if row >= 0])))
        return decisions

    def _take(
        self, event: Event, decisions: model.Decisions, lots: np.ndarray, tally: Tally, entry: Past | None
    ) -> None:
        """Keep what was decided as open copies."""
        table, subscription, _ = self.table(event.strategy_id)
        holding = Holding(
            event,
            PLACES[decisions.outcome],
            decisions.reason,
            lots,
            decisions.side,
            decisions.symbol,
            decisions.symbols,
            subscription,
            table.account,
            event.volume,
            entry,
            tally,
        )
        self.holdings.setdefault(event.row, []).append(holding)
        np.add.at(self.volume, table.account, lots)
        tally.volume += float(lots.sum())
        if entry is not None:
            self._hold(holding, lots)

    def _facts(self, event: Event, recorded: RecordedFacts, table: RouteTable) -> model.Facts:
        document = table.strategy
        subscription = self.table(event.strategy_id)[1]
        facts = model.Facts(
            now=event.time,
            market=Past(event.quotes),
            accounts=self.money.accounts,
            provider_account=None,
            provider_balance_base=recorded.provider_balance * recorded.provider_rate,
            provider_equity_base=recorded.provider_equity * recorded.provider_rate,
            provider_balance=recorded.provider_balance,
            provider_equity=recorded.provider_equity,
            provider_balance_average=provider_balances.average(
                self.scene.provider_balances.get(document.get("accountId", ""), []),
                document.get("equityCurveFilter"),
                event.time,
            ),
            news=tuple(NewsEvent(*event) for event in recorded.news),
        )
        self._stop(facts, recorded, table)
        gates = table.gates
        if gates["close_only_by_symbol"].any() or gates["removed_by_symbol"].any():
            facts.open_symbols = {name: volumes[subscription] > 1e-9 for name, volumes in self.held_symbols.items()}
            for rows, scoped in self._scoped(event.strategy_id, 1):
                for name, is_open in facts.open_symbols.items():
                    is_open[rows] = scoped.symbols[name][subscription[rows]] > 1e-9 if name in scoped.symbols else False
        if table.columns["correlations"].any():
            for place in sorted(self.assets):
                asset = CURRENCIES[place]
                facts.strategy_exposure[asset] = self.exposure[subscription, place]
                facts.account_exposure[asset] = self.account_exposure[:, place]
                for rows, scoped in self._scoped(event.strategy_id, 0):
                    facts.strategy_exposure[asset][rows] = scoped.exposure[subscription[rows], place]
        return facts

    def _scoped(self, strategy_id: str, which: int) -> Iterator[tuple[np.ndarray, Scoped]]:
        """Routes that look at a part of their subscription only, and what is open of it."""
        scopes = self.scopes[strategy_id][which]
        for number, text in enumerate(scopes.texts):
            yield np.flatnonzero(scopes.number == number), self.scoped[text]

    def _stop(self, facts: model.Facts, recorded: RecordedFacts, table: RouteTable) -> None:
        """Stopouts of that time, where their subscription is a route still."""
        levels = np.zeros(len(table), dtype=np.uint8)
        scopes = recorded.scopes or [""] * len(recorded.stopouts)
        for (account, strategy_id, level), scope in zip(recorded.stopouts, scopes, strict=True):
            row = self.money.row_of(account)
            if row < 0:
                continue
            for place in np.flatnonzero(table.account == row).tolist():
                key = table.keys[place]
                if strategy_id in ("", key.strategy_id) and (not scope or is_below(path_text(key.path), scope)):
                    levels[place] = level
        if levels.any():
            facts.stopped, facts.stopped_level = levels > 0, levels

    def _hold(self, holding: Holding, lots: np.ndarray) -> None:
        """Add (negative: take off) lots to the exposures."""
        for place, name in enumerate(holding.symbols):
            mine = (holding.symbol == place) & (lots != 0)
            spec = instrument(name)
            if spec is None or not mine.any():
                continue
            lots_by_row = self.held_symbols.setdefault(name, np.zeros(len(self.exposure)))
            np.add.at(lots_by_row, holding.subscription[mine], lots[mine])
            signed = lots[mine] * holding.side[mine]
            for text, scoped in self.scoped.items():
                inside = mine & self._inside(holding.event.strategy_id, text)
                lots_by_row = scoped.symbols.setdefault(name, np.zeros(len(self.exposure)))
                np.add.at(lots_by_row, holding.subscription[inside], lots[inside])
                for currency, sign in ((spec.base_currency, 1.0), (spec.profit_currency, -1.0)):
                    amounts = sign * lots[inside] * holding.side[inside]
                    np.add.at(scoped.exposure[:, CURRENCIES.index(currency)], holding.subscription[inside], amounts)
            for currency, sign in ((spec.base_currency, 1.0), (spec.profit_currency, -1.0)):
                asset = CURRENCIES.index(currency)
                self.assets.add(asset)
                np.add.at(self.exposure[:, asset], holding.subscription[mine], sign * signed)
                np.add.at(self.account_exposure[:, asset], holding.subscriber[mine], sign * signed)

    def _inside(self, strategy_id: str, scope: str) -> np.ndarray:
        """(n_routes,) bool: the route leads through the member."""
        return np.array([is_below(path_text(key.path), scope) for key in self.table(strategy_id)[0].keys], dtype=bool)

    def follow(self, event: Event) -> None:
        """What happened to a signal after it was opened."""
        holdings = self.holdings.get(event.row, [])
        if event.what == "fill" and holdings:
            self._fill(holdings[0], event)
        if event.what in ("part", "close"):
            for holding in holdings:
                self._close(holding, event)
        if event.what == "close":
            self.holdings.pop(event.row, None)

    def _fill(self, waiting: Holding, event: Event) -> None:
        """The provider's order became a position: copies that waited are entered, the other routes are asked again."""
        waiting.entry = Past(event.quotes)
        self._hold(waiting, waiting.lots * (waiting.left / waiting.event.volume))
        table, _, asked = self.table(event.strategy_id)
        facts = waiting.event.facts
        if facts is None:
            return
        again = msgspec.structs.replace(event, kind=int(OrderKind.MARKET), facts=facts)
        self.money.set(facts)
        decisions = self._ask(again, facts, table)
        late = asked & decisions.opens & (waiting.lots == 0)
        if not late.any():
            return
        person, places = table.account[late], PLACES[decisions.outcome[late]]
        np.add.at(self.counts, (person, places), 1)
        np.add.at(self.counts, (person, waiting.kinds[late]), -1)
        moved = np.bincount(places, minlength=4) - np.bincount(waiting.kinds[late], minlength=4)
        tally = waiting.tally
        tally.counts = (np.array(tally.counts) + moved).tolist()
        tally.reasons = tally.reasons + counted(decisions.reason[late]) - counted(waiting.reasons[late])
        self._take(again, decisions, np.where(late, decisions.volume_lots, 0.0), tally, waiting.entry)

    def _close(self, holding: Holding, event: Event) -> None:
        left = event.volume if event.what == "part" else 0.0
        share = max(holding.left - left, 0.0) / holding.event.volume
        holding.left = left
        if holding.entry is not None:
            self._hold(holding, -holding.lots * share)
            self._realise(holding, holding.lots * share, Past(event.quotes))

    def _realise(self, holding: Holding, lots: np.ndarray, exits: Past) -> None:
        result = lots * unit_profits(holding, exits)
        holding.tally.profit += float(result.sum())
        self.profit += np.bincount(holding.subscriber, result, len(self.profit))
        self._peak = np.maximum(self._peak, self.profit)
        self.drawdown = np.maximum(self.drawdown, self._peak - self.profit)
        total = float(self.profit.sum())
        self._total_peak = max(self._total_peak, total)
        self.total_drawdown = max(self.total_drawdown, self._total_peak - total)

    def value_open(self) -> None:
        """What is still open counts with the prices of now, apart from the profit."""
        exits = Past(self.scene.quotes)
        for holding in [holding for holdings in self.holdings.values() for holding in holdings]:
            if holding.entry is None:
                continue
            result = holding.lots * (holding.left / holding.event.volume) * unit_profits(holding, exits)
            holding.tally.floating += float(result.sum())
            self.floating += np.bincount(holding.subscriber, result, len(self.floating))

    def totals(self) -> dict[str, Any]:
        return self._figures(
            self.counts.sum(axis=0), self.volume.sum(), self.profit.sum(), self.floating.sum(), self.total_drawdown
        )

    def of_subscriber(self, row: int) -> dict[str, Any]:
        return self._figures(
            self.counts[row], self.volume[row], self.profit[row], self.floating[row], self.drawdown[row]
        )

    def _figures(self, counts: Any, volume: float, profit: float, floating: float, drawdown: float) -> dict[str, Any]:
        return {
            **dict(zip(OUTCOMES, counts.tolist(), strict=True)),
            "volume": round(float(volume), 2),
            "profit": round(float(profit), 2),
            "floatingProfit": round(float(floating), 2),
            "maxDrawdown": round(float(drawdown), 2),
        }


def counted(reasons: np.ndarray) -> Counter:
    """How often each reason was given, by code."""
    counts = np.bincount(reasons)
    return Counter({CODES[Reason(code)]: int(counts[code]) for code in np.flatnonzero(counts).tolist()})


def unit_profits(holding: Holding, exits: Past) -> np.ndarray:
    """(n_routes,) US dollars that one lot made from the entry to `exits`, commission of both sides off; 0 unknown."""
    by_symbol = np.zeros((len(holding.symbols) + 1, 2))
    entry = holding.entry
    for place, name in enumerate(holding.symbols):
        first = None if entry is None else entry.quote(name)
        spec, last = instrument(name), exits.quote(name)
        worth = dollars(spec.profit_currency, exits.quotes) if spec else None
        if spec is None or first is None or last is None or worth is None:
            continue
        size = spec.contract_size * worth
        by_symbol[place] = (last[0] - first[1]) * size, (first[0] - last[1]) * size
        by_symbol[place] -= 2 * COMMISSION_DOLLARS
    return by_symbol[holding.symbol, (holding.side < 0).astype(np.intp)]
