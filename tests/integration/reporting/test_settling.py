"""Writing off, paying credit back, taking a credit note back: entries, ages, documents, journal, forms sent twice."""

from __future__ import annotations

import uuid
from datetime import date

import pytest
from django.utils import timezone

from reporting.bookkeeping import JournalExport
from reporting.commission.accounts import balance_of, credit_of, written_off
from reporting.commission.credit_notes import creditable, issue_credit_note, void_statement
from reporting.commission.document_lines import pdf_of
from reporting.commission.journal import movements_of, read_bookings
from reporting.commission.refusals import CannotBook
from reporting.commission.settling import refund_credit, reverse_credit_note, take_write_off_back, write_off
from reporting.models import BillingIdentity, BillingPeriod, Entry, EntryKind, Statement, TaxKind
from tests.firm import NOW, D, Firm, at
from tests.integration.reporting.test_books_pages import books
from tests.pdf_reader import pdf_text
from users.models import AuditEntry

__all__ = ["books"]  # a fixture that is used by name
pytestmark = pytest.mark.django_db
MAY = at(5, 1, 0)


@pytest.fixture
def firm():
    """A firm with one statement over 119.00, 19.00 of it tax."""
    firm = Firm()
    BillingIdentity.objects.create(workspace=firm.workspace, tax_kind=TaxKind.RATE, tax_rate=D("0.19"))
    firm.deal(at(4, 3), 500)
    firm.accrue()
    firm.close(MAY)
    (firm.statement,) = firm.issue(MAY)
    return firm


def give_up(firm, amount, **more):
    return write_off(firm.statement, amount=D(amount), reason="insolvent", now=NOW, **more)


def journal(firm):
    """{role: balance} of everything that was booked; every booking comes to nothing."""
    export = JournalExport(
        workspace=firm.workspace,
        number=1,
        first_day=date(2026, 1, 1),
        last_day=date(2027, 1, 1),
        zone="UTC",
        last_entry=Entry.objects.latest("pk").pk,
        made_at=NOW,
    )
    bookings = read_bookings(export)
    assert all(sum(part.amount for part in booking.parts) == 0 for booking in bookings)
    sums = {movement.role: movement.balance for movement in movements_of(bookings)}
    owed = sum(balance_of(one) for one in Statement.objects.filter(kind="statement"))
    assert (sums.get("receivables", 0), sums.get("credit", 0)) == (owed, -credit_of(firm.account))
    return {role: balance for role, balance in sums.items() if balance}


def test_a_write_off_settles_a_statement_without_a_payment(firm):
    give_up(firm, "19")
    assert balance_of(firm.statement) == D(100)
    give_up(firm, "100")
    row = Statement.objects.with_balance().get(pk=firm.statement.pk)
    assert (row.balance, row.paid, row.state, written_off(row)) == (0, 0, "paid", D(119))
    assert BillingPeriod.objects.get().state == "paid"
    assert journal(firm) == {"amount-won": D(-100), "tax": D(-19), "write-offs": D(119)}
    assert AuditEntry.objects.filter(action="written off").count() == 2


@pytest.mark.parametrize(("amount", "is_done"), [("0", False), ("0.01", True), ("119", True), ("119.01", False)])
def test_at_most_what_is_left_is_written_off(firm, amount, is_done):
    if is_done:
        assert give_up(firm, amount).amount == -D(amount)
    else:
        with pytest.raises(CannotBook, match=r"At most 119\.00 USD"):
            give_up(firm, amount)


def test_the_same_form_writes_off_and_pays_back_once(firm):
    token = uuid.uuid4()
    assert give_up(firm, "10", token=token) == give_up(firm, "10", token=token)
    assert balance_of(firm.statement) == D(109)
    firm.pay("150", firm.statement)
    token = uuid.uuid4()
    made = [
        refund_credit(firm.workspace, firm.account, amount=D(10), paid_on=NOW.date(), reason="x", token=token, now=NOW)
        for _ in range(2)
    ]
    assert made[0] == made[1]
    assert credit_of(firm.account) == D(31)


