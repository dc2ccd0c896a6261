"""Trading accounts are mirrored from the provisioning API; each account's trouble is its own, a lost right is said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from accounts.mirror import AccountFigures, keep_accounts, keep_figures
from accounts.models import BrokerAccount
from copying.client import BackendFailed, Forbidden, NotFound, RateLimited, Unreachable
from copying.contract.accounts import AccountInformation
from copying.contract.terminal import TerminalInformation
from reporting.models import SyncKind, SyncState
from reporting.rights import refusals
from reporting.sync import provisioning, run, states
from tests import builders

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 3, 1, 10, 30, tzinfo=UTC)
HEDGING, NETTING = "ACCOUNT_MARGIN_MODE_RETAIL_HEDGING", "ACCOUNT_MARGIN_MODE_RETAIL_NETTING"


def listed(number: int, **fields) -> dict:
    """An account as P3 has it."""
    document = {"_id": f"a{number:02}", "name": f"Account {number}", "login": str(1000 + number), "version": 5}
    document |= {"server": "Broker-Demo", "state": "DEPLOYED", "connectionStatus": "CONNECTED", "region": "new-york"}
    return {**document, "copyFactoryRoles": ["SUBSCRIBER"], "reliability": "high", **fields}


class Backend:
    """A client of the accounts' API: a list, and what each terminal answers (an amount, a currency, an error)."""

    def __init__(self, documents, answers=None, skipped=()):
        self.documents, self.answers, self.skipped = documents, answers or {}, skipped
        self.asked: list[str] = []
        self.looked_for: list[str] = []

    def trading_accounts(self):
        if isinstance(self.documents, Exception):
            raise self.documents
        yield [document for document in self.documents if document["_id"] not in self.skipped]

    def trading_account(self, account_id):
        self.looked_for.append(account_id)
        if account_id not in [document["_id"] for document in self.documents]:
            raise NotFound("No such account.")

    def credits(self, account_id, **where):
        raise NotFound("No such call.")

    def terminal_information(self, account_id, **where):
        self.asked.append(account_id)
        answer = self.answers.get(account_id, "10")
        if isinstance(answer, Exception):
            raise answer
        amount, _, currency = answer.partition(" ")
        return TerminalInformation(
            currency=currency or "USD",
            balance=Decimal(amount),
            equity=Decimal(amount),
            leverage=Decimal(100),
            broker="Broker Ltd",
            margin_mode=HEDGING,
            type="ACCOUNT_TRADE_MODE_REAL",
        )


@pytest.fixture
def connection(workspace):
    return builders.connection(workspace)


@pytest.fixture
def sync(connection):
    """A function that mirrors the accounts once at `now`, as a sync does."""

    def once(documents, answers=None, *, now=NOW, skipped=()):
        states.ensure_states()
        SyncState.objects.update(due_at=timezone.now() + timedelta(hours=1), lease_until=None)
        states.request_sync(connection, [SyncKind.PROVISIONING])
        backend, lease = Backend(documents, answers, skipped), states.claim_due()
        outcome = provisioning.sync_trading_accounts(lease, source=run.Source(backend), backend=connection, now=now)
        return backend, outcome, lease

    return once


def account(number: int) -> BrokerAccount:
    return BrokerAccount.objects.get(backend_id=f"a{number:02}")


@pytest.mark.parametrize(("leverage", "kept"), [("99999999", 99_999_999), ("100000000", None), ("-1", None)])
def test_a_leverage_that_cannot_be_is_not_known(connection, leverage, kept):
    keep_accounts(connection, [listed(1), listed(2)], now=NOW)
    told = {"currency": "USD", "balance": Decimal(5), "equity": Decimal(6)}
    figures = [
        AccountFigures.of_terminal("a01", TerminalInformation(**told, leverage=Decimal(leverage)), NOW),
        AccountFigures.of_list(AccountInformation(account_id="a02", **told, leverage=Decimal(leverage)), NOW),
    ]
    assert keep_figures(connection, figures) == 2
    assert [(account(n).equity, account(n).leverage) for n in (1, 2)] == [(6, kept), (6, kept)]


def test_a_list_is_mirrored_with_what_terminals_tell(sync):
    _, _, lease = sync([listed(1), listed(2, copyFactoryRoles=["PROVIDER", "SUBSCRIBER"], version=4, login=77)])
    first, second = account(1), account(2)
    assert (first.name, first.login, first.server, first.platform) == ("Account 1", "1001", "Broker-Demo", "mt5")
    assert (first.roles, second.roles) == (["SUBSCRIBER"], ["PROVIDER", "SUBSCRIBER"])
    assert (second.platform, second.login, first.document["reliability"]) == ("mt4", "77", "high")
    assert (first.currency, first.equity, first.leverage, first.mode) == ("USD", Decimal(10), 100, "hedging")
    assert (first.broker, first.kind, first.may_trade, first.measured_at) == ("Broker Ltd", "real", True, NOW)
    assert lease.rows == 4  # two that are new, two that were measured


