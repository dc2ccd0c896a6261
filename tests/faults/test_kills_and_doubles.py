"""Workers that are killed in mid-sync, and tasks that come several times: nothing lost, nothing doubled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from urllib.parse import quote

import pytest
from django.db import connection as database
from django.db import connections

from reporting.models import SyncState, Transaction
from reporting.sync import run, states
from tests.faults.mirroring import HISTORY, assert_same_history, connect, settle
from tests.faults.sim_backend import SimBackend, history

pytestmark = pytest.mark.django_db(transaction=True)
WORKER = "import django; django.setup(); from reporting.sync import run; run.run_due()"


def _only_history_is_due(connection) -> None:
    states.ensure_states()
    SyncState.objects.exclude(kind="provided").update(due_at="2999-01-01T00:00:00Z")
    states.request_sync(connection, HISTORY)


def _worker() -> subprocess.Popen:
    """A process that runs due syncs on the tests' database, as a task does."""
    given = database.get_connection_params()
    host, port = quote(str(given.get("host") or ""), safe=""), given.get("port") or ""
    who = quote(given.get("user") or "") + (f":{quote(given['password'])}" if given.get("password") else "")
    url = f"postgresql://{who}@/{given['dbname']}?host={host}" + (f"&port={port}" if port else "")
    environment = {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "copyportal.settings"}
    return subprocess.Popen([sys.executable, "-c", WORKER], env=environment)


def _wait(condition, within_s: float = 20) -> None:
    until = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("rows_before", [1, 12_000])
def test_a_worker_killed_in_mid_sync_loses_and_doubles_nothing(rows_before):
    deals = history(24_000, per_moment=3, step=timedelta(hours=1))
    with SimBackend(deals) as backend:
        backend.after_request = lambda number, path: time.sleep(0.1)
        connection = connect(backend)
        _only_history_is_due(connection)
        worker = _worker()
        try:
            _wait(lambda: Transaction.objects.count() >= rows_before)
        finally:
            worker.send_signal(signal.SIGKILL)
            worker.wait()
        state = SyncState.objects.get(connection=connection, kind="provided")
        kept = Transaction.objects.count()
        assert 0 < kept < len(deals)
        assert state.rows_total == kept, "the cursor stands for exactly the rows that are there"
        assert state.last_success_at is None, "a sync that was killed is no success"
        assert states.claim_due() is None, "its lease holds for some seconds"
        SyncState.objects.update(lease_until=state.started_at)  # these seconds pass
        backend.after_request = None
        before = backend.number
        settle(connection, HISTORY)
        assert_same_history(connection, deals)
        assert backend.number - before <= 24 + 12, "the finished windows are not fetched again"


def test_tasks_that_come_three_times_two_at_once_fetch_once():
    deals = history(3_000)
    with SimBackend(deals) as backend:
        backend.after_request = lambda number, path: time.sleep(0.02)
        connection = connect(backend)
        _only_history_is_due(connection)

        def deliver() -> None:
            run.run_due()
            connections.close_all()

        threads = [threading.Thread(target=deliver) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        fetched = backend.number
        deliver()
        assert backend.number == fetched, "the third finds nothing due"
        state = SyncState.objects.get(connection=connection, kind="provided")
        assert state.rows_total == state.rows_last_run == len(deals), "one run did all of it"
        assert_same_history(connection, deals)


def test_whoever_lost_the_lease_writes_nothing():
    with SimBackend(history(100)) as backend:
        connection = connect(backend)
        _only_history_is_due(connection)
        slow = states.claim_due()
        SyncState.objects.filter(pk=slow.state_id).update(lease_until="2000-01-01T00:00:00Z")
        quick = states.claim_due()
        assert quick.state_id == slow.state_id
        run.run_one(slow, open_client=run.client_for, now=SyncState.objects.get(pk=slow.state_id).due_at)
        assert not Transaction.objects.exists()
        run.run_one(quick, open_client=run.client_for, now=SyncState.objects.get(pk=slow.state_id).due_at)
        assert Transaction.objects.exists()
