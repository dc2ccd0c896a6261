"""Kinds that bring nothing new rest longer, up to a bound, and are asked at their pace as soon as something happens."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from reporting.models import SyncKind, SyncState
from reporting.states import STALE_AFTER
from reporting.sync import run, states
from tests import builders

pytestmark = pytest.mark.django_db(transaction=True)


class Backend:
    """A client that nobody asks."""

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        pass


@pytest.fixture
def connection(workspace):
    linked = builders.connection(workspace)
    states.ensure_states()
    return linked


@pytest.fixture
def sync(connection, monkeypatch):
    """A function that runs one kind, which brings so many rows, and returns the pause after it in seconds."""

    def once(kind: str, *, rows: int = 0, idle_s: float | None = None, **outcome) -> float:
        own = SyncState.objects.filter(connection=connection, kind=kind)
        own.update(due_at=timezone.now() - timedelta(hours=1), lease_until=None, lease_token=None)
        if idle_s is not None:
            own.update(idle_since=timezone.now() - timedelta(seconds=idle_s))
        SyncState.objects.exclude(pk__in=own).filter(due_at__lte=timezone.now()).update(
            due_at=timezone.now() + timedelta(hours=1)
        )

        def bring(lease, **_):
            lease.save(rows=rows)
            return states.SyncOutcome(**outcome)

        monkeypatch.setattr(run, "_run", bring)
        lease = states.claim_due()
        assert lease.kind == kind
        run.run_one(lease, open_client=lambda _: Backend(), now=timezone.now())
        return (own.get().due_at - timezone.now()).total_seconds()

    return once


@pytest.mark.parametrize(
    ("kind", "idle_s", "pause_s"),
    [
        (SyncKind.DECISIONS, None, 5),
        (SyncKind.DECISIONS, 40, 5),
        (SyncKind.DECISIONS, 100, 10),
        (SyncKind.DECISIONS, 86_400, 15),
        (SyncKind.PROVIDED, 86_400, 10),
        (SyncKind.STOPOUTS, 86_400, 10),
        (SyncKind.ACCOUNTS, 86_400, 30),
        (SyncKind.CONFIGURATION, 86_400, 60),
    ],
)
def test_a_kind_rests_for_a_tenth_of_the_time_without_news_up_to_its_bound(sync, kind, idle_s, pause_s):
    assert pause_s - 2 < sync(kind, idle_s=idle_s) <= pause_s + 0.5


@pytest.mark.parametrize("took_s", [0.1, 12, 53, 100])
@pytest.mark.parametrize("kind", list(run.PACES))
def test_a_pause_that_was_planned_is_never_called_late(kind, took_s):
    """Not at rest, not after a long run that caught up, and not while accounts wait for credits."""
    lease = states.Lease(1, 1, kind, {}, uuid4(), 0, idle_s=1_000_000)
    for outcome in (states.SyncOutcome(), states.SyncOutcome(waits_s=10_000), states.SyncOutcome(has_turns=True)):
        for rows in (0, 53_000):
            lease.rows = rows
            pause_s = run._pause_s(lease, took_s, outcome)
            assert run.PACES[kind][0] <= pause_s or outcome.waits_s
            assert pause_s + took_s < STALE_AFTER.total_seconds()


def test_news_end_the_rest_of_the_kind_and_of_the_others(sync, connection):
    sync(SyncKind.LOGS, idle_s=3600)
    sync(SyncKind.EQUITY, idle_s=36_000)
    assert sync(SyncKind.PROVIDED, rows=1, idle_s=3600) <= 5
    pauses = {
        state.kind: (state.due_at - state.started_at).total_seconds()
        for state in SyncState.objects.filter(kind__in=(SyncKind.LOGS, SyncKind.EQUITY))
    }
    assert pauses == {"logs": pytest.approx(10, abs=0.5), "equity": pytest.approx(60, abs=0.5)}
    assert SyncState.objects.get(kind=SyncKind.LOGS).idle_since is None


def test_figures_that_move_are_no_event(sync):
    sync(SyncKind.DECISIONS, idle_s=3600)
    sync(SyncKind.ACCOUNTS, rows=5)
    assert SyncState.objects.get(kind=SyncKind.DECISIONS).idle_since is not None


def test_what_is_not_offered_or_fails_or_is_another_connections_is_not_woken(sync, connection, workspace):
    other = builders.connection(workspace, name="Another", base_url="http://127.0.0.1:2")
    states.ensure_states()
    later, long_ago = timezone.now() + timedelta(hours=1), timezone.now() - timedelta(hours=2)
    resting = {"idle_since": long_ago, "started_at": long_ago, "due_at": later}
    SyncState.objects.filter(connection=connection, kind=SyncKind.DECISIONS).update(
        cursor={"is_offered": False}, **resting
    )
    SyncState.objects.filter(connection=connection, kind=SyncKind.LOGS).update(failures=3, **resting)
    SyncState.objects.filter(connection=other, kind=SyncKind.LOGS).update(**resting)
    sync(SyncKind.PROVIDED, rows=1)
    assert SyncState.objects.filter(due_at=later).count() == 3


def test_a_run_that_has_looked_at_some_of_many_does_not_rest(sync):
    assert sync(SyncKind.ACCOUNTS, idle_s=86_400, has_turns=True) <= 10
