"""Corrections of issued statements: credit notes that take a part off, and voiding that takes a statement back.

The statement itself stays as it was: each correction is a document or an entry of its own.
"""

from __future__ import annotations

import uuid
from datetime import date, datetime
from decimal import Decimal, localcontext
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Sum

from reporting.commission.accounts import (
    ZERO,
    ClientAccount,
    Posting,
    balance_of,
    lock_books,
    post,
    post_missing_credit,
    post_settlement,
    post_written_off_back,
    refresh_periods,
    written_off,
)
from reporting.commission.dispute_steps import settle_void
from reporting.commission.money import EXACT, money_text, round_money
from reporting.commission.refusals import CannotBook, OldRate
from reporting.commission.services import calendar_of
from reporting.commission.statements import last_number, note_numbers, stored_series
from reporting.models import BillingIdentity, DocumentKind, EntryKind, Statement, StatementItem
from reporting.rates import UnknownRate, rates_of
from users.models import User
from users.services import record_audit

FROM_STATEMENT = (
    "connection_id",
    "subscriber_id",
    "parties",
    "subscriber_name",
    "first_day",
    "last_day",
    "currency",
    "tax_rate",
)


def creditable(statement: Statement) -> Decimal:
    """How much of a statement, with its tax, credit notes may still take off."""
    return max(statement.total + sum((note.total for note in standing_notes(statement)), ZERO), ZERO)


def standing_notes(statement: Statement) -> list[Statement]:
    """Credit notes of a statement that were not taken back."""
    return [note for note in statement.credit_notes.all() if not note.is_void]


def _tax_part(statement: Statement, total: Decimal) -> Decimal:
    """What of a sum that is credited is tax: of all that is credited with it, less what earlier notes had.

    So the tax of many small notes comes to the tax of their sum, and with the last cent all of it is taken back.
    """
    notes = standing_notes(statement)
    credited = total - sum((note.total for note in notes), ZERO)
    with localcontext(EXACT):
        tax = round_money(credited * statement.tax_rate / (1 + statement.tax_rate), statement.currency)
    return tax + sum((note.tax for note in notes), ZERO)


class Converted(NamedTuple):
    """An amount in the reporting currency; None: there is no rate. is_old: an old rate was accepted for it."""

    amount: Decimal | None
    rate_day: date | None
    is_old: bool


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
    _check_amount(statement, amount)
    posting = Posting(calendar_of(workspace).day_of(now), now, by, reason)
    tax = _tax_part(statement, amount)
    converted = _converted(statement, tax - amount, posting.day, accepts_old_rate=accepts_old_rate)
    note = _store_note(statement, posting, converted, token=token, amount=tax - amount, tax=-tax)
    account = ClientAccount.of(statement)
    post(account, EntryKind.CREDIT_NOTE, -amount, posting, statement=statement)
    if (left := balance_of(statement)) < 0:
        post_written_off_back(account, statement, -left, posting)
    if balance_of(statement) < 0:
        post_settlement(account, statement, posting)
    refresh_periods([statement])
    subject = f"{note.label} for {statement.label}"
    record_audit(workspace, user=by, action="credit note issued", subject=subject, now=now)
    return note


def _check_amount(statement: Statement, amount: Decimal) -> None:
    """Raises CannotBook where that much cannot be credited."""
    if statement.kind != DocumentKind.STATEMENT or statement.is_void:
        raise CannotBook(f"{statement.label} cannot be corrected: it is void or a credit note itself.")
    most = creditable(statement)
    if not 0 < amount <= most:
        raise CannotBook(f"At most {money_text(most, statement.currency)} of {statement.label} can be credited.")


def _converted(statement: Statement, amount: Decimal, day: date, *, accepts_old_rate: bool) -> Converted:
    """The amount at the rate of a day. Raises OldRate."""
    base, quote = statement.currency, statement.workspace.reporting_currency
    try:
        rate = rates_of(statement.workspace).on(day, base, quote)
    except UnknownRate:
        return Converted(None, None, is_old=False)
    if rate.is_old and not accepts_old_rate:
        raise OldRate(base, rate.day)
    return Converted(round_money(amount * rate.value, quote), rate.day if base != quote else None, rate.is_old)


def _store_note(statement: Statement, posting: Posting, converted: Converted, **amounts: Any) -> Statement:
    """The document with the next number of its series, to the same client as the statement."""
    workspace = statement.workspace
    identity = BillingIdentity.of(workspace)
    series = identity.series(identity.credit_note_prefix, posting.day.year)
    number = last_number(workspace, DocumentKind.CREDIT_NOTE, series) + 1
    note_numbers(workspace, credit_notes=number)
    return Statement.objects.create(
        **{name: getattr(statement, name) for name in FROM_STATEMENT},
        **amounts,
        workspace=workspace,
        workspace_name=workspace.name,
        kind=DocumentKind.CREDIT_NOTE,
        series=stored_series(DocumentKind.CREDIT_NOTE, series),
        number=number,
        reporting_currency=workspace.reporting_currency,
        reporting_amount=converted.amount,
        rate_day=converted.rate_day,
        rates_accepted_at=posting.now if converted.is_old else None,
        rates_accepted_by=posting.by if converted.is_old else None,
        corrects=statement,
        reason=posting.reason,
        issued_at=posting.now,
        issued_by=posting.by,
    )


@transaction.atomic
def void_statement(statement: Statement, *, reason: str, by: User | None = None, now: datetime) -> Statement:
    """Take a statement back as a whole: its periods can be issued again, what was paid becomes credit.

    The document and its number stay. Raises CannotBook for one that is void already or a credit note.
    """
    workspace = statement.workspace
    lock_books(workspace)
    statement.refresh_from_db()
    if statement.kind != DocumentKind.STATEMENT:
        raise CannotBook("A credit note is not voided: it is taken back on its own page.")
    if statement.is_void:
        raise CannotBook(f"{statement.label} is void already.")
    posting = Posting(calendar_of(workspace).day_of(now), now, by, reason)
    account = ClientAccount.of(statement)
    post_written_off_back(account, statement, written_off(statement), posting)
    charged = statement.entries.filter(kind__in=[EntryKind.STATEMENT, EntryKind.CREDIT_NOTE, EntryKind.REVERSAL])
    post(account, EntryKind.VOID, -(charged.aggregate(t=Sum("amount"))["t"] or ZERO), posting, statement=statement)
    left = balance_of(statement)
    post(account, EntryKind.CREDIT, -left, posting, statement=statement)
    post(account, EntryKind.CREDIT, left, posting)
    Statement.objects.filter(pk=statement.pk).update(is_void=True)
    StatementItem.objects.filter(statement=statement).update(is_void=True)
    statement.is_void = True
    settle_void(statement, posting)
    touched = post_missing_credit(account, posting)
    refresh_periods([statement, *touched])
    record_audit(
        workspace, user=by, action="statement voided", subject=statement.label, details={"reason": reason}, now=now
    )
    return statement
