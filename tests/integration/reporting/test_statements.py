"""Statements, credit notes and payments: numbered without a gap, never changed, and right to the cent."""

from __future__ import annotations

import threading
import uuid

import pytest
from django.db import IntegrityError, close_old_connections, connections, transaction
from django.db.models import Sum

from reporting.commission.accounts import balance_of, credit_of
from reporting.commission.credit_notes import issue_credit_note, void_statement
from reporting.commission.payments import undo_payment, use_credit
from reporting.commission.refusals import CannotBook
from reporting.models import BillingPeriod, Entry, Payment, Statement, StatementItem
from tests import builders
from tests.firm import NOW, D, Firm, at

pytestmark = pytest.mark.django_db
APRIL, MAY = at(4, 1, 0), at(5, 1, 0)


@pytest.fixture
def firm():
    """A firm with March and April closed: 2.00 and 4.01 owed."""
    firm = Firm()
    firm.deal(at(3, 4), "10")
    firm.deal(at(4, 4), "20.05", number="a")
    firm.accrue()
    firm.close(MAY)
    return firm


def state_of(period_end):
    return BillingPeriod.objects.get(period_end=period_end).state


def read(statement):
    return Statement.objects.with_balance().get(pk=statement.pk)


def test_a_statement_is_the_sum_of_its_lines_and_is_issued_once(firm):
    (statement,) = firm.issue(MAY)
    assert (statement.label, statement.amount, statement.currency) == ("S-000001", D("6.01"), "USD")
    assert (statement.first_day, statement.last_day) == (at(3, 1).date(), at(4, 30).date())
    assert statement.items.aggregate(total=Sum("amount"))["total"] == firm.total
    assert (read(statement).balance, read(statement).state, state_of(MAY)) == (D("6.01"), "overdue", "issued")
    assert firm.issue(MAY) == []


def test_a_month_is_issued_by_itself(firm):
    (march,) = firm.issue(APRIL)
    (april,) = firm.issue(MAY)
    assert [(each.number, each.amount) for each in (march, april)] == [(1, D(2)), (2, D("4.01"))]


def test_an_open_period_is_not_issued(firm):
    firm.deal(at(5, 4), "100")
    firm.accrue()
    (statement,) = firm.issue(at(6, 1))
    assert statement.amount == D("6.01")


def test_each_account_gets_its_own_and_numbers_have_no_gap(firm):
    others = [builders.subscriber(firm.connection, currency=currency) for currency in ("EUR", "JPY")]
    for other in others:
        firm.deal(at(5, 4), "100", subscriber=other)
    firm.accrue(at(6, 2))
    firm.close(at(6, 1, 0), now=at(6, 2))
    with transaction.atomic():
        firm.issue(at(6, 1, 0))
        transaction.set_rollback(True)  # a crash before the commit takes its numbers back
    issued = firm.issue(at(6, 1, 0))
    assert sorted(each.number for each in issued) == [1, 2, 3]
    assert {each.currency: each.amount for each in issued} == {"USD": D("6.01"), "EUR": D(20), "JPY": D(20)}


def test_nobody_gets_a_statement_of_nothing():
    firm = Firm("high-water-mark", "0.2")
    loser = builders.subscriber(firm.connection)
    firm.deal(at(3, 4), "10")
    firm.deal(at(3, 4), "-10", subscriber=loser)
    firm.accrue()
    firm.close(APRIL)
    (statement,) = firm.issue(APRIL)
    assert statement.subscriber_id == firm.subscriber.backend_id
    assert (firm.issue(APRIL), state_of(APRIL)) == ([], "issued")


def test_a_period_in_which_nobody_owes_anything_has_nothing_left_to_issue():
    firm = Firm("high-water-mark", "0.2")
    firm.deal(at(3, 4), "-10")
    firm.accrue()
    firm.close(APRIL)
    assert state_of(APRIL) == "closed"
    assert (firm.issue(APRIL), state_of(APRIL)) == ([], "paid")


def test_each_workspace_has_its_own_numbers(firm):
    other = Firm()
    other.deal(at(4, 4), "10")
    other.accrue()
    other.close(MAY)
    assert firm.issue(MAY)[0].number == other.issue(MAY)[0].number == 1


