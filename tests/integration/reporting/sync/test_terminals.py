"""Balances from the terminals of accounts, where the backend has no list of them: each account's trouble is its own."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from copying.client import BackendFailed, Forbidden, NotConnected, NotFound, RateLimited, Unauthorised, Unreadable
from copying.contract.terminal import TerminalInformation
from reporting.models import EquityPoint, SyncKind
from reporting.sync import accounts, run, states
from subscribers.models import Subscriber
from tests.faults.mirroring import connect, settle
from tests.faults.sim_backend import SimBackend

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 3, 1, 10, 30, tzinfo=UTC)
LIMITED = RateLimited("Slower.", NOW + timedelta(hours=1))


class Terminals:
    """A client whose accounts answer an amount, or an error; others are not known."""

    def __init__(self, answers):
        self.answers = answers
        self.asked: list[str] = []
        self.currency = "USD"
        self.lists = 0
        self.lock = threading.Lock()
        self.company: threading.Barrier | None = None

    def get_bytes(self, path, params=None, **_):
        self.lists += path == accounts.ALL
        raise NotFound("No such call.")

    def credits(self, account_id):
        raise NotFound("It tells no credits.")

    def terminal_information(self, account_id):
        with self.lock:  # several are asked at the same time
            self.asked = sorted([*self.asked, account_id])
        if self.company is not None:
            self.company.wait(30)
        answer = self.answers.get(account_id, NotFound("No such account."))
        if isinstance(answer, Exception):
            raise answer
        return TerminalInformation(currency=self.currency, balance=Decimal(answer), equity=Decimal("0.1"), leverage=30)


@pytest.fixture
def connection():
    with SimBackend() as backend:
        backend.subscribers += [{"_id": f"a{n:02}", "name": f"D {n}", "subscriptions": []} for n in range(25)]
        connection = connect(backend)
        settle(connection, [SyncKind.CONFIGURATION])
    return connection


@pytest.fixture
def sync(connection):
    """A function that runs the balances once at `now` with these answers, as a sync does."""
    states.ensure_states()

    def once(answers, now=NOW, **fields):
        states.SyncState.objects.update(due_at=timezone.now() + timedelta(hours=1), lease_until=None)
        states.request_sync(connection, [SyncKind.ACCOUNTS])
        terminals, lease = Terminals(answers), states.claim_due()
        vars(terminals).update(fields)
        return (
            terminals,
            accounts.sync_accounts(lease, source=run.Source(terminals), backend=connection, now=now),
            lease,
        )

    return once


def account(number):
    return Subscriber.objects.get(backend_id=f"a{number:02}")


def everyone(amount="10.05"):
    return {f"a{n:02}": amount for n in range(25)}


def test_figures_are_exact_and_a_point_an_hour_is_kept(sync):
    terminals, outcome, _ = sync(everyone())
    assert terminals.asked == [f"a{n:02}" for n in range(accounts.MOST_ASKED)]
    assert (account(0).balance, account(0).equity, account(0).currency) == (Decimal("10.05"), Decimal("0.1"), "USD")
    assert account(0).leverage == 30
    assert outcome.complete_until is None  # five have not had their turn
    later = NOW + timedelta(seconds=10)
    terminals, outcome, _ = sync(everyone("11"), now=later)
    assert terminals.asked == [f"a{n:02}" for n in range(20, 25)]
    assert outcome.complete_until == NOW  # as old as the oldest
    assert outcome.error == ""
    assert set(EquityPoint.objects.values_list("time", flat=True)) == {NOW.replace(minute=0)}
    assert EquityPoint.objects.count() == 25


@pytest.mark.parametrize(("seconds", "is_asked"), [(19, False), (20, True), (21, True)])
def test_an_account_is_left_in_peace_for_a_while(sync, seconds, is_asked):
    for moment in (NOW, NOW):
        sync(everyone(), now=moment)
    terminals, _, _ = sync(everyone(), now=NOW + timedelta(seconds=seconds))
    assert bool(terminals.asked) is is_asked


@pytest.mark.parametrize(
    "trouble",
    [
        BackendFailed("It broke.", 500),
        Forbidden("Not this account."),
        Unreadable("Cannot be read.", reason="wrong type", start=""),
    ],
)
def test_one_account_in_trouble_for_ever_stops_no_other(sync, trouble):
    for minutes in range(3):
        now = NOW + timedelta(minutes=minutes)
        for _ in range(2):
            terminals, outcome, _ = sync(everyone(str(minutes)) | {"a00": trouble}, now=now)
            assert outcome.error == (
                f"1 of 20 accounts did not answer: {trouble.text}" if "a00" in terminals.asked else ""
            )
        assert account(0).balance is None
        assert {account(number).balance for number in range(1, 25)} == {Decimal(minutes)}


@pytest.mark.parametrize("gone", [NotFound("Gone."), NotConnected("Not connected.")])
def test_an_account_that_is_gone_keeps_its_last_figures(sync, gone):
    sync(everyone())
    measured_at = account(0).measured_at
    _, outcome, _ = sync(everyone("12") | {"a00": gone}, now=NOW + timedelta(minutes=1))
    assert outcome.error == ""
    assert (account(0).balance, account(0).measured_at) == (Decimal("10.05"), measured_at)


@pytest.mark.parametrize("trouble", [LIMITED, Unauthorised("The token is not accepted.")])
def test_what_concerns_all_stops_the_run_and_loses_nothing(sync, trouble):
    with pytest.raises(type(trouble)):
        sync(everyone() | {"a02": trouble})
    assert [number for number in range(25) if account(number).balance == Decimal("10.05")] == [0, 1, 3, 4]
    assert [number for number in range(25) if account(number).asked_at is not None] == [0, 1, 3, 4]
    assert EquityPoint.objects.count() == 4
    terminals, _, _ = sync(everyone(), now=NOW + timedelta(hours=1))
    assert terminals.asked[0] == "a02"  # whose turn was not used up
    assert account(2).balance == Decimal("10.05")


def test_when_no_account_answers_the_sync_fails(sync):
    with pytest.raises(BackendFailed):
        sync(dict.fromkeys(everyone(), BackendFailed("It broke.", 500)))
    assert account(0).asked_at == NOW


@pytest.mark.parametrize(("refusal", "status"), [(Forbidden("Not for this token."), 403), (NotFound("No call."), 404)])
def test_a_call_that_no_account_answers_is_not_offered(sync, refusal, status):
    """A missing right is no failure: it is said once, and the list is asked for again after an hour, too."""
    _, outcome, lease = sync(dict.fromkeys(everyone(), refusal))
    assert (outcome.error, outcome.next_in_s) == ("", 3600)
    assert (lease.cursor["is_offered"], lease.cursor["refused_with"]) == (False, status)
    assert "one_by_one" not in lease.cursor


def test_an_account_that_is_known_shows_that_the_call_is_there(sync):
    refusals = dict.fromkeys(everyone(), Forbidden("Not for this token."))
    _, outcome, lease = sync(refusals | {"a03": NotConnected("Not connected.")})
    assert ("is_offered" in lease.cursor, bool(outcome.error)) == (False, True)
    with pytest.raises(BackendFailed):
        sync(refusals | {"a20": BackendFailed("It broke.", 500)})


@pytest.mark.parametrize(("minutes", "is_offered"), [(59, True), (60, False), (61, False)])
def test_a_right_that_is_lost_overnight_is_a_fault_for_an_hour(sync, minutes, is_offered):
    sync(everyone())
    sync(everyone())
    refusals = dict.fromkeys(everyone(), Forbidden("Not for this token."))
    _, outcome, lease = sync(refusals, now=NOW + timedelta(minutes=minutes))
    assert lease.cursor.get("is_offered", True) is is_offered
    assert bool(outcome.error) is is_offered
    assert account(0).balance == Decimal("10.05"), "what was measured stays"


def test_accounts_that_nobody_knows_are_not_measured(sync):
    _, outcome, _ = sync({})
    assert (outcome.complete_until, outcome.error) == (None, "")
    assert account(0).measured_at is None


def test_five_accounts_are_asked_at_the_same_time(sync):
    terminals, outcome, _ = sync(everyone(), company=threading.Barrier(accounts.AT_ONCE))
    assert (len(terminals.asked), outcome.error) == (accounts.MOST_ASKED, "")


@pytest.mark.parametrize(
    ("noted", "is_asked"),
    [(True, True), (timedelta(minutes=59), False), (timedelta(hours=1), True), (timedelta(hours=2), True)],
)
def test_the_list_of_balances_is_asked_for_again_every_hour(sync, connection, noted, is_asked):
    sync({})  # the states exist from now on
    said_at = noted if noted is True else (NOW - noted).isoformat()
    states.SyncState.objects.filter(kind=SyncKind.ACCOUNTS).update(cursor={"one_by_one": said_at, "clock": "old"})
    terminals, _, lease = sync(everyone())
    assert terminals.lists == is_asked
    assert lease.cursor["one_by_one"] == (NOW.isoformat() if is_asked else said_at)
    assert ("clock" in lease.cursor) is not is_asked


def test_a_list_that_is_offered_at_last_is_used_from_then_on(sync):
    _, _, lease = sync(everyone())
    assert lease.cursor["one_by_one"] == NOW.isoformat()
    body = b'[{"accountId": "a00", "currency": "EUR", "balance": 7, "equity": 8}]'
    now = NOW + timedelta(hours=1)
    terminals, outcome, lease = sync(everyone(), now=now, get_bytes=lambda path, *_, **__: body)
    assert (terminals.asked, outcome.error, outcome.complete_until) == ([], "", now)
    assert "one_by_one" not in lease.cursor
    assert (account(0).balance, account(0).currency, account(1).balance) == (7, "EUR", Decimal("10.05"))


@pytest.mark.parametrize(("currency", "expected"), [("EUR", "EUR"), ("USDT", ""), ("", "")])
def test_an_account_whose_currency_changes_has_the_new_one(sync, currency, expected):
    """A name of four letters is no code of a currency; its first three would be another one."""
    sync(everyone())
    assert account(0).currency == "USD"
    sync(everyone("5"), now=NOW + timedelta(minutes=1), currency=currency)
    assert (account(0).currency, account(0).balance) == (expected, 5)
