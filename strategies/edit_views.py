"""Editing what is offered: settings of strategies, portfolios and their members. Everything goes through the review."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from accounts.choices import problem_with_account, suggestions_address
from copying.engine.model import Level
from editing.backend import backend_of
from editing.fields import Field, parts_field
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
from editing.proposals import propose_creation
from editing.scopes import EditScope, scope_of
from editing.targets import PORTFOLIO, STRATEGY, target_of
from editing.terms import Chain
from strategies.chains import leaf_chains, strategies_of
from strategies.models import Kind, Strategy
from strategies.offers import strategy_options
from strategies.pages import page_of, visible_strategy
from users.models import Connection
from users.parsing import row_id
from users.permissions import may_manage
from users.requests import MemberRequest


def form_page(strategy: Strategy, title: str, **more: Any) -> dict[str, Any]:
    """What a page with a form of one strategy needs."""
    return page_of(strategy, "settings", title=title, layout="strategies/_page.html", **more)


def home(strategy: Strategy) -> str:
    """Where one comes from and goes back to."""
    return reverse("strategies:settings", args=[strategy.pk])


def visible_portfolio(request: MemberRequest, pk: int) -> Strategy:
    """The portfolio, or 404."""
    portfolio = visible_strategy(request, pk)
    if portfolio.kind != Kind.PORTFOLIO:
        raise Http404
    return portfolio


@require_http_methods(["GET", "POST"])
@may_manage
def edit(request: MemberRequest, pk: int) -> HttpResponse:
    """The settings of a strategy or portfolio."""
    strategy = visible_strategy(request, pk)
    chains = [chain for _, chain in leaf_chains(strategy.backend_id, strategies_of(strategy.connection_id))]
    sources = account_sources(strategy.document_kind, strategy.connection)
    context = form_page(strategy, "Edit the settings", holds=in_force(chains), sources=sources)

    def check(form: SettingsForm) -> InputProblem | None:
        # an account that it has had all along stays: only another one is looked at
        if form.texts.get("accountId", "").strip() == strategy.document.get("accountId"):
            return None
        return problem_of_provider(form, strategy.document_kind, strategy.connection)

    scope, document = scope_of(strategy), strategy.document
    return answer_form(request, scope, document=document, context=context, came_from=home(strategy), check=check)


def account_sources(kind: str, connection: Connection | None) -> dict[str, str]:
    """Where the form of a strategy gets the accounts that it may name; a portfolio names none."""
    return {"accountId": suggestions_address(connection, "PROVIDER")} if kind == STRATEGY else {}


def problem_of_provider(form: SettingsForm, kind: str, connection: Connection) -> InputProblem | None:
    """Why the account that a form names cannot provide signals; None: it can, or the form names none."""
    account_id = form.texts.get("accountId", "").strip()
    text = problem_with_account(connection, account_id, "PROVIDER") if kind == STRATEGY else ""
    return InputProblem("accountId", "Provider's account", text) if text else None


@require_http_methods(["GET", "POST"])
@may_manage
def edit_member(request: MemberRequest, pk: int, strategy_id: str) -> HttpResponse:
    """What a portfolio changes for one of its members."""
    portfolio = visible_portfolio(request, pk)
    scope = scope_of(portfolio, strategy_id)
    member = scope.settings_in(portfolio.document)
    if member is None:
        raise Http404
    strategies = strategies_of(portfolio.connection_id)
    below: Chain = [(Level.MEMBER, member), (Level.PORTFOLIO, portfolio.document)]
    chains = [[*chain, *below] for _, chain in leaf_chains(strategy_id, strategies)]
    name = strategies[strategy_id].name if strategy_id in strategies else strategy_id
    context = form_page(portfolio, f"Member {name}", holds=in_force(chains))
    return answer_form(request, scope, document=portfolio.document, context=context, came_from=home(portfolio))


# --- New ones -------------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "POST"])
@may_manage
def new(request: MemberRequest) -> HttpResponse:
    """A strategy on an account."""
    return create(request, STRATEGY, "New strategy")


@require_http_methods(["GET", "POST"])
@may_manage
def new_portfolio(request: MemberRequest) -> HttpResponse:
    """A portfolio of strategies with their weights; what it changes for a member is set on the member's page."""
    connection = chosen_connection(request)
    options = strategy_options(connection) if connection else []
    help = "Strategies or other portfolios, each with its weight. What else changes for one is set on its own page."
    members = parts_field("members", "Members", help, Level.PORTFOLIO, options)
    return create(request, PORTFOLIO, "New portfolio", members)


