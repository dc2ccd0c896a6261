"""Stores lines: compares what should be with what is, and writes only the difference, set-based."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from django.db import connection as database
from django.db.backends.utils import CursorWrapper
from psycopg import Copy

from reporting.commission.deals_in_sql import ChargedDeals
from reporting.commission.history import SpannedCalendar
from reporting.commission.schemes import Line
from reporting.models import BillingPeriod, CommissionLine

ADJUSTMENT = "adjustment:"
STORED_DIGITS = 18  # of exact_amount behind the point
Spans = AbstractSet[tuple[datetime, datetime]]  # [start, end) of billing periods
Lines = Iterable[tuple[str, Line]] | ChargedDeals
_ROWS_AT_ONCE = 500
_JSON = msgspec.json.Encoder()
_TO_ESCAPE = re.compile(r"[\\\t\n\r]")
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})

_STAGE = """
CREATE TEMPORARY TABLE staged_line (
    subscriber_id text, period_start timestamptz, period_end timestamptz, scheme text, policy jsonb, key text,
    occurred_at timestamptz, inputs jsonb, rate numeric, exact_amount numeric, amount numeric, currency text,
    is_provisional boolean, member_id text
) ON COMMIT DROP
"""
_OWNER = ("workspace", "connection", "strategy")
_COLUMNS = (
    "subscriber_id, period_start, period_end, scheme, policy, key, occurred_at, inputs, rate, exact_amount, amount, "
    "currency, is_provisional, member_id"
)
_IS_STALE = """
line.connection_id = %(connection)s AND line.strategy_id = %(strategy)s
AND line.period_start >= coalesce(%(since)s, '-infinity'::timestamptz) AND NOT starts_with(line.key, 'adjustment:')
AND NOT EXISTS (
    SELECT FROM staged_line staged WHERE staged.subscriber_id = line.subscriber_id
    AND staged.period_start = line.period_start AND staged.key = line.key AND staged.member_id = line.member_id)
"""
_REMOVE_STALE = f"""
DELETE FROM reporting_commissionline line WHERE line.subscriber_id = ANY(%(subscribers)s) AND {_IS_STALE}
"""
_REMOVE_STALE_OF_DAYS = f"""
DELETE FROM reporting_commissionline line
USING unnest(%(subscribers)s::text[], %(days)s::timestamptz[]) AS asked(id, day)
WHERE line.subscriber_id = asked.id AND line.occurred_at >= asked.day
  AND line.occurred_at < asked.day + interval '24 hours' AND {_IS_STALE}
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
   OR line.occurred_at <> excluded.occurred_at AND NOT starts_with(line.key, 'adjustment:')
"""
_KEEP_PERIODS = """
INSERT INTO reporting_billingperiod (workspace_id, connection_id, strategy_id, period_start, period_end)
SELECT %(workspace)s, %(connection)s, %(strategy)s, written.period_start, written.period_end
FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS written(period_start, period_end)
WHERE NOT EXISTS (
    SELECT FROM reporting_billingperiod known
    WHERE known.connection_id = %(connection)s AND known.strategy_id = %(strategy)s
      AND known.period_start = written.period_start AND known.period_end = written.period_end)
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


@dataclass(frozen=True, slots=True)
class ReplacedSubscribers:
    """All lines of some subscribers in periods that start at or after `since` (None: there are no settled ones)."""

    subscriber_ids: Collection[str]
    since: datetime | None


@dataclass(frozen=True, slots=True)
class ReplacedDays:
    """Lines for deals of some days: (subscriber, start of the UTC day), in periods that start at or after `since`."""

    days: Sequence[tuple[str, datetime]]
    since: datetime | None


def store_lines(
    workspace_id: int,
    connection_id: int,
    strategy_id: str,
    *,
    lines: Lines,
    replaced: ReplacedSubscribers | ReplacedDays | None,
) -> tuple[int, int]:
    """Make what is replaced hold exactly `lines`: (rows written, rows removed).

    lines: (subscriber id, line), or deals of which the database makes them. Lines that did not change are not touched,
    adjustments neither. replaced: None where these subscribers have no lines yet.
    """
    bound: dict[str, Any] = {"workspace": workspace_id, "connection": connection_id, "strategy": strategy_id}
    with database.cursor() as cursor:
        if replaced is None:
            written, periods = _copy_new(cursor, lines, bound)
            if written:
                _keep_periods(cursor, periods, bound)
            return written, 0
        periods = _stage(cursor, lines)
        bound["since"] = replaced.since
        if isinstance(replaced, ReplacedDays):
            bound["subscribers"], bound["days"] = map(list, zip(*replaced.days, strict=True))
            cursor.execute(_REMOVE_STALE_OF_DAYS, bound)
        else:
            bound["subscribers"] = list(replaced.subscriber_ids)
            cursor.execute(_REMOVE_STALE, bound)
        removed = cursor.rowcount
        written = _merge(cursor, periods, bound, removed)
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
        periods = _stage(cursor, lines)
        bound: dict[str, Any] = {"workspace": workspace_id, "connection": connection_id, "strategy": strategy_id}
        written = _merge(cursor, periods, bound, removed)
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


