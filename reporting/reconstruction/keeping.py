"""Reconstructed decisions as rows: an id of what each is about, and counts that move with what changes."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from datetime import UTC
from decimal import Decimal

from django.db import connection as database
from django.db import transaction

from reporting.models import Decision, MirroredSignal
from reporting.reconstruction.expected import (
    ProviderTrade,
)
from reporting.reconstruction.matching import Found
from reporting.sync.decisions import COUNT
from users.models import Connection


def row_of(backend: Connection, signal: MirroredSignal, leaf: str, trade: ProviderTrade, finding: Found) -> Decision:
    """The row of what was found."""
    provider, scaled, multiplied, limited, rounded, final = map(_decimal, finding.volumes)
    about = "\x1f".join((signal.signal_id, finding.strategy_id, finding.subscriber_id))
    return Decision(
        workspace_id=backend.workspace_id,
        connection_id=backend.pk,
        backend_id="r-" + hashlib.blake2b(about.encode(), digest_size=20).hexdigest(),
        time=signal.time,
        signal_id=signal.signal_id,
        strategy_id=finding.strategy_id,
        source_strategy_id=leaf,
        subscriber_id=finding.subscriber_id,
        symbol=trade.symbol[:32],
        subscriber_symbol=finding.symbol[:32],
        side=finding.side,
        outcome=finding.outcome,
        reason=finding.reason,
        level=finding.level,
        provider_lots=provider,
        scaled_lots=scaled,
        multiplied_lots=multiplied,
        limited_lots=limited,
        rounded_lots=rounded,
        final_lots=final,
        limit_value=_decimal(finding.limit_value),
        text=finding.text,
        is_reconstructed=True,
        expected_lots=_decimal(finding.expected),
        assumptions=list(finding.assumptions),
    )


def _decimal(value: float | None) -> Decimal | None:
    return None if value is None or abs(value) > 1e15 else Decimal(repr(round(value, 8)))


KEPT = tuple(
    column.attname
    for column in Decision._meta.concrete_fields
    if column.attname not in ("id", "workspace_id", "connection_id", "backend_id")
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
