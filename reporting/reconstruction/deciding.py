"""Signals that are due: what is mirrored of each is read, set beside what the engine says, and kept as decisions.

A slice is some signals that follow each other in time, with a bounded number of queries. A decision has an id made of
what it is about, so that looking again changes the row where it says something else, and counts are moved with it.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import structlog
from django.db import connection as database
from django.db import transaction
from django.db.models import Q

from copying.engine.model import OrderKind
from reporting.models import Decision, LogRecord, MirroredSignal, SyncKind, SyncState, Transaction
from reporting.rates import Rates, UnknownRate, rates_of
from reporting.reconstruction.assumptions import Assumption
from reporting.reconstruction.expected import (
    KINDS,
    SIDES,
    Funds,
    PastMarket,
    ProviderTrade,
    RouteTables,
    Stop,
    Ways,
    expect,
    provider_side,
    provider_symbol,
)
from reporting.reconstruction.matching import DEAL_SIDES, CopiedDeal, Found, LoggedLine, find, openings
from reporting.reconstruction.settings import Timeline
from reporting.retention import RecordKind, kept_from
from reporting.sync.decisions import COUNT
from strategies.versions import Described
from subscribers.models import Stopout, Subscriber
from users.models import Connection

log = structlog.get_logger(__name__)

MOST_SIGNALS = 50
LONGEST_SLICE = timedelta(hours=6)  # from its first signal to the newest deal of its last: reads stay small
BEFORE = timedelta(minutes=5)  # a copy's clock may be behind the provider's
SETTLES_AFTER = timedelta(minutes=3)  # the opening window is a minute by default; deals and lines come with the syncs
WINDOW = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=1)
LINES_AFTER = timedelta(hours=1)
_POINTS = """
    SELECT a.id, p.time, p.balance, p.equity, p.currency
    FROM unnest(%(ids)s::text[]) AS a (id) CROSS JOIN LATERAL (
        (SELECT time, balance, equity, currency FROM {table}
         WHERE connection_id = %(connection)s AND account_id = a.id AND time <= %(start)s ORDER BY time DESC LIMIT 1)
        UNION ALL
        (SELECT time, balance, equity, currency FROM {table}
         WHERE connection_id = %(connection)s AND account_id = a.id AND time > %(start)s AND time <= %(end)s)
    ) p ORDER BY p.time
