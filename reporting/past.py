"""What is known of an account's equity before it was recorded here: of its equity chart, or rebuilt from its deals.

Apart from the recorded points, because it is for charts only: nothing is charged by it. Filled by sync/past.py.
"""

from __future__ import annotations

from django.db import models

from users.models import Connection


class PastSource(models.TextChoices):
    """Where the past of an account's equity comes from."""

    CHART = "chart", "The equity chart of the trading platform"
    DEALS = "deals", "The balance, rebuilt from deals"
    NONE = "none", "Not offered"


class PastPoint(models.Model):
    """Balance and equity at one moment before the recorded points, account currency.

    equity: of a balance that was rebuilt from deals the same as the balance. net_deposits: money paid in less money
    paid out since the first point; null: not known.
    """

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, db_index=False)
    account_id = models.CharField(max_length=64)
    time = models.DateTimeField()
    balance = models.DecimalField(max_digits=24, decimal_places=8)
    equity = models.DecimalField(max_digits=24, decimal_places=8)
    net_deposits = models.DecimalField(max_digits=24, decimal_places=8, null=True)
    currency = models.CharField(max_length=3, blank=True, default="", help_text="Empty: not known.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["connection", "account_id", "time"], name="one_past_point_per_moment")
        ]


class PastFilling(models.Model):
    """Whether the past of an account was asked for, what it was filled from, and when to ask again."""

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, db_index=False)
    account_id = models.CharField(max_length=64)
    source = models.CharField(max_length=5, choices=PastSource.choices, default=PastSource.NONE)
    asked_at = models.DateTimeField()
    next_at = models.DateTimeField(null=True, help_text="Null: it is there, and is not asked for again.")
    error = models.TextField(blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["connection", "account_id"], name="one_past_filling_per_account")
        ]
