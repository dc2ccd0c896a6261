"""What is open now: positions of accounts as their terminals tell them, the signals they are copies of, and their sums.

Positions and signals are written where they differ from what was read before (reporting/sync/positions.py); what pages
show of many rows at once is kept beside them by `reporting.open_sums`, so that a page of a hundred thousand positions
reads some hundred rows.
"""

from __future__ import annotations

from typing import Self

from django.db import models

from reporting.named import NamedIds, NamedStrategy
from reporting.scoping import PerSubscriberQuerySet
from users.models import Connection, Membership, Workspace


class OpenPosition(NamedIds):
    """One open position of one account: a client's, or a provider's (subscriber null). Money in account currency.

    strategy_id: the strategy or portfolio that it was copied by, source_strategy_id: whose signal it is; empty: it is
    no copy, or not known to be one. floating: what closing it would bring now; null: the terminal does not say.
    changed_at: since when these figures hold; when they were looked at last is in the reading of the account.

    No index has what moves with every price: an update then touches no index at all.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, db_index=False, db_constraint=False)
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, db_index=False)
    subscriber_id = models.CharField(max_length=64, help_text="The account.")
    position_id = models.CharField(max_length=64)
    strategy_id = models.CharField(max_length=64, blank=True, default="")
    source_strategy_id = models.CharField(max_length=64, blank=True, default="")
    signal_id = models.CharField(max_length=64, blank=True, default="")
    symbol = models.CharField(max_length=64)
    side = models.CharField(max_length=4)
    lots = models.DecimalField(max_digits=24, decimal_places=8)
    open_price = models.DecimalField(max_digits=26, decimal_places=10)
    current_price = models.DecimalField(max_digits=26, decimal_places=10, null=True)
    stop_loss = models.DecimalField(max_digits=26, decimal_places=10, null=True)
    take_profit = models.DecimalField(max_digits=26, decimal_places=10, null=True)
    floating = models.DecimalField(max_digits=24, decimal_places=8, null=True)
    swap = models.DecimalField(max_digits=24, decimal_places=8)
    commission = models.DecimalField(max_digits=24, decimal_places=8)
    opened_at = models.DateTimeField()
    changed_at = models.DateTimeField()

    signal = models.ForeignObject(
        "OpenTrade",
        models.DO_NOTHING,
        ("connection", "source_strategy_id", "signal_id"),
        ("connection", "strategy_id", "signal_id"),
        related_name="+",
        null=True,
    )

    objects = PerSubscriberQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "subscriber_id", "position_id"], name="one_open_position_per_id"
            )
        ]
        indexes = [
            models.Index(fields=["workspace", "-opened_at", "-id"], name="position_by_time"),
            models.Index(fields=["workspace", "symbol", "id"], name="position_by_symbol"),
            models.Index(fields=["connection", "source_strategy_id", "signal_id"], name="position_by_signal"),
        ]


class OpenTradeQuerySet(models.QuerySet["OpenTrade"]):
    """Every read of open signals starts with `visible_to`."""

    def visible_to(self, membership: Membership) -> Self:
        """Of the workspace for staff, nothing for anybody else: it tells of the provider's account."""
        if not membership.is_staff_role:
            return self.none()
        return self.filter(workspace_id=membership.workspace_id)


class SignalState(models.TextChoices):
    """Whether the provider still has it."""

    OPEN = "open", "Open"
    PENDING = "pending", "Waiting for its price"
    CLOSED = "closed", "Closed by the provider"
    UNKNOWN = "unknown", "Not known"


class OpenTrade(NamedStrategy):
    """A provider's trade that is open, or of which copies are: one line of the open book.

    lots, open_price and so on: the provider's, null where they are not known. floating: in the currency of the
    provider's account, which is empty where it is not known. copies: open positions, accounts: on how many accounts.
    missing: accounts that copy the strategy and have no copy; null: not known. unread: those not looked at since it was
    opened. floatings: of the copies, as
    [[currency, amount, how many are in it, of how many no result is known], ...].
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, db_index=False)
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, db_index=False)
    strategy_id = models.CharField(max_length=64)
    signal_id = models.CharField(max_length=64)
    state = models.CharField(max_length=8, choices=SignalState.choices)
    is_external = models.BooleanField(default=False)
    symbol = models.CharField(max_length=64)
    side = models.CharField(max_length=4)
    lots = models.DecimalField(max_digits=24, decimal_places=8, null=True)
    open_price = models.DecimalField(max_digits=26, decimal_places=10, null=True)
    current_price = models.DecimalField(max_digits=26, decimal_places=10, null=True)
    stop_loss = models.DecimalField(max_digits=26, decimal_places=10, null=True)
    take_profit = models.DecimalField(max_digits=26, decimal_places=10, null=True)
    floating = models.DecimalField(max_digits=24, decimal_places=8, null=True)
    currency = models.CharField(max_length=3, blank=True, default="")
    opened_at = models.DateTimeField()
    copies = models.IntegerField(default=0)
    accounts = models.IntegerField(default=0)
    copied_lots = models.DecimalField(max_digits=32, decimal_places=8, default=0)
    missing = models.IntegerField(null=True)
    unread = models.IntegerField(default=0)
    floatings = models.JSONField(default=list)

    objects = OpenTradeQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["connection", "strategy_id", "signal_id"], name="one_open_signal_per_id")
        ]
        indexes = [
            models.Index(fields=["workspace", "-opened_at", "-id"], name="open_signal_by_time"),
            models.Index(fields=["workspace", "symbol", "id"], name="open_signal_by_symbol"),
            models.Index(fields=["workspace", "-copies", "-id"], name="open_signal_by_copies"),
        ]

    @property
    def is_bought(self) -> bool:
        return self.side == "buy"


class ExposureSum(models.Model):
    """What clients' accounts have open of one symbol, side and currency through one strategy (empty: by none).

    floating: of the positions whose result is known; unknown: of how many it is not.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, db_index=False)
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, db_index=False)
    source_strategy_id = models.CharField(max_length=64, blank=True)
    symbol = models.CharField(max_length=64)
    side = models.CharField(max_length=4)
    currency = models.CharField(max_length=3, blank=True)
    positions = models.IntegerField()
    lots = models.DecimalField(max_digits=32, decimal_places=8)
    floating = models.DecimalField(max_digits=32, decimal_places=8)
    unknown = models.IntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "source_strategy_id", "symbol", "side", "currency"], name="one_exposure_sum"
            )
        ]
        indexes = [models.Index(fields=["workspace"], name="exposure_by_workspace")]


class PositionReading(models.Model):
    """When the positions of an account, or the signals of a strategy, were asked for and read; one at a time.

    problem: why they could not be read the last time; empty: they were. A backend that tells all positions at once has
    none of these: its figures are as old as the last success of the sync.
    """

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, db_index=False)
    is_strategy = models.BooleanField(default=False, help_text="Of a strategy's external signals.")
    backend_id = models.CharField(max_length=64)
    asked_at = models.DateTimeField(null=True)
    read_at = models.DateTimeField(null=True)
    problem = models.TextField(blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["connection", "is_strategy", "backend_id"], name="one_position_reading")
        ]
