"""Editing what is offered: settings of strategies, portfolios and their members. Everything goes through the review."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from copying.engine.model import Level
from strategies.chains import MOST_LEAVES, leaf_chains, strategies_of
from strategies.changes import NotDone, Spot, backend_of, propose, propose_creation, propose_form, read_document
from strategies.editing.fields import Field, parts_field
from strategies.editing.forms import SettingsForm
from strategies.form_pages import (
    Extra,
    Holds,
    answer_form,
    answer_new,
    connection_extra,
    draft_to_create,
    holds_in,
    part_draft,
    strategy_options,
)
from strategies.models import Action, Change, Kind, Strategy, Target
from strategies.removal import RemovalForm
from strategies.terms import Chain, UnreadableTerms, chain_settings, commission_text
from strategies.views import visible_strategy
from users.models import Connection
from users.parsing import row_id
from users.permissions import may_manage
from users.requests import MemberRequest


def spot_of(strategy: Strategy, part: str = "") -> Spot:
    """Where the settings of a strategy, a portfolio or a member stand."""
    is_portfolio = strategy.kind == Kind.PORTFOLIO
    level = Level.MEMBER if part else Level.PORTFOLIO if is_portfolio else Level.STRATEGY
    kind = Target.PORTFOLIO if is_portfolio else Target.STRATEGY
    return Spot(strategy.connection, kind, strategy.backend_id, strategy.name, level, part)


def page_of(strategy: Strategy, tab: str) -> dict:
    """What every page of one strategy needs for its head."""
    return {"strategy": strategy, "tab": tab, "commission": commission_text(strategy.document)}


def held_by(chains: list[Chain]) -> Holds:
    """What the chains come to; nothing where a document cannot be read."""
    try:
        return holds_in(chain_settings(chain) for chain in chains[:MOST_LEAVES])
    except UnreadableTerms:
        return {}


@require_http_methods(["GET", "POST"])
@may_manage
def edit(request: MemberRequest, pk: int) -> HttpResponse:
    """The settings of a strategy or portfolio."""
    strategy = visible_strategy(request, pk)
    spot = spot_of(strategy)
    chains = [chain for _, chain in leaf_chains(strategy.backend_id, strategies_of(strategy.connection_id))]
    context = {**page_of(strategy, "settings"), "holds": held_by(chains), "title": "Edit the settings"}
    return answer_form(
        request, spot, document=strategy.document, template="strategies/edit.html", context=context,
        back=reverse("strategies:settings", args=[pk]),
    )  # fmt: skip


@require_http_methods(["GET", "POST"])
@may_manage
def edit_member(request: MemberRequest, pk: int, strategy_id: str) -> HttpResponse:
    """What a portfolio changes for one of its members."""
    portfolio = visible_strategy(request, pk)
    spot = spot_of(portfolio, strategy_id)
    member = spot.part_of(portfolio.document) if portfolio.kind == Kind.PORTFOLIO else None
    if member is None:
        raise Http404
    strategies = strategies_of(portfolio.connection_id)
    below: Chain = [(Level.MEMBER, member), (Level.PORTFOLIO, portfolio.document)]
    chains = [[*chain, *below] for _, chain in leaf_chains(strategy_id, strategies)]
    name = strategies[strategy_id].name if strategy_id in strategies else strategy_id
    context = {**page_of(portfolio, "settings"), "holds": held_by(chains), "title": f"Member {name}"}
    return answer_form(
        request, spot, document=portfolio.document, template="strategies/edit.html", context=context,
        back=reverse("strategies:settings", args=[pk]),
    )  # fmt: skip


# --- New ones ---------------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "POST"])
@may_manage
def new(request: MemberRequest) -> HttpResponse:
    """A strategy on an account."""
    return create(request, Target.STRATEGY, Level.STRATEGY, "New strategy")


@require_http_methods(["GET", "POST"])
@may_manage
def new_portfolio(request: MemberRequest) -> HttpResponse:
    """A portfolio of strategies with their weights; what it changes for a member is set on the member's page."""
    connection = chosen_connection(request)
    offered = strategy_options(connection) if connection else []
    help = "Strategies or other portfolios, each with its weight. What else changes for one is set on its own page."
    members = parts_field("members", "Members", help, Level.PORTFOLIO, offered)
    return create(request, Target.PORTFOLIO, Level.PORTFOLIO, "New portfolio", members)


def chosen_connection(request: MemberRequest) -> Connection | None:
    """The backend that a form names, of this workspace; else the first."""
    wanted = row_id(request.POST.get("connection", ""))
    found = Connection.objects.filter(workspace=request.workspace, is_enabled=True).order_by("id")
    return found.filter(pk=wanted).first() if wanted else found.first()


