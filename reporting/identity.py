"""Who sends documents and to whom: the firm's billing identity, a client's record. Documents keep a copy of both."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Self

from django.db import models

from subscribers.models import Subscriber
from users.models import Membership, User, Workspace


class TaxKind(models.TextChoices):
    """How fees are taxed."""

    NONE = "none", "No tax"
    RATE = "rate", "Tax at a rate"
    REVERSE_CHARGE = "reverse-charge", "Reverse charge: the client owes the tax"
    EXEMPT = "exempt", "Exempt from tax"


class BillingIdentity(models.Model):
    """What stands on a workspace's documents from the next one on. A workspace without a row: its name, no tax.

    tax_rate: a fraction of one. minimums: {currency: amount}; a smaller sum waits for the account's next statement.
    reminder_days: after so many days overdue each, the client is reminded by mail; empty: never.
    """

    workspace = models.OneToOneField(Workspace, on_delete=models.CASCADE, primary_key=True)
    name = models.CharField(max_length=200, blank=True)
    address = models.TextField(max_length=600, blank=True)
    tax_number = models.CharField(max_length=60, blank=True)
    bank_details = models.TextField(max_length=600, blank=True)
    terms = models.TextField(max_length=2000, blank=True)
    statement_prefix = models.CharField(max_length=12, default="S-")
    credit_note_prefix = models.CharField(max_length=12, default="C-")
    has_year = models.BooleanField(default=False)
    tax_kind = models.CharField(max_length=14, choices=TaxKind.choices, default=TaxKind.NONE)
    tax_name = models.CharField(max_length=20, default="VAT")
    tax_rate = models.DecimalField(max_digits=7, decimal_places=6, default=Decimal(0))
    tax_reason = models.CharField(max_length=200, blank=True)
    minimums = models.JSONField(default=dict)
    reply_to = models.EmailField(blank=True, default="", db_default="", help_text="Where clients' answers go.")
    reminder_days = models.JSONField(default=list, db_default=[])
    changed_at = models.DateTimeField(null=True)
    changed_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")

    @classmethod
    def of(cls, workspace: Workspace) -> BillingIdentity:
        """That of a workspace; one that is not stored, where nobody has entered any."""
        return cls.objects.filter(workspace=workspace).first() or cls(workspace=workspace)

    def minimum(self, currency: str) -> Decimal:
        """The smallest sum that gets a statement of its own."""
        return Decimal(self.minimums.get(currency, 0))

    def series(self, prefix: str, year: int) -> str:
        """What stands before the number of a document."""
        return f"{prefix}{year}-" if self.has_year else prefix


class ClientRecordQuerySet(models.QuerySet["ClientRecord"]):
    """Every read of clients' records starts with `visible_to`."""

    def visible_to(self, membership: Membership) -> Self:
        """Staff only: notes are not for the client."""
        own = self.filter(subscriber__workspace_id=membership.workspace_id)
        return own if membership.is_staff_role else own.none()


class ClientRecord(models.Model):
    """Who stands behind an account: for documents, and notes that only the firm reads.

    tax_kind: empty: as the firm's fees are taxed.
    """

    subscriber = models.OneToOneField(Subscriber, on_delete=models.CASCADE, primary_key=True, related_name="client")
    name = models.CharField(max_length=200, blank=True)
    address = models.TextField(max_length=600, blank=True)
    tax_number = models.CharField(max_length=60, blank=True)
    email = models.EmailField(blank=True)
    notes = models.TextField(max_length=4000, blank=True)
    tax_kind = models.CharField(max_length=14, choices=TaxKind.choices, blank=True)
    tax_reason = models.CharField(max_length=200, blank=True)
    changed_at = models.DateTimeField(null=True)
    changed_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")

    objects = ClientRecordQuerySet.as_manager()


def tax_rate_of(identity: BillingIdentity, client: ClientRecord | None) -> Decimal:
    """The rate of the tax on a client's fees."""
    kind = (client.tax_kind if client else "") or identity.tax_kind
    return identity.tax_rate.normalize() if kind == TaxKind.RATE else Decimal(0)


def parties_of(identity: BillingIdentity, client: ClientRecord | None, *, account_name: str) -> dict[str, Any]:
    """What a document keeps of the firm and the client, as both are on the day of issue."""
    kind = (client.tax_kind if client else "") or identity.tax_kind
    own_kind = bool(client and client.tax_kind)
    firm = {
        "name": identity.name or identity.workspace.name,
        "address": identity.address,
        "tax_number": identity.tax_number,
    }
    if identity.workspace.logo_digest:
        firm["logo"] = identity.workspace.logo_digest
    return {
        "firm": firm,
        "client": {
            "name": (client.name if client else "") or account_name,
            "address": client.address if client else "",
            "tax_number": client.tax_number if client else "",
        },
        "tax": {
            "kind": kind,
            "name": identity.tax_name,
            "rate": str(tax_rate_of(identity, client)),
            "reason": (client.tax_reason if client and own_kind else identity.tax_reason)
            if kind != TaxKind.RATE
            else "",
        },
        "bank_details": identity.bank_details,
        "terms": identity.terms,
    }
