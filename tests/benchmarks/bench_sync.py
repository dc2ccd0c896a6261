"""Sync of a history from a local server into PostgreSQL: the naive way and ours, in one run.

    DATABASE_URL=… python -m tests.benchmarks.bench_sync [--rows 100000]

Both read the same pages of 1,000 over HTTP from a server in a process of its own, into the same table. The
naive way makes a new HTTP client for each request, decodes with `json` and writes with `bulk_create(update_conflicts)`.
Ours is what a worker runs, the daily results and the cursor included. `replay` reads everything a second time; its
database part is timed alone, too. The table is made in a database of its own and dropped afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "copyportal.settings")

PAGE = 1000
NUMBERS = {
    "quantity": "volume_lots",
    "tickPrice": "price",
    "lotPrice": "lot_price",
    "amount": "amount",
    "profit": "profit",
    "swap": "swap",
    "commission": "commission",
    "improvement": "improvement",
    "providerCommission": "provider_commission",
    "platformCommission": "platform_commission",
}
TEXTS = {"type": "type", "symbol": "symbol", "positionId": "position_id", "slavePositionId": "subscriber_position_id"}


def fetch_naively(url: str, offset: int) -> list[dict]:
    """A page as most programs would ask for it: a new client per request."""
    import httpx

    params = {"from": "1970-01-01T00:00:00.000Z", "till": "2100-01-01T00:00:00.000Z", "limit": PAGE, "offset": offset}
    with httpx.Client() as client:
        response = client.get(f"{url}/users/current/provided-transactions", params=params)
    return json.loads(response.content)


def store_naively(connection, page: list[dict]) -> None:
    """A page through the ORM."""
    from reporting.models import Transaction

    rows = [
        Transaction(
            workspace_id=connection.workspace_id,
            connection_id=connection.pk,
            backend_id=deal["id"],
            subscriber_id=deal["subscriberId"],
            strategy_id=deal["strategy"]["id"],
            time=datetime.fromisoformat(deal["time"]),
            latency_ms=deal["metrics"]["tradeCopyingLatency"],
            algorithm_latency_ms=deal["metrics"]["tradeAlgorithmLatency"],
            **{ours: str(deal[theirs]) for theirs, ours in NUMBERS.items()},
            **{ours: deal[theirs] for theirs, ours in TEXTS.items()},
        )
        for deal in page
    ]
    changed = [*NUMBERS.values(), *TEXTS.values(), "time", "latency_ms", "algorithm_latency_ms"]
    unique = ["connection", "subscriber_id", "strategy_id", "backend_id"]
    Transaction.objects.bulk_create(rows, update_conflicts=True, update_fields=changed, unique_fields=unique)


def sync_naively(connection, url: str) -> int:
    """Everything, page after page; returns the rows."""
    offset = 0
    while page := fetch_naively(url, offset):
        store_naively(connection, page)
        offset += len(page)
    return offset


def sync_ours(connection) -> int:
    """One run of the sync as a worker does it, from the beginning; returns the rows read."""
    from reporting.models import SyncKind, SyncState
    from reporting.sync import run, states

    states.ensure_states()
    SyncState.objects.exclude(kind=SyncKind.PROVIDED).update(due_at="2999-01-01T00:00:00Z")
    SyncState.objects.filter(kind=SyncKind.PROVIDED).update(cursor={})
    states.request_sync(connection, [SyncKind.PROVIDED], now=datetime(2000, 1, 1, tzinfo=UTC))
    run.run_due()
    state = SyncState.objects.get(connection=connection, kind=SyncKind.PROVIDED)
    assert not state.error, state.error
    return state.rows_last_run


def replay_into_database(connection, url: str) -> tuple[int, float]:
    """The database part of a replay alone: the same text, in batches of ten pages; rows and seconds."""
    from django.db import transaction

    from reporting.sync.deals import read_page
    from reporting.sync.history import store, text_of

    texts = []
    for offset in range(0, 50_000, 10_000):
        rows = [row for at in range(offset, offset + 10_000, PAGE) for row in fetch_naively(url, at)]
        texts.append(text_of(read_page(json.dumps(rows).encode())))
    started = time.perf_counter()
    for text in texts:
        with transaction.atomic():
            stored = store(text, workspace_id=connection.workspace_id, connection_id=connection.pk)
            assert (stored.added, stored.changed) == (0, 0)
    return sum(text.count("\n") for text in texts), time.perf_counter() - started


def timed(name: str, rows_of, rows: int) -> float:
    """Rows per second of a call, printed."""
    started = time.perf_counter()
    rows_of()
    took = time.perf_counter() - started
    print(f"{name:<38} {took:8.2f} s {rows / took:12,.0f} rows/s")
    return rows / took


def main() -> None:
    """Run everything and print the ratios."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=100_000)
    rows = options.parse_args().rows
    command = [sys.executable, "-m", "tests.faults.sim_backend", "--rows", str(rows)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        measure(server.stdout.readline().strip(), rows)
    finally:
        server.terminate()


def measure(url: str, rows: int) -> None:
    """In a database of its own."""
    import django

    django.setup()
    from django.db import connections
    from django.test.utils import setup_databases, teardown_databases

    databases = setup_databases(verbosity=0, interactive=False)
    try:
        from reporting.models import DailyResult, Transaction
        from tests import builders

        connection = builders.connection(builders.workspace(), base_url=url)
        fetch_naively(url, 0)  # the server encodes its rows once
        sync_ours(connection)  # and everything is warm
        Transaction.objects.all().delete()
        DailyResult.objects.all().delete()
        with connections["default"].cursor() as database:
            database.execute("TRUNCATE reporting_transaction, reporting_dailyresult")
        naive = timed("naive: new client, json, bulk_create", lambda: sync_naively(connection, url), rows)
        naive_again = timed("naive, replay", lambda: sync_naively(connection, url), rows)
        with connections["default"].cursor() as database:
            database.execute("TRUNCATE reporting_transaction, reporting_dailyresult")
        ours = timed("ours: msgspec, COPY, daily results", lambda: sync_ours(connection), rows)
        assert Transaction.objects.count() == rows
        again = timed("ours, replay, end to end", lambda: sync_ours(connection), rows)
        part_rows, took = replay_into_database(connection, url)
        print(f"{'ours, replay, database part':<38} {took:8.2f} s {part_rows / took:12,.0f} rows/s")
        print(f"first sync {ours / naive:.1f} x, replay {again / naive_again:.1f} x the naive way")
    finally:
        teardown_databases(databases, verbosity=0)


if __name__ == "__main__":
    main()
