"""The backend killed at any moment: what it acknowledged is copied exactly once, and money adds up."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psycopg
import pytest

from copying.backend.core.writer import AlreadyRunning, Core
from copying.backend.http import reads
from tests.faults.signal_writer import DEPOSIT, SUBSCRIBERS, Drifting

pytestmark = pytest.mark.django_db  # without it the tests' database would not be made, and another one emptied
ROOT = Path(__file__).resolve().parents[2]


def run_and_kill(url: str, first: int, seconds: float) -> list[tuple[str, str]]:
    """Run the writer, kill it after a while; what it acknowledged."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.signal_writer", url, str(first)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "copyportal.settings"},
    )
    assert process.stdout.readline().strip() == "ready"
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    lines = process.stdout.read().splitlines()
    process.wait()
    return [tuple(line.split()) for line in lines if len(line.split()) == 2]


def test_nothing_acknowledged_is_lost_or_doubled_by_kills(tables: str) -> None:
    seed = random.randrange(10**6)
    draw = random.Random(seed)
    acknowledged: list[tuple[str, str]] = []
    for round_ in range(4):
        acknowledged += run_and_kill(tables, (round_ + 1) * 1_000_000, draw.uniform(0.05, 0.6))
    core = asyncio.run(recovered(tables))
    with psycopg.connect(tables) as connection:
        rows = connection.execute(
            "SELECT document::json->>'positionId', subscriber_id, split_part(document::json->>'id', ':', 2),"
            " (document::json->>'profit')::numeric + (document::json->>'commission')::numeric"
            " FROM copying_transactionrecord"
        ).fetchall()
    deals = Counter((position, subscriber, kind) for position, subscriber, kind, _ in rows)
    assert max(deals.values()) == 1, f"seed {seed}: a deal was doubled"
    for signal_id, kind in acknowledged:
        copies = sum((signal_id, f"a{number}", kind) in deals for number in range(SUBSCRIBERS))
        assert copies == SUBSCRIBERS, f"seed {seed}: {kind} of {signal_id} has {copies} copies"
    for number in range(SUBSCRIBERS):
        moved = sum(result for _, subscriber, _, result in rows if subscriber == f"a{number}")
        account = reads.account(core.book, "t", f"a{number}")
        assert account["balance"] == pytest.approx(DEPOSIT + float(moved), abs=1e-6)


async def recovered(url: str) -> Core:
    """A core that has recovered, projected everything and ended."""
    core = Core(url, Drifting(), fail=pytest.fail)
    await core.start(ticking=False)
    await core.caught_up()
    await core.stop()
    return core


def test_a_second_writer_is_turned_away(tables: str) -> None:
    async def two() -> None:
        first = Core(tables, Drifting(), fail=pytest.fail)
        await first.start(ticking=False)
        try:
            with pytest.raises(AlreadyRunning, match="only one"):
                await Core(tables, Drifting(), fail=pytest.fail).start()
        finally:
            await first.stop()

    asyncio.run(two())
