"""The backend whose hold on the data set ends while it runs: it stops at once, and never beside its successor."""

from __future__ import annotations

import signal
import threading
from collections import Counter

import psycopg
import pytest

from copying.backend.core.journal import LOCK
from tests.faults.test_http_kills import SUBSCRIBERS, Backend, play, set_up
from tests.faults.test_http_kills import url as url

pytestmark = pytest.mark.django_db

HOLDERS = (
    "SELECT pid FROM pg_locks WHERE locktype = 'advisory'"
    " AND (classid::bigint << 32) | objid::bigint = %s AND database ="
    " (SELECT oid FROM pg_database WHERE datname = current_database())"
)


def take_the_lock_away(url: str) -> None:
    """End the connection that holds it, as a restart of PostgreSQL or an administrator does."""
    with psycopg.connect(url, autocommit=True) as connection:
        ((holder,),) = connection.execute(HOLDERS, [LOCK]).fetchall()
        connection.execute("SELECT pg_terminate_backend(%s)", [holder])


def test_an_idle_backend_without_its_lock_ends(url: str, capfd: pytest.CaptureFixture) -> None:
    backend = Backend(url)
    backend.start()
    set_up(backend)
    take_the_lock_away(url)
    assert backend.process.wait(10) == 3
    assert "connection that holds the lock is gone" in capfd.readouterr().err


def test_a_successor_and_the_one_that_lost_its_lock_copy_everything_once(url: str) -> None:
    first, second = Backend(url), Backend(url)
    first.start()
    set_up(first)
    second.strategy = first.strategy
    answered = []
    for round_ in (1, 2):
        timer = threading.Timer(0.2 * round_, take_the_lock_away, [url])  # in the middle of what the client sends
        timer.start()
        answered += play(first, round_ * 1_000_000)
        timer.join()
        second.start()  # while the first may still be ending
        assert first.process.wait(10) == 3
        first, second = second, first
    first.end(signal.SIGTERM)
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT document::json->>'positionId', subscriber_id, split_part(document::json->>'id', ':', 2)"
            " FROM copying_transactionrecord"
        ).fetchall()
        sequences = connection.execute("SELECT count(*), max(sequence) FROM copying_journalentry").fetchone()
    deals = Counter(rows)
    assert sequences[0] == sequences[1], "the journal has a gap"
    assert answered
    assert max(deals.values()) == 1
    for signal_id, kind in answered:
        assert sum((signal_id, f"a{number}", kind) in deals for number in range(SUBSCRIBERS)) == SUBSCRIBERS
