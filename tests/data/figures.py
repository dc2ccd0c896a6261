"""What two versions must say alike of the same data: the backend's state as its API says it, the portal's books."""

from __future__ import annotations

from typing import Any

import psycopg

from copying.backend.core.writer import Core
from copying.backend.http import reads
from copying.backend.state.valuation import value

RECORDS = (
    "transactionrecord",
    "userlogrecord",
    "stopoutrecord",
    "decisionrecord",
    "accountsnapshotrecord",
    "signalrecord",
)
COUNTED = (
    "reporting_transaction",
    "reporting_decision",
    "reporting_decisioncount",
    "reporting_logrecord",
    "reporting_dailyresult",
    "reporting_equitypoint",
    "subscribers_stopout",
    "subscribers_subscription",
    "strategies_strategy",
    "users_user",
    "users_membership",
)
WHOLE = (
    "reporting_statement",
    "reporting_statementitem",
    "reporting_payment",
    "reporting_entry",
    "reporting_billingperiod",
)
SUMS = """
SELECT strategy_id, subscriber_id, currency, scheme, count(*), sum(amount), sum(reporting_amount)
FROM reporting_commissionline GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""


class StoredPrices:
    """No prices but those that the data set brings."""

    simulated = True

    def quotes(self, now: float) -> dict[str, tuple[float, float]]:
        return {}


def of_state(core: Core) -> dict[str, Any]:
    """Accounts, positions, orders, open signals and stopouts of everybody."""
    book = core.book
    value(book)
    accounts = [meta.id for meta in book.account_meta]
    return {
        "sequence": book.sequence,
        "balances": dict(zip(accounts, book.accounts.balance.tolist(), strict=True)),
        "equity": dict(zip(accounts, (round(each, 6) for each in book.accounts.equity.tolist()), strict=True)),
        "positions": {meta.id: reads.account_positions(book, meta.tenant, meta.id) for meta in book.account_meta},
        "orders": {meta.id: reads.account_orders(book, meta.tenant, meta.id) for meta in book.account_meta},
        "signals": sorted([each.strategy_id, each.id, each.symbol, each.volume] for each in book.signals.values()),
        "stopouts": sorted([each.tenant, each.number, each.reason] for each in book.active_stopouts),
        "realised": [round(each, 6) for each in book.subscriptions.realised.tolist()],
        "waiting": book.delayed.size,
        "strategies": {key: each.document for key, each in sorted(book.strategies_by_id.items())},
        "subscribers": {key: each.document for key, each in sorted(book.subscribers_by_id.items())},
    }


def of_records(url: str) -> dict[str, int]:
    """How many records of each kind the backend has written."""
    with psycopg.connect(url) as connection:
        return {name: count(connection, f"copying_{name}") for name in RECORDS}


def of_portal(url: str) -> dict[str, Any]:
    """Counts of what is mirrored, sums of commission lines, and every column of the books as text."""
    with psycopg.connect(url, options="-c timezone=UTC") as connection:
        cursor = connection.execute(SUMS)
        sums = [[str(each) for each in row] for row in cursor]
        return {
            "counts": {table: count(connection, table) for table in COUNTED},
            "commission lines": sums,
            **{table: rows_of(connection, table) for table in WHOLE},
        }


def count(connection: psycopg.Connection, table: str) -> int:
    return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def rows_of(connection: psycopg.Connection, table: str) -> list[dict[str, str]]:
    """All rows by id, each column as the database spells it."""
    cursor = connection.execute(f"SELECT * FROM {table} LIMIT 0")
    names = sorted(column.name for column in cursor.description)
    chosen = ", ".join(f'"{name}"::text' for name in names)
    return [
        dict(zip(names, row, strict=True)) for row in connection.execute(f"SELECT {chosen} FROM {table} ORDER BY id")
    ]
