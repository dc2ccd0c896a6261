"""Settings of what is offered, of accounts and of their subscriptions: read with their version, changed from it on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, ClassVar, get_args

from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api.base import Guard
from api.edits import answer_dry_run, at_backend, check_version, errors_of, etag_of, recover, save, unchanged
from api.fields import text
from api.once import Reply, Sort
from api.problems import ApiProblem
from api.reviews import WriteAnswer
from api.writes import DRY_RUN, WriteView, write
from copying.contract.settings import CloseOnly
from editing.merging import writable
from editing.patches import patched, problems_of_names, problems_of_settings
from editing.proposals import proposal_of
from editing.scopes import EditScope, scope_of
from editing.secrets import without_secrets
from editing.targets import Document
from reporting.commission.services import calendar_of
from strategies.models import Strategy
from subscribers.models import Subscriber
from users.permissions import may_manage, staff_only

BEGINNINGS = ("now", "next")
CONFIRM = "The name of the object, where the change acts on positions at once: “review” of the refusal says how."
MODES = ("", *get_args(CloseOnly))


class ConfirmField(serializers.CharField):
    """What says that somebody means it."""

    def __init__(self, **options: Any):
        super().__init__(required=False, allow_blank=True, max_length=200, help_text=CONFIRM, **options)


@extend_schema_field({"type": "object", "additionalProperties": True})
class SettingsField(serializers.JSONField):
    """An object of settings."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict):
            raise serializers.ValidationError("It is an object of settings.")
        return data


class SettingsRow(serializers.Serializer):
    """Settings as the backend has them, without secrets. Their version is in the header ETag."""

    name = text()
    settings = SettingsField(read_only=True)


class SettingsBody(serializers.Serializer):
    """What is changed. A setting that is null is taken out, objects are merged, lists replaced as a whole."""

    settings = SettingsField(help_text="Only what is to change, by the names that reading answers.")
    confirm = ConfirmField()


class OfferBody(SettingsBody):
    """As for other settings; besides, from when another commission holds."""

    terms_from = serializers.CharField(
        required=False,
        max_length=10,
        help_text="Of another commission: now, next (billing period), or a day after today. Without it the next period"
        " where somebody copies, else now.",
    )

    def validate_terms_from(self, value: str) -> str:
        if value in BEGINNINGS:
            return value
        try:
            day = date.fromisoformat(value)
        except ValueError as error:
            raise serializers.ValidationError("It is “now”, “next”, or a day such as 2027-01-31.") from error
        if day <= calendar_of(self.context["workspace"]).day_of(timezone.now()):
            raise serializers.ValidationError("Terms never reach back: name a day after today, or “now”.")
        return value


class SettingsView(WriteView, ABC):
    """Settings of one level of a document."""

    guards: ClassVar[Mapping[str, Guard]] = {"GET": staff_only, "PATCH": may_manage}
    answers: ClassVar = {"GET": SettingsRow, "PATCH": WriteAnswer}
    bodies: ClassVar = {"PATCH": SettingsBody}
    options: ClassVar = {"PATCH": (DRY_RUN,)}
    statuses: ClassVar = {"PATCH": (200, 202)}
    needs_version: ClassVar[Sequence[str]] = ("PATCH",)

    @abstractmethod
    def object_of(self, pk: int) -> Strategy | Subscriber:
        """The row, or 404."""

    def scope(self, pk: int, strategy_id: str) -> tuple[EditScope, Document]:
        """Where the settings stand, and as the portal knows them. Raises Http404."""
        row = self.object_of(pk)
        scope = scope_of(row, strategy_id)
        settings = scope.settings_in(row.document)
        if settings is None:
            raise Http404
        return scope, settings

    def get(self, request: Request, pk: int, strategy_id: str = "") -> Response:
        """Settings with their version."""
        scope, settings = self.scope(pk, strategy_id)
        plain = without_secrets({name: value for name, value in settings.items() if name != "_id"})
        return Response({"name": scope.name, "settings": plain}, headers={"ETag": etag_of(settings)})

    @write(Sort.EDIT, recover=recover)
    def patch(self, request: Request, pk: int, strategy_id: str = "") -> Reply:
        """Change settings, by the review of the pages."""
        scope, mirrored = self.scope(pk, strategy_id)
        tags, patch = self.if_match(), self.body["settings"]
        with at_backend(scope.connection) as client:
            document = scope.target.read(client, scope.backend_id)
            settings = scope.settings_in(document)
            if settings is None:
                raise Http404
            check_version(scope, settings, mirrored, tags)
            edited = patched(settings, patch)
            after = scope.replace_part(document, edited)
            check_settings(scope, settings, document, after, patch)
            if writable(after) == writable(document):
                return unchanged(settings)
            terms = {"terms_from": self.body.get("terms_from", "")}
            change = proposal_of(scope, by=self.actor, now=timezone.now(), before=document, after=after, **terms)
            if self.is_dry_run:
                return answer_dry_run(change, client=client)
            return save(change, self.claim, client=client, confirm=self.body.get("confirm", ""), by=self.actor)


