"""A signal to 1,000 and 10,000 subscribers: PUT -> executed, durable, answered; and a quote that moves all positions.

Run: python -m tests.benchmarks.bench_fanout DATABASE_URL (a scratch database, migrated; its tables are emptied).
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
import time
from datetime import UTC, datetime

import psycopg

from copying.backend.core import ticks
from copying.backend.core.writer import Core
from copying.backend.state.commands import (
    OpenAccount,
    PutSignal,
    PutStrategy,
    PutSubscriber,
    RemoveSignal,
)
from tests.faults.signal_writer import Drifting

TABLES = (
    "journalentry",
    "snapshot",
    "progress",
    "transactionrecord",
    "userlogrecord",
    "stopoutrecord",
    "decisionrecord",
    "accountsnapshotrecord",
    "accountdealrecord",
    "signalrecord",
)
LIMIT = {"type": "date", "applyTo": "balance-minus-equity", "maxRelativeRisk": 0.5, "closePositions": True}
ROUNDS = 15


async def measure(url: str, routes: int) -> None:
    """One size."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("TRUNCATE " + ", ".join(f"copying_{table}" for table in TABLES))
    core = Core(url, Drifting())
    await core.start(ticking=False)
    core.look_at_market()
    await core.submit(OpenAccount(tenant="t", account_id="prov", name="prov", deposit=100_000))
    await core.submit(
        PutStrategy(tenant="t", strategy_id="S", document={"name": "S", "description": "", "accountId": "prov"})
    )
    await asyncio.gather(
        *(
            core.submit(
                PutSubscriber(
                    tenant="t",
                    subscriber_id=f"a{number}",
                    document={"name": "a", "subscriptions": [{"strategyId": "S"}], "riskLimits": [LIMIT]},
                )
            )
            for number in range(routes)
        )
    )
    await core.caught_up()
    gc.collect()
    gc.freeze()  # as the service does
    answered, projected = [], []
    for number in range(ROUNDS):
        document = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "time": "2100-01-01T00:00:00Z", "volume": 0.2}
        start = time.perf_counter()
        await core.submit(PutSignal(tenant="t", strategy_id="S", signal_id=f"sig{number:05d}", document=document))
        answered.append((time.perf_counter() - start) * 1e3)
        await core.caught_up()
        projected.append((time.perf_counter() - start) * 1e3)
        if number:
            moment = datetime.now(UTC)
            await core.submit(RemoveSignal(tenant="t", strategy_id="S", signal_id=f"sig{number:05d}", time=moment))
            await core.caught_up()
        if number == 0:
            moves = []
            for step in range(20):
                core.book.set_quotes({"EURUSD": (1.1 + step * 1e-5, 1.1001 + step * 1e-5)})
                start = time.perf_counter()
                ticks.due(core.book, core.book.time)
                moves.append((time.perf_counter() - start) * 1e3)
    print(
        f"{routes:>6} routes: first (cold) {answered[0]:.1f} ms, then p50 {statistics.median(answered[1:]):.1f} ms, "
        f"worst {max(answered[1:]):.1f} ms; in the tables p50 {statistics.median(projected):.0f} ms; "
        f"a quote over {routes} positions {statistics.median(moves):.2f} ms"
    )
    await core.stop()
    start = time.perf_counter()
    core = Core(url, Drifting())
    await core.start(ticking=False)
    print(f"       restart with {core.book.positions.size} positions: {time.perf_counter() - start:.2f} s")
    await core.stop()


if __name__ == "__main__":
    for size in (1_000, 10_000):
        asyncio.run(measure(sys.argv[1], size))
