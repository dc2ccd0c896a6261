"""The commission ledger: built from nothing, a batch of new deals into it, and the page of a month.

    python -m copyportal.services run -- python -m tests.benchmarks.bench_commission --deals 1000000 5000000

For each number of deals: how fast the ledger is written from nothing and once more (lines/s), how long a batch of new
deals takes, beside the usual way on a part of both (model objects, one `update_or_create` per line), totals by client
and month from the deals beside those of the ledger (`check_totals`), and the page of a month over all subscribers. A
database of its own (`many_rows`). Beside seconds stand those of the processor, of this process and of its database
session, which a busy machine does not stretch.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ["SECRET_KEY"] = os.environ.get("SECRET_KEY") or "a-key-only-for-measuring-0123456789-0123456789-abcdefgh"

from tests.benchmarks import check_totals
from tests.benchmarks.many_rows import prepare
from tests.benchmarks.serving import Web, session_cookie

SCHEMES = (
    ("amount-won", 0.2),
    ("lots-won", 6),
    ("high-water-mark", 0.2),
    ("flat-fee", 30),
    ("amount-traded", 0.0001),
)
NEW_DEALS = """
INSERT INTO reporting_transaction (workspace_id, connection_id, backend_id, subscriber_id, strategy_id, time, type,
    symbol, position_id, subscriber_position_id, volume_lots, amount, profit, swap, commission, improvement,
    provider_commission, platform_commission)
SELECT workspace_id, connection_id, 'new-' || %(run)s || '-' || n || (ARRAY[':open', ':close'])[1 + n / 20 %% 2],
    'a' || lpad((n %% %(subscribers)s)::text, 5, '0'), 's' || lpad((n %% 20)::text, 2, '0'),
    %(newest)s + n * interval '1 millisecond', 'DEAL_TYPE_BUY', 'EURUSD', 'p' || n, 'q' || n, 0.5, 1000,
    (n %% 401 - 150) / 10.0, 0, 0, 0, 0, 0
FROM generate_series(1, %(batch)s) n,
    (SELECT workspace_id, id AS connection_id FROM users_connection LIMIT 1) linked
"""
DAYS = """
INSERT INTO reporting_dailyresult (workspace_id, connection_id, subscriber_id, strategy_id, day, deals, volume_lots,
    profit, swap, commission, provider_commission, is_accrued)
SELECT workspace_id, connection_id, subscriber_id, strategy_id, (time AT TIME ZONE 'UTC')::date, count(*),
    0, 0, 0, 0, 0, false
