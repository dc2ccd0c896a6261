"""The portal over a backend that offers only the contract: every page is true, nothing unknown is a zero or a sum."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from reporting.commission.services import accrue_workspace
from reporting.models import BillingPeriod, CommissionLine, SyncKind, SyncState
from reporting.rights import rights_of
from strategies.models import Strategy
from subscribers.models import Subscriber
from tests import builders
from tests.contract_only import ContractOnly
from tests.faults.mirroring import settle, sync
from tests.faults.sim_backend import SimBackend, transaction
from users.listing.export import BOM

pytestmark = pytest.mark.django_db(transaction=True)
SCHEME = {"type": "amount-won", "billingPeriod": "month", "commissionRate": 0.2}
ACCOUNTS = {"account-1": "USD", "account-2": "EUR", "account-3": "JPY"}
PROMISES = (
    "usually within a minute",
    "arrive with the next sync",
    "arrive with the first sync",
    "No signal has come today",
    "Nothing accrued<",
    "unknown currency",
)
NOT_SERVED = ("/resynchronise/", "/signals/")  # the stand-in tells no open signals, which these pages ask for


@pytest.fixture
def full():
    """A backend with a strategy that three accounts in three currencies copied today, and everything to tell of it."""
    now = datetime.now(UTC)
    backend = SimBackend()
    backend.strategies.append({"_id": "s1", "name": "Trend", "accountId": "p1", "commissionScheme": SCHEME})
    for number, (account, currency) in enumerate(ACCOUNTS.items()):
        terms = [{"strategyId": "s1"}]
        backend.subscribers.append({"_id": account, "name": f"Client {number}", "subscriptions": terms})
        backend.accounts.append(
            {
                "accountId": account,
                "currency": currency,
                "balance": 1000,
                "equity": 1010,
                "margin": 0,
                "leverage": 100,
                "time": now.isoformat(),
            }
        )
        deal = transaction(
            2 * number + 1,
            now - timedelta(seconds=30),
            subscriberId=account,
            profit=100 + number,
            strategy={"id": "s1", "name": "Trend"},
            swap=0,
            commission=0,
        )
        backend.add([deal])
    with backend:
        yield backend


@pytest.fixture(params=[404, 403])
def bare(full, request):
    """The same behind a door that lets only the contract through."""
    with ContractOnly(full.url, refusal=request.param) as door:
        yield door


def mirror(workspace, address: str):
    """A connection with everything synced that there is, and its accrual."""
    connection = builders.connection(workspace, base_url=address)
    settle(connection, [SyncKind.CONFIGURATION])
    settle(connection)
    accrue_workspace(workspace.pk, datetime.now(UTC))
    return connection


def pages(patterns=None, prefix="") -> list[str]:
    """Every address of the portal, with ids in the places of ids."""
    found = []
    for entry in get_resolver().url_patterns if patterns is None else patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            found += pages(entry.url_patterns, route)
        elif isinstance(entry, URLPattern) and not route.startswith(("admin", "^", "accounts")):
            found.append(route)
    return found


def filled(route: str, strategy: int, subscriber: int, connection: int) -> str | None:
    """The address with the keys of the mirrored objects; None for addresses of what this firm has none of."""
    key = subscriber if route.startswith(("subscribers/", "me/")) else strategy
    key = connection if "connections/" in route else key
    known = ("subscribers/<int:pk>", "strategies/<int:pk>", "connections/<int:pk>")
    if "<int:pk>" in route and not any(part in route for part in known):
        return None
    route = route.replace("<int:pk>", str(key)).replace("<int:strategy_pk>", str(strategy))
    route = route.replace("<int:subscriber_pk>", str(subscriber)).replace("<str:strategy_id>", "s1")
    return None if "<" in route else f"/{route}"


def test_every_page_is_there_for_every_role_and_promises_nothing(bare, workspace, alice, bob, dora, sign_in, text_of):
    connection = mirror(workspace, bare.url)
    strategy, subscriber = Strategy.objects.get(), Subscriber.objects.get(backend_id="account-1")
    membership = dora.memberships.get()
    membership.accesses.create(subscriber=subscriber)
    keys = strategy.pk, subscriber.pk, connection.pk
    addresses = [address for route in pages() if (address := filled(route, *keys))]
    addresses = [address for address in addresses if not address.endswith(NOT_SERVED)]
    walked = 0
    for address in addresses:
        for person in (alice, bob, dora):
            answer = sign_in(person).get(address)
            assert answer.status_code < 500, (address, person)
            if answer.status_code == 200 and "html" in answer.headers.get("Content-Type", ""):
                text = text_of(answer)
                assert [words for words in PROMISES if words in text] == [], (address, person)
                walked += 1
    assert walked > 60


def test_what_is_refused_is_a_missing_right_and_no_fault(bare, workspace, alice, sign_in):
    connection = mirror(workspace, bare.url)
    states = {state.kind: state for state in SyncState.objects.filter(connection=connection)}
    assert [kind for kind, state in states.items() if state.failing_since] == []
    missing = {one.right.kind for one in rights_of(connection) if one.state.code == "missing"}
    optional = {SyncKind.ACCOUNTS, SyncKind.EQUITY, SyncKind.LIMITS, SyncKind.DECISIONS}
    assert missing == optional | {SyncKind.POSITIONS, SyncKind.PROVISIONING}
    page = sign_in(alice).get(reverse("reporting:rights", args=[connection.pk])).content.decode()
    assert f"Answered with {bare.refusal}" in page
    assert "It needs access to the accounts" in page


def test_a_right_that_comes_and_goes_is_known_with_the_next_sync(full, workspace):
    with ContractOnly(full.url, refusal=403) as door:
        connection = mirror(workspace, door.url)
    connection.base_url = connection.token_destination = full.url
    connection.save()
    settle(connection)
    offered = {one.right.kind for one in rights_of(connection) if one.state.code == "offered"}
    assert SyncKind.ACCOUNTS in offered
    assert SyncKind.EQUITY in offered
    assert Subscriber.objects.exclude(currency="").count() == 3
    full.accounts = None
    connection.base_url = connection.token_destination = door.url  # nobody answers there any more
    connection.save()
    sync(connection, [SyncKind.ACCOUNTS])
    known = Subscriber.objects.filter(currency="USD", equity=1010)
    assert known.count() == 1, "what was measured stays"


def test_amounts_of_unknown_currencies_are_never_added_up(bare, workspace, alice, sign_in):
    mirror(workspace, bare.url)
    page = sign_in(alice).get("/transactions/totals/").content.decode()
    assert "303" not in page
    assert "3 accounts whose currencies are not known" in page
    only = sign_in(alice).get("/transactions/totals/?subscriber=account-2").content.decode()
    assert "101.00" in only, "one account has one currency, whichever it is"


def test_known_currencies_are_summed_beside_what_is_not_known(full, workspace, alice, sign_in):
    full.accounts = [row for row in full.accounts if row["currency"] == "USD"]
    mirror(workspace, full.url)
    page = sign_in(alice).get("/transactions/totals/").content.decode()
    assert "100.00" in page
    assert "2 accounts whose currencies are not known" in page
    strategies = sign_in(alice).get("/strategies/results/", headers={"HX-Request": "true"}).content.decode()
    assert "010.00" in strategies
    assert "without 2 of 3" in strategies
    overview = sign_in(alice).get("/").content.decode()
    assert "without 2 accounts not known" in overview
    assert "2 of them in no known currency and left out" in overview


def test_unknown_equity_is_no_zero(bare, workspace, alice, sign_in):
    mirror(workspace, bare.url)
    cells = sign_in(alice).get("/strategies/results/", headers={"HX-Request": "true"}).content.decode()
    assert "0.00" not in cells
    file = b"".join(sign_in(alice).get("/strategies/?format=csv").streaming_content).removeprefix(BOM).decode()
    row = next(csv.DictReader(io.StringIO(file)))
    assert (row["subscribers"], row["equity_copied"], row["accounts_left_out"]) == ("3", "", "3")


def test_deals_wait_visibly_and_accrue_once_the_currency_is_known(bare, full, workspace, alice, sign_in):
    connection = mirror(workspace, bare.url)
    waits = "3 deals of 3 accounts wait for a currency"
    assert not CommissionLine.objects.exists()
    for address in ("/commissions/", "/commissions/close/"):
        assert waits in sign_in(alice).get(address).content.decode(), address
    overview = sign_in(alice).get("/").content.decode()
    assert "3 deals of 3 accounts" in overview
    assert "wait for a currency" in overview
    connection.base_url = connection.token_destination = full.url
    connection.save()
    settle(connection, [SyncKind.ACCOUNTS])
    accrue_workspace(workspace.pk, datetime.now(UTC))
    lines = dict(CommissionLine.objects.values_list("currency", "amount"))
    assert lines == {"USD": Decimal("20.00"), "EUR": Decimal("20.20"), "JPY": Decimal("20")}
    assert BillingPeriod.objects.exists()
    assert "wait for a currency" not in sign_in(alice).get("/commissions/").content.decode()


def test_decisions_that_the_backend_does_not_tell_are_said_to_be_so(bare, workspace, alice, sign_in):
    mirror(workspace, bare.url)
    assert "The backend tells no decisions" in sign_in(alice).get("/decisions/").content.decode()
    assert "the backend does not tell its decisions" in sign_in(alice).get("/").content.decode()
