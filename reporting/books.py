"""The books: billing periods, the documents made of them and what was paid. They continue the lines of the ledger.

A period is closed by a person; from then on the database itself refuses any change of its lines (migration 0003_books).
Statements, payments and entries are only ever added: a mistake is undone by another entry. Balances are sums.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Self

from django.db import models
from django.db.models import Case, Exists, F, Func, OuterRef, Q, Subquery, Sum, Value, When
from django.db.models.functions import Cast, Coalesce, Greatest, Least, Now

from reporting.disputes import disputed_amount
from reporting.named import NamedStrategy, NamedSubscriber
from reporting.scoping import PerSubscriberQuerySet
from users.models import Connection, Membership, User, Workspace

ZERO = Decimal(0)
MONEY = models.DecimalField(max_digits=24, decimal_places=4)
INTEGER = models.IntegerField()


class PeriodState(models.TextChoices):
    """Where a billing period is on its way: nothing moves back but by voiding statements."""

    OPEN = "open", "Open"
    CLOSED = "closed", "Closed"
    ISSUED = "issued", "Issued"
    PAID = "paid", "Paid"


class BillingPeriodQuerySet(models.QuerySet["BillingPeriod"]):
    """Every read of billing periods starts with `visible_to`."""

    def visible_to(self, membership: Membership) -> Self:
        """Staff only: subscribers see statements."""
        return self.filter(workspace_id=membership.workspace_id) if membership.is_staff_role else self.none()

    def to_close(self, now: datetime) -> Self:
        """Periods that have ended and wait for somebody to close them."""
        return self.filter(state=PeriodState.OPEN, period_end__lte=now)


class BillingPeriod(NamedStrategy):
    """One billing period of one strategy that has lines. Kept by the accrual while open, frozen by closing.

    subscribers, lines and amounts ({currency: sum}) are written when it closes, like what was incomplete then.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, db_index=False)
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, db_index=False)
    strategy_id = models.CharField(max_length=64)
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    state = models.CharField(max_length=6, choices=PeriodState.choices, default="open", db_default="open")
    closed_at = models.DateTimeField(null=True)
    closed_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    subscribers = models.IntegerField(null=True)
    lines = models.IntegerField(null=True)
    amounts = models.JSONField(null=True)
    reporting_currency = models.CharField(max_length=3, blank=True, default="", db_default="")
    reporting_amount = models.DecimalField(max_digits=24, decimal_places=4, null=True)
    problems = models.JSONField(null=True, help_text="What was incomplete when it was closed, as sentences.")

    objects = BillingPeriodQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "strategy_id", "period_start", "period_end"], name="one_billing_period"
            )
        ]
        indexes = [
            models.Index(fields=["workspace", "-period_end", "-id"], name="billing_period_by_end"),
            models.Index(fields=["workspace", "state", "-period_end", "-id"], name="billing_period_by_state"),
        ]


class Books(models.Model):
    """One row per workspace: its lock keeps writers of documents and payments apart, its numbers have no gap."""

    workspace = models.OneToOneField(Workspace, on_delete=models.CASCADE, primary_key=True)
    statements = models.PositiveIntegerField(default=0, help_text="The last number given to a statement.")
    credit_notes = models.PositiveIntegerField(default=0, help_text="The last number given to a credit note.")
    receiver_statements = models.PositiveIntegerField(default=0, db_default=0)


class DocumentKind(models.TextChoices):
    """What a numbered document is; each kind has its own row of numbers."""

    STATEMENT = "statement", "Statement"
    CREDIT_NOTE = "credit-note", "Credit note"


class StatementState(models.TextChoices):
    """What is left to do about a statement; follows from its entries."""

    OVERDUE = "overdue", "Overdue"
    DUE = "due", "To be paid"
    PARTLY_PAID = "partly-paid", "Partly paid"
    DISPUTED = "disputed", "In dispute"
    PAID = "paid", "Settled"
    VOID = "void", "Void"


