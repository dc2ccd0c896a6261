"""Disputes: lines of a statement that a client does not accept, each with its history.

What is disputed is owed but not due: no reminder asks for it, and it is not overdue. The ledger stays as it is; only a
credit note takes something off.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Self

from django.db import models
from django.db.models import Exists, OuterRef, Q, Subquery, Sum
from django.db.models.functions import Coalesce

from subscribers.models import Subscriber
from users.models import Membership, User, Workspace

MONEY = models.DecimalField(max_digits=24, decimal_places=4)


class DisputeState(models.TextChoices):
    """What became of a dispute. An open one freezes its amount."""

    OPEN = "open", "Open"
    REJECTED = "rejected", "Rejected"
    CREDITED = "credited", "Credited"
    WITHDRAWN = "withdrawn", "Withdrawn"
    VOID = "void", "Statement voided"


class DisputeQuerySet(models.QuerySet["Dispute"]):
    """Every read of disputes begins with `visible_to`."""

    def visible_to(self, membership: Membership) -> Self:
        """Staff those of the workspace, a client those of the own statements."""
        own = self.filter(workspace_id=membership.workspace_id)
        if membership.is_staff_role:
            return own
        theirs = Subscriber.objects.visible_to(membership).filter(
            connection_id=OuterRef("statement__connection_id"), backend_id=OuterRef("statement__subscriber_id")
        )
        return own.filter(Exists(theirs))

    def open(self) -> Self:
        """Those that wait for an answer."""
        return self.filter(state=DisputeState.OPEN)


class Dispute(models.Model):
    """One line of a statement that is disputed. amount: what it freezes, with the tax, in the statement's currency."""

    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, db_index=False)
    statement = models.ForeignKey("reporting.Statement", on_delete=models.PROTECT, related_name="disputes")
    # lines of closed periods stay for ever, and the accrual deletes others by the thousand: no constraint to look up
    line = models.ForeignKey("reporting.CommissionLine", on_delete=models.DO_NOTHING, db_constraint=False)
    amount = models.DecimalField(max_digits=24, decimal_places=4)
    reason = models.CharField(max_length=400)
    state = models.CharField(max_length=9, choices=DisputeState.choices, default=DisputeState.OPEN)
    opened_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)
    credit_note = models.ForeignKey("reporting.Statement", null=True, on_delete=models.PROTECT, related_name="+")

    objects = DisputeQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["line"], condition=Q(state="open"), name="one_open_dispute_per_line")
        ]
        indexes = [
            models.Index(fields=["workspace", "-opened_at", "-id"], name="dispute_by_time"),
            models.Index(fields=["workspace"], condition=Q(state="open"), name="open_dispute"),
        ]

    def __str__(self) -> str:
        return f"Dispute {self.pk}"


class DisputeEvent(models.Model):
    """A step of a dispute: who did what when, and what was said. Only ever added. state: the one it led to."""

    dispute = models.ForeignKey(Dispute, on_delete=models.PROTECT, related_name="events")
    state = models.CharField(max_length=9, choices=DisputeState.choices)
    text = models.CharField(max_length=2000, blank=True)
    at = models.DateTimeField()
    by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")


def disputed_amount(statement: str = "pk") -> Any:
    """An expression: what open disputes freeze of the statement of a row. statement: the row's name for its key."""
    own = Dispute.objects.open().filter(statement_id=OuterRef(statement)).order_by().values("statement_id")
    total = Subquery(own.annotate(s=Sum("amount")).values("s"))
    return Coalesce(total, Decimal(0), output_field=MONEY)
