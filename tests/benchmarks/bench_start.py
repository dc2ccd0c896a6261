"""How long the backend takes to start with a long history: 1 million transactions and 10,000 open positions.

    DATABASE_URL=... python -m tests.benchmarks.bench_start [--transactions 1000000] [--positions 10000]

The history is made by copying itself: signals to all subscribers are opened and closed until so many transactions
stand in the tables. Then the backend is killed (nothing in memory is kept) and started: from its newest snapshot and
the journal behind it. Naive: the same journal replayed from its first entry. The scratch database's tables are emptied.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from datetime import UTC, datetime
from time import perf_counter

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "copyportal.settings")
import django

django.setup()

import psycopg
from django.core.management import call_command

from copying.backend.core.writer import Core
from copying.backend.http.options import database_url
from copying.backend.state.commands import PutSignal, RemoveSignal
from tests.benchmarks.signal_server import empty, subscribers
from tests.faults.signal_writer import Drifting


async def fill(transactions: int, positions: int) -> None:
    """Open and close for everybody, then die with everybody's positions open."""
    core = Core(database_url(), Drifting())
    await core.start(ticking=False)
    core.look_at_market()
    await subscribers(core, positions)
    document = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "time": "2100-01-01T00:00:00Z", "volume": 0.2}
    for number in range(max(1, transactions // positions // 2)):
        signal_id, moment = f"sig{number:05d}", datetime.now(UTC)
        await core.submit(PutSignal(tenant="t", strategy_id="S", signal_id=signal_id, document=document))
        await core.submit(RemoveSignal(tenant="t", strategy_id="S", signal_id=signal_id, time=moment))
        await core.caught_up()
    await core.submit(PutSignal(tenant="t", strategy_id="S", signal_id="last0001", document=document))
    for task in core._tasks:
        task.cancel()
    await asyncio.gather(*core._tasks, return_exceptions=True)
    await core._journal.close()
    await core._projector._connection.close()


async def start(label: str) -> float:
    """Seconds until the core takes commands, with everything told."""
    core = Core(database_url(), Drifting())
    begun = perf_counter()
    await core.start(ticking=False)
    started = perf_counter() - begun
    await core.caught_up()
    print(f"{label:32} {started:7.2f} s, {core.book.positions.size} positions, entry {core.sequence}")
    await core.stop()
    return started


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--transactions", type=int, default=1_000_000)
    options.add_argument("--positions", type=int, default=10_000)
    chosen = options.parse_args()
    call_command("migrate", verbosity=0)
    empty()
    asyncio.run(fill(chosen.transactions, chosen.positions))
    with psycopg.connect(database_url(), autocommit=True) as connection:
        rows = connection.execute("SELECT count(*) FROM copying_transactionrecord").fetchone()[0]
        print(f"{rows} transactions")
        after_kill = asyncio.run(start("after a kill"))
        asyncio.run(start("after a clean end"))
        connection.execute("DELETE FROM copying_snapshot")
    naive = asyncio.run(start("replay of the whole journal"))
    print(f"ratio {naive / after_kill:.0f}")


if __name__ == "__main__":
    main()
