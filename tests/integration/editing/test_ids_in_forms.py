"""A form takes only what it offers: a foreign id and one that nobody has get the same answer, and nothing is saved.

What is offered: the workspace's own strategies, and those that others offer to its tenant.
"""

from __future__ import annotations

import pytest
from django.core.cache import cache

from copying.backend import tokens
from copying.client import Client
from editing.models import Change
from strategies.models import Strategy
from tests import builders
from users.models import AuditEntry

pytestmark = pytest.mark.django_db
MADE_UP = "zz-none-zz"

# (address, what else is sent, the input with the id, the object whose id it is)
FORMS = (
    ("/strategies/new-portfolio/", {"name": "x"}, "members.0.strategyId", "strategy"),
    ("/strategies/new-portfolio/", {"name": "x"}, "members.7.strategyId", "strategy"),
    ("/strategies/new-portfolio/", {"name": "x"}, "connection", "connection"),
    ("/strategies/new/", {"name": "x", "accountId": "x"}, "connection", "connection"),
    ("/strategies/{portfolio}/members/add/", {}, "strategy", "strategy"),
    ("/subscribers/new/", {"name": "x", "account": "n-1"}, "subscriptions.0.strategyId", "strategy"),
    ("/subscribers/new/", {"name": "x", "account": "n-1"}, "subscriptions.3.strategyId", "strategy"),
    ("/subscribers/new/", {"name": "x", "account": "n-1"}, "connection", "connection"),
    ("/subscribers/{hers}/subscribe/", {}, "strategy", "strategy"),
    ("/subscribers/{hers}/close-only/", {"mode": "by-position"}, "strategy", "strategy"),
    ("/subscribers/{hers}/resynchronise/", {"scope": "strategies", "typed": "Hers"}, "strategy", "strategy"),
    ("/subscribers/{hers}/resynchronise/", {"scope": "positions", "typed": "Hers"}, "position", "signal"),
)
ADDRESSES = (  # ids in the address
    "/strategies/{strategy_pk}/edit/",
    "/strategies/{strategy_pk}/remove/",
    "/strategies/{strategy_pk}/signals/send/",
    "/strategies/{portfolio}/members/{strategy}/edit/",
    "/strategies/{portfolio}/members/{strategy}/remove/",
    "/subscribers/{account_pk}/edit/",
    "/subscribers/{account_pk}/subscribe/",
    "/subscribers/{account_pk}/remove/",
    "/subscribers/{account_pk}/close-only/",
    "/subscribers/{account_pk}/resynchronise/",
    "/subscribers/{hers}/subscriptions/{strategy}/edit/",
    "/subscribers/{hers}/subscriptions/{strategy}/remove/",
)


class Rival:
    """Somebody else at the same backend, with a workspace of their own."""

    def __init__(self, served, number: int) -> None:
        self.tenant = f"rival{number}x"
        self.served = served
        self.token = tokens.issue(self.tenant)
        self.strategy = f"{self.tenant}s"
        served.hand_out(self.tenant, self.strategy)
        self.offer()

    def offer(self, **terms) -> None:
        with Client(base_url=self.served.url, token=self.token) as client:
            document = {"name": "Secret", "description": "d", "accountId": f"{self.tenant}p", **terms}
            client.put_strategy(self.strategy, document)


_rivals = iter(range(1, 1_000))


@pytest.fixture
def rival(served):
    return Rival(served, next(_rivals))


@pytest.fixture
def theirs(desk, rival, charlie):
    """Ids that Alice may not use: another tenant's at the backend, another workspace's in the portal."""
    connection = builders.connection(charlie.memberships.get().workspace)
    return {
        "strategy": rival.strategy,
        "connection": str(connection.pk),
        "signal": "sig09999",
        "strategy_pk": builders.strategy(connection).pk,
        "account_pk": builders.subscriber(connection).pk,
    }


def own(desk) -> dict:
    return {"portfolio": desk.portfolio.pk, "hers": desk.hers.pk}


