"""How the business runs: connections to backends, and what needs attention."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api.base import ApiView, Guard
from api.fields import DecimalText, MomentField, flag, number, text
from reporting.attention import attention
from reporting.states import CONNECTION_STATES, connection_states
from users.permissions import staff_only


class ConnectionRow(serializers.Serializer):
    """A copying backend that the workspace uses. Its token is told to nobody."""

    id = number()
    name = text()
    base_url = text(help_text="Address of the backend; empty: it is looked up by the domain.")
    domain = text()
    is_enabled = flag()
    state = serializers.SerializerMethodField(help_text="Of its syncs, the worst that counts.")
    market_is_simulated = flag(allow_null=True, help_text="null: the backend does not say.")
    requests_per_minute = number()
    created_at = MomentField()

    @extend_schema_field(serializers.ChoiceField(list(CONNECTION_STATES)))
    def get_state(self, row: Any) -> str:
        return self.context["states"][row.pk].code


class ConnectionPage(serializers.Serializer):
    """All connections of the workspace."""

    results = ConnectionRow(many=True)
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)


class Connections(ApiView):
    """The copying backends of the workspace."""

    tag, noun, is_list = "Operation", "connections", True
    guards: ClassVar[Mapping[str, Guard]] = {"GET": staff_only}
    answers = {"GET": ConnectionPage}

    def get(self, request: Request) -> Response:
        rows = list(self.workspace.connections.defer("token").order_by("id"))
        results = ConnectionRow(rows, many=True, context={"states": connection_states(rows)}).data
        return Response({"results": results, "next": None, "previous": None})


class ConnectionDetail(ApiView):
    """One copying backend."""

    tag, noun = "Operation", "connection"
    guards: ClassVar[Mapping[str, Guard]] = {"GET": staff_only}
    answers = {"GET": ConnectionRow}

    def get(self, request: Request, pk: int) -> Response:
        row = self.workspace.connections.defer("token").filter(pk=pk).first()
        if row is None:
            raise Http404
        return Response(ConnectionRow(row, context={"states": connection_states([row])}).data)


class AmountRow(serializers.Serializer):
    """An amount in its currency."""

    amount = DecimalText()
    currency = text()


class AttentionRow(serializers.Serializer):
    """Something that a manager should look at."""

    tone = serializers.ChoiceField(["bad", "warn", "muted"], read_only=True)
    title = text(help_text="What it is about.")
    rest = text(help_text="What of it; with the title a sentence.")
    note = text()
    since = MomentField(allow_null=True)
    amounts = AmountRow(many=True)
    page = serializers.URLField(allow_null=True, help_text="The page of the portal about it.")


class AttentionList(serializers.Serializer):
    """Everything that needs attention, the worst first."""

    results = AttentionRow(many=True)
    stopouts = number(help_text="How many stopouts are active.")


class AttentionView(ApiView):
    """What a manager should look at now, as on the overview."""

    tag, noun = "Operation", "attention"
    guards: ClassVar[Mapping[str, Guard]] = {"GET": staff_only}
    answers = {"GET": AttentionList}

    def get(self, request: Request) -> Response:
        seen = attention(self.membership, now=timezone.now())
        rows = [
            {
                "tone": line.tone,
                "title": line.title,
                "rest": line.rest,
                "note": line.note,
                "since": line.since,
                "amounts": [{"amount": amount, "currency": currency} for amount, currency in line.amounts],
                "page": request.build_absolute_uri(line.href) if line.href else None,
            }
            for line in seen.lines
        ]
        return Response(AttentionList({"results": rows, "stopouts": seen.stopout_count}).data)