def test_what_an_api_sends_beside_is_not_kept(sync):
    sync([listed(1, accessToken="secret-1", password="secret-2", metadata={"token": "secret-3"}, strange="secret-4")])
    assert "secret" not in str(BrokerAccount.objects.values().get())


def test_rows_without_a_difference_are_not_written_but_marked_as_seen(sync):
    sync([listed(1)])
    _, _, lease = sync([listed(1)], now=NOW + timedelta(minutes=4))
    assert (lease.rows, account(1).seen_at) == (0, NOW)
    _, _, lease = sync([listed(1)], now=NOW + timedelta(minutes=6))
    assert (lease.rows, account(1).seen_at) == (0, NOW + timedelta(minutes=6))
    _, _, lease = sync([listed(1, state="UNDEPLOYED")], now=NOW + timedelta(minutes=7))
    assert (lease.rows, account(1).state) == (1, "UNDEPLOYED")


def test_an_account_is_removed_only_when_its_own_address_says_so(sync):
    sync([listed(1), listed(2)])
    backend, _, _ = sync([listed(1)], now=NOW + timedelta(minutes=1))
    assert (backend.looked_for, account(2).is_removed, account(1).is_removed) == (["a02"], True, False)
    sync([listed(1), listed(2)], now=NOW + timedelta(minutes=2))
    assert account(2).is_removed is False


def test_a_list_that_skips_one_removes_nothing(sync):
    sync([listed(1), listed(2)])
    backend, _, _ = sync([listed(1), listed(2)], skipped=["a02"])
    assert (backend.looked_for, account(2).is_removed) == (["a02"], False)


def test_replicas_and_rows_without_an_id_are_left_out(sync):
    sync([listed(1), listed(2, primaryAccountId="a01"), listed(3, _id=""), listed(4, _id=7), listed(5, _id="x" * 65)])
    assert [row.backend_id for row in BrokerAccount.objects.all()] == ["a01"]


def test_one_account_that_fails_for_ever_does_not_keep_others_from_their_turn(sync):
    documents = [listed(number) for number in range(provisioning.MOST_ASKED + 5)]
    broken = {"a00": BackendFailed("The backend could not do it.", 500)}
    first, _, _ = sync(documents, broken)
    second, _, _ = sync(documents, broken, now=NOW + timedelta(minutes=1))
    assert len(first.asked) == provisioning.MOST_ASKED
    assert sorted(second.asked) == [f"a{number}" for number in range(10, 15)]
    assert account(0).trouble == "The backend could not do it."
    assert (account(0).equity, account(14).equity) == (None, Decimal(10))
    third, _, _ = sync(documents, broken, now=NOW + timedelta(minutes=12))
    assert "a00" in third.asked
    sync(documents, {}, now=NOW + timedelta(minutes=30))
    assert (account(0).trouble, account(0).equity) == ("", Decimal(10))


@pytest.mark.parametrize(("minutes", "is_asked"), [(9, False), (10, True), (11, True)], ids=["before", "at", "after"])
def test_a_terminal_is_asked_again_after_ten_minutes(sync, minutes, is_asked):
    sync([listed(1)])
    backend, _, _ = sync([listed(1)], now=NOW + timedelta(minutes=minutes))
    assert (backend.asked == ["a01"]) is is_asked


def test_where_balances_come_anyway_a_terminal_is_asked_once_a_day(sync, connection):
    sync([listed(1)])
    for hours, is_asked in ((23, False), (25, True)):
        now = NOW + timedelta(hours=hours)
        keep_figures(connection, [AccountFigures("a01", "USD", Decimal(hours), Decimal(hours), None, now)])
        backend, _, _ = sync([listed(1)], now=now + timedelta(minutes=1))
        assert bool(backend.asked) is is_asked


@pytest.mark.parametrize(
    "fields", [{"state": "UNDEPLOYED"}, {"connectionStatus": "DISCONNECTED"}, {"state": "DRAFT", "login": None}]
)
def test_accounts_that_do_not_run_cost_no_credits(sync, fields):
    backend, _, _ = sync([listed(1, **fields)])
    assert (backend.asked, account(1).equity) == ([], None)


