"""A poll of the balances of many accounts: time and write-ahead log, when none, some and all of them moved.

    python -m copyportal.services run -- python tests/benchmarks/bench_balances.py --accounts 10000

Beside it, in the same run, the naive way: every row is written at every poll. Uses a database of its own.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ["SECRET_KEY"] = os.environ.get("SECRET_KEY") or "a-key-only-for-measuring-0123456789-0123456789-abcdefgh"

from tests.benchmarks.many_rows import prepare

NAIVE = """
UPDATE subscribers_subscriber u SET currency = k.currency, balance = k.balance, equity = k.equity, margin = k.margin,
    leverage = k.leverage, measured_at = k.measured_at, is_simulated = k.is_simulated
FROM unnest(%s::text[], %s::text[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[], %s::timestamptz[],
    %s::boolean[]) AS k (account_id, currency, balance, equity, margin, leverage, measured_at, is_simulated)
WHERE u.connection_id = %s AND u.backend_id = k.account_id AND (u.measured_at IS NULL OR u.measured_at <= k.measured_at)
"""


def naive(backend, accounts, *, now) -> None:
    """Every row, whatever it holds."""
    from django.db import connection

    rows = [(a.account_id, a.currency, a.balance, a.equity, a.margin, a.leverage, now, a.simulated) for a in accounts]
    with connection.cursor() as cursor:
        cursor.execute(NAIVE, [*map(list, zip(*rows, strict=True)), backend.pk])


def measured(poll: Callable[[], object]) -> tuple[float, int]:
    """(milliseconds, bytes of write-ahead log) of a poll."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_wal_lsn()")
        (before,) = cursor.fetchone()
        start = time.perf_counter()
        poll()
        took = (time.perf_counter() - start) * 1000
        cursor.execute("SELECT pg_current_wal_lsn() - %s::pg_lsn", [before])
        return took, int(cursor.fetchone()[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--polls", type=int, default=6)
    chosen = parser.parse_args()
    prepare(chosen.accounts, 1_000)
    from django.db import connection
    from django.utils import timezone

    from copying.contract.accounts import AccountInformation
    from subscribers.mirror import keep_balances
    from users.models import Connection

    backend, now, moved = Connection.objects.get(), timezone.now(), 0
    pages = 1_000  # what the sync stores at once
    for name, keep in (("every row (naive)", naive), ("what differs", keep_balances)):
        for share in (0, 10, 100):
            with connection.cursor() as cursor:
                cursor.execute("VACUUM (FULL, ANALYZE) subscribers_subscriber")
                cursor.execute("CHECKPOINT")
            times, sizes = [], []
            for number in range(chosen.polls + 1):
                now, moved = now + timedelta(seconds=10), moved + 1
                accounts = [
                    AccountInformation(
                        account_id=f"a{n:05}",
                        currency="EUR",
                        balance=Decimal(1000 + n),
                        margin=None,
                        equity=Decimal(1000 + n) + (moved if n % 100 < share else 0),
                        leverage=None,
                    )
                    for n in range(chosen.accounts)
                ]

                def poll(accounts=accounts, keep=keep, now=now) -> None:
                    for start in range(0, len(accounts), pages):
                        keep(backend, accounts[start : start + pages], now=now)

                took, size = measured(poll)
                if number:  # the first one brings the accounts to where the others begin
                    times.append(took)
                    sizes.append(size)
            mean_mb = sum(sizes) / len(sizes) / 1e6
            print(
                f"{name:18} {share:3} % moved: {sum(times) / len(times):6.0f} ms a poll, {mean_mb:6.2f} MB of log,"
                f" {mean_mb * 6 * 60 * 24 / 1000:6.1f} GB a day at a poll each 10 s",
                flush=True,
            )


if __name__ == "__main__":
    main()
