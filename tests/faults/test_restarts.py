"""PostgreSQL and Redis restarted under a real Celery worker and beat in mid-sync: all come back by themselves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta

import psycopg
import pytest

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


def test_the_history_is_whole_after_the_database_and_redis_restarted(servers, tmp_path):
    (postgres, valkey), (database, broker) = servers
    deals = history(12_000, per_moment=3, step=timedelta(hours=1))
    environment = {**os.environ, "DATABASE_URL": postgres.url, "REDIS_URL": valkey.url, "LOG_LEVEL": "ERROR"}
    environment["DJANGO_SETTINGS_MODULE"] = "copyportal.settings"
    with SimBackend(deals) as backend, (tmp_path / "celery.log").open("w") as log:
        backend.after_request = lambda number, path: time.sleep(0.15)
        subprocess.run([sys.executable, "-c", SETUP.format(url=backend.url)], env=environment, check=True)
        words = ["worker", "--pool", "prefork", "--concurrency", "2"], ["beat"]

        def start(word: list[str]) -> subprocess.Popen:
            return subprocess.Popen([*CELERY, *word], env=environment, stdout=log, stderr=log)

        started = [start(word) for word in words]

        def supervise() -> None:
            """A worker may end when its broker dies under it; whoever runs it starts it again."""
            for place, process in enumerate(started):
                if process.poll() is not None:
                    started[place] = start(words[place])

        try:
            _wait_for_rows(postgres.url, 1, supervise)
            _restart(database)
            _restart(broker)
            _wait_for_rows(postgres.url, len(deals), supervise)
        finally:
            for process in started:
                process.kill()
                process.wait()
    mirrored = _rows(
        postgres.url, "SELECT subscriber_id, strategy_id, backend_id, profit::float8 FROM reporting_transaction"
    )
    assert sorted(mirrored) == sorted((d["subscriberId"], d["strategy"]["id"], d["id"], d["profit"]) for d in deals)
    daily = "SELECT sum(deals), sum(profit) FROM reporting_dailyresult"
    assert _rows(postgres.url, daily) == _rows(postgres.url, "SELECT count(*), sum(profit) FROM reporting_transaction")


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
