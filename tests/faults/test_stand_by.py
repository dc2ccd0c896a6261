"""A stand-by beside the backend that works: it takes over after a SIGKILL, on the same port, and nothing is lost."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import psycopg
import pytest

from tests.faults.test_http_kills import ROOT, SUBSCRIBERS, Backend, play, set_up
from tests.faults.test_http_kills import url as url

pytestmark = pytest.mark.django_db
ROUNDS = 3
WAIT_SECONDS = 60


class StandBy:
    """A process that waits for its turn; what it says goes into a file."""

    def __init__(self, backend: Backend, log: Path) -> None:
        self.log = log
        words = [sys.executable, "manage.py", "runbackend", "--stand-by", "--port", str(backend.port)]
        environment = {**backend.environment, "LOG_LEVEL": "INFO"}
        with log.open("wb") as written:
            self.process = subprocess.Popen(words, cwd=ROOT, env=environment, stdout=written, stderr=subprocess.STDOUT)
        self.says("Stands by")

    def says(self, words: str) -> None:
        until = time.monotonic() + WAIT_SECONDS
        while words not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.05)


def is_up(backend: Backend) -> None:
    """Wait until whoever has the port answers."""
    until = time.monotonic() + WAIT_SECONDS
    while backend.send("GET", "/healthz", {}) != 200:
        assert time.monotonic() < until, "nobody took over"
        time.sleep(0.02)


def test_it_takes_over_and_what_was_answered_stays_true(url: str, tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    draw = random.Random(seed)
    backend = Backend(url)
    backend.start()
    set_up(backend)
    answered = []
    for round_ in range(1, ROUNDS + 1):
        next_one = StandBy(backend, tmp_path / f"{round_}.log")
        killer = threading.Timer(draw.uniform(0.3, 1.5), backend.process.send_signal, [signal.SIGKILL])
        killer.start()
        answered += play(backend, round_ * 1_000_000)
        backend.process.wait(30)
        is_up(backend)
        next_one.says("Takes over")
        backend.process = next_one.process
    backend.end(signal.SIGTERM)
    assert backend.process.returncode == 0
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT document::json->>'positionId', subscriber_id, split_part(document::json->>'id', ':', 2)"
            " FROM copying_transactionrecord"
        ).fetchall()
        numbers = connection.execute("SELECT sequence FROM copying_journalentry ORDER BY 1").fetchall()
    deals = Counter(rows)
    assert max(deals.values()) == 1, f"seed {seed}: a deal was doubled"
    for signal_id, kind in answered:
        copies = sum((signal_id, f"a{number}", kind) in deals for number in range(SUBSCRIBERS))
        assert copies == SUBSCRIBERS, f"seed {seed}: {kind} of {signal_id} has {copies} copies"
    assert [number for (number,) in numbers] == list(range(1, len(numbers) + 1))


def test_it_writes_nothing_and_ends_when_it_is_told_to(url: str, tmp_path: Path) -> None:
    backend = Backend(url)
    backend.start()
    set_up(backend)
    waiting = StandBy(backend, tmp_path / "log")
    for number in (signal.SIGTERM, signal.SIGINT):
        waiting.process.send_signal(number)
        assert waiting.process.wait(WAIT_SECONDS) == 0, waiting.log.read_text()
        assert backend.send("GET", "/healthz", {}) == 200
        waiting = StandBy(backend, tmp_path / "log")
    waiting.process.send_signal(signal.SIGTERM)
    waiting.process.wait(WAIT_SECONDS)
    assert "Takes over" not in waiting.log.read_text()
    backend.end(signal.SIGTERM)


def test_without_another_backend_it_works_at_once(url: str, tmp_path: Path) -> None:
    backend = Backend(url)
    alone = StandBy(backend, tmp_path / "log")
    backend.process = alone.process
    is_up(backend)
    backend.provide()
    backend.end(signal.SIGTERM)
