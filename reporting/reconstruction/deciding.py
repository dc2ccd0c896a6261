"""Signals that are due: what is mirrored of each is read, set beside what the engine says, and kept as decisions.

A slice is some signals that follow each other in time, with a bounded number of queries. A decision has an id made of
what it is about, so that looking again changes the row where it says something else, and counts are moved with it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from django.db import transaction

from reporting.models import Decision, MirroredSignal
from reporting.reconstruction.assumptions import Assumption
from reporting.reconstruction.expected import (
    PastMarket,
    ProviderTrade,
    Ways,
    expect,
)
from reporting.reconstruction.keeping import keep, row_of
from reporting.reconstruction.matching import as_provided, find, openings
from reporting.reconstruction.scenes import SignalScene, exchange_of, read_scene, stops_at, trade_of
from reporting.reconstruction.settings import Timeline
from reporting.retention import RecordKind, kept_from
from strategies.versions import Described
from users.models import Connection

log = structlog.get_logger(__name__)

MOST_SIGNALS = 50
LONGEST_SLICE = timedelta(hours=6)  # from its first signal to the newest deal of its last: reads stay small
SETTLES_AFTER = timedelta(minutes=3)  # the opening window is a minute by default; deals and lines come with the syncs
WINDOW = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=1)
SHORTEST_PAUSE, LONGEST_PAUSE = timedelta(seconds=15), timedelta(hours=6)


def due_signals(connection_id: int, *, now: datetime, most: int = MOST_SIGNALS) -> list[MirroredSignal]:
    """The oldest signals that are due and lie so close together that one reading serves them; in a transaction.

    They are locked, so that a sync that brings something of one meanwhile makes it due again afterwards.
    """
    own = MirroredSignal.objects.select_for_update(skip_locked=True)
    due = own.filter(connection_id=connection_id, due_at__lte=now).order_by("time", "pk")
    signals: list[MirroredSignal] = []
    for signal in due[:most]:
        end = max(signal.time, signal.last_deal_at or signal.time)
        if signals and end - signals[0].time > LONGEST_SLICE:
            break
        signals.append(signal)
    return signals


def decide_signals(backend: Connection, signals: Sequence[MirroredSignal], *, now: datetime) -> int:
    """Reconstruct the decisions of some signals; returns how many rows differ now."""
    if not signals:
        return 0
    oldest = kept_from(backend.workspace_id, RecordKind.DECISIONS)
    scene = read_scene(backend, signals)
    rows: dict[str, Decision] = {}
    for signal in signals:
        signal.due_at = None
        if oldest is not None and signal.time < oldest:
            continue
        leaf, is_leaf = leaf_of(scene, signal, now=now)
        if leaf is None:
            continue  # the same signal is known under the member that it came from
        trade, ways, wait = expectation(scene, signal, leaf, is_leaf=is_leaf)
        settles_at = signal.time + SETTLES_AFTER + wait
        is_settled = settles_at <= now and scene.complete_until is not None and scene.complete_until >= settles_at
        if not is_settled:
            # one behind a page that cannot be read is looked at less and less, so that it holds up no newer one
            pause = min(max((now - signal.time) / 4, SHORTEST_PAUSE), LONGEST_PAUSE)
            signal.due_at = max(settles_at, now + pause)
        without = Assumption.SETTINGS_UNKNOWN if is_leaf else Assumption.MEMBER_UNKNOWN
        own = openings(scene.deals.get(signal.signal_id, ()))
        own = {way: deals for way, deals in own.items() if is_of(scene, signal, way, ways)}
        lines = defaultdict(list)
        for line in scene.lines.get(signal.signal_id, ()):
            lines[line.strategy_id, line.subscriber_id].append(line)
        later = _later(scene, signal, leaf) if is_settled and not own and not ways else set()
        findings = find(trade, ways, own, lines, is_settled=is_settled, without_settings=without, later=later)
        for finding in findings:
            row = row_of(backend, signal, leaf, trade, finding)
            rows[row.backend_id] = row
    with transaction.atomic():
        MirroredSignal.objects.bulk_update(signals, ["due_at"])
        return keep(backend, rows)


def is_of(scene: SignalScene, signal: MirroredSignal, way: tuple[str, str], ways: Ways) -> bool:
    """Whether deals of a position are of this signal: ids of positions may come twice where brokers count them."""
    if way in ways or way[0] == signal.strategy_id:
        return True
    return scene.timeline.is_portfolio(way[0]) or not scene.timeline.by_kind[Described.STRATEGY].get(way[0])


def leaf_of(scene: SignalScene, signal: MirroredSignal, *, now: datetime) -> tuple[str | None, bool]:
    """Whose signal it is, and whether that is known; None: another row stands for it, which then is looked at."""
    own = signal.strategy_id
    if not scene.timeline.is_portfolio(own):
        return own, True
    others = MirroredSignal.objects.filter(connection=scene.backend, signal_id=signal.signal_id)
    for other in others.exclude(strategy_id=own).values_list("strategy_id", flat=True):
        if not scene.timeline.is_portfolio(other):
            others.filter(strategy_id=other, due_at=None).update(due_at=now)  # what came of this one is of that, too
            return None, True
    leaves = leaves_below(own, scene.timeline, signal.time)
    return (leaves.pop(), True) if len(leaves) == 1 else (own, False)


def leaves_below(portfolio_id: str, timeline: Timeline, moment: datetime, depth: int = 8) -> set[str]:
    """The strategies that a portfolio was made of, as far as its versions tell."""
    version = timeline.version_at(Described.PORTFOLIO, portfolio_id, moment)
    members = (version.document.get("members") if version is not None else None) or ()
    asked = {str(member["strategyId"]) for member in members if isinstance(member, dict) and member.get("strategyId")}
    leaves: set[str] = set()
    for strategy_id in asked:
        if timeline.is_portfolio(strategy_id) and depth:
            leaves |= leaves_below(strategy_id, timeline, moment, depth - 1)
        else:
            leaves.add(strategy_id)
    return leaves


def expectation(
    scene: SignalScene, signal: MirroredSignal, leaf: str, *, is_leaf: bool
) -> tuple[ProviderTrade, Ways, timedelta]:
    """The signal as the provider gave it, what the engine says of every account, and how long a copy may take."""
    trade = trade_of(signal, leaf)
    configuration = scene.timeline.configuration_at(signal.time)
    if not is_leaf or leaf not in configuration.strategies:
        return trade, {}, timedelta(0)
    try:
        table, ids = scene.tables.of(leaf, configuration)
        if signal.is_side_copied:
            trade = as_provided(trade, scene.deals.get(signal.signal_id, ()), table)
        funds = {key: own for key in ids if (own := scene.money.at(key, signal.time)) is not None}
        account = configuration.strategies[leaf].get("accountId")
        uncertain = frozenset(
            key.subscriber_id
            for key in table.keys
            if not scene.timeline.is_certain({key.strategy_id, *key.path, leaf}, key.subscriber_id, signal.time)
        )
        ways = expect(
            trade,
            table,
            ids,
            funds=funds,
            provider=scene.money.at(account, signal.time) if isinstance(account, str) and account else None,
            market=PastMarket(_prices(scene, signal), exchange_of(scene.rates, signal.time)),
            stops=stops_at(scene.stopouts, signal.time),
            uncertain=uncertain,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        # documents of another backend may hold what the contract does not know: then nothing is expected of them
        log.warning("settings could not be read", connection=scene.backend.pk, strategy=leaf, error=repr(error))
        return trade, {}, timedelta(0)
    longest = max((route.delay_s for routes in ways.values() for route in routes), default=0.0)
    settings = configuration.strategies[leaf].get("timeSettings") or {}
    minutes = settings.get("openingIntervalInMinutes") or 1
    return trade, ways, min(timedelta(seconds=longest) + timedelta(minutes=minutes) - WINDOW, LONGEST_WAIT)


def _later(scene: SignalScene, signal: MirroredSignal, leaf: str) -> set[tuple[str, str]]:
    """Who was first seen to copy the strategy after the signal, and after nobody had looked at its settings before.

    Where they had been looked at, an account that was not seen did not copy it.
    """
    if any(
        version.first_seen_at <= signal.time for version in scene.timeline.by_kind[Described.STRATEGY].get(leaf, ())
    ):
        return set()
    try:
        ways = scene.later_ways(leaf)
    except (KeyError, TypeError, ValueError, AttributeError):
        return set()  # as in `expectation`
    seen = scene.timeline.by_kind[Described.SUBSCRIBER]
    return {way for way in ways if not any(version.first_seen_at <= signal.time for version in seen.get(way[1], ()))}


def _prices(scene: SignalScene, signal: MirroredSignal) -> dict[str, float]:
    prices = {signal.symbol: float(signal.price)} if signal.price else {}
    for deal in scene.deals.get(signal.signal_id, ()):
        if deal.price:
            prices.setdefault(deal.symbol, float(deal.price))
    return prices