def create(request: MemberRequest, kind: str, level: Level, title: str, *more: Field) -> HttpResponse:
    """The form of something new, and its proposal under an id that the backend gives."""
    draft = draft_to_create(request, kind)
    extra = connection_extra(request)
    extra.value = str(draft.connection_id) if draft else extra.value

    def make(form: SettingsForm, values: dict[str, str]) -> Change | None:
        connection = get_object_or_404(Connection, pk=row_id(values["connection"]), workspace=request.workspace)
        if draft is not None and draft.connection_id == connection.pk:
            new_id = draft.backend_id
        else:
            with backend_of(connection) as client:
                new_id = client.unused_strategy_id()
        spot = Spot(connection, kind, new_id, form.texts.get("name", "") or new_id, level)
        return propose_creation(spot, form, by=request.user, draft=draft, address=request.path)

    context = {"title": title, "about": "Nothing is created before you have looked at it."}
    return answer_new(
        request, level=level, extras=[extra], make=make, template="strategies/new.html", context=context, draft=draft,
        drafted=draft.after if draft else None, back=reverse("strategies:list"), more=more,
    )  # fmt: skip


@require_http_methods(["GET", "POST"])
@may_manage
def add_member(request: MemberRequest, pk: int) -> HttpResponse:
    """One more member of a portfolio, with what the portfolio changes for it."""
    portfolio = visible_strategy(request, pk)
    if portfolio.kind != Kind.PORTFOLIO:
        raise Http404
    there = [one.get("strategyId") for one in portfolio.document.get("members") or []]
    options = strategy_options(portfolio.connection, without=[portfolio.backend_id, *there])
    draft = part_draft(request, spot_of(portfolio))

    def make(form: SettingsForm, values: dict[str, str]) -> Change | None:
        chosen = spot_of(portfolio, values["strategy"])
        with backend_of(portfolio.connection) as client:
            return propose_form(chosen, form, client=client, by=request.user, address=request.path)

    value = draft.part if draft else request.GET.get("strategy", "")
    extra = Extra("strategy", "Strategy", "A strategy or another portfolio.", options=options, value=value)
    spot = spot_of(portfolio, draft.part) if draft else None
    drafted, path = (spot.part_of(draft.after), spot.path_in(draft.after)) if spot and draft else (None, "")
    context = {**page_of(portfolio, "settings"), "title": "Add a member"}
    return answer_new(
        request, level=Level.MEMBER, extras=[extra], make=make, template="strategies/edit.html", context=context,
        back=reverse("strategies:settings", args=[pk]), draft=draft, drafted=drafted, path=path,
    )  # fmt: skip


# --- Removal ----------------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "POST"])
@may_manage
def remove(request: MemberRequest, pk: int) -> HttpResponse:
    """Stop offering a strategy or portfolio, with close instructions."""
    strategy = visible_strategy(request, pk)
    context = {**page_of(strategy, "settings"), "title": f"Remove {strategy.name}"}
    return answer_removal(
        request, spot_of(strategy), Action.REMOVE, "strategies/remove.html", context,
        back=reverse("strategies:settings", args=[pk]),
    )  # fmt: skip


@require_http_methods(["GET", "POST"])
@may_manage
def remove_member(request: MemberRequest, pk: int, strategy_id: str) -> HttpResponse:
    """Take a member out of a portfolio, with close instructions."""
    portfolio = visible_strategy(request, pk)
    spot = spot_of(portfolio, strategy_id)
    if portfolio.kind != Kind.PORTFOLIO or spot.part_of(portfolio.document) is None:
        raise Http404
    member = Strategy.objects.filter(connection_id=portfolio.connection_id, backend_id=strategy_id).first()
    title = f"Take {member.name if member else strategy_id} out of {portfolio.name}"
    return answer_removal(
        request, spot, Action.TAKE_OUT, "strategies/remove.html", {**page_of(portfolio, "settings"), "title": title},
        back=reverse("strategies:settings", args=[pk]),
    )  # fmt: skip


def answer_removal(
    request: MemberRequest, spot: Spot, action: str, template: str, context: dict[str, Any], *, back: str
) -> HttpResponse:
    """Ask what becomes of open positions, then go to the review."""
    now = timezone.now()
    has_end = not (action == Action.TAKE_OUT and spot.kind == Target.SUBSCRIBER)
    form = RemovalForm(request.POST or None, now=now, has_end=has_end, initial={"mode": "close-gracefully-by-position"})
    context = {**context, "form": form, "back": back, "problem": ""}
    if request.method != "POST" or not form.is_valid():
        return render(request, template, context, status=422 if form.errors else 200)
    try:
        with backend_of(spot.connection) as client:
            current = read_document(client, spot.kind, spot.backend_id)
    except NotDone as error:
        return render(request, template, {**context, "problem": error.text}, status=503)
    after = {}
    if action == Action.TAKE_OUT:
        name = "members" if spot.kind == Target.PORTFOLIO else "subscriptions"
        kept = [one for one in current.get(name) or [] if one.get("strategyId") != spot.part]
        after = current | {name: kept}
    change = propose(
        spot, by=request.user, now=now, action=action, before=current, after=after, instructions=form.instructions,
    )  # fmt: skip
    return redirect(reverse("subscribers:change", args=[change.pk]))