def check_settings(scope: EditScope, settings: Document, document: Document, after: Document, patch: Document) -> None:
    """Raises ApiProblem with everything that is wrong with the edit."""
    problems = problems_of_names(scope, settings, patch) or problems_of_settings(scope, document, after)
    if problems:
        raise ApiProblem("invalid", errors=errors_of(problems, "/settings"))


class StrategySettings(SettingsView):
    """The settings of a strategy or portfolio."""

    tag, noun = "Strategies", "strategy_settings"
    bodies: ClassVar = {"PATCH": OfferBody}

    def object_of(self, pk: int) -> Strategy:
        own = Strategy.objects.visible_to(self.membership).select_related("connection")
        return get_object_or_404(own, pk=pk)


class MemberSettings(StrategySettings):
    """What a portfolio changes for one of its members, by the member's id at the backend."""

    noun = "member_settings"
    bodies: ClassVar = {"PATCH": SettingsBody}


class SubscriberSettings(SettingsView):
    """The settings of an account, with its subscriptions."""

    tag, noun = "Subscribers", "subscriber_settings"

    def object_of(self, pk: int) -> Subscriber:
        own = Subscriber.objects.visible_to(self.membership).select_related("connection")
        return get_object_or_404(own, pk=pk)


class SubscriptionSettings(SubscriberSettings):
    """The terms on which an account copies one strategy, by the strategy's id at the backend."""

    noun = "subscription_settings"


# --- Pause, close-only, resume ----------------------------------------------------------------------------------------
class CloseOnlyBody(serializers.Serializer):
    """How an account or one of its subscriptions closes only."""

    mode = serializers.ChoiceField(
        list(MODES),
        allow_blank=True,
        help_text="Empty: it copies. by-position: a pause, nothing new is opened; by-symbol: nothing new in symbols"
        " without a position; immediately: everything is closed.",
    )
    strategy = serializers.CharField(
        required=False, allow_blank=True, max_length=64, help_text="Id of one strategy; without it the whole account."
    )
    confirm = ConfirmField()


class CloseOnlyAct(SubscriberSettings):
    """Pause an account or a subscription, let it go on, or close everything."""

    noun = "close_only"
    guards: ClassVar[Mapping[str, Guard]] = {"POST": may_manage}
    answers: ClassVar = {"POST": WriteAnswer}
    bodies: ClassVar = {"POST": CloseOnlyBody}
    options: ClassVar = {"POST": (DRY_RUN,)}
    statuses: ClassVar = {"POST": (200, 202)}
    names: ClassVar = {"POST": "set_close_only"}
    needs_version: ClassVar[Sequence[str]] = ()
    http_method_names = ["post"]

    @write(Sort.EDIT, recover=recover)
    def post(self, request: Request, pk: int) -> Reply:
        """Pause an account or a subscription, let it go on, or close everything."""
        mode, strategy_id = self.body["mode"], self.body.get("strategy", "")
        scope = scope_of(self.object_of(pk), strategy_id)
        with at_backend(scope.connection, pointer="") as client:
            document = scope.target.read(client, scope.backend_id)
            settings = scope.settings_in(document)
            if settings is None:
                error = {"pointer": "/strategy", "detail": "The account does not copy it."}
                raise ApiProblem("invalid", errors=[error])
            if (settings.get("closeOnly") or "") == mode:
                return unchanged(settings)
            after = scope.replace_part(document, patched(settings, {"closeOnly": mode or None}))
            change = proposal_of(scope, by=self.actor, now=timezone.now(), before=document, after=after)
            if self.is_dry_run:
                return answer_dry_run(change, client=client)
            return save(change, self.claim, client=client, confirm=self.body.get("confirm", ""), by=self.actor)
