"""What happened and what it cost: mirrored history, account snapshots, sync states and the commission ledger."""

from __future__ import annotations

from django.db import models

from strategies.models import Strategy
from subscribers.models import Subscriber
from users.models import Connection, Membership, Workspace


class PerSubscriberQuerySet(models.QuerySet):
    """Every read of what belongs to a subscriber by the backend's ids starts with `visible_to`."""

    def visible_to(self, membership: Membership) -> PerSubscriberQuerySet:
        own = self.filter(workspace_id=membership.workspace_id)
        if membership.is_staff_role:
            return own
        theirs = Subscriber.objects.visible_to(membership)
        exactly = theirs.filter(
            connection_id=models.OuterRef("connection_id"), backend_id=models.OuterRef("subscriber_id")
        )
        # the list of ids is for the index; the pair with the connection is what counts
        return own.filter(models.Exists(exactly), subscriber_id__in=theirs.values("backend_id"))


class Transaction(models.Model):
    """One deal of a subscriber's account (contract, 6.1). Money is in the subscriber account's currency.

    Ids of strategies and subscribers are the backend's: history must not wait for the configuration mirror.
    A row is written by COPY (reporting/sync); nothing else writes here.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, db_index=False, db_constraint=False)
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, db_index=False, db_constraint=False)
    backend_id = models.CharField(max_length=120)
    subscriber_id = models.CharField(max_length=64)
    strategy_id = models.CharField(max_length=64)
    time = models.DateTimeField()
    type = models.CharField(max_length=40)
    symbol = models.CharField(max_length=32, blank=True, default="")
    position_id = models.CharField(max_length=64, blank=True, default="")
    subscriber_position_id = models.CharField(max_length=64, blank=True, default="")
    volume_lots = models.DecimalField(max_digits=24, decimal_places=8, null=True)
    price = models.DecimalField(max_digits=26, decimal_places=10, null=True)
    lot_price = models.DecimalField(max_digits=28, decimal_places=10, null=True)
    amount = models.DecimalField(max_digits=28, decimal_places=8, null=True)
    profit = models.DecimalField(max_digits=24, decimal_places=8)
    swap = models.DecimalField(max_digits=24, decimal_places=8)
    commission = models.DecimalField(max_digits=24, decimal_places=8, null=True)
    improvement = models.DecimalField(max_digits=24, decimal_places=8)
    provider_commission = models.DecimalField(max_digits=24, decimal_places=8)
    platform_commission = models.DecimalField(max_digits=24, decimal_places=8)
    incoming_provider_commission = models.DecimalField(max_digits=24, decimal_places=8, null=True)
    incoming_platform_commission = models.DecimalField(max_digits=24, decimal_places=8, null=True)
    latency_ms = models.DecimalField(max_digits=16, decimal_places=3, null=True)
    algorithm_latency_ms = models.DecimalField(max_digits=16, decimal_places=3, null=True)
    slippage_bp = models.DecimalField(max_digits=16, decimal_places=6, null=True)
    slippage_amount = models.DecimalField(max_digits=24, decimal_places=8, null=True)
    extra = models.JSONField(null=True, help_text="What the backend sent beyond these columns.")
    # joins to the mirror, for names; null while the configuration has not been mirrored yet
    subscriber = models.ForeignObject(
        Subscriber,
        models.DO_NOTHING,
        ("connection", "subscriber_id"),
        ("connection", "backend_id"),
        related_name="+",
        null=True,
    )
    strategy = models.ForeignObject(
        Strategy,
        models.DO_NOTHING,
        ("connection", "strategy_id"),
        ("connection", "backend_id"),
        related_name="+",
        null=True,
    )

    objects = PerSubscriberQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "subscriber_id", "strategy_id", "backend_id"], name="one_transaction_per_deal"
            )
        ]
        indexes = [
            models.Index(fields=["workspace", "-time", "-id"], name="transaction_by_time"),
            models.Index(fields=["workspace", "subscriber_id", "-time", "-id"], name="transaction_by_subscriber"),
            models.Index(fields=["workspace", "strategy_id", "-time", "-id"], name="transaction_by_strategy"),
            # deposits and withdrawals are few among many: for cash flows by account, and for the list of them
            models.Index(
                fields=["workspace", "subscriber_id", "time"],
                condition=models.Q(type="DEAL_TYPE_BALANCE"),
                name="deposit_by_subscriber",
            ),
            models.Index(
                fields=["workspace", "-time", "-id"],
                condition=models.Q(type="DEAL_TYPE_BALANCE"),
                name="deposit_by_time",
            ),
        ]


class DailyResult(models.Model):
    """Sums of one subscriber, strategy and UTC day, kept by the sync in the same database transaction as the rows.

    Pages read these, never the whole history. net = profit + swap + commission of closed deals, account currency.
    Whoever adds or changes a transaction sets `is_accrued` to false on its day, in the same database transaction:
    the commission ledger takes up exactly these days.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, db_index=False)
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, db_index=False)
    subscriber_id = models.CharField(max_length=64)
    strategy_id = models.CharField(max_length=64)
    day = models.DateField()
    deals = models.IntegerField(default=0)
    volume_lots = models.DecimalField(max_digits=32, decimal_places=8, default=0)
    profit = models.DecimalField(max_digits=32, decimal_places=8, default=0)
    swap = models.DecimalField(max_digits=32, decimal_places=8, default=0)
    commission = models.DecimalField(max_digits=32, decimal_places=8, default=0)
    provider_commission = models.DecimalField(max_digits=32, decimal_places=8, default=0)
    is_accrued = models.BooleanField(default=False, db_default=False, help_text="The commission ledger has seen it.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "subscriber_id", "strategy_id", "day"], name="one_result_per_day"
            )
        ]
        indexes = [
            models.Index(fields=["workspace", "day"], name="result_by_day"),
            models.Index(fields=["connection", "strategy_id", "day"], name="result_by_strategy"),
            models.Index(
                fields=["connection", "strategy_id"], condition=models.Q(is_accrued=False), name="result_to_accrue"
            ),
        ]


