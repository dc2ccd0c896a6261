"""Who receives a part of the fees: agents that introduced clients, those above them, and the platform.

Terms, introductions, statements and their lines are only ever added (reporting/commission/sharing.py).
"""

from __future__ import annotations

from typing import Self

from django.db import models
from django.db.models import Q

from reporting.books import BillingPeriod, Statement
from users.models import Connection, Membership, User, Workspace


class StaffQuerySet(models.QuerySet):
    """Reads of what concerns the firm alone; `visible_to` comes first."""

    def visible_to(self, membership: Membership) -> Self:
        """Staff only."""
        return self.filter(workspace_id=membership.workspace_id) if membership.is_staff_role else self.none()


class ReceiverKind(models.TextChoices):
    """An agent gets a part of what its clients pay, and those below it; the platform of what everybody pays."""

    AGENT = "agent", "Agent"
    PLATFORM = "platform", "Platform"


class FeeReceiver(models.Model):
    """Somebody who gets a part of the fees of the firm's clients."""

    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, db_index=False)
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=8, choices=ReceiverKind.choices, default=ReceiverKind.AGENT)
    note = models.CharField(max_length=400, blank=True, default="")
    added_at = models.DateTimeField()
    added_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")

    objects = StaffQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workspace", "name"], name="one_receiver_per_name")]

    def __str__(self) -> str:
        return self.name


class ReceiverTerms(models.Model):
    """What a receiver gets from a moment on, until its next terms.

    shares: fractions as text, by level: of clients that it introduced itself, that those right below it introduced, and
    so on; the platform has one, of everybody. above: who is above it from then on.
    """

    receiver = models.ForeignKey(FeeReceiver, on_delete=models.PROTECT, related_name="terms")
    valid_from = models.DateTimeField()
    shares = models.JSONField(default=list)
    above = models.ForeignKey(FeeReceiver, null=True, on_delete=models.PROTECT, related_name="+")
    set_at = models.DateTimeField()
    set_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")


class Introduction(models.Model):
    """Whose client an account is from a moment on; receiver: null where it is nobody's any more."""

    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, db_index=False)
    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, db_index=False)
    subscriber_id = models.CharField(max_length=64)
    receiver = models.ForeignKey(FeeReceiver, null=True, on_delete=models.PROTECT, related_name="introductions")
    valid_from = models.DateTimeField()
    set_at = models.DateTimeField()
    set_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        indexes = [models.Index(fields=["workspace", "connection", "subscriber_id"], name="introduction_of_account")]


class ReceiverStatement(models.Model):
    """What a receiver gets of the clients' statements that were issued since its last one, in one currency."""

    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, db_index=False)
    receiver = models.ForeignKey(FeeReceiver, on_delete=models.PROTECT, related_name="statements")
    number = models.PositiveIntegerField()
    currency = models.CharField(max_length=3)
    amount = models.DecimalField(max_digits=24, decimal_places=4)
    issued_at = models.DateTimeField()
    issued_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")

    objects = StaffQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workspace", "number"], name="one_receiver_statement")]

    def __str__(self) -> str:
        return self.label

    @property
    def label(self) -> str:
        """The number as it is printed: A-000001."""
        return f"A-{self.number:06d}"


class ShareLine(models.Model):
    """A receiver's part of one statement of a client, or what changed of it since: owed less what was booked before.

    inputs: {"parts": [{strategy, until, fee, level, share}], "fees", "standing", "booked"}: see `sharing.exact_share`.
    """

    document = models.ForeignKey(ReceiverStatement, on_delete=models.PROTECT, related_name="lines")
    receiver = models.ForeignKey(FeeReceiver, on_delete=models.PROTECT, related_name="lines", db_index=False)
    statement = models.ForeignKey(Statement, on_delete=models.PROTECT, related_name="+")
    inputs = models.JSONField(default=dict)
    amount = models.DecimalField(max_digits=24, decimal_places=4)

    class Meta:
        indexes = [models.Index(fields=["receiver", "statement"], name="share_of_statement")]


class Payout(models.Model):
    """That something was paid, or is not paid after all; the newest row says which. Only ever added.

    document: a receiver's statement; or, of what a portfolio's owner owes a member's provider: period, member_id and
    currency with the amount that this came to.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, db_index=False)
    document = models.ForeignKey(ReceiverStatement, null=True, on_delete=models.PROTECT, related_name="payouts")
    period = models.ForeignKey(BillingPeriod, null=True, on_delete=models.PROTECT, related_name="+")
    member_id = models.CharField(max_length=64, blank=True, default="")
    currency = models.CharField(max_length=3)
    amount = models.DecimalField(max_digits=24, decimal_places=4)
    is_paid = models.BooleanField()
    paid_on = models.DateField(null=True)
    note = models.CharField(max_length=200, blank=True, default="")
    recorded_at = models.DateTimeField()
    recorded_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(document__isnull=False) | Q(period__isnull=False), name="payout_is_of_something"
            )
        ]
        indexes = [models.Index(fields=["workspace", "period", "member_id", "currency"], name="payout_of_period")]
