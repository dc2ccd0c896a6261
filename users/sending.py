"""Sends what waits in the outbox: any number of workers at once, each mail by one of them, safe to lose and to repeat.

A worker claims a mail with a lease, hands it to the mail server outside of any transaction, and notes the answer. One
that dies in between leaves the lease: after its end another worker sends the mail *again*, with the same Message-ID,
because a statement that may arrive twice does less harm than one that nobody gets; the row says that it may have. A
worker that was only stopped does not send on: it renews its lease right before handing over, and the whole dialog is
shorter than a lease (EMAIL_TIMEOUT, and the time limit of tasks).
"""

from __future__ import annotations

import contextlib
import smtplib
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import formataddr, parseaddr
from typing import Any

import structlog
from celery import current_app
from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.db import connection as database
from django.db import transaction
from kombu.exceptions import OperationalError as BrokerDown

from users.models import User, Workspace
from users.outbox import Mail, MailState, new_message_id

log = structlog.get_logger(__name__)

LEASE_S = 180  # longer than a task may take (CELERY_TASK_TIME_LIMIT)
TURN_S = 50.0
WOKEN_EXPIRES_S = 60
SEND_MAILS = "users.tasks.send_mails"  # by name: tasks know the services, not the other way round
# after the first attempt, the second...: a server that is down for a night, or a mailbox that is full for two days
DELAYS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 180, 360, 720, 1440))
MOST_ATTEMPTS = len(DELAYS) + 1
NO_SERVER = "No mail server is set up: nothing is mailed. Download the document and send it yourself."


class CannotMail(Exception):
    """A mail that is not put into the outbox. text: a sentence for the person."""

    transient = False

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(text)


@dataclass(frozen=True)
class Attachment:
    """A file of a mail."""

    name: str
    content: bytes
    media_type: str


def nothing_attached(mail: Mail) -> Iterator[Attachment]:
    """A mail without files."""
    yield from ()


def always_wanted(mail: Mail) -> str:
    """A mail that is sent whatever happens meanwhile."""
    return ""


@dataclass(frozen=True)
class MailKind:
    """Who writes a mail. attach: its files, made when it is sent. unwanted: why not to send it any more, or nothing."""

    key: str
    words: str
    attach: Callable[[Mail], Iterable[Attachment]] = nothing_attached
    unwanted: Callable[[Mail], str] = always_wanted


MAIL_KINDS: dict[str, MailKind] = {}


def register_kind(kind: MailKind) -> MailKind:
    """Make a kind of mail known: apps register theirs when they are ready."""
    MAIL_KINDS[kind.key] = kind
    return kind


def queue_mail(
    workspace: Workspace,
    *,
    kind: MailKind,
    recipient: str,
    subject: str,
    text: str,
    attachments: Iterable[dict[str, Any]] = (),
    recipient_name: str = "",
    sender_name: str = "",
    reply_to: str = "",
    by: User | None = None,
    now: datetime,
    wakes: bool = True,
) -> Mail:
    """Put a mail into the outbox, in the caller's transaction: it is sent if, and only if, that is committed.

    wakes: False for one of many; the caller then wakes a worker once. Raises CannotMail where there is no mail server.
    """
    if not settings.MAIL_IS_SET_UP:
        raise CannotMail(NO_SERVER)
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2]
    mail = Mail.objects.create(
        workspace=workspace,
        kind=kind.key,
        recipient=recipient,
        recipient_name=recipient_name[:200],
        sender_name=" ".join((sender_name or workspace.sender).split())[:200],
        reply_to=reply_to,
        subject=" ".join(subject.split())[:250],  # names are free text, a subject is one line
        text=workspace.signed(text),
        attachments=list(attachments),
        message_id=new_message_id(domain),
        queued_at=now,
        queued_by=by,
        due_at=now,
    )
    if wakes:
        transaction.on_commit(wake)
    return mail


def wake() -> None:
    """Have a worker look at the outbox now. Without the broker beat does, within seconds."""
    with contextlib.suppress(BrokerDown):
        current_app.send_task(SEND_MAILS, expires=WOKEN_EXPIRES_S, retry=False)


