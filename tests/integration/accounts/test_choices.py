"""Forms of subscribers and strategies choose from the accounts: suggestions, roles, netting, ids as before."""

from __future__ import annotations

import pytest
from django.utils import timezone

from accounts.choices import account_choices, problem_with_account
from reporting.models import SyncKind, SyncState
from tests import builders

pytestmark = pytest.mark.django_db
URL = "/trading-accounts/choices/"


@pytest.fixture
def connection(workspace):
    return builders.connection(workspace)


def test_suggestions_have_the_role_and_may_copy(connection):
    fit = builders.broker_account(connection, name="Dora", login="555", is_subscriber=True)
    builders.broker_account(connection, name="Dora 2", is_provider=True)
    builders.broker_account(connection, name="Dora 3", is_subscriber=True, mode="netting")
    builders.broker_account(connection, name="Dora 4", is_subscriber=True, is_removed=True)
    builders.broker_account(builders.connection(connection.workspace), name="Dora 5", is_subscriber=True)
    for query in ("dora", "555", fit.backend_id, ""):
        assert account_choices(connection, "SUBSCRIBER", query) == [(fit.backend_id, "Dora, 555, Broker-Demo")]
    assert account_choices(connection, "SUBSCRIBER", "nobody") == []


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"is_subscriber": True}, ""),
        ({"is_subscriber": True, "is_provider": True}, ""),
        ({"is_provider": True}, "give it the role first"),
        ({"is_subscriber": True, "mode": "netting"}, "does not support netting"),
        ({"is_subscriber": True, "is_removed": True}, "does not have this account any more"),
    ],
)
def test_an_account_that_cannot_copy_is_refused_with_what_to_do(connection, fields, text):
    account = builders.broker_account(connection, **fields)
    problem = problem_with_account(connection, account.backend_id, "SUBSCRIBER")
    assert text in problem
    assert bool(problem) is bool(text)
    assert problem_with_account(connection, "not-mirrored", "SUBSCRIBER") == ""


def test_suggestions_are_for_who_may_change_and_of_ones_own_connections(connection, sign_in, alice, bob, charlie, dora):
    theirs = builders.connection(charlie.memberships.get().workspace)
    builders.broker_account(theirs, name="Secret", is_subscriber=True)
    mine = f"{URL}?of={connection.pk}&role=SUBSCRIBER"
    assert sign_in(alice).get(mine).status_code == 200
    assert sign_in(bob).get(mine).status_code == 403
    for person, address in (
        (dora, mine),
        (charlie, mine),
        (alice, f"{URL}?of={theirs.pk}&role=SUBSCRIBER"),
        (alice, f"{URL}?of=987654321&role=SUBSCRIBER"),
        (alice, f"{URL}?of={connection.pk}&role=ANY"),
    ):
        assert sign_in(person).get(address).status_code == 404


def test_the_form_of_a_new_subscriber_suggests_accounts_and_checks_the_role(connection, sign_in, alice):
    account = builders.broker_account(connection, is_provider=True)
    client = sign_in(alice)
    page = client.get("/subscribers/new/").content.decode()
    assert f"/trading-accounts/choices/?of={connection.pk}" in page
    assert "Add an account" in page
    form = {"connection": str(connection.pk), "account": account.backend_id, "name": "Dora"}
    answer = client.post("/subscribers/new/", form)
    assert answer.status_code == 422
    assert "give it the role first" in answer.content.decode()


def test_the_form_of_a_new_strategy_checks_the_role(connection, sign_in, alice):
    account = builders.broker_account(connection, is_subscriber=True)
    form = {"connection": str(connection.pk), "accountId": account.backend_id, "name": "Alpine", "description": "d"}
    answer = sign_in(alice).post("/strategies/new/", form)
    assert answer.status_code == 422
    assert "does not have the role provider" in answer.content.decode()


def test_another_account_of_a_strategy_is_checked_and_the_one_it_has_stays(connection, sign_in, alice):
    unfit = builders.broker_account(connection, is_subscriber=True)
    client = sign_in(alice)
    strategy = builders.strategy(connection, name="Alpine", document={"accountId": unfit.backend_id, "name": "Alpine"})
    address = f"/strategies/{strategy.pk}/edit/"
    assert f"of={connection.pk}&amp;role=PROVIDER" in client.get(address).content.decode()
    other = builders.broker_account(connection, name="Netting", is_provider=True, mode="netting")
    answer = client.post(address, {"accountId": other.backend_id, "name": "Alpine", "description": "d"})
    assert answer.status_code == 422
    assert "does not support netting" in answer.content.decode()
    kept = client.post(address, {"accountId": unfit.backend_id, "name": "Alpine 2", "description": "d"})
    assert "does not have the role" not in kept.content.decode()


def test_a_portfolio_and_a_connection_without_accounts_ask_for_no_suggestions(connection, sign_in, alice):
    client = sign_in(alice)
    assert "/trading-accounts/choices/" not in client.get("/strategies/new-portfolio/").content.decode()
    assert "/trading-accounts/choices/" in client.get("/strategies/new/").content.decode()
    SyncState.objects.create(
        connection=connection, kind=SyncKind.PROVISIONING, due_at=timezone.now(), cursor={"is_offered": False}
    )
    assert "/trading-accounts/choices/" not in client.get("/strategies/new/").content.decode()


def test_suggestions_follow_the_connection_that_the_form_names_and_say_whose_id_it_is(connection, sign_in, alice):
    other = builders.connection(connection.workspace, name="Second")
    here = builders.broker_account(connection, name="Here", login="1", is_subscriber=True)
    there = builders.broker_account(other, name="There", login="2", is_subscriber=True)
    client = sign_in(alice)

    def asked(**params):
        return client.get(URL, {"of": connection.pk, "role": "SUBSCRIBER", **params}).content.decode()

    assert "Here" in asked()
    assert "There" not in asked()
    assert "There" in asked(connection=other.pk)
    assert "Here" not in asked(connection=other.pk)
    assert "There, 2" in asked(connection=other.pk, account=there.backend_id)
    assert "give it the role first" in asked(account=builders.broker_account(connection, name="Idle").backend_id)
    assert "<option" not in asked(account=here.backend_id)
