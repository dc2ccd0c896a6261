"""How many rows a list has: exact when that is cheap, else what PostgreSQL's statistics say, and said to be so."""

from __future__ import annotations

import json
from dataclasses import dataclass

from django.core.exceptions import EmptyResultSet
from django.db import connection

EXACT_UP_TO_ROWS = 5_000
EXACT_UP_TO_COST = 20_000


@dataclass(frozen=True)
class Count:
    """A number of rows and whether it was counted."""

    rows: int
    is_exact: bool


def count_rows(queryset) -> Count:
    """Count when the planner expects few rows at little cost; otherwise its estimate, rounded to two figures."""
    plain = queryset.order_by().values_list("pk")
    rows, cost = estimate(plain)
    if rows <= EXACT_UP_TO_ROWS and cost <= EXACT_UP_TO_COST:
        number = plain[: EXACT_UP_TO_ROWS + 1].count()
        if number <= EXACT_UP_TO_ROWS:
            return Count(number, is_exact=True)
        rows = max(rows, number)
    return Count(two_figures(rows), is_exact=False)


def two_figures(rows: int) -> int:
    """Rounded to two significant figures: 48 213 -> 48 000."""
    unit = 10 ** max(0, len(str(rows)) - 2)
    return round(rows / unit) * unit


def estimate(queryset) -> tuple[int, float]:
    """How many rows the planner expects, and at what cost; none where the conditions exclude each other."""
    try:
        sql, parameters = queryset.query.get_compiler(using=queryset.db).as_sql()
    except EmptyResultSet:
        return 0, 0.0
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", parameters)
        plan = cursor.fetchone()[0]
    plan = (json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]
    return int(plan["Plan Rows"]), float(plan["Total Cost"])
