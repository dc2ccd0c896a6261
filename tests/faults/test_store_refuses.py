"""The database refuses to write, or clocks disagree: the sync fails closed, goes on by itself, and loses nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.core.cache import cache
from django.db import DatabaseError, connections

from reporting.models import Transaction
from tests.faults.mirroring import HISTORY, assert_same_history, connect, settle, sync
from tests.faults.sim_backend import SimBackend, history, transaction

pytestmark = pytest.mark.django_db(transaction=True)


def _set_read_only(on: bool) -> None:
    """For every transaction of this session, as after a failover to a standby or a full disk set read-only."""
    with connections["default"].cursor() as database:
        database.execute(f"SET SESSION CHARACTERISTICS AS TRANSACTION READ {'ONLY' if on else 'WRITE'}")


def test_a_database_that_turns_read_only_in_mid_sync_stops_it_and_nothing_is_lost():
    deals = history(9_000, per_moment=3, step=timedelta(hours=2))
    with SimBackend(deals) as backend:
        connection = connect(backend)
        # the requests run ahead in a thread of their own: turn read-only where the database is used
        seen = []

        def refuse_from_the_second_batch(execute, sql, params, many, context):
            if "sync_stage" in sql and "INSERT" in sql:
                seen.append(sql)
                if len(seen) == 2:
                    execute("SET LOCAL transaction_read_only = on", [], False, context)
            return execute(sql, params, many, context)

        with connections["default"].execute_wrapper(refuse_from_the_second_batch):
            (state,) = sync(connection, HISTORY)
        assert "read-only" in state.error
        stored = Transaction.objects.count()
        assert 0 < stored < len(deals), "what was committed stays, the rest was taken back whole"
        assert state.last_success_at is None
        assert state.failing_since is not None
        settle(connection, HISTORY)
        assert_same_history(connection, deals)


def test_nothing_is_claimed_while_the_database_is_read_only():
    deals = history(500)
    with SimBackend(deals) as backend:
        connection = connect(backend)
        settle(connection, ["stopouts"])
        before = backend.number
        _set_read_only(True)
        try:
            with pytest.raises(DatabaseError):
                sync(connection, HISTORY)
        finally:
            _set_read_only(False)
        assert backend.number == before, "nothing is asked that could not be stored"
        settle(connection, HISTORY)
        assert_same_history(connection, deals)


@pytest.mark.parametrize("minutes", [5, -5])
def test_a_backend_whose_clock_differs_by_minutes_loses_nothing(minutes):
    now = datetime.now(UTC).replace(microsecond=0)
    deals = [transaction(n, now + timedelta(minutes=minutes, seconds=n - 60)) for n in range(60)]
    later = [transaction(100 + n, now + timedelta(minutes=minutes, seconds=n)) for n in range(60)]
    with SimBackend(deals) as backend:
        connection = connect(backend)
        settle(connection, HISTORY)
        assert_same_history(connection, deals)
        backend.add(later)
        settle(connection, HISTORY)
        assert_same_history(connection, deals, later)


def test_an_emptied_redis_costs_the_sync_nothing():
    deals = history(3_000, step=timedelta(hours=2))
    with SimBackend(deals) as backend:
        backend.after_request = lambda number, path: cache.clear() if number % 2 else None
        connection = connect(backend)
        settle(connection, HISTORY)
        assert_same_history(connection, deals)
