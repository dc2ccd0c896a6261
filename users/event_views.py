"""Pages of outgoing events: the addresses that are told, what was delivered, sending again, a test."""

from __future__ import annotations

import json

from django.contrib import messages
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from users import event_acts
from users.confirming import confirmed
from users.event_forms import EditEndpointForm, EndpointForm
from users.event_sending import deliver_again, send_test
from users.events import KINDS, DeliveryState, EventDelivery, EventEndpoint
from users.listing import Choice, Column, DayRange, Listing, Option, Search
from users.permissions import can_manage, may_manage, staff_only
from users.requests import MemberRequest

DELIVERIES = Listing(
    name="deliveries",
    sort="-queued_at",
    columns=(
        Column("queued_at", "When", is_sortable=True),
        Column("kind", "Event", source="event__kind"),
        Column("event_id", csv_name="webhook_id"),
        Column("state", "State"),
        Column("attempts", "Attempts", is_number=True),
        Column("status", "Answer", is_number=True),
        Column("duration_ms", "Took, ms", is_number=True),
        Column("refusal"),
        Column("due_at"),
        Column("settled_at"),
    ),
    filters=(
        Search("q", "Search", placeholder="Search in events", fields=("event__kind", "event__body")),
        Choice(
            "state",
            "State",
            placeholder="Any state",
            options=[Option(state.value, state.label) for state in DeliveryState],
        ),
        DayRange("period", "Period", field="queued_at"),
    ),
)


def own_endpoint(request: MemberRequest, pk: int) -> EventEndpoint:
    """An address of the workspace, or 404."""
    return get_object_or_404(EventEndpoint.objects.visible_to(request.membership).defer("secret"), pk=pk)


@require_safe
@staff_only
def endpoints(request: MemberRequest) -> HttpResponse:
    """Every address of the workspace."""
    own = EventEndpoint.objects.visible_to(request.membership).defer("secret").order_by("name", "pk")
    context = {"tab": "events", "endpoints": list(own), "may_set": can_manage(request.membership)}
    return render(request, "users/event_endpoints.html", context)


@require_http_methods(["GET", "POST"])
@never_cache
@may_manage
@confirmed
def new_endpoint(request: MemberRequest) -> HttpResponseBase:
    """Enter an address; the answer shows its secret, once."""
    form = EndpointForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        context = {"tab": "events", "form": form, "endpoint": None}
        return render(request, "users/event_endpoint_form.html", context, status=422 if form.errors else 200)
    try:
        endpoint, secret = event_acts.enter(request.workspace, by=request.user, now=timezone.now(), **form.cleaned_data)
    except event_acts.TooManyEndpoints as error:
        messages.error(request, error.text)
        return redirect("users:event-endpoints")
    return render(request, "users/event_secret.html", {"endpoint": endpoint, "secret": secret}, status=201)


@require_http_methods(["GET", "POST"])
@may_manage
@confirmed
def edit_endpoint(request: MemberRequest, pk: int) -> HttpResponseBase:
    """Change name, address, events, or switch it off and on."""
    endpoint = own_endpoint(request, pk)
    form = EditEndpointForm(request.POST or None, initial=event_acts.values_of(endpoint))
    if request.method != "POST" or not form.is_valid():
        context = {"tab": "events", "form": form, "endpoint": endpoint}
        return render(request, "users/event_endpoint_form.html", context, status=422 if form.errors else 200)
    event_acts.change(endpoint, form.cleaned_data, by=request.user, now=timezone.now())
    messages.success(request, "Saved.")
    return redirect("users:event-endpoint", pk)


@require_POST
@never_cache
@may_manage
@confirmed
def replace_secret(request: MemberRequest, pk: int) -> HttpResponse:
    """Another secret, from now on; the answer shows it, once."""
    endpoint = own_endpoint(request, pk)
    secret = event_acts.replace_secret(endpoint, by=request.user, now=timezone.now())
    return render(request, "users/event_secret.html", {"endpoint": endpoint, "secret": secret}, status=201)


@require_POST
@may_manage
@confirmed
def remove_endpoint(request: MemberRequest, pk: int) -> HttpResponse:
    """Tell it nothing more, and forget what it was told."""
    endpoint = own_endpoint(request, pk)
    event_acts.remove(endpoint, by=request.user, now=timezone.now())
    messages.success(request, f"{endpoint.name} is told nothing more.")
    return redirect("users:event-endpoints")


# --- Deliveries -------------------------------------------------------------------------------------------------------
@require_safe
@staff_only
def endpoint_page(request: MemberRequest, pk: int) -> HttpResponseBase:
    """What an address was told, and what it answered."""
    endpoint = own_endpoint(request, pk)
    own = EventDelivery.objects.visible_to(request.membership).filter(endpoint=endpoint)
    table = DELIVERIES.bind(request, own)
    if table.wants_csv:
        return table.csv()
    page = "users/_event_deliveries.html" if request.partial else "users/event_endpoint.html"
    context = {
        "tab": "events",
        "endpoint": endpoint,
        "table": table,
        "words": dict(DeliveryState.choices),
        "kinds": [KINDS[kind] for kind in endpoint.kinds if kind in KINDS],
        "may_set": can_manage(request.membership),
    }
    return render(request, page, context)


def own_delivery(request: MemberRequest, pk: int) -> EventDelivery:
    """A delivery to an address of the workspace, or 404."""
    own = EventDelivery.objects.visible_to(request.membership).select_related("event", "endpoint")
    return get_object_or_404(own.defer("endpoint__secret"), pk=pk)


@require_safe
@staff_only
def delivery_page(request: MemberRequest, pk: int) -> HttpResponse:
    """One event as an address was told it."""
    delivery = own_delivery(request, pk)
    body = json.dumps(json.loads(delivery.event.body), indent=2, ensure_ascii=False)
    context = {"tab": "events", "delivery": delivery, "body": body, "may_set": can_manage(request.membership)}
    return render(request, "users/event_delivery.html", context)


@require_POST
@may_manage
def repeat_delivery(request: MemberRequest, pk: int) -> HttpResponse:
    """Tell an address of an event once more, with the same id."""
    delivery = own_delivery(request, pk)
    if not delivery.endpoint.is_enabled:
        messages.error(request, "The address is switched off: switch it on first.")
    else:
        deliver_again(delivery, by=request.user, now=timezone.now())
        messages.success(request, "It is sent again within seconds, with the same id.")
    return redirect("users:event-delivery", pk)


@require_POST
@may_manage
def test_endpoint(request: MemberRequest, pk: int) -> HttpResponse:
    """Send a test; what becomes of it is in the list."""
    endpoint = own_endpoint(request, pk)
    if not endpoint.is_enabled:
        messages.error(request, "The address is switched off: switch it on first.")
    else:
        send_test(endpoint, by=request.user, now=timezone.now())
        messages.success(request, "A test is on its way: what the address answers is below within seconds.")
    return redirect("users:event-endpoint", pk)
