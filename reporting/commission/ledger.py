"""Stores lines: compares what should be with what is, and writes only the difference, set-based."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from datetime import datetime
from decimal import Decimal

from django.db import connection as database
from psycopg import Cursor

from reporting.commission.schemes import Line

ADJUSTMENT = "adjustment:"
STORED_DIGITS = 18  # of exact_amount behind the point

_STAGE = """
CREATE TEMPORARY TABLE staged_line (
    subscriber_id text, period_start timestamptz, period_end timestamptz, scheme text, policy jsonb, key text,
    occurred_at timestamptz, inputs jsonb, rate numeric, exact_amount numeric, amount numeric, currency text,
    is_provisional boolean
) ON COMMIT DROP
"""
_COLUMNS = (
    "subscriber_id, period_start, period_end, scheme, policy, key, occurred_at, inputs, rate, exact_amount, amount, "
    "currency, is_provisional"
)
_REMOVE_STALE = """
DELETE FROM reporting_commissionline line
WHERE line.connection_id = %(connection)s AND line.strategy_id = %(strategy)s
  AND line.subscriber_id = ANY(%(subscribers)s)
  AND line.period_start >= coalesce(%(since)s, '-infinity'::timestamptz)
  AND NOT starts_with(line.key, 'adjustment:')
  AND NOT EXISTS (
      SELECT FROM staged_line staged WHERE staged.subscriber_id = line.subscriber_id
      AND staged.period_start = line.period_start AND staged.key = line.key)
"""
_MERGE = f"""
INSERT INTO reporting_commissionline AS line (workspace_id, connection_id, strategy_id, {_COLUMNS})
SELECT %(workspace)s, %(connection)s, %(strategy)s, {_COLUMNS} FROM staged_line
ON CONFLICT (connection_id, subscriber_id, strategy_id, period_start, key) DO UPDATE SET
    period_end = excluded.period_end, scheme = excluded.scheme, policy = excluded.policy,
    occurred_at = excluded.occurred_at, inputs = excluded.inputs, rate = excluded.rate,
    exact_amount = excluded.exact_amount, amount = excluded.amount, currency = excluded.currency,
    is_provisional = excluded.is_provisional
WHERE (line.period_end, line.scheme, line.policy, line.inputs, line.rate, line.exact_amount, line.currency,
       line.is_provisional)
   IS DISTINCT FROM (excluded.period_end, excluded.scheme, excluded.policy, excluded.inputs, excluded.rate,
       excluded.exact_amount, excluded.currency, excluded.is_provisional)
"""


def store_open_lines(
    workspace_id: int,
    connection_id: int,
    strategy_id: str,
    *,
    lines: Iterable[tuple[str, Line]],
    subscriber_ids: Collection[str],
    since: datetime | None,
) -> tuple[int, int]:
    """Make the open periods of these subscribers hold exactly `lines`: (rows written, rows removed).

    lines: (subscriber id, line), all in periods that start at or after `since` (None: there are no settled ones).
    Lines that did not change are not touched, adjustments neither.
    """
    with database.cursor() as cursor:
        _stage(cursor, lines)
        bound = {
            "workspace": workspace_id,
            "connection": connection_id,
            "strategy": strategy_id,
            "subscribers": list(subscriber_ids),
            "since": since,
        }
        cursor.execute(_REMOVE_STALE, bound)
        removed = cursor.rowcount
        cursor.execute(_MERGE, bound)
        written = cursor.rowcount
        cursor.execute("DROP TABLE staged_line")
    return written, removed


def store_adjustments(
    workspace_id: int,
    connection_id: int,
    strategy_id: str,
    *,
    lines: Collection[tuple[str, Line]],
    stale_ids: Collection[int],
) -> tuple[int, int]:
    """Write adjustments into the open period and drop open ones that are no longer needed: (written, removed)."""
    with database.cursor() as cursor:
        cursor.execute("DELETE FROM reporting_commissionline WHERE id = ANY(%s)", [list(stale_ids)])
        removed = cursor.rowcount
        _stage(cursor, lines)
        cursor.execute(_MERGE, {"workspace": workspace_id, "connection": connection_id, "strategy": strategy_id})
        written = cursor.rowcount
        cursor.execute("DROP TABLE staged_line")
    return written, removed


def _stage(cursor: Cursor, lines: Iterable[tuple[str, Line]]) -> None:
    cursor.execute(_STAGE)
    with cursor.copy(f"COPY staged_line ({_COLUMNS}) FROM STDIN") as copy:
        for subscriber_id, line in lines:
            period = line.period
            copy.write_row(
                (
                    subscriber_id, period.start, period.end, line.scheme, json.dumps(line.policy), line.key,
                    line.occurred_at, json.dumps(line.inputs), line.rate, _storable(line.exact_amount), line.amount,
                    line.currency, line.is_provisional,
                )
            )  # fmt: skip


def _storable(exact: Decimal) -> Decimal:
    return exact if exact.as_tuple().exponent >= -STORED_DIGITS else round(exact, STORED_DIGITS)
