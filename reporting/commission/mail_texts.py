"""What a client reads in a mail with a document: plain text, the sum and the day first."""

from __future__ import annotations

from typing import Any

from reporting.commission.money import money_text
from reporting.models import Dispute, DisputeState, DocumentKind, Statement


def firm_of(document: Statement) -> str:
    """The firm as the document names it."""
    name: str = (document.parties.get("firm") or {}).get("name") or document.workspace_name
    return name


def subject_of(document: Statement) -> str:
    """ "Statement S-000012 of Alpine Capital"."""
    return f"{document.get_kind_display()} {document.label} of {firm_of(document)}"


def text_of(document: Statement) -> str:
    """The mail that brings a document."""
    total = money_text(abs(document.total), document.currency)
    if document.kind == DocumentKind.CREDIT_NOTE:
        corrected = document.corrects.label if document.corrects else "an earlier statement"
        return _letter(document, f"attached is credit note {document.label}: it takes {total} off {corrected}.")
    days = f"{document.first_day} to {document.last_day}"
    sentence = f"attached is statement {document.label} for the account {document.subscriber_name}, {days}."
    if document.balance <= 0:
        return _letter(document, sentence, f"It comes to {total}. There is nothing to pay.")
    left = money_text(document.balance, document.currency)
    paying = f"It comes to {total}; please pay {left}" + (f" by {document.due_on}." if document.due_on else ".")
    return _letter(document, sentence, paying, *_bank(document))


def reminder_subject_of(document: Statement) -> str:
    """ "Reminder: statement S-000012 of Alpine Capital is overdue"."""
    return f"Reminder: statement {document.label} of {firm_of(document)} is overdue"


def reminder_text_of(document: Any) -> str:
    """The mail that asks for what is overdue. document: read with its balance."""
    left = money_text(document.payable, document.currency)
    return _letter(
        document,
        f"statement {document.label} for the account {document.subscriber_name} was to be paid by {document.due_on}."
        f" {left} are still open; please pay them now.",
        *_bank(document),
        "Have you paid in these days? Then this mail and your payment have crossed, and there is nothing to do.",
    )


def dispute_opened_of(dispute: Dispute) -> tuple[str, str]:
    """(subject, text) of the mail to the firm when a client opens a dispute."""
    statement, amount = dispute.statement, money_text(dispute.amount, dispute.statement.currency)
    sentence = f"{statement.subscriber_name} disputes {amount} of statement {statement.label}:"
    steps = "It is not due until you answer it, under Commissions, Disputes."
    text = "\n\n".join([sentence, dispute.reason, steps]) + "\n"
    return f"Dispute: {amount} of statement {statement.label}", text


def dispute_answer_of(dispute: Dispute, reason: str) -> tuple[str, str]:
    """(subject, text) of the mail to the client when a dispute is answered."""
    statement, amount = dispute.statement, money_text(dispute.amount, dispute.statement.currency)
    sentence = f"you disputed {amount} of statement {statement.label}: {dispute.reason}"
    if dispute.state == DisputeState.CREDITED and dispute.credit_note is not None:
        note = dispute.credit_note
        answer = f"Credit note {note.label} takes {money_text(-note.total, note.currency)} off: {reason}"
    else:
        answer = f"We have looked at it, and the line stands: {reason} The amount is due again."
    return f"Your dispute of statement {statement.label} of {firm_of(statement)}", _letter(statement, sentence, answer)


def _letter(document: Statement, sentence: str, *paragraphs: str) -> str:
    client = (document.parties.get("client") or {}).get("name") or document.subscriber_name
    return "\n\n".join([f"Dear {client},", sentence, *paragraphs, firm_of(document)]) + "\n"


def _bank(document: Statement) -> list[str]:
    details = document.parties.get("bank_details") or ""
    return [f"To: {details}" if "\n" not in details else f"To:\n{details}"] if details else []