def test_a_late_deal_leaves_the_statement_alone_and_sums_right_on_the_next_one(firm):
    (statement,) = firm.issue(MAY)
    before = (Statement.objects.values().get(), list(StatementItem.objects.values()))
    firm.deal(at(4, 6), "33.33")
    firm.deal(at(4, 4), "10.05", number="a")
    firm.accrue()
    firm.close(at(6, 1, 0), now=at(6, 2))
    (second,) = firm.issue(at(6, 1, 0))
    assert (Statement.objects.values().get(pk=statement.pk), list(statement.items.values())) == before
    assert second.amount == D("6.67") - D("2.00")
    fresh = sum(round(D(each) * D("0.2"), 2) for each in ("10", "33.33", "10.05"))
    assert statement.amount + second.amount == fresh == firm.total


def test_a_statement_below_zero_becomes_credit_that_the_next_one_uses(firm):
    firm.issue(MAY)
    firm.deal(at(4, 4), "-1", number="a")
    firm.accrue()
    firm.close(at(6, 1, 0), now=at(6, 2))
    (negative,) = firm.issue(at(6, 1, 0))
    assert (negative.amount, read(negative).state, credit_of(firm.account)) == (D("-4.01"), "paid", D("4.01"))
    firm.deal(at(6, 4), "25")
    firm.accrue(at(7, 2))
    firm.close(at(7, 1, 0), now=at(7, 2))
    (third,) = firm.issue(at(7, 1, 0))
    assert (third.amount, read(third).balance, credit_of(firm.account)) == (D(5), D("0.99"), D(0))


# --- Payments ---------------------------------------------------------------------------------------------------------
def test_part_payments_add_up_and_pay_the_period(firm):
    (statement,) = firm.issue(MAY)
    firm.pay("2", statement)
    assert (read(statement).balance, read(statement).state, state_of(MAY)) == (D("4.01"), "overdue", "issued")
    recorded = firm.pay("4.01", statement)
    assert (recorded.credit, read(statement).state, state_of(MAY)) == (D(0), "paid", "paid")


def test_what_is_paid_too_much_stays_as_credit(firm):
    (statement,) = firm.issue(MAY)
    recorded = firm.pay("10", statement)
    assert recorded.credit == credit_of(firm.account) == D("3.99")
    assert read(statement).balance == 0


def test_a_payment_without_a_statement_pays_the_oldest_first(firm):
    (march,), (april,) = firm.issue(APRIL), firm.issue(MAY)
    recorded = firm.pay("3")
    assert [(each.number, part) for each, part in recorded.paid] == [(1, D(2)), (2, D(1))]
    assert (read(march).state, read(april).balance) == ("paid", D("3.01"))


def test_the_same_form_sent_twice_is_one_payment(firm):
    (statement,) = firm.issue(MAY)
    token = uuid.uuid4()
    assert firm.pay("1", statement, token=token).is_new
    assert not firm.pay("1", statement, token=token).is_new
    assert (Payment.objects.count(), read(statement).balance) == (1, D("5.01"))


def test_a_payment_in_another_currency_is_converted_once(firm):
    (statement,) = firm.issue(MAY)
    payment = firm.pay("5", statement, currency="EUR").payment
    assert (payment.rate_source, payment.settled_currency) == ("ECB", "USD")
    assert payment.settled == round(5 * payment.rate, 2)
    assert read(statement).balance == D("6.01") - payment.settled


def test_undoing_a_payment_is_a_counter_entry(firm):
    (statement,) = firm.issue(MAY)
    payment = firm.pay("10", statement).payment
    undo_payment(payment, reason="bounced", now=NOW)
    assert (read(statement).balance, credit_of(firm.account), state_of(MAY)) == (D("6.01"), D(0), "issued")
    assert Payment.objects.with_undone().get().is_undone
    with pytest.raises(CannotBook, match="taken back before"):
        undo_payment(payment, reason="again", now=NOW)


