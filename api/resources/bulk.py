"""One change of many accounts by programs: a selection and an act, its review, a job with an outcome per account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api.base import ApiView, Guard, Parameter
from api.fields import MomentField, number, text
from api.once import Reply, Sort
from api.problems import ApiProblem, escaped
from api.reviews import EffectsRow, WhatIfRow, effects_row, what_if_row
from api.writes import DRY_RUN, WriteView, write
from editing.bulk import counts_of, outcome_now, propose_undo_of
from editing.bulk_job import start
from editing.bulk_review import effects_of_bulk, what_if_of_bulk
from editing.immediate import ImmediateEffects
from editing.models import BulkEdit, BulkRow, RowOutcome
from jobs.services import TooMany, cancel
from jobs.states import job_state
from subscribers import selection
from subscribers.acts import ACTS, LIMITS
from subscribers.bulk_forms import MOST_RATIO, MOST_VALUE
from subscribers.listings import SUBSCRIBERS
from subscribers.models import Subscriber
from users.listing import BadParameter
from users.parsing import whole_number
from users.permissions import may_manage, staff_only

MOST_IDS = selection.MOST_ROWS
ROWS_SHOWN = 200
CONFIRM = "The number of accounts that are changed, where that acts on positions at once."


# --- What is sent ---------------------------------------------------------------------------------------------------
class SelectionBody(serializers.Serializer):
    """Which accounts: their ids, or the filters of the list. One of both."""

    ids = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**31), required=False, min_length=1, max_length=MOST_IDS
    )
    filter = serializers.DictField(
        child=serializers.CharField(max_length=100, allow_blank=True),
        required=False,
        help_text="As the parameters of subscribers/ filter: state, currency, strategy, q … {}: every account.",
    )

    def validate(self, sent: dict[str, Any]) -> dict[str, Any]:
        if ("ids" in sent) == ("filter" in sent):
            raise serializers.ValidationError("Name “ids” or “filter”, one of both.")
        return sent


class LimitBody(serializers.Serializer):
    """Which risk limit: of one period and one measure there is one."""

    type = serializers.CharField(max_length=30)
    applyTo = serializers.CharField(max_length=40)


class ActBody(serializers.Serializer):
    """What is done to each account; which fields it takes, docs/api.md lists."""

    act = serializers.ChoiceField(list(ACTS))
    strategy = serializers.CharField(
        required=False, max_length=64, help_text="Id of a strategy at the backend: on the subscriptions to it."
    )
    value = serializers.FloatField(
        required=False,
        allow_null=True,
        min_value=1e-6,
        max_value=MOST_VALUE,
        help_text="The ratio, the factor, or the limit (shares from 0 to 1); null: no limit.",
    )
    setting = serializers.ChoiceField(list(LIMITS), required=False, help_text="Of the act “limit”.")
    limit = LimitBody(required=False, help_text="Of the act “risk-limit”.")
    closes = serializers.BooleanField(required=False, help_text="Whether the risk limit closes open positions.")
    mode = serializers.ChoiceField(
        ["", "by-position", "by-symbol", "immediately"],
        required=False,
        allow_blank=True,
        help_text="Of the act “close-only”; empty: it copies again.",
    )

    NEEDS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "set-ratio": ("value",),
        "multiply-ratio": ("value",),
        "limit": ("setting", "value"),
        "risk-limit": ("limit", "value"),
        "close-only": ("mode",),
    }

    def validate(self, sent: dict[str, Any]) -> dict[str, Any]:
        needed = self.NEEDS[sent["act"]]
        for name in needed:
            if name not in sent:
                raise serializers.ValidationError({name: "It is needed for this act."})
        is_ratio = "ratio" in sent["act"]
        if is_ratio and (sent["value"] is None or sent["value"] > MOST_RATIO):
            raise serializers.ValidationError({"value": f"A ratio is a number up to {MOST_RATIO}."})
        is_share = sent["act"] == "risk-limit" or sent.get("setting") == "maxTradeRisk"
        if is_share and sent["value"] is not None and sent["value"] > 1:
            raise serializers.ValidationError({"value": "A share is a number from 0 to 1."})
        taken = {"act", "strategy", *needed, *(("closes",) if sent["act"] == "risk-limit" else ())}
        if more := sorted(set(sent) - taken):
            raise serializers.ValidationError({more[0]: "This act does not take it."})
        return sent | ({"closes": bool(sent.get("closes"))} if sent["act"] == "risk-limit" else {})


class BulkBody(serializers.Serializer):
    """One act on many accounts."""

    selection = SelectionBody()
    change = ActBody()
    confirm = serializers.CharField(required=False, allow_blank=True, max_length=20, help_text=CONFIRM)


class ConfirmBody(serializers.Serializer):
    """What says that somebody means it."""

    confirm = serializers.CharField(required=False, allow_blank=True, max_length=20, help_text=CONFIRM)


# --- What is answered -----------------------------------------------------------------------------------------------
class BulkRowRow(serializers.Serializer):
    """One account of it."""

    subscriber_backend_id = text(source="backend_id")
    name = text()
    changes = text(source="words", help_text="Every setting on a line.")
    outcome = serializers.SerializerMethodField(
        help_text="to-do, done, unchanged, refused, conflict (somebody else changed it), failed, unknown."
    )
    reason = text(source="text")
    change = number(source="change_id", allow_null=True)

    def get_outcome(self, row: BulkRow) -> str:
        return outcome_now(row) or "to-do"


class BulkReviewRow(serializers.Serializer):
    """What it would do; the first of its accounts."""

    confirm = text(help_text="What “confirm” has to be where it is needed.")
    effects = EffectsRow()
    what_if = WhatIfRow(allow_null=True, help_text="null: only dry runs look back.")
    rows = BulkRowRow(many=True)


class BulkAnswer(serializers.Serializer):
    """One change of many accounts and how far it is."""

    id = number(allow_null=True, help_text="null: a dry run.")
    title = text()
    state = text(help_text="proposed, queued, running, trying-again, ending, done, failed, cancelled.")
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="How many accounts, by outcome.")
    job = number(allow_null=True)
    message = text()
    undoes = number(allow_null=True)
    started_at = MomentField(allow_null=True)
    review = BulkReviewRow(allow_null=True)


class BulkPage(serializers.Serializer):
    """Accounts of it, in their order."""

    results = BulkRowRow(many=True)
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)


def bulk_row(bulk: BulkEdit, *, review: dict[str, Any] | None = None) -> dict[str, Any]:
    """How far it is. A dry run has no id: nothing of it is kept."""
    counts = {outcome or "to-do": count for outcome, count in counts_of(bulk).items()}
    job = bulk.job
    return {
        "id": bulk.pk if bulk.started_at else None,
        "title": bulk.title,
        "state": job_state(job).code if job is not None else "proposed",
        "counts": counts,
        "job": bulk.job_id,
        "message": job.message if job is not None else "",
        "undoes": bulk.undoes_id,
        "started_at": MomentField().to_representation(bulk.started_at) if bulk.started_at else None,
        "review": review,
    }


def bulk_review(bulk: BulkEdit, effects: ImmediateEffects, *, looks_back: bool) -> dict[str, Any]:
    """The review as it is answered."""
    rows = bulk.rows.select_related("change").order_by("number")[:ROWS_SHOWN]
    return {
        "confirm": str(bulk.rows.filter(outcome=RowOutcome.TO_DO).count()),
        "effects": effects_row(effects),
        "what_if": what_if_row(what_if_of_bulk(bulk, now=timezone.now())) if looks_back else None,
        "rows": BulkRowRow(rows, many=True).data,
    }


# --- Views ----------------------------------------------------------------------------------------------------------
class BulkView(WriteView):
    """What beginning and undoing have in common."""

    tag = "Bulk changes"
    answers: ClassVar = {"POST": BulkAnswer}
    options: ClassVar = {"POST": (DRY_RUN,)}
    statuses: ClassVar = {"POST": (200, 202)}
    guards: ClassVar[Mapping[str, Guard]] = {"POST": may_manage}

    def begin(self, bulk: BulkEdit) -> Reply:
        """Show it, or start it. Raises ApiProblem."""
        effects = effects_of_bulk(bulk)
        if self.is_dry_run:
            answer = Reply(bulk_row(bulk, review=bulk_review(bulk, effects, looks_back=True)))
            bulk.delete()
            return answer
        count = bulk.rows.filter(outcome=RowOutcome.TO_DO).count()
        if effects.is_dangerous and self.body.get("confirm", "").strip() != str(count):
            review = bulk_review(bulk, effects, looks_back=False)
            error = {"pointer": "/confirm", "detail": f"Send “{count}”, the number of accounts."}
            raise ApiProblem("confirmation-needed", errors=[error], review=review)
        try:
            bulk.job = start(bulk, self.membership, by=self.actor, now=timezone.now())
        except TooMany as error:
            raise ApiProblem("too-many-requests", error.text, headers={"Retry-After": "60"}) from error
        address = self.request.build_absolute_uri(f"/api/v1/bulk/{bulk.pk}/")
        return Reply(bulk_row(bulk), 202, {"Location": address})


class SubscribersBulk(BulkView):
    """Change many accounts at once."""

    noun = "bulk_change"
    bodies: ClassVar = {"POST": BulkBody}
    names: ClassVar = {"POST": "change_subscribers"}

    @write(Sort.STORED)
    def post(self, request: Request) -> Reply:
        """Change many accounts at once: a job with an outcome for each."""
        try:
            bulk = selection.choose(self.membership, self.accounts(), by=self.actor, now=timezone.now())
        except selection.Unfit as error:
            raise ApiProblem("invalid", errors=[{"pointer": "/selection", "detail": error.text}]) from error
        selection.plan(bulk, dict(self.body["change"]))
        return self.begin(bulk)

    def accounts(self) -> QuerySet[Subscriber]:
        """Who was chosen. Raises Http404 where an id is none of the workspace's."""
        chosen = self.body["selection"]
        if "filter" in chosen:
            return self.matching(chosen["filter"])
        accounts = selection.ticked(self.membership, map(str, chosen["ids"]))
        if accounts.count() != len(set(chosen["ids"])):
            raise Http404
        return accounts

    def matching(self, filters: Mapping[str, str]) -> QuerySet[Subscriber]:
        """Who fits the filters; a misspelt one must not choose everybody. Raises ApiProblem."""
        known = [key for entry in SUBSCRIBERS.filters for key in entry.keys]
        for name in filters:
            if name not in known:
                detail = f"“{name[:60]}” is not a filter: there are {', '.join(known)}."
                raise ApiProblem(
                    "invalid", errors=[{"pointer": f"/selection/filter/{escaped(name)}", "detail": detail}]
                )
        try:
            return selection.listed(self.membership, urlencode(filters))
        except BadParameter as error:
            raise ApiProblem("invalid", errors=[{"pointer": "/selection/filter", "detail": error.text}]) from error