class EquityPoint(models.Model):
    """Balance and equity of one account at one moment, account currency.

    net_deposits: money paid in less money paid out since the account was opened; null: the backend does not say.
    """

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, db_index=False)
    account_id = models.CharField(max_length=64)
    time = models.DateTimeField()
    balance = models.DecimalField(max_digits=24, decimal_places=8)
    equity = models.DecimalField(max_digits=24, decimal_places=8)
    net_deposits = models.DecimalField(max_digits=24, decimal_places=8, null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["connection", "account_id", "time"], name="one_point_per_moment")
        ]


class LogRecord(models.Model):
    """One line of the backend's trading log (contract, 6.3)."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, db_index=False)
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, db_index=False)
    time = models.DateTimeField()
    level = models.CharField(max_length=5)
    message = models.TextField()
    strategy_id = models.CharField(max_length=64, blank=True, default="")
    subscriber_id = models.CharField(max_length=64, blank=True, default="")
    symbol = models.CharField(max_length=32, blank=True, default="")
    position_id = models.CharField(max_length=64, blank=True, default="")
    side = models.CharField(max_length=5, blank=True, default="")
    type = models.CharField(max_length=6, blank=True, default="")
    open_price = models.DecimalField(max_digits=24, decimal_places=10, null=True)
    digest = models.CharField(max_length=40, help_text="Tells identical lines apart from repeated deliveries.")
    subscriber = models.ForeignObject(
        Subscriber,
        models.DO_NOTHING,
        ("connection", "subscriber_id"),
        ("connection", "backend_id"),
        related_name="+",
        null=True,
    )
    strategy = models.ForeignObject(
        Strategy,
        models.DO_NOTHING,
        ("connection", "strategy_id"),
        ("connection", "backend_id"),
        related_name="+",
        null=True,
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["connection", "time", "digest"], name="one_log_record")]
        indexes = [
            models.Index(fields=["workspace", "-time", "-id"], name="log_by_time"),
            models.Index(fields=["workspace", "subscriber_id", "-time", "-id"], name="log_by_subscriber"),
            models.Index(fields=["workspace", "strategy_id", "-time", "-id"], name="log_by_strategy"),
        ]


class Decision(models.Model):
    """What became of one signal on one way to one subscriber, and why (docs/copying.md, "Decisions").

    Volumes are lots, null where the chain ended before. The unit of `limit_value` belongs to the reason
    (copying.engine.reasons). A row is written by COPY (reporting/sync) and never changes.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, db_index=False, db_constraint=False)
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, db_index=False, db_constraint=False)
    backend_id = models.CharField(max_length=64)
    time = models.DateTimeField()
    signal_id = models.CharField(max_length=64)
    strategy_id = models.CharField(max_length=64, help_text="The strategy or portfolio subscribed to.")
    source_strategy_id = models.CharField(max_length=64, help_text="The strategy whose signal it was.")
    subscriber_id = models.CharField(max_length=64)
    symbol = models.CharField(max_length=32)
    subscriber_symbol = models.CharField(max_length=32, help_text="Empty where the symbol was filtered away.")
    side = models.CharField(max_length=5)
    outcome = models.CharField(max_length=8)
    reason = models.CharField(max_length=40)
    level = models.CharField(max_length=16, help_text="Where on the chain it was decided; empty: nowhere.")
    provider_lots = models.DecimalField(max_digits=24, decimal_places=8, null=True)
    scaled_lots = models.DecimalField(max_digits=24, decimal_places=8, null=True)
    multiplied_lots = models.DecimalField(max_digits=24, decimal_places=8, null=True)
    limited_lots = models.DecimalField(max_digits=24, decimal_places=8, null=True)
    rounded_lots = models.DecimalField(max_digits=24, decimal_places=8, null=True)
    final_lots = models.DecimalField(max_digits=24, decimal_places=8, null=True)
    limit_value = models.DecimalField(max_digits=24, decimal_places=8, null=True)
    text = models.CharField(max_length=400)
    subscriber = models.ForeignObject(
        Subscriber,
        models.DO_NOTHING,
        ("connection", "subscriber_id"),
        ("connection", "backend_id"),
        related_name="+",
        null=True,
    )
    strategy = models.ForeignObject(
        Strategy,
        models.DO_NOTHING,
        ("connection", "strategy_id"),
        ("connection", "backend_id"),
        related_name="+",
        null=True,
    )

    objects = PerSubscriberQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["connection", "backend_id"], name="one_decision_per_record")]
        indexes = [
            models.Index(fields=["workspace", "-time", "-id"], name="decision_by_moment"),
            models.Index(fields=["workspace", "subscriber_id", "-time", "-id"], name="decision_of_subscriber"),
            models.Index(fields=["workspace", "strategy_id", "-time", "-id"], name="decision_of_strategy"),
            models.Index(fields=["workspace", "signal_id"], name="decision_by_signal"),
            # most are simply copied: looking for those walks the time, the others have a short index
            models.Index(
                fields=["workspace", "outcome", "-time", "-id"],
                condition=~models.Q(outcome="copied"),
                name="decision_by_outcome",
            ),
            models.Index(
                fields=["workspace", "reason", "-time", "-id"],
                condition=~models.Q(reason="copied"),
                name="decision_by_reason",
            ),
        ]


