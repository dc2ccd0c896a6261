"""`manage.py runbackend` killed while a client PUTs signals: what it answered stays true, retries are harmless."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from urllib.parse import quote

import httpx
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from copying.backend import tokens
from copying.backend.http.options import database_url

pytestmark = pytest.mark.django_db  # without it the tests' database would not be made, and another one emptied
ROOT = Path(__file__).resolve().parents[2]
SUBSCRIBERS, ROUNDS = 10, 4
CONFIGURATION = "/users/current/configuration"


@pytest.fixture
def url(django_db_setup, django_db_blocker):
    """The address of a database whose backend tables are empty, before and after."""
    with django_db_blocker.unblock():
        given = conninfo_to_dict(database_url())
    host, who = quote(given.get("host") or "", safe=""), quote(given.get("user") or "")
    who += f":{quote(given['password'])}" if given.get("password") else ""
    address = f"postgresql://{who}@/{given['dbname']}?host={host}"
    address += f"&port={given['port']}" if given.get("port") else ""
    with psycopg.connect(address, autocommit=True) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE tablename LIKE 'copying\\_%'").fetchall()
        truncate = "TRUNCATE " + ", ".join(name for (name,) in rows)
        connection.execute(truncate)
        yield address
        connection.execute(truncate)


class Backend:
    """The process, started as often as needed on one port."""

    def __init__(self, url: str) -> None:
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            self.port = bound.getsockname()[1]
        self.environment = {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "copyportal.settings"}
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", headers={"auth-token": tokens.issue("t")}, timeout=20
        )

        self.strategy = ""  # an id that the backend handed out: set_up

    @property
    def signals(self) -> str:
        """Where its signals are sent to."""
        return f"/users/current/strategies/{self.strategy}/external-signals"

    def provide(self) -> None:
        """Make its strategy."""
        self.strategy = self.http.get(f"{CONFIGURATION}/unused-strategy-id").json()["id"]
        document = {"name": "S", "description": "", "accountId": "prov"}
        assert self.send("PUT", f"{CONFIGURATION}/strategies/{self.strategy}", document) == 204

    def start(self) -> None:
        assert self.comes_up(), "the backend does not start"

    def comes_up(self) -> bool:
        """Start it and wait until it answers; False when it ends by itself before."""
        words = [sys.executable, "manage.py", "runbackend", "--port", str(self.port)]
        self.process = subprocess.Popen(words, cwd=ROOT, env=self.environment)
        until = time.monotonic() + 60
        while self.process.poll() is None:
            try:
                if self.http.get("/healthz").status_code == 200:
                    return True
            except httpx.TransportError:
                assert time.monotonic() < until
                time.sleep(0.05)
        return False

    def end(self, number: int) -> None:
        self.process.send_signal(number)
        self.process.wait(30)

    def send(self, method: str, path: str, body: dict) -> int | None:
        """The status, None when the backend died before it answered."""
        try:
            return self.http.request(method, path, json=body).status_code
        except httpx.TransportError:
            return None


def set_up(backend: Backend) -> None:
    backend.provide()
    scaling = {"mode": "fixedVolume", "tradeVolume": 0.01}
    for number in range(SUBSCRIBERS):
        document = {"name": "a", "subscriptions": [{"strategyId": backend.strategy, "tradeSizeScaling": scaling}]}
        assert backend.send("PUT", f"{CONFIGURATION}/subscribers/a{number}", document) == 204


def play(backend: Backend, first: int) -> list[tuple[str, str]]:
    """Open signals and close every second one until the backend dies; what it had answered."""
    answered = []
    body = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "time": "2100-01-01T00:00:00.000Z", "volume": 0.1}
    for number in range(first, first + 100_000):
        signal_id = f"{number:08d}"
        status = backend.send("PUT", f"{backend.signals}/{signal_id}", body)
        if status is None:
            break
        assert status == 204
        answered.append((signal_id, "open"))
        if number % 2:
            status = backend.send("POST", f"{backend.signals}/{signal_id}/remove", {"time": body["time"]})
            if status is None:
                break
            assert status == 204
            answered.append((signal_id, "close"))
    return answered


def test_what_was_answered_stays_true_and_retries_are_harmless(url: str) -> None:
    seed = random.randrange(10**6)
    draw = random.Random(seed)
    backend = Backend(url)
    backend.start()
    set_up(backend)
    answered: list[tuple[str, str]] = []
    body = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "time": "2100-01-01T00:00:00.000Z", "volume": 0.1}
    for round_ in range(1, ROUNDS + 1):
        killer = threading.Timer(draw.uniform(0.05, 0.8), backend.process.send_signal, [signal.SIGKILL])
        killer.start()
        answered += play(backend, round_ * 1_000_000)
        backend.process.wait(30)
        backend.start()
        last_opened = [signal_id for signal_id, kind in answered if kind == "open"][-1:]
        closed = {signal_id for signal_id, kind in answered if kind == "close"}
        for signal_id in last_opened:  # the client cannot know whether the backend has it: it sends again
            again = backend.send("PUT", f"{backend.signals}/{signal_id}", body)
            assert again in ((400,) if signal_id in closed else (204, 400)), f"seed {seed}"
    backend.end(signal.SIGTERM)
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT document::json->>'positionId', subscriber_id, split_part(document::json->>'id', ':', 2)"
            " FROM copying_transactionrecord"
        ).fetchall()
    deals = Counter(rows)
    assert answered
    assert max(deals.values()) == 1, f"seed {seed}: a deal was doubled"
    for signal_id, kind in answered:
        copies = sum((signal_id, f"a{number}", kind) in deals for number in range(SUBSCRIBERS))
        assert copies == SUBSCRIBERS, f"seed {seed}: {kind} of {signal_id} has {copies} copies"