def test_a_write_off_is_taken_back_when_the_money_comes(firm):
    give_up(firm, "119")
    entry = take_write_off_back(firm.statement, reason="paid after all", now=NOW)
    assert (entry.amount, balance_of(firm.statement)) == (D(119), D(119))
    firm.pay("119", firm.statement)
    assert journal(firm) == {"amount-won": D(-100), "tax": D(-19), "cash": D(119)}
    with pytest.raises(CannotBook, match="Nothing of S-000001 is written off"):
        take_write_off_back(firm.statement, reason="again", now=NOW)


def test_what_was_written_off_never_becomes_credit(firm):
    give_up(firm, "100")
    issue_credit_note(firm.statement, amount=D(50), reason="x", now=NOW)
    assert (balance_of(firm.statement), written_off(firm.statement), credit_of(firm.account)) == (0, D(69), 0)
    void_statement(firm.statement, reason="x", now=NOW)
    assert (balance_of(firm.statement), written_off(firm.statement), credit_of(firm.account)) == (0, 0, 0)
    assert journal(firm).get("write-offs") is None


def test_what_a_note_took_of_a_write_off_is_given_up_again_with_it(firm):
    give_up(firm, "100")
    note = issue_credit_note(firm.statement, amount=D(50), reason="x", now=NOW)
    reverse_credit_note(note, reason="a mistake", now=at(5, 4))
    assert (balance_of(firm.statement), written_off(firm.statement), credit_of(firm.account)) == (D(19), D(100), 0)
    assert journal(firm)["write-offs"] == D(100)


def test_what_is_owed_again_since_a_note_stays_owed_when_the_note_is_taken_back(firm):
    give_up(firm, "100")
    note = issue_credit_note(firm.statement, amount=D(50), reason="x", now=NOW)
    take_write_off_back(firm.statement, reason="the money comes", now=at(5, 3))
    reverse_credit_note(note, reason="a mistake", now=at(5, 4))
    assert (balance_of(firm.statement), written_off(firm.statement)) == (D(119), 0)


def test_a_payment_beside_a_write_off_is_credit_when_the_statement_is_void(firm):
    firm.pay("19", firm.statement)
    give_up(firm, "100")
    void_statement(firm.statement, reason="x", now=NOW)
    assert credit_of(firm.account) == D(19)
    assert journal(firm) == {"cash": D(19), "credit": D(-19)}


@pytest.mark.parametrize(("amount", "is_done"), [("0", False), ("0.01", True), ("31", True), ("31.01", False)])
def test_at_most_the_credit_is_paid_back(firm, amount, is_done):
    firm.pay("150", firm.statement)

    def pay_back():
        return refund_credit(
            firm.workspace, firm.account, amount=D(amount), paid_on=NOW.date(), reason="wire 9", now=NOW
        )

    if not is_done:
        with pytest.raises(CannotBook, match=r"At most 31\.00 USD can be paid back"):
            pay_back()
        return
    pay_back()
    assert credit_of(firm.account) == D(31) - D(amount)
    assert journal(firm)["cash"] == D(150) - D(amount)


def test_a_credit_note_is_taken_back_and_its_statement_owed_as_before(firm):
    first = issue_credit_note(firm.statement, amount=D("11.90"), reason="asked", now=NOW)
    second = issue_credit_note(firm.statement, amount=D("11.90"), reason="again", now=NOW)
    assert creditable(firm.statement) == D("95.20")
    reverse_credit_note(first, reason="was right", now=NOW)
    firm.statement.refresh_from_db()
    assert (balance_of(firm.statement), creditable(firm.statement)) == (D("107.10"), D("107.10"))
    with pytest.raises(CannotBook, match="C-000001 was taken back before"):
        reverse_credit_note(first, reason="twice", now=NOW)
    reverse_credit_note(second, reason="too", now=NOW)
    assert balance_of(firm.statement) == D(119)
    assert journal(firm) == {"amount-won": D(-100), "tax": D(-19), "receivables": D(119)}
    rest = issue_credit_note(firm.statement, amount=D(119), reason="all", now=NOW)
    assert (rest.amount, rest.tax, rest.label) == (D(-100), D(-19), "C-000003")