class OfBulk(ApiView):
    """What was begun."""

    tag = "Bulk changes"
    guards: ClassVar[Mapping[str, Guard]] = {"GET": staff_only}

    def bulk_of(self, pk: int) -> BulkEdit:
        """It, or 404."""
        begun = BulkEdit.objects.visible_to(self.membership).filter(started_at__isnull=False)
        return get_object_or_404(begun.select_related("job", "workspace"), pk=pk)


class BulkDetail(OfBulk):
    """One change of many accounts and how far it is."""

    noun = "bulk_state"
    answers: ClassVar = {"GET": BulkAnswer}

    def get(self, request: Request, pk: int) -> Response:
        """One change of many accounts and how far it is."""
        return Response(bulk_row(self.bulk_of(pk)))


AFTER = Parameter("after", "The position that “next” of the page before names.", {"type": "integer", "minimum": 0})


class BulkRows(OfBulk):
    """What became of each account."""

    noun = "bulk_outcomes"
    answers: ClassVar = {"GET": BulkPage}
    parameters = (AFTER,)

    def get(self, request: Request, pk: int) -> Response:
        """What became of each account, 200 on a page."""
        after = whole_number(request.query_params.get("after", "0"), largest=selection.MOST_ROWS)
        if after is None:
            raise BadParameter("“after” is a position that “next” has named.")
        rows = self.bulk_of(pk).rows.select_related("change").filter(number__gte=after).order_by("number")
        listed = list(rows[: ROWS_SHOWN + 1])
        more = listed[ROWS_SHOWN].number if len(listed) > ROWS_SHOWN else None
        address = None if more is None else request.build_absolute_uri(f"{request.path}?after={more}")
        results = BulkRowRow(listed[:ROWS_SHOWN], many=True).data
        return Response({"results": results, "next": address, "previous": None})


