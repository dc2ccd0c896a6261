"""Pages of 1,000 transactions out of a long history, at any depth, beside the naive way.

    python -m tests.benchmarks.bench_history_api [--rows 200000 | --large]

Ours: the whole server side of `GET /users/current/provided-transactions` (the ASGI application is called directly, so
neither sockets nor a client are in the figures). Naive: the same records as a Django model with a column per field,
sliced by OFFSET and encoded with DjangoJSONEncoder. Both walk on from the same depths in the same process; the median
and the worst of the pages after the first are told, the first (a jump into the unknown) by itself.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "copyportal.settings")
import django

django.setup()

import uvloop
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, models

from copying.backend import tokens
from copying.backend.http import create_app
from copying.backend.http.options import ServerOptions, database_url

PAGE = 1000
FROM, TILL = "2020-01-01T00:00:00.000Z", "2030-01-01T00:00:00.000Z"


class NaiveTransaction(models.Model):
    """A transaction as one column per field."""

    deal = models.CharField(max_length=40)
    type = models.CharField(max_length=20)
    time = models.DateTimeField()
    tenant = models.CharField(max_length=64)
    subscriber_id = models.CharField(max_length=64)
    strategy_id = models.CharField(max_length=64)
    symbol = models.CharField(max_length=20)
    position_id = models.CharField(max_length=40)
    subscriber_position_id = models.CharField(max_length=40)
    is_demo = models.BooleanField()
    quantity = models.DecimalField(max_digits=20, decimal_places=2)
    lot_price = models.DecimalField(max_digits=20, decimal_places=5)
    tick_price = models.DecimalField(max_digits=20, decimal_places=5)
    amount = models.DecimalField(max_digits=20, decimal_places=2)
    profit = models.DecimalField(max_digits=20, decimal_places=2)
    swap = models.DecimalField(max_digits=20, decimal_places=2)
    commission = models.DecimalField(max_digits=20, decimal_places=2)
    improvement = models.DecimalField(max_digits=20, decimal_places=2)
    provider_commission = models.DecimalField(max_digits=20, decimal_places=2)
    platform_commission = models.DecimalField(max_digits=20, decimal_places=2)
    latency_ms = models.FloatField()
    slippage = models.FloatField()

    class Meta:
        app_label = "bench"
        indexes = [models.Index(fields=["tenant", "-time", "-id"], name="naive_by_time")]


FILL_NAIVE = """
INSERT INTO bench_naivetransaction (deal, type, time, tenant, subscriber_id, strategy_id, symbol, position_id,
  subscriber_position_id, is_demo, quantity, lot_price, tick_price, amount, profit, swap, commission, improvement,
  provider_commission, platform_commission, latency_ms, slippage)
SELECT n || ':close', 'DEAL_TYPE_SELL', '2025-01-01Z'::timestamptz + n * interval '5 seconds', 'local',
  'account-' || n %% 1000, 's' || n %% 20, 'EURUSD', n::text, (n + 7)::text, true, -0.04, 117566.08745, 1.08123,
  -4702.64, (n %% 700) / 7.0 - 40, -0.12, -0.28, 0, 1.25, 0.25, 35.2, -0.2468 FROM generate_series(1, %s) n
"""
FILL = """
INSERT INTO copying_transactionrecord (sequence, ordinal, time, document, provider_tenant, subscriber_tenant,
  strategy_id, subscriber_id)
SELECT n, 0, '2025-01-01Z'::timestamptz + n * interval '5 seconds', format(
  '{"id":"%%s:close","type":"DEAL_TYPE_SELL","time":"2025-03-04T05:06:07.089Z","subscriberId":"account-%%s",'
  '"symbol":"EURUSD","subscriberUser":{"id":"local","name":"Subscribers of the house","strategies":[{"id":"s%%s",'
  '"name":"Trend following on majors"}]},"providerUser":{"id":"local","name":"Providers of the house","strategies":'
  '[{"id":"s%%s","name":"Trend following on majors"}]},"demo":true,"strategy":{"id":"s%%s","name":"Trend following"},'
  '"positionId":"%%s","slavePositionId":"%%s","improvement":0,"providerCommission":1.25,"platformCommission":0.25,'
  '"incomingProviderCommission":0,"incomingPlatformCommission":0,"quantity":-0.04,"lotPrice":117566.08744776,'
  '"tickPrice":1.08123,"amount":-4702.64349791,"commission":-0.28,"swap":-0.12,"profit":%%s,"metrics":{'
  '"tradeCopyingLatency":261,"tradeCopyingSlippageInBasisPoints":-0.2468,"tradeCopyingSlippageInAccountCurrency":-5.97,'
  '"mtAndBrokerSignalLatency":72,"tradeAlgorithmLatency":35,"mtAndBrokerTradeLatency":176}}',
  n, n %% 1000, n %% 20, n %% 20, n %% 20, n, n + 7, round((n %% 700) / 7.0 - 40, 2)),
  'local', 'local', 's' || n %% 20, 'account-' || n %% 1000 FROM generate_series(1, %s) n
