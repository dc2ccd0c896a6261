"""Editing what is offered: settings of strategies, portfolios and their members. Everything goes through the review."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from copying.engine.model import Level
from strategies.chains import MOST_LEAVES, leaf_chains, strategies_of
from strategies.changes import Spot
from strategies.form_pages import Holds, answer_form, holds_in
from strategies.models import Kind, Strategy, Target
from strategies.terms import Chain, UnreadableTerms, chain_settings, commission_text
from strategies.views import visible_strategy
from users.permissions import may_manage


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
def edit(request: HttpRequest, pk: int) -> HttpResponse:
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
def edit_member(request: HttpRequest, pk: int, strategy_id: str) -> HttpResponse:
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
