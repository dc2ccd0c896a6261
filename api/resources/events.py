"""Addresses that are told of events: entering, changing and removing them, what they were told, telling it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api.base import Guard
from api.fields import MomentField, RowSerializer, flag, number, text
from api.lists import ListView, RowView, listing_for
from api.once import Reply, Sort
from api.problems import ApiProblem
from api.writes import WriteView, errors_of_form, write
from users import event_acts
from users.event_forms import EditEndpointForm, EndpointForm
from users.event_sending import deliver_again, send_test
from users.event_views import DELIVERIES
from users.events import KINDS, DeliveryState, EventDelivery, EventEndpoint
from users.models import Membership
from users.permissions import may_manage, staff_only

SWITCHED_OFF = "The address is switched off: switch it on first."


class EndpointRow(serializers.Serializer):
    """An address that is told of events. Its secret is told once, when it is entered."""

    id = number()
    name = text()
    url = text()
    kinds = serializers.ListField(child=serializers.CharField(), read_only=True, help_text="[]: all of them.")
    is_enabled = flag()
    created_at = MomentField()
    succeeded_at = MomentField(allow_null=True, help_text="When it took one the last time.")
    failing_since = MomentField(allow_null=True)
    disabled_at = MomentField(allow_null=True, help_text="When it was switched off after a long failure.")


class EndpointPage(serializers.Serializer):
    """All addresses of the workspace."""

    results = EndpointRow(many=True)
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)


class EndpointBody(serializers.Serializer):
    """An address to tell."""

    name = serializers.CharField(max_length=120)
    url = serializers.CharField(max_length=500)
    kinds = serializers.ListField(
        child=serializers.ChoiceField(list(KINDS)), required=False, max_length=50, help_text="[], or none: all of them."
    )


class EndpointPatch(serializers.Serializer):
    """What is changed of an address; what is not named stays."""

    name = serializers.CharField(required=False, max_length=120)
    url = serializers.CharField(required=False, max_length=500)
    kinds = serializers.ListField(child=serializers.ChoiceField(list(KINDS)), required=False, max_length=50)
    is_enabled = serializers.BooleanField(required=False)


class SecretAnswer(serializers.Serializer):
    """An address with its secret, which is told now only."""

    id = number()
    name = text()
    url = text()
    secret = text(help_text="Of the signatures: whsec_ and base64.")


class EndpointAnswer(serializers.Serializer):
    """The address that was acted on."""

    id = number()
    name = text()


class OfEndpoints(WriteView):
    """What addresses have in common."""

    tag = "Events"

    def endpoint(self, pk: int) -> EventEndpoint:
        """The address. Raises Http404."""
        own = EventEndpoint.objects.visible_to(self.membership).defer("secret").select_related("workspace")
        return get_object_or_404(own, pk=pk)


class Endpoints(OfEndpoints):
    """The addresses that are told of events."""

    noun, is_list = "event_endpoints", True
    guards: ClassVar[Mapping[str, Guard]] = {"GET": staff_only, "POST": may_manage}
    answers: ClassVar = {"GET": EndpointPage, "POST": SecretAnswer}
    bodies: ClassVar = {"POST": EndpointBody}
    statuses: ClassVar = {"POST": (201,)}
    names: ClassVar = {"POST": "enter_event_endpoint"}

    def get(self, request: Request) -> Response:
        """The addresses that are told of events."""
        rows = EventEndpoint.objects.visible_to(self.membership).defer("secret").order_by("name", "pk")
        return Response({"results": EndpointRow(rows, many=True).data, "next": None, "previous": None})

    @write(Sort.STORED)
    def post(self, request: Request) -> Reply:
        """Enter an address that is told of events; the answer has its secret, once."""
        form = EndpointForm(self.body)
        if not form.is_valid():
            raise ApiProblem("invalid", errors=errors_of_form(form))
        try:
            endpoint, secret = event_acts.enter(self.workspace, by=self.actor, now=timezone.now(), **form.cleaned_data)
        except event_acts.TooManyEndpoints as error:
            raise ApiProblem("refused", error.text) from error
        return Reply({"id": endpoint.pk, "name": endpoint.name, "url": endpoint.url, "secret": secret}, 201)


class EndpointDetail(OfEndpoints):
    """One address that is told of events."""

    noun = "event_endpoint"
    guards: ClassVar[Mapping[str, Guard]] = {"GET": staff_only, "PATCH": may_manage}
    answers: ClassVar = {"GET": EndpointRow, "PATCH": EndpointRow}
    bodies: ClassVar = {"PATCH": EndpointPatch}

    def get(self, request: Request, pk: int) -> Response:
        """One address that is told of events."""
        return Response(EndpointRow(self.endpoint(pk)).data)

    @write(Sort.STORED)
    def patch(self, request: Request, pk: int) -> Reply:
        """Change an address: its name, where it is, which events it is told of, whether it is told."""
        endpoint = self.endpoint(pk)
        form = EditEndpointForm(event_acts.values_of(endpoint) | self.body)
        if not form.is_valid():
            raise ApiProblem("invalid", errors=errors_of_form(form))
        event_acts.change(endpoint, form.cleaned_data, by=self.actor, now=timezone.now())
        return Reply(EndpointRow(endpoint).data)


class EndpointSecret(OfEndpoints):
    """Give an address another secret."""

    noun = "event_endpoint_secret"
    guards: ClassVar[Mapping[str, Guard]] = {"POST": may_manage}
    answers: ClassVar = {"POST": SecretAnswer}
    names: ClassVar = {"POST": "replace_event_endpoint_secret"}

    @write(Sort.STORED)
    def post(self, request: Request, pk: int) -> Reply:
        """Give an address another secret, from now on; the answer has it, once."""
        endpoint = self.endpoint(pk)
        secret = event_acts.replace_secret(endpoint, by=self.actor, now=timezone.now())
        return Reply({"id": pk, "name": endpoint.name, "url": endpoint.url, "secret": secret})


class EndpointTest(OfEndpoints):
    """Send an address a test."""

    noun = "event_endpoint_test"
    guards: ClassVar[Mapping[str, Guard]] = {"POST": may_manage}
    answers: ClassVar = {"POST": EndpointAnswer}
    names: ClassVar = {"POST": "test_event_endpoint"}

    @write(Sort.STORED)
    def post(self, request: Request, pk: int) -> Reply:
        """Send an address a test; its deliveries say what became of it."""
        endpoint = self.endpoint(pk)
        if not endpoint.is_enabled:
            raise ApiProblem("refused", SWITCHED_OFF)
        send_test(endpoint, by=self.actor, now=timezone.now())
        return Reply({"id": pk, "name": endpoint.name})


class EndpointRemovalBody(serializers.Serializer):
    """What says that somebody means it."""

    confirm = serializers.CharField(required=False, allow_blank=True, max_length=120, help_text="Its name.")


class EndpointRemoval(OfEndpoints):
    """Remove an address."""

    noun = "event_endpoint_removal"
    guards: ClassVar[Mapping[str, Guard]] = {"POST": may_manage}
    answers: ClassVar = {"POST": EndpointAnswer}
    bodies: ClassVar = {"POST": EndpointRemovalBody}
    names: ClassVar = {"POST": "remove_event_endpoint"}

    @write(Sort.STORED)
    def post(self, request: Request, pk: int) -> Reply:
        """Tell an address nothing more, and forget what it was told. “confirm” is its name."""
        endpoint = self.endpoint(pk)
        if self.body.get("confirm", "").strip() != endpoint.name.strip():
            error = {"pointer": "/confirm", "detail": "Send the name of the address."}
            raise ApiProblem("confirmation-needed", "Nothing was changed: it has to be confirmed.", errors=[error])
        event_acts.remove(endpoint, by=self.actor, now=timezone.now())
        return Reply({"id": pk, "name": endpoint.name})


# --- What they were told ----------------------------------------------------------------------------------------------
class DeliveryRow(RowSerializer):
    """One event on its way to an address."""

    reads = (
        "queued_at",
        "kind",
        "event_id",
        "state",
        "attempts",
        "status",
        "duration_ms",
        "refusal",
        "due_at",
        "settled_at",
    )
    webhook_id = text(source="event_id", help_text="As in the header of each attempt.")
    kind = text()
    state = serializers.ChoiceField(DeliveryState.choices, read_only=True)
    attempts = number()
    status = number(allow_null=True, help_text="Of the last answer.")
    duration_ms = number(allow_null=True)
    refusal = text(help_text="Why it was not taken.")
    queued_at = MomentField()
    due_at = MomentField(help_text="When it is sent next, while it waits.")
    settled_at = MomentField(allow_null=True)


class OfDeliveries:
    """Deliveries to the addresses of the workspace."""

    tag, row = "Events", DeliveryRow
    listing = listing_for(DELIVERIES, DeliveryRow)

    def rows(self, membership: Membership) -> QuerySet:
        return EventDelivery.objects.visible_to(membership)


class Deliveries(OfDeliveries, ListView):
    """What an address was told."""

    noun = "event_deliveries"

    def rows(self, membership: Membership) -> QuerySet:
        own = EventEndpoint.objects.visible_to(membership).defer("secret")
        return super().rows(membership).filter(endpoint=get_object_or_404(own, pk=self.kwargs["pk"]))


class DeliveryDetail(OfDeliveries, RowView):
    """One event on its way to an address."""

    noun = "event_delivery"


class DeliveryRepetition(WriteView):
    """Tell an address of an event once more."""

    tag, noun = "Events", "event_repetition"
    guards: ClassVar[Mapping[str, Guard]] = {"POST": may_manage}
    answers: ClassVar = {"POST": EndpointAnswer}
    names: ClassVar = {"POST": "repeat_event_delivery"}

    @write(Sort.STORED)
    def post(self, request: Request, pk: int) -> Reply:
        """Tell an address of an event once more, with the same id."""
        own = EventDelivery.objects.visible_to(self.membership).select_related("event", "endpoint")
        delivery = get_object_or_404(own.defer("endpoint__secret"), pk=pk)
        if not delivery.endpoint.is_enabled:
            raise ApiProblem("refused", SWITCHED_OFF)
        deliver_again(delivery, by=self.actor, now=timezone.now())
        return Reply({"id": delivery.endpoint_id, "name": delivery.endpoint.name})
