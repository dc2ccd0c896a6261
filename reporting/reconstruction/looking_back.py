"""What changed settings would have done to the mirrored signals of the last days, for a backend that cannot say it.

The newest signals first, until so many routes are decided that a page would wait too long: what is left out is counted.
Nothing is written. Only accounts that are named are decided for, so that reads stay small.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import connection as database
from django.db.models import Exists, OuterRef, Q

from copying.engine.routes import Configuration, RouteKey
from editing.mirrored import Documents, NothingToSay
from reporting.models import MirroredSignal, SyncKind, SyncState
from reporting.rates import rates_of
from reporting.reconstruction.assumptions import REMEDIES, WORDS, Assumption, sentences
from reporting.reconstruction.collecting import keeps_decisions
from reporting.reconstruction.comparing import Course, PastSignal, SideBySide, decided, is_same_leaf
from reporting.reconstruction.deciding import leaves_below
from reporting.reconstruction.expected import RouteTables
from reporting.reconstruction.matching import DEAL_SIDES, CopiedDeal, as_provided
from reporting.reconstruction.scenes import (
    BEFORE,
    exchange_of,
    read_money_at,
    read_stopouts,
    stops_at,
    trade_of,
)
from reporting.reconstruction.settings import Timeline
from strategies.versions import Described, DocumentVersion
from users.models import Connection

MOST_SIGNALS = 2_000
MOST_ROUTES = 40_000  # decisions of one look: about a second
MOST_SECONDS = 6.0
AT_A_TIME = 100  # signals whose deals and money are read together
KINDS = {
    "strategies": Described.STRATEGY,
    "portfolios": Described.PORTFOLIO,
    "subscribers": Described.SUBSCRIBER,
}
PARTS = {"portfolios": "members", "subscribers": "subscriptions"}
OWNED = ("_id", "removed", "closeOnRemovalMode", "platformCommissionRate")  # what only a backend sets
NO_SETTINGS = (
    "This backend cannot look back, and its settings are not mirrored yet: the next sync of the configuration brings "
    "them."
)
NO_SIGNALS = (
    "This backend cannot look back, and no signal of it is mirrored yet. Signals are taken from copied deals, the log "
    "and open positions: the page Sync says how far these are."
)
TELLS_DECISIONS = (
    "This backend cannot look back, and as it tells its decisions itself, its signals are not worked out here."
)
UNREADABLE = "This backend cannot look back, and its settings hold something that copyportal's engine does not know."
_COURSES = """
    SELECT position_id, symbol, CASE WHEN backend_id LIKE '%%:close' THEN 'out' WHEN backend_id LIKE '%%:open' THEN 'in'
           ELSE '' END AS entry, sum(abs(volume_lots)), sum(abs(volume_lots) * price), max(time)
    FROM reporting_transaction
    WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND time BETWEEN %(start)s AND %(end)s
      AND strategy_id = ANY(%(strategies)s) AND position_id = ANY(%(signals)s)
      AND type IN ('DEAL_TYPE_BUY', 'DEAL_TYPE_SELL') AND volume_lots <> 0 AND price > 0
    GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
# one copy of each signal whose own side and symbol nobody told; those whose settings are read come first
_SAMPLES = """
    SELECT DISTINCT ON (position_id, subscriber_id = ANY(%(accounts)s)) position_id, backend_id, strategy_id,
           subscriber_id, symbol, type, abs(volume_lots), price, time
    FROM reporting_transaction
    WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND time BETWEEN %(start)s AND %(end)s
      AND strategy_id = ANY(%(strategies)s) AND position_id = ANY(%(signals)s)
      AND type IN ('DEAL_TYPE_BUY', 'DEAL_TYPE_SELL') AND backend_id NOT LIKE '%%:close'
    ORDER BY position_id, subscriber_id = ANY(%(accounts)s) DESC, time, id
"""


@dataclass(slots=True)
class DealsOfSignals:
    """What copied deals tell of signals: prices and courses by signal and symbol, and a copy of each."""

    prices: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    courses: dict[str, dict[str, Course]] = field(default_factory=lambda: defaultdict(dict))
    samples: dict[str, list[CopiedDeal]] = field(default_factory=lambda: defaultdict(list))


