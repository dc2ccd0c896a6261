"""The outbox: each mail that is to leave the house is a row, written in the transaction of what causes it.

Tasks send the rows (users/sending.py). A row is kept after that: it says what was sent to whom, and what a mail server
said that did not take it. Mails with a secret link are not sent this way: a row would keep the link.
"""

from __future__ import annotations

import uuid
from typing import Protocol, Self

from django.db import models


class MailState(models.TextChoices):
    """What became of a mail. Sent: a mail server took it; whether it arrived nobody says."""

    QUEUED = "queued", "Waiting"
    SENT = "sent", "Sent"
    REFUSED = "refused", "Refused"
    GIVEN_UP = "given-up", "Given up"
    WITHDRAWN = "withdrawn", "Not sent"


class Reader(Protocol):
    """Whoever looks at mails: a membership, which is written above this file."""

    workspace_id: int

    @property
    def is_staff_role(self) -> bool: ...


PERSONAL = ("notice",)  # kinds of mails that nobody but their recipient reads
NOT_DELIVERED = (MailState.REFUSED, MailState.GIVEN_UP)


class MailQuerySet(models.QuerySet["Mail"]):
    """Every read of mails begins with `visible_to`."""

    def visible_to(self, membership: Reader) -> Self:
        """Staff of the workspace: addresses of clients are nobody else's business.

        Without what people are told for themselves, which is theirs (users/notices.py).
        """
        own = self.filter(workspace_id=membership.workspace_id).exclude(kind__in=PERSONAL)
        return own if membership.is_staff_role else own.none()


class Mail(models.Model):
    """One mail to one address, in plain text.

    kind: who writes it (users/sending.py, `MailKind`). attachments: [{"kind", "id"}], made when it is sent.
    message_id: the same at every attempt, so that a mail program shows a repetition once. refusal: what was said last
    by the mail server, or why it is not sent. may_be_double: an attempt ended before its answer was known.
    """

    workspace = models.ForeignKey("users.Workspace", on_delete=models.CASCADE, related_name="mails", db_index=False)
    kind = models.CharField(max_length=20)
    recipient = models.CharField(max_length=254)
    recipient_name = models.CharField(max_length=200, blank=True, default="", help_text="Whom it is for, in lists.")
    sender_name = models.CharField(max_length=200, blank=True, default="")
    reply_to = models.CharField(max_length=254, blank=True, default="")
    subject = models.CharField(max_length=250)
    text = models.TextField()
    attachments = models.JSONField(default=list)
    message_id = models.CharField(max_length=255, unique=True)
    state = models.CharField(max_length=9, choices=MailState.choices, default=MailState.QUEUED)
    attempts = models.PositiveSmallIntegerField(default=0)
    refusal = models.CharField(max_length=400, blank=True, default="")
    may_be_double = models.BooleanField(default=False)
    queued_at = models.DateTimeField()
    queued_by = models.ForeignKey("users.User", null=True, on_delete=models.SET_NULL, related_name="+")
    due_at = models.DateTimeField()
    lease_until = models.DateTimeField(null=True)
    lease_token = models.UUIDField(null=True)
    settled_at = models.DateTimeField(null=True, help_text="When it was sent, refused, given up or withdrawn.")

    objects = MailQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["workspace", "-queued_at", "-id"], name="mail_by_time"),
            models.Index(fields=["workspace", "due_at", "id"], condition=models.Q(state="queued"), name="mail_to_send"),
        ]

    def __str__(self) -> str:
        return f"{self.subject} to {self.recipient}"


def new_message_id(domain: str) -> str:
    """A name for a mail that no other has."""
    return f"<{uuid.uuid4()}@{domain or 'localhost'}>"
