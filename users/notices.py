"""Rows of what people are told: causes, who is told of which by what, the messages, and the ways to a person.

Rules are in users/notice_rules.py; who finds causes is above (reporting/notice_sources.py); users/notice_packing.py
makes messages of them and users/notice_sending.py sends those. Each pair of a cause and a way to a person is one row,
which the database keeps from being there twice: that, and not the care of tasks, is why nobody is told anything twice.
"""

from __future__ import annotations

from typing import Protocol, Self

from django.db import models
from django.db.models.functions import Coalesce

from users.secrets import EncryptedTextField


class NoticeChannel(models.TextChoices):
    """How a person is reached."""

    EMAIL = "email", "E-mail"
    TELEGRAM = "telegram", "Telegram"
    WEBHOOK = "webhook", "Webhook"


class NoticePhase(models.TextChoices):
    """A person hears of a cause twice: when it is there, and when it is over."""

    BEGAN = "began", "Began"
    ENDED = "ended", "Over"


class NoticeState(models.TextChoices):
    """What became of a message; those by e-mail have the states of their mail."""

    QUEUED = "queued", "Waiting"
    SENT = "sent", "Sent"
    REFUSED = "refused", "Refused"
    GIVEN_UP = "given-up", "Given up"
    WITHDRAWN = "withdrawn", "Not sent"


class Addressee(Protocol):
    """Whoever looks at messages: a membership, which is written above this file."""

    pk: int
    workspace_id: int
    role: str


class Notice(models.Model):
    """A cause: something that is so, from a moment on, until it is over.

    key: what it is about; of the causes that are not over only one has it. account: of `subscribers`, by number; null:
    it is about the firm. person: whom alone it concerns. path: of the page about it, own_path: of a client's; empty:
    there is none. waits_until: nobody is told before that moment, and only if it is still so. missing_since: it was not
    seen since then, and is over when it stays away. is_silent: it was there before anybody was to be told.
    """

    workspace = models.ForeignKey("users.Workspace", on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=20)
    key = models.CharField(max_length=160)
    title = models.CharField(max_length=250)
    text = models.CharField(max_length=600, blank=True, default="")
    account = models.BigIntegerField(null=True)
    person = models.ForeignKey("users.User", null=True, on_delete=models.CASCADE, related_name="+")
    path = models.CharField(max_length=200, blank=True, default="", db_default="")
    own_path = models.CharField(max_length=200, blank=True, default="", db_default="")
    began_at = models.DateTimeField()
    waits_until = models.DateTimeField(null=True)
    missing_since = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    is_silent = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "key"], condition=models.Q(ended_at=None), name="one_open_notice_per_cause"
            )
        ]
        indexes = [models.Index(fields=["workspace", "kind", "began_at"], name="notice_by_time")]

    def __str__(self) -> str:
        return self.title


class NoticeStart(models.Model):
    """Since when a workspace's people are told; what was there before is no news.

    known_until: {connection: moment} up to which what came from it was looked at, where a look goes back to that.
    """

    workspace = models.OneToOneField("users.Workspace", on_delete=models.CASCADE, related_name="+")
    began_at = models.DateTimeField()
    known_until = models.JSONField(default=dict, db_default={})

    def __str__(self) -> str:
        return f"{self.workspace} since {self.began_at}"


class NoticeChoice(models.Model):
    """What a member wants to be told, and when. A row only for who chose.

    chosen: {kind: [channel]}, of kinds that are not named what is usual for the role. Hours are of the person's zone.
    digest_hour: what is not urgent comes once a day then; null: at once.
    """

    membership = models.OneToOneField("users.Membership", on_delete=models.CASCADE, related_name="notice_choice")
    chosen = models.JSONField(default=dict)
    quiet_from = models.PositiveSmallIntegerField(null=True)
    quiet_until = models.PositiveSmallIntegerField(null=True)
    urgent_passes = models.BooleanField(default=True)
    digest_hour = models.PositiveSmallIntegerField(null=True)

    def __str__(self) -> str:
        return f"of {self.membership}"


