"""What happened and what it cost: mirrored history, account snapshots and sync states; the ledger and its books."""

from __future__ import annotations

from django.db import models
from django.db.models import Value

from reporting.approvals import ApprovalState, RunRequest
from reporting.asked_accounts import AccountPause, CreditPool
from reporting.bookkeeping import BookkeepingSettings, JournalExport
from reporting.books import (
    BillingPeriod,
    Books,
    DocumentKind,
    Entry,
    EntryKind,
    Payment,
    PeriodState,
    Statement,
    StatementItem,
    StatementState,
)
from reporting.disputes import Dispute, DisputeEvent, DisputeState
from reporting.equity import EquityMember, EquitySum
from reporting.identity import BillingIdentity, ClientRecord, TaxKind
from reporting.ledger import AccrualState, CommissionLine, CommissionLineQuerySet, CommissionPolicy
from reporting.mirrored_signals import MirroredSignal
from reporting.named import NamedIds
from reporting.open_book import ExposureSum, OpenPosition, OpenTrade, PositionReading
from reporting.past import PastFilling, PastPoint, PastSource
from reporting.receivers import (
    FeeReceiver,
    Introduction,
    Payout,
    ReceiverKind,
    ReceiverStatement,
    ReceiverTerms,
    ShareLine,
)
from reporting.reference_rates import OwnRate, RateFetch, ReferenceRate
from reporting.retention import RecordKind, Retention
from reporting.scoping import PerSubscriberQuerySet
from reporting.statement_mails import StatementMail
from reporting.terms import Subject, SubscriptionLifetime, TermsAnswer, TermsSource, TermsVersion
from users.models import Connection, Membership, Workspace
from users.syncing import register_failing

__all__ = [
    "AccountPause",
    "AccrualState",
    "ApprovalState",
    "BillingIdentity",
    "BillingPeriod",
    "BookkeepingSettings",
    "Books",
    "ClientRecord",
    "CommissionLine",
    "CommissionLineQuerySet",
    "CommissionPolicy",
    "CreditPool",
    "DailyResult",
    "Decision",
    "DecisionCount",
    "Dispute",
    "DisputeEvent",
    "DisputeState",
    "DocumentKind",
    "Entry",
    "EntryKind",
    "EquityMember",
    "EquityPoint",
    "EquitySum",
    "ExposureSum",
    "FeeReceiver",
    "Introduction",
    "JournalExport",
    "LogRecord",
    "MirroredSignal",
    "OpenPosition",
    "OpenTrade",
    "OwnRate",
    "PastFilling",
    "PastPoint",
    "PastSource",
    "Payment",
    "Payout",
    "PerSubscriberQuerySet",
    "PeriodState",
    "PositionReading",
    "QuarantinedPage",
    "RateFetch",
    "ReceiverKind",
    "ReceiverStatement",
    "ReceiverTerms",
    "RecordKind",
    "ReferenceRate",
    "Retention",
    "RunRequest",
    "ShareLine",
    "Statement",
    "StatementItem",
    "StatementMail",
    "StatementState",
    "Subject",
    "SubscriptionLifetime",
    "SyncKind",
    "SyncState",
    "TaxKind",
    "TermsAnswer",
    "TermsSource",
    "TermsVersion",
    "Transaction",
]


class Transaction(NamedIds):
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
    currency: empty is the account's present one; noted when that changes (reporting/sync/currencies.py).
    """

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, db_index=False)
    account_id = models.CharField(max_length=64)
    time = models.DateTimeField()
    balance = models.DecimalField(max_digits=24, decimal_places=8)
    equity = models.DecimalField(max_digits=24, decimal_places=8)
    net_deposits = models.DecimalField(max_digits=24, decimal_places=8, null=True)
    currency = models.CharField(max_length=3, blank=True, default="", db_default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["connection", "account_id", "time"], name="one_point_per_moment")
        ]


class LogRecordQuerySet(models.QuerySet):
    """Every read of the log starts with `visible_to`."""

    def visible_to(self, membership: Membership) -> LogRecordQuerySet:
        """Lines that a member of staff may see; nothing for anybody else."""
        if not membership.is_staff_role:
            return self.none()
        return self.filter(workspace_id=membership.workspace_id)


class LogRecord(NamedIds):
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

    objects = LogRecordQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["connection", "time", "digest"], name="one_log_record")]
        indexes = [
            models.Index(fields=["workspace", "-time", "-id"], name="log_by_time"),
            models.Index(fields=["workspace", "subscriber_id", "-time", "-id"], name="log_by_subscriber"),
            models.Index(fields=["workspace", "strategy_id", "-time", "-id"], name="log_by_strategy"),
        ]


class Decision(NamedIds):
    """What became of one signal on one way to one subscriber, and why (docs/copying.md, "Decisions").

    Volumes are lots, null where the chain ended before. The unit of `limit_value` belongs to the reason
    (copying.engine.reasons). A row is written by COPY (reporting/sync) and never changes, but for those that are
    reconstructed (reporting/reconstruction): what is mirrored later may change what they say.
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
    is_reconstructed = models.BooleanField(default=False, db_default=False, help_text="Worked out from the mirror.")
    expected_lots = models.DecimalField(
        max_digits=24, decimal_places=8, null=True, help_text="Of a reconstructed one: by the settings; null: unknown."
    )
    assumptions = models.JSONField(default=list, db_default=Value([], output_field=models.JSONField()))

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
                fields=["workspace", "connection"],
                condition=models.Q(is_reconstructed=True),
                name="reconstructed_decision",
            ),
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
    POSITIONS = "positions", "Open positions"
    PROVISIONING = "provisioning", "Trading accounts"


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
    idle_since = models.DateTimeField(null=True, help_text="Since when runs have brought nothing new.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["connection", "kind"], name="one_state_per_kind")]
        indexes = [models.Index(fields=["due_at"], name="state_by_due_time")]


register_failing(lambda: SyncState.objects.filter(failing_since__isnull=False))


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
