"""What two configurations make of mirrored signals, side by side: copies, volumes, results, or why they are not known.

Pure, and answered as a backend answers a simulation (docs/copying.md, "Simulations"), so that a review shows both
alike. Each signal is decided twice by the engine; what nobody told of it is assumed and named (assumptions.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from copying.engine.fold import CopyTerms
from copying.engine.model import Outcome
from copying.engine.routes import Configuration, RouteKey
from copying.symbols.instruments import base_symbol, instrument
from reporting.reconstruction.assumptions import DECISIVE, Assumption
from reporting.reconstruction.expected import (
    BASE,
    ExchangeRate,
    ExpectedRoute,
    Funds,
    PastMarket,
    ProviderTrade,
    RouteTables,
    Stop,
    expect,
)

OUTCOMES = ("copied", "resized", "skipped", "failed")
PLACES = {
    Outcome.COPIED: "copied",
    Outcome.RESIZED: "resized",
    Outcome.DELAYED: "copied",
    Outcome.SKIPPED: "skipped",
    Outcome.FAILED: "failed",
}
OF_THE_STRATEGY = ("accountId", "magicFilter", "equityCurveFilter", "drawdownFilter")  # settings that no terms hold
SAME = 1e-8  # lots
MOST_LISTED = 25
METHOD = (
    "Reconstructed: every mirrored signal of the period is decided twice by the engine of copyportal's own backend, "
    "with the settings of now and with the changed ones, and is told what the mirror knows of that moment: the "
    "provider's trade, prices of the deals, balances and equities, stopouts. Balances are the recorded ones and do not "
    "compound. Delays are taken as waited. What was open is taken to be nothing, and no news to have been near. A "
    "result is estimated for every lot from the average prices at which copies of that signal opened and closed, in US "
    "dollars at the day's reference rates; commission, swap and what is still open are left out. Drawdown is the "
    "largest fall of the sum of these results, in the order of the closes. The vendor's own rules may differ where it "
    "does not publish them."
)


@dataclass(frozen=True, slots=True)
class Course:
    """How copies of a signal went in one symbol. entry, exit: average prices; closed: which part of them is."""

    entry: float
    exit: float
    closed: float
    closed_at: datetime


@dataclass(frozen=True, slots=True)
class PastSignal:
    """A mirrored signal with what is known of its moment. courses: by the symbol of the copies."""

    trade: ProviderTrade
    prices: Mapping[str, float]
    courses: Mapping[str, Course]
    exchange: ExchangeRate
    stops: tuple[Stop, ...] = ()


Decided = tuple[ExpectedRoute, CopyTerms]
Known = dict[RouteKey, Decided]
MoneyAt = Callable[[str, datetime], Funds | None]


@dataclass(slots=True)
class Sums:
    """What one configuration made of some signals. results: (time of the close, US dollars), where that is known."""

    counts: Counter[str] = field(default_factory=Counter)
    volume: float = 0.0
    results: list[tuple[datetime, float]] = field(default_factory=list)
    without_result: int = 0

    def served(self) -> dict[str, Any]:
        """As a simulation tells it, without results where none is known; unknown: copies without a known outcome."""
        total = peak = drawdown = 0.0
        for _, result in sorted(self.results):
            total += result
            peak = max(peak, total)
            drawdown = max(drawdown, peak - total)
        figures: dict[str, Any] = {name: self.counts[name] for name in (*OUTCOMES, "unknown")}
        figures["volume"] = round(self.volume, 2)
        if self.results or not self.without_result:
            figures |= {"profit": round(total, 2), "maxDrawdown": round(drawdown, 2)}
        return figures


@dataclass(slots=True)
class SideBySide:
    """Both configurations over all signals so far; add signals in any order.

    undecided: copies that may differ, as one side is not known; missing: what would have decided and is not known, with
    the number of copies.
    """

    wanted: Callable[[str, RouteKey], bool]
    totals: tuple[Sums, Sums] = field(default_factory=lambda: (Sums(), Sums()))
    accounts: dict[str, tuple[Sums, Sums]] = field(default_factory=dict)
    items: list[tuple[datetime, dict[str, Any]]] = field(default_factory=list)
    signals: int = 0
    differs: int = 0
    undecided: int = 0
    routes: int = 0
    missing: Counter[Assumption] = field(default_factory=Counter)
    assumed: set[Assumption] = field(default_factory=set)

    def add(self, signal: PastSignal, before: Known, after: Known, *, is_own: bool, is_same_leaf: bool) -> None:
        """One signal as both configurations decide it.

        is_own: it counts although nobody asked for copies it. is_same_leaf: the strategy's own filters are the same.
        """
        leaf = signal.trade.strategy_id
        keys = [key for key in dict.fromkeys((*before, *after)) if self.wanted(leaf, key)]
        if not keys and not is_own:
            return
        sides = Sums(), Sums()
        differs = 0
        for key in keys:
            routes = before.get(key), after.get(key)
            differs += self._compare(*routes, is_same_leaf=is_same_leaf)
            for place, entry in enumerate(routes):
                if entry is not None:
                    own = self.accounts.setdefault(key.subscriber_id, (Sums(), Sums()))[place]
                    self._count(signal, entry[0], (sides[place], self.totals[place], own))
        self.signals += 1
        self.routes += len(before) + len(after)
        self.differs += differs
        if differs:
            self.items.append((signal.trade.time, item_of(signal.trade, sides, differs)))

    def _compare(self, first: Decided | None, second: Decided | None, *, is_same_leaf: bool) -> bool:
        """Whether a copy would be decided otherwise for certain; notes where that is not known."""
        sides = [side for side in (first, second) if side is not None]
        self._note(sides)
        if len(sides) == 2 and is_same_leaf and sides[0][1] == sides[1][1]:
            return False
        if not all(route.is_known for route, _ in sides):
            self.undecided += 1
            return False
        lots = [route.lots or 0.0 for route, _ in sides]
        if len(sides) == 1:
            return bool(lots[0])
        places = {PLACES[route.outcome] for route, _ in sides}
        return len(places) > 1 or abs(lots[0] - lots[1]) > SAME

    def _note(self, sides: Iterable[Decided]) -> None:
        named = {assumption for route, _ in sides for assumption in route.assumptions}
        self.assumed |= named - DECISIVE
        self.missing.update(named & DECISIVE)

    def _count(self, signal: PastSignal, route: ExpectedRoute, sums: Iterable[Sums]) -> None:
        place = PLACES[route.outcome] if route.is_known else "unknown"
        lots = (route.lots or 0.0) if route.is_known and route.opens else 0.0
        result = result_of(signal, route, lots) if lots else None
        for own in sums:
            own.counts[place] += 1
            own.volume += lots
            own.without_result += bool(lots and result is None)
            if result is not None:
                own.results.append(result)

    def answer(self) -> dict[str, Any]:
        """As a simulation's, with what is not known beside it."""
        before, after = (sums.served() for sums in self.totals)
        items = [item for _, item in sorted(self.items, key=lambda entry: (entry[0], entry[1]["signalId"]))]
        return {
            "method": METHOD,
            "currency": BASE,
            "totals": {
                "signals": self.signals,
                "differs": self.differs,
                "baseline": before,
                "changed": after,
                "difference": difference(before, after),
            },
            "subscribers": [
                {"subscriberId": account, "difference": difference(before.served(), after.served())}
                for account, (before, after) in self.accounts.items()
            ],
            "withoutResult": max(sums.without_result for sums in self.totals),
            "signals": {"items": items[:MOST_LISTED], "next": "more" if len(items) > MOST_LISTED else None},
        }


