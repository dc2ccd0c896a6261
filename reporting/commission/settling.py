"""Ends of what is owed that are no payment: writing off, paying credit back, and taking a credit note back.

Each is an entry of its own, once for each form. Another entry takes a write-off or a credit note back.
"""

from __future__ import annotations

import uuid
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
    written_off,
)
from reporting.commission.money import money_text, round_money
from reporting.commission.refusals import CannotBook
from reporting.commission.services import calendar_of
from reporting.models import DocumentKind, Entry, EntryKind, Statement
from users.models import User, Workspace
from users.services import record_audit


def _known(workspace: Workspace, token: uuid.UUID | None) -> Entry | None:
    """What this form entries when it was sent before."""
    return Entry.objects.filter(workspace=workspace, token=token).first() if token else None


@transaction.atomic
def write_off(
    statement: Statement,
    *,
    amount: Decimal,
    reason: str,
    token: uuid.UUID | None = None,
    by: User | None = None,
    now: datetime,
) -> Entry:
    """Give up what a client will not pay of a statement. Raises CannotBook."""
    workspace = statement.workspace
    lock_books(workspace)
    if known := _known(workspace, token):
        return known
    statement.refresh_from_db()
    if statement.kind != DocumentKind.STATEMENT or statement.is_void:
        raise CannotBook(f"Nothing is owed on {statement.label}: it is void or a credit note.")
    amount, left = round_money(amount, statement.currency), balance_of(statement)
    if not 0 < amount <= left:
        most = money_text(max(left, ZERO), statement.currency)
        raise CannotBook(f"At most {most} of {statement.label} can be written off: that is what is left to pay.")
    posting = Posting(calendar_of(workspace).day_of(now), now, by, reason)
    account = ClientAccount.of(statement)
    entry = post(account, EntryKind.WRITE_OFF, -amount, posting, statement=statement, token=token)
    assert entry is not None
    refresh_periods([statement])
    subject = f"{money_text(amount, statement.currency)} of {statement.label}"
    record_audit(workspace, user=by, action="written off", subject=subject, details={"reason": reason}, now=now)
    return entry


@transaction.atomic
def take_write_off_back(
    statement: Statement, *, reason: str, token: uuid.UUID | None = None, by: User | None = None, now: datetime
) -> Entry:
    """Let a client owe again what was written off, as when the money comes after all. Raises CannotBook."""
    workspace = statement.workspace
    lock_books(workspace)
    if known := _known(workspace, token):
        return known
    statement.refresh_from_db()
    amount = written_off(statement)
    if statement.is_void or not amount:
        raise CannotBook(f"Nothing of {statement.label} is written off.")
    posting = Posting(calendar_of(workspace).day_of(now), now, by, reason)
    account = ClientAccount.of(statement)
    entry = post(account, EntryKind.WRITE_OFF, amount, posting, statement=statement, token=token)
    assert entry is not None
    refresh_periods([statement])
    subject = f"{money_text(amount, statement.currency)} of {statement.label}"
    details = {"reason": reason}
    record_audit(workspace, user=by, action="write-off taken back", subject=subject, details=details, now=now)
    return entry


@transaction.atomic
def refund_credit(
    workspace: Workspace,
    account: ClientAccount,
    *,
    amount: Decimal,
    paid_on: date,
    reason: str,
    token: uuid.UUID | None = None,
    by: User | None = None,
    now: datetime,
) -> Entry:
    """Note that credit of an account was paid back to its client. Raises CannotBook."""
    lock_books(workspace)
    if known := _known(workspace, token):
        return known
    amount, credit = round_money(amount, account.currency), max(credit_of(account), ZERO)
    if not 0 < amount <= credit:
        raise CannotBook(f"At most {money_text(credit, account.currency)} can be paid back: that is the credit.")
    entry = post(account, EntryKind.REFUND, amount, Posting(paid_on, now, by, reason), token=token)
    assert entry is not None
    subject = f"{money_text(amount, account.currency)} to {account.subscriber_id}"
    record_audit(workspace, user=by, action="credit refunded", subject=subject, details={"reason": reason}, now=now)
    return entry


def _taken_from_write_off(noted: Entry) -> Decimal:
    """What a credit note took back of a write-off, where nobody let it be owed again since; else 0.

    noted: the note's entry. The one behind it in the statement is then of the same moment.
    """
    assert noted.statement is not None
    following = list(noted.statement.entries.filter(pk__gt=noted.pk).order_by("pk"))
    returns = [entry for entry in following if entry.kind == EntryKind.WRITE_OFF and entry.amount > 0]
    is_its = len(returns) == 1 and returns[0] == following[0] and returns[0].made_at == noted.made_at
    return returns[0].amount if is_its else ZERO


@transaction.atomic
def reverse_credit_note(note: Statement, *, reason: str, by: User | None = None, now: datetime) -> Statement:
    """Take a credit note back: the statement is owed again as it was before it. The document and its number stay.

    Credit that it had become is taken back, from where it was used where need be. Raises CannotBook.
    """
    workspace = note.workspace
    lock_books(workspace)
    note.refresh_from_db()
    if note.kind != DocumentKind.CREDIT_NOTE or note.corrects is None:
        raise CannotBook(f"{note.label} is no credit note.")
    statement = note.corrects
    if note.is_void:
        raise CannotBook(f"{note.label} was taken back before.")
    if statement.is_void:
        raise CannotBook(f"{statement.label}, which it corrects, is void: nothing of it is owed.")
    entries = statement.entries.filter(
        kind=EntryKind.CREDIT_NOTE, amount=note.total, made_at=note.issued_at, undone_by__isnull=True
    )
    posting = Posting(calendar_of(workspace).day_of(now), now, by, reason)
    account = ClientAccount.of(statement)
    noted = entries.order_by("pk").first()
    post(account, EntryKind.REVERSAL, -note.total, posting, statement=statement, undoes=noted)
    if noted is not None and (given_up := _taken_from_write_off(noted)):
        amount = min(given_up, max(balance_of(statement), ZERO))
        post(account, EntryKind.WRITE_OFF, -amount, posting, statement=statement)
    Statement.objects.filter(pk=note.pk).update(is_void=True)
    note.is_void = True
    if credit_of(account) > 0 and balance_of(statement) > 0:
        post_settlement(account, statement, posting)
    refresh_periods([statement, *post_missing_credit(account, posting)])
    subject = f"{note.label} for {statement.label}"
    details = {"reason": reason}
    record_audit(workspace, user=by, action="credit note reversed", subject=subject, details=details, now=now)
    return note
