"""Signals of providers as far as the mirror tells of them, where the backend keeps its decisions to itself.

Made of copied deals, lines of the log and what was seen open (reporting/reconstruction); decisions are reconstructed
from them. The row is the queue: `due_at` says when it is to be looked at, null that nothing more is waited for.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from users.models import Connection, Workspace


class MirroredSignal(models.Model):
    """One trade of a provider. lots, price, stop_loss, take_profit, magic: null where nobody told them.

    strategy_id: whose signal it is; a portfolio where no source tells the member. is_side_copied: side, symbol and
    price are those of a copy, not the provider's own. last_deal_at: of the newest copied deal that opened.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, db_index=False)
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, db_index=False)
    strategy_id = models.CharField(max_length=64)
    signal_id = models.CharField(max_length=64)
    symbol = models.CharField(max_length=64)
    side = models.CharField(max_length=4)
    kind = models.CharField(max_length=6, default="market")
    is_side_copied = models.BooleanField(default=True)
    lots = models.DecimalField(max_digits=24, decimal_places=8, null=True)
    price = models.DecimalField(max_digits=26, decimal_places=10, null=True)
    stop_loss = models.DecimalField(max_digits=26, decimal_places=10, null=True)
    take_profit = models.DecimalField(max_digits=26, decimal_places=10, null=True)
    magic = models.BigIntegerField(null=True)
    time = models.DateTimeField()
    last_deal_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["connection", "strategy_id", "signal_id"], name="one_mirrored_signal")
        ]
        indexes = [
            # due ones are taken by their time: what waits for later is little
            models.Index(fields=["connection", "time"], condition=Q(due_at__isnull=False), name="signal_to_look_at"),
            models.Index(fields=["connection", "time"], name="mirrored_signal_by_time"),
        ]
