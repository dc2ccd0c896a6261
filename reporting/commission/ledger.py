"""Stores lines: compares what should be with what is, and writes only the difference, set-based."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection as database
from django.db.backends.utils import CursorWrapper

from reporting.commission.history import SpannedCalendar
from reporting.commission.schemes import Line
from reporting.models import BillingPeriod, CommissionLine

ADJUSTMENT = "adjustment:"
STORED_DIGITS = 18  # of exact_amount behind the point

_STAGE = """
CREATE TEMPORARY TABLE staged_line (
    subscriber_id text, period_start timestamptz, period_end timestamptz, scheme text, policy jsonb, key text,
    occurred_at timestamptz, inputs jsonb, rate numeric, exact_amount numeric, amount numeric, currency text,
    is_provisional boolean, member_id text
) ON COMMIT DROP
"""
_COLUMNS = (
    "subscriber_id, period_start, period_end, scheme, policy, key, occurred_at, inputs, rate, exact_amount, amount, "
    "currency, is_provisional, member_id"
)
_REMOVE_STALE = """
DELETE FROM reporting_commissionline line
WHERE line.connection_id = %(connection)s AND line.strategy_id = %(strategy)s
  AND line.subscriber_id = ANY(%(subscribers)s)
  AND line.period_start >= coalesce(%(since)s, '-infinity'::timestamptz)
  AND NOT starts_with(line.key, 'adjustment:')
  AND NOT EXISTS (
      SELECT FROM staged_line staged WHERE staged.subscriber_id = line.subscriber_id
      AND staged.period_start = line.period_start AND staged.key = line.key AND staged.member_id = line.member_id)
"""
_MERGE = f"""
INSERT INTO reporting_commissionline AS line (workspace_id, connection_id, strategy_id, {_COLUMNS})
SELECT %(workspace)s, %(connection)s, %(strategy)s, {_COLUMNS} FROM staged_line
ON CONFLICT (connection_id, subscriber_id, strategy_id, period_start, key, member_id) DO UPDATE SET
    period_end = excluded.period_end, scheme = excluded.scheme, policy = excluded.policy,
    occurred_at = excluded.occurred_at, inputs = excluded.inputs, rate = excluded.rate,
    exact_amount = excluded.exact_amount, amount = excluded.amount, currency = excluded.currency,
    is_provisional = excluded.is_provisional
WHERE (line.period_end, line.scheme, line.policy, line.inputs, line.rate, line.exact_amount, line.currency,
       line.is_provisional)
   IS DISTINCT FROM (excluded.period_end, excluded.scheme, excluded.policy, excluded.inputs, excluded.rate,
       excluded.exact_amount, excluded.currency, excluded.is_provisional)
"""
_KEEP_PERIODS = """
INSERT INTO reporting_billingperiod (workspace_id, connection_id, strategy_id, period_start, period_end)
SELECT DISTINCT %(workspace)s, %(connection)s, %(strategy)s, staged.period_start, staged.period_end
FROM staged_line staged
WHERE NOT EXISTS (
    SELECT FROM reporting_billingperiod known
    WHERE known.connection_id = %(connection)s AND known.strategy_id = %(strategy)s
      AND known.period_start = staged.period_start AND known.period_end = staged.period_end)
ON CONFLICT DO NOTHING
"""
_FORGET_EMPTY_PERIODS = """
DELETE FROM reporting_billingperiod period
WHERE period.connection_id = %(connection)s AND period.strategy_id = %(strategy)s AND period.closed_at IS NULL
  AND NOT EXISTS (
      SELECT FROM reporting_commissionline line
      WHERE line.workspace_id = %(workspace)s AND line.strategy_id = %(strategy)s
        AND line.connection_id = %(connection)s AND line.period_start = period.period_start
        AND line.period_end = period.period_end)
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
        bound: dict[str, Any] = {
            "workspace": workspace_id,
            "connection": connection_id,
            "strategy": strategy_id,
            "subscribers": list(subscriber_ids),
            "since": since,
        }
        cursor.execute(_REMOVE_STALE, bound)
        removed = cursor.rowcount
        written = _merge(cursor, bound, removed)
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
        bound: dict[str, Any] = {"workspace": workspace_id, "connection": connection_id, "strategy": strategy_id}
        written = _merge(cursor, bound, removed)
    return written, removed


def move_adjustments(
    workspace_id: int, connection_id: int, strategy_id: str, calendar: SpannedCalendar, settled_until: datetime | None
) -> None:
    """Open adjustments whose period is cut elsewhere now belong to the one that holds its start."""
    named: dict[str, Any] = {"connection_id": connection_id, "strategy_id": strategy_id}
    bound: dict[str, Any] = {"connection": connection_id, "strategy": strategy_id}
    own = CommissionLine.objects.filter(**named, key__startswith=ADJUSTMENT)
    if settled_until is not None:
        own = own.filter(period_end__gt=settled_until)
    moved = []
    for start, end in set(own.order_by().values_list("period_start", "period_end").distinct()):
        period = calendar.containing(start)
        if (period.start, period.end) != (start, end):
            standing = own.filter(period_start=start, period_end=end)
            standing.update(period_start=period.start, period_end=period.end)
            moved.append(period)
    if moved:
        BillingPeriod.objects.bulk_create(
            [
                BillingPeriod(workspace_id=workspace_id, **named, period_start=target.start, period_end=target.end)
                for target in moved
            ],
            ignore_conflicts=True,
        )
        with database.cursor() as cursor:
            cursor.execute(_FORGET_EMPTY_PERIODS, {"workspace": workspace_id} | bound)


def _merge(cursor: CursorWrapper, bound: dict[str, Any], removed: int) -> int:
    """Write what is staged, and keep one row per billing period that has lines."""
    cursor.execute(_MERGE, bound)
    written = int(cursor.rowcount)
    if written:
        cursor.execute(_KEEP_PERIODS, bound)
    if written or removed:
        cursor.execute(_FORGET_EMPTY_PERIODS, bound)
    cursor.execute("DROP TABLE staged_line")
    return written


def _stage(cursor: CursorWrapper, lines: Iterable[tuple[str, Line]]) -> None:
    cursor.execute(_STAGE)
    with cursor.copy(f"COPY staged_line ({_COLUMNS}) FROM STDIN") as copy:
        for subscriber_id, line in lines:
            period = line.period
            copy.write_row(
                (
                    subscriber_id,
                    period.start,
                    period.end,
                    line.scheme,
                    json.dumps(line.policy),
                    line.key,
                    line.occurred_at,
                    json.dumps(line.inputs),
                    line.rate,
                    _storable(line.exact_amount),
                    line.amount,
                    line.currency,
                    line.is_provisional,
                    line.member,
                )
            )


def _storable(exact: Decimal) -> Decimal:
    exponent = exact.as_tuple().exponent
    fits = isinstance(exponent, int) and exponent >= -STORED_DIGITS
    return exact if fits else round(exact, STORED_DIGITS)
