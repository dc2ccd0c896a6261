"""PostgreSQL has no room, or takes no writes: the backend ends aloud, answers nothing untrue, and resumes untouched."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from copyportal.services.process import wait_until_ready
from copyportal.services.servers import Postgres
from tests.faults.test_http_kills import CONFIGURATION, ROOT, Backend

SUBSCRIBERS = 50
ROOM = 17 * 2**20  # bytes in one file: a segment of the write-ahead log fits, a table that grows does not
ALMOST_FULL = """
ALTER TABLE copying_transactionrecord SET (autovacuum_enabled = off);
INSERT INTO copying_transactionrecord
    (time, document, provider_tenant, subscriber_tenant, strategy_id, subscriber_id, sequence, ordinal)
    SELECT now(), repeat('x', 1500), 't', 't', 'S', 'a', 0, number FROM generate_series(1, 10500) AS number;
DELETE FROM copying_transactionrecord
"""  # what is deleted still takes its room
BODY = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "time": "2100-01-01T00:00:00.000Z", "volume": 0.1}


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[Postgres]:
    """A private server with the product's tables, stopped at the end."""
    server = Postgres(tmp_path, durable=False)
    server.prepare()
    child = server.child()
    child.start()
    assert wait_until_ready(child, timeout=30)
    environment = {**os.environ, "DATABASE_URL": server.url, "DJANGO_SETTINGS_MODULE": "copyportal.settings"}
    words = [sys.executable, "manage.py", "migrate", "--verbosity=0", "copying"]
    subprocess.run(words, cwd=ROOT, env=environment, check=True)
    yield server
    child.stop()


def give_room(server: Postgres, most: int) -> None:
    """How large a file may become for every connection made from now on; too large is an error as on a full disk."""
    postmaster = int((server.data / "postmaster.pid").read_text().split()[0])
    _, hard = resource.prlimit(postmaster, resource.RLIMIT_FSIZE)
    resource.prlimit(postmaster, resource.RLIMIT_FSIZE, (most, hard))


def signals_until_death(backend: Backend, first: int, most: int = 5_000) -> list[str]:
    """Signals that were answered with 204 until the backend ended by itself; any other answer is a failure."""
    answered = []
    for number in range(first, first + most):
        status = backend.send("PUT", f"{backend.signals}/{number:08d}", BODY)
        if status is None:
            assert backend.process.wait(30) == 3, "it ended in another way"
            break
        assert status == 204
        answered.append(f"{number:08d}")
    return answered


def assert_each_copied_once(server: Postgres, answered: list[str]) -> None:
    with psycopg.connect(server.url) as connection:
        rows = connection.execute(
            "SELECT document::json->>'positionId', subscriber_id FROM copying_transactionrecord"
        ).fetchall()
    copies = Counter(rows)
    assert max(copies.values()) == 1, "a deal was doubled"
    by_signal = Counter(signal_id for signal_id, _ in copies)
    assert {signal_id: by_signal[signal_id] for signal_id in answered} == dict.fromkeys(answered, SUBSCRIBERS)


def started(server: Postgres) -> Backend:
    """A backend with a strategy and its subscribers."""
    backend = Backend(server.url)
    backend.start()
    backend.provide()
    scaling = {"mode": "fixedVolume", "tradeVolume": 0.01}
    for number in range(SUBSCRIBERS):
        document = {"name": "a", "subscriptions": [{"strategyId": backend.strategy, "tradeSizeScaling": scaling}]}
        assert backend.send("PUT", f"{CONFIGURATION}/subscribers/a{number}", document) == 204
    return backend


def test_a_full_disk_ends_the_backend_and_costs_nothing(postgres: Postgres, capfd: pytest.CaptureFixture) -> None:
    with psycopg.connect(postgres.url) as connection:
        connection.execute(ALMOST_FULL)
    give_room(postgres, ROOM)
    backend = started(postgres)
    answered = signals_until_death(backend, 1_000_000)
    assert answered
    assert "cannot write" in capfd.readouterr().err
    if backend.comes_up():  # still no room: it ends again, with its first record at the latest
        answered += signals_until_death(backend, 2_000_000)
    give_room(postgres, resource.RLIM_INFINITY)
    backend.start()
    answered += signals_until_death(backend, 3_000_000, most=3)
    backend.end(15)
    assert_each_copied_once(postgres, answered)


def test_a_database_that_takes_no_writes_is_answered_for_by_nobody(
    postgres: Postgres, capfd: pytest.CaptureFixture
) -> None:
    backend = started(postgres)
    answered = signals_until_death(backend, 1_000_000, most=5)
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("ALTER DATABASE app SET default_transaction_read_only = on")
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'app' AND pid <> pg_backend_pid()"
        )
    assert signals_until_death(backend, 2_000_000) == []
    if backend.comes_up():
        assert signals_until_death(backend, 3_000_000) == [], "answered although nothing can be kept"
    assert "read-only" in capfd.readouterr().err
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute("ALTER DATABASE app RESET default_transaction_read_only")
    backend.start()
    answered += signals_until_death(backend, 4_000_000, most=3)
    backend.end(15)
    assert_each_copied_once(postgres, answered)
