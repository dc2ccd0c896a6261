"""Approval of closing and issuing by a second person: nothing is done without it, and what was seen is what is done."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone

from jobs import services
from jobs.models import Job
from reporting.attention import attention
from reporting.commission.approving import approve_run, decline_run, outlook, request_run, withdraw_run
from reporting.commission.book_jobs import CLOSE, ISSUE
from reporting.commission.credit_notes import void_statement
from reporting.commission.drafts import drafts_of
from reporting.commission.refusals import CannotBook
from reporting.models import BillingIdentity, BillingPeriod, RunRequest, Statement, TaxKind
from tests import builders
from tests.firm import D, at
from tests.integration.reporting.test_book_jobs import UNTIL, ask, close_whole, crowded, finish, one_slice
from tests.integration.reporting.test_books_pages import books
from users.models import AuditEntry, Membership

__all__ = ["books"]  # a fixture that is used by name
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_broker(monkeypatch):
    monkeypatch.setattr(services, "wake", lambda: None)


@pytest.fixture
def firm():
    """Closed periods of several accounts, an owner who asks and an accountant who may approve."""
    firm = crowded()
    close_whole(firm)
    firm.workspace.asks_approval = True
    firm.workspace.save()
    firm.erin = builders.member(firm.workspace, "erin", "accountant")
    return firm


def member(person) -> Membership:
    return Membership.objects.select_related("workspace", "user").get(user=person)


def parameters(kind=ISSUE):
    until = UNTIL.isoformat()
    return {"until": until, "due_on": str(timezone.now().date())} if kind == ISSUE else {"until": until}


def asked(firm, kind=ISSUE, **more) -> RunRequest:
    values = {"title": "A run", "parameters": parameters(kind) | more, "origin": "/", "now": timezone.now()}
    return request_run(member(firm.owner), kind, **values)[0]


def approve(firm, own, *, by=None, seen=None):
    seen = outlook(member(firm.owner), own.kind, own.parameters, timezone.now()).digest if seen is None else seen
    return approve_run(own, by=member(by or firm.erin), seen=seen, now=timezone.now())


def test_a_run_is_carried_out_after_another_person_approved_it(firm):
    own = asked(firm)
    amounts = {currency: D(amount) for currency, amount in own.sums.items()}
    assert (own.number > 2, Statement.objects.count(), Job.objects.count()) == (True, 0, 0)
    job = approve(firm, own)
    finish(job)
    own.refresh_from_db()
    assert (own.state, own.settled_by, own.job) == ("approved", firm.erin, job)
    made = list(Statement.objects.filter(workspace=firm.workspace))
    assert len(made) == own.number
    assert {row.issued_by for row in made} == {firm.owner}
    sums: dict[str, D] = {}
    for row in made:
        sums[row.currency] = sums.get(row.currency, D(0)) + row.amount
    assert sums == amounts
    entries = AuditEntry.objects.filter(action__in=("approval requested", "run approved")).order_by("occurred_at")
    assert list(entries.values_list("action", "user")) == [
        ("approval requested", firm.owner.pk),
        ("run approved", firm.erin.pk),
    ]


def test_closing_is_approved_with_the_sums_that_it_closes():
    firm = crowded()
    firm.erin = builders.member(firm.workspace, "erin", "accountant")
    own = asked(firm, CLOSE)
    finish(approve(firm, own))
    closed = BillingPeriod.objects.filter(workspace=firm.workspace).exclude(closed_at=None)
    sums: dict[str, D] = {}
    for period in closed:
        for currency, amount in period.amounts.items():
            sums[currency] = sums.get(currency, D(0)) + D(amount)
    assert own.number == closed.count() > 1
    assert {currency: D(amount) for currency, amount in own.sums.items()} == sums
    assert {period.closed_by for period in closed} == {firm.owner}


def test_whoever_asked_cannot_approve_or_decline_and_only_they_withdraw(firm):
    own = asked(firm)
    with pytest.raises(CannotBook, match="somebody else has to approve"):
        approve(firm, own, by=firm.owner)
    with pytest.raises(CannotBook, match="withdraw it instead"):
        decline_run(own, by=member(firm.owner), note="no", now=timezone.now())
    with pytest.raises(CannotBook, match="Only Olga can withdraw"):
        withdraw_run(own, by=member(firm.erin), now=timezone.now())
    withdraw_run(own, by=member(firm.owner), now=timezone.now())
    with pytest.raises(CannotBook, match="withdrawn already by Olga"):
        approve(firm, own)
    assert not Job.objects.exists()


def test_one_request_waits_for_one_run_and_a_declined_one_makes_room(firm):
    first = asked(firm)
    assert asked(firm, due_on="2030-01-01") == first
    one = asked(firm, CLOSE, connection_id=firm.connection.pk, strategy_id="s1")
    other = asked(firm, CLOSE, connection_id=firm.connection.pk, strategy_id="s2")
    assert len({first.pk, one.pk, other.pk, asked(firm, CLOSE).pk}) == 4
    decline_run(first, by=member(firm.erin), note="wrong day", now=timezone.now())
    first.refresh_from_db()
    assert (first.state, first.note, first.settled_by) == ("declined", "wrong day", firm.erin)
    assert asked(firm) != first
    assert AuditEntry.objects.get(action="run declined").details == {"note": "wrong day"}


def test_what_changed_since_it_was_seen_is_not_carried_out(firm):
    own = asked(firm)
    seen = outlook(member(firm.owner), ISSUE, own.parameters, timezone.now()).digest
    one = next(draft.account.subscriber_id for draft in drafts_of(firm.workspace, UNTIL) if draft.amount)
    assert len(firm.issue(UNTIL, now=timezone.now(), only=[one])) == 1  # somebody was quicker
    with pytest.raises(CannotBook, match="has changed since this page was shown"):
        approve(firm, own, seen=seen)
    own.refresh_from_db()
    assert own.state == "waiting"
    finish(approve(firm, own))
    assert Statement.objects.count() == own.number


def test_only_periods_that_were_closed_when_it_was_approved_are_issued(firm):
    own = asked(firm, until=at(7, 1, 0).isoformat())
    job = approve(firm, own)
    assert job.parameters["periods"]
    firm.deal(at(6, 3), "500")
    firm.accrue(at(7, 2))
    firm.close(at(7, 1, 0), now=timezone.now())
    finish(job)
    assert Statement.objects.filter(last_day__gte=at(6, 1).date()).count() == 0
    assert Statement.objects.count() == own.number


def test_another_tax_is_another_run(firm):
    own = asked(firm)
    seen = outlook(member(firm.owner), ISSUE, own.parameters, timezone.now()).digest
    BillingIdentity.objects.create(workspace=firm.workspace, tax_kind=TaxKind.RATE, tax_rate=D("0.19"))
    with pytest.raises(CannotBook, match="has changed since this page was shown"):
        approve(firm, own, seen=seen)


def test_what_is_voided_after_the_approval_is_not_issued_with_the_run(firm):
    one = next(draft.account.subscriber_id for draft in drafts_of(firm.workspace, UNTIL) if draft.amount)
    (before,) = firm.issue(UNTIL, now=timezone.now(), only=[one])
    own = asked(firm)
    job = approve(firm, own)
    void_statement(before, reason="wrong", now=timezone.now())
    finish(job)
    assert Statement.objects.filter(subscriber_id=one, is_void=False).count() == 0
    assert Statement.objects.exclude(subscriber_id=one).count() == own.number


@pytest.mark.parametrize(("days", "is_done"), [(-1, False), (0, True), (1, True)])
def test_no_statement_is_overdue_when_it_is_issued(firm, days, is_done):
    own = asked(firm, due_on=str(timezone.now().date() + timedelta(days=days)))
    if is_done:
        approve(firm, own)
        return
    with pytest.raises(CannotBook, match="which is over"):
        approve(firm, own)
    assert not Job.objects.exists()


@pytest.mark.parametrize("kind", [CLOSE, ISSUE])
def test_a_run_from_before_is_not_carried_out_without_a_second_person(firm, kind):
    job = ask(firm, kind, **({"due_on": str(timezone.now().date())} if kind == ISSUE else {}))
    one_slice(job)
    assert (job.state, Statement.objects.count()) == ("failed", 0)
    assert "a second person has to approve it" in job.message
    firm.workspace.asks_approval = False
    firm.workspace.save()
    services.try_again(job, by=firm.owner, now=timezone.now())
    finish(job)
    assert job.state == "done"


def test_nobody_is_asked_in_the_name_of_somebody_who_lost_the_right(firm):
    own = asked(firm)
    digest = outlook(member(firm.owner), ISSUE, own.parameters, timezone.now()).digest
    Membership.objects.filter(user=firm.owner).update(role="viewer")
    with pytest.raises(CannotBook, match="may not close or issue here any more"):
        approve(firm, own, seen=digest)


def test_a_run_of_nothing_is_not_approved(firm):
    own = asked(firm)
    firm.issue(UNTIL, now=timezone.now())
    with pytest.raises(CannotBook, match="Nothing is left to do"):
        approve(firm, own)


def test_attention_tells_those_who_may_approve(firm):
    viewer = builders.member(firm.workspace, "vera", "viewer")
    asked(firm)

    def told(person):
        return [line.note for line in attention(member(person), now=timezone.now()).lines if "approval" in line.rest]

    assert [told(person) for person in (firm.owner, firm.erin, viewer)] == [[], ["Olga asked for it"], []]


@pytest.mark.django_db(transaction=True)
def test_two_who_approve_at_once_start_one_job(firm):
    own, people = asked(firm), [firm.erin, builders.member(firm.workspace, "frank", "manager")]

    def answer(person):
        try:
            return approve(firm, own, by=person).pk
        except CannotBook as error:
            return error.text
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(answer, people))
    assert Job.objects.count() == 1
    assert sorted(isinstance(one, int) for one in answers) == [False, True]
    assert any("approved already by" in str(one) for one in answers)


# --- Pages ------------------------------------------------------------------------------------------------------------
@pytest.fixture
def asking(books):
    """The books of a firm that asks a second person, with nothing issued any more."""
    for statement in Statement.objects.all():
        void_statement(statement, reason="again", now=timezone.now())
    books.workspace.asks_approval = True
    books.workspace.save()
    return books


def test_a_run_is_asked_for_looked_at_and_approved(asking, sign_in, alice, bob, dora, charlie):
    before = Statement.objects.count()
    client = sign_in(asking.accountant)
    assert "A second person has to approve this" in client.get("/commissions/issue/").content.decode()
    form = {"due_on": str(timezone.now().date()), "accepts_old_rates": "on", "once": "t1"}
    answer = client.post("/commissions/issue/all/", form, follow=True).content.decode()
    assert "waits for a second person" in answer
    assert Statement.objects.count() == before
    own = RunRequest.objects.get()
    page = f"/commissions/approvals/{own.pk}/"
    mine = client.get(page).content.decode()
    assert "Somebody else has to approve it" in mine
    assert "Approve it" not in mine
    assert (
        "already, under Approvals"
        in client.post("/commissions/issue/all/", form | {"once": "t2"}, follow=True).content.decode()
    )
    assert [sign_in(person).get(page).status_code for person in (bob, dora, charlie)] == [200, 404, 404]
    manager = sign_in(asking.manager)
    digest = outlook(member(asking.manager), ISSUE, own.parameters, timezone.now()).digest
    assert digest in manager.get(page).content.decode()
    answer = manager.post(f"{page}approve/", {"once": "a", "seen": digest}, follow=True).content.decode()
    assert "Approved:" in answer
    assert "2 statements are issued" in answer
    assert Statement.objects.count() == before + 2
    assert "Erin" in manager.get("/commissions/approvals/?state=approved").content.decode()


def test_a_run_is_declined_with_a_note(asking, sign_in):
    own = request_run(
        member(asking.accountant), ISSUE, title="Run", parameters=parameters(), origin="/", now=timezone.now()
    )[0]
    manager, page = sign_in(asking.manager), f"/commissions/approvals/{own.pk}/"
    assert manager.post(f"{page}decline/", {"once": "a", "decline-reason": " "}).status_code == 422
    answer = manager.post(f"{page}decline/", {"once": "b", "decline-reason": "Not yet"}, follow=True)
    assert "Declined. Nothing is carried out." in answer.content.decode()
    assert "Not yet" in sign_in(asking.accountant).get(page).content.decode()


def test_a_firm_of_one_cannot_ask_for_a_second_person(workspace, alice, sign_in):
    client = sign_in(alice)
    form = {"name": workspace.name, "timezone": "UTC", "reporting_currency": "USD", "accent": "blue"}
    answer = client.post("/settings/", form | {"asks_approval": "on"})
    assert answer.status_code == 422
    assert "nobody could approve" in answer.content.decode()
    erin = builders.member(workspace, "erin", "accountant")
    assert client.post("/settings/", form | {"asks_approval": "on"}).status_code == 302
    workspace.refresh_from_db()
    assert workspace.asks_approval
    entry = AuditEntry.objects.filter(user=alice).latest("occurred_at")
    assert (entry.details["before"]["asks_approval"], entry.details["after"]["asks_approval"]) == (False, True)
    Membership.objects.filter(user=erin).delete()
    own = request_run(member(alice), CLOSE, title="Run", parameters=parameters(), origin="/", now=timezone.now())[0]
    assert "Nobody else here may approve it" in client.get(f"/commissions/approvals/{own.pk}/").content.decode()
    assert client.post("/settings/", form | {"asks_approval": "on"}).status_code == 302  # nothing else is held up