def create(request: MemberRequest, kind: str, title: str, *more: Field) -> HttpResponse:
    """The form of something new, and its proposal under an id that the backend gives."""
    draft = draft_to_create(request, kind)
    extra = connection_extra(request)
    extra.value = str(draft.connection_id) if draft else extra.value

    def make(form: SettingsForm, values: dict[str, str]) -> Change | None:
        connection = get_object_or_404(Connection, pk=row_id(values["connection"]), workspace=request.workspace)
        if problem := problem_of_provider(form, kind, connection):
            form.problems.append(problem)
            return None
        if draft is not None and draft.connection_id == connection.pk:
            new_id = draft.backend_id
        else:
            with backend_of(connection) as client:
                new_id = client.unused_strategy_id()
        scope = EditScope(connection, kind, new_id, form.texts.get("name", "") or new_id)
        return propose_creation(scope, form, by=request.user, draft=draft, address=request.path)

    settings = draft.after if draft else None
    form = NewSettings(target_of(kind).level, [extra], make, draft, settings, more=more)
    about = "Nothing is created before you have looked at it."
    sources = account_sources(kind, draft.connection if draft else chosen_connection(request))
    context = {"title": title, "about": about, "template": "strategies/new.html", "sources": sources}
    return answer_new(request, form, context=context, came_from=reverse("strategies:list"))


@require_http_methods(["GET", "POST"])
@may_manage
def add_member(request: MemberRequest, pk: int) -> HttpResponse:
    """One more member of a portfolio, with what the portfolio changes for it."""
    portfolio = visible_portfolio(request, pk)
    members = [member.get("strategyId") for member in portfolio.document.get("members") or []]
    options = strategy_options(portfolio.connection, without=[portfolio.backend_id, *members])
    extra = Extra("strategy", "Strategy", "A strategy or another portfolio.", options=options)
    context = form_page(portfolio, "Add a member")
    return answer_new_part(request, scope_of(portfolio), extra=extra, context=context, came_from=home(portfolio))


# --- Removal --------------------------------------------------------------------------------------------------------
LEAD = "It is no longer copied. Say what becomes of the positions that are open."


@require_http_methods(["GET", "POST"])
@may_manage
def remove(request: MemberRequest, pk: int) -> HttpResponse:
    """Stop offering a strategy or portfolio, with close instructions."""
    strategy = visible_strategy(request, pk)
    context = form_page(strategy, f"Remove {strategy.name}", lead=LEAD)
    return answer_removal(request, scope_of(strategy), Action.REMOVE, context, came_from=home(strategy))


@require_http_methods(["GET", "POST"])
@may_manage
def remove_member(request: MemberRequest, pk: int, strategy_id: str) -> HttpResponse:
    """Take a member out of a portfolio, with close instructions."""
    portfolio = visible_portfolio(request, pk)
    scope = scope_of(portfolio, strategy_id)
    if scope.settings_in(portfolio.document) is None:
        raise Http404
    member = Strategy.objects.filter(connection_id=portfolio.connection_id, backend_id=strategy_id).first()
    context = form_page(portfolio, f"Take {member.name if member else strategy_id} out of {portfolio.name}", lead=LEAD)
    return answer_removal(request, scope, Action.TAKE_OUT, context, came_from=home(portfolio))
