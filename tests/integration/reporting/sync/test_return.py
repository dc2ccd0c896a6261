"""When a backend is silent and comes back: what the worker's log says, and how soon everything is asked again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from copying.client import errors
from reporting.models import SyncKind, SyncState
from reporting.sync import run, states
from tests import builders

pytestmark = pytest.mark.django_db(transaction=True)


class Backend:
    """A client whose every call fails, or none, as the test says."""

    def __init__(self, *, is_silent: bool):
        self.is_silent = is_silent

    def __enter__(self):
        if self.is_silent:
            raise errors.Unreachable("Cannot reach the backend “Backend”: no answer within 30 s.")
        return self

    def __exit__(self, *_) -> None:
        pass


@pytest.fixture
def connection(workspace):
    made = builders.connection(workspace)
    states.request_sync(made)
    return made


@pytest.fixture
def sync(connection, monkeypatch):
    """A function that runs what is due first, with a backend that is silent or not."""
    monkeypatch.setattr(run, "_run", lambda lease, **_: states.SyncOutcome())

    def once(*, is_silent: bool):
        lease = states.claim_due()
        run.run_one(lease, open_client=lambda _: Backend(is_silent=is_silent), now=timezone.now())
        return lease

    return once


def make_due(kind: str) -> None:
    SyncState.objects.filter(kind=kind).update(due_at=timezone.now() - timedelta(hours=1))


def test_the_first_failure_and_the_return_are_warnings(sync, connection, monkeypatch):
    said = []
    monkeypatch.setattr(run.log, "warning", lambda event, **facts: said.append((event, facts["kind"])), raising=False)
    kind = sync(is_silent=True).kind
    for is_silent in (True, True, False):
        make_due(kind)
        assert sync(is_silent=is_silent).kind == kind
    assert said == [("sync begins to fail", kind), ("sync is well again", kind)]


def test_what_waits_after_failures_or_long_is_asked_at_once_when_one_is_well_again(sync, connection):
    later = timezone.now() + timedelta(minutes=5)
    soon = timezone.now() + timedelta(seconds=30)
    all_states = SyncState.objects.filter(connection=connection)
    all_states.update(failures=6, failing_since=timezone.now(), due_at=later)
    all_states.filter(kind=SyncKind.EQUITY).update(failures=0, failing_since=None, due_at=later)
    all_states.filter(kind=SyncKind.LOGS).update(failures=0, failing_since=None, due_at=soon)
    make_due(SyncKind.STOPOUTS)
    assert sync(is_silent=False).kind == SyncKind.STOPOUTS
    due = set(all_states.filter(due_at__lte=timezone.now()).values_list("kind", flat=True))
    assert due == set(SyncKind.values) - {SyncKind.STOPOUTS, SyncKind.LOGS}


def test_another_connection_is_not_woken(sync, connection, workspace):
    other = builders.connection(workspace, name="Other")
    states.request_sync(other)
    SyncState.objects.update(failures=3, due_at=timezone.now() + timedelta(minutes=5))
    SyncState.objects.filter(connection=connection, kind=SyncKind.LOGS).update(due_at=timezone.now())
    sync(is_silent=False)
    assert not SyncState.objects.filter(connection=other, due_at__lte=timezone.now()).exists()
