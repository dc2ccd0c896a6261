"""Pages of periods, statements, payments and debt, tried as everybody; forms that work without scripts."""

from __future__ import annotations

import csv
import io
import uuid
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest
from django.utils import timezone

from reporting.commission.accounts import ClientAccount, balance_of
from reporting.commission.closing import close_periods
from reporting.commission.credit_notes import issue_credit_note
from reporting.commission.payments import record_payment
from reporting.commission.services import accrue_workspace
from reporting.commission.statements import issue_statements
from reporting.models import AccrualState, BillingPeriod, CommissionLine, DailyResult, Payment, Statement, Transaction
from subscribers.models import Subscriber
from tests import builders
from tests.integration.conftest import make_deal
from tests.pdf_reader import pdf_text

LONG_BEFORE = timedelta(days=70)


def earn_long_ago(business, *accounts):
    """A gain of each account in a period that ended, in a ledger that is kept from its beginning."""
    for account in accounts:
        make_deal(account, business.alpine, f"{account.pk}-old:close", business.now - LONG_BEFORE)
    CommissionLine.objects.all().delete()
    AccrualState.objects.all().delete()
    DailyResult.objects.update(is_accrued=False)
    accrue_workspace(business.workspace.pk, business.now)


@pytest.fixture
def books(business):
    """The business with a period of long ago that is closed, issued to two accounts, and partly paid by Dora."""
    earn_long_ago(business, business.hers, business.other)
    open_period = BillingPeriod.objects.get(period_end__gt=business.now)
    ended = BillingPeriod.objects.filter(period_end__lte=business.now)
    closed = close_periods(business.workspace, ended, now=business.now)
    today = business.now.date()
    issue_statements(business.workspace, until=business.now, due_on=today, now=business.now)
    hers, others = (Statement.objects.get(subscriber_id=one.backend_id) for one in (business.hers, business.other))
    paid = record_payment(
        business.workspace,
        ClientAccount.of(hers),
        amount=4,
        currency="USD",
        received_on=today,
        statement=hers,
        now=business.now,
        reference="wire 17",
    )
    return SimpleNamespace(
        **vars(business),
        open=open_period,
        period=closed.periods[0],
        statement=hers,
        others=others,
        payment=paid.payment,
        accountant=builders.member(business.workspace, "erin", "accountant"),
        manager=builders.member(business.workspace, "frank", "manager"),
    )


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


# owner, manager, accountant, viewer, subscriber, stranger (owner elsewhere), nobody
STAFF, BILLING = (200, 200, 200, 200, 404), (200, 200, 200, 403, 404)
PAGES = {
    "/commissions/periods/": (*STAFF, 200),
    "/commissions/periods/{period}/": (*STAFF, 404),
    "/commissions/close/": (*BILLING, 200),
    "/commissions/statements/": (*STAFF, 200),
    "/commissions/issue/": (*BILLING, 200),
    "/commissions/payments/": (*STAFF, 200),
    "/commissions/payments/{payment}/": (*STAFF, 404),
    "/commissions/payments/new/?statement={statement}": (*BILLING, 404),
    "/commissions/payments/new/?subscriber={subscriber}": (*BILLING, 404),
    "/commissions/refunds/new/?subscriber={subscriber}": (*BILLING, 404),
    "/commissions/debt/": (*STAFF, 200),
    "/commissions/incoming/": (*STAFF, 200),
    "/statements/{statement}/": (200, 200, 200, 200, 200, 404),
    "/statements/{statement}/pdf/": (200, 200, 200, 200, 200, 404),
    "/statements/{others}/": (200, 200, 200, 200, 404, 404),
    "/statements/{others}/pdf/": (200, 200, 200, 200, 404, 404),
    "/me/statements/": (404, 404, 404, 404, 200, 404),
}
ACTIONS = [
    "/commissions/periods/{period}/close/",
    "/commissions/close/all/",
    "/commissions/issue/all/",
    "/statements/{statement}/credit-note/",
    "/statements/{statement}/void/",
    "/statements/{statement}/write-off/",
    "/statements/{statement}/write-off/back/",
    "/statements/{statement}/reverse/",
    "/statements/{statement}/use-credit/",
    "/commissions/payments/{payment}/undo/",
]


def filled(path, books):
    return path.format(
        period=books.period.pk,
        statement=books.statement.pk,
        others=books.others.pk,
        payment=books.payment.pk,
        subscriber=books.hers.pk,
    )


