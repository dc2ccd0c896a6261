"""Records what clients pay. A payment is converted once, by the rate of its day, into the currency of the account."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from django.db import transaction

from reporting.commission.accounts import (
    ZERO,
    ClientAccount,
    Posting,
    balance_of,
    credit_of,
    lock_books,
    post,
    post_missing_credit,
    post_settlement,
    refresh_periods,
)
from reporting.commission.event_data import payment_data, statement_data
from reporting.commission.money import money_text, round_money
from reporting.commission.refusals import CannotBook, NeedsConsent, OldRate
from reporting.commission.services import calendar_of
from reporting.models import DocumentKind, EntryKind, Payment, Statement
from reporting.rates import Rate, rates_of
from users.events import emit
from users.models import User, Workspace
from users.services import record_audit


class PaidVoid(NeedsConsent):
    """A payment for a statement that was taken back: nothing is owed on it, so all of it becomes credit."""

    consent = "accepts_void"
    question = "Record it as credit of the account"

    def __init__(self, statement: Statement) -> None:
        super().__init__(
            f"{statement.label} is void: nothing is owed on it. The payment would be credit of the account."
        )


@dataclass(slots=True)
class Recorded:
    """A payment and where it went. is_new: false where this form had been sent before."""

    payment: Payment
    paid: list[tuple[Statement, Decimal]] = field(default_factory=list)
    credit: Decimal = ZERO
    is_new: bool = True


@transaction.atomic
def record_payment(
    workspace: Workspace,
    account: ClientAccount,
    *,
    amount: Decimal,
    currency: str,
    received_on: date,
    reference: str = "",
    statement: Statement | None = None,
    token: uuid.UUID | None = None,
    accepts_old_rate: bool = False,
    accepts_void: bool = False,
    by: User | None = None,
    now: datetime,
) -> Recorded:
    """Pay a statement, or without one the account's oldest; what is more than is owed stays as credit.

    token: of the form; the second time it gives the first payment back. accepts_old_rate, accepts_void: the
    person was asked. Raises CannotBook, UnknownRate, OldRate, PaidVoid.
    """
    lock_books(workspace)
    token = token or uuid.uuid4()
    known = Payment.objects.filter(workspace=workspace, token=token).first()
    if known is not None:
        return Recorded(known, is_new=False)
    amount = round_money(amount, currency)
    if amount <= 0:
        raise CannotBook("A payment is more than nothing.")
    if statement is not None and not accepts_void:
        statement.refresh_from_db(fields=["is_void"])  # somebody may have voided it since the form was shown
        if statement.is_void:
            raise PaidVoid(statement)
    rate = rates_of(workspace).on(received_on, currency, account.currency)
    if rate.is_old and not accepts_old_rate:
        raise OldRate(currency, rate.day)
    posting = Posting(received_on, now, by)
    payment = _store_payment(account, rate, posting, amount=amount, reference=reference, token=token)
    recorded = _pay(account, payment, [statement] if statement is not None else due_statements(account), posting)
    subject = f"{money_text(amount, currency)} from {account.subscriber_id}"
    record_audit(workspace, user=by, action="payment recorded", subject=subject, now=now)
    emit(workspace.pk, "payment.recorded", payment_data(payment), now=now)
    for document, _ in recorded.paid:
        if balance_of(document) == 0:
            emit(workspace.pk, "statement.paid", statement_data(document), now=now)
    return recorded


def _store_payment(
    account: ClientAccount, rate: Rate, posting: Posting, *, amount: Decimal, reference: str, token: uuid.UUID
) -> Payment:
    """The row, with what it counts as in the currency of the account."""
    return Payment.objects.create(
        workspace_id=account.workspace_id,
        connection_id=account.connection_id,
        subscriber_id=account.subscriber_id,
        received_on=posting.day,
        amount=amount,
        currency=rate.base,
        settled=round_money(amount * rate.value, account.currency),
        settled_currency=account.currency,
        rate=rate.value,
        rate_source=rate.source,
        rate_day=rate.day,
        reference=reference,
        token=token,
        recorded_at=posting.now,
        recorded_by=posting.by,
    )


def _pay(account: ClientAccount, payment: Payment, documents: list[Statement], posting: Posting) -> Recorded:
    """Pay one statement after the other as far as the money goes; the rest is credit of the account."""
    recorded = Recorded(payment, credit=payment.settled)
    for document in documents:
        part = min(recorded.credit, max(balance_of(document), ZERO))
        if part:
            post(account, EntryKind.PAYMENT, -part, posting, statement=document, payment=payment)
            recorded.paid.append((document, part))
            recorded.credit -= part
    post(account, EntryKind.PAYMENT, -recorded.credit, posting, payment=payment)
    refresh_periods([document for document, _ in recorded.paid])
    return recorded


def due_statements(account: ClientAccount) -> list[Statement]:
    """Statements of an account with something left to pay, the oldest first."""
    own = Statement.objects.filter(
        workspace_id=account.workspace_id,
        connection_id=account.connection_id,
        subscriber_id=account.subscriber_id,
        currency=account.currency,
        kind=DocumentKind.STATEMENT,
    )
    return list(own.with_balance().filter(balance__gt=0).order_by("number"))


@transaction.atomic
def undo_payment(payment: Payment, *, reason: str, by: User | None = None, now: datetime) -> Payment:
    """Take a payment back by counter-entries; credit that came of it is taken back from where it was used.

    Raises CannotBook where that was done before.
    """
    workspace = payment.workspace
    lock_books(workspace)
    entries = list(payment.entries.filter(kind=EntryKind.PAYMENT).select_related("statement").order_by("pk"))
    if payment.entries.filter(kind=EntryKind.UNDO).exists():
        raise CannotBook("This payment was taken back before.")
    account = ClientAccount(workspace.pk, payment.connection_id, payment.subscriber_id, payment.settled_currency)
    posting = Posting(calendar_of(workspace).day_of(now), now, by, reason)
    touched = []
    for entry in entries:
        # what was paid on a statement that is void now is credit
        statement = entry.statement if entry.statement is not None and not entry.statement.is_void else None
        post(account, EntryKind.UNDO, -entry.amount, posting, statement=statement, payment=payment, undoes=entry)
        touched += [statement] if statement is not None else []
    touched += post_missing_credit(account, posting)
    for statement in touched:
        if credit_of(account) > 0 and balance_of(statement) > 0:
            post_settlement(account, statement, posting)
    refresh_periods(touched)
    subject = f"{money_text(payment.amount, payment.currency)} from {payment.subscriber_id}"
    record_audit(workspace, user=by, action="payment taken back", subject=subject, details={"reason": reason}, now=now)
    emit(workspace.pk, "payment.undone", payment_data(payment), now=now)
    return payment


@transaction.atomic
def use_credit(statement: Statement, *, by: User | None = None, now: datetime) -> Decimal:
    """Pay a statement from the account's credit; returns how much that was."""
    lock_books(statement.workspace)
    statement.refresh_from_db()
    used = ZERO
    if not statement.is_void and balance_of(statement) > 0:
        posting = Posting(calendar_of(statement.workspace).day_of(now), now, by)
        used = post_settlement(ClientAccount.of(statement), statement, posting)
        refresh_periods([statement])
    return used
