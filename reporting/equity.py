"""Sums of equity that pages read: by hour for all accounts of a connection, by UTC day for those that copy a strategy.

Kept with the points that they are the sums of (reporting/equity_sums.py), so that a chart of thousands of accounts
reads some rows a day instead of all their points.
"""

from __future__ import annotations

from django.db import models

from users.models import Connection


class EquitySum(models.Model):
    """How the equity of some accounts of one currency changed in an hour or a day, and what of that came in.

    strategy_id: whose followers they are; empty: all accounts of the connection. time: where the hour or day begins.
    change: of the sum of every account's last known equity. moved: what came in with accounts that begin, or as money
    paid in or out. points: how many steps of accounts are added up here.
    """

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, db_index=False)
    strategy_id = models.CharField(max_length=64, blank=True)
    currency = models.CharField(max_length=3)
    time = models.DateTimeField()
    change = models.DecimalField(max_digits=28, decimal_places=8)
    moved = models.DecimalField(max_digits=28, decimal_places=8)
    points = models.IntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["connection", "strategy_id", "currency", "time"], name="one_equity_sum")
        ]


class EquityMember(models.Model):
    """That an account is part of a strategy's sums, or (strategy_id empty) of those of all accounts.

    first_at: its first point; null: none yet. has_deposits: some point tells its net deposits; without, money moved is
    known from deals only.
    """

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, db_index=False)
    account_id = models.CharField(max_length=64)
    strategy_id = models.CharField(max_length=64, blank=True)
    currency = models.CharField(max_length=3)
    first_at = models.DateTimeField(null=True)
    has_deposits = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["connection", "account_id", "strategy_id"], name="one_equity_member")
        ]