class StatementQuerySet(PerSubscriberQuerySet["Statement"]):
    """Reads of documents; `visible_to` comes first."""

    def with_balance(self) -> models.QuerySet[Any]:
        """With `balance`, the sum of a document's entries, `paid`, what payments took off it, and its `state`.

        disputed: what of the balance open disputes freeze; payable: what is left of it, to be paid by the day.
        days_overdue: whole days since the day it was due on, in the workspace's zone; in words: reporting/states.py.
        """
        own = Entry.objects.filter(statement_id=OuterRef("pk")).order_by().values("statement_id")
        paid = own.filter(kind__in=PAYING)
        today = Cast(Func(F("workspace__timezone"), Now(), function="timezone"), models.DateField())
        days = Func(today, F("due_on"), template="(%(expressions)s)", arg_joiner=" - ", output_field=INTEGER)
        # rows carry more than the model declares, and may be narrowed by it: no checker knows such a type
        documents: models.QuerySet[Any] = self
        return documents.annotate(
            balance=Coalesce(Subquery(own.annotate(s=Sum("amount")).values("s")), ZERO, output_field=MONEY),
            paid=Coalesce(Subquery(paid.annotate(s=-Sum("amount")).values("s")), ZERO, output_field=MONEY),
            days_overdue=days,
            frozen=disputed_amount(),
        ).annotate(
            disputed=Greatest(Least(F("frozen"), F("balance"), output_field=MONEY), ZERO, output_field=MONEY),
            payable=Greatest(F("balance") - F("frozen"), ZERO, output_field=MONEY),
            is_partly_paid=Case(When(~Q(paid=0), then=True), default=False),
            state=Case(
                When(is_void=True, then=Value(StatementState.VOID.value)),
                When(balance=0, then=Value(StatementState.PAID.value)),
                When(days_overdue__gt=0, payable__gt=0, then=Value(StatementState.OVERDUE.value)),
                When(balance__gt=0, payable=0, then=Value(StatementState.DISPUTED.value)),
                When(paid=0, then=Value(StatementState.DUE.value)),
                default=Value(StatementState.PARTLY_PAID.value),
                output_field=models.CharField(),
            ),
        )


class Statement(NamedSubscriber):
    """A numbered document for one account: a statement of closed periods, or a credit note that corrects one.

    Never edited: names are those of the day of issue, and only `is_void` may be set. amount: the sum of its lines, in
    the account's currency; negative on a credit note. tax: on it, at `tax_rate`; total: what is owed. series: as it was
    on that day; empty: S- and C-. Numbers have no gap within a series.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, db_index=False)
    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, db_index=False)
    subscriber_id = models.CharField(max_length=64)
    kind = models.CharField(max_length=11, choices=DocumentKind.choices, default=DocumentKind.STATEMENT)
    series = models.CharField(max_length=20, blank=True, default="", db_default="", help_text="Before the number.")
    number = models.PositiveIntegerField()
    token = models.UUIDField(null=True, help_text="Of the form of a credit note: sent twice, it is one.")
    workspace_name = models.CharField(max_length=120)
    subscriber_name = models.CharField(max_length=200)
    first_day = models.DateField()
    last_day = models.DateField()
    currency = models.CharField(max_length=3)
    amount = models.DecimalField(max_digits=24, decimal_places=4)
    tax = models.DecimalField(max_digits=24, decimal_places=4, default=ZERO, db_default=ZERO)
    tax_rate = models.DecimalField(max_digits=7, decimal_places=6, default=ZERO, db_default=ZERO)
    parties = models.JSONField(default=dict, db_default={}, help_text="Firm, client, tax and terms as they were then.")
    reporting_currency = models.CharField(max_length=3)
    reporting_amount = models.DecimalField(max_digits=24, decimal_places=4, null=True)
    due_on = models.DateField(null=True)
    corrects = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="credit_notes")
    reason = models.CharField(max_length=400, blank=True)
    issued_at = models.DateTimeField()
    issued_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    rate_day = models.DateField(null=True, help_text="Of the oldest rate in `reporting_amount`.")
    rates_accepted_at = models.DateTimeField(null=True, help_text="Its rates were old, and accepted then.")
    rates_accepted_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    is_void = models.BooleanField(default=False)

    balance: Decimal  # of those that were read `with_balance`

    objects = StatementQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "kind", "series", "number"], name="one_document_per_number"),
            models.UniqueConstraint(fields=["workspace", "token"], name="one_document_per_form"),
        ]
        indexes = [
            models.Index(fields=["workspace", "-issued_at", "-id"], name="statement_by_time"),
            models.Index(fields=["workspace", "-amount", "-id"], name="statement_by_amount"),
            models.Index(fields=["workspace", "subscriber_id", "-issued_at", "-id"], name="statement_of_subscriber"),
        ]

    def __str__(self) -> str:
        return self.label

    @property
    def label(self) -> str:
        """The number as it is printed: S-000012, and C-000003 for a credit note."""
        series = self.series or ("S-" if self.kind == DocumentKind.STATEMENT else "C-")
        return f"{series}{self.number:06d}"

    @property
    def total(self) -> Decimal:
        """What is owed by it: amount and tax."""
        return self.amount + self.tax


class StatementItem(models.Model):
    """A closed billing period of one strategy on a statement: its lines are those of the account in that period."""

    statement = models.ForeignKey(Statement, on_delete=models.PROTECT, related_name="items")
    period = models.ForeignKey(BillingPeriod, on_delete=models.PROTECT, related_name="items", db_index=False)
    subscriber_id = models.CharField(max_length=64)
    currency = models.CharField(max_length=3)
    strategy_name = models.CharField(max_length=200)
    scheme = models.CharField(max_length=16)
    lines = models.IntegerField()
    amount = models.DecimalField(max_digits=24, decimal_places=4)
    is_void = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["period", "subscriber_id", "currency"],
                condition=Q(is_void=False),
                name="one_statement_per_period",
            )
        ]


class Payment(NamedSubscriber):
    """Money received from a client for one account.

    amount, currency: as it was paid. settled: what it is worth in the account's currency, by `rate` (source, day).
    token: made with the form, so that sending it twice records one payment.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, db_index=False)
    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, db_index=False)
    subscriber_id = models.CharField(max_length=64)
    received_on = models.DateField()
    amount = models.DecimalField(max_digits=24, decimal_places=4)
    currency = models.CharField(max_length=3)
    settled = models.DecimalField(max_digits=24, decimal_places=4)
    settled_currency = models.CharField(max_length=3)
    rate = models.DecimalField(max_digits=24, decimal_places=10)
    rate_source = models.CharField(max_length=130, blank=True)
    rate_day = models.DateField()
    reference = models.CharField(max_length=120, blank=True)
    token = models.UUIDField()
    recorded_at = models.DateTimeField()
    recorded_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")

    class PaymentQuerySet(PerSubscriberQuerySet["Payment"]):
        """Reads of payments; `visible_to` comes first."""

        def with_undone(self) -> Self:
            """With `is_undone`: a counter-entry took it back."""
            undone = Entry.objects.filter(payment_id=OuterRef("pk"), kind=EntryKind.UNDO)
            return self.annotate(is_undone=Exists(undone))

    objects = PaymentQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workspace", "token"], name="one_payment_per_form")]
        indexes = [
            models.Index(fields=["workspace", "-received_on", "-id"], name="payment_by_day"),
            models.Index(fields=["workspace", "-amount", "-id"], name="payment_by_amount"),
        ]


