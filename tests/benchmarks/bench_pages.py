"""List pages over many rows: the first and the 1,000th page, one client, granian on one core.

    python tests/benchmarks/bench_pages.py --subscribers 10000 --transactions 1000000

p50 and p99 of whole pages (sign-in, frame, count, 50 rows, template) and the time of the query, beside the usual way:
model objects, Django's template language, OFFSET and COUNT. A list with fewer than 1,000 pages: its last one.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from pathlib import Path
from urllib.parse import urlencode

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ["SECRET_KEY"] = os.environ.get("SECRET_KEY") or "a-key-only-for-measuring-0123456789-0123456789-abcdefgh"

from tests.benchmarks.many_rows import prepare
from tests.benchmarks.serving import Web, session_cookie

DEEP_PAGE = 1_000
PAGE_ROWS = 50
LISTS = ["transactions", "subscribers"]


def deep_address(path: str) -> str:
    """The address of the 1,000th page, or the last, found once with OFFSET."""
    from reporting.models import Transaction
    from reporting.views.history import TRANSACTIONS
    from subscribers.models import Subscriber
    from users.listing.keyset import Order

    if path == "/transactions/":
        order, rows = Order("time", True, TRANSACTIONS.name), Transaction.objects.order_by("-time", "-id")
    else:
        order, rows = Order("name", False, "subscribers"), Subscriber.objects.order_by("name", "id")
    depth = min(DEEP_PAGE * PAGE_ROWS, rows.count()) - PAGE_ROWS
    return f"{path}?{urlencode({'after': order.sign(rows[depth - 1])})}"


def measure(web: Web, path: str, cookie: str, requests: int) -> tuple[float, float]:
    """p50 and p99 in milliseconds, after ten requests that do not count."""
    times = []
    for number in range(requests + 10):
        start = time.perf_counter()
        response = web.open(path, cookie)
        body = response.read()
        if number >= 10:
            times.append((time.perf_counter() - start) * 1000)
        if response.status != 200:
            raise SystemExit(f"{path} answered {response.status}: {body[:300]!r}")
    times.sort()
    return statistics.median(times), times[int(len(times) * 0.99)]


def query_ms(path: str) -> float:
    """Median time of the query that reads the rows of a page, in milliseconds."""
    from django.test import RequestFactory

    from reporting.models import Transaction
    from reporting.views.history import TRANSACTIONS
    from users.models import Workspace

    workspace, times = Workspace.objects.get(), []
    for _ in range(50):
        request = RequestFactory().get(path)
        request.workspace = workspace
        table = TRANSACTIONS.bind(request, Transaction.objects.filter(workspace=workspace))
        start = time.perf_counter()
        assert len(table.rows) == PAGE_ROWS
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subscribers", type=int, default=10_000)
    parser.add_argument("--transactions", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--lists", nargs="+", choices=LISTS, default=LISTS)
    given = parser.parse_args()
    prepare(given.subscribers, given.transactions)
    cookie = session_cookie()
    first, deep = "/transactions/", deep_address("/transactions/")
    print(f"query of one page: first {query_ms(first):.2f} ms, {DEEP_PAGE:,}th {query_ms(deep):.2f} ms")
    pages = [(name, f"/{name}/", deep_address(f"/{name}/")) for name in given.lists]
    with Web("copyportal.asgi:application") as web:
        for name, near, far in pages:
            for label, path in (("first page", near), ("deep page", far)):
                p50, p99 = measure(web, path, cookie, given.requests)
                print(f"ours   {name:13} {label:11} p50 {p50:6.1f} ms  p99 {p99:6.1f} ms", flush=True)
    with Web("tests.benchmarks.naive:application") as web:
        for name in given.lists:
            last = min(DEEP_PAGE, getattr(given, name) // PAGE_ROWS)
            for label, path in (("first page", f"/{name}/"), ("deep page", f"/{name}/?page={last}")):
                p50, p99 = measure(web, path, cookie, max(20, given.requests // 10))
                print(f"usual  {name:13} {label:11} p50 {p50:6.1f} ms  p99 {p99:6.1f} ms", flush=True)


if __name__ == "__main__":
    main()
