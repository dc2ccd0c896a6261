"""Transactions: from pages of the backend into the history and the daily results, by COPY and one statement.

The statement inserts what is new, changes what differs and leaves alone what is the same, so a page may arrive any
number of times. From the inserted and changed rows alone it moves the sums of DailyResult, in the same database
transaction that moves the cursor: rows, sums and cursor always agree.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter

from django.db import DataError, IntegrityError, connection, transaction
from psycopg.errors import UniqueViolation

from copying.contract import wire
from reporting.reconstruction.collecting import collect_deals, keeps_decisions, newest_deal
from reporting.sync import quarantine
from reporting.sync.ahead import ahead
from reporting.sync.deals import COLUMNS, CopyLine, read_page
from reporting.sync.source import PAGE_SIZE, Source, UnreadableAnswer
from reporting.sync.states import Lease, SyncOutcome
from reporting.sync.windows import EPOCH, FIRST_WIDTH, Window, windows

PATHS = {"provided": "/users/current/provided-transactions", "subscribed": "/users/current/subscription-transactions"}
# What a run reads again although it was read before, for records that the backend wrote late or corrected:
# the last minutes always, more of the past now and then.
OVERLAP = timedelta(minutes=5)
LOOKBACKS = (("hour", timedelta(hours=1), timedelta(days=1)), ("day", timedelta(days=1), timedelta(days=40)))
CLOCK_APART = timedelta(hours=1)  # a backend whose clock differs from ours by less loses nothing
BUDGET_S = 40
MOST_HOLES = 100
HOLE_PAUSE_CAP_S = 300

_VALUES = COLUMNS[3:]
_KEY = COLUMNS[:3]
# deals that move money into or out of an account earn nothing: they count with no result
CASH = "('DEAL_TYPE_BALANCE', 'DEAL_TYPE_CREDIT', 'DEAL_TYPE_BONUS', 'DEAL_TYPE_CORRECTION')"
_SUMS = ("volume_lots", "profit", "swap", "commission", "provider_commission")


@dataclass(frozen=True)
class Stored:
    """How many rows a batch added and changed."""

    added: int = 0
    changed: int = 0

    def __add__(self, other: Stored) -> Stored:
        return Stored(self.added + other.added, self.changed + other.changed)


# ------------------------------------------------------------------------------------------------------ into the table


def _earned(row: str) -> str:
    """The sums that one row adds to its day."""
    values = (
        f"abs(coalesce({row}.volume_lots, 0))",
        f"{row}.profit",
        f"{row}.swap",
        f"coalesce({row}.commission, 0)",
        f"{row}.provider_commission",
    )
    return ", ".join(
        f"CASE WHEN {row}.type IN {CASH} THEN 0 ELSE {value} END AS {name}"
        for name, value in zip(_SUMS, values, strict=True)
    )


def _deltas(row: str, sign: int) -> str:
    day = f"({row}.time AT TIME ZONE 'UTC')::date"
    return f"{row}.subscriber_id, {row}.strategy_id, {day} AS day, {sign} AS sign, {_earned(row)}"


_SELECTED = ", ".join(COLUMNS)
_DAILY = f"""
    daily AS (
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
"""
# Everything staged is new: fails with a unique violation where it is not.
_INSERT = f"""
    WITH added AS (
        INSERT INTO reporting_transaction (workspace_id, connection_id, {_SELECTED})
        SELECT %(workspace)s, %(connection)s, {_SELECTED} FROM sync_stage
    ), earned AS (
        SELECT {_deltas("s", 1)} FROM sync_stage s
    ), {_DAILY}
    SELECT count(*), 0 FROM sync_stage
"""
# Where a window was read before, its first rows tell: a failed INSERT would stand as an error in the database's log.
_PROBE = f"""
    SELECT EXISTS (
        SELECT FROM (SELECT * FROM sync_stage LIMIT 20) s
        JOIN reporting_transaction k ON k.connection_id = %(connection)s
            AND {" AND ".join(f"k.{name} = s.{name}" for name in _KEY)}
    )
"""
# What is the same is left out by a look into the unique index, before a conflict would lock and so write its row. The
# look is a scalar subquery, and LATERAL has a LIMIT, because the planner cannot turn those into a join of everything.
_UPSERT = f"""
    WITH written AS (
        INSERT INTO reporting_transaction AS t (workspace_id, connection_id, {_SELECTED})
        SELECT %(workspace)s, %(connection)s, {_SELECTED} FROM sync_stage s
        WHERE (
            SELECT ({", ".join(f"k.{name}" for name in _VALUES)})
                IS NOT DISTINCT FROM ({", ".join(f"s.{name}" for name in _VALUES)})
            FROM reporting_transaction k
            WHERE k.connection_id = %(connection)s AND {" AND ".join(f"k.{name} = s.{name}" for name in _KEY)}
        ) IS NOT TRUE
        ON CONFLICT (connection_id, subscriber_id, strategy_id, backend_id) DO UPDATE
        SET {", ".join(f"{name} = excluded.{name}" for name in _VALUES)}
        RETURNING {", ".join(_KEY)}, time, type, {", ".join(_SUMS)}, xmax = 0 AS is_new
    ), earned AS (
        SELECT {_deltas("written", 1)} FROM written
        UNION ALL
        SELECT {_deltas("before", -1)} FROM written CROSS JOIN LATERAL (
            SELECT * FROM reporting_transaction k
            WHERE k.connection_id = %(connection)s AND {" AND ".join(f"k.{name} = written.{name}" for name in _KEY)}
            LIMIT 1
        ) before WHERE NOT written.is_new
    ), {_DAILY}
    SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM written
"""
# Two histories of one connection hold the same deals: one after the other, so that sums see what was written. The plans
# must be those of a large table even while its statistics still call it empty.
_PREPARE = (
    "SELECT pg_advisory_xact_lock(7310, %s), set_config('jit', 'off', true), set_config('enable_seqscan', 'off', true)"
)
_STAGE = f"CREATE TEMP TABLE sync_stage ON COMMIT DROP AS SELECT {_SELECTED} FROM reporting_transaction WITH NO DATA"


def store(text: str, *, workspace_id: int, connection_id: int, is_new: bool = False) -> Stored:
    """Bring COPY text, in which no deal comes twice, into the history. Call it in a transaction.

    is_new: probably nothing of it is there yet; only a matter of speed. Raises DataError when a value cannot be kept.
    """
    if not text:
        return Stored()
    owner = {"workspace": workspace_id, "connection": connection_id}
    with connection.cursor() as database:
        database.execute(_PREPARE, [connection_id])
        database.execute(_STAGE)
        with connection.wrap_database_errors, database.copy(f"COPY sync_stage ({_SELECTED}) FROM STDIN") as copy:
            copy.write(text)
        if not (is_new and _runs_without_conflict(database, owner)):
            database.execute(_UPSERT, owner)
        added, changed = database.fetchone()
        database.execute("DROP TABLE sync_stage")
    return Stored(added, changed)


def _runs_without_conflict(database, owner: dict) -> bool:
    database.execute(_PROBE, owner)
    if database.fetchone()[0]:
        return False
    try:
        with transaction.atomic():
            database.execute(_INSERT, owner)
    except IntegrityError as error:
        if isinstance(error.__cause__, UniqueViolation):
            return False
        raise
    return True


def store_sound(
    lines: list[CopyLine],
    *,
    workspace_id: int,
    lease: Lease,
    now: datetime,
    is_new: bool = False,
    text: str | None = None,
) -> Stored:
    """As `store`; lines that no column can keep are found by halving and put into quarantine, the others are kept."""
    text = text_of(lines) if text is None else text
    try:
        with transaction.atomic():
            return store(text, workspace_id=workspace_id, connection_id=lease.connection_id, is_new=is_new)
    except (DataError, IntegrityError) as error:
        if len(lines) == 1:
            reason = str(error).split("CONTEXT")[0].strip()
            name = lines[0].key.split("\t")[0]
            unreadable = UnreadableAnswer(f"transaction {name[:200]}", reason, lines[0].text[:10_000])
            quarantine.put_away(lease.connection_id, lease.kind, unreadable, now=now)
            return Stored()
    half = len(lines) // 2
    stored = Stored()
    for part in (lines[:half], lines[half:]):
        stored += store_sound(part, workspace_id=workspace_id, lease=lease, now=now, is_new=is_new)
    return stored


# --------------------------------------------------------------------------------------------------- from the backend


key_of = attrgetter("key")


def text_of(lines: list[CopyLine]) -> str:
    """Lines as the text that COPY reads."""
    return "".join([line.text for line in lines])


@dataclass(frozen=True)
class _History:
    """One of the two histories, as `windows` fetches it."""

    source: Source
    path: str

    def __call__(self, start: datetime, end: datetime, offset: int) -> list[CopyLine] | UnreadableAnswer:
        params = {"from": wire.format_time(start), "till": wire.format_time(end), "offset": offset, "limit": PAGE_SIZE}
        return self.source.read_by(read_page, self.path, params)


def _prepared(parts: Iterator[Window]) -> Iterator[tuple[Window, str]]:
    for window in parts:
        yield window, text_of(window.records)


def sync_history(
    lease: Lease, *, source: Source, workspace_id: int, now: datetime, budget_s: float = BUDGET_S
) -> SyncOutcome:
    """Mirror one of the two histories up to `now`; stops with `more` when the time is up. Raises the client's errors.

    While one window goes into the table the next is fetched and decoded.
    """
    cursor, fetch = lease.cursor, _History(source, PATHS[lease.kind])
    stop_at = time.monotonic() + budget_s
    _retry_holes(lease, fetch, workspace_id=workspace_id, now=now)
    start, looked_back = _start(cursor, now)
    known_until = datetime.fromisoformat(cursor["until"]) if "until" in cursor else EPOCH
    holds_doubles = False  # the other history has brought the same deals
    is_reconstructed = keeps_decisions(lease.connection_id)
    width = timedelta(seconds=cursor.get("width_s", FIRST_WIDTH.total_seconds()))
    pages = windows(fetch, key=key_of, start=start, end=now + CLOCK_APART, width=width)
    with ahead(_prepared(pages)) as prepared:
        for window, text in prepared:
            is_new = window.start >= known_until and not holds_doubles
            with transaction.atomic():
                before = newest_deal() if is_reconstructed else 0
                stored = store_sound(
                    window.records, workspace_id=workspace_id, lease=lease, now=now, is_new=is_new, text=text
                )
                if is_reconstructed:
                    _collect(window.records, stored, lease, workspace_id=workspace_id, now=now, after=before)
                _advance(cursor, window, now)
                lease.save(rows=stored.added + stored.changed, complete_until=_complete_until(cursor))
                for page in window.unreadable:
                    quarantine.put_away(lease.connection_id, lease.kind, page, now=now)
            holds_doubles = holds_doubles or stored.added < len(window.records)
            if time.monotonic() > stop_at:
                return SyncOutcome(more=True, complete_until=_complete_until(cursor), error=_holes_text(cursor))
    cursor.update(looked_back)
    cursor.pop("width_s", None)
    return SyncOutcome(complete_until=_complete_until(cursor), error=_holes_text(cursor))


def _collect(
    records: list[CopyLine], stored: Stored, lease: Lease, *, workspace_id: int, now: datetime, after: int
) -> None:
    """Note the signals of what was stored, of everything where something known was corrected."""
    if stored.added or stored.changed:
        times = [line.time for line in records]
        after = 0 if stored.changed else after
        collect_deals(workspace_id, lease.connection_id, min(times), max(times), now=now, after=after)


def _start(cursor: dict, now: datetime) -> tuple[datetime, dict]:
    """Where to begin, and the marks of the lookbacks that this covers."""
    if "until" not in cursor:
        return EPOCH, {}
    until = datetime.fromisoformat(cursor["until"])
    newest = datetime.fromisoformat(cursor.get("newest", cursor["until"]))
    start = max(min(until, newest), until - CLOCK_APART) - OVERLAP
    marks: dict[str, str] = {}
    if until < now - timedelta(hours=1):  # still catching up
        return start, marks
    for name, every, reach in LOOKBACKS:
        if now - datetime.fromisoformat(cursor.get(name, cursor["until"])) >= every or name not in cursor:
            marks[name] = now.isoformat()
            start = min(start, now - reach) if name in cursor else start
    return start, marks


def _advance(cursor: dict, window: Window, now: datetime) -> None:
    """Move the cursor over the window; what could not be read of it becomes a hole that is tried again."""
    until = min(window.end, now).isoformat()
    cursor["until"] = max(cursor.get("until", until), until)
    if window.records:
        newest = max(line.time for line in window.records).isoformat()
        cursor["newest"] = max(cursor.get("newest", newest), newest)
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
        parts = list(windows(fetch, key=key_of, start=start, end=end, width=end - start))
        records = [record for window in parts for record in window.records]
        with transaction.atomic():
            stored = store_sound(records, workspace_id=workspace_id, lease=lease, now=now)
            if keeps_decisions(lease.connection_id):
                _collect(records, stored, lease, workspace_id=workspace_id, now=now, after=0)
            if any(window.unreadable for window in parts):
                hole["tries"] += 1
                pause = min(5 * 2 ** min(hole["tries"], 10), HOLE_PAUSE_CAP_S)
                hole["next"] = (now + timedelta(seconds=pause)).isoformat()
            else:
                lease.cursor["holes"].remove(hole)
                # a hole may have been read in parts, so the last one takes all of this history's pages with it
                span = f" from={hole['span'][0]} till={hole['span'][1]} " if lease.cursor["holes"] else ""
                quarantine.resolve(lease.connection_id, lease.kind, request_prefix=fetch.path + span, now=now)
            for window in parts:
                for page in window.unreadable:
                    quarantine.put_away(lease.connection_id, lease.kind, page, now=now)
            lease.save(rows=stored.added + stored.changed)
