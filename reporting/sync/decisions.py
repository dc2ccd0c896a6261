"""Decisions: why each signal was or was not copied, followed oldest first from a call that our backend adds.

Rows never change, so what is there already is left alone and only new rows are counted: rows, counts and cursor move in
one database transaction. New rows go straight into the table, which takes half the work of a staging table; only where
some are there already is the batch staged. A backend that does not offer decisions is asked again once an hour; that is
no error.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.db import IntegrityError, connection, transaction

from copying.client import NotFound
from copying.contract.accounts import DecisionDocument, DecisionPage, DecisionVolumes
from reporting.retention import RecordKind, kept_from
from reporting.sync import quarantine
from reporting.sync.ahead import ahead
from reporting.sync.source import PAGE_SIZE, Source, UnreadableAnswer
from reporting.sync.states import Lease, SyncOutcome
from users.models import Connection

PATH = "/users/current/decisions"
BEGINNING = "0.0"
BATCH_ROWS = 10_000  # what goes into the table at once while catching up
BUDGET_S = 30
ASK_AGAIN_S = 3600
LARGEST = 1e15
UNREADABLE = "The decisions could not be read; the answer is kept in quarantine and tried again."

_COLUMNS = (
    "backend_id",
    "time",
    "signal_id",
    "strategy_id",
    "source_strategy_id",
    "subscriber_id",
    "symbol",
    "subscriber_symbol",
    "side",
    "outcome",
    "reason",
    "level",
    "provider_lots",
    "scaled_lots",
    "multiplied_lots",
    "limited_lots",
    "rounded_lots",
    "final_lots",
    "limit_value",
    "text",
)
_NULL = "\x02"
_TABS = len(_COLUMNS) - 1
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", _NULL: " "})
_NO_VOLUMES = DecisionVolumes()
_COPY_NEW = (
    f"COPY reporting_decision (workspace_id, connection_id, {', '.join(_COLUMNS)})"
    " FROM STDIN (FORMAT text, NULL E'\\x02')"
)
_COPY_STAGE = f"COPY decision_stage ({', '.join(_COLUMNS)}) FROM STDIN (FORMAT text, NULL E'\\x02')"
COUNT = """
    INSERT INTO reporting_decisioncount AS c
        (workspace_id, connection_id, subscriber_id, strategy_id, day, outcome, reason, decisions)
    SELECT %s, %s, * FROM unnest(%s::text[], %s::text[], %s::date[], %s::text[], %s::text[], %s::int[])
    ON CONFLICT (connection_id, subscriber_id, strategy_id, day, outcome, reason)
    DO UPDATE SET decisions = c.decisions + excluded.decisions
"""
_MERGE = f"""
    WITH written AS (
        INSERT INTO reporting_decision (workspace_id, connection_id, {", ".join(_COLUMNS)})
        SELECT %(workspace)s, %(connection)s, {", ".join(_COLUMNS)} FROM decision_stage
        ON CONFLICT (connection_id, backend_id) DO NOTHING
        RETURNING subscriber_id, strategy_id, (time AT TIME ZONE 'UTC')::date AS day, outcome, reason
    ), counted AS (
        INSERT INTO reporting_decisioncount AS c
            (workspace_id, connection_id, subscriber_id, strategy_id, day, outcome, reason, decisions)
        SELECT %(workspace)s, %(connection)s, subscriber_id, strategy_id, day, outcome, reason, count(*)
        FROM written GROUP BY subscriber_id, strategy_id, day, outcome, reason
        ON CONFLICT (connection_id, subscriber_id, strategy_id, day, outcome, reason)
        DO UPDATE SET decisions = c.decisions + excluded.decisions
    )
    SELECT count(*) FROM written
"""


@dataclass
class Batch:
    """Some pages as COPY text with their counts, where to go on, and the page that could not be read, if any."""

    after: str
    lines: list[str] = field(default_factory=list)
    counts: Counter = field(default_factory=Counter)
    unreadable: UnreadableAnswer | None = None


def sync_decisions(
    lease: Lease, *, source: Source, backend: Connection, now: datetime, budget_s: float = BUDGET_S
) -> SyncOutcome:
    """Mirror the decisions that are new. Raises the client's errors."""
    cursor, stop_at = lease.cursor, time.monotonic() + budget_s
    try:
        oldest = kept_from(backend.workspace_id, RecordKind.DECISIONS)
        with ahead(_batches(source, cursor.get("after", BEGINNING), oldest)) as batches:
            for batch in batches:
                with transaction.atomic():
                    rows = store(batch, workspace_id=backend.workspace_id, connection_id=backend.pk)
                    cursor["after"] = batch.after
                    lease.save(rows=rows)
                    if batch.unreadable:
                        quarantine.put_away(lease.connection_id, lease.kind, batch.unreadable, now=now)
                if batch.unreadable:
                    return SyncOutcome(error=UNREADABLE)
                if time.monotonic() > stop_at:
                    return SyncOutcome(more=True)
    except NotFound:
        cursor["is_offered"] = False
        return SyncOutcome(complete_until=now, next_in_s=ASK_AGAIN_S)
    cursor.pop("is_offered", None)
    quarantine.resolve(lease.connection_id, lease.kind, now=now)
    return SyncOutcome(complete_until=now)


