"""Periods, payments and locks of the books: one step before, exactly at, and one step after."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import OperationalError, connection, connections, transaction

from reporting.commission.accounts import Posting, balance_of, credit_of, lock_books, post
from reporting.commission.billing import span_of
from reporting.commission.refusals import CannotBook
from reporting.models import Books, CommissionLine, EntryKind, Payment
from tests import builders
from tests.firm import NOW, D, Firm, at

pytestmark = pytest.mark.django_db
MOMENT = timedelta(microseconds=1)
APRIL, MAY = at(4, 1, 0), at(5, 1, 0)


@pytest.fixture
def firm():
    """A firm with April closed: 2.00 owed."""
    firm = Firm()
    firm.deal(at(4, 4), "10")
    firm.accrue()
    firm.close(MAY)
    return firm


def issued(firm):
    (statement,) = firm.issue(MAY)
    return statement


# ---------------------------------------------------------------------------------------------------------- periods


@pytest.mark.parametrize(
    ("period_end", "is_of_april"),
    [
        (APRIL - MOMENT, False),
        (APRIL, False),
        (APRIL + MOMENT, True),
        (MAY - MOMENT, True),
        (MAY, True),
        (MAY + MOMENT, False),
    ],
)
def test_a_month_has_the_periods_that_end_in_it_or_with_it(firm, period_end, is_of_april):
    line = CommissionLine.objects.get()
    copy = CommissionLine(**{field.attname: getattr(line, field.attname) for field in line._meta.fields})
    copy.pk, copy.key, copy.period_start, copy.period_end = None, "another", APRIL - timedelta(days=40), period_end
    copy.save()
    april = span_of("2026-04", firm.workspace, NOW)
    assert april.narrow(CommissionLine.objects.filter(pk=copy.pk), NOW).exists() is is_of_april


@pytest.mark.parametrize(("step", "has_ended"), [(-MOMENT, False), (timedelta(), True), (MOMENT, True)])
def test_a_period_has_ended_at_its_end(firm, step, has_ended):
    now = MAY + step
    lines = CommissionLine.objects.filter(period_end=MAY)
    assert span_of("2026-04", firm.workspace, now).narrow(lines, now).exists() is has_ended
    assert span_of("open", firm.workspace, now).narrow(lines, now).exists() is not has_ended


@pytest.mark.parametrize(("step", "closes"), [(-MOMENT, False), (timedelta(), True), (MOMENT, True)])
def test_a_period_can_be_closed_from_its_end_on(step, closes):
    firm = Firm()
    firm.deal(at(4, 4), "10")
    firm.accrue(MAY + step)
    closed = True
    try:
        firm.close(MAY, now=MAY + step)
    except CannotBook:
        closed = False
    assert (closed and bool(firm.issue(MAY, now=MAY + step))) is closes


# --------------------------------------------------------------------------------------------------------- payments


@pytest.mark.parametrize("amount", ["-0.01", "-0.004", "0", "0.004"])
def test_a_payment_of_nothing_is_refused(firm, amount):
    statement = issued(firm)
    with pytest.raises(CannotBook, match="more than nothing"):
        firm.pay(amount, statement)
    assert not Payment.objects.exists()
    assert balance_of(statement) == 2


@pytest.mark.parametrize("amount", ["0.005", "0.01"])
def test_a_payment_of_the_smallest_unit_is_booked(firm, amount):
    statement = issued(firm)
    assert firm.pay(amount, statement).paid == [(statement, D("0.01"))]


@pytest.mark.parametrize(
    ("amount", "left", "credit"), [("1.99", "0.01", "0"), ("2.00", "0", "0"), ("2.01", "0", "0.01")]
)
def test_what_is_paid_beyond_a_statement_is_credit(firm, amount, left, credit):
    statement = issued(firm)
    firm.pay(amount, statement)
    assert (balance_of(statement), credit_of(firm.account)) == (D(left), D(credit))


@pytest.mark.parametrize(
    ("paid", "balance", "part"), [("1.99", "0", "0.01"), ("2.00", "0", "0"), ("2.50", "-0.50", "0")]
)
def test_a_payment_on_a_statement_that_is_paid_too_much_is_all_credit(firm, paid, balance, part):
    """What an earlier version may have left on a statement is not made more, nor paid back by the next payment."""
    statement = issued(firm)
    post(firm.account, EntryKind.PAYMENT, -D(paid), Posting(NOW.date(), NOW), statement=statement)
    recorded = firm.pay("1", statement)
    assert sum(amount for _, amount in recorded.paid) == D(part)
    assert (balance_of(statement), recorded.credit, credit_of(firm.account)) == (D(balance), 1 - D(part), 1 - D(part))


# ------------------------------------------------------------------------------------------------------------ locks


@pytest.mark.django_db(transaction=True)
def test_the_books_are_of_one_transaction_at_a_time():
    """Two real transactions: the second waits for as long as the first one runs, books of others stay free."""
    workspace, other = builders.workspace(), builders.workspace("Elsewhere")
    for each in (workspace, other):
        Books.objects.create(workspace=each)
    outcomes = {}
    with transaction.atomic():
        lock_books(workspace)
        in_thread(lambda: outcomes.update(mine=lock_is_free(workspace), others=lock_is_free(other)))
    in_thread(lambda: outcomes.update(after=lock_is_free(workspace)))
    assert outcomes == {"mine": False, "others": True, "after": True}


def in_thread(work) -> None:
    """Run to the end in a thread, which has database connections of its own."""

    def run():
        try:
            work()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()


def lock_is_free(workspace) -> bool:
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '200ms'")
            lock_books(workspace)
    except OperationalError:
        return False
    return True