class BulkCancel(OfBulk, WriteView):
    """End it: accounts that are done stay as they are."""

    noun = "bulk_cancellation"
    guards: ClassVar[Mapping[str, Guard]] = {"POST": may_manage}
    answers: ClassVar = {"POST": BulkAnswer}
    names: ClassVar = {"POST": "cancel_bulk_change"}

    @write(Sort.STORED)
    def post(self, request: Request, pk: int) -> Reply:
        """End it: accounts that are done stay as they are."""
        bulk = self.bulk_of(pk)
        if bulk.job is not None:
            bulk.job = cancel(bulk.job, by=self.actor, now=timezone.now())
        return Reply(bulk_row(bulk))


class BulkUndo(OfBulk, BulkView):
    """Put back what was changed, where nobody has changed it since."""

    noun = "bulk_undo"
    guards: ClassVar[Mapping[str, Guard]] = {"POST": may_manage}
    bodies: ClassVar = {"POST": ConfirmBody}
    names: ClassVar = {"POST": "undo_bulk_change"}

    @write(Sort.STORED)
    def post(self, request: Request, pk: int) -> Reply:
        """Put back what was changed, where nobody has changed it since."""
        role, bulk = "" if self.membership.user_id else self.membership.role, self.bulk_of(pk)
        if bulk.job is not None and bulk.job.is_unfinished:
            raise ApiProblem("busy", "It is still being carried out.", headers={"Retry-After": "10"})
        undo = propose_undo_of(bulk, by=self.actor, service_role=role, now=timezone.now())
        if undo is None:
            raise ApiProblem("refused", "There is nothing to put back.")
        return self.begin(undo)
