"""The workspace that a token belongs to, and the token itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from django.http import Http404
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api.base import ApiView, Guard
from api.fields import MomentField, flag, number, text
from users.permissions import member_only


class WorkspaceRow(serializers.Serializer):
    """A firm, with how it counts days and adds up money."""

    id = number()
    name = text()
    timezone = text(help_text="Billing periods start at its midnight.")
    reporting_currency = text(help_text="Totals over accounts are shown in it.")
    week_starts_monday = flag()
    is_demo = flag(help_text="Whether its market and money are simulated.")
    created_at = MomentField()


class WorkspacePage(serializers.Serializer):
    """The workspaces of a token: always one."""

    results = WorkspaceRow(many=True)
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)


class TokenRow(serializers.Serializer):
    """The token that is being used."""

    id = number()
    name = text()
    scope = serializers.ChoiceField(["read", "write"], help_text="read, or write, which includes reading.")
    role = serializers.SerializerMethodField(help_text="What it may do at this moment.")
    is_service = flag(help_text="Whether it belongs to no person.")
    hint = text(help_text="The last characters of the token.")
    workspace = number(source="workspace_id")
    created_at = MomentField()
    expires_at = MomentField()

    def get_role(self, token) -> str:
        return token.membership.role if token.membership else token.role


class Workspaces(ApiView):
    """The workspace of the token, as a list of one."""

    tag, noun = "Workspace", "workspaces"
    is_list = True
    guards: ClassVar[Mapping[str, Guard]] = {"GET": member_only}
    answers = {"GET": WorkspacePage}

    def get(self, request: Request) -> Response:
        return Response({"results": [WorkspaceRow(self.workspace).data], "next": None, "previous": None})


class WorkspaceDetail(ApiView):
    """The workspace of the token."""

    tag, noun = "Workspace", "workspace"
    guards: ClassVar[Mapping[str, Guard]] = {"GET": member_only}
    answers = {"GET": WorkspaceRow}

    def get(self, request: Request, pk: int) -> Response:
        if pk != self.workspace.pk:
            raise Http404
        return Response(WorkspaceRow(self.workspace).data)


class TokenDetail(ApiView):
    """The token that is being used: its role, its scope and when it expires."""

    tag, noun = "Workspace", "token"
    guards: ClassVar[Mapping[str, Guard]] = {"GET": member_only}
    answers = {"GET": TokenRow}

    def get(self, request: Request) -> Response:
        return Response(TokenRow(request.auth).data)
