"""What a changed configuration would have done: recorded signals through the same engine, beside the configuration of
now. Pure: it reads copies of the book's state (`Scene`) and recorded events, so it can run in a thread of its own.

The method is `METHOD`, in words that are part of the answer; docs/copying.md tells the same at more length.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from copying.engine import model
from copying.engine.decide import decide
from copying.engine.model import Accounts, NewsEvent, OrderKind, Outcome, Side
from copying.engine.reasons import CODES
from copying.engine.routes import Configuration, RouteKey, RouteTable, compile_routes

from . import curve
from .book import Book
from .limits import iso
from .market.instruments import CURRENCIES, base_symbol, dollars, instrument
from .paper import COMMISSION_DOLLARS
from .recording import MONEY, Facts
from .state import ACCOUNT_CURRENCIES

MOST_SIGNALS = 5_000
MOST_DECISIONS = 20_000_000
MOST_SECONDS = 20.0
METHOD = (
    "Every recorded signal of the period is decided twice by the engine that copies live: with the configuration "
    "of now and with the changed one. Both are told what was known then: prices, the provider's money, balances "
    "and equities of accounts, stopouts and news. Balances are the recorded ones and do not compound; an account "
    "that was not asked then counts with what it had when it was last asked, else with what it has now. Delays "
    "are taken as waited. Exposure and open symbols start empty and follow from what was decided in the period. "
    "Profit is estimated for every lot from the prices when the provider opened (or the order filled), partly "
    "closed and closed, less the broker's commission, in US dollars at the rates of those moments; swap, "
    "slippage, stopouts by changed limits, stops of the copies' own and closes by hand, and refusals by the "
    "broker are left out. Drawdown is the largest fall of the sum of these profits, in the order of the closes."
)
OUTCOMES = ("copied", "resized", "skipped", "failed")
_PLACE = {Outcome.COPIED: 0, Outcome.RESIZED: 1, Outcome.DELAYED: 0, Outcome.SKIPPED: 2, Outcome.FAILED: 3}
PLACES = np.array([_PLACE[outcome] for outcome in Outcome])


class TooMuch(Exception):
    """The simulation would take too long; `str()` is a sentence for the user. Never transient."""

    transient = False


class Event(msgspec.Struct, rename="camel"):
    """A recorded event (recording.py)."""

    what: str
    row: int
    signal_id: str
    strategy_id: str
    symbol: str
    side: int
    kind: int
    volume: float
    price: float
    stop_loss: float | None
    take_profit: float | None
    magic: int
    time: float
    quotes: dict[str, tuple[float, float]]
    facts: Facts | None = None


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
            {key: each.document for key, each in strategies.items() if not each.is_portfolio},
            {key: each.document for key, each in strategies.items() if each.is_portfolio},
            {key: each.document for key, each in book.subscribers_by_id.items() if each.tenant == tenant},
        ),
        [meta.id for meta in book.account_meta],
        {name: getattr(book.accounts, name).copy() for name in ("currency", "leverage", *MONEY)},
        {key: list(pairs) for key, pairs in book.provider_balances.items()},
        dict(book.quotes),
    )


def leaves_of(configuration: Configuration) -> set[str]:
    """Strategies whose signals reach a subscriber."""
    found: set[str] = set()
    waiting = [
        each["strategyId"]
        for subscriber in configuration.subscribers.values()
        for each in subscriber.get("subscriptions") or ()
    ]
    seen: set[str] = set()
    while waiting:
        strategy_id = waiting.pop()
        if strategy_id in seen:
            continue
        seen.add(strategy_id)
        if strategy_id in configuration.strategies:
            found.add(strategy_id)
        portfolio = configuration.portfolios.get(strategy_id) or {}
        waiting += [member["strategyId"] for member in portfolio.get("members") or ()]
    return found


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
            "volume": round(self.volume, 2), "profit": round(self.profit, 2),
            "floatingProfit": round(self.floating, 2), "reasons": dict(self.reasons),
        }  # fmt: skip


@dataclass(slots=True)
class Holding:
    """The copies of a signal: lots by route, and where they were entered (None: an order that waits)."""

    event: Event
    kinds: np.ndarray
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
class Answer:
    """A signal as both configurations decided it. differs: routes whose outcome or volume is another."""

    event: Event
    tallies: list[Tally]
    differs: int
    closed_at: float | None = None

    def served(self) -> dict[str, Any]:
        event = self.event
        return {
            "signalId": event.signal_id, "strategyId": event.strategy_id, "time": iso(event.time),
            "symbol": event.symbol, "side": "buy" if event.side > 0 else "sell",
            "type": ("market", "limit", "stop")[event.kind], "volume": event.volume,
            "closedAt": iso(self.closed_at) if self.closed_at else None, "differs": self.differs,
            "baseline": self.tallies[0].served(), "changed": self.tallies[1].served(),
            "profitDifference": round(self.tallies[1].profit - self.tallies[0].profit, 2),
        }  # fmt: skip


class Money:
    """Balances and equities as they were when a signal was decided, for all accounts of both configurations."""

    def __init__(self, scene: Scene, subscriber_ids: Iterable[str]) -> None:
        ids = list(dict.fromkeys(subscriber_ids))
        self.rows = {each: row for row, each in enumerate(ids)}
        known = {each: row for row, each in enumerate(scene.account_ids)}
        places = np.array([known.get(each, -1) for each in ids], dtype=np.intp)
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

    def set(self, facts: Facts) -> None:
        """Take over what was recorded."""
        rows = np.frombuffer(facts.accounts, dtype=np.int32)
        values = np.frombuffer(facts.money).reshape(len(MONEY), -1)
        here = self._here[rows]
        mine = here >= 0
        for place, name in enumerate(MONEY):
            self._columns[name][here[mine]] = values[place][mine]


class Run:
    """One configuration over the signals, in the order of their times."""

    def __init__(
        self, configuration: Configuration, scene: Scene, money: Money, wanted: Callable[[str, RouteKey], bool]
    ) -> None:
        self.configuration = configuration
        self.scene, self.money, self.wanted = scene, money, wanted
        self.tables: dict[str, tuple[RouteTable, np.ndarray, np.ndarray]] = {}
        self.subscriptions: dict[tuple[str, str], int] = {}
        subscriptions = sum(len(each.get("subscriptions") or ()) for each in configuration.subscribers.values())
        self.exposure = np.zeros((subscriptions + 1, len(CURRENCIES)))
        self.account_exposure = np.zeros((len(money.rows), len(CURRENCIES)))
        self.held_symbols: dict[str, np.ndarray] = {}
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
        return known

    def decide(self, event: Event) -> tuple[Tally, np.ndarray, np.ndarray]:
        """Decide a signal. The tally, and outcome and lots by route."""
        nothing = Tally([0] * len(OUTCOMES), Counter(), 0.0), np.empty(0), np.empty(0)
        if event.strategy_id not in self.configuration.strategies:
            return nothing
        table, _, asked = self.table(event.strategy_id)
        if not len(table):
            return nothing
        decisions = self._ask(event, table)
        lots = np.where(decisions.opens & asked, decisions.volume_lots, 0.0)
        kinds = PLACES[decisions.outcome]
        np.add.at(self.counts, (table.account[asked], kinds[asked]), 1)
        reasons = np.bincount(decisions.reason[asked])
        tally = Tally(
            np.bincount(kinds[asked], minlength=len(OUTCOMES)).tolist(),
            Counter({CODES[code]: int(reasons[code]) for code in np.flatnonzero(reasons).tolist()}),
            0.0,
        )
        entry = Past(event.quotes) if event.kind == OrderKind.MARKET else None
        self._take(event, decisions, lots, tally, entry)
        return tally, np.where(asked, kinds, -1), lots

    def _ask(self, event: Event, table: RouteTable) -> model.Decisions:
        signal = model.Signal(
            id=event.signal_id, strategy_id=event.strategy_id, symbol=event.symbol, side=Side(event.side),
            kind=OrderKind(event.kind), volume_lots=event.volume, price=event.price, time=event.time,
            stop_loss=event.stop_loss, take_profit=event.take_profit, magic=event.magic,
        )  # fmt: skip
        return decide(table, signal, self._facts(event, table), is_after_delay=True)

    def _take(
        self, event: Event, decisions: model.Decisions, lots: np.ndarray, tally: Tally, entry: Past | None
    ) -> None:
        """Keep what was decided as open copies."""
        table, subscription, _ = self.table(event.strategy_id)
        holding = Holding(
            event, PLACES[decisions.outcome], lots, decisions.side, decisions.symbol, decisions.symbols, subscription,
            table.account, event.volume, entry, tally,
        )  # fmt: skip
        self.holdings.setdefault(event.row, []).append(holding)
        np.add.at(self.volume, table.account, lots)
        tally.volume += float(lots.sum())
        if entry is not None:
            self._hold(holding, lots)

    def _facts(self, event: Event, table: RouteTable) -> model.Facts:
        recorded = event.facts
        document = table.strategy
        subscription = self.table(event.strategy_id)[1]
        facts = model.Facts(
            now=event.time, market=Past(event.quotes), accounts=self.money.accounts, provider_account=None,
            provider_balance_base=recorded.provider_balance * recorded.provider_rate,
            provider_equity_base=recorded.provider_equity * recorded.provider_rate,
            provider_balance=recorded.provider_balance, provider_equity=recorded.provider_equity,
            provider_balance_average=curve.average(
                self.scene.provider_balances.get(document.get("accountId", ""), []),
                document.get("equityCurveFilter"), event.time,
            ),
            news=tuple(NewsEvent(*each) for each in recorded.news),
        )  # fmt: skip
        self._stop(facts, recorded, table)
        columns = table.columns
        if columns["close_only_by_symbol"].any() or columns["removed_by_symbol"].any():
            facts.open_symbols = {name: held[subscription] > 1e-9 for name, held in self.held_symbols.items()}
        if columns["correlations"].any():
            for place, asset in enumerate(CURRENCIES):
                facts.strategy_exposure[asset] = self.exposure[subscription, place]
                facts.account_exposure[asset] = self.account_exposure[:, place]
        return facts

    def _stop(self, facts: model.Facts, recorded: Facts, table: RouteTable) -> None:
        """Stopouts of that time, where their subscription is a route still."""
        levels = np.zeros(len(table), dtype=np.uint8)
        for account, strategy_id, level in recorded.stopouts:
            row = self.money.row_of(account)
            if row < 0:
                continue
            for place in np.flatnonzero(table.account == row).tolist():
                if strategy_id in ("", table.keys[place].strategy_id):
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
            held = self.held_symbols.setdefault(name, np.zeros(len(self.exposure)))
            np.add.at(held, holding.subscription[mine], lots[mine])
            signed = lots[mine] * holding.side[mine]
            for currency, sign in ((spec.base_currency, 1.0), (spec.profit_currency, -1.0)):
                asset = CURRENCIES.index(currency)
                np.add.at(self.exposure[:, asset], holding.subscription[mine], sign * signed)
                np.add.at(self.account_exposure[:, asset], holding.subscriber[mine], sign * signed)

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
        opened = waiting.event
        again = msgspec.structs.replace(event, kind=int(OrderKind.MARKET), facts=opened.facts)
        self.money.set(opened.facts)
        decisions = self._ask(again, table)
        late = asked & decisions.opens & (waiting.lots == 0)
        if not late.any():
            return
        person, places = table.account[late], PLACES[decisions.outcome[late]]
        np.add.at(self.counts, (person, places), 1)
        np.add.at(self.counts, (person, waiting.kinds[late]), -1)
        moved = np.bincount(places, minlength=4) - np.bincount(waiting.kinds[late], minlength=4)
        waiting.tally.counts = (np.array(waiting.tally.counts) + moved).tolist()
        self._take(again, decisions, np.where(late, decisions.volume_lots, 0.0), waiting.tally, waiting.entry)

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
        for holding in [each for holdings in self.holdings.values() for each in holdings]:
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
            "volume": round(float(volume), 2), "profit": round(float(profit), 2),
            "floatingProfit": round(float(floating), 2), "maxDrawdown": round(float(drawdown), 2),
        }  # fmt: skip


def unit_profits(holding: Holding, exits: Past) -> np.ndarray:
    """(n_routes,) US dollars that one lot made from the entry to `exits`, commission of both sides off; 0 unknown."""
    by_symbol = np.zeros((len(holding.symbols) + 1, 2))
    for place, name in enumerate(holding.symbols):
        spec, first, last = instrument(name), holding.entry.quote(name), exits.quote(name)
        worth = dollars(spec.profit_currency, exits.quotes) if spec else None
        if first is None or last is None or worth is None:
            continue
        size = spec.contract_size * worth
        by_symbol[place] = (last[0] - first[1]) * size, (first[0] - last[1]) * size
        by_symbol[place] -= 2 * COMMISSION_DOLLARS
    return by_symbol[holding.symbol, (holding.side < 0).astype(np.intp)]


@dataclass(slots=True)
class Result:
    """Both runs and their answers per signal, oldest first."""

    runs: list[Run]
    answers: list[Answer] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """Totals and figures per subscriber."""
        before, after = (run.totals() for run in self.runs)
        rows = self.runs[0].money.rows
        return {
            "method": METHOD,
            "currency": "USD",
            "totals": {
                "signals": len(self.answers),
                "differs": sum(answer.differs for answer in self.answers),
                "baseline": before,
                "changed": after,
                "difference": difference(before, after),
            },
            "subscribers": [
                {"subscriberId": subscriber_id, "baseline": one, "changed": other, "difference": difference(one, other)}
                for subscriber_id, row in rows.items()
                for one, other in [[run.of_subscriber(row) for run in self.runs]]
                if any(one[name] or other[name] for name in OUTCOMES)
            ],
        }


def difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What changed, figure by figure."""
    return {name: round(after[name] - before[name], 2) for name in before}


