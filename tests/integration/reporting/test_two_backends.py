"""Two backends, one of which offers no balances, limits and decisions: the reasons for that are each account's own."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from django.utils import timezone

from reporting.models import SyncKind, SyncState
from tests import builders
from tests.integration.conftest import make_deal

pytestmark = pytest.mark.django_db
NOT_OFFERED = "does not offer “Balances and equity” to this token"
NOT_TOLD = "The copying service does not tell this"  # the same to a client
PROMISE = "Not measured yet"
MISSING = (SyncKind.ACCOUNTS, SyncKind.LIMITS, SyncKind.EQUITY, SyncKind.DECISIONS, SyncKind.POSITIONS)


def connect(workspace, name: str, *, missing=(), **fields):
    connection = builders.connection(workspace, name=name, **fields)
    now = timezone.now()
    for kind in SyncKind:
        cursor = {"is_offered": False} if kind in missing else {}
        SyncState.objects.create(connection=connection, kind=kind, cursor=cursor, due_at=now, last_success_at=now)
    return connection


def unmeasured(connection, name: str, **fields):
    return builders.subscriber(connection, name=name, measured_at=None, currency="", **fields)


@pytest.fixture
def firm(workspace, dora):
    """An account and a strategy at each backend, none of them measured; both accounts are the client's."""
    telling, silent = connect(workspace, "Telling"), connect(workspace, "Silent", missing=MISSING)
    accounts = {one.name: unmeasured(one, f"Of {one.name}", access=dora) for one in (telling, silent)}
    strategies = {one.name: builders.strategy(one, name=f"Trend of {one.name}") for one in (telling, silent)}
    for name, account in accounts.items():
        builders.subscription(account, strategies[name], first_seen_at=builders.LONG_AGO)
    return SimpleNamespace(telling=telling, silent=silent, accounts=accounts, strategies=strategies)


@pytest.mark.parametrize(("name", "is_promised"), [("Telling", True), ("Silent", False)])
def test_pages_of_one_account_and_strategy_speak_of_their_own_backend(firm, sign_in, alice, name, is_promised):
    account, strategy = firm.accounts[name], firm.strategies[name]
    for address in (f"/subscribers/{account.pk}/performance/", f"/strategies/{strategy.pk}/performance/"):
        page = sign_in(alice).get(address).content.decode()
        assert (PROMISE in page, NOT_OFFERED in page) == (is_promised, not is_promised), address


@pytest.mark.parametrize(
    ("address", "promise"),
    [
        ("/subscribers/", PROMISE),
        ("/strategies/results/", PROMISE),
        ("/transactions/", "The account has not been measured yet"),
    ],
)
def test_each_row_of_a_list_has_the_reason_of_its_own_backend(firm, sign_in, alice, address, promise):
    for name, account in firm.accounts.items():
        make_deal(account, firm.strategies[name], f"deal of {name}", timezone.now())
    rows = sign_in(alice).get(address).content.decode().partition("<tbody>")[2].split("<tr>")
    telling, silent = (next(row for row in rows if f"of {name}" in row.lower()) for name in ("telling", "silent"))
    assert (promise in telling, NOT_OFFERED in telling) == (True, False)
    assert (promise in silent, NOT_OFFERED in silent) == (False, True)


def test_cells_that_the_list_of_strategies_asks_for_have_their_own_reason(firm, sign_in, alice):
    for name, strategy in firm.strategies.items():
        both = ",".join(str(each.pk) for each in firm.strategies.values())
        page = sign_in(alice).get(f"/strategies/results/?ids={both}", headers={"HX-Request": "true"}).content.decode()
        for column in ("equity", "drawdown"):
            cell = page.partition(f'id="s{strategy.pk}-{column}"')[2].partition("<span id=")[0]
            assert (NOT_OFFERED in cell) is (name == "Silent"), column


def test_headroom_of_each_row_has_the_reason_of_its_own_backend(firm, sign_in, alice):
    page = sign_in(alice).get("/subscribers/").content.decode()
    assert page.count("No risk limit, or the backend does not tell") == 1
    assert page.count("does not offer “Headroom of risk limits”") == 1


@pytest.mark.parametrize(("name", "is_promised"), [("Telling", True), ("Silent", False)])
def test_a_client_reads_of_each_account_what_holds_for_it(firm, sign_in, dora, name, is_promised):
    page = sign_in(dora).get(f"/me/?account={firm.accounts[name].pk}").content.decode()
    assert (PROMISE in page, NOT_TOLD in page) == (is_promised, not is_promised)
    assert "never measured" in page
    assert "measured Never" not in page


def test_a_client_is_promised_decisions_only_where_they_are_told(firm, workspace, sign_in, dora):
    page = "/me/decisions/"
    assert "where the copying service tells it" in sign_in(dora).get(page).content.decode()
    for name, promise in (("Telling", "what became of it for you."), ("Silent", NOT_TOLD)):
        person = builders.member(workspace, f"of-{name.lower()}", "subscriber")
        firm.accounts[name].accesses.create(membership=person.memberships.get())
        text = sign_in(person).get(page).content.decode()
        assert promise in text, name
        assert "where the copying service" not in text


def test_what_is_of_all_accounts_promises_nothing_for_all(firm, sign_in, alice):
    overview = sign_in(alice).get("/").content.decode()
    assert "arrive with the next sync where the backend offers them." in overview
    assert "some backends do not tell theirs" in overview
    assert "No signal has come today" not in overview
    assert "where the backend tells its decisions" in sign_in(alice).get("/decisions/").content.decode()


@pytest.mark.parametrize(("name", "is_missing"), [("Telling", False), ("Silent", True)])
def test_commission_pages_of_one_account_and_strategy(firm, sign_in, alice, name, is_missing):
    for address in (f"/subscribers/{firm.accounts[name].pk}/", f"/strategies/{firm.strategies[name].pk}/"):
        page = sign_in(alice).get(f"{address}commission/").content.decode()
        assert ("Nothing is worked out" in page, "Nothing accrued" in page) == (is_missing, not is_missing), address


def test_what_another_firms_backend_lacks_is_not_said_here(firm, charlie, sign_in):
    theirs = connect(charlie.memberships.get().workspace, "Theirs")
    account = unmeasured(theirs, "Of Theirs")
    page = sign_in(charlie).get(f"/subscribers/{account.pk}/performance/").content.decode()
    assert PROMISE in page
    assert NOT_OFFERED not in page