"""


@dataclass(slots=True)
class Money:
    """Balances and equities of accounts around some time, and what they are now."""

    points: dict[str, list[tuple[datetime, float, float, str]]] = field(default_factory=lambda: defaultdict(list))
    present: dict[str, tuple[float | None, float | None, str, float]] = field(default_factory=dict)

    def at(self, account_id: str, moment: datetime) -> Funds | None:
        """What an account had at a moment; None where its money or its currency is not known."""
        balance, equity, currency, leverage = self.present.get(account_id, (None, None, "", 100.0))
        own = self.points.get(account_id, [])
        place = bisect_right(own, moment, key=lambda point: point[0])
        if place:
            _, balance, equity, of_then = own[place - 1]
            code = of_then or currency
            return Funds(balance, equity, code, leverage) if code else None
        if balance is None or equity is None or not currency:
            return None
        return Funds(balance, equity, currency, leverage, is_of_then=False)


@dataclass(slots=True)
class Scene:
    """What is mirrored of some signals of one connection."""

    backend: Connection
    timeline: Timeline
    money: Money
    rates: Rates
    deals: dict[str, list[CopiedDeal]]
    lines: dict[str, list[LoggedLine]]
    stopouts: list[Stopout]
    tables: RouteTables
    complete_until: datetime | None


def due_signals(connection_id: int, *, now: datetime, most: int = MOST_SIGNALS) -> list[MirroredSignal]:
    """The oldest signals that are due and lie so close together that one reading serves them."""
    due = MirroredSignal.objects.filter(connection_id=connection_id, due_at__lte=now).order_by("time", "pk")
    signals: list[MirroredSignal] = []
    for signal in due[:most]:
        end = max(signal.time, signal.last_deal_at or signal.time)
        if signals and end - signals[0].time > LONGEST_SLICE:
            break
        signals.append(signal)
    return signals


def decide_signals(
    backend: Connection, signals: Sequence[MirroredSignal], *, now: datetime, tables: RouteTables | None = None
) -> int:
    """Reconstruct the decisions of some signals; returns how many rows differ now."""
    if not signals:
        return 0
    oldest = kept_from(backend.workspace_id, RecordKind.DECISIONS)
    scene = read_scene(backend, signals, tables=tables or RouteTables())
    rows: dict[str, Decision] = {}
    for signal in signals:
        signal.due_at = None
        if oldest is not None and signal.time < oldest:
            continue
        leaf, is_leaf = leaf_of(scene, signal)
        if leaf is None:
            continue  # the same signal is known under the member that it came from
        trade, ways, wait = expectation(scene, signal, leaf, is_leaf=is_leaf)
        settles_at = signal.time + SETTLES_AFTER + wait
        is_settled = settles_at <= now and scene.complete_until is not None and scene.complete_until >= settles_at
        if not is_settled:
            signal.due_at = max(settles_at, now + timedelta(seconds=15))
        without = Assumption.SETTINGS_UNKNOWN if is_leaf else Assumption.MEMBER_UNKNOWN
        own = openings(scene.deals.get(signal.signal_id, ()))
        own = {way: deals for way, deals in own.items() if is_of(scene, signal, way, ways)}
        lines = defaultdict(list)
        for line in scene.lines.get(signal.signal_id, ()):
            lines[line.strategy_id, line.subscriber_id].append(line)
        for found in find(trade, ways, own, lines, is_settled=is_settled, without_settings=without):
            row = row_of(backend, signal, leaf, trade, found)
            rows[row.backend_id] = row
    with transaction.atomic():
        MirroredSignal.objects.bulk_update(signals, ["due_at"])
        return keep(backend, rows)


def is_of(scene: Scene, signal: MirroredSignal, way: tuple[str, str], ways: Ways) -> bool:
    """Whether deals of a position are of this signal: ids of positions may come twice where brokers count them."""
    if way in ways or way[0] == signal.strategy_id:
        return True
    return scene.timeline.is_portfolio(way[0]) or not scene.timeline.by_kind[Described.STRATEGY].get(way[0])


# ------------------------------------------------------------------------------------------------------------- reading


def read_scene(backend: Connection, signals: Sequence[MirroredSignal], *, tables: RouteTables) -> Scene:
    """What is mirrored of some signals, in a bounded number of queries."""
    start = min(signal.time for signal in signals)
    end = max(max(signal.time, signal.last_deal_at or signal.time) for signal in signals)
    ids = {signal.signal_id for signal in signals}
    timeline = Timeline.read(backend.pk, start, max(signal.time for signal in signals))
    accounts = set(timeline.by_kind[Described.SUBSCRIBER])
    providers = {
        version.document.get("accountId")
        for versions in timeline.by_kind[Described.STRATEGY].values()
        for version in versions
    }
    states = SyncState.objects.filter(connection=backend, kind__in=(SyncKind.PROVIDED, SyncKind.SUBSCRIBED))
    complete = list(states.values_list("complete_until", flat=True))
    known = [until for until in complete if until is not None]
    return Scene(
        backend=backend,
        timeline=timeline,
        money=read_money(backend.pk, accounts | {key for key in providers if isinstance(key, str) and key}, start, end),
        rates=rates_of(backend.workspace),
        deals=read_deals(backend, ids, start - BEFORE, end),
        lines=read_lines(backend, ids, start - BEFORE, end + LINES_AFTER),
        stopouts=list(
            Stopout.objects.filter(connection=backend, stopped_at__lte=end, stopped_till__gt=start)
            .filter(Q(ended_at=None) | Q(ended_at__gt=start))
            .select_related("subscriber")
        ),
        tables=tables,
        complete_until=min(known) if known and len(known) == len(complete) else None,
    )


def read_deals(
    backend: Connection, ids: Collection[str], start: datetime, end: datetime
) -> dict[str, list[CopiedDeal]]:
    """Deals that name one of the signals, by it."""
    own = Transaction.objects.filter(workspace_id=backend.workspace_id, connection=backend, time__range=(start, end))
    own = own.filter(position_id__in=ids, type__in=DEAL_SIDES).order_by("time", "pk")
    names = ("backend_id", "strategy_id", "subscriber_id", "subscriber_position_id", "symbol", "type")
    by_signal: dict[str, list[CopiedDeal]] = defaultdict(list)
    for row in own.values_list(*names, "volume_lots", "price", "time", "position_id"):
        deal_id, strategy_id, subscriber_id, position, symbol, kind, volume, price, moment, signal_id = row
        by_signal[signal_id].append(
            CopiedDeal(
                id=deal_id,
                strategy_id=strategy_id,
                subscriber_id=subscriber_id,
                position=position,
                symbol=symbol,
                side=DEAL_SIDES[kind],
                lots=abs(volume or Decimal(0)),
                price=price,
                time=moment,
            )
        )
    return by_signal


def read_lines(
    backend: Connection, ids: Collection[str], start: datetime, end: datetime
) -> dict[str, list[LoggedLine]]:
    """Lines of the log about opening at an account, by the signal."""
    own = LogRecord.objects.filter(workspace_id=backend.workspace_id, connection=backend, time__range=(start, end))
    own = own.filter(position_id__in=ids).exclude(subscriber_id="").exclude(side="close")
    by_signal: dict[str, list[LoggedLine]] = defaultdict(list)
    names = ("position_id", "strategy_id", "subscriber_id", "level", "message", "time")
    for signal_id, *line in own.order_by("time", "pk").values_list(*names):
        by_signal[signal_id].append(LoggedLine(*line))
    return by_signal


def read_money(connection_id: int, ids: Iterable[str], start: datetime, end: datetime) -> Money:
    """Recorded money of accounts: the newest before `start`, and all until `end`; and the present one."""
    money, wanted = Money(), sorted(ids)
    parameters: dict[str, Any] = {"ids": wanted, "connection": connection_id, "start": start, "end": end}
    with database.cursor() as cursor:
        for table in (
            "reporting_pastpoint",
            "reporting_equitypoint",
        ):  # what was recorded counts before what was rebuilt
            cursor.execute(_POINTS.format(table=table), parameters)
            for account, moment, balance, equity, currency in cursor.fetchall():
                money.points[account].append((moment, float(balance), float(equity), currency))
    for points in money.points.values():
        points.sort(key=lambda point: point[0])
    own = Subscriber.objects.filter(connection_id=connection_id, backend_id__in=wanted)
    for account, balance, equity, currency, leverage in own.values_list(
        "backend_id", "balance", "equity", "currency", "leverage"
    ):
        money.present[account] = (_float(balance), _float(equity), currency, float(leverage or 100))
    return money


# ------------------------------------------------------------------------------------------------------------ deciding


def leaf_of(scene: Scene, signal: MirroredSignal) -> tuple[str | None, bool]:
    """Whose signal it is, and whether that is known; None: another row stands for it."""
    own = signal.strategy_id
    if not scene.timeline.is_portfolio(own):
        return own, True
    others = MirroredSignal.objects.filter(connection=scene.backend, signal_id=signal.signal_id)
    for other in others.exclude(strategy_id=own).values_list("strategy_id", flat=True):
        if not scene.timeline.is_portfolio(other):
            return None, True
    leaves = leaves_below(own, scene.timeline, signal.time)
    return (leaves.pop(), True) if len(leaves) == 1 else (own, False)


def leaves_below(portfolio_id: str, timeline: Timeline, moment: datetime, depth: int = 8) -> set[str]:
    """The strategies that a portfolio was made of, as far as its versions tell."""
    version = timeline.version_at(Described.PORTFOLIO, portfolio_id, moment)
    members = (version.document.get("members") if version is not None else None) or ()
    asked = {str(member["strategyId"]) for member in members if isinstance(member, dict) and member.get("strategyId")}
    found: set[str] = set()
    for strategy_id in asked:
        if timeline.is_portfolio(strategy_id) and depth:
            found |= leaves_below(strategy_id, timeline, moment, depth - 1)
        else:
            found.add(strategy_id)
    return found


def expectation(
    scene: Scene, signal: MirroredSignal, leaf: str, *, is_leaf: bool
) -> tuple[ProviderTrade, Ways, timedelta]:
    """The signal as the provider gave it, what the engine says of every account, and how long a copy may take."""
    trade = ProviderTrade(
        id=signal.signal_id,
        strategy_id=leaf,
        symbol=signal.symbol,
        side=SIDES[signal.side],
        kind=KINDS.get(signal.kind, OrderKind.MARKET),
        time=signal.time,
        lots=_float(signal.lots),
        price=_float(signal.price),
        stop_loss=_float(signal.stop_loss),
        take_profit=_float(signal.take_profit),
        has_stops=signal.lots is not None,
        magic=signal.magic,
    )
    configuration = scene.timeline.configuration_at(signal.time)
    if not is_leaf or leaf not in configuration.strategies:
        return trade, {}, timedelta(0)
    try:
        table, ids = scene.tables.of(leaf, configuration)
        trade = _as_provided(scene, signal, trade, table)
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
            market=PastMarket(_prices(scene, signal), _exchange(scene.rates, signal.time)),
            stops=_stops(scene.stopouts, signal.time),
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


def _as_provided(scene: Scene, signal: MirroredSignal, trade: ProviderTrade, table: Any) -> ProviderTrade:
    """The trade with the provider's own side and symbol, where only those of a copy are told."""
    if not signal.is_side_copied:
        return trade
    terms = {(key.strategy_id, key.subscriber_id): own for key, own in zip(table.keys, table.terms, strict=True)}
    for deal in scene.deals.get(signal.signal_id, ()):
        own = terms.get((deal.strategy_id, deal.subscriber_id))
        if own is not None:
            symbol = provider_symbol(deal.symbol, own)
            return ProviderTrade(
                **{name: getattr(trade, name) for name in trade.__slots__ if name not in ("side", "symbol")}
                | {"side": provider_side(deal.side, own), "symbol": symbol, "is_symbol_concluded": True}
            )
    return trade