def _batches(source: Source, after: str, oldest: datetime | None) -> Iterator[Batch]:
    """What lies behind `after`, in batches; nothing when there is nothing. Raises the client's errors.

    oldest: what is older is not kept (reporting/retention.py), so it is passed by: it may have been counted before.
    """
    batch = Batch(after)
    while True:
        page = source.read(PATH, DecisionPage, {"after": batch.after, "limit": PAGE_SIZE})
        if isinstance(page, UnreadableAnswer):
            batch.unreadable = page
            yield batch
            return
        wanted = page.items if oldest is None else [decision for decision in page.items if decision.time >= oldest]
        batch.lines += [_line(decision) for decision in wanted]
        batch.counts.update(map(_counted, wanted))
        is_last = len(page.items) < PAGE_SIZE or page.next is None or str(page.next) == batch.after
        batch.after = batch.after if page.next is None else str(page.next)
        if batch.lines and (is_last or len(batch.lines) >= BATCH_ROWS):
            yield batch
            batch = Batch(batch.after)
        if is_last:
            return


def _line(decision: DecisionDocument) -> str:
    """One decision as a line of COPY text, cut to what the columns keep."""
    volumes = decision.volumes or _NO_VOLUMES
    fields = (
        str(decision.id)[:64],
        decision.time.isoformat(),
        decision.signal_id[:64],
        decision.strategy_id[:64],
        (decision.source_strategy_id or decision.strategy_id)[:64],
        decision.subscriber_id[:64],
        decision.symbol[:32],
        (decision.subscriber_symbol or "")[:32],
        (decision.side or "")[:5],
        decision.outcome[:8],
        decision.reason[:40],
        "" if decision.level in (None, "none") else decision.level[:16],
        _number(volumes.provider),
        _number(volumes.scaled),
        _number(volumes.multiplied),
        _number(volumes.limited),
        _number(volumes.rounded),
        _number(volumes.final),
        _number(decision.limit_value),
        (decision.text or decision.reason_text)[:400],
    )
    line = "\t".join(fields)
    if "\\" in line or "\n" in line or "\r" in line or line.count("\t") != _TABS:
        line = "\t".join([value if value == _NULL else value.translate(_ESCAPES) for value in fields])
    return line


def _number(value: float | None) -> str:
    return repr(value) if value is not None and abs(value) < LARGEST else _NULL


def _counted(decision: DecisionDocument) -> tuple:
    """What a decision counts under, as the columns keep it."""
    day = decision.time.astimezone(UTC).date()
    return decision.subscriber_id[:64], decision.strategy_id[:64], day, decision.outcome[:8], decision.reason[:40]


def store(batch: Batch, *, workspace_id: int, connection_id: int) -> int:
    """Add decisions that are new and count them; returns how many were. Call it in a transaction."""
    if not batch.lines:
        return 0
    try:
        with transaction.atomic(), connection.cursor() as database:
            with connection.wrap_database_errors, database.copy(_COPY_NEW) as copy:
                copy.write("".join([f"{workspace_id}\t{connection_id}\t{line}\n" for line in batch.lines]))
            keys = sorted(batch.counts)
            columns = [list(column) for column in zip(*keys, strict=True)]
            database.execute(COUNT, [workspace_id, connection_id, *columns, [batch.counts[key] for key in keys]])
    except IntegrityError:
        return _merge(batch.lines, workspace_id=workspace_id, connection_id=connection_id)
    return len(batch.lines)


def _merge(lines: list[str], *, workspace_id: int, connection_id: int) -> int:
    """As `store`, where some of the decisions are there already."""
    with connection.cursor() as database:
        database.execute(
            f"CREATE TEMP TABLE decision_stage ON COMMIT DROP AS SELECT {', '.join(_COLUMNS)}"
            " FROM reporting_decision WITH NO DATA"
        )
        with connection.wrap_database_errors, database.copy(_COPY_STAGE) as copy:
            copy.write("\n".join([*lines, ""]))
        database.execute(_MERGE, {"workspace": workspace_id, "connection": connection_id})
        added = database.fetchone()[0]
        database.execute("DROP TABLE decision_stage")
    return added