class NoticeTarget(models.Model):
    """A chat or an address of a member's own; e-mail needs none.

    address: the chat's number or the URL; empty while a chat waits to be linked. secret: of the signatures, and until a
    chat is linked the code that has to be sent there, which works until `code_until`.
    """

    membership = models.ForeignKey("users.Membership", on_delete=models.CASCADE, related_name="notice_targets")
    channel = models.CharField(max_length=8, choices=NoticeChannel.choices)
    address = models.CharField(max_length=500, blank=True, default="")
    name = models.CharField(max_length=120, blank=True, default="")
    secret = EncryptedTextField(default="")
    code_until = models.DateTimeField(null=True)
    is_enabled = models.BooleanField(default=False)
    succeeded_at = models.DateTimeField(null=True)
    failing_since = models.DateTimeField(null=True)
    paused_until = models.DateTimeField(null=True)
    disabled_at = models.DateTimeField(null=True, help_text="When it was switched off because it did not work.")
    problem = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["membership", "channel"], name="one_target_per_channel")]

    def __str__(self) -> str:
        return f"{self.channel} of {self.membership}"


class TelegramBot(models.Model):
    """The bot that writes to a workspace's people. token: never shown again. problem: why it cannot, a sentence."""

    workspace = models.OneToOneField("users.Workspace", on_delete=models.CASCADE, related_name="telegram_bot")
    token = EncryptedTextField()
    username = models.CharField(max_length=64)
    set_by = models.ForeignKey("users.User", null=True, on_delete=models.SET_NULL, related_name="+")
    set_at = models.DateTimeField()
    paused_until = models.DateTimeField(null=True)
    problem = models.CharField(max_length=200, blank=True, default="")

    def __str__(self) -> str:
        return self.username


class NoticeMessageQuerySet(models.QuerySet["NoticeMessage"]):
    """Every read for a page begins with `visible_to`."""

    def visible_to(self, membership: Addressee) -> Self:
        """One's own; for the owner all of the workspace, whose words pages leave out."""
        whole = self.filter(membership__workspace_id=membership.workspace_id)
        return whole if membership.role == "owner" else whole.filter(membership_id=membership.pk)

    def with_outcome(self) -> Self:
        """With `outcome`, the state of the message or of its mail, and `said`, why it was not taken."""
        return self.annotate(outcome=Coalesce("mail__state", "state"), said=Coalesce("mail__refusal", "refusal"))


class NoticeMessage(models.Model):
    """One message to one person by one channel, of one cause or several. kind: of them; empty: several, or a test."""

    membership = models.ForeignKey("users.Membership", on_delete=models.CASCADE, related_name="notice_messages")
    channel = models.CharField(max_length=8, choices=NoticeChannel.choices)
    kind = models.CharField(max_length=20, blank=True, default="")
    causes = models.PositiveIntegerField(default=1)
    is_test = models.BooleanField(default=False)
    subject = models.CharField(max_length=250)
    text = models.TextField()
    mail = models.OneToOneField("users.Mail", null=True, on_delete=models.SET_NULL, related_name="+")
    state = models.CharField(max_length=9, choices=NoticeState.choices, default=NoticeState.QUEUED)
    attempts = models.PositiveSmallIntegerField(default=0)
    refusal = models.CharField(max_length=400, blank=True, default="")
    may_be_double = models.BooleanField(default=False)
    queued_at = models.DateTimeField()
    due_at = models.DateTimeField()
    lease_until = models.DateTimeField(null=True)
    lease_token = models.UUIDField(null=True)
    settled_at = models.DateTimeField(null=True)

    objects = NoticeMessageQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["membership", "-queued_at", "-id"], name="notice_message_by_time"),
            models.Index(fields=["due_at", "id"], condition=models.Q(state="queued"), name="notice_to_send"),
        ]

    def __str__(self) -> str:
        return self.subject


class NoticePart(models.Model):
    """That a member is to hear of a cause by a channel, once for each phase. dropped: why not, after all; empty: it is.

    message: in which they heard of it; null: not yet.
    """

    notice = models.ForeignKey(Notice, on_delete=models.CASCADE, related_name="parts")
    membership = models.ForeignKey("users.Membership", on_delete=models.CASCADE, related_name="+", db_index=False)
    channel = models.CharField(max_length=8, choices=NoticeChannel.choices)
    phase = models.CharField(max_length=5, choices=NoticePhase.choices)
    due_at = models.DateTimeField()
    message = models.ForeignKey(NoticeMessage, null=True, on_delete=models.SET_NULL, related_name="parts")
    dropped = models.CharField(max_length=100, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["notice", "membership", "channel", "phase"], name="one_part_per_cause_and_channel"
            )
        ]
        indexes = [
            models.Index(
                fields=["membership", "channel", "due_at"],
                condition=models.Q(message=None, dropped=""),
                name="notice_part_to_pack",
            )
        ]

    def __str__(self) -> str:
        return f"{self.notice} to {self.membership}"
