"""Other writes of programs: a stopped account trades again, a signal is closed, money is recorded; each once."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.utils import timezone

from copying.client import Client as BackendClient
from copying.client import Unreachable
from reporting.models import Payment
from tests.integration.api.worlds import world
from tests.integration.editing.conftest import desk, served  # noqa: F401  # fixtures
from users.models import AuditEntry

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def caller(program, alice):
    return program(alice)


def problem(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].split("/")[-2]


def money(**changes) -> dict:
    body = {"amount": "10.01", "currency": "USD", "received_on": str(timezone.now().date()), "reference": "bank 7"}
    return {name: value for name, value in (body | changes).items() if value is not None}


def test_a_payment_is_recorded_once_and_in_the_name_of_the_token(workspace, caller, program, alice):
    mine = world(workspace, "Alpine")
    sent = money(statement=mine.statement.pk)
    answers = [caller.write("post", "payments/", sent, key="k") for _ in range(2)]
    assert answers[0].status_code == 200, answers[0].content
    assert answers[0].json() == answers[1].json()
    body = answers[0].json()
    assert (body["paid"], body["credit"]) == ({}, "10.01"), "nothing is owed on the statement of this world"
    payment = Payment.objects.get(pk=body["id"])
    assert (payment.amount, payment.recorded_by) == (Decimal("10.01"), alice)
    assert Payment.objects.count() == 2, "the one of the world, and this one"
    entry = AuditEntry.objects.get(action="payment recorded")
    assert (entry.via, entry.actor) == ("token", f"{alice.email} (Program)")
    assert caller.write("post", "payments/", money(subscriber=mine.account.pk)).status_code == 200


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"amount": "0"}, "/amount"),
        ({"amount": "1.005"}, "/amount"),
        ({"amount": "1,5"}, "/amount"),
        ({"amount": None}, "/amount"),
        ({"currency": "usd"}, "/currency"),
        ({"received_on": "2099-01-01"}, "/received_on"),
        ({"received_on": "yesterday"}, "/received_on"),
        ({"statement": None}, ""),
        ({"subscriber": 1}, ""),
        ({"reference": "x" * 121}, "/reference"),
        ({"more": 1}, "/more"),
    ],
)
def test_what_is_wrong_with_a_payment_is_named(changes, pointer, workspace, caller):
    mine = world(workspace, "Alpine")
    answer = caller.write("post", "payments/", money(**{"statement": mine.statement.pk, **changes}))
    assert answer.status_code == 422, answer.content
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]
    assert Payment.objects.count() == 1


def test_a_payment_of_another_firm_is_that_of_nobody(workspace, caller, charlie):
    theirs = world(charlie.memberships.get().workspace, "Borealis")
    for name, pk in (("statement", theirs.statement.pk), ("subscriber", theirs.account.pk)):
        foreign, made_up = (caller.write("post", "payments/", money(**{name: value})) for value in (pk, 987_654_321))
        assert foreign.status_code == made_up.status_code == 404
        assert foreign.content == made_up.content


def test_a_signal_is_closed_in_part_and_whole(desk, caller):  # noqa: F811
    desk.signal(desk.alpine)
    path = f"strategies/{desk.alpine.pk}/signals/sig00001/close/"
    part = caller.write("post", path, {"volume": 0.05})
    assert part.json() == {"signal": "sig00001", "open_volume": "0.15"}, part.content
    assert problem(caller.write("post", path, {"volume": 5})) == (422, "refused")
    assert caller.write("post", path, {}).json()["open_volume"] == "0"
    assert caller.write("post", path, {}).status_code == 404
    assert AuditEntry.objects.get(action="signal closed").via == "token"


def test_a_lost_answer_of_what_cannot_be_looked_up_stays_unknown(desk, caller, monkeypatch):  # noqa: F811
    desk.signal(desk.alpine)
    path = f"strategies/{desk.alpine.pk}/signals/sig00001/close/"

    def lose(*args, **options):
        raise Unreachable("Cannot reach the backend: no answer within 8 s.", was_sent=True)

    with monkeypatch.context() as lost:
        lost.setattr(BackendClient, "remove_external_signal", lose)
        assert problem(caller.write("post", path, {}, key="k")) == (504, "outcome-unknown")
    assert problem(caller.write("post", path, {}, key="k")) == (504, "outcome-unknown"), "it is not sent again"