@pytest.mark.parametrize("path", PAGES)
def test_every_page_answers_every_person(path, books, sign_in, alice, bob, dora, charlie, text_of):
    people = (alice, books.manager, books.accountant, bob, dora, charlie)
    address = filled(path, books)
    answers = [sign_in(person).get(address) for person in people]
    assert tuple(answer.status_code for answer in answers) == PAGES[path]
    assert "account-" not in text_of(answers[-1])
    assert sign_in(None).get(address).headers["Location"].startswith("/accounts/login/")
    assert sign_in(None).get(address, headers={"HX-Request": "true"}).status_code == 401


def state_of(books):
    mine = BillingPeriod.objects.filter(workspace=books.workspace)
    closed = mine.exclude(closed_at=None).count()
    return closed, Statement.objects.count(), Payment.objects.count(), balance_of(books.statement)


@pytest.mark.parametrize("path", ACTIONS)
def test_only_those_who_bill_may_act(path, books, sign_in, bob, dora, charlie):
    address = filled(path, books)
    before = state_of(books)
    given = {"reason": "x", "void-reason": "x", "amount": "1", "due_on": timezone.now().date()}
    stranger = 404 if "{" in path else 302
    answers = [sign_in(person).post(address, given).status_code for person in (bob, dora, charlie)]
    assert answers == [403, 404, stranger]
    assert sign_in(None).post(address, given).headers["Location"].startswith("/accounts/login/")
    assert sign_in(bob).get(address).status_code in (403, 405)
    assert state_of(books) == before


@pytest.mark.parametrize(
    ("path", "rows"),
    [("periods", 2), ("statements", 2), ("payments", 1), ("debt", 2)],
)
def test_lists_search_filter_and_download(path, rows, books, sign_in, alice, text_of):
    client, address = sign_in(alice), f"/commissions/{path}/"
    assert len(rows_of(text_of(client.get(f"{address}?format=csv")))) == rows
    assert rows_of(text_of(client.get(f"{address}?format=csv&q=nobody-has-this"))) == []
    assert "Clear the filters" in text_of(client.get(f"{address}?q=nobody-has-this"))
    assert client.get(f"{address}?sort=colour").status_code == 400
    assert client.get(address, headers={"HX-Request": "true"}).status_code == 200


def test_filters_of_state(books, sign_in, alice, text_of):
    client = sign_in(alice)
    for path, state, number in (
        ("periods", "open", 1),
        ("periods", "issued", 1),
        ("periods", "paid", 0),
        ("statements", "partly-paid", 1),
        ("statements", "due", 1),
        ("statements", "paid", 0),
        ("payments", "undone", 0),
        ("payments", "received", 1),
        ("debt", "owes", 2),
        ("debt", "credit", 0),
    ):
        found = rows_of(text_of(client.get(f"/commissions/{path}/?format=csv&state={state}")))
        assert len(found) == number, (path, state)


def test_closing_asks_first_and_then_closes(business, sign_in, alice, text_of):
    earn_long_ago(business, business.hers)
    client = sign_in(alice)
    assert "Close 1 ended" in text_of(client.get("/commissions/periods/"))
    review = text_of(client.get("/commissions/close/"))
    assert "10.01" in review
    assert "Close 1 period" in review
    assert "1 billing period is closed." in text_of(client.post("/commissions/close/all/", follow=True))
    assert "Nothing to close" in text_of(client.get("/commissions/close/"))
    again = client.post(f"/commissions/periods/{BillingPeriod.objects.get(state='closed').pk}/close/", follow=True)
    assert "closed already by Alice" in text_of(again)
    running = BillingPeriod.objects.get(period_end__gt=business.now)
    assert "has not ended yet" in text_of(client.post(f"/commissions/periods/{running.pk}/close/", follow=True))


def test_issuing_asks_for_a_day_and_then_issues(business, sign_in, alice, text_of):
    earn_long_ago(business, business.hers)
    client = sign_in(alice)
    assert "Look at closing them first" in text_of(client.get("/commissions/issue/"))
    client.post("/commissions/close/all/")
    assert "Issue 1 statement" in text_of(client.get("/commissions/issue/"))
    wrong = client.post("/commissions/issue/all/", {"due_on": "2001-01-01"})
    assert (wrong.status_code, "today or later" in text_of(wrong)) == (422, True)
    given = {"due_on": timezone.now().date()}
    assert "1 statement is issued." in text_of(client.post("/commissions/issue/all/", given, follow=True))
    assert "Nothing to issue" in text_of(client.post("/commissions/issue/all/", given, follow=True))