def simulate(
    scene: Scene,
    changed: Configuration,
    events: Iterable[Event],
    wanted: Callable[[str, RouteKey], bool] = lambda strategy_id, key: True,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Result:
    """Decide `events` (ascending) with the scene's configuration and with `changed`. Raises TooMuch."""
    money = Money(scene, [*scene.configuration.subscribers, *changed.subscribers])
    runs = [Run(each, scene, money, wanted) for each in (scene.configuration, changed)]
    result = Result(runs)
    by_row: dict[int, Answer] = {}
    alignments: dict[str, np.ndarray] = {}
    begun, decided = clock(), 0
    for event in events:
        if event.what != "open":
            for run in runs:
                run.follow(event)
            if event.what == "close" and event.row in by_row:
                by_row[event.row].closed_at = event.time
            continue
        if event.facts is None:
            continue
        money.set(event.facts)
        (first, kinds, lots), (second, other_kinds, other_lots) = (run.decide(event) for run in runs)
        differs = count_differences(runs, event.strategy_id, alignments, (kinds, lots), (other_kinds, other_lots))
        answer = by_row[event.row] = Answer(event, [first, second], differs)
        result.answers.append(answer)
        decided += len(kinds) + len(other_kinds)
        if decided > MOST_DECISIONS or clock() - begun > MOST_SECONDS:
            raise TooMuch("There are too many signals and subscribers: choose a shorter period or one subscriber.")
    for run in runs:
        run.value_open()
    return result


def count_differences(
    runs: list[Run],
    strategy_id: str,
    alignments: dict[str, np.ndarray],
    before: tuple[np.ndarray, np.ndarray],
    after: tuple[np.ndarray, np.ndarray],
) -> int:
    """Routes with another outcome or volume; a route that only one configuration has counts when it trades there."""
    if not len(before[0]) or not len(after[0]):
        return int(np.count_nonzero(before[1])) + int(np.count_nonzero(after[1]))
    place = alignments.get(strategy_id)
    if place is None:
        table, other = (run.table(strategy_id)[0] for run in runs)
        place = alignments[strategy_id] = np.array([other.index.get(key, -1) for key in table.keys], dtype=np.intp)
    both = place >= 0
    same = (before[0][both] == after[0][place[both]]) & np.isclose(before[1][both], after[1][place[both]])
    unmatched = np.ones(len(after[0]), dtype=bool)
    unmatched[place[both]] = False
    alone = np.count_nonzero(before[1][~both]) + np.count_nonzero(after[1][unmatched])
    return int(np.count_nonzero(~same)) + int(alone)
