"""Invariants of the books over generated histories: whatever happens in whatever order, sums are right to the cent."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import transaction
from django.db.models import Sum
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from reporting.commission.accounts import balance_of, credit_of, written_off
from reporting.commission.credit_notes import creditable, issue_credit_note, void_statement
from reporting.commission.payments import undo_payment
from reporting.commission.recompute import recompute
from reporting.commission.settling import refund_credit, reverse_credit_note, take_write_off_back, write_off
from reporting.models import BillingPeriod, CommissionLine, Entry, EntryKind, Payment, Statement
from tests.firm import D, Firm, at

pytestmark = pytest.mark.django_db
few = settings(
    max_examples=20, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck)
)
START = at(2, 1)
money = st.decimals(-500, 500, places=2)
# a deal of a day that becomes known on a day not before it, perhaps months later
deals = st.lists(st.tuples(st.integers(0, 110), st.integers(0, 80), money), min_size=1, max_size=12)
actions = st.lists(
    st.tuples(
        st.sampled_from(["close", "issue", "pay", "undo", "credit", "void", "off", "back", "refund", "reverse"]),
        st.integers(0, 9),
    ),
    max_size=18,
)


def happen(firm, deals, actions):
    """Let days pass: deals become known, the ledger is kept, and people act. Yields after each step."""
    arriving = sorted((day + delay, number, day, profit) for number, (day, delay, profit) in enumerate(deals))
    moments = [(day, 0, deal) for day, *deal in arriving]
    moments += [(15 + 14 * number, 1, action) for number, action in enumerate(actions)]
    for day, is_action, what in sorted(moments, key=lambda each: each[:2]):
        now = START + timedelta(days=day, hours=2)
        if is_action:
            act(firm, *what, now=now)
        else:
            number, happened, profit = what
            firm.deal(START + timedelta(days=happened), profit, number=number)
        firm.accrue(now)
        yield now


def act(firm, name, number, *, now):
    issued = list(Statement.objects.filter(kind="statement", is_void=False).order_by("pk"))
    payments = [each for each in Payment.objects.with_undone().order_by("pk") if not each.is_undone]
    if name == "close":
        firm.close(now, now=now)
    elif name == "issue":
        firm.issue(now, now=now)
    elif name == "pay":
        firm.pay(f"{number}.37", issued[number % len(issued)] if issued else None, received_on=now.date(), now=now)
    elif name == "undo" and payments:
        undo_payment(payments[number % len(payments)], reason="x", now=now)
    elif name == "credit" and issued and creditable(issued[number % len(issued)]):
        chosen = issued[number % len(issued)]
        issue_credit_note(chosen, amount=min(creditable(chosen), D(number + 1)), reason="x", now=now)
    elif name == "off" and issued and (left := balance_of(issued[number % len(issued)])) > 0:
        write_off(issued[number % len(issued)], amount=min(left, D(number + 1)), reason="x", now=now)
    elif name == "back" and issued and written_off(issued[number % len(issued)]):
        take_write_off_back(issued[number % len(issued)], reason="x", now=now)
    elif name == "refund" and (credit := credit_of(firm.account)) > 0:
        amount = min(credit, D(number + 1))
        refund_credit(firm.workspace, firm.account, amount=amount, paid_on=now.date(), reason="x", now=now)
    elif name == "reverse":
        notes = Statement.objects.filter(kind="credit-note", is_void=False, corrects__is_void=False).order_by("pk")
        if notes:
            reverse_credit_note(notes[number % len(notes)], reason="x", now=now)
    elif name == "void" and issued:
        void_statement(issued[number % len(issued)], reason="x", now=now)


def check_books(firm):
    """What must hold at any moment."""
    for statement in Statement.objects.with_balance().filter(kind="statement"):
        lines = CommissionLine.objects.none()
        for item in statement.items.select_related("period"):
            own = firm.lines.filter(period_start=item.period.period_start, period_end=item.period.period_end)
            assert (own.count(), own.aggregate(t=Sum("amount"))["t"]) == (item.lines, item.amount)
            lines = lines | own
        assert (lines.aggregate(t=Sum("amount"))["t"] or 0) == statement.amount
        assert statement.balance >= 0
        assert statement.state != "void" or statement.balance == 0
    numbers = Statement.objects.filter(kind="statement").order_by("number").values_list("number", flat=True)
    assert list(numbers) == list(range(1, len(numbers) + 1))
    charged = Statement.objects.filter(is_void=False, kind="statement").aggregate(t=Sum("amount"))["t"] or D(0)
    standing = Statement.objects.filter(kind="credit-note", is_void=False, corrects__is_void=False)
    notes = standing.aggregate(t=Sum("amount"))["t"]
    ended = Entry.objects.filter(kind__in=(EntryKind.WRITE_OFF, EntryKind.REFUND)).aggregate(t=Sum("amount"))["t"]
    kept = [each.settled for each in Payment.objects.with_undone() if not each.is_undone]
    total = Entry.objects.aggregate(t=Sum("amount"))["t"] or D(0)
    assert total == charged + (notes or 0) - sum(kept) + (ended or 0)
    moved = Entry.objects.filter(kind=EntryKind.CREDIT).aggregate(t=Sum("amount"))["t"]
    assert not moved
    # a payment that bounces after what was left of it was paid back leaves the client with less than nothing
    refunded = Entry.objects.filter(kind=EntryKind.REFUND).aggregate(t=Sum("amount"))["t"] or D(0)
    assert credit_of(firm.account) >= -refunded
    for period in BillingPeriod.objects.exclude(closed_at=None):
        own = firm.lines.filter(period_start=period.period_start, period_end=period.period_end)
        assert {row["currency"]: str(row["total"]) for row in own.totals()} == period.amounts
    assert all(recompute(line) == line.amount for line in firm.lines)


@few
@given(scheme=st.sampled_from(["amount-won", "high-water-mark", "lots-won"]), deals=deals, actions=actions)
def test_the_books_are_right_after_every_step(scheme, deals, actions):
    with transaction.atomic():
        firm = Firm(scheme, 0.2)
        for _ in happen(firm, deals, actions):
            check_books(firm)
        transaction.set_rollback(True)


@few
@given(scheme=st.sampled_from(["amount-won", "high-water-mark", "lots-won"]), deals=deals, actions=actions)
def test_recomputing_from_nothing_equals_the_ledger_across_closings(scheme, deals, actions):
    with transaction.atomic():
        firm = Firm(scheme, 0.2)
        for _ in happen(firm, deals, [("close", 0), *actions]):
            pass
        fresh = Firm(scheme, 0.2)
        for number, (day, _, profit) in enumerate(deals):
            fresh.deal(START + timedelta(days=day), profit, number=number)
        end = START + timedelta(days=400)
        firm.accrue(end)
        fresh.accrue(end)
        assert firm.total == fresh.total
        transaction.set_rollback(True)


@few
@given(deals=deals, closings=st.sets(st.integers(20, 200), max_size=5))
def test_no_gain_is_charged_twice_and_nothing_below_the_mark(deals, closings):
    with transaction.atomic():
        firm = Firm("high-water-mark", 0.2)
        for _ in happen(firm, deals, []):
            pass
        for day in sorted(closings):
            firm.close(START + timedelta(days=day), now=START + timedelta(days=day))
        known = sorted((day, number, Decimal(profit)) for number, (day, _, profit) in enumerate(deals))
        profit = highest = D(0)
        for _, _, result in known:
            profit += result
            highest = max(highest, profit)
        assert firm.total <= round(highest * D("0.2"), 2) + D("0.01") * firm.lines.count()
        for line in firm.lines.exclude(key__startswith="adjustment:"):
            if D(line.inputs["measured"]) <= D(line.inputs["mark_before"]):
                assert line.amount == 0
        transaction.set_rollback(True)
