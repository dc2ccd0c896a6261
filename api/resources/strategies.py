"""What is offered for copying."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from api.fields import MomentField, RowSerializer, day, number, text
from api.lists import ListView, RowView, listing_for
from editing.secrets import without_secrets
from strategies.models import Strategy
from strategies.states import STRATEGY_STATES, unconfirmed_connections
from strategies.views import STRATEGIES
from users.listing import Column
from users.models import Membership


class StrategyRow(RowSerializer):
    """A strategy or a portfolio of strategies."""

    reads = (
        "name",
        "backend_id",
        "kind",
        "scheme",
        "document",
        "is_removed",
        "account_id",
        "description",
        "traded_since",
        "first_seen_at",
        "connection_id",
        "synced_at",
    )
    backend_id = text(help_text="Its id at the copying backend.")
    connection = number(source="connection_id")
    kind = serializers.ChoiceField(["single", "portfolio"], read_only=True)
    name = text()
    description = text()
    account_id = text(help_text="The provider's account at the backend; empty for a portfolio.")
    commission_scheme = serializers.SerializerMethodField(help_text="Type of the commission; null: none.")
    state = serializers.SerializerMethodField()
    traded_since = day(allow_null=True, help_text="UTC day of its first transaction; null: none is known.")
    first_seen_at = MomentField()
    synced_at = MomentField()

    def get_commission_scheme(self, row: Any) -> str | None:
        return row.scheme or None

    @extend_schema_field(serializers.ChoiceField(list(STRATEGY_STATES)))
    def get_state(self, row: Any) -> str:
        code = Strategy(is_removed=row.is_removed, document=row.document).state
        return "unconfirmed" if code == "offered" and row.connection_id in self.context["unconfirmed"] else code


class StrategyDetailRow(StrategyRow):
    """A strategy with its settings."""

    document = serializers.SerializerMethodField(help_text="Its settings as the backend has them, without secrets.")

    @extend_schema_field({"type": "object", "additionalProperties": True})
    def get_document(self, row: Any) -> dict[str, Any]:
        return without_secrets(row.document)


MORE = (Column("connection_id"), Column("synced_at"))
LISTING = listing_for(STRATEGIES, StrategyRow, *MORE)


class OfStrategies:
    """Rows of strategies, and what their states follow from."""

    tag = "Strategies"
    listing = LISTING

    def rows(self, membership: Membership) -> QuerySet:
        return Strategy.objects.visible_to(membership)

    def context_of(self, membership: Membership, rows: Sequence[Any]) -> dict[str, Any]:
        return {"unconfirmed": unconfirmed_connections(membership.workspace_id)}


class Strategies(OfStrategies, ListView):
    """Everything that is offered for copying."""

    noun, row = "strategies", StrategyRow


class StrategyDetail(OfStrategies, RowView):
    """One strategy with its settings."""

    noun, row = "strategy", StrategyDetailRow