def test_a_limit_that_concerns_all_is_raised_after_what_is_known_was_stored(sync):
    limited = {f"a{number:02}": RateLimited("Slower.", NOW + timedelta(hours=1)) for number in (1, 3)}
    with pytest.raises(RateLimited):
        sync([listed(1), listed(2), listed(3)], limited)
    assert (account(2).equity, account(2).asked_at) == (Decimal(10), NOW)
    assert (account(1).asked_at, account(1).trouble) == (None, "")  # it has not had its turn


def test_a_currency_that_changes_is_said_with_the_one_of_before(sync):
    sync([listed(1)])
    later = NOW + timedelta(hours=1)
    sync([listed(1)], {"a01": "12 EUR"}, now=later)
    changed = account(1)
    assert (changed.currency, changed.previous_currency, changed.currency_changed_at) == ("EUR", "USD", later)
    sync([listed(1)], {"a01": "13 USDT"}, now=later + timedelta(hours=1))  # no code: not known, never "USD"
    assert (account(1).currency, account(1).previous_currency) == ("", "USD")


def test_older_figures_do_not_replace_newer_ones(connection):
    keep_accounts(connection, [listed(1)], now=NOW)
    keep_figures(connection, [AccountFigures("a01", "USD", Decimal(2), Decimal(2), None, NOW)])
    keep_figures(connection, [AccountFigures("a01", "USD", Decimal(1), Decimal(1), None, NOW - timedelta(seconds=1))])
    assert account(1).equity == 2


def test_netting_and_passwords_that_only_look_are_known(connection):
    told = TerminalInformation(
        currency="USD", balance=Decimal(1), equity=Decimal(1), margin_mode=NETTING, investor_mode=True
    )
    keep_accounts(connection, [listed(1)], now=NOW)
    keep_figures(connection, [AccountFigures.of_terminal("a01", told, NOW)])
    assert (account(1).mode, account(1).kind, account(1).may_trade) == ("netting", "", False)


@pytest.mark.parametrize(("error", "status"), [(NotFound("No such call."), "404"), (Forbidden("Not yours."), "403")])
def test_a_connection_that_does_not_offer_it_says_so_and_keeps_what_was_seen(connection, monkeypatch, error, status):
    keep_accounts(connection, [listed(1)], now=NOW)
    states.ensure_states()
    SyncState.objects.update(due_at=timezone.now() + timedelta(hours=1))
    states.request_sync(connection, [SyncKind.PROVISIONING])
    monkeypatch.setattr("copying.client.Client.trading_accounts", lambda self: raises(error))
    run.run_one(states.claim_due(), open_client=run.client_for, now=timezone.now())
    assert f"Answered with {status}" in refusals([connection.pk])[connection.pk]
    assert account(1).is_removed is False
    state = SyncState.objects.get(connection=connection, kind=SyncKind.PROVISIONING)
    assert (state.failing_since, state.error) == (None, "")


def raises(error):
    raise error


def test_a_slow_api_is_a_failure_of_the_sync_and_removes_nothing(connection, monkeypatch):
    keep_accounts(connection, [listed(1)], now=timezone.now())
    states.ensure_states()
    SyncState.objects.update(due_at=timezone.now() + timedelta(hours=1))
    states.request_sync(connection, [SyncKind.PROVISIONING])
    slow = Unreachable("The backend takes too long.")
    monkeypatch.setattr("copying.client.Client.trading_accounts", lambda self: raises(slow))
    run.run_one(states.claim_due(), open_client=run.client_for, now=timezone.now())
    assert (account(1).is_removed, account(1).state_code) == (False, "unconfirmed")
    assert refusals([connection.pk]) == {}


def test_the_embedded_backend_is_mirrored_whole(desk):
    states.ensure_states()
    SyncState.objects.update(due_at=timezone.now() + timedelta(hours=1))
    states.request_sync(desk.connection, [SyncKind.PROVISIONING])
    run.run_one(states.claim_due(), open_client=run.client_for, now=timezone.now())
    rows = {row.backend_id: row for row in BrokerAccount.objects.filter(connection=desk.connection)}
    assert set(rows) == {desk.id(name) for name in ("p-alpine", "p-boreal", "hers", "other")}
    hers = rows[desk.id("hers")]
    assert (hers.currency, hers.mode, hers.kind, hers.broker) == ("USD", "hedging", "demo", "Paper Broker")
    assert (hers.state_code, hers.leverage, hers.roles) == ("connected", 100, ["PROVIDER", "SUBSCRIBER"])
    assert hers.equity == hers.balance > 0
