"""Every page of the urlconf over a filled workspace: p50, p95 and queries of each, the slowest first.

    python -m copyportal.services run -- python -m tests.benchmarks.bench_all_pages --subscribers 10000 --save ten.json
    python -m copyportal.services run -- python -m tests.benchmarks.bench_all_pages --subscribers 50000 \
        --transactions 5000000 --requests 3 --compare ten.json

In one process through the whole of Django (sign-in, middleware, templates), each time with an empty cache of figures.
`filled_firm` says what the workspace has. Beside pages stand the parts that pages load and poll, filters that find
little or very much, deep pages and the first byte of files. `--compare` adds how many times of a saved run each took.
Uses a database of its own, which is kept while the servers are.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ["SECRET_KEY"] = os.environ.get("SECRET_KEY") or "a-key-only-for-measuring-0123456789-0123456789-abcdefgh"

from tests.benchmarks import filled_firm
from tests.benchmarks.many_rows import prepare

AIM_P50_MS, AIM_P95_MS, AIM_QUERIES, AIM_GROWTH = 50, 150, 20, 2
# parts of pages, filters and sorts that have an address of their own; {…} is an object of the workspace
MORE = (
    "/?part=1",
    "/commissions/?by=subscriber",
    "/commissions/?by=subscriber&q=Client 00",
    "/commissions/?period={month}",
    "/commissions/statements/?state=due",
    "/commissions/statements/?sort=-amount",
    "/commissions/statements/?q=Client 00",
    "/decisions/?outcome=skipped",
    "/decisions/?reason=offline",
    "/decisions/?subscriber=Client",
    "/decisions/?symbol=NOBODY",
    "/decisions/?strategy={strategy_id}",
    "/log/?level=ERROR",
    "/log/?q=result",
    "/log/?q=zzzzz",
    "/log/?subscriber=Client",
    "/overview/equity.json?range=1W",
    "/overview/equity.json?range=1W&as=table",
    "/overview/equity.json?range=All",
    "/positions/?subscriber=Client",
    "/positions/all/?symbol=XAUUSD",
    "/positions/all/?q=Client",
    "/search/?q=Client",
    "/search/?q=zzzzz",
    "/stopouts/?state=active",
    "/strategies/results/?ids={strategies}",
    "/subscribers/?q=Client 00",
    "/subscribers/?q=zzzzz",
    "/subscribers/?sort=-equity",
    "/subscribers/?state=copying",
    "/subscribers/?strategy={strategy_id}",
    "/subscribers/?currency=JPY",
    "/subscribers/results/?ids={subscribers}",
    "/trading-accounts/?q=Client 00",
    "/transactions/?subscriber=Client",
    "/transactions/?subscriber=Client 00",
    "/transactions/?subscriber=zzzzz",
    "/transactions/?symbol=EURUSD",
    "/transactions/?symbol=NOBODY",
    "/transactions/?type=DEAL_TYPE_CREDIT",
    "/transactions/?outcome=zero",
    "/transactions/?deal=deal-77",
    "/transactions/?strategy={strategy_id}",
    "/transactions/?after={deep}",
    "/transactions/totals/?strategy={strategy_id}",
    "/transactions/totals/?subscriber=Client",
    "/transactions/totals/?symbol=NOBODY",
)
FILES = (
    "/transactions/?format=csv",
    "/subscribers/?format=csv",
    "/commissions/?format=csv",
    "/commissions/?by=subscriber&format=csv",
    "/commissions/statements/?format=csv",
    "/commissions/debt/?format=csv",
    "/commissions/periods/?format=csv",
    "/log/?format=csv",
    "/decisions/?format=csv",
)
OF_CLIENTS = (
    "/me/",
    "/me/decisions/",
    "/me/positions/",
    "/me/statements/",
    "/me/agreements/",
    "/transactions/",
    "/transactions/?symbol=NOBODY",
    "/transactions/totals/",
)


class Measured(NamedTuple):
    p50: float
    p95: float
    queries: int
    page: str


def objects() -> dict[str, object]:
    """One of every kind of row that is there, by what pages call it."""
    from accounts.models import BrokerAccount
    from reporting.models import BillingPeriod, Decision, OpenPosition, OpenTrade, Payment, Statement, Transaction
    from reporting.views.history import TRANSACTIONS
    from strategies.models import Strategy
    from subscribers.models import Stopout, Subscriber
    from users.listing.keyset import Order
    from users.models import Connection, Membership

    models = {
        "strategy": Strategy,
        "subscriber": Subscriber,
        "period": BillingPeriod,
        "payment": Payment,
        "statement": Statement,
        "decision": Decision,
        "signal": OpenTrade,
        "position": OpenPosition,
        "stopout": Stopout,
        "account": BrokerAccount,
        "connection": Connection,
        "member": Membership,
    }
    firsts = {name: model.objects.order_by("pk").first() for name, model in models.items()}
    known: dict[str, object] = {name: row.pk for name, row in firsts.items() if row is not None}
    known["strategy_id"] = firsts["strategy"].backend_id
    for name, model in (("strategies", Strategy), ("subscribers", Subscriber)):
        known[name] = ",".join(str(pk) for pk in model.objects.order_by("pk").values_list("pk", flat=True)[:50])
    middle = Transaction.objects.order_by("time")[Transaction.objects.count() // 2]
    known["deep"] = Order("time", True, TRANSACTIONS.name).sign(middle)
    known["month"] = f"{middle.time:%Y-%m}"
    return known


def questions() -> Iterator[tuple[str, str]]:
    """(who asks, the address)."""
    from tests.all_pages import addresses

    known = objects()
    for address in sorted({*addresses(known), *(more.format(**known) for more in MORE), *FILES}):
        yield "alice", address
    for who in ("bob", "carl"):
        for address in OF_CLIENTS:
            yield who, address


def measure(who: str, address: str, requests: int) -> Measured | None:
    """What a page takes; None where it is none. Of files the first byte counts."""
    from django.core.cache import cache
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from users.models import User

    client, person = Client(raise_request_exception=False, SERVER_NAME="localhost"), User.objects
    user, times, queries = person.get(email=f"{who}@example.com"), [], 0
    asked = {"HX-Request": "true"} if "part=1" in address else None
    for number in range(requests + 1):
        cache.clear()
        connection.queries_log.clear()  # it keeps 9,000, and counts no more then
        client.force_login(user)
        with CaptureQueriesContext(connection) if number == 0 else nullcontext([]) as captured:
            start = time.perf_counter()
            answer = client.get(address, secure=True, headers=asked)
            if answer.streaming:
                next(iter(answer.streaming_content), b"")
            else:
                _ = answer.content
            took = (time.perf_counter() - start) * 1000
        answer.close()
        if answer.status_code == 500:
            print(f"500: {who} {address}", flush=True)
        if answer.status_code != 200:
            return None
        if number:
            times.append(took)
        else:
            queries = len(captured)
    times.sort()
    p95 = times[min(len(times) - 1, int(len(times) * 0.95))]
    return Measured(statistics.median(times), p95, queries, f"{address}" if who == "alice" else f"{who} {address}")


def show(rows: list[Measured], before: dict[str, list[float]]) -> None:
    """The table, the slowest first, and what is above the aims."""
    print(f"{'p50 ms':>8} {'p95 ms':>8} {'queries':>8} {'growth':>7}  page")
    for row in sorted(rows, reverse=True):
        growth = f"{row.p50 / before[row.page][0]:.1f}" if row.page in before else ""
        print(f"{row.p50:8.1f} {row.p95:8.1f} {row.queries:8} {growth:>7}  {row.page[:110]}")
    middle = statistics.median(row.p50 for row in rows), statistics.median(row.p95 for row in rows)
    print(f"{len(rows)} pages, in the middle p50 {middle[0]:.1f} ms, p95 {middle[1]:.1f} ms; above the aims:")
    print(f"  p50 above {AIM_P50_MS} ms: {sum(row.p50 > AIM_P50_MS for row in rows)}")
    print(f"  p95 above {AIM_P95_MS} ms: {sum(row.p95 > AIM_P95_MS for row in rows)}")
    print(f"  more than {AIM_QUERIES} queries: {sum(row.queries > AIM_QUERIES for row in rows)}")
    grown = [row for row in rows if row.page in before and row.p50 > AIM_GROWTH * before[row.page][0]]
    if before:
        print(f"  more than {AIM_GROWTH} times the p50 of the run before: {len(grown)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subscribers", type=int, default=1_000)
    parser.add_argument("--strategies", type=int, default=200)
    parser.add_argument("--transactions", type=int, help="100 of each subscriber unless it is said")
    parser.add_argument("--points", type=int, default=24, help="hourly equity points of each account")
    parser.add_argument("--lines", type=int, default=200_000, help="lines of the log")
    parser.add_argument("--decisions", type=int, default=500_000)
    parser.add_argument("--requests", type=int, default=10)
    parser.add_argument("--only", default="", help="pages whose address has this in it")
    parser.add_argument("--save", type=Path, help="keep the figures in this file")
    parser.add_argument("--compare", type=Path, help="figures of a run before")
    chosen = parser.parse_args()
    first = datetime.now(UTC) - timedelta(days=365)
    deals = chosen.transactions or 100 * chosen.subscribers
    prepare(chosen.subscribers, deals, chosen.strategies, first)
    filled_firm.fill(chosen.subscribers, chosen.strategies, chosen.points, chosen.lines, chosen.decisions)
    import logging

    from django.core.management import call_command

    call_command("collectstatic", interactive=False, verbosity=0)
    logging.disable(logging.CRITICAL)
    rows = [
        measured
        for who, address in questions()
        if chosen.only in address and (measured := measure(who, address, chosen.requests))
    ]
    show(rows, json.loads(chosen.compare.read_text()) if chosen.compare else {})
    if chosen.save:
        chosen.save.write_text(json.dumps({row.page: [row.p50, row.p95, row.queries] for row in rows}))


if __name__ == "__main__":
    main()
