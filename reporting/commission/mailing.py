"""Sends documents to clients by the outbox, and reminds of what is overdue."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet, Subquery
from django.db.models.expressions import Combinable

from reporting.commission.accounts import lock_books
from reporting.commission.mail_texts import reminder_subject_of, reminder_text_of, subject_of, text_of
from reporting.models import (
    BillingIdentity,
    ClientRecord,
    DocumentKind,
    Statement,
    StatementMail,
    StatementState,
)
from users.models import Mail, MailState, User, Workspace
from users.sending import NO_SERVER, Attachment, CannotMail, MailKind, queue_mail, register_kind, wake
from users.services import record_audit

log = structlog.get_logger(__name__)
DOCUMENT = "document"  # an attachment by reference: {"kind": DOCUMENT, "id": of the statement}


# --- What the outbox asks when a mail's turn comes --------------------------------------------------------------------
def document_of(mail: Mail) -> Any:
    """The document that a mail is about, as it is now."""
    documents = Statement.objects.with_balance().select_related("subscriber", "corrects", "workspace")
    return documents.get(mails__mail=mail)


def attach_documents(mail: Mail) -> Iterator[Attachment]:
    """The documents that a mail refers to, as PDF files of this moment."""
    from reporting.commission.document_lines import pdf_of  # late: who sends no mail loads no fonts

    numbers = [attachment["id"] for attachment in mail.attachments if attachment["kind"] == DOCUMENT]
    documents = Statement.objects.filter(workspace_id=mail.workspace_id, pk__in=numbers).with_balance()
    for document in documents.select_related("subscriber", "corrects").order_by("pk"):
        yield Attachment(f"{document.label}.pdf", pdf_of(document), "application/pdf")


def why_no_document(mail: Mail) -> str:
    """A statement that was taken back meanwhile is not sent any more."""
    document = document_of(mail)
    return f"{document.label} was voided before it was sent." if document.is_void else ""


def why_no_reminder(mail: Mail) -> str:
    """Nobody is reminded of what was paid or voided since the reminder was written."""
    document = document_of(mail)
    if document.is_void:
        return f"{document.label} was voided before the reminder was sent."
    if document.state != StatementState.OVERDUE:
        return f"Nothing of {document.label} was overdue any more."
    return ""


STATEMENT_MAIL = register_kind(MailKind("statement", "Document", attach_documents, why_no_document))
REMINDER_MAIL = register_kind(MailKind("reminder", "Reminder", attach_documents, why_no_reminder))


# --- Sending documents ------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class RunSending:
    """What sending many came to: mails that wait now, documents whose client has no address, others left out."""

    queued: int
    without_address: int
    left_out: int


def addresses_of(documents: Iterable[Statement]) -> dict[int, ClientRecord]:
    """The records of clients with an e-mail address, by document."""
    documents = list(documents)
    with_address = ClientRecord.objects.exclude(email="").filter(
        subscriber__connection__in={document.connection_id for document in documents},
        subscriber__backend_id__in={document.subscriber_id for document in documents},
    )
    records = with_address.select_related("subscriber")
    known = {(record.subscriber.connection_id, record.subscriber.backend_id): record for record in records}
    pairs = ((document.pk, known.get((document.connection_id, document.subscriber_id))) for document in documents)
    return {pk: record for pk, record in pairs if record is not None}


@transaction.atomic
def send_document(document: Statement, *, by: User | None = None, now: datetime) -> Mail:
    """Put a statement or credit note into the outbox, again where it was sent before.

    Raises CannotMail: no mail server, no address, void, or a mail of it waits to be sent already.
    """
    lock_books(document.workspace)  # the second of two clicks sees the mail of the first
    document = _fresh([document.pk]).get()
    client = addresses_of([document]).get(document.pk)
    if reason := why_not(document, client, is_waiting=_waiting([document.pk]) != set()):
        raise CannotMail(reason)
    assert client is not None
    mail = _queue(document, client, BillingIdentity.of(document.workspace), by=by, now=now)
    record_audit(
        document.workspace,
        user=by,
        action="document mailed",
        subject=document.label,
        details={"to": client.email},
        now=now,
    )
    return mail


def why_not(document: Statement, client: ClientRecord | None, *, is_waiting: bool = False) -> str:
    """Why a document cannot be mailed now; empty where it can."""
    if not settings.MAIL_IS_SET_UP:
        return NO_SERVER
    if document.is_void:
        return f"{document.label} is void: it is not sent."
    if client is None:
        return f"{document.subscriber_name} has no e-mail address: enter it under “Client” of the account."
    return f"A mail with {document.label} waits to be sent already." if is_waiting else ""


@transaction.atomic
def send_run(workspace: Workspace, numbers: Iterable[int], *, by: User | None = None, now: datetime) -> RunSending:
    """Put all of these documents into the outbox that were not mailed yet; twice or in parallel mails none twice.

    numbers: their primary keys. Raises CannotMail where there is no mail server.
    """
    if not settings.MAIL_IS_SET_UP:
        raise CannotMail(NO_SERVER)
    lock_books(workspace)
    documents = list(_fresh(numbers).filter(workspace=workspace))
    clients, identity = addresses_of(documents), BillingIdentity.of(workspace)
    mailed = _mailed([document.pk for document in documents])
    to_send = [document for document in documents if not document.is_void and document.pk not in mailed]
    ready = [document for document in to_send if document.pk in clients]
    for document in ready:
        _queue(document, clients[document.pk], identity, by=by, now=now, wakes=False)
    if ready:
        transaction.on_commit(wake)
        subject = f"{ready[0].label} to {ready[-1].label}" if len(ready) > 1 else ready[0].label
        record_audit(
            workspace, user=by, action="documents mailed", subject=subject, details={"number": len(ready)}, now=now
        )
    return RunSending(len(ready), len(to_send) - len(ready), len(documents) - len(to_send))


def _fresh(numbers: Iterable[int]) -> QuerySet[Any]:
    """Documents as they are now, with their balance."""
    documents = Statement.objects.filter(pk__in=list(numbers)).with_balance()
    return documents.select_related("workspace", "corrects").order_by("pk")


def _waiting(numbers: Iterable[int]) -> set[int]:
    """Those of which a mail waits to be sent."""
    waiting = StatementMail.objects.filter(
        statement__in=list(numbers), mail__state=MailState.QUEUED, reminder_days=None
    )
    return set(waiting.values_list("statement_id", flat=True))


def _mailed(numbers: Iterable[int]) -> set[int]:
    """Those that were mailed or wait for it; a mail that was refused, given up or withdrawn counts as none."""
    done = StatementMail.objects.filter(
        statement__in=list(numbers), mail__state__in=(MailState.QUEUED, MailState.SENT), reminder_days=None
    )
    return set(done.values_list("statement_id", flat=True))


def has_address() -> Combinable:
    """An expression: the client of the document has an e-mail address."""
    own = ClientRecord.objects.filter(
        subscriber__connection=OuterRef("connection"), subscriber__backend_id=OuterRef("subscriber_id")
    )
    return Exists(own.exclude(email=""))


def not_mailed() -> Combinable:
    """An expression: no mail brought the document, and none waits to."""
    done = StatementMail.objects.filter(
        statement=OuterRef("pk"), mail__state__in=(MailState.QUEUED, MailState.SENT), reminder_days=None
    )
    return ~Exists(done)


def _queue(
    document: Statement,
    client: ClientRecord,
    identity: BillingIdentity,
    *,
    reminder_days: int | None = None,
    by: User | None = None,
    now: datetime,
    wakes: bool = True,
) -> Mail:
    is_reminder = reminder_days is not None
    mail = queue_mail(
        document.workspace,
        kind=REMINDER_MAIL if is_reminder else STATEMENT_MAIL,
        recipient=client.email,
        recipient_name=document.subscriber_name,
        sender_name=document.workspace.mail_sender or identity.name or document.workspace.name,
        reply_to=identity.reply_to,
        subject=reminder_subject_of(document) if is_reminder else subject_of(document),
        text=reminder_text_of(document) if is_reminder else text_of(document),
        attachments=[{"kind": DOCUMENT, "id": document.pk}],
        by=by,
        now=now,
        wakes=wakes,
    )
    StatementMail.objects.create(statement=document, mail=mail, reminder_days=reminder_days)
    return mail


# --- Reminders --------------------------------------------------------------------------------------------------------
def remind_all(now: datetime) -> int:
    """Remind the clients of every workspace that has a schedule; returns how many mails wait now."""
    if not settings.MAIL_IS_SET_UP:
        return 0
    identities = BillingIdentity.objects.exclude(reminder_days=[]).select_related("workspace")
    number = 0
    for identity in identities.order_by("pk"):
        try:
            number += remind_workspace(identity.workspace, now=now)
        except Exception:  # whatever is wrong with one firm's books: the others' clients are reminded
            log.exception("reminders of a workspace failed", workspace=identity.workspace_id)
    return number


@transaction.atomic
def remind_workspace(workspace: Workspace, *, now: datetime) -> int:
    """Remind of each overdue statement by the latest step of the schedule that it has reached, each step once.

    Earlier steps that were missed are not made up for: a client gets one mail, not three at once. Statements whose
    client has no address are left out.
    """
    lock_books(workspace)
    identity = BillingIdentity.of(workspace)
    if not identity.reminder_days:
        return 0
    documents = [document for document in overdue_statements(workspace) if next_step(document, identity) is not None]
    clients = addresses_of(documents)
    ready = [document for document in documents if document.pk in clients]
    for document in ready:
        step = next_step(document, identity)
        _queue(document, clients[document.pk], identity, reminder_days=step, now=now, wakes=False)
    if ready:
        transaction.on_commit(wake)
        details = {"number": len(ready)}
        record_audit(
            workspace,
            user=None,
            action="reminders mailed",
            subject=f"{len(ready)} statements",
            details=details,
            now=now,
        )
    return len(ready)


def overdue_statements(workspace: Workspace) -> QuerySet[Any]:
    """Overdue statements with `last_step`, the latest step that was used for each."""
    own = Statement.objects.filter(workspace=workspace, kind=DocumentKind.STATEMENT, is_void=False)
    overdue: QuerySet[Any] = own.with_balance().filter(state=StatementState.OVERDUE).select_related("workspace")
    steps = StatementMail.objects.filter(statement=OuterRef("pk"), reminder_days__isnull=False)
    latest = steps.order_by("-reminder_days").values("reminder_days")[:1]
    listed: QuerySet[Any] = overdue.annotate(last_step=Subquery(latest)).order_by("pk")
    return listed


def next_step(document: Any, identity: BillingIdentity) -> int | None:
    """The step of the schedule that is due for an overdue statement; None: none, or it was used."""
    reached = [days for days in identity.reminder_days if days <= document.days_overdue]
    step = max(reached, default=None)
    return step if step is not None and (document.last_step is None or step > document.last_step) else None