class EntryKind(models.TextChoices):
    """Why the balance of an account moved."""

    STATEMENT = "statement", "Statement"
    CREDIT_NOTE = "credit-note", "Credit note"
    VOID = "void", "Statement voided"
    PAYMENT = "payment", "Payment"
    CREDIT = "credit", "Credit moved"
    UNDO = "undo", "Payment taken back"
    WRITE_OFF = "write-off", "Written off"
    REFUND = "refund", "Credit paid back"
    REVERSAL = "reversal", "Credit note reversed"


PAYING = (EntryKind.PAYMENT, EntryKind.CREDIT, EntryKind.UNDO)


class Entry(models.Model):
    """One movement of what a client owes for an account: positive is owed, negative takes off it. Only ever added.

    statement: what it belongs to; null: the account's credit, which no statement has used yet.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, db_index=False)
    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, db_index=False)
    subscriber_id = models.CharField(max_length=64)
    currency = models.CharField(max_length=3)
    kind = models.CharField(max_length=11, choices=EntryKind.choices)
    amount = models.DecimalField(max_digits=24, decimal_places=4)
    statement = models.ForeignKey(Statement, null=True, on_delete=models.PROTECT, related_name="entries")
    payment = models.ForeignKey(Payment, null=True, on_delete=models.PROTECT, related_name="entries")
    undoes = models.OneToOneField("self", null=True, on_delete=models.PROTECT, related_name="undone_by")
    token = models.UUIDField(null=True, help_text="Of the form that made it: sent twice, it is one.")
    day = models.DateField()
    reason = models.CharField(max_length=400, blank=True)
    made_at = models.DateTimeField()
    made_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")

    objects = PerSubscriberQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["workspace", "connection", "subscriber_id", "currency"], name="entry_of_account"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "token"], condition=Q(token__isnull=False), name="one_entry_per_form"
            )
        ]