def test_undoing_a_payment_takes_back_the_credit_that_came_of_it(firm):
    (march,) = firm.issue(APRIL)
    payment = firm.pay("5", march).payment
    (april,) = firm.issue(MAY)
    assert read(april).balance == D("1.01")
    undo_payment(payment, reason="bounced", now=NOW)
    assert (read(march).balance, read(april).balance, credit_of(firm.account)) == (D(2), D("4.01"), D(0))


# --- Corrections ------------------------------------------------------------------------------------------------------
def test_a_credit_note_has_its_own_number_and_leaves_the_statement_alone(firm):
    (statement,) = firm.issue(MAY)
    before = Statement.objects.values().get()
    note = issue_credit_note(statement, amount=D("1.005"), reason="agreed", now=NOW)
    assert (note.label, note.amount, note.corrects) == ("C-000001", D("-1.01"), statement)
    assert Statement.objects.values().get(pk=statement.pk) == before
    assert read(statement).balance == D("5.00")
    for amount in ("5.01", "0", "-1"):
        with pytest.raises(CannotBook, match="can be credited"):
            issue_credit_note(statement, amount=D(amount), reason="x", now=NOW)


def test_a_credit_note_on_a_paid_statement_becomes_credit(firm):
    (statement,) = firm.issue(MAY)
    firm.pay("6.01", statement)
    issue_credit_note(statement, amount=D(2), reason="agreed", now=NOW)
    assert (read(statement).balance, read(statement).state, credit_of(firm.account)) == (D(0), "paid", D(2))


def test_a_voided_statement_keeps_its_number_and_its_periods_are_issued_again(firm):
    (statement,) = firm.issue(MAY)
    firm.pay("2", statement)
    void_statement(statement, reason="wrong address", now=NOW)
    assert (read(statement).balance, read(statement).state, state_of(MAY)) == (D(0), "void", "closed")
    assert credit_of(firm.account) == D(2)
    (again,) = firm.issue(MAY)
    assert (again.number, again.amount, read(again).balance) == (2, D("6.01"), D("4.01"))
    for wrong in (statement, issue_credit_note(again, amount=D(1), reason="x", now=NOW)):
        with pytest.raises(CannotBook):
            void_statement(wrong, reason="x", now=NOW)


def test_a_payment_on_a_voided_statement_can_still_be_taken_back(firm):
    (statement,) = firm.issue(MAY)
    payment = firm.pay("2", statement).payment
    void_statement(statement, reason="wrong", now=NOW)
    undo_payment(payment, reason="bounced", now=NOW)
    assert (read(statement).balance, credit_of(firm.account)) == (D(0), D(0))


def test_credit_can_be_used_on_a_statement_that_is_due(firm):
    (march,), (april,) = firm.issue(APRIL), firm.issue(MAY)
    firm.pay("3", march)
    assert use_credit(april, now=NOW) == D(1)
    assert use_credit(april, now=NOW) == 0
    assert read(april).balance == D("3.01")


def test_the_database_refuses_to_change_the_books(firm):
    (statement,) = firm.issue(MAY)
    firm.pay("2", statement)
    for change in (
        lambda: Statement.objects.update(amount=1),
        lambda: Statement.objects.filter(pk=statement.pk).delete(),
        lambda: StatementItem.objects.update(amount=1),
        lambda: Payment.objects.update(amount=1),
        lambda: Entry.objects.update(amount=1),
        lambda: Entry.objects.all().delete(),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            change()
    assert balance_of(statement) == D("4.01")


@pytest.mark.django_db(transaction=True)
def test_issuing_and_paying_at_once_books_each_once():
    firm = Firm()
    others = [firm.subscriber, *(builders.subscriber(firm.connection) for _ in range(4))]
    for other in others:
        firm.deal(at(4, 4), "10", subscriber=other)
    firm.accrue()
    firm.close(MAY)
    token, failures = uuid.uuid4(), []

    def run():
        try:
            firm.issue(MAY)
            firm.pay("1", token=token)
        except Exception as error:
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    close_old_connections()
    assert not failures
    assert sorted(Statement.objects.values_list("number", flat=True)) == [1, 2, 3, 4, 5]
    assert (Payment.objects.count(), Entry.objects.aggregate(t=Sum("amount"))["t"]) == (1, D(9))
