"""The history under every fault: nothing lost, nothing doubled, and the state tells the truth meanwhile."""

from __future__ import annotations

from datetime import timedelta

import pytest

from reporting.models import QuarantinedPage, SyncState, Transaction
from tests.faults.mirroring import HISTORY, assert_same_history, connect, settle, sync
from tests.faults.sim_backend import START, SimBackend, at, history, sometimes, transaction

pytestmark = pytest.mark.django_db(transaction=True)
SEED = 20260105


@pytest.mark.parametrize(
    "fault", ["500", "429", "half", "invalid", "nan", "wrong type", "twice", "reversed", "shuffled"]
)
def test_a_history_with_faults_equals_the_backends(fault):
    deals = history(7_000, per_moment=7, step=timedelta(hours=2))
    with SimBackend(deals, plan=sometimes(fault, share=0.3, seed=SEED, most=12)) as backend:
        connection = connect(backend)
        settle(connection, HISTORY)
        assert_same_history(connection, deals)
        assert backend.early_calls == 0, "asked again before the backend's recommended time"
        assert not QuarantinedPage.objects.filter(resolved_at=None).exists()


def test_1500_deals_in_one_millisecond_are_all_kept():
    deals = history(300) + [transaction(10_000 + n, START + timedelta(days=3)) for n in range(1_500)]
    with SimBackend(deals) as backend:
        connection = connect(backend)
        settle(connection, HISTORY)
        assert_same_history(connection, deals)


def test_25000_deals_in_one_millisecond_are_all_kept():
    deals = [transaction(n, START) for n in range(25_000)]
    with SimBackend(deals) as backend:
        connection = connect(backend)
        settle(connection, HISTORY)
        assert Transaction.objects.filter(connection=connection).count() == 25_000


def test_deals_inserted_while_paging_are_not_lost():
    with SimBackend(history(4_500)) as backend:
        inserted = []

        def insert(number, path):
            if "transactions" in path and number % 2 == 0 and len(inserted) < 400:
                late = [transaction(50_000 + len(inserted) + n, START + timedelta(hours=n)) for n in range(40)]
                inserted.extend(late)
                backend.add(late)

        backend.after_request = insert
        connection = connect(backend)
        sync(connection, HISTORY)
        backend.after_request = None
        # what was written late into the past is found by the daily look back
        state = SyncState.objects.get(connection=connection, kind="provided")
        state.cursor.update(day="2000-01-01T00:00:00+00:00", hour="2000-01-01T00:00:00+00:00")
        state.save()
        settle(connection, HISTORY)
        assert_same_history(connection, history(4_500), inserted)


def test_a_second_reading_changes_nothing():
    deals = history(2_000)
    with SimBackend(deals) as backend:
        connection = connect(backend)
        settle(connection, HISTORY)
        before = list(Transaction.objects.order_by("id").values_list("id", "backend_id"))
        SyncState.objects.update(cursor={})
        (state,) = settle(connection, HISTORY)
        assert state.rows_last_run == 0
        assert list(Transaction.objects.order_by("id").values_list("id", "backend_id")) == before
        assert_same_history(connection, deals)


def test_a_corrected_deal_moves_its_days_sums():
    deals = history(50)
    with SimBackend(deals) as backend:
        connection = connect(backend)
        settle(connection, HISTORY)
        deals[7].update(profit=-55.5, time="2025-01-09T00:00:00.000Z")
        SyncState.objects.update(cursor={})
        (state,) = settle(connection, HISTORY)
        assert state.rows_last_run == 1
        assert_same_history(connection, deals)


def test_both_histories_of_one_owner_make_one_row_each():
    deals = history(1_200)
    with SimBackend(deals) as backend:
        backend.add(history(1_500), to="subscribed")
        connection = connect(backend)
        settle(connection, ["provided", "subscribed"])
        assert_same_history(connection, history(1_500))


def test_an_unreadable_page_is_kept_with_its_reason_and_the_rest_goes_on():
    deals = history(3_000, per_moment=1, step=timedelta(hours=1))
    broken = {"on": True}

    def plan(number, path, params):
        return "nan" if broken["on"] and params.get("offset") == "1000" and "transactions" in path else None

    with SimBackend(deals, plan=plan) as backend:
        connection = connect(backend)
        (state,) = sync(connection, HISTORY)
        assert "could not be read" in state.error
        assert state.failing_since is not None
        assert state.last_success_at is None
        assert state.complete_until < START + timedelta(days=125), "complete only up to the hole"
        page = QuarantinedPage.objects.filter(resolved_at=None).first()
        assert "NaN" in page.body_start
        assert Transaction.objects.filter(time__gt="2025-04-01T00:00:00Z").exists()
        broken["on"] = False
        (state,) = settle(connection, HISTORY)
        assert state.failing_since is None
        assert state.last_success_at is not None
        assert_same_history(connection, deals)
        assert not QuarantinedPage.objects.filter(resolved_at=None).exists()


def test_a_deal_that_no_column_can_keep_does_not_stop_the_others():
    deals = history(40)
    deals[3]["id"] = "x" * 500
    with SimBackend(deals) as backend:
        connection = connect(backend)
        settle(connection, HISTORY)
        assert Transaction.objects.count() == 39
        assert "too long" in QuarantinedPage.objects.get().reason


def test_texts_with_tabs_breaks_and_backslashes_arrive_as_they_are():
    odd = "a\tb\nc\\N\r\x02é\u2028'; --"
    deals = [transaction(1, START, symbol=odd)]
    with SimBackend(deals) as backend:
        connection = connect(backend)
        settle(connection, HISTORY)
        assert Transaction.objects.get().symbol == odd


def test_the_state_tells_of_an_unreachable_backend_and_of_its_return():
    with SimBackend(history(10)) as backend:
        connection = connect(backend)
        address = connection.base_url
        connection.base_url = "http://127.0.0.1:9"
        connection.set_token(connection.token)
        connection.save()
        (state,) = sync(connection, HISTORY)
        assert "Cannot reach the backend" in state.error
        assert (state.failures, state.last_success_at) == (1, None)
        assert state.due_at > state.failing_since
        connection.base_url = address
        connection.set_token(connection.token)
        connection.save()
        (state,) = sync(connection, HISTORY)
        assert (state.error, state.failures, state.failing_since) == ("", 0, None)
        assert state.rows_last_run == 10


def test_too_many_requests_hold_back_all_kinds_until_the_recommended_time():
    with SimBackend(history(10), plan=at(1, fault="429")) as backend:
        connection = connect(backend)
        sync(connection)
        assert backend.number == 1
        held = SyncState.objects.filter(connection=connection).values_list("held_until", flat=True)
        assert min(held) >= backend.retry_at
