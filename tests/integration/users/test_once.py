"""Forms that move money or positions act once, whoever sends them again and whenever."""

from __future__ import annotations

import re
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connections
from django.http import HttpResponse
from django.test import Client
from django.urls import get_resolver
from django.utils import timezone

from reporting.models import Statement
from tests import builders
from tests.firm import Firm, at
from users import once
from users.models import FormPost

pytestmark = pytest.mark.django_db
TEMPLATES = Path(__file__).resolve().parents[3] / "templates"
ACTS = {
    "strategies:create-webhook",
    "users:connection-new",
    "strategies:send-signal",
    "strategies:change-signal",
    "strategies:close-signal",
    "editing:save",
    "subscribers:resynchronise",
    "subscribers:reset-stopout",
    "reporting:issue-statements",
    "reporting:credit-note",
    "reporting:void-statement",
    "reporting:use-credit",
    "reporting:new-payment",
    "reporting:undo-payment",
    "reporting:close-periods",
    "reporting:close-period",
    "accounts:deploy",
    "accounts:undeploy",
    "accounts:redeploy",
    "accounts:remove",
    "accounts:roles",
    "accounts:link",
}


def acting_views() -> set[str]:
    """Names of all addresses whose view acts once."""

    def walk(patterns, namespace=""):
        for one in patterns:
            if hasattr(one, "url_patterns"):
                yield from walk(one.url_patterns, f"{one.namespace}:" if one.namespace else namespace)
            elif getattr(one.callback, "acts_once", False):
                yield f"{namespace}{one.name}"

    return set(walk(get_resolver().url_patterns))


def test_every_act_on_money_and_positions_is_among_them():
    assert {name for name in ACTS if name.split(":")[1] not in {each.split(":")[1] for each in acting_views()}} == set()


def test_every_form_of_such_an_act_has_a_token():
    wrong, seen = [], 0
    for file in TEMPLATES.rglob("*.html"):
        for form in re.findall(r"<form\b.*?</form>", file.read_text(), re.DOTALL):
            named = re.search(r'action="{{ url\("([\w:-]+)"', form)
            if named and named[1] in acting_views():
                seen += 1
                wrong += [] if "once_input()" in form else [f"{file.name}: {named[1]}"]
    assert wrong == []
    assert seen >= 8


@pytest.fixture
def owed():
    """A statement of 100 that can be credited, and its owner's client."""
    firm = Firm("amount-won", 1)
    firm.deal(at(4, 4), "100")
    firm.accrue()
    firm.close(at(5, 1, 0))
    firm.issue(at(5, 1, 0))
    firm.owner = builders.member(firm.workspace, "alice", "owner")
    firm.document = Statement.objects.get(workspace=firm.workspace)
    return firm


def signed_in(firm) -> Client:
    client = Client()
    client.force_login(firm.owner)
    return client


def credit(client, firm, token, amount="3", **more):
    body = {"amount": amount, "reason": "agreed", "once": token}
    return client.post(f"/statements/{firm.document.pk}/credit-note/", body, **more)


def notes():
    return Statement.objects.filter(kind="credit-note").count()


def test_the_same_form_twice_is_one_credit_note_and_the_second_answer_says_so(owed):
    client = signed_in(owed)
    first = credit(client, owed, "a", follow=True).content.decode()
    again = credit(client, owed, "a", follow=True).content.decode()
    assert notes() == 1
    assert "C-000001 takes 3.00 USD off" in first
    assert "sent before" not in first
    assert "sent before and is not done again" in again
    assert "C-000001 takes 3.00 USD off" in again
    credit(client, owed, "b")
    assert notes() == 2


def test_a_form_that_came_back_with_a_problem_can_be_sent_again(owed):
    client = signed_in(owed)
    refused = credit(client, owed, "a", amount="500")
    assert refused.status_code == 422
    assert 'name="once" value="a"' in refused.content.decode()
    assert credit(client, owed, "a").status_code == 302
    assert notes() == 1


def test_tokens_belong_to_a_person_and_an_address(owed):
    other = builders.member(owed.workspace, "erin", "accountant")
    client = Client()
    client.force_login(other)
    credit(signed_in(owed), owed, "a")
    credit(client, owed, "a")
    assert notes() == 2


@pytest.mark.django_db(transaction=True)
def test_two_at_the_same_moment_are_one(owed):
    answers, start = [], threading.Barrier(3)

    def send():
        client = signed_in(owed)
        start.wait(10)
        answers.append(credit(client, owed, "a", follow=True).content.decode())
        connections.close_all()

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert notes() == 1
    assert sum("sent before" in answer for answer in answers) == 2
    assert all("C-000001 takes 3.00 USD off" in answer for answer in answers)


def test_an_act_whose_end_nobody_knows_is_not_repeated(owed, rf, monkeypatch):
    acts = []

    @once.once
    def breaks(request):
        acts.append(1)
        raise RuntimeError("the process is killed here")

    monkeypatch.setattr(once, "WAIT_S", 0)
    request = rf.post("/x/", {"once": "a"})
    request.user, request.workspace = owed.owner, owed.workspace
    request._messages = Said()
    with pytest.raises(RuntimeError):
        breaks(request)
    answer = breaks(request)
    assert acts == [1]
    assert answer.status_code == 302
    assert "not known yet" in request._messages.texts[0]


class Said:
    """Messages of a request that has no session."""

    def __init__(self):
        self.texts = []

    def add(self, level, text, extra_tags=""):
        self.texts.append(text)


def test_a_form_without_a_token_is_not_done_and_says_so(owed):
    answer = credit(
        signed_in(owed), owed, "", follow=True, HTTP_REFERER=f"http://testserver/statements/{owed.document.pk}/"
    )
    assert notes() == 0
    assert answer.request["PATH_INFO"] == f"/statements/{owed.document.pk}/"
    assert "Nothing was done: the form came without the number" in answer.content.decode()


def test_a_form_that_was_only_shown_can_be_sent_and_old_claims_are_forgotten(owed, rf):
    FormPost.objects.create(
        key="old", workspace=owed.workspace, user=owed.owner, posted_at=timezone.now() - once.KEPT - timedelta(days=1)
    )
    acts = []

    @once.once
    def act(request):
        acts.append(1)
        return HttpResponse("shown")

    for _ in range(2):
        request = rf.post("/x/", {"once": "a"})
        request.user, request.workspace = owed.owner, owed.workspace
        act(request)
    assert len(acts) == 2  # both came back as a form: nothing was done
    assert not FormPost.objects.exists()
