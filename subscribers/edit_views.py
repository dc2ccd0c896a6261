"""Editing accounts that copy: settings, subscriptions, close-only, removal. Everything goes through the review."""

from __future__ import annotations

import re
from typing import get_args

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from copying.contract.settings import CloseOnly
from copying.engine.model import Level
from strategies.chains import leaf_chains, strategies_of
from strategies.changes import NotDone, Spot, backend_of, propose, propose_creation, propose_form, read_document
from strategies.edit_views import answer_removal, chosen_connection, held_by
from strategies.editing.fields import parts_field
from strategies.editing.forms import Problem, SettingsForm
from strategies.form_pages import (
    Extra,
    answer_form,
    answer_new,
    connection_extra,
    draft_to_create,
    part_draft,
    strategy_options,
)
from strategies.models import Action, Change, Strategy, Target
from strategies.terms import Chain
from subscribers.models import Subscriber
from subscribers.views import MOST_SUBSCRIPTIONS, page_of, visible_subscriber
from users.models import Connection
from users.parsing import row_id
from users.permissions import may_manage
from users.requests import MemberRequest

ACCOUNT_ID = re.compile(r"[A-Za-z0-9_.:+-]{1,64}")


def spot_of(subscriber: Subscriber, part: str = "") -> Spot:
    """Where the settings of an account or of one of its subscriptions stand."""
    level = Level.SUBSCRIPTION if part else Level.SUBSCRIBER
    return Spot(subscriber.connection, Target.SUBSCRIBER, subscriber.backend_id, subscriber.name, level, part)


def home(subscriber: Subscriber) -> str:
    """Where one comes from and goes back to."""
    return reverse("subscribers:subscriptions", args=[subscriber.pk])


def chains_of(subscriber: Subscriber, strategy_ids: list[str]) -> list[Chain]:
    """The chains of these subscriptions down to the account."""
    strategies, spot = strategies_of(subscriber.connection_id), spot_of(subscriber)
    account = (Level.SUBSCRIBER, subscriber.document)
    found = []
    for strategy_id in strategy_ids:
        own = Spot(spot.connection, spot.kind, spot.backend_id, "", Level.SUBSCRIPTION, strategy_id)
        terms = own.part_of(subscriber.document) or {}
        found += [[*chain, (Level.SUBSCRIPTION, terms), account] for _, chain in leaf_chains(strategy_id, strategies)]
    return found or [[account]]


@require_http_methods(["GET", "POST"])
@may_manage
def edit(request: MemberRequest, pk: int) -> HttpResponse:
    """The settings of an account."""
    subscriber = visible_subscriber(request, pk)
    subscribed = [
        one.get("strategyId", "") for one in subscriber.document.get("subscriptions") or [] if not one.get("removed")
    ]
    context = page_of(request, subscriber, "subscriptions", title="Edit the account's settings")
    context["holds"] = held_by(chains_of(subscriber, subscribed[:MOST_SUBSCRIPTIONS]))
    return answer_form(
        request, spot_of(subscriber), document=subscriber.document, template="subscribers/edit.html", context=context,
        back=home(subscriber),
    )  # fmt: skip


@require_http_methods(["GET", "POST"])
@may_manage
def edit_subscription(request: MemberRequest, pk: int, strategy_id: str) -> HttpResponse:
    """The terms on which an account copies one strategy."""
    subscriber = visible_subscriber(request, pk)
    spot = spot_of(subscriber, strategy_id)
    if spot.part_of(subscriber.document) is None:
        raise Http404
    name = name_of(subscriber, strategy_id)
    context = page_of(request, subscriber, "subscriptions", title=f"Terms for {name}")
    context["holds"] = held_by(chains_of(subscriber, [strategy_id]))
    return answer_form(
        request, spot, document=subscriber.document, template="subscribers/edit.html", context=context,
        back=home(subscriber),
    )  # fmt: skip


def name_of(subscriber: Subscriber, strategy_id: str) -> str:
    """A strategy's name, or its id where it is not mirrored."""
    found = Strategy.objects.filter(connection_id=subscriber.connection_id, backend_id=strategy_id)
    return found.values_list("name", flat=True).first() or strategy_id


@require_http_methods(["GET", "POST"])
@may_manage
def subscribe(request: MemberRequest, pk: int) -> HttpResponse:
    """One more strategy for an account, with its terms."""
    subscriber = visible_subscriber(request, pk)
    there = [one.get("strategyId") for one in subscriber.document.get("subscriptions") or []]
    draft = part_draft(request, spot_of(subscriber))

    def make(form: SettingsForm, values: dict[str, str]) -> Change | None:
        chosen = spot_of(subscriber, values["strategy"])
        with backend_of(subscriber.connection) as client:
            return propose_form(chosen, form, client=client, by=request.user, address=request.path)

    value = draft.part if draft else request.GET.get("strategy", "")
    options = strategy_options(subscriber.connection, without=there)
    extra = Extra("strategy", "Strategy", "What the account copies from now on.", options=options, value=value)
    spot = spot_of(subscriber, draft.part) if draft else None
    drafted, path = (spot.part_of(draft.after), spot.path_in(draft.after)) if spot and draft else (None, "")
    context = page_of(request, subscriber, "subscriptions", title="Subscribe to a strategy")
    return answer_new(
        request, level=Level.SUBSCRIPTION, extras=[extra], make=make, template="subscribers/edit.html",
        context=context, back=home(subscriber), draft=draft, drafted=drafted, path=path,
    )  # fmt: skip


