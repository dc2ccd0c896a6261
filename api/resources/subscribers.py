"""Accounts that copy: what they are, what they copy, what stopped them, and their equity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api.base import ApiView, Guard
from api.fields import DecimalText, MomentField, RowSerializer, day, flag, number, text
from api.lists import ListView, RowView, listing_for
from editing.secrets import without_secrets
from reporting.models import EquityPoint
from subscribers.causes import cause_of
from subscribers.listings import STOPOUTS, SUBSCRIBERS
from subscribers.models import Stopout, Subscriber
from subscribers.states import ACCOUNT_STATES, SUBSCRIPTION_STATES
from users.listing import Column, DayRange, Listing
from users.models import Membership
from users.permissions import member_only

LIMIT = "in the account's currency; null: it has no risk limit, or the backend does not say"


class SubscriberRow(RowSerializer):
    """A client's trading account. Money is in its own currency; what was never measured is null."""

    reads: ClassVar[tuple[str, ...]] = (
        "name",
        "backend_id",
        "state",
        "currency",
        "equity",
        "balance",
        "floating",
        "headroom",
        "limit_reason",
        "limit_measured",
        "limit_amount",
        "connection_id",
        "result_today",
        "result_month",
        "subscription_count",
        "measured_at",
        "is_simulated",
        "first_seen_at",
        "synced_at",
    )
    backend_id = text(help_text="Its id at the copying backend.")
    connection = number(source="connection_id")
    name = text()
    state = serializers.ChoiceField(list(ACCOUNT_STATES), read_only=True)
    currency = text()
    balance = DecimalText(allow_null=True)
    equity = DecimalText(allow_null=True)
    floating = DecimalText(allow_null=True, help_text="Equity less balance: open positions.")
    result_today = DecimalText(help_text="Of deals closed on this UTC day, with swaps and commissions.")
    result_month = DecimalText(help_text="Of deals closed in this UTC month, with swaps and commissions.")
    headroom = DecimalText(allow_null=True, help_text="Share of the nearest risk limit that is left, from 0 to 1.")
    nearest_limit = text(source="limit_reason", help_text="Code of the nearest risk limit; empty: none is known.")
    limit_measured = DecimalText(allow_null=True, help_text=f"Loss so far by the nearest limit, {LIMIT}.")
    limit_amount = DecimalText(allow_null=True, help_text=f"Loss at which the nearest limit fires, {LIMIT}.")
    subscriptions = number(source="subscription_count", help_text="How many strategies it copies.")
    measured_at = MomentField(allow_null=True)
    is_simulated = flag(allow_null=True, help_text="As the backend says of the account; null: it does not.")
    first_seen_at = MomentField()
    synced_at = MomentField()


class SubscriptionRow(serializers.Serializer):
    """What an account copies."""

    strategy = number(source="strategy_id", allow_null=True, help_text="null: the strategy is not mirrored.")
    strategy_backend_id = text()
    strategy_name = text(source="strategy.name", default="")
    state = serializers.ChoiceField(list(SUBSCRIPTION_STATES), read_only=True)
    ratio = DecimalText(source="multiplier")
    close_only = text(help_text="How it closes only; empty: it copies everything.")
    traded_since = day(allow_null=True)
    document = serializers.SerializerMethodField(help_text="Its settings at the backend; null for clients.")

    @extend_schema_field({"type": ["object", "null"], "additionalProperties": True})
    def get_document(self, row: Any) -> dict[str, Any] | None:
        return without_secrets(row.document) if self.context["membership"].is_staff_role else None


class SubscriptionPage(serializers.Serializer):
    """All subscriptions of an account, those that ended last."""

    results = SubscriptionRow(many=True)
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)


class SubscriberDetailRow(SubscriberRow):
    """An account with its settings."""

    reads = (*SubscriberRow.reads, "document")
    document = serializers.SerializerMethodField(help_text="Its settings at the backend; null for clients.")

    @extend_schema_field({"type": ["object", "null"], "additionalProperties": True})
    def get_document(self, row: Any) -> dict[str, Any] | None:
        return without_secrets(row.document) if self.context["is_staff"] else None


MORE = (Column("document"), Column("first_seen_at"), Column("synced_at"))


class OfSubscribers:
    """Accounts that a member may see: clients see their own."""

    tag = "Subscribers"
    guards: ClassVar[Mapping[str, Guard]] = {"GET": member_only}

    def rows(self, membership: Membership) -> QuerySet:
        return Subscriber.objects.visible_to(membership)

    def context_of(self, membership: Membership, rows: Sequence[Any]) -> dict[str, Any]:
        return {"is_staff": membership.is_staff_role}


