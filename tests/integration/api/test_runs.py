"""Programs close periods, issue statements and take back: jobs that are followed, or a second person who is asked."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from jobs import services
from jobs.models import Job
from jobs.services import run_now
from reporting.models import BillingPeriod, Payment, RunRequest, Statement
from tests.integration.reporting.test_book_jobs import crowded
from users.models import AuditEntry

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_broker(monkeypatch):
    monkeypatch.setattr(services, "wake", lambda: None)


@pytest.fixture
def firm():
    """Accounts with fees of periods that have ended."""
    return crowded()


@pytest.fixture
def caller(firm, program):
    return program(firm.owner)


def problem(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].split("/")[-2]


def carry_out() -> None:
    """What a worker does."""
    for job in Job.objects.filter(is_standing=False):
        run_now(job, patience_s=60)


def due(days: int = 14) -> str:
    return str(timezone.now().date() + timedelta(days=days))


def issued(caller) -> Statement:
    """The first of the statements, after closing and issuing by the API."""
    assert caller.write("post", "periods/close/", {}).status_code == 202
    carry_out()
    Job.objects.all().delete()
    answer = caller.write("post", "statements/issue/", {"due_on": due(), "accepts_old_rates": True, "with_small": True})
    assert answer.status_code == 202, answer.content
    carry_out()
    return Statement.objects.earliest("pk")


def test_periods_are_closed_by_a_job_that_can_be_followed(firm, caller):
    count = BillingPeriod.objects.filter(state="open", period_end__lt=timezone.now()).count()
    answers = [caller.write("post", "periods/close/", {}, key="k") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    body = answers[0].json()
    assert (body["number"], body["approval"], body["job"]["state"]) == (count, None, "queued")
    assert Job.objects.filter(kind="close-periods").count() == 1
    carry_out()
    followed = caller.get(answers[0]["Location"].removeprefix("http://testserver")).json()
    assert (followed["state"], followed["done"]) == ("done", count)
    assert problem(caller.write("post", "periods/close/", {})) == (422, "refused")


def test_one_period_is_closed_and_once(firm, caller):
    period = BillingPeriod.objects.filter(state="open", period_end__lt=timezone.now()).earliest("period_end")
    assert caller.write("post", f"periods/{period.pk}/close/").status_code == 202
    carry_out()
    assert caller.get(f"periods/{period.pk}/").json()["state"] == "closed"
    assert problem(caller.write("post", f"periods/{period.pk}/close/")) == (422, "refused")


def test_statements_are_issued_and_voided(caller):
    statement = issued(caller)
    assert problem(caller.write("post", "statements/issue/", {"due_on": due()})) == (422, "refused")
    answer = caller.write("post", f"statements/{statement.pk}/void/", {"reason": "A mistake"})
    assert answer.json()["state"] == "void"
    assert problem(caller.write("post", f"statements/{statement.pk}/void/", {"reason": "Again"})) == (422, "refused")
    assert AuditEntry.objects.filter(via="token", subject=statement.label).exists()


@pytest.mark.parametrize("days", [-1, 800])
def test_a_due_day_that_cannot_be_is_named(caller, days):
    answer = caller.write("post", "statements/issue/", {"due_on": due(days)})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/due_on")


def test_a_credit_note_corrects_a_statement(caller):
    statement = issued(caller)
    path = f"statements/{statement.pk}/credit-note/"
    sent = {"amount": "0.01", "reason": "A gift", "accepts_old_rate": True}
    answers = [caller.write("post", path, sent, key="k") for _ in range(2)]
    assert answers[0].status_code == 201, answers[0].content
    assert (answers[0].json()["kind"], answers[0].json()["amount"]) == ("credit-note", "-0.01")
    assert Statement.objects.filter(kind="credit-note").count() == 1
    more = caller.write("post", path, sent | {"amount": "1000000"})
    assert problem(more) == (422, "refused")


def test_a_payment_is_taken_back_once(caller):
    statement = issued(caller)
    money = {"amount": "1", "currency": statement.currency, "received_on": str(timezone.now().date())}
    money |= {"accepts_old_rate": True, "statement": statement.pk}
    pk = caller.write("post", "payments/", money).json()["id"]
    path = f"payments/{pk}/undo/"
    assert caller.write("post", path, {"reason": "Of somebody else"}).json()["is_undone"] is True
    assert problem(caller.write("post", path, {"reason": "Again"})) == (422, "refused")
    assert Payment.objects.get().amount == Decimal(1)


def test_where_a_second_person_is_asked_first_nothing_is_done(firm, caller):
    firm.workspace.asks_approval = True
    firm.workspace.save()
    body = caller.write("post", "periods/close/", {}).json()
    assert (body["job"], body["approval"]) == (None, RunRequest.objects.get().pk)
    assert not Job.objects.filter(kind="close-periods").exists()
    assert problem(caller.write("post", "periods/close/", {})) == (422, "refused")


def test_a_service_closes_nothing(firm, program):
    service = program(firm.owner, service_role="accountant")
    assert problem(service.write("post", "periods/close/", {})) == (422, "refused")
    assert not Job.objects.filter(kind="close-periods").exists()
