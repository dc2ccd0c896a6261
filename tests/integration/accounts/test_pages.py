"""The list of trading accounts and the page of one: what they say, to whom, and what is not known."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from accounts.states import BROKER_STATES, UNSEEN_AFTER
from reporting.models import SyncKind, SyncState
from tests import builders

pytestmark = pytest.mark.django_db
URL = "/trading-accounts/"


@pytest.fixture
def connection(workspace):
    return builders.connection(workspace, name="Backend one")


def names_in(html: str) -> list[str]:
    return [part.partition("<")[0] for part in html.split('<a class="name"')[1:] for part in [part.partition(">")[2]]]


def test_the_list_shows_what_is_known_and_why_the_rest_is_not(connection, is_for_staff_only):
    builders.broker_account(
        connection,
        name="Known",
        is_provider=True,
        is_subscriber=True,
        broker="Broker Ltd",
        currency="EUR",
        leverage=100,
        mode="hedging",
        kind="real",
        equity=Decimal("1234.5"),
        measured_at=timezone.now(),
    )
    builders.broker_account(connection, name="New")
    html = is_for_staff_only(URL, stranger=200)
    for text in (
        "Provider and subscriber",
        "Broker Ltd",
        "Broker-Demo",
        "EUR",
        "100 : 1",
        "Hedging",
        "Real",
        "Connected",
    ):
        assert text in html, text
    assert "1\u202f234.50" in html
    assert 'title="Its terminal has not reported it yet"' in html


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "connected"),
        ({"connection_status": "DISCONNECTED_FROM_BROKER"}, "broker-lost"),
        ({"connection_status": "DISCONNECTED"}, "offline"),
        ({"connection_status": "HALF_CONNECTED"}, "unknown"),
        ({"state": "DRAFT"}, "draft"),
        ({"state": "CREATED"}, "stopped"),
        ({"state": "UNDEPLOYED", "connection_status": "CONNECTED"}, "stopped"),
        ({"state": "DEPLOYING"}, "starting"),
        ({"state": "UNDEPLOYING"}, "stopping"),
        ({"state": "DEPLOY_FAILED"}, "start-failed"),
        ({"state": "UNDEPLOY_FAILED"}, "stop-failed"),
        ({"state": "REDEPLOY_FAILED"}, "restart-failed"),
        ({"state": "DELETE_FAILED"}, "removal-failed"),
        ({"state": "DELETING"}, "removing"),
        ({"state": "SLEEPING"}, "unknown"),
        ({"is_removed": True}, "removed"),
        ({"unseen_for": UNSEEN_AFTER + timedelta(minutes=1)}, "unconfirmed"),
        ({"unseen_for": UNSEEN_AFTER - timedelta(minutes=1)}, "connected"),
    ],
)
def test_a_state_says_what_is_known_of_the_account_and_its_way_to_the_broker(connection, fields, code):
    seen_at = timezone.now() - fields.pop("unseen_for", timedelta(0))
    account = builders.broker_account(connection, **{"seen_at": seen_at, **fields})
    assert account.pill == BROKER_STATES[code]


def test_nothing_is_connected_beside_a_sync_that_fails(connection):
    account = builders.broker_account(connection)
    SyncState.objects.create(
        connection=connection, kind=SyncKind.PROVISIONING, due_at=timezone.now(), failing_since=timezone.now()
    )
    assert account.pill.code == "unconfirmed"


def test_filters_search_and_the_file_give_the_same_rows(connection, sign_in, alice, text_of):
    builders.broker_account(connection, name="One", login="555", is_provider=True, mode="netting", kind="demo")
    builders.broker_account(connection, name="Two", is_subscriber=True, state="UNDEPLOYED", currency="EUR")
    builders.broker_account(connection, name="Gone", is_removed=True)
    other = builders.connection(connection.workspace, name="Backend two")
    builders.broker_account(other, name="Three", equity=3, login="=1+1")
    client = sign_in(alice)
    for query, expected in (
        ("", ["One", "Three", "Two"]),
        ("?q=555", ["One"]),
        ("?role=provider", ["One"]),
        ("?role=none", ["Three"]),
        ("?state=stopped", ["Two"]),
        ("?state=removed", ["Gone"]),
        ("?mode=netting", ["One"]),
        ("?mode=unknown", ["Three", "Two"]),
        ("?kind=demo", ["One"]),
        ("?currency=EUR", ["Two"]),
        ("?connection=Backend+two", ["Three"]),
        ("?connection=nowhere", []),
        ("?sort=-name", ["Two", "Three", "One"]),
        ("?sort=-equity", ["Three", "Two", "One"]),
    ):
        html = client.get(URL + query).content.decode()
        lines = text_of(client.get(f"{URL}{query}{'&' if query else '?'}format=csv")).splitlines()[1:]
        assert sorted(names_in(html)) == sorted(expected), query
        assert sorted(line.partition(",")[0] for line in lines) == sorted(expected), query
    assert "'=1+1" in text_of(client.get(f"{URL}?format=csv"))
    assert client.get(f"{URL}?state=strange").status_code == 400


def test_netting_is_refused_with_the_vendors_reason(connection, sign_in, alice):
    account = builders.broker_account(connection, mode="netting")
    for path in (URL, f"{URL}{account.pk}/"):
        assert "CopyFactory does not support" in sign_in(alice).get(path).content.decode()


def test_a_connection_that_does_not_offer_accounts_says_so(connection, sign_in, alice):
    SyncState.objects.create(
        connection=connection,
        kind=SyncKind.PROVISIONING,
        due_at=timezone.now(),
        cursor={"is_offered": False, "refused_with": 403},
    )
    html = sign_in(alice).get(URL).content.decode()
    assert "Accounts of Backend one are not listed" in html
    assert "the token may not use it" in html
    assert f"/settings/connections/{connection.pk}/rights/" in html


def test_the_page_of_an_account_names_what_hangs_on_it(connection, is_for_staff_only):
    account = builders.broker_account(
        connection,
        trouble="Its terminal is busy.",
        asked_at=timezone.now(),
        may_trade=False,
        currency="EUR",
        previous_currency="USD",
        currency_changed_at=timezone.now(),
    )
    builders.strategy(connection, name="Alpine Trend", account_id=account.backend_id)
    builders.subscriber(connection, name="Hers", backend_id=account.backend_id)
    builders.subscriber(builders.connection(connection.workspace), name="Not hers", backend_id=account.backend_id)
    html = is_for_staff_only(f"{URL}{account.pk}/")
    for text in ("Alpine Trend", "Hers", "Its terminal is busy.", "may not trade", "Its currency was USD"):
        assert text in html, text
    assert "Not hers" not in html


def test_an_account_of_another_firm_does_not_exist(charlie, sign_in, alice):
    theirs = builders.broker_account(builders.connection(charlie.memberships.get().workspace), name="Theirs")
    client = sign_in(alice)
    assert client.get(f"{URL}{theirs.pk}/").status_code == 404
    assert client.get(f"{URL}987654321/").status_code == 404
    assert (
        "Theirs"
        not in client.get(f"{URL}?q=Theirs")
        .content.decode()
        .partition("<main")[2]
        .replace('value="Theirs"', "")
        .partition("chip")[0]
    )