FROM reporting_transaction WHERE time >= %(since)s GROUP BY 1, 2, 3, 4, 5
ON CONFLICT (connection_id, subscriber_id, strategy_id, day) DO UPDATE SET is_accrued = false
"""


def execute(statement: str, **bound: object) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(statement, bound)


def make_strategies_charge(newest: datetime) -> None:
    """A scheme for each strategy, the days of all deals, and a history that is known to be complete."""
    from reporting.models import DailyResult, SyncKind, SyncState
    from strategies.models import Strategy

    for number, strategy in enumerate(Strategy.objects.order_by("backend_id")):
        scheme, rate = SCHEMES[number % len(SCHEMES)]
        stated = {"type": scheme, "commissionRate": rate, "billingPeriod": "month"}
        strategy.document = {"commissionScheme": stated}
        strategy.save()
    DailyResult.objects.all().delete()
    execute(DAYS, since=datetime(2000, 1, 1, tzinfo=newest.tzinfo))
    for kind in (SyncKind.PROVIDED, SyncKind.SUBSCRIBED):
        known = {"due_at": newest, "complete_until": newest}
        SyncState.objects.update_or_create(connection_id=connection_id(), kind=kind, defaults=known)
    with_statistics()


def with_statistics() -> None:
    execute("VACUUM ANALYZE")


def connection_id() -> int:
    from users.models import Connection

    return Connection.objects.get().pk


def forget_lines() -> None:
    execute("TRUNCATE reporting_commissionline, reporting_accrualstate, reporting_billingperiod CASCADE")


def forget_ledger() -> None:
    forget_lines()
    execute("TRUNCATE reporting_termsversion, reporting_subscriptionlifetime CASCADE")
    execute("DELETE FROM reporting_transaction WHERE backend_id LIKE 'new-%%'")


@dataclass(frozen=True, slots=True, order=True)
class Took:
    """Seconds by the clock, and of the processor: of this process and of its database session."""

    seconds: float
    here: float
    database: float

    def __str__(self) -> str:
        return f"{self.seconds:.2f} s (processor {self.here:.2f} + {self.database:.2f} s)"


class Stopwatch:
    def __init__(self) -> None:
        self.begun = time.perf_counter(), time.process_time(), session_seconds()

    def stop(self) -> Took:
        now = time.perf_counter(), time.process_time(), session_seconds()
        return Took(*(end - start for start, end in zip(self.begun, now, strict=True)))


def session_seconds() -> float:
    """Processor seconds of the database session, which runs on this machine."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        fields = Path(f"/proc/{cursor.fetchone()[0]}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def accrue(now: datetime) -> tuple[Took, int]:
    """What bringing the ledger up to `now` took, and the lines written."""
    from reporting.commission.services import accrue_workspace
    from users.models import Workspace

    watch = Stopwatch()
    accrued = accrue_workspace(Workspace.objects.get().pk, now)
    return watch.stop(), accrued.lines_written


def usual_way(deals: Iterable) -> tuple[float, int]:
    """(seconds, lines) of model objects: a query for the terms and one `update_or_create` for each deal."""
    from reporting.models import CommissionLine
    from strategies.models import Strategy

    start, lines = time.perf_counter(), 0
    for deal in deals:
        scheme = Strategy.objects.get(backend_id=deal.strategy_id).document["commissionScheme"]
        month = deal.time.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        exact = max(Decimal(0), deal.profit) * Decimal(str(scheme["commissionRate"]))
        CommissionLine.objects.update_or_create(
            connection_id=deal.connection_id,
            subscriber_id=deal.subscriber_id,
            strategy_id=deal.strategy_id,
            period_start=month,
            key=f"usual {deal.backend_id}",
            member_id="",
            defaults={
                "workspace_id": deal.workspace_id,
                "period_end": month + timedelta(days=31),
                "scheme": "amount-won",
                "occurred_at": deal.time,
                "rate": Decimal("0.2"),
                "exact_amount": exact,
                "amount": round(exact, 2),
                "currency": "USD",
            },
        )
        lines += 1
    return time.perf_counter() - start, lines


def measure_usual_way(number: int) -> float:
    """Lines per second of the usual way, on `number` deals; nothing of it stays."""
    from django.db import transaction

    from reporting.models import Transaction

    with transaction.atomic():
        took, lines = usual_way(Transaction.objects.order_by("-time")[:number].iterator())
        transaction.set_rollback(True)
    return lines / took


def measure_batches(size: int, subscribers: int, newest: datetime, repeats: int) -> list[Took]:
    """What the ledger takes for each batch of new deals."""
    times = []
    for run in range(repeats):
        execute(NEW_DEALS, run=run, subscribers=subscribers, batch=size, newest=newest)
        execute(DAYS, since=newest)
        took, _ = accrue(newest + timedelta(minutes=1))
        times.append(took)
    return times


