"""The trading logs: one log per strategy, which also tells of its subscribers; a subscriber's own only when asked for.

Per strategy and never per subscriber, because there are few strategies and many subscribers. Lines have no id: a line
is known by its time and a digest of its content, identical lines of one moment by their number.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote

import msgspec
from django.db import connection, transaction

from copying.client import NotFound
from copying.contract import wire
from copying.contract.documents import LogDocument
from reporting.reconstruction.collecting import collect_lines, keeps_decisions
from reporting.retention import RecordKind, kept_from
from reporting.sync import quarantine
from reporting.sync.source import PAGE_SIZE, Source, UnreadableAnswer
from reporting.sync.states import Lease, SyncOutcome
from reporting.sync.windows import windows
from strategies.models import Strategy
from subscribers.models import Subscriber
from users.models import Connection

KEPT_BY_BACKENDS = timedelta(days=30)
OVERLAP = timedelta(minutes=2)
AHEAD = timedelta(hours=1)
MOST_LOGS = 60  # a run asks for so many strategies' logs, those that wait longest first
BUDGET_S = 30


@dataclass(frozen=True)
class _Log:
    """The log of one strategy or subscriber, as `windows` fetches it."""

    source: Source
    path: str

    def __call__(self, start: datetime, end: datetime, offset: int):
        params = {"startTime": wire.format_time(start), "endTime": wire.format_time(end)}
        page = self.source.page(self.path, LogDocument, {**params, "offset": offset, "limit": PAGE_SIZE})
        return page if isinstance(page, UnreadableAnswer) else _numbered(page)


@dataclass(frozen=True)
class DigestedRecord:
    """A log record with the digest that tells it from others of the same moment."""

    record: LogDocument
    digest: str

    @property
    def time(self) -> datetime:
        return self.record.time


def _key(line: DigestedRecord) -> tuple[datetime, str]:
    return line.time, line.digest


def _numbered(page: list[LogDocument]) -> list[DigestedRecord]:
    counts: Counter = Counter()
    lines = []
    for record in page:
        content = msgspec.json.encode(record)
        counts[content] += 1
        digest = hashlib.blake2b(content + b"#%d" % counts[content], digest_size=20).hexdigest()
        lines.append(DigestedRecord(record, digest))
    return lines


def sync_logs(lease: Lease, *, source: Source, backend: Connection, now: datetime) -> SyncOutcome:
    """Mirror the logs of the strategies whose turn it is. Raises the client's errors."""
    until: dict[str, str] = lease.cursor.setdefault("until", {})
    known = list(Strategy.objects.filter(connection=backend, is_removed=False).values_list("backend_id", flat=True))
    turn = sorted(known, key=lambda backend_id: until.get(backend_id, ""))
    stop_at, errors = time.monotonic() + BUDGET_S, []
    oldest = kept_from(backend.workspace_id, RecordKind.LOG)
    for backend_id in turn[:MOST_LOGS]:
        start = datetime.fromisoformat(until[backend_id]) - OVERLAP if backend_id in until else now - KEPT_BY_BACKENDS
        start = start if oldest is None else max(start, oldest)
        log = _Log(source, f"/users/current/strategies/{quote(backend_id, safe='')}/user-log")
        try:
            errors += _mirror(log, lease, backend, start=start, strategy_id=backend_id, now=now)
        except NotFound:
            continue
        with transaction.atomic():
            until[backend_id] = now.isoformat()
            lease.save()
        if time.monotonic() > stop_at:
            break
    lease.cursor["until"] = {backend_id: until[backend_id] for backend_id in known if backend_id in until}
    waits = len(lease.cursor["until"]) < len(known)
    oldest = min(lease.cursor["until"].values(), default=None) if not waits else None
    complete_until = datetime.fromisoformat(oldest) if oldest and not errors else None
    text, has_turns = " ".join(sorted(set(errors))), len(known) > MOST_LOGS
    return SyncOutcome(more=waits, complete_until=complete_until, error=text, has_turns=has_turns)


def _mirror(
    log: _Log, lease: Lease, backend: Connection, *, start: datetime, now: datetime, strategy_id: str = ""
) -> list[str]:
    errors = []
    parts = windows(
        log,
        key=lambda line: (line.time, line.digest),
        start=start,
        end=now + AHEAD,
        width=timedelta(days=40),
        insist=False,
    )
    for window in parts:
        with transaction.atomic():
            rows = store(window.records, backend=backend, strategy_id=strategy_id)
            if rows and keeps_decisions(backend.pk):
                times = [line.time for line in window.records]
                collect_lines(backend.workspace_id, backend.pk, min(times), max(times), now=now)
            for page in window.unreadable:
                quarantine.put_away(lease.connection_id, lease.kind, page, now=now)
                errors.append("A part of the log could not be read; it is kept in quarantine.")
            lease.save(rows=rows)
    return errors


def store(lines: list[DigestedRecord], *, backend: Connection, strategy_id: str = "", subscriber_id: str = "") -> int:
    """Add lines that are new; returns how many were."""
    if not lines:
        return 0
    rows = [_row(line, strategy_id, subscriber_id) for line in lines]
    with connection.cursor() as database:
        database.execute(
            "INSERT INTO reporting_logrecord (workspace_id, connection_id, time, level, message, strategy_id,"
            " subscriber_id, symbol, position_id, side, type, open_price, digest) SELECT %s, %s, * FROM"
            " unnest(%s::timestamptz[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],"
            " %s::text[], %s::text[], %s::numeric[], %s::text[]) ON CONFLICT (connection_id, time, digest) DO NOTHING",
            [backend.workspace_id, backend.pk, *[list(column) for column in zip(*rows, strict=True)]],
        )
        return database.rowcount


def _row(line: DigestedRecord, strategy_id: str, subscriber_id: str) -> tuple:
    record = line.record
    return (
        record.time,
        record.level[:5],
        record.message,
        (record.strategy_id or strategy_id)[:64],
        (record.subscriber_id or subscriber_id)[:64],
        (record.symbol or "")[:32],
        (record.position_id or "")[:64],
        (record.side or "")[:5],
        (record.type or "")[:6],
        record.open_price,
        line.digest,
    )


def sync_subscriber_log(subscriber: Subscriber, *, source: Source, now: datetime) -> int:
    """Fetch the newest day of one subscriber's own log, when somebody looks at it; returns how many lines were new."""
    log = _Log(source, f"/users/current/subscribers/{quote(subscriber.backend_id, safe='')}/user-log")
    parts = windows(log, key=_key, start=now - timedelta(days=1), end=now + AHEAD, insist=False)
    return sum(
        store(window.records, backend=subscriber.connection, subscriber_id=subscriber.backend_id) for window in parts
    )
