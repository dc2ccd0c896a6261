"""Voiding a whole run of statements: what it takes back, what it leaves and says, in slices, by whom."""

from __future__ import annotations

import pytest
from django.utils import timezone

from jobs import services
from jobs.models import Job
from reporting.commission import void_runs
from reporting.commission.accounts import ClientAccount, balance_of, credit_of
from reporting.commission.payments import record_payment, undo_payment
from reporting.commission.void_runs import VOID
from reporting.models import BillingPeriod, Entry, Statement
from tests import builders
from tests.firm import D, Firm
from tests.integration.reporting.test_book_jobs import UNTIL, close_whole, crowded, finish, one_slice
from tests.integration.reporting.test_books_pages import books
from users.models import AuditEntry

__all__ = ["books"]  # a fixture that is used by name
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _small_slices(monkeypatch):
    monkeypatch.setattr(void_runs, "STATEMENTS_PER_SLICE", 1)
    monkeypatch.setattr(services, "wake", lambda: None)


def with_run() -> tuple[Firm, list[Statement]]:
    """A firm with a run of statements to several accounts."""
    firm = crowded()
    close_whole(firm)
    firm.issue(UNTIL, now=timezone.now(), by=firm.owner)
    return firm, list(Statement.objects.filter(workspace=firm.workspace).order_by("pk"))


def close_whole_of(firm):
    firm.close(UNTIL, now=timezone.now())


def pay(firm, statement, amount):
    now = timezone.now()
    return record_payment(
        firm.workspace,
        ClientAccount.of(statement),
        amount=amount,
        currency=statement.currency,
        statement=statement,
        received_on=now.date(),
        accepts_old_rate=True,
        now=now,
    ).payment


def ask(firm, statement, reason="issued by mistake") -> Job:
    membership = firm.owner.memberships.select_related("workspace", "user").get()
    parameters = {"run": statement.pk, "reason": reason}
    return services.ask(VOID, membership, title="run", parameters=parameters, now=timezone.now())


def void_labels():
    return [statement.label for statement in Statement.objects.filter(is_void=True).order_by("pk")]


def test_a_run_is_voided_and_its_periods_can_be_issued_again():
    firm, issued = with_run()
    assert len(issued) > 2
    before = {row.subscriber_id: row.total for row in issued}
    job = ask(firm, issued[1])
    finish(job)
    job.refresh_from_db()
    assert job.message == f"{len(issued)} statements are void."
    assert void_labels() == [statement.label for statement in issued]
    assert all(balance_of(statement) == 0 for statement in issued)
    assert AuditEntry.objects.filter(action="statement voided").count() == len(issued)
    assert set(Entry.objects.filter(kind="void").values_list("reason", flat=True)) == {"issued by mistake"}
    again = firm.issue(UNTIL, now=timezone.now())
    assert {row.subscriber_id: row.total for row in again} == before


def test_those_on_which_money_was_received_stay_and_are_named():
    firm, issued = with_run()
    paid, back = issued[:2]
    pay(firm, paid, D("0.01"))
    undo_payment(pay(firm, back, D("1")), reason="bounced", now=timezone.now())
    job = ask(firm, issued[0])
    finish(job)
    job.refresh_from_db()
    number = len(issued) - 1
    left = f"Left as they are, because money was received on them: {paid.label}."
    assert job.message == f"{number} statements are void. {left}"
    assert job.result["left"] == [paid.label]
    assert void_labels() == [statement.label for statement in issued[1:]]
    assert BillingPeriod.objects.filter(items__statement=paid, items__is_void=False).exists()


def test_credit_that_paid_a_statement_goes_back_to_the_account():
    firm = Firm()
    firm.owner = builders.member(firm.workspace, "olga", "owner")
    firm.pay("100")
    firm.deal(UNTIL.replace(month=5, day=4), "50")
    firm.accrue()
    close_whole_of(firm)
    (statement,) = firm.issue(UNTIL, now=timezone.now())
    assert credit_of(firm.account) == D(90)
    finish(ask(firm, statement))
    assert (credit_of(firm.account), balance_of(statement)) == (D(100), 0)


def test_another_run_and_other_firms_are_left_alone():
    firm, issued = with_run()
    other = Firm()
    other.deal(UNTIL.replace(month=5, day=4), "50")
    other.accrue()
    close_whole_of(other)
    others = other.issue(UNTIL, now=timezone.now())
    finish(ask(firm, issued[0]))
    assert void_labels() == [statement.label for statement in issued]
    job = ask(firm, others[0])  # an id of another firm
    finish(job)
    job.refresh_from_db()
    assert job.state == "failed"
    assert not Statement.objects.filter(workspace=other.workspace, is_void=True).exists()


def test_a_killed_worker_goes_on_and_nothing_is_voided_twice():
    firm, issued = with_run()
    job = ask(firm, issued[0])
    one_slice(job)
    one_slice(job)
    assert len(void_labels()) == 2
    pay(firm, issued[-1], D(1))  # meanwhile
    finish(job)
    assert len(void_labels()) == len(issued) - 1
    assert Entry.objects.filter(kind="void").count() == len(issued) - 1
    again = ask(firm, issued[0])
    finish(again)
    again.refresh_from_db()
    assert again.message.startswith("Nothing was voided. Left as they are")


# --- Pages ------------------------------------------------------------------------------------------------------------
def test_a_run_is_voided_from_its_page(books, sign_in, bob, dora, charlie):
    run = f"/commissions/runs/{books.others.pk}/"
    page = sign_in(books.accountant).get(run).content.decode()
    assert "Void the run" in page
    assert f"Money was received on {books.statement.label}" in page  # Dora paid 4
    assert "Void the run" not in sign_in(bob).get(run).content.decode()
    form = {"once": "t1", "void-reason": "wrong month"}
    answers = [sign_in(person).post(f"{run}void/", form).status_code for person in (bob, dora, charlie)]
    assert answers == [403, 404, 404]
    client = sign_in(books.accountant)
    assert client.post(f"{run}void/", {"once": "t1", "void-reason": " "}).status_code == 422
    assert not Statement.objects.filter(is_void=True).exists()
    answer = client.post(f"{run}void/", form, follow=True).content.decode()
    assert "1 statement is void. Left as they are, because money was received on them: S-000001." in answer
    again = client.post(f"{run}void/", form, follow=True).content.decode()  # a double click
    assert "This form was sent before" in again
    assert void_labels() == [books.others.label]
    assert "Void the run" not in client.get(run).content.decode()
