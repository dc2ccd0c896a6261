"""What is open at the embedded backend, as the portal mirrors it: positions, signals, sums; each figure by its rows."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from django.utils import timezone

from accounts.models import BrokerAccount
from copying.backend import tokens
from reporting.models import ExposureSum, OpenPosition, OpenTrade
from tests import builders

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_signal_has_its_copies(desk, read, trade):
    position = trade(desk.id("p-alpine"))
    read()
    signal = OpenTrade.objects.get(strategy_id=desk.id("alpine"))
    assert (signal.signal_id, signal.state, signal.lots, signal.copies) == (position, "open", Decimal("0.2"), 2)
    assert signal.missing == 0
    copies = {row.subscriber_id: row for row in OpenPosition.objects.exclude(signal_id="")}
    assert copies[desk.id("hers")].lots == Decimal("0.4")
    assert copies[desk.id("other")].lots == Decimal("0.1")
    assert copies[desk.id("other")].strategy_id == desk.id("both")
    assert copies[desk.id("other")].source_strategy_id == desk.id("alpine")
    sums = ExposureSum.objects.get(source_strategy_id=desk.id("alpine"))
    assert (sums.positions, sums.lots) == (2, Decimal("0.5"))


@pytest.mark.parametrize(
    ("of_client", "of_account", "shown"), [("", "EUR", "EUR"), ("JPY", "EUR", "JPY"), ("", "", "")]
)
def test_a_providers_result_is_in_the_currency_of_its_account(of_client, of_account, shown, desk, read, trade):
    backend, account = desk.alpine.connection, desk.id("p-alpine")
    names = {"workspace": backend.workspace, "connection": backend, "backend_id": account, "name": "Provider"}
    seen = {"first_seen_at": timezone.now(), "seen_at": timezone.now(), "revision": ""}
    BrokerAccount.objects.create(**names, **seen, currency=of_account)
    elsewhere = names | {"connection": builders.connection(backend.workspace)}
    BrokerAccount.objects.create(**elsewhere, **seen, currency="GBP")
    if of_client:
        builders.subscriber(backend, backend_id=account, currency=of_client)
    trade(account)
    read()
    assert OpenTrade.objects.get(strategy_id=desk.id("alpine")).currency == shown


def listed(client, path: str, key: str) -> list[dict]:
    """Everything that a list of the backend tells, a row a page."""
    rows: list[dict] = []
    while page := json.loads(client.get_bytes(path, {"limit": 1, "after": rows[-1][key] if rows else 0})):
        rows += page
    return rows


def test_lists_of_the_backend_are_of_ones_own_accounts_and_strategies(desk, trade, served, workspace):
    trade(desk.id("p-alpine"))
    desk.signal(desk.boreal)
    with desk.client() as client:
        positions = listed(client, "/users/current/positions", "id")
        signals = listed(client, "/users/current/open-signals", "number")
        by_account = [
            position.id
            for account in {each["accountId"] for each in positions}
            for position in client.terminal_positions(account)
        ]
    assert sorted(by_account) == sorted(each["id"] for each in positions)
    assert len({each["id"] for each in positions}) == len(positions) == 4
    assert {each["accountId"] for each in positions} == {desk.id("p-alpine"), desk.id("hers"), desk.id("other")}
    assert {(each["strategyId"], each["external"]) for each in signals} == {
        (desk.id("alpine"), False),
        (desk.id("boreal"), True),
    }
    stranger = builders.connection(workspace, base_url=served.url, token=tokens.issue(f"{desk.tenant}stranger"))
    with stranger.client() as client:
        assert listed(client, "/users/current/positions", "id") == []
        assert listed(client, "/users/current/open-signals", "number") == []


def test_what_is_over_leaves_nothing_and_what_stays_is_not_written(desk, read, trade):
    desk.signal(desk.boreal)
    read()
    before = dict(OpenPosition.objects.values_list("pk", "changed_at"))
    assert len(before) == 1
    read()
    assert dict(OpenPosition.objects.values_list("pk", "changed_at")) == before
    desk.backend.move(EURUSD=(1.2, 1.2002))
    read()
    moved = OpenPosition.objects.get()
    assert moved.changed_at > before[moved.pk]
    assert moved.floating is not None
    desk.end_signal(desk.boreal)
    read()
    assert not OpenPosition.objects.exists()
    assert not OpenTrade.objects.exists()
    assert not ExposureSum.objects.exists()


def test_floating_is_equity_less_balance(desk, read, trade):
    trade(desk.id("p-alpine"))
    desk.backend.move(EURUSD=(1.2, 1.2002))
    read()
    with desk.client() as client:
        for account in (desk.hers, desk.other):
            information = client.terminal_information(account.backend_id)
            floating = sum(row.floating for row in OpenPosition.objects.filter(subscriber_id=account.backend_id))
            assert floating == information.equity - information.balance


def test_a_copy_that_the_provider_left_is_marked(desk, read, trade, sign_in, alice):
    """The provider's strategy is gone from the account's mirror of signals, the copy is still there."""
    trade(desk.id("p-alpine"))
    read()
    OpenTrade.objects.update(state="closed")
    page = sign_in(alice).get("/positions/").content.decode()
    assert "Closed by the provider" in page
    assert "extra" in sign_in(alice).get("/positions/all/").content.decode()
