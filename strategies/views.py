"""The list of strategies, a strategy's overview and its settings. Results are parts that the reporting app serves."""

from __future__ import annotations

from django.db.models import Q
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe

from copying.engine.model import Level
from editing.listing import answer_changes
from editing.removal import mode_words
from editing.terms import SCHEMES, UnreadableTerms, chain_settings, commission_text, own_settings
from strategies.files import answer_file
from strategies.models import Kind, Strategy
from strategies.pages import page_of, visible_strategy
from strategies.states import member_state
from users.listing import Choice, Column, Listing, Option, Search
from users.permissions import staff_only
from users.requests import MemberRequest

STRATEGIES = Listing(
    name="strategies",
    sort="name",
    columns=(
        Column("name", "Strategy", is_sortable=True),
        Column("backend_id", csv_name="id"),
        Column("kind"),
        Column("scheme"),
        Column("document", in_csv=False),
        Column("is_removed"),
        Column("account_id", in_table=False),
        Column("description", in_table=False),
        Column("traded_since", in_table=False, csv_name="first_transaction"),
        Column("first_seen_at", in_table=False, csv_name="first_seen"),
    ),
    filters=(
        Search("q", "Search", placeholder="Search by name or id", fields=("name", "backend_id", "description")),
        Choice("kind", "Kind", placeholder="All kinds", options=[Option(k.value, k.label) for k in Kind]),
        Choice(
            "scheme",
            "Commission",
            placeholder="All commissions",
            options=[*(Option(key, label) for key, label in SCHEMES.items()), Option("none", "None", Q(scheme=""))],
        ),
        Choice(
            "state",
            "State",
            placeholder="Any state",
            options=(
                Option("offered", "Active", Q(is_removed=False)),
                Option("removed", "Removed", Q(is_removed=True)),
            ),
        ),
    ),
)


@require_safe
@staff_only
def strategies(request: MemberRequest) -> HttpResponseBase:
    """Everything that is offered for copying."""
    table = STRATEGIES.bind(request, Strategy.objects.visible_to(request.membership))
    if table.wants_csv:
        return answer_file(request, table)
    commissions = {row.id: commission_text(row.document) for row in table.rows}
    page = "strategies/_list.html" if request.partial else "strategies/list.html"
    return render(request, page, {"table": table, "commissions": commissions})


@require_safe
@staff_only
def detail(request: MemberRequest, pk: int) -> HttpResponse:
    """What it is; how it did comes from the reporting app."""
    return render(request, "strategies/detail.html", page_of(visible_strategy(request, pk), "overview"))


@require_safe
@staff_only
def settings(request: MemberRequest, pk: int) -> HttpResponse:
    """How its signals are copied, in words, and the members of a portfolio."""
    strategy = visible_strategy(request, pk)
    document = strategy.document
    context = page_of(strategy, "settings", problem="")
    level = Level.PORTFOLIO if strategy.kind == Kind.PORTFOLIO else Level.STRATEGY
    try:
        context["rows"] = [*chain_settings([(level, document)]), *own_settings(document)]
        context["members"] = portfolio_members(strategy)
    except UnreadableTerms as error:
        context |= {"rows": [], "members": [], "problem": error.text}
    return render(request, "strategies/settings.html", context)


def portfolio_members(portfolio: Strategy) -> list[dict]:
    """The parts of a portfolio with their weight and what differs from the defaults."""
    members = [member for member in portfolio.document.get("members") or [] if isinstance(member, dict)]
    ids = [member.get("strategyId") for member in members]
    names = {
        s.backend_id: s for s in Strategy.objects.filter(connection_id=portfolio.connection_id, backend_id__in=ids)
    }
    return [
        {
            "id": member.get("strategyId"),
            "strategy": names.get(member.get("strategyId") or ""),
            "settings": chain_settings([(Level.MEMBER, member)], only_set=True),
            "state": member_state(member, names.get(member.get("strategyId") or "")),
            "ending": mode_words(member["closeOnRemovalMode"]) if member.get("closeOnRemovalMode") else "",
        }
        for member in members
    ]


@require_safe
@staff_only
def changes(request: MemberRequest, pk: int) -> HttpResponseBase:
    """Who changed it."""
    strategy = visible_strategy(request, pk)
    return answer_changes(request, strategy, page_of(strategy, "changes", layout="strategies/_page.html"))
