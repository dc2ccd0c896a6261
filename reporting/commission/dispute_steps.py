"""The steps that a dispute can take, each kept in its history, in the audit log, and told to the other side by mail.

Callers hold the lock of the workspace's books.
"""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import transaction

from reporting.commission.accounts import Posting
from reporting.commission.mail_texts import dispute_answer_of, dispute_opened_of, firm_of
from reporting.commission.mailing import addresses_of
from reporting.commission.money import money_text
from reporting.models import BillingIdentity, Dispute, DisputeEvent, DisputeState, Statement
from users.models import Membership, Role, User
from users.sending import MailKind, queue_mail, register_kind, wake
from users.services import record_audit

DISPUTE_MAIL = register_kind(MailKind("dispute", "Dispute"))


def note_step(dispute: Dispute, text: str, *, by: User | None, now: datetime) -> None:
    """Keep the state that a dispute has come to."""
    DisputeEvent.objects.create(dispute=dispute, state=dispute.state, text=text, at=now, by=by)
    state, statement = DisputeState(dispute.state), dispute.statement
    subject = f"{statement.label}, {money_text(dispute.amount, statement.currency)}"
    action = "dispute opened" if state == DisputeState.OPEN else f"dispute {state.value}"
    record_audit(dispute.workspace, user=by, action=action, subject=subject, details={"text": text}, now=now)


def settle(dispute: Dispute, state: DisputeState, text: str, *, by: User | None, now: datetime) -> None:
    """End a dispute: its amount is frozen no longer."""
    dispute.state, dispute.settled_at = state, now
    dispute.save(update_fields=["state", "settled_at", "credit_note"])
    note_step(dispute, text, by=by, now=now)


def settle_void(statement: Statement, posting: Posting) -> None:
    """End every dispute of a statement that was taken back: nothing of it is owed."""
    for dispute in Dispute.objects.open().filter(statement=statement).select_related("workspace", "statement"):
        settle(dispute, DisputeState.VOID, posting.reason, by=posting.by, now=posting.now)


# --- Mails ------------------------------------------------------------------------------------------------------------
def mail_answer(dispute: Dispute, text: str, *, by: User | None, now: datetime) -> None:
    """Tell the client what became of the dispute; nobody where there is no mail server or no address."""
    client = addresses_of([dispute.statement]).get(dispute.statement_id)
    if client is not None and settings.MAIL_IS_SET_UP:
        _queue(dispute, client.email, dispute.statement.subscriber_name, *dispute_answer_of(dispute, text), by, now)
        transaction.on_commit(wake)


def mail_opened(dispute: Dispute, *, by: User | None, now: datetime) -> None:
    """Tell the firm: the address for clients' answers, or else its owners."""
    if not settings.MAIL_IS_SET_UP:
        return
    identity = BillingIdentity.of(dispute.workspace)
    owners = Membership.objects.filter(workspace=dispute.workspace, role=Role.OWNER, deactivated_at=None)
    addresses = [identity.reply_to] if identity.reply_to else list(owners.values_list("user__email", flat=True))
    for recipient in addresses:
        _queue(dispute, recipient, firm_of(dispute.statement), *dispute_opened_of(dispute), by, now)
    transaction.on_commit(wake)


def _queue(
    dispute: Dispute, recipient: str, name: str, subject: str, text: str, by: User | None, now: datetime
) -> None:
    identity = BillingIdentity.of(dispute.workspace)
    queue_mail(
        dispute.workspace,
        kind=DISPUTE_MAIL,
        recipient=recipient,
        recipient_name=name,
        sender_name=dispute.workspace.mail_sender or identity.name or dispute.workspace.name,
        reply_to=identity.reply_to,
        subject=subject,
        text=text,
        by=by,
        now=now,
        wakes=False,
    )