def test_a_client_sees_the_same_cents_and_every_line(books, sign_in, alice, dora, text_of):
    address = f"/statements/{books.statement.pk}/"
    for person in (alice, dora):
        page = text_of(sign_in(person).get(address))
        for text in ("S-00000", "10.01", "6.01", "4.00", "wire 17", "profit 50.05 USD × 20\u202f% = 10.01 USD"):
            assert text in page
        (line,) = rows_of(text_of(sign_in(person).get(f"{address}?format=csv")))
        assert (line["amount"], line["currency"], line["reporting_amount"]) == ("10.01", "USD", "10.01")
        assert sign_in(person).get(f"{address}pdf/").content.startswith(b"%PDF-")
    hers = text_of(sign_in(dora).get(address))
    assert "Void the statement" not in hers
    assert "/commissions/periods/" not in hers
    (own,) = rows_of(text_of(sign_in(dora).get("/me/statements/?format=csv")))
    assert (own["amount"], own["balance"], own["state"]) == ("10.01", "6.01", "partly-paid")
    assert "6.01" in text_of(sign_in(dora).get("/me/"))


def test_recording_a_payment_says_where_it_went(books, sign_in, text_of):
    client, address = sign_in(books.accountant), f"/commissions/payments/new/?statement={books.statement.pk}"
    form = text_of(client.get(address))
    assert 'value="6.01"' in form
    token = form.split('name="token" value="')[1].split('"')[0]
    given = {
        "amount": "10",
        "currency": "usd",
        "received_on": timezone.now().date(),
        "token": token,
    }
    said = text_of(client.post(address, given, follow=True))
    assert "3.99 USD is more than was owed and is kept as credit." in said
    assert "the form was sent twice" in text_of(client.post(address, given, follow=True))
    for wrong in ({"amount": "-1"}, {"currency": "€"}, {"currency": "XXX", "token": ""}, {"received_on": "2999-01-01"}):
        assert client.post(address, given | wrong).status_code == 422
    unknown = client.post(address, given | {"currency": "XXX", "token": "7c1d3bb6-5b86-4c29-9a4f-3b4b2f9be111"})
    assert (unknown.status_code, "no reference rate for XXX" in text_of(unknown)) == (422, True)
    assert Payment.objects.count() == 2


def test_taking_a_payment_back_needs_a_reason(books, sign_in, alice, text_of):
    client, address = sign_in(alice), f"/commissions/payments/{books.payment.pk}/undo/"
    assert client.post(address, {"reason": ""}).status_code == 422
    assert "is taken back" in text_of(client.post(address, {"reason": "bounced"}, follow=True))
    assert "taken back before" in text_of(client.post(address, {"reason": "bounced"}, follow=True))
    assert "bounced" in text_of(client.get(f"/statements/{books.statement.pk}/"))


def test_corrections_of_a_statement(books, sign_in, alice, text_of):
    client, address = sign_in(alice), f"/statements/{books.statement.pk}/"
    too_much = client.post(f"{address}credit-note/", {"amount": "99", "reason": "agreed"})
    assert (too_much.status_code, "can be credited" in text_of(too_much)) == (422, True)
    assert "C-000001 takes 1.50 USD off." in text_of(
        client.post(f"{address}credit-note/", {"amount": "1.50", "reason": "agreed"}, follow=True)
    )
    note = Statement.objects.get(kind="credit-note")
    assert "agreed" in text_of(client.get(f"/statements/{note.pk}/"))
    assert client.get(f"/statements/{note.pk}/pdf/").content.startswith(b"%PDF-")
    assert client.post(f"{address}void/", {"void-reason": ""}).status_code == 422
    assert "is void." in text_of(client.post(f"{address}void/", {"void-reason": "wrong client"}, follow=True))
    assert client.post(f"{address}void/", {"void-reason": "again"}).status_code == 422
    assert "wrong client" in text_of(client.get(address))


@pytest.mark.parametrize(("is_simulated", "is_marked"), [(True, True), (False, False), (None, False)])
def test_a_document_of_a_simulated_account_says_so_on_paper(is_simulated, is_marked, books, sign_in, alice, dora):
    Subscriber.objects.filter(pk=books.hers.pk).update(is_simulated=is_simulated)
    note = issue_credit_note(books.statement, amount=Decimal(1), reason="agreed", by=alice, now=books.now)
    for person, document in ((alice, books.statement), (dora, books.statement), (alice, note)):
        text = pdf_text(sign_in(person).get(f"/statements/{document.pk}/pdf/").content)
        assert document.label in text
        assert ("Simulated account" in text) is is_marked
    assert "Simulated account" not in pdf_text(sign_in(alice).get(f"/statements/{books.others.pk}/pdf/").content)


