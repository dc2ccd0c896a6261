"""Adding an account: once, however often it is sent; the password nowhere; every refusal with what to do."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.apps import apps
from django.core.cache import cache
from django.db import connection as database
from django.utils import timezone

from accounts import add_views
from accounts.models import AccountRequest, BrokerAccount
from copying.client import (
    AccountRefused,
    BackendFailed,
    Client,
    Forbidden,
    NotReady,
    RateLimited,
    Rejected,
    Unreachable,
)
from copying.contract.provisioning import ConfigurationLink, CreatedAccount
from jobs.models import Job
from reporting.models import SyncKind, SyncState
from tests import builders
from users.models import AuditEntry

pytestmark = pytest.mark.django_db
URL = "/trading-accounts/new/?way="
SECRET = "a-Pass-word-9"
FORM = {"name": "Dora", "role": "SUBSCRIBER", "platform": "mt5", "server": "Broker-Demo", "login": "1234567"}
FORM |= {"password": SECRET, "once": "token-1"}
LATER = datetime(2026, 12, 1, tzinfo=UTC)


class Vendor:
    """What creating an account answers, in turn, and what was sent."""

    def __init__(self):
        self.answers: list = []
        self.sent: list = []

    def create(self, account, transaction_id):
        self.sent.append((account, transaction_id))
        answer = self.answers.pop(0) if self.answers else CreatedAccount(id="new-1", state="DEPLOYING")
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def vendor(monkeypatch):
    made = Vendor()
    monkeypatch.setattr(
        Client, "create_trading_account", lambda self, account, *, transaction_id: made.create(account, transaction_id)
    )
    document = {"name": "Dora", "state": "DEPLOYING"}
    monkeypatch.setattr(Client, "trading_account_document", lambda self, account_id: document | {"_id": account_id})
    cache.clear()
    return made


@pytest.fixture
def connection(workspace):
    return builders.connection(workspace)


@pytest.fixture
def form(connection):
    return FORM | {"connection": str(connection.pk)}


def everything_stored() -> str:
    """All rows of all tables of ours, as text."""
    rows = []
    with database.cursor() as cursor:
        for table in sorted({model._meta.db_table for model in apps.get_models()}):
            cursor.execute(f'SELECT t::text FROM "{table}" t')
            rows += [row[0] for row in cursor.fetchall()]
    return "\n".join(rows)


def test_an_account_is_added_once_and_followed_by_a_job(vendor, form, sign_in, alice):
    client = sign_in(alice)
    first, second = client.post(URL + "login", form), client.post(URL + "login", form)
    account = BrokerAccount.objects.get()
    assert first.status_code == second.status_code == 302
    assert first.headers["Location"] == second.headers["Location"] == f"/trading-accounts/{account.pk}/"
    ((sent, transaction),) = vendor.sent
    assert (sent.login, sent.password, sent.server, sent.copy_factory_roles) == (
        "1234567",
        SECRET,
        "Broker-Demo",
        ["SUBSCRIBER"],
    )
    assert re.fullmatch("[0-9a-f]{32}", transaction)
    assert [job.parameters["act"] for job in Job.objects.all()] == ["follow"]
    (entry,) = AuditEntry.objects.filter(action="trading account added")
    assert (entry.subject, entry.details["id"]) == ("Dora", "new-1")


def test_the_password_is_stored_nowhere(vendor, form, sign_in, alice, caplog):
    client = sign_in(alice)
    vendor.answers = [
        NotReady("Wait.", LATER),
        AccountRefused("No.", "E_AUTH"),
        Unreachable("No answer."),
        BackendFailed("No.", 500),
    ]
    for _ in range(4):
        page = client.post(URL + "login", form | {"try_anyway": "on"}).content.decode()
        assert SECRET not in page
    client.post(URL + "login", form | {"once": "token-2", "try_anyway": "on"})
    assert BrokerAccount.objects.count() == 1
    assert SECRET not in everything_stored()
    assert SECRET not in caplog.text


def test_a_login_that_is_being_checked_is_asked_for_again_under_the_same_id(vendor, form, sign_in, alice):
    client = sign_in(alice)
    vendor.answers = [NotReady("Wait.", timezone.now() + timedelta(seconds=30)), NotReady("Wait.", LATER)]
    with_scripts = client.post(URL + "login", form, headers={"HX-Request": "true"})
    assert (with_scripts.status_code, with_scripts.headers["HX-Retarget"]) == (202, "#account-progress")
    delay = re.search(r"delay:(\d+)s", with_scripts.content.decode())
    assert 25 <= int(delay[1]) <= 30
    plain = client.post(URL + "login", form)
    assert plain.status_code == 202
    assert "type it again" in plain.content.decode()
    assert 'name="once" value="token-1"' in plain.content.decode()
    done = client.post(URL + "login", form, headers={"HX-Request": "true"})
    assert (done.status_code, done.headers["HX-Redirect"]) == (
        204,
        f"/trading-accounts/{BrokerAccount.objects.get().pk}/",
    )
    assert len({transaction for _, transaction in vendor.sent}) == 1


@pytest.mark.parametrize("name", ["name", "server", "login", "password", "role"])
def test_another_content_is_another_request(vendor, form, sign_in, alice, name):
    client = sign_in(alice)
    vendor.answers = [NotReady("Wait.", LATER)]
    client.post(URL + "login", form)
    client.post(URL + "login", form | {name: "PROVIDER" if name == "role" else "98765432"})
    assert len({transaction for _, transaction in vendor.sent}) == 2


@pytest.mark.parametrize(
    ("error", "texts"),
    [
        (AccountRefused("Check login and password.", "E_AUTH"), ["Check login and password."]),
        (
            AccountRefused("No such server.", "E_SRV_NOT_FOUND", servers={"Broker Ltd": ["Broker-Demo2"]}),
            ["No such server.", "Broker Ltd: Broker-Demo2", '<option value="Broker-Demo2">'],
        ),
        (AccountRefused("Too large.", "E_RESOURCE_SLOTS", slots=3), ["Too large.", "recommends 3 resource slots"]),
        (AccountRefused("Ask the vendor for a higher quota.", "QUOTA"), ["a higher quota"]),
        (Rejected("Wrong.", [{"parameter": "login", "message": "is connected already"}]), ["is connected already"]),
        (Rejected("Something else.", [{"parameter": "strange", "message": "x"}]), ["Something else."]),
        (Forbidden("No."), ["needs access to the accounts"]),
    ],
)
def test_a_refusal_says_what_to_do_and_the_form_gets_a_new_number(vendor, form, sign_in, alice, error, texts):
    vendor.answers = [error]
    answer = sign_in(alice).post(URL + "login", form)
    page = answer.content.decode()
    assert answer.status_code == 422
    for text in texts:
        assert text in page, text
    assert 'name="once" value="token-1"' not in page
    assert not BrokerAccount.objects.exists()


@pytest.mark.parametrize(
    ("error", "state", "text"),
    [
        (Unreachable("The backend takes too long."), "unknown", "it is not added twice"),
        (BackendFailed("It failed.", 502), "unknown", "it is not added twice"),
        (Unreachable("Refused.", was_sent=False), "not-sent", "Not added."),
        (RateLimited("Too many requests.", LATER), "not-sent", "Not added yet."),
    ],
)
def test_what_has_no_answer_keeps_its_number(vendor, form, sign_in, alice, error, state, text):
    vendor.answers = [error]
    answer = sign_in(alice).post(URL + "login", form)
    assert (answer.status_code, AccountRequest.objects.get().state) == (503, state)
    assert text in answer.content.decode()
    assert 'name="once" value="token-1"' in answer.content.decode()


def test_the_same_refused_login_is_asked_about_before_it_may_cost_again(vendor, form, sign_in, alice):
    client = sign_in(alice)
    vendor.answers = [AccountRefused("No.", "E_AUTH")]
    client.post(URL + "login", form)
    again = client.post(URL + "login", form | {"once": "token-2"})
    assert (again.status_code, len(vendor.sent)) == (422, 1)
    assert "refused exactly this" in again.content.decode()
    assert client.post(URL + "login", form | {"once": "token-3", "password": "another-one-8"}).status_code == 302
    assert client.post(URL + "login", form | {"once": "token-4", "try_anyway": "on"}).status_code == 302


@pytest.mark.parametrize(("refusals", "status"), [(4, 302), (5, 422)], ids=["before", "at"])
def test_who_fails_often_waits(vendor, connection, form, sign_in, alice, refusals, status):
    for number in range(refusals):
        AccountRequest.objects.create(
            workspace=connection.workspace,
            connection=connection,
            asked_by=alice,
            transaction_id=f"t{number}",
            state="refused",
            code="E_AUTH",
            asked_at=timezone.now(),
            answered_at=timezone.now(),
        )
    assert sign_in(alice).post(URL + "login", form).status_code == status
    assert len(vendor.sent) == (status == 302)


@pytest.mark.usefixtures("one_moment")
def test_requests_of_a_person_are_limited_before_any_work(vendor, form, sign_in, alice, monkeypatch):
    monkeypatch.setattr(add_views, "PER_HOUR", 1)
    client = sign_in(alice)
    client.post(URL + "login", form)
    assert client.post(URL + "login", form | {"once": "token-2", "login": "7"}).status_code == 422
    assert len(vendor.sent) == 1


def test_a_draft_gets_a_link_that_is_shown_once(vendor, form, sign_in, alice, monkeypatch):
    link = "https://backend.example.com/configure/new-1/0123456789abcdef"
    monkeypatch.setattr(Client, "configuration_link", lambda self, *_, **__: ConfigurationLink(configuration_link=link))
    vendor.answers = [CreatedAccount(id="new-1", state="DRAFT")]
    client, data = sign_in(alice), {key: value for key, value in form.items() if key not in ("login", "password")}
    assert link in client.post(URL + "link", data).content.decode()
    assert (vendor.sent[0][0].login, vendor.sent[0][0].password) == (None, None)
    again = client.post(URL + "link", data)
    assert again.status_code == 302
    assert len(vendor.sent) == 1
    account = BrokerAccount.objects.get()
    assert link not in client.get(f"/trading-accounts/{account.pk}/").content.decode()
    assert link not in everything_stored()
    assert AuditEntry.objects.filter(action="configuration link made").count() == 1


def test_only_who_may_manage_adds(vendor, form, sign_in, alice, bob, charlie, dora):
    for person, status in ((bob, 403), (dora, 404)):
        client = sign_in(person)
        assert client.get(URL + "login").status_code == status
        assert client.post(URL + "login", form).status_code == status
    theirs = sign_in(charlie).post(URL + "login", form)  # the connection of another firm is no choice
    assert theirs.status_code == 422
    assert not vendor.sent


def test_the_connections_of_others_and_made_up_ones_answer_alike(connection, charlie, sign_in, alice, vendor):
    theirs = builders.connection(charlie.memberships.get().workspace)
    client = sign_in(alice)
    for wrong in (str(theirs.pk), "987654321", "x", ""):
        assert client.get(f"/trading-accounts/servers/?connection={wrong}&server=icm").status_code == 404
        assert client.post(URL + "login", FORM | {"connection": wrong}).status_code == 422
    assert not vendor.sent


def test_paper_accounts_are_offered_where_accounts_are_simulated(vendor, connection, sign_in, alice, monkeypatch):
    monkeypatch.setattr(Client, "servers_like", lambda self, version, query: {"Paper Broker": ["Paper-Demo"]})
    client = sign_in(alice)
    assert client.get(URL + "paper").status_code == 404
    connection.market_is_simulated = True
    connection.save()
    page = client.get("/trading-accounts/new/").content.decode()
    assert "Starting balance" in page
    assert "costs nothing" in page
    data = {"connection": str(connection.pk), "name": "Paper", "role": "BOTH", "currency": "eur", "balance": "2500.50"}
    data |= {"leverage": "30", "server": "Paper-Demo", "once": "p1"}
    assert client.post(URL + "paper", data).status_code == 302
    sent = vendor.sent[0][0]
    assert (sent.currency, sent.balance, sent.leverage, sent.server) == ("EUR", 2500.5, 30, "Paper-Demo")
    assert sent.copy_factory_roles == ["PROVIDER", "SUBSCRIBER"]


def test_what_it_may_cost_is_said_before_it_is_sent(connection, sign_in, alice):
    page = sign_in(alice).get(URL + "login").content.decode()
    assert "What this may cost at the vendor" in page


def test_without_a_connection_that_offers_accounts_the_page_says_so(connection, sign_in, alice, form, vendor):
    SyncState.objects.create(
        connection=connection, kind=SyncKind.PROVISIONING, due_at=timezone.now(), cursor={"is_offered": False}
    )
    client = sign_in(alice)
    assert "No connection offers accounts" in client.get(URL + "login").content.decode()
    assert client.post(URL + "login", form).status_code == 422
    assert not vendor.sent
