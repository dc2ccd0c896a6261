"""Editing accounts that copy: settings, subscriptions, close-only, removal. Everything goes through the review."""

from __future__ import annotations

import re
from typing import Any, get_args

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from accounts.choices import problem_with_account as why_unfit
from accounts.choices import suggestions_address
from copying.contract.settings import CloseOnly
from copying.engine.model import Level
from editing.backend import NotDone, backend_of
from editing.fields import parts_field
from editing.form_pages import (
    Extra,
    NewSettings,
    answer_form,
    answer_new,
    answer_new_part,
    answer_removal,
    chosen_connection,
    connection_extra,
    draft_to_create,
    in_force,
)
from editing.forms import SettingsForm
from editing.models import Action, Change
from editing.problems import InputProblem
from editing.proposals import propose, propose_creation
from editing.scopes import EditScope, scope_of
from editing.targets import SUBSCRIBER, names_of
from editing.terms import Chain
from strategies.chains import leaf_chains, strategies_of
from strategies.offers import strategy_options
from subscribers.models import Subscriber
from subscribers.pages import page_of, visible_subscriber
from users.models import Connection
from users.parsing import row_id
from users.permissions import may_manage
from users.requests import MemberRequest

MOST_SUBSCRIPTIONS = 50
ACCOUNT_ID = re.compile(r"[A-Za-z0-9_.:+-]{1,64}")


def form_page(request: MemberRequest, subscriber: Subscriber, title: str, **more: Any) -> dict[str, Any]:
    """What a page with a form of one account needs."""
    layout = "subscribers/_page.html"
    return page_of(request, subscriber, "subscriptions", title=title, layout=layout, **more)


def home(subscriber: Subscriber) -> str:
    """Where one comes from and goes back to."""
    return reverse("subscribers:subscriptions", args=[subscriber.pk])


def chains_of(subscriber: Subscriber, strategy_ids: list[str]) -> list[Chain]:
    """The chains of these subscriptions down to the account."""
    strategies = strategies_of(subscriber.connection_id)
    account = (Level.SUBSCRIBER, subscriber.document)
    chains: list[Chain] = []
    for strategy_id in strategy_ids:
        terms = scope_of(subscriber, strategy_id).settings_in(subscriber.document) or {}
        below = [(Level.SUBSCRIPTION, terms), account]
        chains += [[*chain, *below] for _, chain in leaf_chains(strategy_id, strategies)]
    return chains or [[account]]


@require_http_methods(["GET", "POST"])
@may_manage
def edit(request: MemberRequest, pk: int) -> HttpResponse:
    """The settings of an account."""
    subscriber = visible_subscriber(request, pk)
    holds = in_force(chains_of(subscriber, current_strategies(subscriber)[:MOST_SUBSCRIPTIONS]))
    context = form_page(request, subscriber, "Edit the account's settings", holds=holds)
    return answer_form(
        request, scope_of(subscriber), document=subscriber.document, context=context, came_from=home(subscriber)
    )


def current_strategies(subscriber: Subscriber) -> list[str]:
    """Ids of what the account copies and does not wind down."""
    subscriptions = subscriber.document.get("subscriptions") or []
    return [terms.get("strategyId", "") for terms in subscriptions if not terms.get("removed")]


def subscription_scope(subscriber: Subscriber, strategy_id: str) -> EditScope:
    """Where the terms of a subscription stand; 404 without one."""
    scope = scope_of(subscriber, strategy_id)
    if scope.settings_in(subscriber.document) is None:
        raise Http404
    return scope


def name_of(subscriber: Subscriber, strategy_id: str) -> str:
    """A strategy's name, or its id where it is not mirrored."""
    return names_of(subscriber.connection_id, [strategy_id]).get(strategy_id, strategy_id)


@require_http_methods(["GET", "POST"])
@may_manage
def edit_subscription(request: MemberRequest, pk: int, strategy_id: str) -> HttpResponse:
    """The terms on which an account copies one strategy."""
    subscriber = visible_subscriber(request, pk)
    scope = subscription_scope(subscriber, strategy_id)
    holds = in_force(chains_of(subscriber, [strategy_id]))
    context = form_page(request, subscriber, f"Terms for {name_of(subscriber, strategy_id)}", holds=holds)
    return answer_form(request, scope, document=subscriber.document, context=context, came_from=home(subscriber))


@require_http_methods(["GET", "POST"])
@may_manage
def subscribe(request: MemberRequest, pk: int) -> HttpResponse:
    """One more strategy for an account, with its terms."""
    subscriber = visible_subscriber(request, pk)
    copied = [terms.get("strategyId") for terms in subscriber.document.get("subscriptions") or []]
    options = strategy_options(subscriber.connection, without=copied)
    extra = Extra("strategy", "Strategy", "What the account copies from now on.", options=options)
    context = form_page(request, subscriber, "Subscribe to a strategy")
    return answer_new_part(request, scope_of(subscriber), extra=extra, context=context, came_from=home(subscriber))