@dataclass(frozen=True)
class MailLease:
    """The right to send one mail until LEASE_S after the last renewal."""

    mail_id: int
    token: uuid.UUID

    def renew(self) -> bool:
        """Keep it for a whole dialog with the server; False: it is another worker's by now."""
        return self.update("lease_until = clock_timestamp() + make_interval(secs => %(lease)s)", lease=LEASE_S)

    def settle(self, state: str, *, refusal: str = "", may_be_double: bool = False) -> None:
        """The end of the mail."""
        self._note(
            "state = %(state)s, settled_at = clock_timestamp(), lease_token = NULL, lease_until = NULL,"
            " refusal = %(refusal)s, may_be_double = may_be_double OR %(double)s",
            state=state,
            refusal=refusal[:400],
            double=may_be_double,
        )

    def try_later(self, delay: timedelta, *, refusal: str, may_be_double: bool) -> None:
        """An answer that may be another one later."""
        self._note(
            "due_at = clock_timestamp() + %(delay)s, lease_token = NULL, lease_until = NULL,"
            " refusal = %(refusal)s, may_be_double = may_be_double OR %(double)s",
            delay=delay,
            refusal=refusal[:400],
            double=may_be_double,
        )

    def _note(self, assignments: str, **values: Any) -> None:
        if not self.update(assignments, **values):
            log.warning("a mail was taken over before its answer was noted", mail=self.mail_id)

    def update(self, assignments: str, **values: Any) -> bool:
        """Change the row as its holder."""
        with database.cursor() as cursor:
            cursor.execute(
                f"UPDATE users_mail SET {assignments} WHERE id = %(id)s AND lease_token = %(token)s",
                {**values, "id": self.mail_id, "token": self.token},
            )
            return cursor.rowcount == 1


_DUE = """state = 'queued' AND due_at <= clock_timestamp()
    AND (lease_until IS NULL OR lease_until < clock_timestamp())"""


def claim(workspace_id: int) -> MailLease | None:
    """Take the mail of a workspace that is due for longest, past those that other workers hold; or None.

    A lease that somebody left says that their attempt ended without an answer: the mail may be on its way already.
    """
    token = uuid.uuid4()
    with database.cursor() as cursor:
        cursor.execute(
            "UPDATE users_mail SET lease_token = %(token)s, attempts = attempts + 1,"
            " may_be_double = may_be_double OR lease_token IS NOT NULL,"
            " lease_until = clock_timestamp() + make_interval(secs => %(lease)s)"
            f" WHERE id = (SELECT id FROM users_mail WHERE workspace_id = %(workspace)s AND {_DUE}"
            " ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id",
            {"token": token, "lease": LEASE_S, "workspace": workspace_id},
        )
        row = cursor.fetchone()
    return MailLease(row[0], token) if row else None


def due_workspaces() -> list[int]:
    """Whose mails are due: each workspace has one sent in its turn, so that a thousand of one delay nobody."""
    with database.cursor() as cursor:
        cursor.execute(f"SELECT DISTINCT workspace_id FROM users_mail WHERE {_DUE} ORDER BY 1")
        return [row[0] for row in cursor.fetchall()]


def send_due(*, turn_s: float = TURN_S) -> int:
    """Send what is due until nothing is left, the time is up or the server is away; returns how many it took."""
    if not settings.MAIL_IS_SET_UP:
        return 0
    sent, stop_at = 0, time.monotonic() + turn_s
    while workspaces := due_workspaces():
        for workspace_id in workspaces:
            if time.monotonic() > stop_at:
                return sent
            lease = claim(workspace_id)
            if lease is None:
                continue
            outcome = send_claimed(lease)
            if outcome is not None and outcome.is_of_server:
                return sent  # the others would wait as long for the same answer
            sent += outcome is None
    return sent


@dataclass(frozen=True)
class SendingRefusal:
    """Why a mail was not taken. is_final: asking again does not help; is_of_server: it would be said of any mail."""

    text: str
    is_final: bool = False
    is_of_server: bool = False
    may_be_double: bool = False


NOT_HANDED_OVER = SendingRefusal("It was not handed over.", is_final=True)


def send_claimed(lease: MailLease) -> SendingRefusal | None:
    """Send one mail and note the answer; None: it was taken."""
    mail = Mail.objects.select_related("workspace").get(pk=lease.mail_id)
    if mail.attempts > MOST_ATTEMPTS:  # each of them ended without a word, so none of them could end it
        lease.settle(MailState.GIVEN_UP, refusal="Every attempt to send it was cut short.")
        return NOT_HANDED_OVER
    try:
        kind = MAIL_KINDS[mail.kind]
        if reason := kind.unwanted(mail):
            lease.settle(MailState.WITHDRAWN, refusal=reason)
            return NOT_HANDED_OVER
        message = message_of(mail, kind)
    except Exception:  # whatever a mail and its files are made from: the other mails go on
        log.exception("a mail cannot be made", mail=mail.pk)
        refusal: SendingRefusal | None = SendingRefusal("It, or its attachment, could not be made.")
    else:
        if not lease.renew():
            return NOT_HANDED_OVER
        refusal = hand_over(message)
    note_answer(lease, mail, refusal)
    return refusal


