"""The commission ledger: policies, how far it is, and its lines (docs/commissions.md). Only the accrual writes here."""

from __future__ import annotations

from typing import Self

from django.db import models

from reporting.scoping import PerSubscriberQuerySet
from users.models import Connection, Membership, Workspace


class CommissionPolicy(models.Model):
    """High-water-mark choices of a strategy, or of one subscription to it. Versions are added, never edited."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE)
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE)
    strategy_id = models.CharField(max_length=64)
    subscriber_id = models.CharField(max_length=64, blank=True, help_text="Empty: every subscriber of the strategy.")
    name = models.CharField(max_length=80)
    version = models.PositiveIntegerField(default=1)
    choices = models.JSONField(default=dict)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "strategy_id", "subscriber_id", "version"], name="one_policy_per_version"
            )
        ]


class AccrualState(models.Model):
    """How far the ledger of one strategy is: its row lock also keeps two accruals of the strategy apart."""

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE)
    strategy_id = models.CharField(max_length=64)
    terms = models.CharField(max_length=64, blank=True, help_text="Digest of the terms of the last accrual.")
    settled_until = models.DateTimeField(null=True, help_text="Lines of periods that ended by then are final.")
    closed_until = models.DateTimeField(null=True, help_text="Periods that ended by then were closed by a person.")
    accrued_at = models.DateTimeField(null=True, help_text="Fixed fees and account values are taken up hourly.")
    # of the version before; migration 0007_terms_history made versions of it (reporting/terms.py)
    terms_since = models.JSONField(default=dict, help_text="Since when it charges, and by which calendar (since.py).")
    # a pass over all subscribers, in slices: it begins again when what it settles changes meanwhile
    pass_key = models.CharField(max_length=64, blank=True, default="", db_default="")
    pass_after = models.CharField(max_length=64, blank=True, default="", db_default="", help_text="The last one done.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["connection", "strategy_id"], name="one_accrual_per_strategy")]


class CommissionLineQuerySet(PerSubscriberQuerySet["CommissionLine"]):
    """Reads of the ledger: what subscribers owe, and (`incoming`) what portfolios owe to their members' providers."""

    def visible_to(self, membership: Membership) -> Self:
        return super().visible_to(membership).filter(member_id="")

    def incoming(self, membership: Membership) -> Self:
        """What the owner of a portfolio owes; no subscriber's business."""
        own = self.filter(workspace_id=membership.workspace_id).exclude(member_id="")
        return own if membership.is_staff_role else own.none()

    def current(self, now) -> Self:
        """Lines of the billing periods that are open at `now`, whichever their length."""
        return self.filter(period_end__gt=now, period_start__lte=now)

    def of_subscription(self, connection_id: int, strategy_id: str, subscriber_id: str) -> Self:
        """Lines of one subscriber's subscription to one strategy."""
        return self.filter(connection_id=connection_id, strategy_id=strategy_id, subscriber_id=subscriber_id)

    def totals(self, *by: str) -> models.QuerySet:
        """Sums of rounded lines grouped by `by` and currency: rows of (…by, currency, lines, provisional, total)."""
        return (
            self.values(*by, "currency")
            .order_by(*by, "currency")
            .annotate(
                lines=models.Count("id"),
                provisional=models.Count("id", filter=models.Q(is_provisional=True)),
                total=models.Sum("amount"),
            )
        )


class CommissionLine(models.Model):
    """One line of the commission ledger (docs/commissions.md). The database refuses to change those of closed periods.

    Given the line alone anyone can recompute it: `inputs` holds transaction ids or measured value and marks.
    Amounts are in `currency`; `amount` is `exact_amount` rounded once, half up, to the currency's minor unit.
    member_id: empty, or the member whose provider the owner of the portfolio `strategy_id` owes it. The reporting
    columns are written once, by closing.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, db_index=False)
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, db_index=False)
    subscriber_id = models.CharField(max_length=64)
    strategy_id = models.CharField(max_length=64)
    member_id = models.CharField(max_length=64, blank=True, default="", db_default="")
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    scheme = models.CharField(max_length=16)
    policy = models.JSONField(default=dict)
    key = models.CharField(max_length=200, help_text="What the line is for: a deal, or the subscription and period.")
    occurred_at = models.DateTimeField()
    inputs = models.JSONField(default=dict)
    rate = models.DecimalField(max_digits=20, decimal_places=10)
    exact_amount = models.DecimalField(max_digits=38, decimal_places=18)
    amount = models.DecimalField(max_digits=24, decimal_places=4)
    currency = models.CharField(max_length=3)
    is_provisional = models.BooleanField(default=False, help_text="Accrued so far; settles when the period ends.")
    reporting_currency = models.CharField(max_length=3, blank=True, default="", db_default="")
    reporting_rate = models.DecimalField(max_digits=24, decimal_places=10, null=True)
    reporting_source = models.CharField(max_length=130, blank=True, default="", db_default="")
    reporting_day = models.DateField(null=True)
    reporting_amount = models.DecimalField(max_digits=24, decimal_places=4, null=True)

    objects = CommissionLineQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "subscriber_id", "strategy_id", "period_start", "key", "member_id"],
                name="one_line_per_key",
            )
        ]
        indexes = [
            models.Index(fields=["workspace", "-period_start", "strategy_id"], name="line_by_period"),
            models.Index(fields=["workspace", "period_end", "strategy_id"], name="line_by_period_end"),
            models.Index(
                fields=["connection", "strategy_id", "subscriber_id", "-occurred_at", "-id"],
                name="line_by_subscription",
            ),
        ]