"""


class IdleCore:
    """A core at rest: the history it projected is all there is."""

    async def caught_up(self) -> None:
        return None

    def changes(self, topic: tuple) -> None:
        return None


async def get(app, query: str, token: bytes) -> bytes:
    """One GET straight into the application."""
    parts: list[bytes] = []

    async def receive() -> dict:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict) -> None:
        if message["type"] == "http.response.start":
            assert message["status"] == 200, message
        parts.append(message.get("body", b""))

    path = "/users/current/provided-transactions"
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(b"host", b"backend"), (b"auth-token", token)],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    await app(scope, receive, send)
    return b"".join(parts)


def naive_page(offset: int) -> str:
    rows = NaiveTransaction.objects.filter(tenant="local", time__gte=FROM, time__lt=TILL).order_by("-time", "-id")
    fields = [field.name for field in NaiveTransaction._meta.fields]
    return json.dumps(
        [{name: getattr(row, name) for name in fields} for row in rows[offset : offset + PAGE]], cls=DjangoJSONEncoder
    )


async def measure_ours(depths: list[int], pages: int) -> dict[int, tuple[float, list[float], int]]:
    app = create_app(IdleCore(), ServerOptions("http://127.0.0.1", database_url(), requests_per_minute=10**9))
    token, taken = tokens.issue("local").encode(), {}
    began = time.perf_counter()
    await app.state.service.depths.warm()
    print(f"counted ahead at the start, in the background: {time.perf_counter() - began:.2f} s")
    for depth in depths:
        times = []
        for page in range(pages + 1):
            began = time.perf_counter()
            body = await get(app, f"from={FROM}&till={TILL}&limit={PAGE}&offset={depth + page * PAGE}", token)
            times.append((time.perf_counter() - began) * 1000)
        taken[depth] = times[0], times[1:], len(body)
    await app.state.service.database.close()
    return taken


def measure_naive(depths: list[int], pages: int) -> dict[int, list[float]]:
    taken = {}
    for depth in depths:
        times = []
        for page in range(pages + 1):
            began = time.perf_counter()
            naive_page(depth + page * PAGE)
            times.append((time.perf_counter() - began) * 1000)
        taken[depth] = times[1:]
    return taken


def report(rows: int, pages: int) -> None:
    last = max(0, rows - (pages + 2) * PAGE)
    depths = sorted({0, last // 4, last // 2, last})
    ours = uvloop.run(measure_ours(depths, pages))  # as the backend runs
    naive = measure_naive(depths, max(3, pages // 5))
    print(f"{rows:,} transactions, pages of {PAGE:,} ({ours[depths[0]][2] / 1e6:.2f} MB), ms per page")
    print(f"{'depth':>12}{'jump':>10}{'median':>10}{'worst':>10}{'naive':>10}{'ratio':>8}{'records/s':>12}")
    for depth in depths:
        jump, times, _ = ours[depth]
        median, naive_median = statistics.median(times), statistics.median(naive[depth])
        print(
            f"{depth:>12,}{jump:>10.1f}{median:>10.2f}{max(times):>10.2f}{naive_median:>10.1f}"
            f"{naive_median / median:>8.1f}{PAGE / median * 1000:>12,.0f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--large", action="store_true", help="5 million rows (needs about 10 GB and minutes)")
    parser.add_argument("--pages", type=int, default=30, help="pages read on from each depth")
    arguments = parser.parse_args()
    rows = 5_000_000 if arguments.large else arguments.rows
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        with connection.schema_editor() as editor:
            editor.create_model(NaiveTransaction)
        with connection.cursor() as cursor:
            cursor.execute(FILL, [rows])
            cursor.execute(FILL_NAIVE, [rows])
            cursor.execute("INSERT INTO copying_tenant (id, name, created_at) VALUES ('local', '', now())")
            cursor.execute("VACUUM ANALYZE copying_transactionrecord")
            cursor.execute("VACUUM ANALYZE bench_naivetransaction")
        report(rows, arguments.pages)
    finally:
        connection.creation.destroy_test_db(os.environ.get("PGDATABASE", ""), verbosity=0)


if __name__ == "__main__":
    main()