def _merge(cursor: CursorWrapper, periods: Spans, bound: dict[str, Any], removed: int) -> int:
    """Write what is staged, and keep one row per billing period that has lines."""
    cursor.execute(_MERGE, bound)
    written = int(cursor.rowcount)
    if written:
        _keep_periods(cursor, periods, bound)
    if written or removed:
        cursor.execute(_FORGET_EMPTY_PERIODS, bound)
    cursor.execute("DROP TABLE staged_line")
    return written


def _keep_periods(cursor: CursorWrapper, periods: Spans, bound: dict[str, Any]) -> None:
    starts, ends = map(list, zip(*sorted(periods), strict=True))
    cursor.execute(_KEEP_PERIODS, bound | {"starts": starts, "ends": ends})


def _stage(cursor: CursorWrapper, lines: Lines) -> Spans:
    cursor.execute(_STAGE)
    if isinstance(lines, ChargedDeals):
        return _insert_deals(cursor, "staged_line", lines)[1]
    with cursor.copy(f"COPY staged_line ({_COLUMNS}) FROM STDIN") as copy:
        return _write(copy, lines, "")


def _copy_new(cursor: CursorWrapper, lines: Lines, bound: dict[str, Any]) -> tuple[int, Spans]:
    """Lines of subscribers without any: nothing to compare them with."""
    if isinstance(lines, ChargedDeals):
        return _insert_deals(cursor, "reporting_commissionline", lines, bound)
    before = f"{bound['workspace']}\t{bound['connection']}\t{_escaped(bound['strategy'])}\t"
    columns = f"workspace_id, connection_id, strategy_id, {_COLUMNS}"
    with cursor.copy(f"COPY reporting_commissionline ({columns}) FROM STDIN") as copy:
        periods = _write(copy, lines, before)
    return int(cursor.rowcount), periods


def _insert_deals(
    cursor: CursorWrapper, table: str, deals: ChargedDeals, account: dict[str, Any] | None = None
) -> tuple[int, Spans]:
    """Lines for deals that the database makes itself: (how many, the periods that they are in)."""
    owner = {name: (account or {})[name] for name in _OWNER if account}
    selected = deals.lines("".join(f"%({name})s, " for name in owner))
    if selected is None:
        return 0, set()
    statement, bound = selected
    columns = ", ".join([*(f"{name}_id" for name in owner), _COLUMNS])
    cursor.execute(
        f"""
        WITH written AS (INSERT INTO {table} ({columns}) {statement} RETURNING period_start, period_end)
        SELECT period_start, period_end, count(*) FROM written GROUP BY period_start, period_end
        """,
        bound | owner,
    )
    periods = {(start, end): number for start, end, number in cursor.fetchall()}
    return sum(periods.values()), periods.keys()


def _write(copy: Copy, lines: Iterable[tuple[str, Line]], before: str) -> Spans:
    """The lines as rows of COPY text, `before` in front of each; [start, end) of the periods that they are in.

    Thousands of lines share their terms and their period: the text of these is made once.
    """
    periods: dict[tuple[datetime, datetime], str] = {}
    rows: list[str] = []
    subscriber, before_span, terms_text = None, "", ""
    terms: tuple[dict[str, Any] | None, str] = None, ""
    for subscriber_id, line in lines:
        if subscriber_id != subscriber:
            subscriber, before_span = subscriber_id, f"{before}{_escaped(subscriber_id)}\t"
        span = line.period.start, line.period.end
        if (span_text := periods.get(span)) is None:
            span_text = periods[span] = f"{span[0].isoformat()}\t{span[1].isoformat()}\t"
        if line.policy is not terms[0] or line.scheme != terms[1]:
            terms = line.policy, line.scheme
            terms_text = f"{line.scheme}\t{_escaped(_JSON.encode(line.policy).decode())}\t"
        rows.append(
            f"{before_span}{span_text}{terms_text}{_escaped(line.key)}\t{line.occurred_at.isoformat()}\t"
            f"{_escaped(_JSON.encode(line.inputs).decode())}\t{line.rate}\t{_storable(line.exact_amount)}\t"
            f"{line.amount}\t{line.currency}\t{'t' if line.is_provisional else 'f'}\t{_escaped(line.member)}\n"
        )
        if len(rows) == _ROWS_AT_ONCE:
            copy.write("".join(rows))
            rows.clear()
    copy.write("".join(rows))
    return periods.keys()


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES) if _TO_ESCAPE.search(text) else text


def _storable(exact: Decimal) -> str:
    """An exact amount with as many digits as are kept."""
    text = str(exact)
    if len(text) <= STORED_DIGITS and "E" not in text:
        return text
    exponent = exact.as_tuple().exponent
    fits = isinstance(exponent, int) and exponent >= -STORED_DIGITS
    return text if fits else str(round(exact, STORED_DIGITS))