def test_credit_that_a_note_became_is_taken_back_with_it(firm):
    firm.pay("119", firm.statement)
    note = issue_credit_note(firm.statement, amount=D(30), reason="x", now=NOW)
    assert credit_of(firm.account) == D(30)
    reverse_credit_note(note, reason="y", now=NOW)
    assert (credit_of(firm.account), balance_of(firm.statement)) == (0, 0)
    other = issue_credit_note(firm.statement, amount=D(30), reason="x", now=NOW)
    refund_credit(firm.workspace, firm.account, amount=D(30), paid_on=NOW.date(), reason="sent", now=NOW)
    reverse_credit_note(other, reason="y", now=NOW)
    assert (credit_of(firm.account), balance_of(firm.statement)) == (0, D(30))
    assert journal(firm) == {"amount-won": D(-100), "tax": D(-19), "receivables": D(30), "cash": D(89)}


def test_a_void_statement_keeps_its_notes_and_its_reversals_come_to_nothing(firm):
    taken_back = issue_credit_note(firm.statement, amount=D(20), reason="x", now=NOW)
    reverse_credit_note(taken_back, reason="y", now=NOW)
    note = issue_credit_note(firm.statement, amount=D(20), reason="x", now=NOW)
    void_statement(firm.statement, reason="z", now=NOW)
    assert (balance_of(firm.statement), credit_of(firm.account), journal(firm)) == (0, 0, {})
    with pytest.raises(CannotBook, match="S-000001, which it corrects, is void"):
        reverse_credit_note(note, reason="y", now=NOW)
    with pytest.raises(CannotBook, match="is no credit note"):
        reverse_credit_note(firm.statement, reason="y", now=NOW)


def test_a_note_that_was_taken_back_says_so_on_paper(firm):
    note = issue_credit_note(firm.statement, amount=D(20), reason="x", now=NOW)
    reverse_credit_note(note, reason="The client was wrong", now=NOW)
    text = pdf_text(pdf_of(Statement.objects.with_balance().get(pk=note.pk)))
    assert f"VOID: this document was taken back on {NOW.date()}." in text
    assert "Reason: The client was wrong" in text
    assert "It takes nothing off any more" in text


# --- Pages ------------------------------------------------------------------------------------------------------------
def test_what_is_overdue_ends_with_writing_off(books, sign_in, bob, dora):
    client, page = sign_in(books.accountant), f"/statements/{books.others.pk}/"
    left = balance_of(books.others)
    form = {"once": "1", "off-amount": "11.02", "off-reason": "gone"}
    assert "can be written off" in client.post(f"{page}write-off/", form).content.decode()
    form |= {"once": "2", "off-amount": "10.01"}
    answers = [sign_in(person).post(f"{page}write-off/", form).status_code for person in (bob, dora)]
    assert answers == [403, 404]
    client = sign_in(books.accountant)
    assert "is written off" in client.post(f"{page}write-off/", form, follow=True).content.decode()
    assert balance_of(books.others) == 0
    assert "Take the write-off back" in client.get(page).content.decode()
    assert client.post(f"{page}write-off/back/", {"once": "3", "back-reason": " "}).status_code == 422
    answer = client.post(f"{page}write-off/back/", {"once": "4", "back-reason": "paid"}, follow=True)
    assert "is owed again" in answer.content.decode()
    assert balance_of(books.others) == left


def test_a_note_is_taken_back_and_credit_paid_back_from_their_pages(books, sign_in, bob):
    note = issue_credit_note(books.statement, amount=D(1), reason="x", now=timezone.now(), accepts_old_rate=True)
    page = f"/statements/{note.pk}/"
    assert sign_in(bob).post(f"{page}reverse/", {"once": "1", "reverse-reason": "y"}).status_code == 403
    client = sign_in(books.accountant)
    assert "Take the credit note back" in client.get(page).content.decode()
    answer = client.post(f"{page}reverse/", {"once": "2", "reverse-reason": "y"}, follow=True).content.decode()
    assert "This credit note was taken back on" in answer
    assert "Take the credit note back" not in answer
    address = f"/commissions/refunds/new/?subscriber={books.hers.pk}"
    assert "No credit" in client.get(address).content.decode()
    void_statement(books.statement, reason="x", now=timezone.now())  # the 4 that she paid are credit
    assert "4.00" in client.get(address).content.decode()
    form = {"amount": "4.01", "paid_on": str(timezone.now().date()), "reason": "wire", "once": "3"}
    assert "can be paid back" in client.post(address, form).content.decode()
    answer = client.post(address, form | {"amount": "4", "once": "4"}, follow=True).content.decode()
    assert "4.00 USD of credit is paid back" in answer
    assert Entry.objects.get(kind=EntryKind.REFUND).amount == 4
