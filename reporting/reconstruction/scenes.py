"""What is mirrored of some signals: settings, deals, log lines, money, stopouts; a bounded number of queries."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection as database
from django.db.models import Q

from copying.engine.model import OrderKind
from copying.engine.routes import Configuration
from reporting.models import LogRecord, MirroredSignal, SyncKind, SyncState, Transaction
from reporting.rates import Rates, UnknownRate, rates_of
from reporting.reconstruction.expected import (
    KINDS,
    SIDES,
    ExchangeRate,
    Funds,
    ProviderTrade,
    RouteTables,
    Stop,
)
from reporting.reconstruction.matching import DEAL_SIDES, CopiedDeal, LoggedLine
from reporting.reconstruction.settings import Timeline
from strategies.versions import Described
from subscribers.models import Stopout, Subscriber
from users.models import Connection

BEFORE = timedelta(minutes=5)  # a copy's clock may be behind the provider's
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
_POINTS_AT = """
    SELECT DISTINCT a.id, p.time, p.balance, p.equity, p.currency
    FROM unnest(%(ids)s::text[]) AS a (id) CROSS JOIN unnest(%(moments)s::timestamptz[]) AS m (moment)
    CROSS JOIN LATERAL (
        SELECT time, balance, equity, currency FROM {table}
        WHERE connection_id = %(connection)s AND account_id = a.id AND time <= m.moment ORDER BY time DESC LIMIT 1
    ) p ORDER BY p.time
"""
POINTS = ("reporting_pastpoint", "reporting_equitypoint")  # what was recorded counts before what was rebuilt


@dataclass(slots=True)
class RecordedMoney:
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
class SignalScene:
    """What is mirrored of some signals of one connection."""

    backend: Connection
    timeline: Timeline
    money: RecordedMoney
    rates: Rates
    deals: dict[str, list[CopiedDeal]]
    lines: dict[str, list[LoggedLine]]
    stopouts: list[Stopout]
    complete_until: datetime | None
    tables: RouteTables = field(default_factory=RouteTables)
    first: Configuration | None = None

    def later_ways(self, leaf: str) -> set[tuple[str, str]]:
        """(what is subscribed to, account) of those that were first seen with a way from the strategy."""
        if self.first is None:
            self.first = Timeline.of_first(self.backend.pk)
        if leaf not in self.first.strategies:
            return set()
        table, _ = self.tables.of(leaf, self.first)
        return {(key.strategy_id, key.subscriber_id) for key in table.keys}


def read_scene(backend: Connection, signals: Sequence[MirroredSignal]) -> SignalScene:
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
    return SignalScene(
        backend=backend,
        timeline=timeline,
        money=read_money(backend.pk, accounts | {key for key in providers if isinstance(key, str) and key}, start, end),
        rates=rates_of(backend.workspace),
        deals=read_deals(backend, ids, start - BEFORE, end),
        lines=read_lines(backend, ids, start - BEFORE, end + LINES_AFTER),
        stopouts=read_stopouts(backend, start, end),
        complete_until=min(known) if known and len(known) == len(complete) else None,
    )


def read_stopouts(backend: Connection, start: datetime, end: datetime) -> list[Stopout]:
    """Stopouts that were active at some time of [start, end]."""
    own = Stopout.objects.filter(connection=backend, stopped_at__lte=end, stopped_till__gt=start)
    return list(own.filter(Q(ended_at=None) | Q(ended_at__gt=start)).select_related("subscriber"))


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


def read_money(connection_id: int, ids: Iterable[str], start: datetime, end: datetime) -> RecordedMoney:
    """Recorded money of accounts: the newest before `start`, and all until `end`; and the present one."""
    money, wanted = RecordedMoney(), sorted(ids)
    parameters: dict[str, Any] = {"ids": wanted, "connection": connection_id, "start": start, "end": end}
    with database.cursor() as cursor:
        for table in POINTS:
            cursor.execute(_POINTS.format(table=table), parameters)
            for account, moment, balance, equity, currency in cursor.fetchall():
                money.points[account].append((moment, float(balance), float(equity), currency))
    _complete(money, connection_id, wanted)
    return money


def read_money_at(connection_id: int, ids: Iterable[str], moments: Iterable[datetime]) -> RecordedMoney:
    """Recorded money of accounts at some moments, the newest before each; and the present one."""
    money, wanted = RecordedMoney(), sorted(ids)
    parameters: dict[str, Any] = {"ids": wanted, "connection": connection_id, "moments": sorted(set(moments))}
    with database.cursor() as cursor:
        for table in POINTS:
            cursor.execute(_POINTS_AT.format(table=table), parameters)
            for account, moment, balance, equity, currency in cursor.fetchall():
                money.points[account].append((moment, float(balance), float(equity), currency))
    _complete(money, connection_id, wanted)
    return money


def _complete(money: RecordedMoney, connection_id: int, wanted: Sequence[str]) -> None:
    for points in money.points.values():
        points.sort(key=lambda point: point[0])
    own = Subscriber.objects.filter(connection_id=connection_id, backend_id__in=wanted)
    for account, balance, equity, currency, leverage in own.values_list(
        "backend_id", "balance", "equity", "currency", "leverage"
    ):
        money.present[account] = (float_of(balance), float_of(equity), currency, float(leverage or 100))


def float_of(value: Decimal | None) -> float | None:
    """A figure for the engine, which never decides about money that is owed."""
    return None if value is None else float(value)


def trade_of(signal: MirroredSignal, leaf: str) -> ProviderTrade:
    """A mirrored signal as its provider gave it. leaf: the strategy that it is of."""
    return ProviderTrade(
        id=signal.signal_id,
        strategy_id=leaf,
        symbol=signal.symbol,
        side=SIDES[signal.side],
        kind=KINDS.get(signal.kind, OrderKind.MARKET),
        time=signal.time,
        lots=float_of(signal.lots),
        price=float_of(signal.price),
        stop_loss=float_of(signal.stop_loss),
        take_profit=float_of(signal.take_profit),
        has_stops=signal.lots is not None,
        magic=signal.magic,
    )


def exchange_of(rates: Rates, moment: datetime) -> ExchangeRate:
    """The reference rates of a moment's day."""
    day = moment.astimezone(UTC).date()

    def exchange(currency: str, target: str) -> float | None:
        try:
            return float(rates.on(day, currency, target).value)
        except UnknownRate:
            return None

    return exchange


def stops_at(stopouts: Iterable[Stopout], moment: datetime) -> list[Stop]:
    """The stopouts that were active at a moment; one that fired with the signal's own trade stops the next."""
    return [
        Stop(stopout.subscriber.backend_id, stopout.strategy_backend_id)
        for stopout in stopouts
        if stopout.stopped_at < moment < min(stopout.stopped_till, stopout.ended_at or stopout.stopped_till)
    ]
