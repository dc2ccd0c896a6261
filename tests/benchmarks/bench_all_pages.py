"""Every page of the urlconf over a filled workspace: p50, p95 and queries of each, the slowest first.

    python -m copyportal.services run -- python tests/benchmarks/bench_all_pages.py --subscribers 1000 --points 24

In one process through the whole of Django (sign-in, middleware, templates), each time with an empty cache of figures.
The workspace has subscribers, 20 strategies with followers, transactions, daily results and equity points, whose sums
are worked out as the sync does it. Deals come by SQL, so that a run takes a minute. Uses a database of its own.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ["DEBUG"] = "1"  # static files need not be collected
os.environ["SECRET_KEY"] = os.environ.get("SECRET_KEY") or "a-key-only-for-measuring-0123456789-0123456789-abcdefgh"

from tests.benchmarks.many_rows import prepare

SUBSCRIPTIONS = """
INSERT INTO subscribers_subscription (subscriber_id, strategy_backend_id, strategy_id, multiplier, close_only,
    is_removed, document, first_seen_at)
SELECT u.id, s.backend_id, s.id, 1, '', false, '{}', u.first_seen_at
FROM (SELECT *, row_number() OVER (ORDER BY id) AS place FROM subscribers_subscriber) u
JOIN (SELECT *, row_number() OVER (ORDER BY id) AS place FROM strategies_strategy) s ON s.place = 1 + u.place %% 20
ON CONFLICT DO NOTHING
"""
RESULTS = """
INSERT INTO reporting_dailyresult (workspace_id, connection_id, subscriber_id, strategy_id, day, deals, volume_lots,
    profit, swap, commission, provider_commission, is_accrued)
SELECT workspace_id, connection_id, subscriber_id, strategy_id, (time AT TIME ZONE 'UTC')::date, count(*),
    sum(volume_lots), sum(profit), sum(swap), sum(commission), 0, true
FROM reporting_transaction GROUP BY 1, 2, 3, 4, 5 ON CONFLICT DO NOTHING
"""
POINTS = """
INSERT INTO reporting_equitypoint (connection_id, account_id, time, balance, equity, net_deposits)
SELECT u.connection_id, u.backend_id, date_trunc('hour', now()) - n * interval '1 hour', u.balance, u.equity + n, 0
FROM subscribers_subscriber u CROSS JOIN generate_series(0, %s - 1) n ON CONFLICT DO NOTHING
"""
# they act, need an object that is not here, or end the session
NOT_ASKED = re.compile(
    r"^(accounts/(logout|login|signup)|switch/|theme/|setup/|invitation/|leave/|api/)|<(str|re|slug)"
)


def fill(points: int) -> None:
    """What `many_rows` leaves out; the sums of equity as the sync keeps them."""
    from django.db import connection
    from django.utils import timezone

    from reporting import equity_sums
    from reporting.models import SyncKind, SyncState
    from users.models import Connection

    with connection.cursor() as cursor:
        cursor.execute(SUBSCRIPTIONS.replace("%%", "%"))
        cursor.execute(RESULTS)
        cursor.execute(POINTS, [points])
        cursor.execute("ANALYZE")
    linked, start = Connection.objects.get(), time.perf_counter()
    while not equity_sums.follow_members(linked, save=lambda: None):
        pass
    print(f"sums of equity: {time.perf_counter() - start:.1f} s", flush=True)
    SyncState.objects.update_or_create(
        connection=linked,
        kind=SyncKind.EQUITY,
        defaults={"due_at": timezone.now(), "cursor": {equity_sums.CURSOR_KEY: True}},
    )


def addresses() -> list[str]:
    """Every address that is asked for with nothing or with a strategy's or subscriber's number."""
    from django.urls import URLResolver, get_resolver

    from strategies.models import Strategy
    from subscribers.models import Subscriber

    numbers = {"strategies/": Strategy.objects.earliest("pk").pk, "subscribers/": Subscriber.objects.earliest("pk").pk}
    listed = set()

    def collect(resolver: URLResolver, prefix: str) -> None:
        for pattern in resolver.url_patterns:
            route = prefix + str(pattern.pattern)
            if isinstance(pattern, URLResolver):
                collect(pattern, route)
            elif "(?P" not in route:
                number = next((own for start, own in numbers.items() if route.startswith(start)), None)
                route = route.replace("<int:pk>", str(number)) if number else route
                if "<" not in route and not NOT_ASKED.match(route):
                    listed.add(f"/{route}")

    collect(get_resolver(), "")
    more = (
        "/commissions/?by=subscriber",
        "/transactions/?subscriber=Client",
        "/transactions/?symbol=EURUSD",
        "/overview/equity.json?range=All",
        "/overview/equity.json?range=1W",
        "/subscribers/?q=Client",
        "/transactions/totals/",
    )
    return sorted(listed | set(more))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subscribers", type=int, default=1_000)
    parser.add_argument("--transactions", type=int, default=100_000)
    parser.add_argument("--points", type=int, default=24, help="hourly equity points of each account")
    parser.add_argument("--requests", type=int, default=10)
    chosen = parser.parse_args()
    prepare(chosen.subscribers, chosen.transactions)
    fill(chosen.points)
    import logging

    from django.core.cache import cache
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from users.models import User

    logging.disable(logging.CRITICAL)
    client, rows = Client(raise_request_exception=False, SERVER_NAME="localhost"), []
    client.force_login(User.objects.get(email="alice@example.com"))
    for address in addresses():
        times, status, queries = [], 0, 0
        for number in range(chosen.requests + 1):
            cache.clear()
            client.force_login(User.objects.get(email="alice@example.com"))
            start = time.perf_counter()
            with CaptureQueriesContext(connection) as captured:
                answer = client.get(address, secure=True)
                _ = b"".join(answer.streaming_content) if answer.streaming else answer.content
            status, queries = answer.status_code, len(captured)
            if number:
                times.append((time.perf_counter() - start) * 1000)
            elif status != 200:
                break
        if times:
            times.sort()
            rows.append((statistics.median(times), times[int(len(times) * 0.95)], queries, address))
    print(f"{'p50 ms':>8} {'p95 ms':>8} {'queries':>8}  page")
    for p50, p95, queries, address in sorted(rows, reverse=True):
        print(f"{p50:8.1f} {p95:8.1f} {queries:8}  {address}")


if __name__ == "__main__":
    main()
