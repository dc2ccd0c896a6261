"""SIGKILL between a signal's durable entry and the last of its orders: afterwards everybody has exactly one."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys

import psycopg
import pytest

from copying.backend.core.journal import decode_entry
from copying.backend.state.commands import PutSignal
from tests.faults.dying_writer import POINTS
from tests.faults.signal_writer import SUBSCRIBERS
from tests.faults.test_backend_kills import ROOT, recovered

pytestmark = pytest.mark.django_db  # without it the tests' database would not be made, and another one emptied


def run_until_death(url: str, first: int, point: str, visits: int) -> list[tuple[str, ...]]:
    """What was acknowledged until then."""
    words = [sys.executable, "-m", "tests.faults.dying_writer", url, str(first), point, str(visits)]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "copyportal.settings"}
    process = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment, timeout=60)
    assert process.returncode == -signal.SIGKILL
    return [tuple(line.split()) for line in process.stdout.splitlines() if len(line.split()) == 2]


@pytest.mark.parametrize("point", POINTS)
def test_every_subscriber_has_one_order_wherever_the_backend_died(tables: str, point: str) -> None:
    seed = random.randrange(10**6)
    acknowledged = run_until_death(tables, 1_000_000, point, random.Random(seed).randrange(1, 12))
    core = asyncio.run(recovered(tables))
    with psycopg.connect(tables) as connection:
        payloads = connection.execute("SELECT payload FROM copying_journalentry ORDER BY sequence").fetchall()
        orders = connection.execute(
            "SELECT document::json->>'positionId', count(*), count(DISTINCT subscriber_id)"
            " FROM copying_transactionrecord WHERE document::json->>'id' LIKE '%:open' GROUP BY 1"
        ).fetchall()
    commands = [decode_entry(bytes(payload)).command for (payload,) in payloads]
    durable = {command.signal_id for command in commands if isinstance(command, PutSignal)}
    opened = {each[0] for each in acknowledged if each[1] == "open"}
    assert opened <= durable, f"seed {seed}: acknowledged and lost"
    wanted = {(signal_id, SUBSCRIBERS, SUBSCRIBERS) for signal_id in durable}
    assert set(orders) == wanted, f"seed {seed}: not exactly one order each"
    closed = {each[0] for each in acknowledged if each[1] == "close"}
    held = {signal.id for signal in core.book.signals.values()}
    assert not held & closed
    assert core.book.positions.size == SUBSCRIBERS * len(held), f"seed {seed}"