@pytest.mark.parametrize(("path", "rest", "name", "kind"), FORMS)
def test_an_id_that_a_form_does_not_offer_is_refused(desk, theirs, person, alice, path, rest, name, kind):
    manager, path = person(alice), path.format(**own(desk))
    kept = Change.objects.count(), AuditEntry.objects.count()
    answers = []
    for wrong in (theirs[kind], MADE_UP if kind != "connection" else "987654321"):
        answer = manager.http.post(path, rest | {name: wrong})
        body = answer.content.decode().replace(wrong, "ID")
        answers.append((answer.status_code, "Choose" in body, "Secret" in body))
    assert answers[0] == answers[1]
    assert answers[0][0] in (404, 422)
    assert not answers[0][2]
    assert (Change.objects.count(), AuditEntry.objects.count()) == kept


@pytest.mark.parametrize("path", ADDRESSES)
def test_an_id_in_an_address_that_is_not_ones_own_is_not_there(desk, theirs, person, alice, path):
    manager, kept = person(alice), Change.objects.count()
    known = own(desk) | theirs
    unknown = own(desk) | {"strategy": MADE_UP, "strategy_pk": 987654321, "account_pk": 987654321}
    answers = [manager.http.post(path.format(**ids), {"mode": "by-position"}).status_code for ids in (known, unknown)]
    assert answers == [404, 404]
    assert Change.objects.count() == kept


@pytest.mark.parametrize("part", ["add/", "{part}/edit/", "{part}/remove/"])
def test_a_strategy_has_no_members_to_add_edit_or_take_out(desk, person, alice, part):
    """Its own page of members is not there, so no change asks its target for a part that it does not have."""
    manager, sent = person(alice), {"mode": "close-immediately", "strategy": desk.boreal.backend_id}
    for member in (desk.alpine, desk.boreal):
        path = f"/strategies/{desk.alpine.pk}/members/" + part.format(part=member.backend_id)
        assert [manager.http.get(path).status_code, manager.http.post(path, sent).status_code] == [404, 404]
    of_portfolio = f"/strategies/{desk.portfolio.pk}/members/" + part.format(part=desk.alpine.backend_id)
    assert manager.http.get(of_portfolio).status_code == 200, "the address is one"
    assert not Change.objects.exists()


def test_what_is_offered_to_the_workspace_can_be_chosen_and_nothing_else(desk, rival, person, alice):
    manager = person(alice)
    form = {"name": "New", "account": desk.id("new"), "subscriptions.0.strategyId": rival.strategy}
    assert manager.http.post("/subscribers/new/", form).status_code == 422
    assert "Secret" not in manager.http.get("/subscribers/new/").content.decode()
    rival.offer(offer={"to": "tenants", "tenants": [desk.tenant]})
    cache.clear()
    assert "Secret (offered by" in manager.http.get("/subscribers/new/").content.decode()
    assert "Secret (offered by" in manager.http.get(f"/strategies/{desk.portfolio.pk}/members/add/").content.decode()
    assert manager.save(manager.proposed("/subscribers/new/", **form)).status_code == 302
    with desk.client() as client:
        assert client.subscriber(desk.id("new"))["subscriptions"][0]["strategyId"] == rival.strategy


def test_a_strategy_is_offered_on_its_form(desk, person, alice):
    manager = person(alice)
    path = f"/strategies/{desk.alpine.pk}/edit/"
    answer = manager.form(path, **{"offer.to": "tenants", "offer.tenants": "a b"})
    assert answer.status_code == 302
    manager.save(Change.objects.latest("pk"))
    assert desk.at_backend(desk.alpine)["offer"] == {"to": "tenants", "tenants": ["a", "b"]}
    assert manager.form(path, **{"offer.to": "tenants", "offer.tenants": ""}).status_code == 422
    assert manager.form(path, **{"offer.to": "everybody", "offer.tenants": "a"}).status_code == 422
    manager.save(manager.proposed(path, **{"offer.to": "", "offer.tenants": ""}))
    assert "offer" not in desk.at_backend(desk.alpine)
    assert Strategy.objects.get(pk=desk.alpine.pk).document.get("offer") is None