def test_a_name_in_any_script_does_not_stop_the_pdf(books, sign_in, alice):
    books.workspace.name = "<b>Фирма & Söhne"
    books.workspace.save()
    closing = books.now.replace(year=books.now.year + 1)
    accrue_workspace(books.workspace.pk, closing)
    close_periods(books.workspace, BillingPeriod.objects.all(), now=closing)
    for statement in issue_statements(books.workspace, until=closing, due_on=closing.date(), now=closing):
        assert sign_in(alice).get(f"/statements/{statement.pk}/pdf/").content.startswith(b"%PDF-")


def test_the_number_of_queries_does_not_grow_with_rows(books, sign_in, alice, django_assert_max_num_queries, text_of):
    client = sign_in(alice)
    for path in ("periods", "statements", "payments", "debt"):
        with django_assert_max_num_queries(9):
            text_of(client.get(f"/commissions/{path}/"))


def test_incoming_commission_stands_beside_the_backends_figure(business, is_for_staff_only):
    make_deal(business.hers, business.portfolio, "through:close", business.now - timedelta(seconds=1))
    through = Transaction.objects.filter(backend_id="through:close")
    through.update(extra={"sourceStrategy": {"id": "alpine"}}, incoming_provider_commission="10.01")
    accrue_workspace(business.workspace.pk, business.now)
    page = is_for_staff_only("/commissions/incoming/", stranger=200)
    for text in ("Balanced", "Alpine Trend", "10.01", "agrees"):
        assert text in page
    (row,) = rows_of(is_for_staff_only("/commissions/incoming/?format=csv", stranger=200))
    assert (row["portfolio_id"], row["member_id"], row["amount"]) == ("balanced", "alpine", "10.01")


@pytest.mark.parametrize(
    ("amount", "currency", "words"),
    [
        ("1.234", "EUR", "can be 1234 or 1.234"),
        ("1,234", "EUR", "can be 1234 or 1.234"),
        ("0.5", "JPY", "no decimals"),
        ("1e3", "EUR", "exponent"),
        ("1_000", "EUR", "underscores"),
        ("NaN", "EUR", "must be a number"),
        ("１２３", "EUR", "digits 0 to 9"),
        ("0", "EUR", "greater than 0"),
        ("0.001", "EUR", "two decimals"),
    ],
)
def test_money_with_two_readings_is_asked_about_and_nothing_is_booked(books, sign_in, alice, amount, currency, words):
    client, before = sign_in(alice), Payment.objects.count()
    given = {"currency": currency, "received_on": books.now.date(), "reference": "", "token": str(uuid.uuid4())}
    paid = client.post(f"/commissions/payments/new/?statement={books.statement.pk}", {**given, "amount": amount})
    assert paid.status_code == 422
    assert words in paid.content.decode()
    assert Payment.objects.count() == before
    if currency == "EUR":  # two decimals, as the statement's currency has
        noted = client.post(f"/statements/{books.statement.pk}/credit-note/", {"amount": amount, "reason": "x"})
        assert noted.status_code == 422
        assert words in noted.content.decode()
    assert not Statement.objects.filter(kind="credit-note").exists()


@pytest.mark.parametrize("statement", ["x", "0", "-1", "²", "9" * 30, "1 2", "987654321"])
def test_a_statement_that_cannot_be_read_is_no_payment_on_the_account(statement, books, sign_in):
    given = {"amount": "5", "currency": "USD", "received_on": timezone.now().date(), "once": "t"}
    address = f"/commissions/payments/new/?subscriber={books.hers.pk}&statement={statement}"
    before = Payment.objects.count()
    client = sign_in(books.accountant)
    assert client.get(address).status_code == 404
    assert client.post(address, given).status_code == 404
    assert Payment.objects.count() == before
    plain = f"/commissions/payments/new/?subscriber={books.hers.pk}&statement="
    assert client.get(plain).status_code == 200


@pytest.mark.parametrize(
    ("path", "own", "of_others"),
    [
        ("/commissions/statements/", "Close a billing period, then", "Whoever does the billing closes a period"),
        ("/commissions/payments/", "Record one from the statement", "Whoever does the billing records one"),
    ],
)
def test_an_empty_list_names_the_next_step_of_whoever_looks(sign_in, alice, bob, path, own, of_others):
    assert own in sign_in(alice).get(path).content.decode()
    seen_by_a_viewer = sign_in(bob).get(path).content.decode()
    assert of_others in seen_by_a_viewer
    assert own not in seen_by_a_viewer