class Subscribers(OfSubscribers, ListView):
    """Every account that copies; for clients their own."""

    noun, row = "subscribers", SubscriberRow
    listing = listing_for(SUBSCRIBERS, SubscriberRow, *MORE)


class SubscriberDetail(OfSubscribers, RowView):
    """One account with its settings."""

    noun, row = "subscriber", SubscriberDetailRow
    listing = listing_for(SUBSCRIBERS, SubscriberDetailRow, *MORE)


class Subscriptions(ApiView):
    """What an account copies, on which terms, and what becomes of new signals."""

    tag, noun, is_list = "Subscribers", "subscriptions", True
    guards: ClassVar[Mapping[str, Guard]] = {"GET": member_only}
    answers = {"GET": SubscriptionPage}

    def get(self, request: Request, pk: int) -> Response:
        account = get_object_or_404(Subscriber.objects.visible_to(self.membership), pk=pk)
        rows = list(account.subscriptions.select_related("strategy").order_by("is_removed", "strategy__name", "id"))
        for row in rows:
            row.subscriber = account  # its facts are read once
        context = {"membership": self.membership}
        results = SubscriptionRow(rows, many=True, context=context).data
        return Response({"results": results, "next": None, "previous": None})


# --- Equity -----------------------------------------------------------------------------------------------------------
class EquityRow(RowSerializer):
    """Balance and equity of an account at one moment, in its currency."""

    reads = ("time", "balance", "equity", "net_deposits")
    time = MomentField()
    balance = DecimalText()
    equity = DecimalText()
    net_deposits = DecimalText(
        allow_null=True, help_text="Paid in less paid out since the beginning; null: the backend does not say."
    )


EQUITY = Listing(
    name="equity-points",
    sort="-time",
    columns=(Column("time", is_sortable=True), Column("balance"), Column("equity"), Column("net_deposits")),
    filters=(DayRange("time", "Time"),),
)


class Equity(ListView):
    """The measured balance and equity of an account."""

    tag, noun, row = "Subscribers", "equity", EquityRow
    guards: ClassVar[Mapping[str, Guard]] = {"GET": member_only}
    listing = listing_for(EQUITY, EquityRow)

    def rows(self, membership: Membership) -> QuerySet:
        account = get_object_or_404(Subscriber.objects.visible_to(membership), pk=self.kwargs["pk"])
        return EquityPoint.objects.filter(connection_id=account.connection_id, account_id=account.backend_id)


# --- Stopouts ---------------------------------------------------------------------------------------------------------
class StopoutRow(RowSerializer):
    """A risk limit that fired: nothing new is copied from `stopped_at` until `stopped_till`, or until it was reset."""

    reads = (
        "stopped_at",
        "state",
        "subscriber_name",
        "subscriber_pk",
        "account_id",
        "strategy_name",
        "strategy_pk",
        "strategy_backend_id",
        "reason",
        "description",
        "close_positions",
        "stopped_till",
        "ended_at",
    )
    subscriber = number(source="subscriber_pk")
    subscriber_backend_id = text(source="account_id")
    subscriber_name = text()
    strategy = number(source="strategy_pk", allow_null=True, help_text="null: the whole account is stopped.")
    strategy_backend_id = text(help_text="Empty: the whole account is stopped.")
    strategy_name = text(allow_null=True)
    state = serializers.ChoiceField(["active", "resumed", "ended"], read_only=True)
    reason = text(help_text="Code of the limit.")
    cause = serializers.SerializerMethodField(help_text="The limit in words.")
    description = text(help_text="What the backend says.")
    closed_positions = flag(source="close_positions")
    stopped_at = MomentField()
    stopped_till = MomentField()
    reset_at = MomentField(source="ended_at", allow_null=True)

    def get_cause(self, row: Any) -> str:
        return cause_of(row.reason)


class OfStopouts:
    """Stopouts of the workspace."""

    tag = "Subscribers"
    listing = listing_for(STOPOUTS, StopoutRow)
    row = StopoutRow

    def rows(self, membership: Membership) -> QuerySet:
        return Stopout.objects.visible_to(membership)


class Stopouts(OfStopouts, ListView):
    """Every stopout, those that are active first."""

    noun = "stopouts"


class StopoutDetail(OfStopouts, RowView):
    """One stopout."""

    noun = "stopout"