def is_same_leaf(strategy_id: str, configurations: tuple[Configuration, Configuration]) -> bool:
    """Whether what the strategy itself compares is the same in both."""
    before, after = (configuration.strategies.get(strategy_id) or {} for configuration in configurations)
    return all(before.get(name) == after.get(name) for name in OF_THE_STRATEGY)


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What changed, figure by figure."""
    return {name: round(after[name] - before[name], 2) for name in before if name in after}


def item_of(trade: ProviderTrade, sides: tuple[Sums, Sums], differs: int) -> dict[str, Any]:
    """A signal that would be decided otherwise."""
    before, after = (sums.served() for sums in sides)
    changes = difference(before, after)
    return {
        "signalId": trade.id,
        "strategyId": trade.strategy_id,
        "time": trade.time.astimezone(UTC).isoformat(),
        "symbol": trade.symbol,
        "side": "buy" if trade.side > 0 else "sell",
        "differs": differs,
        "baseline": before,
        "changed": after,
        "profitDifference": changes.get("profit"),
    }


def decided(signal: PastSignal, configuration: Configuration, tables: RouteTables, money_at: MoneyAt) -> Known:
    """The routes of a signal under one configuration. Raises what the engine does of unusable documents."""
    trade = signal.trade
    leaf = configuration.strategies.get(trade.strategy_id)
    if leaf is None:
        return {}
    table, ids = tables.of(trade.strategy_id, configuration)
    account = leaf.get("accountId")
    ways = expect(
        trade,
        table,
        ids,
        funds={key: own for key in ids if (own := money_at(key, trade.time)) is not None},
        provider=money_at(account, trade.time) if isinstance(account, str) and account else None,
        market=PastMarket(signal.prices, signal.exchange),
        stops=signal.stops,
    )
    known = dict(zip(table.keys, table.terms, strict=True))
    routes = (
        (RouteKey(subscriber, strategy, route.path), route)
        for (strategy, subscriber), some in ways.items()
        for route in some
    )
    return {key: (route, known[key]) for key, route in routes}


def result_of(signal: PastSignal, route: ExpectedRoute, lots: float) -> tuple[datetime, float] | None:
    """When the closed part of a copy ended, and what it made, in US dollars; None: nothing tells that."""
    symbol = route.symbol or signal.trade.symbol
    base = base_symbol(symbol)
    course = signal.courses.get(symbol) or next(
        (own for name, own in signal.courses.items() if base and base_symbol(name) == base), None
    )
    spec = instrument(symbol)
    if course is None or spec is None:
        return None
    worth = PastMarket({}, signal.exchange).rate(spec.profit_currency, BASE)
    if worth is None:
        return None
    way = (course.exit - course.entry) * int(route.side)
    return course.closed_at, way * spec.contract_size * lots * course.closed * worth