def note_answer(lease: MailLease, mail: Mail, refusal: SendingRefusal | None) -> None:
    """Write down what became of an attempt."""
    if refusal is None:
        lease.settle(MailState.SENT)
    elif refusal.is_final:
        lease.settle(MailState.REFUSED, refusal=refusal.text, may_be_double=refusal.may_be_double)
    elif mail.attempts >= MOST_ATTEMPTS:
        lease.settle(MailState.GIVEN_UP, refusal=refusal.text, may_be_double=refusal.may_be_double)
    else:
        delay = DELAYS[mail.attempts - 1]
        lease.try_later(delay, refusal=refusal.text, may_be_double=refusal.may_be_double)


def sender_of(name: str) -> str:
    """Whom a mail comes from: a name before the installation's address."""
    address = parseaddr(settings.DEFAULT_FROM_EMAIL)[1]
    return formataddr((" ".join(name.split()), address)) if name else settings.DEFAULT_FROM_EMAIL


def message_of(mail: Mail, kind: MailKind) -> EmailMessage:
    """The mail with its files."""
    sender = sender_of(mail.sender_name)
    message = EmailMessage(
        mail.subject,
        mail.text,
        sender,
        [mail.recipient],
        reply_to=[mail.reply_to] if mail.reply_to else None,
        headers={"Message-ID": mail.message_id},
    )
    for attachment in kind.attach(mail):
        message.attach(attachment.name, attachment.content, attachment.media_type)
    return message


class Handing:
    """How far a dialog with a mail server came: after the text was given, silence may mean that it was taken."""

    def __init__(self) -> None:
        self.has_begun = False

    def watch(self, dialog: Any) -> None:
        """Note when the text of a mail is given to a server; other ways of sending have no such moment."""
        give = getattr(dialog, "data", None)
        if give is None:
            return

        def noting(message: Any) -> Any:
            self.has_begun = True
            return give(message)

        dialog.data = noting


def hand_over(message: EmailMessage) -> SendingRefusal | None:
    """Give a mail to the server, on a connection of its own: what one mail does to it harms no other."""
    handing = Handing()
    server = get_connection()
    try:
        server.open()
        handing.watch(getattr(server, "connection", None))
        server.send_messages([message])
    except smtplib.SMTPException as error:
        return refusal_of(error, handing)
    except OSError as error:
        return unreachable(error, handing)
    except (ValueError, UnicodeError) as error:  # an address that is none, a line break in a name
        return SendingRefusal(f"It cannot be written as a mail: {error}", is_final=True)
    finally:
        with contextlib.suppress(smtplib.SMTPException, OSError):
            server.close()
    return None


def refusal_of(error: smtplib.SMTPException, handing: Handing) -> SendingRefusal:
    """What a server's answer means: 5xx is for good, unless it is said of us and not of the mail."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, words = next(iter(error.recipients.values()))
        return SendingRefusal(said(code, words), is_final=code >= 500)
    if isinstance(error, smtplib.SMTPResponseException):
        of_us = isinstance(error, (smtplib.SMTPAuthenticationError, smtplib.SMTPConnectError, smtplib.SMTPHeloError))
        is_final = error.smtp_code >= 500 and isinstance(error, smtplib.SMTPDataError)
        return SendingRefusal(said(error.smtp_code, error.smtp_error), is_final=is_final, is_of_server=of_us)
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return unreachable(error, handing)
    return SendingRefusal(f"The mail server cannot take it: {error}", is_final=True)


def unreachable(error: OSError, handing: Handing) -> SendingRefusal:
    """A server that does not answer, or hangs up."""
    if isinstance(error, TimeoutError) or "timed out" in str(error):  # smtplib tells silence as a lost connection
        text = f"The mail server did not answer within {settings.EMAIL_TIMEOUT} seconds."
    elif isinstance(error, smtplib.SMTPServerDisconnected):
        text = "The mail server closed the connection."
    else:
        text = f"The mail server cannot be reached: {error.strerror or error}."
    return SendingRefusal(text, is_of_server=not handing.has_begun, may_be_double=handing.has_begun)


def said(code: int, words: bytes | str) -> str:
    """A server's answer as a line of text."""
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    return f"The mail server said: {code} {' '.join(text.split())}"
