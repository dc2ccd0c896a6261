"""Transactions: from pages of the backend into the history and the daily results, by COPY and one statement.

The statement inserts what is new, changes what differs and leaves alone what is the same, so a page may arrive any
number of times. From the inserted and changed rows alone it moves the sums of DailyResult, in the same database
transaction that moves the cursor: rows, sums and cursor always agree.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from django.db import DataError, IntegrityError, connection, transaction

from copying.contract import wire
from copying.contract.history import Transaction
from reporting.sync import quarantine
from reporting.sync.ahead import ahead
from reporting.sync.source import PAGE_SIZE, Source, Unreadable
from reporting.sync.states import Lease, Outcome
from reporting.sync.windows import EPOCH, FIRST_WIDTH, Window, windows

PATHS = {"provided": "/users/current/provided-transactions", "subscribed": "/users/current/subscription-transactions"}
# What a run reads again although it was read before, for records that the backend wrote late or corrected:
# the last minutes always, more of the past now and then.
OVERLAP = timedelta(minutes=5)
LOOKBACKS = (("hour", timedelta(hours=1), timedelta(days=1)), ("day", timedelta(days=1), timedelta(days=40)))
CLOCK_AHEAD = timedelta(hours=1)  # a backend whose clock is ahead of ours by less loses nothing
BUDGET_S = 40
MOST_HOLES = 100
HOLE_PAUSE_CAP_S = 300

# fmt: off
_COLUMNS = (
    "backend_id", "subscriber_id", "strategy_id", "time", "type", "symbol", "position_id", "subscriber_position_id",
    "volume_lots", "price", "lot_price", "amount", "profit", "swap", "commission", "improvement",
    "provider_commission", "platform_commission", "incoming_provider_commission", "incoming_platform_commission",
    "latency_ms", "algorithm_latency_ms", "slippage_bp", "slippage_amount", "extra",
)
# fmt: on
_VALUES = _COLUMNS[3:]
_NULL = "\x02"
# deals that move money into or out of an account earn nothing: they count with no result
_CASH = "('DEAL_TYPE_BALANCE', 'DEAL_TYPE_CREDIT', 'DEAL_TYPE_BONUS', 'DEAL_TYPE_CORRECTION')"
_SUMS = ("volume_lots", "profit", "swap", "commission", "provider_commission")


@dataclass(frozen=True)
class Stored:
    """How many rows a batch added and changed."""

    added: int = 0
    changed: int = 0

    def __add__(self, other: Stored) -> Stored:
        return Stored(self.added + other.added, self.changed + other.changed)


# ------------------------------------------------------------------------------------------------------ into the table


def _line(record: Transaction) -> str:
    """One record as a line of COPY text."""
    metrics = record.metrics
    fields = [
        record.id,
        record.subscriber_id,
        record.strategy.id,
        record.time.isoformat(),
        record.type,
        record.symbol or "",
        record.position_id or "",
        record.slave_position_id or "",
        _number(record.quantity),
        _number(record.tick_price),
        _number(record.lot_price),
        _number(record.amount),
        str(record.profit),
        str(record.swap),
        _number(record.commission),
        str(record.improvement),
        str(record.provider_commission),
        str(record.platform_commission),
        _number(record.incoming_provider_commission),
        _number(record.incoming_platform_commission),
        *(_NO_METRICS if metrics is None else _metrics(metrics)),
        _extra(record),
    ]
    line = "\t".join(fields)
    if "\\" in line or "\n" in line or "\r" in line or line.count("\t") != _TABS:
        line = "\t".join(field.translate(_ESCAPES) for field in fields)
    return line


_TABS = len(_COLUMNS) - 1
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_NO_METRICS = (_NULL,) * 4


def _number(value) -> str:
    return _NULL if value is None else str(value)


def _metrics(metrics) -> tuple[str, str, str, str]:
    return (
        _number(metrics.trade_copying_latency),
        _number(metrics.trade_algorithm_latency),
        _number(metrics.trade_copying_slippage_in_basis_points),
        _number(metrics.trade_copying_slippage_in_account_currency),
    )


def _extra(record: Transaction) -> str:
    """What has no column: the leaf strategy of a portfolio, a demo account, latencies of the terminals."""
    extra = {}
    if record.source_strategy is not None:
        extra["sourceStrategy"] = {"id": record.source_strategy.id, "name": record.source_strategy.name}
    if record.demo:
        extra["demo"] = True
    metrics = record.metrics
    if metrics is not None and metrics.mt_and_broker_signal_latency is not None:
        extra["mtAndBrokerSignalLatency"] = metrics.mt_and_broker_signal_latency
    if metrics is not None and metrics.mt_and_broker_trade_latency is not None:
        extra["mtAndBrokerTradeLatency"] = metrics.mt_and_broker_trade_latency
    return msgspec.json.encode(extra).decode() if extra else _NULL


def copy_text(records: Iterable[Transaction]) -> str:
    """Records as the text that COPY reads; a record that comes twice must have been dropped before."""
    return "".join([_line(record) + "\n" for record in records])


def _upsert() -> str:
    columns = ", ".join(_COLUMNS)
    earned = ", ".join(
        f"CASE WHEN type IN {_CASH} THEN 0 ELSE {value} END AS {name}"
        for name, value in zip(_SUMS, ("abs(coalesce(volume_lots, 0))", "profit", "swap", "coalesce(commission, 0)",
                                       "provider_commission"), strict=True)
    )  # fmt: skip
    return f"""
        WITH written AS (
            INSERT INTO reporting_transaction AS t (workspace_id, connection_id, {columns})
            SELECT %(workspace)s, %(connection)s, {columns} FROM sync_stage
            ON CONFLICT (connection_id, subscriber_id, strategy_id, backend_id) DO UPDATE
            SET {", ".join(f"{name} = excluded.{name}" for name in _VALUES)}
            WHERE ({", ".join(f"t.{name}" for name in _VALUES)})
                IS DISTINCT FROM ({", ".join(f"excluded.{name}" for name in _VALUES)})
            RETURNING backend_id, subscriber_id, strategy_id, time, type, {", ".join(_SUMS)}, xmax = 0 AS is_new
        ), earned AS (
            SELECT subscriber_id, strategy_id, (time AT TIME ZONE 'UTC')::date AS day, 1 AS sign, {earned} FROM written
            UNION ALL
            SELECT subscriber_id, strategy_id, (time AT TIME ZONE 'UTC')::date, -1, {earned} FROM (
                SELECT before.* FROM written JOIN reporting_transaction before
                    USING (subscriber_id, strategy_id, backend_id)
                WHERE before.connection_id = %(connection)s AND NOT written.is_new
            ) before
        ), daily AS (
            SELECT subscriber_id, strategy_id, day, sum(sign) AS deals,
                {", ".join(f"sum(sign * {name}) AS {name}" for name in _SUMS)}
            FROM earned GROUP BY subscriber_id, strategy_id, day
        ), kept AS (
            INSERT INTO reporting_dailyresult AS d
                (workspace_id, connection_id, subscriber_id, strategy_id, day, deals, {", ".join(_SUMS)}, is_accrued)
            SELECT %(workspace)s, %(connection)s, subscriber_id, strategy_id, day, deals, {", ".join(_SUMS)}, false
            FROM daily
            ON CONFLICT (connection_id, subscriber_id, strategy_id, day) DO UPDATE
            SET deals = d.deals + excluded.deals, is_accrued = false,
                {", ".join(f"{name} = d.{name} + excluded.{name}" for name in _SUMS)}
        )
        SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM written
    """


_UPSERT = _upsert()


def store(text: str, *, workspace_id: int, connection_id: int) -> Stored:
    """Bring COPY text into the history. Call it in a transaction. Raises DataError when a value cannot be kept."""
    if not text:
        return Stored()
    with connection.cursor() as database:
        # two histories of one connection hold the same deals: one after the other, so that sums see what was written
        database.execute("SELECT pg_advisory_xact_lock(7310, %s)", [connection_id])
        database.execute(
            f"CREATE TEMP TABLE sync_stage ON COMMIT DROP AS SELECT {', '.join(_COLUMNS)}"
            " FROM reporting_transaction WITH NO DATA"
        )
        copying = f"COPY sync_stage ({', '.join(_COLUMNS)}) FROM STDIN (FORMAT text, NULL E'\\x02')"
        with connection.wrap_database_errors, database.copy(copying) as copy:
            copy.write(text)
        database.execute(_UPSERT, {"workspace": workspace_id, "connection": connection_id})
        added, changed = database.fetchone()
        database.execute("DROP TABLE sync_stage")
    return Stored(added, changed)


def store_sound(records: list[Transaction], text: str, *, workspace_id: int, lease: Lease, now: datetime) -> Stored:
    """As `store`; records that no column can keep are found by halving and put into quarantine, the others are kept."""
    try:
        with transaction.atomic():
            return store(text, workspace_id=workspace_id, connection_id=lease.connection_id)
    except (DataError, IntegrityError) as error:
        if len(records) == 1:
            reason = str(error).split("CONTEXT")[0].strip()
            body = repr(records[0])[:10_000].replace("\0", "")
            unreadable = Unreadable(f"transaction {records[0].id[:200]}", reason, body)
            quarantine.put_away(lease.connection_id, lease.kind, unreadable, now=now)
            return Stored()
    half = len(records) // 2
    stored = Stored()
    for part in (records[:half], records[half:]):
        stored += store_sound(part, copy_text(part), workspace_id=workspace_id, lease=lease, now=now)
    return stored


# --------------------------------------------------------------------------------------------------- from the backend


def key_of(record: Transaction) -> tuple[str, str, str]:
    """What makes a transaction one of a kind within a connection."""
    return record.subscriber_id, record.strategy.id, record.id


@dataclass(frozen=True)
class _History:
    """One of the two histories, as `windows` fetches it."""

    source: Source
    path: str

    def __call__(self, start: datetime, end: datetime, offset: int) -> list[Transaction] | Unreadable:
        params = {"from": wire.format_time(start), "till": wire.format_time(end), "offset": offset, "limit": PAGE_SIZE}
        return self.source.page(self.path, Transaction, params)


def _prepared(found: Iterator[Window]) -> Iterator[tuple[Window, str]]:
    for window in found:
        yield window, copy_text(window.records)


def sync_history(
    lease: Lease, *, source: Source, workspace_id: int, now: datetime, budget_s: float = BUDGET_S
) -> Outcome:
    """Mirror one of the two histories up to `now`; stops with `more` when the time is up. Raises the client's errors.

    While one window goes into the table the next is fetched and decoded.
    """
    cursor, fetch = lease.cursor, _History(source, PATHS[lease.kind])
    stop_at = time.monotonic() + budget_s
    _retry_holes(lease, fetch, workspace_id=workspace_id, now=now)
    start, looked_back = _start(cursor, now)
    width = timedelta(seconds=cursor.get("width_s", FIRST_WIDTH.total_seconds()))
    found = windows(fetch, key=key_of, start=start, end=now + CLOCK_AHEAD, width=width)
    with ahead(_prepared(found)) as prepared:
        for window, text in prepared:
            with transaction.atomic():
                stored = store_sound(window.records, text, workspace_id=workspace_id, lease=lease, now=now)
                _advance(cursor, window, now)
                lease.save(rows=stored.added + stored.changed, complete_until=_complete_until(cursor))
                for page in window.unreadable:
                    quarantine.put_away(lease.connection_id, lease.kind, page, now=now)
            if time.monotonic() > stop_at:
                return Outcome(more=True, complete_until=_complete_until(cursor), error=_holes_text(cursor))
    cursor.update(looked_back)
    cursor.pop("width_s", None)
    return Outcome(complete_until=_complete_until(cursor), error=_holes_text(cursor))


def _start(cursor: dict, now: datetime) -> tuple[datetime, dict]:
    """Where to begin, and the marks of the lookbacks that this covers."""
    if "until" not in cursor:
        return EPOCH, {}
    until = datetime.fromisoformat(cursor["until"])
    start, marks = until - OVERLAP, {}
    if until < now - timedelta(hours=1):  # still catching up
        return start, marks
    for name, every, back in LOOKBACKS:
        if now - datetime.fromisoformat(cursor.get(name, cursor["until"])) >= every or name not in cursor:
            marks[name] = now.isoformat()
            start = min(start, now - back) if name in cursor else start
    return start, marks


def _advance(cursor: dict, window: Window, now: datetime) -> None:
    """Move the cursor over the window; what could not be read of it becomes a hole that is tried again."""
    until = min(window.end, now).isoformat()
    cursor["until"] = max(cursor.get("until", until), until)
    cursor["width_s"] = (window.end - window.start).total_seconds()
    if window.unreadable:
        holes = cursor.setdefault("holes", [])
        span = [wire.format_time(window.start), wire.format_time(window.end)]
        if not any(hole["span"] == span for hole in holes) and len(holes) < MOST_HOLES:
            holes.append({"span": span, "tries": 0, "next": now.isoformat()})


def _complete_until(cursor: dict) -> datetime | None:
    starts = [wire.parse_time(hole["span"][0]) for hole in cursor.get("holes", [])]
    until = [datetime.fromisoformat(cursor["until"])] if "until" in cursor else []
    return min(starts + until, default=None)


def _holes_text(cursor: dict) -> str:
    holes = cursor.get("holes", [])
    if not holes:
        return ""
    return (
        f"{len(holes)} part(s) of the history could not be read, the oldest from {holes[0]['span'][0]}; "
        "they are kept in quarantine and tried again."
    )


def _retry_holes(lease: Lease, fetch: _History, *, workspace_id: int, now: datetime) -> None:
    """Read again, at a growing pause, the parts that could not be read."""
    for hole in list(lease.cursor.get("holes", [])):
        if datetime.fromisoformat(hole["next"]) > now:
            continue
        start, end = map(wire.parse_time, hole["span"])
        found = list(windows(fetch, key=key_of, start=start, end=end, width=end - start))
        records = [record for window in found for record in window.records]
        with transaction.atomic():
            text = copy_text(records)
            stored = store_sound(records, text, workspace_id=workspace_id, lease=lease, now=now)
            if any(window.unreadable for window in found):
                hole["tries"] += 1
                pause = min(5 * 2 ** min(hole["tries"], 10), HOLE_PAUSE_CAP_S)
                hole["next"] = (now + timedelta(seconds=pause)).isoformat()
            else:
                lease.cursor["holes"].remove(hole)
                # a hole may have been read in parts, so the last one takes all of this history's pages with it
                span = f" from={hole['span'][0]} till={hole['span'][1]} " if lease.cursor["holes"] else ""
                quarantine.resolve(lease.connection_id, lease.kind, request_prefix=fetch.path + span, now=now)
            for window in found:
                for page in window.unreadable:
                    quarantine.put_away(lease.connection_id, lease.kind, page, now=now)
            lease.save(rows=stored.added + stored.changed)