def measure_totals(deals: int, usual: int) -> None:
    """Print how long totals by client and month take from the deals, and that the ledger comes to the same."""
    schemes = {
        f"s{n:02}": (SCHEMES[n % len(SCHEMES)][0], Decimal(str(SCHEMES[n % len(SCHEMES)][1]))) for n in range(20)
    }
    accounts = check_totals.read_accounts()
    with tempfile.TemporaryDirectory() as folder:
        watch = Stopwatch()
        columns = check_totals.read_deals()
        totals = check_totals.totals_of(columns, accounts, schemes)
        read = watch.stop()
        check_totals.keep(columns, Path(folder))
        del columns
        watch = Stopwatch()
        totals = check_totals.totals_of(check_totals.load(Path(folder)), accounts, schemes)
        loaded = watch.stop()
    watch = Stopwatch()
    wrong = check_totals.differences(totals, check_totals.totals_of_ledger(accounts))
    naive = deals / check_totals.measure_naive(10 * usual, schemes)
    print(f"{deals:10,} deals: totals by client and month in {read}, of kept columns in {loaded}", flush=True)
    print(f"{deals:10,} deals: {wrong} totals of the ledger differ, compared in {watch.stop()}", flush=True)
    print(f"{deals:10,} deals: totals the usual way {naive:.0f} s", flush=True)
    if wrong:
        raise SystemExit("The ledger is wrong, or this benchmark.")


def measure_page(path: str, requests: int) -> tuple[float, float]:
    """p50 and p95 in milliseconds, after five requests that do not count."""
    times = []
    with Web("copyportal.asgi:application") as web:
        cookie = session_cookie()
        for number in range(requests + 5):
            start = time.perf_counter()
            answer = web.open(path, cookie)
            body = answer.read()
            if answer.status != 200:
                raise SystemExit(f"{path} answered {answer.status}: {body[:300]!r}")
            if number >= 5:
                times.append((time.perf_counter() - start) * 1000)
    times.sort()
    return statistics.median(times), times[int(len(times) * 0.95)]


def measure(subscribers: int, deals: int, chosen: argparse.Namespace) -> float:
    """Print the figures of one size; the median seconds of a batch."""
    prepare(subscribers, deals)
    from reporting.models import Transaction

    forget_ledger()
    newest = Transaction.objects.order_by("-time").values_list("time", flat=True)[0] + timedelta(seconds=1)
    make_strategies_charge(newest)
    for words in ("from nothing, every day marked as seen", "once more"):
        took, lines = accrue(newest)
        speed = f"{lines / took.seconds:,.0f} lines/s, {deals / took.seconds:,.0f} deals/s"
        print(f"{deals:10,} deals: {lines:,} lines {words} in {took}: {speed}", flush=True)
        if words != "once more":
            forget_lines()
    with_statistics()
    measure_totals(deals, chosen.usual)
    times = measure_batches(chosen.batch, subscribers, newest, chosen.repeats)
    median = statistics.median([took.seconds for took in times])
    print(f"{deals:10,} deals: {chosen.batch:,} new ones in {median:.2f} s", *times, sep="\n    ", flush=True)
    usual = measure_usual_way(chosen.usual)
    print(f"{deals:10,} deals: the usual way {usual:,.0f} lines/s, {chosen.batch / usual:.1f} s a batch", flush=True)
    if chosen.requests:
        p50, p95 = measure_page(f"/commissions/?period={newest:%Y-%m}", chosen.requests)
        print(f"{deals:10,} deals: page of a month over {subscribers:,} p50 {p50:.1f} ms, p95 {p95:.1f} ms", flush=True)
    forget_ledger()  # the next run finds the database as this one did
    return median


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subscribers", type=int, default=10_000, help="a multiple of 20")
    parser.add_argument("--deals", type=int, nargs="+", default=[1_000_000, 5_000_000])
    parser.add_argument("--batch", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--usual", type=int, default=2_000, help="deals that the usual way is measured on")
    parser.add_argument("--requests", type=int, default=200, help="of the page; 0: no page")
    chosen = parser.parse_args()
    medians = [measure(chosen.subscribers, deals, chosen) for deals in chosen.deals]
    if len(medians) > 1:
        print(f"a batch at the last size takes {medians[-1] / medians[0]:.2f} times what it takes at the first")


if __name__ == "__main__":
    main()
