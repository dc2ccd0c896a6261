"""The account APIs misbehave: pages say it, nothing is lost or doubled, other accounts go on."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from accounts.models import BrokerAccount
from reporting.models import AccountPause, EquityPoint, PositionReading, SyncKind, SyncState
from reporting.sync import accounts as balances
from reporting.sync import positions, provisioning, run, states
from subscribers.models import Subscriber
from tests import builders
from tests.faults.account_api import AccountApi, Served

pytestmark = pytest.mark.django_db(transaction=True)
SWEEPS = (SyncKind.ACCOUNTS, SyncKind.POSITIONS)
COUNT = 12


@pytest.fixture
def api():
    return AccountApi({f"a{number:02}": "USD" for number in range(COUNT)})


@pytest.fixture
def connection(api, workspace):
    with Served(api) as served:
        connection = builders.connection(workspace, base_url=served.url)
        connection.set_token(connection.token)
        connection.save()
        for account_id in api.accounts:
            builders.subscriber(connection, backend_id=account_id, name=account_id, currency="", measured_at=None)
        yield connection


@pytest.fixture
def turn(connection, api):
    """A function that runs one sync of a kind at `now` as a worker does; None: it is held back."""
    states.ensure_states()

    def once(kind, now) -> SyncState | None:
        api.clock = lambda: now
        SyncState.objects.update(due_at=timezone.now() + timedelta(hours=1), lease_until=None, lease_token=None)
        states.request_sync(connection, [kind])
        lease = states.claim_due()
        if lease is None:
            return None
        run.run_one(lease, open_client=run.client_for, now=now)
        return SyncState.objects.get(connection=connection, kind=kind)

    return once


@pytest.fixture
def start():
    return timezone.now()


def figures() -> dict[str, Decimal]:
    return dict(Subscriber.objects.exclude(balance=None).values_list("backend_id", "balance"))


def page(sign_in, person) -> str:
    return " ".join(sign_in(person).get("/sync/").content.decode().split())


def test_slow_answers_end_a_turn_and_lose_nobodys(turn, api, start, monkeypatch, sign_in, alice):
    monkeypatch.setattr(balances, "TURN_S", 0.0)
    monkeypatch.setattr(positions, "TURN_S", 0.0)
    api.slow_s = 0.01
    for number in range(3):
        state = turn(SyncKind.ACCOUNTS, start + timedelta(seconds=number))
        assert state.error == ""
        assert len(figures()) == min(5 * (number + 1), COUNT)
        assert ("7 accounts were not read yet" in page(sign_in, alice)) is (number == 0)
        if number < 2:
            assert state.due_at < timezone.now() + timedelta(seconds=10), "the rest is not kept waiting"
    for number in range(4):
        turn(SyncKind.POSITIONS, start + timedelta(seconds=number))
    assert PositionReading.objects.filter(is_strategy=False, read_at=None).count() == 0
    assert EquityPoint.objects.count() == COUNT


def test_too_many_requests_for_an_hour_stop_accounts_not_copying(turn, connection, api, start, sign_in, alice):
    turn(SyncKind.ACCOUNTS, start)
    assert len(figures()) == COUNT
    api.limited_until = start + timedelta(hours=1)
    api.amounts = dict.fromkeys(api.accounts, "7.5")
    state = turn(SyncKind.ACCOUNTS, start + timedelta(minutes=1))
    asked = sum(api.asked.values())
    assert state.error
    held = SyncState.objects.filter(connection=connection).exclude(held_until=None)
    assert set(held.values_list("kind", flat=True)) == {str(kind) for kind in run.BY_ACCOUNT}
    assert min(held.values_list("held_until", flat=True)) >= api.limited_until
    for kind in SWEEPS:
        assert turn(kind, start + timedelta(minutes=30)) is None
    assert sum(api.asked.values()) == asked
    assert turn(SyncKind.CONFIGURATION, start) is not None, "copying is asked as ever"
    assert set(figures().values()) == {Decimal("100.25")}, "what was known stays"
    assert "Failing" in page(sign_in, alice)
    api.limited_until = None
    SyncState.objects.update(held_until=None)  # an hour is over
    state = turn(SyncKind.ACCOUNTS, start + timedelta(minutes=61))
    assert (state.error, set(figures().values())) == ("", {Decimal("7.5")})
    assert EquityPoint.objects.count() in (COUNT, 2 * COUNT)  # a point an hour


def test_an_account_that_fails_for_ever_is_asked_less_and_less_and_others_go_on(turn, api, start, sign_in, alice):
    api.faults["a00"] = 500
    for minute in range(30):
        now = start + timedelta(minutes=minute)
        for kind in SWEEPS:
            turn(kind, now)
    assert api.asked["a01"] == 60
    assert api.asked["a00"] <= 16, "20 s, 40 s, 80 s ... apart"
    assert set(figures()) == {f"a{number:02}" for number in range(1, COUNT)}
    assert AccountPause.objects.filter(backend_id="a00").count() == 2
    text = page(sign_in, alice)
    assert "1 account does not answer" in text
    assert "a00 since" in text
    del api.faults["a00"]
    for kind in SWEEPS:
        turn(kind, start + timedelta(hours=3))
    assert AccountPause.objects.count() == 0
    assert len(figures()) == COUNT
    assert "does not answer" not in page(sign_in, alice)


def test_a_token_that_loses_its_rights_overnight_keeps_figures_and_pauses_nobody(turn, api, start, sign_in, alice):
    turn(SyncKind.ACCOUNTS, start)
    api.refused = 403
    state = turn(SyncKind.ACCOUNTS, start + timedelta(minutes=30))
    assert state.error
    state = turn(SyncKind.ACCOUNTS, start + timedelta(hours=2))
    assert (state.cursor["is_offered"], state.cursor["refused_with"]) == (False, 403)
    text = page(sign_in, alice)
    assert "Currency, balance, equity, return and drawdown of accounts are not known" in text
    assert "What was read before stays." in text
    assert len(figures()) == COUNT
    assert AccountPause.objects.count() == 0
    api.refused, api.amounts = 0, dict.fromkeys(api.accounts, "9")
    state = turn(SyncKind.ACCOUNTS, start + timedelta(hours=3))
    assert "is_offered" not in state.cursor
    assert set(figures().values()) == {Decimal(9)}


def test_an_account_deleted_at_the_vendor_is_removed_here_and_others_go_on(turn, api, start, sign_in, alice):
    turn(SyncKind.PROVISIONING, start)
    turn(SyncKind.ACCOUNTS, start)
    assert BrokerAccount.objects.filter(is_removed=False).count() == COUNT
    del api.accounts["a03"]
    api.amounts = dict.fromkeys(api.accounts, "8")
    turn(SyncKind.PROVISIONING, start + timedelta(minutes=1))
    state = turn(SyncKind.ACCOUNTS, start + timedelta(minutes=1))
    assert list(BrokerAccount.objects.filter(is_removed=True).values_list("backend_id", flat=True)) == ["a03"]
    assert state.error == ""
    known = figures()
    assert known.pop("a03") == Decimal("100.25"), "its last figure stays"
    assert set(known.values()) == {Decimal(8)}
    gone = BrokerAccount.objects.get(backend_id="a03")
    own = " ".join(sign_in(alice).get(f"/trading-accounts/{gone.pk}/").content.decode().split())
    assert "Removed" in own
    assert f'action="/trading-accounts/{gone.pk}/deploy/"' not in own, "nothing can be done with it"
    assert "Failing" not in page(sign_in, alice)


def test_a_currency_that_changes_is_told_and_mixes_no_points(turn, api, start, sign_in, alice):
    turn(SyncKind.PROVISIONING, start)
    turn(SyncKind.ACCOUNTS, start)
    api.accounts["a05"] = "EUR"
    turn(SyncKind.ACCOUNTS, start + timedelta(hours=2))
    changed = BrokerAccount.objects.get(backend_id="a05")
    assert (changed.currency, changed.previous_currency) == ("EUR", "USD")
    assert Subscriber.objects.get(backend_id="a05").currency == "EUR"
    points = EquityPoint.objects.filter(account_id="a05").order_by("time")
    assert list(points.values_list("currency", flat=True)) == ["USD", "EUR"]
    assert set(BrokerAccount.objects.exclude(backend_id="a05").values_list("currency", flat=True)) == {"USD"}
    own = " ".join(sign_in(alice).get(f"/trading-accounts/{changed.pk}/").content.decode().split())
    assert "Its currency was USD until" in own
    assert "Amounts from before stay in USD." in own


def test_a_terminal_is_asked_once_for_its_balance_and_for_what_it_is(turn, api, start, monkeypatch):
    with monkeypatch.context() as at_first:
        at_first.setattr(provisioning, "MOST_ASKED", 0)
        turn(SyncKind.PROVISIONING, start)
    turn(SyncKind.ACCOUNTS, start)
    asked = api.asked.copy()
    turn(SyncKind.PROVISIONING, start + timedelta(minutes=1))
    assert api.asked == asked, "each is known already"
    known = BrokerAccount.objects.values_list("mode", "broker", "leverage", "asked_at").distinct()
    assert list(known) == [("hedging", "Broker Ltd", Decimal(100), start)]


def test_what_the_vendor_counts_is_never_passed(turn, connection, api, start):
    """Many accounts, every turn at once: the stand-in counts by itself and refuses nothing."""
    for number in range(COUNT, 90):
        api.accounts[f"a{number:02}"] = "USD"
        builders.subscriber(connection, backend_id=f"a{number:02}", currency="", measured_at=None)
    elapsed = 0.0
    while len(figures()) < 90 or PositionReading.objects.filter(is_strategy=False, read_at=None).exists():
        for kind in SWEEPS:
            assert turn(kind, start + timedelta(seconds=elapsed)).error == ""
        elapsed += 1
        assert elapsed < 60
    assert api.limited == 0
