"""Balances are written where they differ, and the moment of a measurement once a minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection as database

from copying.contract.accounts import AccountInformation
from reporting.entering import EntryRow, follow_reported, save_entries
from reporting.sync.accounts import codes_of
from subscribers.mirror import MEASURED_EVERY, keep_balances
from subscribers.models import EnteredCurrency, Subscriber
from tests import builders

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
FIGURES = {
    "currency": "EUR",
    "balance": Decimal("1000.1"),
    "equity": Decimal("1001.123456789"),
    "margin": Decimal(3),
    "leverage": Decimal(100),
    "simulated": None,
}


@pytest.fixture
def account(workspace):
    return builders.subscriber(builders.connection(workspace), backend_id="a1", measured_at=None, currency="")


def poll(account, *, now=NOW, **fields) -> tuple[int, bool]:
    """(accounts with other figures, whether a row was written)."""
    with database.cursor() as cursor:
        cursor.execute("SELECT ctid::text FROM subscribers_subscriber WHERE id = %s", [account.pk])
        (before,) = cursor.fetchone()
        number = keep_balances(account.connection, [AccountInformation(account_id="a1", **(FIGURES | fields))], now=now)
        cursor.execute("SELECT ctid::text FROM subscribers_subscriber WHERE id = %s", [account.pk])
        return number, cursor.fetchone() != (before,)


def test_the_first_figures_are_written(account):
    assert poll(account) == (1, True)
    account.refresh_from_db()
    assert (account.balance, account.equity) == (Decimal("1000.1"), Decimal("1001.12345679"))
    assert (account.currency, account.measured_at) == ("EUR", NOW)


@pytest.mark.parametrize(
    ("step", "is_written"),
    [(-timedelta(microseconds=1), False), (timedelta(0), True), (timedelta(microseconds=1), True)],
)
def test_the_same_figures_are_noted_as_measured_once_a_minute(account, step, is_written):
    poll(account)
    assert poll(account, now=NOW + MEASURED_EVERY + step) == (0, is_written)


@pytest.mark.parametrize(
    "other",
    [
        {"balance": Decimal(1)},
        {"equity": Decimal("1001.12345678")},
        {"margin": None},
        {"leverage": Decimal(30)},
        {"currency": "USD"},
        {"simulated": True},
    ],
)
def test_any_other_figure_is_written_at_once(account, other):
    poll(account)
    assert poll(account, now=NOW + timedelta(seconds=10), **other) == (1, True)
    account.refresh_from_db()
    assert account.measured_at == NOW + timedelta(seconds=10)


@pytest.mark.parametrize(
    ("leverage", "kept"),
    [("0", 0), ("99999999", 99_999_999), ("99999999.01", None), ("-1", None), ("99999999999999", None)],
)
def test_a_leverage_that_cannot_be_keeps_no_other_account_from_being_noted(account, leverage, kept):
    other = builders.subscriber(account.connection, backend_id="a2", measured_at=None)
    odd = AccountInformation(account_id="a1", **FIGURES | {"leverage": Decimal(leverage)})
    assert keep_balances(account.connection, [odd, AccountInformation(account_id="a2", **FIGURES)], now=NOW) == 2
    account.refresh_from_db()
    other.refresh_from_db()
    assert (account.balance, account.leverage) == (Decimal("1000.1"), kept)
    assert (other.balance, other.leverage) == (Decimal("1000.1"), 100)


def test_older_figures_change_nothing(account):
    poll(account)
    assert poll(account, now=NOW - timedelta(seconds=1), balance=Decimal(5))[1] is False
    account.refresh_from_db()
    assert account.balance == Decimal("1000.1")


def test_an_account_that_was_never_measured_is_noted_without_any_figure(account):
    nothing = {"currency": "", "balance": None, "equity": None, "margin": None, "leverage": None}
    poll(account, **nothing)
    account.refresh_from_db()
    assert account.measured_at == NOW


ENTERED, TOLD = "entered", "told"


@pytest.mark.parametrize(
    ("events", "currency"),
    [
        ([(TOLD, "")], ""),
        ([(TOLD, "USD")], "USD"),
        ([(TOLD, "USDT")], ""),
        ([(TOLD, "USD"), (TOLD, "")], ""),
        ([(TOLD, "USD"), (TOLD, "USDT")], ""),
        ([(TOLD, "USD"), (TOLD, "EUR")], "EUR"),
        ([(ENTERED, "USD"), (TOLD, "")], "USD"),
        ([(ENTERED, "USD"), (TOLD, "USDT")], "USD"),
        ([(ENTERED, "USD"), (TOLD, "EUR")], "EUR"),
        ([(ENTERED, "USD"), (TOLD, "EUR"), (TOLD, "")], "EUR"),
        ([(ENTERED, "USD"), (TOLD, "EUR"), (TOLD, "USDT")], "EUR"),
        ([(ENTERED, "USD"), (TOLD, "EUR"), (TOLD, "JPY")], "JPY"),
        ([(ENTERED, "USD"), (TOLD, ""), (TOLD, "EUR")], "EUR"),
        ([(TOLD, ""), (ENTERED, "USD"), (TOLD, "")], "USD"),
        ([(TOLD, "USDT"), (ENTERED, "USD"), (TOLD, "USDT")], "USD"),
        ([(TOLD, "USDT"), (ENTERED, "USD"), (TOLD, "EUR")], "EUR"),
        ([(TOLD, "USD"), (TOLD, ""), (ENTERED, "EUR"), (TOLD, "")], "EUR"),
    ],
)
def test_which_currency_holds_after_entries_and_balances_in_any_order(account, alice, events, currency):
    for seconds, (event, code) in enumerate(events):
        now = NOW + timedelta(seconds=seconds)
        if event == ENTERED:
            row = EntryRow(2, account.backend_id, code)
            save_entries(account.workspace, [row], by=alice, now=now)
        else:
            told = AccountInformation(account_id="a1", **FIGURES | {"currency": code})
            keep_balances(account.connection, [told], now=now)
            follow_reported(account.connection, codes_of([told]), now=now)
    account.refresh_from_db()
    assert account.currency == currency


@pytest.mark.parametrize("code", ["", "USDT"])
def test_an_entered_currency_is_not_written_again_with_every_balance(account, code):
    EnteredCurrency.objects.create(subscriber=account, currency="USD", set_at=NOW)
    assert poll(account, currency=code) == (1, True)
    assert poll(account, now=NOW + timedelta(seconds=10), currency=code) == (0, False)
    account.refresh_from_db()
    assert account.currency == "USD"


@pytest.mark.parametrize(("reported", "is_entered"), [("", True), ("EUR", False), ("USD", False)])
def test_a_currency_is_said_to_be_entered_until_the_account_tells_one(account, reported, is_entered):
    assert not account.is_currency_entered
    EnteredCurrency.objects.create(subscriber=account, currency="USD", set_at=NOW, reported=reported)
    poll(account, currency="")  # measured, and still without a code of its own
    assert Subscriber.objects.get(pk=account.pk).is_currency_entered is is_entered


def test_accounts_that_tell_no_currency_cost_one_query_however_many_were_entered(account, django_assert_num_queries):
    others = [builders.subscriber(account.connection, currency="") for _ in range(3)]
    for own in (account, *others):
        EnteredCurrency.objects.create(subscriber=own, currency="USD", set_at=NOW)
    with django_assert_num_queries(1):
        follow_reported(account.connection, {own.backend_id: "" for own in (account, *others)}, now=NOW)
