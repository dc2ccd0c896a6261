"""What is owed and what was paid: commissions, statements and their lines, payments, billing periods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api.base import ApiView, Guard, Parameter
from api.fields import DecimalText, MomentField, RowSerializer, day, flag, number, text
from api.lists import ListView, RowView, listing_for
from reporting.commission.billing import owed_by_strategy, owed_by_subscription, span_of
from reporting.commission.wording import CHARGES
from reporting.models import BillingPeriod, CommissionLine, DocumentKind, Payment, Statement
from reporting.states import PERIOD_STATES, STATEMENT_STATES
from reporting.views.commissions import LINES
from reporting.views.payments import PAYMENTS
from reporting.views.periods import PERIODS
from reporting.views.statements import STATEMENTS, lines_of
from subscribers.models import Subscriber
from users.listing import BadParameter, Text
from users.models import Membership
from users.permissions import member_only


# --- Commissions ------------------------------------------------------------------------------------------------------
class OwedRow(serializers.Serializer):
    """What is owed for one strategy, or one subscription to it, in one currency."""

    strategy = number(source="strategy.pk", default=None, allow_null=True)
    strategy_backend_id = text(source="strategy_id")
    strategy_name = text(source="strategy.name", default="")
    subscriber = number(source="subscriber.pk", default=None, allow_null=True, help_text="null by strategy.")
    subscriber_backend_id = text(source="subscriber_id", help_text="Empty by strategy.")
    subscriber_name = text(source="subscriber.name", default="")
    scheme = serializers.ChoiceField(list(CHARGES), read_only=True)
    period_start = MomentField(source="start")
    period_end = MomentField(source="end")
    lines = number()
    provisional_lines = number(source="provisional", help_text="Lines that settle when their period ends.")
    amount = DecimalText()
    currency = text()


class OwedPage(serializers.Serializer):
    """All that is owed in a span of time."""

    results = OwedRow(many=True)
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)


class Commissions(ApiView):
    """What is owed in a span of time, by strategy or by subscription; for clients by their own subscriptions."""

    tag, noun, is_list = "Money", "commissions", True
    guards: ClassVar[Mapping[str, Guard]] = {"GET": member_only}
    answers = {"GET": OwedPage}
    parameters = (
        Parameter(
            "period",
            "A month of billing periods that ended in it, or those that are open.",
            {"type": "string", "pattern": r"^(open|20[0-9]{2}-(0[1-9]|1[0-2]))$", "default": "open"},
        ),
        Parameter(
            "by", "One row for each.", {"type": "string", "enum": ["strategy", "subscription"], "default": "strategy"}
        ),
    )

    def get(self, request: Request) -> Response:
        by, now = request.query_params.get("by") or "strategy", timezone.now()
        if by not in ("strategy", "subscription"):
            raise BadParameter("“by” is “strategy” or “subscription”.")
        try:
            span = span_of(request.query_params.get("period", ""), self.workspace, now)
        except ValueError:
            raise BadParameter("“period” is “open” or a month like 2026-10 that has begun.")
        is_own = by == "subscription" or not self.membership.is_staff_role
        rows = (owed_by_subscription if is_own else owed_by_strategy)(self.membership, span, now)
        return Response({"results": OwedRow(rows, many=True).data, "next": None, "previous": None})


class CommissionLineRow(RowSerializer):
    """A line of the commission ledger: anybody can work it out again from what it says."""

    reads = (
        "occurred_at",
        "period_start",
        "period_end",
        "key",
        "scheme",
        "rate",
        "inputs",
        "policy",
        "exact_amount",
        "amount",
        "currency",
        "is_provisional",
        "strategy_id",
        "reporting_amount",
        "reporting_currency",
        "reporting_rate",
        "reporting_source",
        "reporting_day",
    )
    occurred_at = MomentField()
    period_start = MomentField()
    period_end = MomentField()
    key = text(help_text="What it is for: a deal, or the subscription and the period.")
    scheme = text()
    rate = DecimalText()
    inputs = serializers.JSONField(read_only=True)
    policy = serializers.JSONField(read_only=True)
    exact_amount = DecimalText()
    amount = DecimalText(help_text="The exact amount, rounded once.")
    currency = text()
    is_provisional = flag(help_text="Whether it settles only when its period ends.")
    strategy_backend_id = text(source="strategy_id")
    reporting_amount = DecimalText(allow_null=True)
    reporting_currency = text()
    reporting_rate = DecimalText(allow_null=True)
    reporting_source = text()
    reporting_day = day(allow_null=True)


class CommissionLines(ListView):
    """The commission of an account, line by line."""

    tag, noun, row = "Money", "commission_lines", CommissionLineRow
    guards: ClassVar[Mapping[str, Guard]] = {"GET": member_only}
    listing = replace(
        listing_for(LINES, CommissionLineRow), filters=(Text("strategy", "Strategy by its id", field="strategy_id"),)
    )

    def rows(self, membership: Membership) -> QuerySet:
        account = get_object_or_404(Subscriber.objects.visible_to(membership), pk=self.kwargs["pk"])
        own = CommissionLine.objects.visible_to(membership)
        return own.filter(connection_id=account.connection_id, subscriber_id=account.backend_id)


# --- Statements -------------------------------------------------------------------------------------------------------
class StatementRow(RowSerializer):
    """A statement, or a credit note that corrects one."""

    reads = (
        "label",
        "kind",
        "subscriber_name",
        "subscriber_id",
        "first_day",
        "last_day",
        "amount",
        "balance",
        "currency",
        "state",
        "due_on",
        "issued_at",
        "reporting_amount",
        "reporting_currency",
    )
    number = text(source="label", help_text="As on paper: S-000012, or C-000003 for a credit note.")
    kind = serializers.ChoiceField(DocumentKind.choices, read_only=True)
    subscriber_backend_id = text(source="subscriber_id")
    subscriber_name = text()
    first_day = day()
    last_day = day()
    amount = DecimalText()
    balance = DecimalText(help_text="What is still to be paid.")
    currency = text()
    state = serializers.ChoiceField([*STATEMENT_STATES], read_only=True)
    due_on = day(allow_null=True)
    issued_at = MomentField()
    reporting_amount = DecimalText(allow_null=True)
    reporting_currency = text()


class OfStatements:
    """Documents of the accounts that a member may see."""

    tag, row = "Money", StatementRow
    guards: ClassVar[Mapping[str, Guard]] = {"GET": member_only}
    listing = listing_for(STATEMENTS, StatementRow)

    def rows(self, membership: Membership) -> QuerySet:
        return Statement.objects.visible_to(membership).with_balance()


class Statements(OfStatements, ListView):
    """Every statement and credit note that was issued."""

    noun = "statements"


class StatementDetail(OfStatements, RowView):
    """One statement or credit note."""

    noun = "statement"


class StatementLines(ListView):
    """The lines that a statement is the sum of."""

    tag, noun, row = "Money", "statement_lines", CommissionLineRow
    guards: ClassVar[Mapping[str, Guard]] = {"GET": member_only}
    listing = listing_for(LINES, CommissionLineRow)

    def rows(self, membership: Membership) -> QuerySet:
        return lines_of(get_object_or_404(Statement.objects.visible_to(membership), pk=self.kwargs["pk"]))


# --- Payments and periods ---------------------------------------------------------------------------------------------
class PaymentRow(RowSerializer):
    """A payment that was received."""

    reads = (
        "received_on",
        "subscriber_name",
        "subscriber_id",
        "amount",
        "currency",
        "settled",
        "settled_currency",
        "rate",
        "rate_source",
        "rate_day",
        "reference",
        "is_undone",
        "recorded_at",
    )
    subscriber_backend_id = text(source="subscriber_id")
    subscriber_name = text(allow_null=True)
    received_on = day()
    amount = DecimalText()
    currency = text()
    settled = DecimalText(help_text="What it counted as, in the account's currency.")
    settled_currency = text()
    rate = DecimalText()
    rate_source = text()
    rate_day = day()
    reference = text()
    is_undone = flag(help_text="Whether it was taken back.")
    recorded_at = MomentField()


class OfPayments:
    """Payments of the workspace."""

    tag, row = "Money", PaymentRow
    listing = listing_for(PAYMENTS, PaymentRow)

    def rows(self, membership: Membership) -> QuerySet:
        return Payment.objects.visible_to(membership).with_undone()


class Payments(OfPayments, ListView):
    """Every payment that was recorded."""

    noun = "payments"


class PaymentDetail(OfPayments, RowView):
    """One payment."""

    noun = "payment"


class PeriodRow(RowSerializer):
    """A billing period of a strategy. Sums are written when it is closed."""

    reads = (
        "strategy_name",
        "strategy_id",
        "strategy_pk",
        "period_start",
        "period_end",
        "code",
        "subscribers",
        "lines",
        "amounts",
        "reporting_amount",
        "reporting_currency",
        "closed_at",
    )
    strategy = number(source="strategy_pk", allow_null=True)
    strategy_backend_id = text(source="strategy_id")
    strategy_name = text(allow_null=True)
    period_start = MomentField()
    period_end = MomentField()
    state = serializers.ChoiceField(list(PERIOD_STATES), source="code", read_only=True)
    subscribers = number(allow_null=True)
    lines = number(allow_null=True)
    amounts = serializers.DictField(child=serializers.CharField(), read_only=True, allow_null=True)
    reporting_amount = DecimalText(allow_null=True)
    reporting_currency = text()
    closed_at = MomentField(allow_null=True)


class OfPeriods:
    """Billing periods of the workspace."""

    tag, row = "Money", PeriodRow
    listing = listing_for(PERIODS, PeriodRow)

    def rows(self, membership: Membership) -> QuerySet:
        return BillingPeriod.objects.visible_to(membership)


class Periods(OfPeriods, ListView):
    """Every billing period that has lines."""

    noun = "periods"


class PeriodDetail(OfPeriods, RowView):
    """One billing period."""

    noun = "period"
