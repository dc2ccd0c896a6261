"""Closing and issuing in slices: the same books as in one go, whole after a kill, clear after a cancelling."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from jobs import queue, run, services, upkeep
from jobs.models import Job
from reporting.commission import book_jobs, closing
from reporting.commission.closing import close_strategy
from reporting.commission.services import Bounds, accrue_workspace
from reporting.models import AccrualState, BillingPeriod, DailyResult, Entry, Statement, StatementItem
from tests import builders
from tests.firm import SCHEMES, Firm, at
from users.models import AuditEntry

pytestmark = pytest.mark.django_db
UNTIL = at(6, 1, 0)
PEOPLE = 5


@pytest.fixture(autouse=True)
def _small_slices(monkeypatch):
    monkeypatch.setattr(book_jobs, "SLICE", Bounds(subscribers=1))
    monkeypatch.setattr(book_jobs, "ACCOUNTS_PER_SLICE", 1)
    monkeypatch.setattr(services, "wake", lambda: None)


def crowded(scheme="amount-won", *, accrued=True) -> Firm:
    """A firm with two strategies and several accounts, some with gains, some with losses, one that owes nothing."""
    firm = Firm(scheme, 0.2)
    firm.owner = builders.member(firm.workspace, "olga", "owner")
    second = builders.strategy(firm.connection, document=firm.strategy.document, name="Second")
    first, firm.other = firm.strategy, second
    names = ["bea", "Adam", "adam", "Zoe", "Émile"]
    for number in range(PEOPLE):
        account = builders.subscriber(firm.connection, name=names[number], currency="EUR" if number == 3 else "USD")
        for strategy in (first, second):
            firm.strategy = strategy
            builders.subscription(account, strategy, first_seen_at=at(4, 1))
            firm.deal(at(4, 4 + number), f"{10 * number}.37", subscriber=account)
            firm.deal(at(5, 4), f"{30 - 20 * number}.11", subscriber=account)
            firm.deal(at(5, 4), subscriber=account, side="open")
    firm.strategy = first
    if accrued:
        accrue_workspace(firm.workspace.pk, timezone.now())
    else:
        accrue_workspace(firm.workspace.pk, at(4, 6))  # periods are there, most of what they hold is not
    return firm


def ask(firm: Firm, kind: str, **parameters) -> Job:
    membership = firm.owner.memberships.select_related("workspace", "user").get()
    parameters = {"until": UNTIL.isoformat()} | parameters
    return services.ask(kind, membership, title=kind, parameters=parameters, now=timezone.now())


def one_slice(job: Job) -> Job:
    lease = queue.claim_due(job.pk)
    assert lease is not None
    run.run_turn(lease, stop_at=time.monotonic())
    job.refresh_from_db()
    return job


def finish(job: Job, most: int = 200) -> int:
    """Slice by slice to the end; returns how many."""
    for number in range(1, most):
        if not one_slice(job).is_unfinished:
            return number
    raise AssertionError("it does not end")


def close_whole(firm: Firm) -> None:
    firm.close(UNTIL, now=timezone.now(), by=firm.owner)


def issue_whole(firm: Firm) -> None:
    firm.issue(UNTIL, now=timezone.now(), by=firm.owner)


def closed_books(firm: Firm, until=UNTIL) -> list:
    """What closing decides, without the moments of closing and numbers of rows."""
    periods = BillingPeriod.objects.filter(workspace=firm.workspace).order_by("strategy_id", "period_start")
    hidden = ("id", "closed_at", "problems")
    rows = [{k: v for k, v in row.items() if k not in hidden} for row in periods.filter(period_end__lte=until).values()]
    states = AccrualState.objects.filter(connection=firm.connection).order_by("strategy_id")
    lines = [row for row in firm.contents() if row["period_end"] <= until]
    return [rows, list(states.values_list("strategy_id", "closed_until", "settled_until")), lines]


def issued_books(firm: Firm) -> list:
    """What issuing decides, without moments and numbers of rows."""
    documents = Statement.objects.filter(workspace=firm.workspace).order_by("number")
    columns = ("number", "subscriber_id", "currency", "amount", "reporting_amount", "first_day", "last_day", "due_on")
    items = StatementItem.objects.order_by("statement__number", "period__strategy_id", "period__period_start")
    entries = Entry.objects.order_by("statement__number", "pk")
    periods = BillingPeriod.objects.filter(workspace=firm.workspace).order_by("strategy_id", "period_start")
    return [
        list(documents.values_list(*columns)),
        list(items.values_list("statement__number", "period_id", "amount")),
        list(entries.values_list("statement__number", "kind", "amount", "day")),
        list(periods.values_list("pk", "state")),
    ]


def assert_same(found: list, expected: list) -> None:
    for mine, whole in zip(found, expected, strict=True):
        assert [row for row in mine if row not in whole] == []
        assert [row for row in whole if row not in mine] == []
        assert mine == whole


def as_whole(firm: Firm, act, books) -> list:
    """What the books are after one transaction that is taken back."""
    with transaction.atomic():
        act(firm)
        result = books(firm)
        transaction.set_rollback(True)
    return result


@pytest.mark.parametrize("accrued", [True, False])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_closing_in_slices_is_closing_in_one_go(scheme, accrued):
    firm = crowded(scheme, accrued=accrued)
    whole = as_whole(firm, close_whole, closed_books)
    job = ask(firm, book_jobs.CLOSE)
    slices = finish(job)
    assert (job.state, job.done) == ("done", job.total), job.message
    assert_same(closed_books(firm), whole)
    assert slices >= (2 if accrued else PEOPLE), "in slices indeed"
    if accrued:
        assert not BillingPeriod.objects.filter(period_end__lte=UNTIL, closed_at=None).exists()


@pytest.mark.parametrize(
    ("scheme", "after"), [("amount-won", 1), ("amount-won", 6), ("high-water-mark", 3), ("flat-fee", 7)]
)
def test_closing_that_is_cancelled_leaves_whole_strategies_and_the_rest_as_it_was(scheme, after):
    firm = crowded(scheme, accrued=False)
    april = at(5, 1, 0)  # later periods come to light when their deals are accrued

    def close_april(firm):
        firm.close(april, now=timezone.now(), by=firm.owner)

    def books_of_april(firm):
        return closed_books(firm, april)

    whole = as_whole(firm, close_april, books_of_april)
    job = ask(firm, book_jobs.CLOSE, until=april.isoformat())
    for _ in range(after):
        if one_slice(job).is_unfinished is False:
            break
    services.cancel(job, by=firm.owner, now=timezone.now())
    job.refresh_from_db()
    assert job.state in ("cancelled", "done")
    for strategy in (firm.strategy, firm.other):
        own = BillingPeriod.objects.filter(strategy_id=strategy.backend_id, period_end__lte=april)
        states = {moment is None for moment in own.values_list("closed_at", flat=True)}
        assert len(states) <= 1, "all of its periods or none"
    accrue_workspace(firm.workspace.pk, timezone.now())
    if job.state == "cancelled":
        services.try_again(job, by=firm.owner, now=timezone.now())
        finish(job)
    assert job.state == "done"
    assert_same(books_of_april(firm), whole)
    close_april(firm)
    assert_same(books_of_april(firm), whole)


@pytest.mark.parametrize("after", [1, 2, 4])
@pytest.mark.parametrize("scheme", ["flat-fee", "high-water-mark"])
def test_closing_that_is_cancelled_makes_nothing_final_for_long(scheme, after):
    firm = crowded(scheme, accrued=False)
    firm.complete_until(at(4, 1, 0))  # what came later may still change
    DailyResult.objects.update(is_accrued=False)  # deals that only now come in, so that all is measured as far as today
    accrue_workspace(firm.workspace.pk, timezone.now())
    before = [row for row in firm.contents() if row["period_end"] <= UNTIL]
    assert {row["is_provisional"] for row in before} == {True}, "nothing is settled yet"
    job = ask(firm, book_jobs.CLOSE)
    for _ in range(after):
        assert one_slice(job).is_unfinished
    assert [row for row in firm.contents() if row in before] != before
    services.cancel(job, by=firm.owner, now=timezone.now())
    job.refresh_from_db()
    number = BillingPeriod.objects.exclude(closed_at=None).count()
    are = "period is" if number == 1 else "periods are"
    assert (job.state, job.message[: len(f"{number} billing {are}")]) == ("cancelled", f"{number} billing {are}")
    assert "final" not in job.message
    closed = BillingPeriod.objects.exclude(closed_at=None).values_list("strategy_id", flat=True)
    open_before = [row for row in before if row["strategy_id"] not in set(closed)]
    assert len(set(closed)) < 2, "one is open at least"
    accrue_workspace(firm.workspace.pk, timezone.now())
    assert [row for row in firm.contents() if row in open_before] == open_before


@pytest.mark.parametrize(
    ("scheme", "at_call"), [("amount-won", 1), ("amount-won", 5), ("high-water-mark", 3), ("high-water-mark", 5)]
)
def test_a_worker_killed_while_closing_loses_and_doubles_nothing(scheme, at_call, monkeypatch):
    firm = crowded(scheme, accrued=False)
    whole = as_whole(firm, close_whole, closed_books)
    job, calls = ask(firm, book_jobs.CLOSE), []

    def dies(function):
        def call(*arguments, **named):
            result = function(*arguments, **named)
            calls.append(function)
            if len(calls) == at_call:
                raise SystemExit  # after the work, before it is stored
            return result

        return call

    monkeypatch.setattr(book_jobs, "settle_slice", dies(closing.settle_slice))
    monkeypatch.setattr(book_jobs, "close_strategy", dies(close_strategy))
    with pytest.raises(SystemExit):
        finish(job)
    assert queue.claim_due(job.pk) is None, "its lease holds for some seconds"
    Job.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    finish(job)
    assert job.state == "done"
    assert_same(closed_books(firm), whole)


def test_accrual_gives_way_to_closing_and_goes_on_after_it(monkeypatch):
    firm = crowded(accrued=False)
    upkeep.ensure_standing()
    job = ask(firm, book_jobs.CLOSE)
    one_slice(job)
    accrual = Job.objects.get(workspace=firm.workspace, kind="accrual")
    assert queue.claim_due(accrual.pk) is None
    finish(job)
    assert queue.claim_due(accrual.pk) is not None


def test_two_closings_of_a_workspace_go_one_after_the_other():
    firm = crowded(accrued=False)
    first, second = ask(firm, book_jobs.CLOSE), ask(firm, book_jobs.CLOSE)
    one_slice(first)
    assert queue.claim_due(second.pk) is None
    finish(first)
    finish(second)
    assert (second.message, second.result["number"]) == (book_jobs.closed_words(0), 0)


def test_one_strategys_closing_leaves_the_other_open():
    firm = crowded()
    of_first = {"connection_id": firm.connection.pk, "strategy_id": firm.strategy.backend_id}
    finish(ask(firm, book_jobs.CLOSE, until=at(5, 1, 0).isoformat(), **of_first))
    closed = BillingPeriod.objects.exclude(closed_at=None)
    assert set(closed.values_list("strategy_id", "period_end")) == {(firm.strategy.backend_id, at(5, 1, 0))}


# --- Issuing ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("most", [1, 3])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_issuing_in_slices_is_issuing_in_one_go(scheme, most, monkeypatch):
    monkeypatch.setattr(book_jobs, "ACCOUNTS_PER_SLICE", most)
    firm = crowded(scheme)
    close_whole(firm)
    whole = as_whole(firm, issue_whole, issued_books)
    job = ask(firm, book_jobs.ISSUE, due_on=timezone.now().date().isoformat())
    finish(job)
    assert job.state == "done", job.message
    assert_same(issued_books(firm), whole)
    numbers = list(Statement.objects.order_by("number").values_list("number", flat=True))
    assert numbers == list(range(1, len(numbers) + 1))
    assert job.message == book_jobs.issued_words(len(numbers))
    assert Statement.objects.values("issued_at").distinct().count() <= 1, "all at one moment"


@pytest.mark.parametrize("after", [1, 2, 3])
def test_issuing_that_is_cancelled_or_killed_goes_on_where_it_was(after, monkeypatch):
    firm = crowded()
    close_whole(firm)
    whole = as_whole(firm, issue_whole, issued_books)
    job = ask(firm, book_jobs.ISSUE, due_on=timezone.now().date().isoformat())
    for _ in range(after):
        one_slice(job)
    services.cancel(job, by=firm.owner, now=timezone.now())
    so_far = list(Statement.objects.order_by("number").values_list("number", "amount"))
    assert len(so_far) <= after
    assert [row[0] for row in so_far] == list(range(1, len(so_far) + 1)), "no number is missing"

    def dies(*arguments, **named):
        issue(*arguments, **named)
        raise SystemExit

    issue = book_jobs.issue_statements
    services.try_again(job, by=firm.owner, now=timezone.now())
    monkeypatch.setattr(book_jobs, "issue_statements", dies)
    with pytest.raises(SystemExit):
        finish(job)
    monkeypatch.setattr(book_jobs, "issue_statements", issue)
    assert list(Statement.objects.order_by("number").values_list("number", "amount")) == so_far
    Job.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    finish(job)
    assert_same(issued_books(firm), whole)


def test_issuing_waits_for_a_closing_that_was_asked_for_before_it():
    firm = crowded()
    closing_job = ask(firm, book_jobs.CLOSE)
    issuing = ask(firm, book_jobs.ISSUE, due_on=timezone.now().date().isoformat())
    assert queue.claim_due(issuing.pk) is None
    finish(closing_job)
    finish(issuing)
    assert Statement.objects.exists()


def test_a_right_that_is_lost_between_slices_ends_it_there():
    firm = crowded()
    close_whole(firm)
    job = ask(firm, book_jobs.ISSUE, due_on=timezone.now().date().isoformat())
    one_slice(job)
    count = Statement.objects.count()
    firm.owner.memberships.update(role="viewer")
    one_slice(job)
    assert (job.state, job.message) == ("failed", run.NO_LONGER_ALLOWED)
    assert Statement.objects.count() == count


# --- Pages ------------------------------------------------------------------------------------------------------------
def test_a_small_run_is_done_when_the_page_answers_and_a_large_one_goes_on(sign_in, monkeypatch):
    firm = crowded(accrued=False)
    client = sign_in(firm.owner)
    monkeypatch.setattr("reporting.views.booking.PATIENCE_S", 0)
    page = client.post("/commissions/close/all/", {"once": "a"}, follow=True).content.decode()
    assert "It goes on in the background" in page
    part = client.get("/jobs/line/?page=/commissions/periods/", headers={"HX-Request": "true"}).content.decode()
    assert "Closing of periods" in part
    client.post("/commissions/close/all/", {"once": "a"})
    job = Job.objects.get(kind=book_jobs.CLOSE)
    finish(job)
    monkeypatch.setattr("reporting.views.booking.PATIENCE_S", 20)
    day = {"due_on": timezone.now().date(), "once": "b"}
    page = client.post("/commissions/issue/all/", day, follow=True).content.decode()
    assert f"{book_jobs.issued_words(Statement.objects.count())}" in page
    assert AuditEntry.objects.filter(action="statements issued").exists()


def test_an_error_of_the_program_is_no_end_of_the_page(sign_in, monkeypatch):
    firm = crowded()
    monkeypatch.setattr(book_jobs, "close_strategy", lambda *_, **__: 1 / 0)
    answer = sign_in(firm.owner).post("/commissions/close/all/", {"once": "a"}, follow=True)
    assert answer.status_code == 200
    assert Job.objects.get(kind=book_jobs.CLOSE).attempts == 1
    assert not BillingPeriod.objects.exclude(closed_at=None).exists()
