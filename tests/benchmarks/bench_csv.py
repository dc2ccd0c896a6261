"""CSV of all transactions: our download beside PostgreSQL's own COPY TO and beside csv over model objects.

    python tests/benchmarks/bench_csv.py --transactions 1000000

Through Django's middleware and granian, one client. Time to the first byte, to the last, rows/s and the peak memory of
the web process. `COPY TO` copies the same columns and joins in the same order, raw, to a client that throws them away.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ["SECRET_KEY"] = os.environ.get("SECRET_KEY") or "a-key-only-for-measuring-0123456789-0123456789-abcdefgh"

from tests.benchmarks.many_rows import prepare
from tests.benchmarks.serving import Web, session_cookie


def our_columns_raw() -> tuple[str, tuple]:
    """The SQL of the same download without neutralising or formatting anything."""
    from reporting.models import Transaction
    from reporting.views.history import TRANSACTIONS
    from users.listing.columns import with_columns

    columns = [column for column in TRANSACTIONS.columns if column.in_csv]
    rows = with_columns(Transaction.objects.filter(workspace_id__gt=0), TRANSACTIONS.columns)
    rows = rows.order_by("-time", "-id").values_list(*(column.key for column in columns))
    return rows.query.get_compiler(using="default").as_sql()


def copy_to() -> tuple[float, int]:
    """Seconds and bytes of plain COPY TO STDOUT."""
    from django.db import connection

    statement, parameters = our_columns_raw()
    start, size = time.perf_counter(), 0
    with (
        connection.cursor() as cursor,
        cursor.cursor.copy(f"COPY ({statement}) TO STDOUT (FORMAT csv)", parameters) as rows,
    ):
        for piece in rows:
            size += len(piece)
    return time.perf_counter() - start, size


def download(web: Web, path: str, cookie: str) -> tuple[float, float, int]:
    """Seconds to the first byte of the body, to the last, and bytes."""
    start = time.perf_counter()
    response = web.open(path, cookie)
    size = len(response.read(1))
    first = time.perf_counter() - start
    while piece := response.read(1 << 20):
        size += len(piece)
    assert response.status == 200, response.status
    return first, time.perf_counter() - start, size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--transactions", type=int, default=1_000_000)
    parser.add_argument("--subscribers", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--without-naive", action="store_true")
    given = parser.parse_args()
    prepare(given.subscribers, given.transactions)
    cookie = session_cookie()
    rows = given.transactions

    bound = min(copy_to()[0] for _ in range(given.repeats))
    print(f"{'PostgreSQL COPY TO, raw':34} {bound:7.2f} s  {rows / bound:12,.0f} rows/s")
    with Web("copyportal.asgi:application") as web:
        download(web, "/transactions/?format=csv&symbol=NONE", cookie)
        before = web.memory_mb()
        found = [download(web, "/transactions/?format=csv", cookie) for _ in range(given.repeats)]
        first, best, size = min(f[0] for f in found), min(f[1] for f in found), found[0][2]
        share = bound / best
        print(
            f"{'our download':34} {best:7.2f} s  {rows / best:12,.0f} rows/s  first byte {first * 1000:.1f} ms  "
            f"{size / 1e6:.0f} MB  {share:.0%} of COPY TO  memory {before:.0f} -> {web.memory_mb():.0f} MB"
        )
    if given.without_naive:
        return
    with Web("tests.benchmarks.naive:application") as web:
        first, slow, _ = download(web, "/naive.csv", cookie)
        print(
            f"{'csv over model objects':34} {slow:7.2f} s  {rows / slow:12,.0f} rows/s  "
            f"first byte {first * 1000:.0f} ms  ours is {slow / best:.1f} times as fast"
        )


if __name__ == "__main__":
    main()
