"""Pages of open positions over many of them: p50 and p95 of each page, and of one run of the sums that they read.

    python -m copyportal.services run -- python tests/benchmarks/bench_positions.py --positions 100000

Beside them, in the same run, the naive way: the same page adds up all positions each time, one signal after another.
In process, without a network. Uses a database of its own.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ["SECRET_KEY"] = os.environ.get("SECRET_KEY") or "a-key-only-for-measuring-0123456789-0123456789-abcdefgh"

from tests.benchmarks.many_rows import prepare

ACCOUNTS, SIGNALS, NAIVE_REQUESTS = 5_000, 500, 5
FILL = """
    INSERT INTO reporting_openposition (workspace_id, connection_id, subscriber_id, position_id, strategy_id,
        source_strategy_id, signal_id, symbol, side, lots, open_price, current_price, floating, swap, commission,
        opened_at, changed_at)
    SELECT %(workspace)s, %(connection)s, 'a' || lpad((n %% %(accounts)s)::text, 5, '0'), n::text,
           's' || lpad((g %% 10)::text, 2, '0'), 's' || lpad((g %% 10)::text, 2, '0'), 'g' || g,
           (ARRAY['EURUSD', 'USDJPY', 'XAUUSD', 'GBPUSD', 'AUDUSD', 'US500'])[g %% 6 + 1],
           CASE WHEN g %% 2 = 0 THEN 'buy' ELSE 'sell' END, 0.01 * (n %% 90 + 1), 1.1, 1.2, n %% 200 - 100, 0, 0,
           now() - make_interval(secs => n), now()
    FROM (SELECT n, n %% %(signals)s AS g FROM generate_series(1, %(positions)s) n) rows
"""
SIGNALS_FILL = """
    INSERT INTO reporting_opentrade (workspace_id, connection_id, strategy_id, signal_id, state, is_external, symbol,
        side, lots, open_price, currency, opened_at, copies, accounts, copied_lots, floatings, unread)
    SELECT %(workspace)s, %(connection)s, source_strategy_id, signal_id, 'open', true, min(symbol), min(side), 1, 1.1,
           '', min(opened_at), 0, 0, 0, '[]', 0
    FROM reporting_openposition GROUP BY source_strategy_id, signal_id
"""


def naive_page(workspace) -> None:
    """A page of 50 signals, each with its copies counted and added up, and everything by symbol and currency."""
    from django.db.models import Count, Sum

    from reporting.models import OpenPosition, OpenTrade

    positions = OpenPosition.objects.filter(workspace=workspace)
    for signal in OpenTrade.objects.filter(workspace=workspace).order_by("-opened_at")[:50]:
        own = positions.filter(source_strategy_id=signal.strategy_id, signal_id=signal.signal_id)
        list(own.values("subscriber__currency").annotate(Count("id"), Sum("lots"), Sum("floating")))
    list(positions.values("symbol", "side", "subscriber__currency").annotate(Count("id"), Sum("lots"), Sum("floating")))


def times(act: Callable[[], object], requests: int) -> list[float]:
    """Milliseconds of each repetition, the shortest first; one before them does not count."""
    act()
    took = []
    for _ in range(requests):
        start = time.perf_counter()
        act()
        took.append((time.perf_counter() - start) * 1000)
    return sorted(took)


def say(name: str, took: list[float]) -> None:
    p95 = took[min(len(took) - 1, int(len(took) * 0.95))]
    print(f"{name:58} p50 {took[len(took) // 2]:8.1f} ms   p95 {p95:8.1f} ms   ({len(took)})", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--positions", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=40)
    chosen = parser.parse_args()
    prepare(ACCOUNTS, 1_000)
    from django.core.management import call_command
    from django.db import connection
    from django.test import Client

    from reporting.open_sums import rebuild
    from users.models import Connection, User

    backend = Connection.objects.get()
    values = {
        "workspace": backend.workspace_id,
        "connection": backend.pk,
        "accounts": ACCOUNTS,
        "signals": SIGNALS,
        "positions": chosen.positions,
    }
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE reporting_openposition, reporting_opentrade, reporting_exposuresum")
        cursor.execute(FILL, values)
        cursor.execute(SIGNALS_FILL, values)
        cursor.execute("ANALYZE reporting_openposition, reporting_opentrade")
    say("sums worked out anew (what the sync does)", times(lambda: rebuild(backend, is_list=True), 3))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE reporting_opentrade, reporting_exposuresum")
    call_command("collectstatic", interactive=False, verbosity=0)
    client = Client(headers={"host": "localhost"})
    client.force_login(User.objects.get(email="alice@example.com"))
    for path in (
        "/positions/",
        "/positions/?strategy=s01",
        "/positions/?symbol=EURUSD",
        "/positions/all/",
        "/positions/all/?symbol=EURUSD",
        "/positions/all/?subscriber=a00001",
    ):

        def ask(path: str = path) -> None:
            answer = client.get(path, secure=True)
            assert answer.status_code == 200, (answer.status_code, answer.headers.get("Location"))

        say(path, times(ask, chosen.requests))
    say(
        "naive: 50 signals and the sums from all positions",
        times(lambda: naive_page(backend.workspace), NAIVE_REQUESTS),
    )


if __name__ == "__main__":
    main()
