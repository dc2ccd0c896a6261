"""Opens disputes and ends them: by rejecting, by a credit note, or because the client withdrew it."""

from __future__ import annotations

import uuid
from datetime import datetime
from decimal import Decimal, localcontext

from django.db import transaction

from reporting.commission.accounts import ZERO, lock_books
from reporting.commission.credit_notes import issue_credit_note
from reporting.commission.dispute_steps import mail_answer, mail_opened, note_step, settle
from reporting.commission.document_lines import lines_of
from reporting.commission.money import EXACT, round_money
from reporting.commission.refusals import CannotBook
from reporting.models import CommissionLine, Dispute, DisputeState, DocumentKind, Statement
from users.models import User


@transaction.atomic
def open_dispute(
    statement: Statement,
    line: CommissionLine,
    *,
    reason: str,
    by: User | None = None,
    is_client: bool = False,
    now: datetime,
) -> Dispute:
    """Freeze a line of a statement until it is answered. Raises CannotBook.

    is_client: whoever opens it is the client, who may do so once for a line; the firm may do so again in their name.
    A line that takes something off freezes nothing, and is there to be answered.
    """
    lock_books(statement.workspace)
    statement.refresh_from_db()
    if statement.kind != DocumentKind.STATEMENT or statement.is_void:
        raise CannotBook(f"{statement.label} is void or a credit note: there is nothing to dispute.")
    if not lines_of(statement).filter(pk=line.pk).exists():
        raise CannotBook(f"This line is not on {statement.label}.")
    earlier = Dispute.objects.filter(statement=statement, line=line)
    if earlier.open().exists():
        raise CannotBook("This line is in dispute already.")
    if is_client and earlier.filter(state__in=(DisputeState.REJECTED, DisputeState.CREDITED)).exists():
        raise CannotBook("This line was in dispute before and was answered. Write to your account manager.")
    amount = _amount_of(statement, line)
    dispute = Dispute.objects.create(
        workspace=statement.workspace, statement=statement, line=line, amount=amount, reason=reason, opened_at=now
    )
    note_step(dispute, reason, by=by, now=now)
    if is_client:
        mail_opened(dispute, by=by, now=now)
    return dispute


def _amount_of(statement: Statement, line: CommissionLine) -> Decimal:
    """A line with its tax: of all that is in dispute with it, less what is frozen already.

    So the amounts of all lines come to the total of the statement, however each of them would be rounded.
    """
    others = list(Dispute.objects.open().filter(statement=statement).select_related("line"))
    fees = sum((max(other.line.amount, ZERO) for other in others), max(line.amount, ZERO))
    with localcontext(EXACT):
        frozen = round_money(fees * (1 + statement.tax_rate), statement.currency)
    return frozen - sum((other.amount for other in others), ZERO)


@transaction.atomic
def reject_dispute(dispute: Dispute, *, reason: str, by: User | None = None, now: datetime) -> Dispute:
    """Let the line stand: its amount is due again. Raises CannotBook where the dispute has ended."""
    _lock_open(dispute)
    settle(dispute, DisputeState.REJECTED, reason, by=by, now=now)
    mail_answer(dispute, reason, by=by, now=now)
    return dispute


@transaction.atomic
def withdraw_dispute(dispute: Dispute, *, by: User | None = None, now: datetime) -> Dispute:
    """Take a dispute back, as the client: its amount is due again. Raises CannotBook where it has ended."""
    _lock_open(dispute)
    settle(dispute, DisputeState.WITHDRAWN, "", by=by, now=now)
    return dispute


@transaction.atomic
def credit_dispute(
    dispute: Dispute,
    *,
    amount: Decimal,
    reason: str,
    token: uuid.UUID | None = None,
    accepts_old_rate: bool = False,
    by: User | None = None,
    now: datetime,
) -> Statement:
    """End a dispute by a credit note, which alone changes what is owed. Raises CannotBook, OldRate."""
    _lock_open(dispute)
    note = issue_credit_note(
        dispute.statement, amount=amount, reason=reason, token=token, accepts_old_rate=accepts_old_rate, by=by, now=now
    )
    dispute.credit_note = note
    settle(dispute, DisputeState.CREDITED, f"{note.label}: {reason}", by=by, now=now)
    mail_answer(dispute, reason, by=by, now=now)
    return note


def _lock_open(dispute: Dispute) -> None:
    """Lock the books and read the dispute anew. Raises CannotBook where it has ended meanwhile."""
    lock_books(dispute.workspace)
    dispute.refresh_from_db()
    if dispute.state == DisputeState.OPEN:
        return
    last = dispute.events.select_related("by").latest("pk")
    who = f" by {last.by}" if last.by else ""
    raise CannotBook(f"This dispute has ended already: {dispute.get_state_display().lower()}{who}. Nothing was done.")