class DecisionCount(models.Model):
    """How many decisions of a UTC day ended how and why, kept in the database transaction of the rows."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, db_index=False)
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, db_index=False)
    subscriber_id = models.CharField(max_length=64)
    strategy_id = models.CharField(max_length=64)
    day = models.DateField()
    outcome = models.CharField(max_length=8)
    reason = models.CharField(max_length=40)
    decisions = models.IntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "subscriber_id", "strategy_id", "day", "outcome", "reason"],
                name="one_count_per_day_and_reason",
            )
        ]
        indexes = [models.Index(fields=["workspace", "day"], name="decision_count_by_day")]


class SyncKind(models.TextChoices):
    """What is mirrored, each with its own cursor and state."""

    CONFIGURATION = "configuration", "Configuration"
    PROVIDED = "provided", "Provided transactions"
    SUBSCRIBED = "subscribed", "Subscription transactions"
    LOGS = "logs", "Log"
    STOPOUTS = "stopouts", "Stopouts"
    ACCOUNTS = "accounts", "Balances and equity"
    EQUITY = "equity", "Equity history"
    DECISIONS = "decisions", "Decisions"
    LIMITS = "limits", "Risk limits"


class SyncState(models.Model):
    """Cursor, lease and truth about one kind of sync of one connection: the row is the queue."""

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="sync_states")
    kind = models.CharField(max_length=16, choices=SyncKind.choices)
    cursor = models.JSONField(default=dict)
    due_at = models.DateTimeField()
    held_until = models.DateTimeField(null=True, help_text="The backend asked for no request before this time.")
    lease_until = models.DateTimeField(null=True)
    lease_token = models.UUIDField(null=True)
    started_at = models.DateTimeField(null=True)
    last_success_at = models.DateTimeField(null=True)
    failing_since = models.DateTimeField(null=True)
    failures = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True)
    complete_until = models.DateTimeField(null=True, help_text="Everything the backend had before this is mirrored.")
    rows_last_run = models.BigIntegerField(default=0)
    rows_total = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["connection", "kind"], name="one_state_per_kind")]
        indexes = [models.Index(fields=["due_at"], name="state_by_due_time")]


class QuarantinedPage(models.Model):
    """An answer of the backend that could not be read: kept with the reason, so nothing is lost silently."""

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE)
    kind = models.CharField(max_length=16, choices=SyncKind.choices)
    request = models.TextField()
    reason = models.TextField()
    body_start = models.TextField(help_text="The first 10,000 characters.")
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    times_seen = models.PositiveIntegerField(default=1)
    resolved_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "kind", "request"],
                condition=models.Q(resolved_at=None),
                name="one_open_quarantine_per_request",
            )
        ]


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
    accrued_at = models.DateTimeField(null=True, help_text="Fixed fees and account values are taken up hourly.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["connection", "strategy_id"], name="one_accrual_per_strategy")]


class CommissionLineQuerySet(PerSubscriberQuerySet):
    """Reads of the ledger."""

    def current(self, now) -> CommissionLineQuerySet:
        """Lines of the billing periods that are open at `now`, whichever their length."""
        return self.filter(period_end__gt=now, period_start__lte=now)

    def of_subscription(self, connection_id: int, strategy_id: str, subscriber_id: str) -> CommissionLineQuerySet:
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
    """One line of the commission ledger (docs/commissions.md). Rows of a closed period never change.

    Given the line alone anyone can recompute it: `inputs` holds transaction ids or measured value and marks.
    Amounts are in `currency`; `amount` is `exact_amount` rounded once, half up, to the currency's minor unit.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE)
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE)
    subscriber_id = models.CharField(max_length=64)
    strategy_id = models.CharField(max_length=64)
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

    objects = CommissionLineQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "subscriber_id", "strategy_id", "period_start", "key"], name="one_line_per_key"
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
