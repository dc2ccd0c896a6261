"""Corrections of issued statements: credit notes that take a part off, and voiding that takes a statement back.

The statement itself stays as it was: each correction is a document or an entry of its own.
"""

from __future__ import annotations

import uuid
from datetime import date, datetime
from decimal import Decimal, localcontext

from django.db import transaction
from django.db.models import Sum

from reporting.commission.accounts import (
    ZERO,
    Account,
    Posting,
    balance_of,
    lock_books,
    post,
    post_missing_credit,
    post_settlement,
    refresh_periods,
)
from reporting.commission.money import EXACT, money_text, round_money
from reporting.commission.services import calendar_of
from reporting.commission.statements import CannotBook, OldRate, last_number, note_numbers, stored_series
from reporting.models import BillingIdentity, DocumentKind, EntryKind, Statement, StatementItem
from reporting.rates import UnknownRate, rates_of
from users.models import User, Workspace
from users.services import record_audit


def creditable(statement: Statement) -> Decimal:
    """How much of a statement, with its tax, credit notes may still take off."""
    return max(statement.total + sum((note.total for note in statement.credit_notes.all()), ZERO), ZERO)


def _tax_part(statement: Statement, total: Decimal) -> Decimal:
    """What of a sum that is credited is tax: all that is left of it with the last part, so that nothing stays."""
    if total == creditable(statement):
        return statement.tax + sum((note.tax for note in statement.credit_notes.all()), ZERO)
    with localcontext(EXACT):
        return round_money(total * statement.tax_rate / (1 + statement.tax_rate), statement.currency)


@transaction.atomic
def issue_credit_note(
    statement: Statement,
    *,
    amount: Decimal,
    reason: str,
    token: uuid.UUID | None = None,
    accepts_old_rate: bool = False,
    by: User | None = None,
    now: datetime,
) -> Statement:
    """Correct a statement by a document of its own. What was paid too much then becomes credit.

    amount: with the tax in it. token: of the form; the second time it gives the first credit note back.
    Raises CannotBook, and OldRate where the day's rate is old and nobody has accepted it.
    """
    workspace = statement.workspace
    lock_books(workspace)
    known = Statement.objects.filter(workspace=workspace, token=token).first() if token else None
    if known is not None:
        return known
    statement.refresh_from_db()
    amount = round_money(amount, statement.currency)
    if statement.kind != DocumentKind.STATEMENT or statement.is_void:
        raise CannotBook(f"{statement.label} cannot be corrected: it is void or a credit note itself.")
    if not 0 < amount <= creditable(statement):
        most = money_text(creditable(statement), statement.currency)
        raise CannotBook(f"At most {most} of {statement.label} can be credited.")
    day = calendar_of(workspace).day_of(now)
    tax = _tax_part(statement, amount)
    converted = _converted(workspace, tax - amount, statement.currency, day, accepts_old_rate=accepts_old_rate)
    identity = BillingIdentity.of(workspace)
    series = identity.series(identity.credit_note_prefix, day.year)
    number = last_number(workspace, DocumentKind.CREDIT_NOTE, series) + 1
    note_numbers(workspace, credit_notes=number)
    note = Statement.objects.create(
        workspace=workspace,
        connection_id=statement.connection_id,
        subscriber_id=statement.subscriber_id,
        kind=DocumentKind.CREDIT_NOTE,
        series=stored_series(DocumentKind.CREDIT_NOTE, series),
        number=number,
        token=token,
        parties=statement.parties,
        workspace_name=workspace.name,
        subscriber_name=statement.subscriber_name,
        first_day=statement.first_day,
        last_day=statement.last_day,
        currency=statement.currency,
        amount=tax - amount,
        tax=-tax,
        tax_rate=statement.tax_rate,
        reporting_currency=workspace.reporting_currency,
        reporting_amount=converted[0],
        rate_day=converted[1],
        rates_accepted_at=now if converted[2] else None,
        rates_accepted_by=by if converted[2] else None,
        corrects=statement,
        reason=reason,
        issued_at=now,
        issued_by=by,
    )
    posting, account = Posting(day, now, by, reason), Account.of(statement)
    post(account, EntryKind.CREDIT_NOTE, -amount, posting, statement=statement)
    if balance_of(statement) < 0:
        post_settlement(account, statement, posting)
    refresh_periods([statement])
    record_audit(
        workspace, user=by, action="credit note issued", subject=f"{note.label} for {statement.label}", now=now
    )
    return note


def _converted(
    workspace: Workspace, amount: Decimal, base: str, day: date, *, accepts_old_rate: bool
) -> tuple[Decimal | None, date | None, bool]:
    """(amount in the reporting currency, day of the rate, whether an old rate was accepted). Raises OldRate."""
    quote = workspace.reporting_currency
    try:
        rate = rates_of(workspace).on(day, base, quote)
    except UnknownRate:
        return None, None, False
    if rate.is_old and not accepts_old_rate:
        raise OldRate(base, rate.day)
    return round_money(amount * rate.value, quote), rate.day if base != quote else None, rate.is_old


@transaction.atomic
def void_statement(statement: Statement, *, reason: str, by: User | None = None, now: datetime) -> Statement:
    """Take a statement back as a whole: its periods can be issued again, what was paid becomes credit.

    The document and its number stay. Raises CannotBook for one that is void already or a credit note.
    """
    workspace = statement.workspace
    lock_books(workspace)
    statement.refresh_from_db()
    if statement.kind != DocumentKind.STATEMENT:
        raise CannotBook("A credit note is not voided: issue a new statement instead.")
    if statement.is_void:
        raise CannotBook(f"{statement.label} is void already.")
    posting = Posting(calendar_of(workspace).day_of(now), now, by, reason)
    account = Account.of(statement)
    charged = statement.entries.filter(kind__in=[EntryKind.STATEMENT, EntryKind.CREDIT_NOTE])
    post(account, EntryKind.VOID, -(charged.aggregate(t=Sum("amount"))["t"] or ZERO), posting, statement=statement)
    left = balance_of(statement)
    post(account, EntryKind.CREDIT, -left, posting, statement=statement)
    post(account, EntryKind.CREDIT, left, posting)
    Statement.objects.filter(pk=statement.pk).update(is_void=True)
    StatementItem.objects.filter(statement=statement).update(is_void=True)
    statement.is_void = True
    touched = post_missing_credit(account, posting)
    refresh_periods([statement, *touched])
    record_audit(
        workspace, user=by, action="statement voided", subject=statement.label, details={"reason": reason}, now=now
    )
    return statement