def _prices(scene: Scene, signal: MirroredSignal) -> dict[str, float]:
    prices = {signal.symbol: float(signal.price)} if signal.price else {}
    for deal in scene.deals.get(signal.signal_id, ()):
        if deal.price:
            prices.setdefault(deal.symbol, float(deal.price))
    return prices


def _exchange(rates: Rates, moment: datetime):
    day = moment.astimezone(UTC).date()

    def exchange(currency: str, target: str) -> float | None:
        try:
            return float(rates.on(day, currency, target).value)
        except UnknownRate:
            return None

    return exchange


def _stops(stopouts: Iterable[Stopout], moment: datetime) -> list[Stop]:
    """The stopouts that were active at a moment; one that fired with the signal's own trade stops the next."""
    return [
        Stop(stopout.subscriber.backend_id, stopout.strategy_backend_id)
        for stopout in stopouts
        if stopout.stopped_at < moment < min(stopout.stopped_till, stopout.ended_at or stopout.stopped_till)
    ]


def _float(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


# ------------------------------------------------------------------------------------------------------------- keeping


def row_of(backend: Connection, signal: MirroredSignal, leaf: str, trade: ProviderTrade, found: Found) -> Decision:
    """The row of what was found."""
    provider, scaled, multiplied, limited, rounded, final = map(_decimal, found.volumes)
    about = "\x1f".join((signal.signal_id, found.strategy_id, found.subscriber_id))
    return Decision(
        workspace_id=backend.workspace_id,
        connection_id=backend.pk,
        backend_id="r-" + hashlib.blake2b(about.encode(), digest_size=20).hexdigest(),
        time=signal.time,
        signal_id=signal.signal_id,
        strategy_id=found.strategy_id,
        source_strategy_id=leaf,
        subscriber_id=found.subscriber_id,
        symbol=trade.symbol[:32],
        subscriber_symbol=found.symbol[:32],
        side=found.side,
        outcome=found.outcome,
        reason=found.reason,
        level=found.level,
        provider_lots=provider,
        scaled_lots=scaled,
        multiplied_lots=multiplied,
        limited_lots=limited,
        rounded_lots=rounded,
        final_lots=final,
        limit_value=_decimal(found.limit_value),
        text=found.text,
        is_reconstructed=True,
        expected_lots=_decimal(found.expected),
        assumptions=list(found.assumptions),
    )


def _decimal(value: float | None) -> Decimal | None:
    return None if value is None or abs(value) > 1e15 else Decimal(repr(round(value, 8)))


KEPT = tuple(
    each.attname
    for each in Decision._meta.concrete_fields
    if each.attname not in ("id", "workspace_id", "connection_id", "backend_id")
)


def keep(backend: Connection, rows: Mapping[str, Decision]) -> int:
    """Add and change decisions and move their counts; returns how many rows differ now. Call it in a transaction."""
    own = Decision.objects.filter(connection=backend, backend_id__in=rows).select_for_update()
    known = {row.backend_id: row for row in own}
    changed = [
        row
        for key, row in rows.items()
        if key not in known or any(getattr(row, name) != getattr(known[key], name) for name in KEPT)
    ]
    counts: Counter[tuple] = Counter()
    for row in changed:
        counts[_counted(row)] += 1
        if row.backend_id in known:
            counts[_counted(known[row.backend_id])] -= 1
    Decision.objects.bulk_create(
        changed,
        update_conflicts=True,
        unique_fields=["connection", "backend_id"],
        update_fields=KEPT,
    )
    count(backend, counts)
    return len(changed)


def count(backend: Connection, counts: Mapping[tuple, int]) -> None:
    """Move how many decisions of a day ended how."""
    moved = sorted(key for key, number in counts.items() if number)
    if not moved:
        return
    columns = [list(column) for column in zip(*moved, strict=True)]
    with database.cursor() as cursor:
        cursor.execute(COUNT, [backend.workspace_id, backend.pk, *columns, [counts[key] for key in moved]])


def _counted(row: Decision) -> tuple:
    return row.subscriber_id, row.strategy_id, row.time.astimezone(UTC).date(), row.outcome, row.reason


def drop_told(backend: Connection, *, most: int = 1_000) -> int:
    """Remove reconstructed decisions that the backend itself has told meanwhile; returns how many."""
    with transaction.atomic(), database.cursor() as cursor:
        cursor.execute(
            "DELETE FROM reporting_decision WHERE id = ANY(ARRAY(SELECT r.id FROM reporting_decision r"
            " WHERE r.workspace_id = %s AND r.connection_id = %s AND r.is_reconstructed AND EXISTS (SELECT FROM"
            " reporting_decision t WHERE t.workspace_id = r.workspace_id AND t.signal_id = r.signal_id"
            " AND t.connection_id = r.connection_id AND t.strategy_id = r.strategy_id"
            " AND t.subscriber_id = r.subscriber_id AND NOT t.is_reconstructed) LIMIT %s))"
            " RETURNING subscriber_id, strategy_id, (time AT TIME ZONE 'UTC')::date, outcome, reason",
            [backend.workspace_id, backend.pk, most],
        )
        gone = Counter({key: -number for key, number in Counter(map(tuple, cursor.fetchall())).items()})
        count(backend, gone)
    return -sum(gone.values())