@require_http_methods(["GET", "POST"])
@may_manage
def new(request: MemberRequest) -> HttpResponse:
    """An account that copies from now on: its settings and subscriptions."""
    draft = draft_to_create(request, SUBSCRIBER)
    connection = chosen_connection(request)
    options = strategy_options(connection) if connection else []
    help = "What it copies, each strategy with its ratio. More terms are set on the account's page."
    subscriptions = parts_field("subscriptions", "Subscriptions", help, Level.SUBSCRIBER, options)
    extras = [
        connection_extra(request),
        account_extra(connection),
    ]
    if draft is not None:
        for extra, value in zip(extras, (str(draft.connection_id), draft.backend_id), strict=True):
            extra.value = value

    def make(form: SettingsForm, values: dict[str, str]) -> Change | None:
        chosen = get_object_or_404(Connection, pk=row_id(values["connection"]), workspace=request.workspace)
        if problem := problem_with_account(chosen, values["account"]):
            form.problems.append(problem)
            return None
        scope = EditScope(chosen, SUBSCRIBER, values["account"], form.texts.get("name", ""))
        return propose_creation(scope, form, by=request.user, draft=draft, address=request.path)

    settings = draft.after if draft else None
    form = NewSettings(Level.SUBSCRIBER, extras, make, draft, settings, more=(subscriptions,))
    return answer_new(
        request, form, context={"template": "subscribers/new.html"}, came_from=reverse("subscribers:list")
    )


def account_extra(connection: Connection | None) -> Extra:
    """Which account: suggestions by name, login or id where the connection offers accounts, else its id is typed."""
    source = suggestions_address(connection, "SUBSCRIBER")
    help = "Its id at the backend: letters, digits, - and _."
    if source:
        help = "Type a part of its name or login, and choose: the account's id at the backend is kept."
    return Extra("account", "Trading account", help, placeholder="ACC-1001", source=source)


def problem_with_account(connection: Connection, account_id: str) -> InputProblem | None:
    """Why an account of this id cannot be made a subscriber; None: it can."""
    if not ACCOUNT_ID.fullmatch(account_id):
        text = "An id has 1 to 64 letters, digits and - _ . : +."
        return InputProblem("account", "Trading account", text)
    same = Subscriber.objects.filter(connection=connection, backend_id=account_id, is_removed=False)
    if same.exists():
        return InputProblem("", "", f"The account {account_id} copies already.")
    text = why_unfit(connection, account_id, "SUBSCRIBER")
    return InputProblem("account", "Trading account", text) if text else None


@require_POST
@may_manage
def set_close_only(request: MemberRequest, pk: int) -> HttpResponse:
    """Pause an account or one subscription, let it go on, or close everything: proposed for the review."""
    subscriber = visible_subscriber(request, pk)
    strategy_id, mode = request.POST.get("strategy", ""), request.POST.get("mode", "")
    if mode and mode not in get_args(CloseOnly):
        return redirect(home(subscriber))
    scope = scope_of(subscriber, strategy_id)
    try:
        with backend_of(subscriber.connection) as client:
            current = scope.target.read(client, scope.backend_id)
    except NotDone as error:
        messages.error(request, error.text)
        return redirect(home(subscriber))
    settings = scope.settings_in(current)
    if settings is None:
        raise Http404
    if (settings.get("closeOnly") or "") == mode:
        messages.info(request, "It is like that already.")
        return redirect(home(subscriber))
    others = {name: value for name, value in settings.items() if name != "closeOnly"}
    after = scope.replace_part(current, others | ({"closeOnly": mode} if mode else {}))
    change = propose(scope, by=request.user, now=timezone.now(), before=current, after=after)
    return redirect("editing:change", change.pk)


# --- Removal --------------------------------------------------------------------------------------------------------
LEAD = "New trades are no longer copied. Say what becomes of the positions that are open."


@require_http_methods(["GET", "POST"])
@may_manage
def remove(request: MemberRequest, pk: int) -> HttpResponse:
    """An account copies nothing any more, with close instructions."""
    subscriber = visible_subscriber(request, pk)
    context = form_page(request, subscriber, f"Remove {subscriber.name}", lead=LEAD)
    return answer_removal(request, scope_of(subscriber), Action.REMOVE, context, came_from=home(subscriber))


@require_http_methods(["GET", "POST"])
@may_manage
def unsubscribe(request: MemberRequest, pk: int, strategy_id: str) -> HttpResponse:
    """An account stops copying one strategy, with close instructions."""
    subscriber = visible_subscriber(request, pk)
    scope = subscription_scope(subscriber, strategy_id)
    name = name_of(subscriber, strategy_id)
    context = form_page(request, subscriber, f"Unsubscribe {subscriber.name} from {name}", lead=LEAD)
    return answer_removal(request, scope, Action.TAKE_OUT, context, came_from=home(subscriber))