def look_back(
    backend: Connection,
    documents: Documents,
    *,
    accounts: Sequence[str],
    subscriber_id: str = "",
    strategy_id: str = "",
    start: datetime,
    now: datetime,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """The answer of a simulation (editing.mirrored.LookBack), with what had to be assumed and what is not known."""
    timeline = _timeline(backend, accounts, start, now)
    present = timeline.configuration_at(now)
    if not (present.strategies or present.portfolios):
        raise NothingToSay(NO_SETTINGS)
    changed = laid_in(present, documents)
    strategies = _strategies_asked(present, changed, strategy_id)
    own = MirroredSignal.objects.filter(connection=backend)
    # a signal that came through a portfolio may be there a second time, under the member that it came from
    portfolios = sorted(timeline.by_kind[Described.PORTFOLIO])
    members_own = own.filter(signal_id=OuterRef("signal_id")).exclude(strategy_id__in=portfolios)
    signals = own.filter(time__range=(start, now), strategy_id__in=sorted(strategies))
    signals = signals.exclude(Q(strategy_id__in=portfolios) & Exists(members_own)).order_by("-time", "-pk")
    count = signals.count()
    if not count and not own.exists():
        raise NothingToSay(_why_no_signals(backend))

    def wanted(leaf: str, key: RouteKey) -> bool:
        return subscriber_id in ("", key.subscriber_id) and strategy_id in ("", key.strategy_id, leaf)

    comparison = SideBySide(wanted)
    run = _Run(backend, timeline, (present, changed), comparison, strategy_id if not subscriber_id else "")
    until = clock() + MOST_SECONDS
    looked_at = 0
    at_a_time = min(max(MOST_ROUTES // (4 * max(len(accounts), 1)), 1), AT_A_TIME)
    newest = list(signals[:MOST_SIGNALS])
    for first in range(0, len(newest), at_a_time):
        some = newest[first : first + at_a_time]
        run.decide(some, accounts, strategies, now)
        looked_at += len(some)
        if run.comparison.routes >= MOST_ROUTES or clock() > until:
            break
    missing = comparison.missing + run.members_unknown
    return comparison.answer() | {
        "isReconstructed": True,
        "assumed": sentences(comparison.assumed),
        "missing": [
            (missing[assumption], WORDS[assumption], REMEDIES.get(assumption, ""))
            for assumption in Assumption
            if missing[assumption]
        ],
        "undecided": comparison.undecided,
        "older": count - looked_at,
    }


def _why_no_signals(backend: Connection) -> str:
    states = SyncState.objects.filter(connection=backend, kind=SyncKind.DECISIONS, last_success_at__isnull=False)
    return TELLS_DECISIONS if states.exists() and not keeps_decisions(backend.pk) else NO_SIGNALS


def _timeline(backend: Connection, accounts: Iterable[str], start: datetime, now: datetime) -> Timeline:
    """All strategies, and the accounts that are decided for."""
    own = DocumentVersion.objects.filter(connection=backend).during(start, now)
    is_account = Q(kind=Described.SUBSCRIBER)
    return Timeline.of(own.filter(~is_account | is_account & Q(backend_id__in=list(accounts))))


def laid_in(present: Configuration, documents: Documents) -> Configuration:
    """The configuration with changed documents laid in; what winds down already goes on doing so."""
    changed: dict[str, dict[str, Any]] = {name: dict(getattr(present, name)) for name in KINDS}
    for name, entries in documents.items():
        for key, document in entries.items():
            if document is None:
                changed[name].pop(key, None)
            else:
                changed[name][key] = _kept(changed[name].get(key), document, PARTS.get(name, ""))
    return Configuration(changed["strategies"], changed["portfolios"], changed["subscribers"])


def _kept(old: Mapping[str, Any] | None, document: Mapping[str, Any], part: str) -> dict[str, Any]:
    """A document with what only the backend sets, of itself and of its parts."""
    if old is None:
        return dict(document)
    whole = {name: old[name] for name in OWNED if name in old} | dict(document)
    if part and isinstance(whole.get(part), list):
        former = {entry.get("strategyId"): entry for entry in old.get(part) or () if isinstance(entry, dict)}
        whole[part] = [_kept(former.get(entry.get("strategyId")), entry, "") for entry in whole[part]]
    return whole


def _strategies_asked(present: Configuration, changed: Configuration, strategy_id: str) -> set[str]:
    """Strategies whose signals reach an account in either configuration, and portfolios on the way."""
    asked: set[str] = set()
    for configuration in (present, changed):
        waiting = [strategy_id] if strategy_id else _subscribed(configuration)
        seen: set[str] = set()
        while waiting:
            key = waiting.pop()
            if key in seen:
                continue
            seen.add(key)
            members = (configuration.portfolios.get(key) or {}).get("members") or ()
            waiting += [member["strategyId"] for member in members if isinstance(member, dict)]
        asked |= seen
    if not strategy_id:
        return asked
    # deals and signals may bear the portfolio through which the strategy is copied
    holders = {key for own in (present, changed) for key in own.portfolios if strategy_id in _below(own, key)}
    return asked | holders


def _below(configuration: Configuration, portfolio_id: str, depth: int = 8) -> set[str]:
    below: set[str] = set()
    for member in (configuration.portfolios.get(portfolio_id) or {}).get("members") or ():
        below.add(member["strategyId"])
        if depth:
            below |= _below(configuration, member["strategyId"], depth - 1)
    return below


def _subscribed(configuration: Configuration) -> list[str]:
    return [
        subscription["strategyId"]
        for subscriber in configuration.subscribers.values()
        for subscription in subscriber.get("subscriptions") or ()
    ]


@dataclass(slots=True)
class _Run:
    """One look: what is read once, and what was counted. own_strategy: its signals count though nobody copies them."""

    backend: Connection
    timeline: Timeline
    configurations: tuple[Configuration, Configuration]
    comparison: SideBySide
    own_strategy: str
    tables: RouteTables = field(default_factory=RouteTables)
    members_unknown: Any = None

    def __post_init__(self) -> None:
        self.members_unknown = type(self.comparison.missing)()

    def decide(
        self, signals: Sequence[MirroredSignal], accounts: Sequence[str], strategies: set[str], now: datetime
    ) -> None:
        """Some signals, newest first."""
        start, end = signals[-1].time - BEFORE, now
        deals = self._deals(signals, accounts, strategies, start, end)
        providers = {
            account
            for configuration in self.configurations
            for document in configuration.strategies.values()
            if isinstance(account := document.get("accountId"), str) and account
        }
        leaves = {signal.pk: self._leaf(signal) for signal in signals}
        money = read_money_at(self.backend.pk, {*accounts, *providers}, [signal.time for signal in signals])
        stopouts = read_stopouts(self.backend, start, signals[0].time)
        rates = rates_of(self.backend.workspace)
        for signal in signals:
            leaf = leaves[signal.pk]
            if leaf is None:
                continue
            trade = trade_of(signal, leaf)
            prices = {signal.symbol: float(signal.price)} if signal.price else {}
            prices |= {name: price for name, price in deals.prices[signal.signal_id].items() if name not in prices}
            try:
                if signal.is_side_copied:
                    former = self.timeline.configuration_at(signal.time)
                    if leaf in former.strategies:
                        table, _ = self.tables.of(leaf, former)
                        trade = as_provided(trade, deals.samples[signal.signal_id], table)
                past = PastSignal(
                    trade=trade,
                    prices=prices,
                    courses=deals.courses[signal.signal_id],
                    exchange=exchange_of(rates, signal.time),
                    stops=tuple(stops_at(stopouts, signal.time)),
                )
                before, after = (decided(past, own, self.tables, money.at) for own in self.configurations)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                # documents of another backend may hold what the contract does not know
                raise NothingToSay(UNREADABLE) from error
            same = is_same_leaf(leaf, self.configurations)
            self.comparison.add(past, before, after, is_own=leaf == self.own_strategy, is_same_leaf=same)

    def _leaf(self, signal: MirroredSignal) -> str | None:
        """Whose signal it is; None: nobody tells of which member it came."""
        own = signal.strategy_id
        if not self.timeline.is_portfolio(own):
            return own
        leaves = leaves_below(own, self.timeline, signal.time)
        if len(leaves) == 1:
            return leaves.pop()
        self.members_unknown[Assumption.MEMBER_UNKNOWN] += 1
        return None

    def _deals(
        self,
        signals: Sequence[MirroredSignal],
        accounts: Sequence[str],
        strategies: set[str],
        start: datetime,
        end: datetime,
    ) -> DealsOfSignals:
        deals = DealsOfSignals()
        parameters: dict[str, Any] = {
            "workspace": self.backend.workspace_id,
            "connection": self.backend.pk,
            "start": start,
            "end": end,
            "strategies": sorted(strategies),
            "signals": [signal.signal_id for signal in signals],
            "accounts": list(accounts),
        }
        copied = [signal.signal_id for signal in signals if signal.is_side_copied]
        with database.cursor() as cursor:
            cursor.execute(_COURSES, parameters)
            sums = {(row[0], row[1], row[2]): row[3:] for row in cursor.fetchall()}
            if copied:
                newest = max(max(signal.time, signal.last_deal_at or signal.time) for signal in signals)
                cursor.execute(_SAMPLES, {**parameters, "signals": copied, "end": newest + timedelta(seconds=1)})
                for signal_id, deal_id, strategy, account, symbol, kind, lots, price, moment in cursor.fetchall():
                    side = DEAL_SIDES[kind]
                    deals.samples[signal_id].append(
                        CopiedDeal(deal_id, strategy, account, "", symbol, side, lots, price, moment)
                    )
        for (signal_id, symbol, entry), (lots, worth, moment) in sums.items():
            if entry == "out":
                opened = sums.get((signal_id, symbol, "in"))
                if opened is not None:
                    deals.courses[signal_id][symbol] = Course(
                        entry=float(opened[1] / opened[0]),
                        exit=float(worth / lots),
                        closed=min(float(lots / opened[0]), 1.0),
                        closed_at=moment,
                    )
            else:
                deals.prices[signal_id].setdefault(symbol, float(worth / lots))
        return deals
