"""Texts that clients accept: versions, asking again, evidence; who may write, read and accept them."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from subscribers.agreements import Acceptance, AgreementText, accept_texts, asked_of, publish_text
from tests import builders
from users.models import AuditEntry

pytestmark = pytest.mark.django_db
PAGE = "/me/agreements/"


@pytest.fixture
def publish(workspace, alice):
    def publish_(text: str, kind: str = "terms", *, asks_again: bool = True, of=None, by=None) -> AgreementText | None:
        return publish_text(of or workspace, kind, text, asks_again=asks_again, by=by or alice, now=timezone.now())

    return publish_


def accept(http, *texts: AgreementText):
    return http.post(f"{PAGE}accept/", {"text": [f"{text.pk}-{text.digest}" for text in texts]}, follow=True)


def waiting(user) -> list[tuple[str, int, bool]]:
    return [(row.text.kind, row.text.number, row.is_waiting) for row in asked_of(user.memberships.get())]


def test_a_client_reads_accepts_and_is_asked_again_when_it_changes(sign_in, alice, dora, publish):
    first, risk = publish("Be fair.\n\nPay."), publish("You may lose.", "risk")
    http = sign_in(dora)
    page = http.get(PAGE).content.decode()
    assert "Be fair." in page
    assert "You may lose." in page
    assert waiting(dora) == [("terms", 1, True), ("risk", 1, True)]
    assert "2 things wait for your answer" in http.get("/me/").content.decode()
    page = accept(http, first, risk).content.decode()
    assert "Recorded: you accepted Terms, version 1, Risk disclosure, version 1." in page
    assert waiting(dora) == [("terms", 1, False), ("risk", 1, False)]
    acceptance = Acceptance.objects.get(text=first)
    assert acceptance.digest == hashlib.sha256(b"Be fair.\n\nPay.").hexdigest()
    assert (acceptance.email, acceptance.address) == ("dora@example.com", "127.0.0.1")
    assert AuditEntry.objects.filter(action="agreement accepted", user=dora).count() == 2
    publish("Be fair.\n\nPay!", asks_again=False)
    assert waiting(dora)[0] == ("terms", 2, False), "words were corrected"
    publish("Be very fair.")
    assert waiting(dora)[0] == ("terms", 3, True)
    publish("Be very fair indeed.", asks_again=False)
    assert waiting(dora)[0] == ("terms", 4, True), "the version before the correction was never accepted"


def test_accepting_twice_is_accepting_once(sign_in, dora, publish):
    text, http = publish("Be fair."), sign_in(dora)
    accept(http, text)
    at = Acceptance.objects.get().accepted_at
    accept(http, text)
    assert Acceptance.objects.get().accepted_at == at


def test_what_was_changed_while_it_was_read_is_not_accepted(sign_in, dora, publish):
    old, http = publish("Be fair."), sign_in(dora)
    publish("Be unfair.")
    assert "was changed meanwhile" in accept(http, old).content.decode()
    assert not Acceptance.objects.exists()


def test_a_digest_of_something_else_is_not_accepted(dora, publish):
    text = publish("Be fair.")
    membership = dora.memberships.get()
    for key in ((text.pk, "0" * 64), (text.pk + 1, text.digest)):
        assert accept_texts(membership, [key], now=timezone.now()) is None
    assert not Acceptance.objects.exists()


def test_the_same_text_again_is_no_version(publish):
    publish("Be fair.")
    assert publish("Be fair.") is None
    assert AgreementText.objects.count() == 1


@pytest.mark.parametrize("model", [AgreementText, Acceptance])
def test_the_database_keeps_what_was_accepted(sign_in, dora, publish, model):
    accept(sign_in(dora), publish("Be fair."))
    with pytest.raises(DatabaseError), transaction.atomic():
        model.objects.update(digest="0" * 64)
    with pytest.raises(DatabaseError), transaction.atomic():
        model.objects.update(**{"set_at" if model is AgreementText else "accepted_at": timezone.now() - timedelta(1)})


def test_an_acceptance_outlives_the_person(sign_in, dora, publish):
    accept(sign_in(dora), publish("Be fair."))
    dora.delete()
    acceptance = Acceptance.objects.get()
    assert (acceptance.user, acceptance.email) == (None, "dora@example.com")


def test_other_workspaces_texts_are_nobodys_business(sign_in, charlie, dora, publish):
    theirs = publish("Secret.", of=charlie.memberships.get().workspace, by=charlie)
    http = sign_in(dora)
    assert "Secret." not in http.get(PAGE).content.decode()
    accept(http, theirs)
    assert not Acceptance.objects.exists()
    assert asked_of(dora.memberships.get()) == []


# --- The firm's pages -------------------------------------------------------------------------------------------------
PATH = "/settings/agreements/"


def test_a_manager_writes_and_sees_who_accepted(sign_in, alice, bob, dora, workspace):
    eve = builders.member(workspace, "eve", "subscriber")
    http = sign_in(alice)
    assert http.post(f"{PATH}terms/", {"text": "Be fair.\r\n", "asks_again": "on"}).status_code == 302
    text = AgreementText.objects.get()
    assert (text.text, text.number) == ("Be fair.", 1)
    accept(sign_in(dora), text)
    page = sign_in(bob).get(PATH).content.decode()
    assert "1 of 2" in page
    assert str(eve) in page.split("Waiting:")[1]
    table = sign_in(bob).get(f"{PATH}accepted/").content.decode()
    assert "dora@example.com" in table
    file = b"".join(sign_in(bob).get(f"{PATH}accepted/?format=csv").streaming_content).decode()
    assert file.startswith("\ufeffaccepted_at,client,email,kind,number,address,digest\n")
    assert f",dora@example.com,terms,1,127.0.0.1,{text.digest}" in file
    assert "Be fair." in sign_in(bob).get(f"{PATH}versions/{text.pk}/").content.decode()


def test_who_may(sign_in, alice, bob, charlie, dora, workspace, publish):
    text = publish("Be fair.")
    accountant = builders.member(workspace, "accountant", "accountant")
    for who in (bob, accountant):
        http = sign_in(who)
        assert http.get(PATH).status_code == 200
        assert http.get(f"{PATH}terms/").status_code == 403
        assert http.post(f"{PATH}terms/", {"text": "x"}).status_code == 403
    http = sign_in(dora)
    for path in (PATH, f"{PATH}terms/", f"{PATH}accepted/", f"{PATH}versions/{text.pk}/"):
        assert http.get(path).status_code == 404
    assert sign_in(charlie).get(f"{PATH}versions/{text.pk}/").status_code == 404
    for who in (alice, bob, charlie):
        assert sign_in(who).get(PAGE).status_code == 404, "it is the clients' page"
        assert sign_in(who).post(f"{PAGE}accept/", {"text": f"{text.pk}-{text.digest}"}).status_code == 404
    assert AgreementText.objects.count() == 1


def test_a_fee_schedule_begins_with_what_is_charged(sign_in, alice, workspace):
    scheme = {"commissionScheme": {"type": "amount-won", "billingPeriod": "month", "commissionRate": 0.2}}
    builders.strategy(builders.connection(workspace), name="Alpine", document=scheme)
    assert "Alpine: 20\u202f% of every profit, monthly." in sign_in(alice).get(f"{PATH}fees/").content.decode()
