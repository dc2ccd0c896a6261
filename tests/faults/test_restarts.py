"""PostgreSQL and Redis restarted or emptied under a real Celery worker and beat in mid-sync: all goes on by itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
import redis

from copyportal.services.process import wait_until_ready
from copyportal.services.servers import Postgres, Valkey
from tests.faults.sim_backend import SimBackend, history

SETUP = """
import django; django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from users.services import create_workspace_with_connection
create_workspace_with_connection(name="Alice Capital", base_url="{url}", token="a.b.c")
"""
CELERY = [sys.executable, "-m", "celery", "--app", "copyportal"]


@pytest.fixture
def servers(tmp_path):
    """A private PostgreSQL and a private Valkey, stopped at the end."""
    made = Postgres(tmp_path, durable=False), Valkey(tmp_path, durable=False)
    children = []
    for server in made:
        server.prepare()
        child = server.child()
        child.start()
        assert wait_until_ready(child, timeout=20)
        children.append(child)
    yield made, children
    for child in children:
        child.stop()


def _restart(child) -> None:
    """Die at once, as in a crash, and come back."""
    child.process.send_signal(signal.SIGQUIT if child.name == "postgres" else signal.SIGKILL)
    child.process.wait(20)
    child.start()
    assert wait_until_ready(child, timeout=20)


def _rows(url: str, query: str) -> list[tuple]:
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


STATE = (
    "SELECT (SELECT count(*) FROM reporting_transaction),"
    " EXISTS (SELECT FROM reporting_syncstate WHERE kind = 'provided' AND last_success_at IS NOT NULL)"
)

NOT_SINCE = "SELECT kind FROM reporting_syncstate WHERE started_at IS NULL OR started_at < '{}'"


@contextmanager
def _syncing(servers, folder: Path, backend: SimBackend) -> Iterator[Callable[[], None]]:
    """A worker and beat that mirror a backend. Gives what whoever runs them does: start again what has ended."""
    (postgres, valkey), _ = servers
    environment = {**os.environ, "DATABASE_URL": postgres.url, "REDIS_URL": valkey.url, "LOG_LEVEL": "ERROR"}
    environment["DJANGO_SETTINGS_MODULE"] = "copyportal.settings"
    subprocess.run([sys.executable, "-c", SETUP.format(url=backend.url)], env=environment, check=True)
    words = ["worker", "--pool", "prefork", "--concurrency", "2"], ["beat", "--schedule", str(folder / "schedule")]
    with (folder / "celery.log").open("w") as log:

        def start(word: list[str]) -> subprocess.Popen:
            return subprocess.Popen([*CELERY, *word], env=environment, stdout=log, stderr=log)

        started = [start(word) for word in words]

        def supervise() -> None:
            """A worker may end when its broker dies under it."""
            for place, process in enumerate(started):
                if process.poll() is not None:
                    started[place] = start(words[place])

        try:
            yield supervise
        finally:
            for process in started:
                process.kill()
                process.wait()


def _assert_mirrored(url: str, deals: list[dict]) -> None:
    """Every deal once, and the days add up."""
    mirrored = _rows(url, "SELECT subscriber_id, strategy_id, backend_id, profit::float8 FROM reporting_transaction")
    assert sorted(mirrored) == sorted((d["subscriberId"], d["strategy"]["id"], d["id"], d["profit"]) for d in deals)
    daily = "SELECT sum(deals), sum(profit) FROM reporting_dailyresult"
    assert _rows(url, daily) == _rows(url, "SELECT count(*), sum(profit) FROM reporting_transaction")


def test_the_history_is_whole_after_the_database_and_redis_restarted(servers, tmp_path):
    (postgres, _), (database, broker) = servers
    deals = history(12_000, per_moment=3, step=timedelta(hours=1))
    with SimBackend(deals) as backend:
        backend.after_request = lambda number, path: time.sleep(0.15)
        with _syncing(servers, tmp_path, backend) as supervise:
            _wait_for_rows(postgres.url, 1, supervise)
            _restart(database)
            _restart(broker)
            _wait_for_rows(postgres.url, len(deals), supervise)
    _assert_mirrored(postgres.url, deals)


def test_every_due_job_runs_again_when_redis_forgets_everything_in_mid_sync(servers, tmp_path):
    (postgres, valkey), _ = servers
    deals = history(6_000, per_moment=3, step=timedelta(hours=1))
    with SimBackend(deals) as backend, redis.Redis.from_url(valkey.url) as broker:
        backend.after_request = lambda number, path: time.sleep(0.1)
        with _syncing(servers, tmp_path, backend) as supervise:
            _wait_for_rows(postgres.url, 1, supervise)
            broker.flushall()
            _wait_for_rows(postgres.url, len(deals), supervise)
            broker.flushall()
            with psycopg.connect(postgres.url) as connection:
                connection.execute("UPDATE reporting_syncstate SET due_at = now(), held_until = NULL")
                emptied_at = connection.execute("SELECT clock_timestamp()").fetchone()[0]
            until = time.monotonic() + 90
            while waiting := _rows(postgres.url, NOT_SINCE.format(emptied_at)):
                supervise()
                assert time.monotonic() < until, f"never again: {waiting}"
                time.sleep(0.2)
    _assert_mirrored(postgres.url, deals)


def _wait_for_rows(url: str, wanted: int, supervise: Callable[[], None], within_s: float = 90) -> None:
    """Until so many deals are mirrored; meanwhile no success is claimed that was none."""
    until = time.monotonic() + within_s
    while True:
        supervise()
        count, succeeded = _rows(url, STATE)[0]
        if count >= wanted:
            return
        assert time.monotonic() < until, f"{count} of {wanted}"
        assert not succeeded, "a success before everything was there"
        time.sleep(0.1)