@require_http_methods(["GET", "POST"])
@may_manage
def new(request: MemberRequest) -> HttpResponse:
    """An account that copies from now on: its settings and subscriptions."""
    draft = draft_to_create(request, Target.SUBSCRIBER)
    connection = chosen_connection(request)
    offered = strategy_options(connection) if connection else []
    help = "What it copies, each strategy with its ratio. More terms are set on the account's page."
    subscriptions = parts_field("subscriptions", "Subscriptions", help, Level.SUBSCRIBER, offered)
    extras = [
        connection_extra(request),
        Extra("account", "Trading account", "Its id at the backend: letters, digits, - and _.", placeholder="ACC-1001"),
    ]
    if draft is not None:
        for extra, value in zip(extras, (str(draft.connection_id), draft.backend_id), strict=True):
            extra.value = value

    def make(form: SettingsForm, values: dict[str, str]) -> Change | None:
        chosen = get_object_or_404(Connection, pk=row_id(values["connection"]), workspace=request.workspace)
        if not ACCOUNT_ID.fullmatch(values["account"]):
            form.problems.append(
                Problem("account", "Trading account", "An id has 1 to 64 letters, digits and - _ . : +.")
            )
            return None
        there = Subscriber.objects.filter(connection=chosen, backend_id=values["account"], is_removed=False)
        if there.exists():
            form.add_problem("", f"The account {values['account']} copies already.")
            return None
        spot = Spot(chosen, Target.SUBSCRIBER, values["account"], form.texts.get("name", ""), Level.SUBSCRIBER)
        return propose_creation(spot, form, by=request.user, draft=draft, address=request.path)

    return answer_new(
        request, level=Level.SUBSCRIBER, extras=extras, make=make, template="subscribers/new.html", context={},
        draft=draft, drafted=draft.after if draft else None, back=reverse("subscribers:list"), more=(subscriptions,),
    )  # fmt: skip


@require_POST
@may_manage
def set_close_only(request: MemberRequest, pk: int) -> HttpResponse:
    """Pause an account or one subscription, let it go on, or close everything: proposed for the review."""
    subscriber = visible_subscriber(request, pk)
    strategy_id, mode = request.POST.get("strategy", ""), request.POST.get("mode", "")
    if mode and mode not in get_args(CloseOnly):
        return redirect(home(subscriber))
    spot = spot_of(subscriber, strategy_id)
    try:
        with backend_of(subscriber.connection) as client:
            current = read_document(client, spot.kind, spot.backend_id)
    except NotDone as error:
        messages.error(request, error.text)
        return redirect(home(subscriber))
    settings = spot.part_of(current)
    if settings is None:
        raise Http404
    if (settings.get("closeOnly") or "") == mode:
        messages.info(request, "It is like that already.")
        return redirect(home(subscriber))
    kept = {name: value for name, value in settings.items() if name != "closeOnly"}
    after = spot.put_back(current, kept | ({"closeOnly": mode} if mode else {}))
    change = propose(spot, by=request.user, now=timezone.now(), before=current, after=after)
    return redirect("subscribers:change", change.pk)


# --- Removal ----------------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "POST"])
@may_manage
def remove(request: MemberRequest, pk: int) -> HttpResponse:
    """An account copies nothing any more, with close instructions."""
    subscriber = visible_subscriber(request, pk)
    context = page_of(request, subscriber, "subscriptions", title=f"Remove {subscriber.name}")
    return answer_removal(
        request, spot_of(subscriber), Action.REMOVE, "subscribers/remove.html", context, back=home(subscriber)
    )


@require_http_methods(["GET", "POST"])
@may_manage
def unsubscribe(request: MemberRequest, pk: int, strategy_id: str) -> HttpResponse:
    """An account stops copying one strategy, with close instructions."""
    subscriber = visible_subscriber(request, pk)
    spot = spot_of(subscriber, strategy_id)
    if spot.part_of(subscriber.document) is None:
        raise Http404
    name = name_of(subscriber, strategy_id)
    context = page_of(request, subscriber, "subscriptions", title=f"Unsubscribe {subscriber.name} from {name}")
    return answer_removal(request, spot, Action.TAKE_OUT, "subscribers/remove.html", context, back=home(subscriber))
