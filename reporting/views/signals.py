"""What became of the open signals of a strategy, for the cells of its page: counted from the mirrored decisions."""

from __future__ import annotations

from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from reporting.models import Decision
from strategies.outcomes import outcome_of_counts
from strategies.pages import visible_strategy
from strategies.reach import copying_accounts
from users.listing import BadParameter
from users.permissions import staff_only
from users.requests import MemberRequest

MOST_SIGNALS = 200


@require_safe
@staff_only
def outcomes(request: MemberRequest, pk: int) -> HttpResponse:
    """The outcome of each signal of `ids`, commas between them: cells of the list, or a page with the same."""
    strategy = visible_strategy(request, pk)
    ids = [backend_id for backend_id in request.GET.get("ids", "").split(",") if backend_id]
    if len(ids) > MOST_SIGNALS or any(len(backend_id) > 64 for backend_id in ids):
        raise BadParameter(f"“ids” is a list of at most {MOST_SIGNALS} signal ids with commas between them.")
    decided = Decision.objects.visible_to(request.membership).filter(
        connection_id=strategy.connection_id, source_strategy_id=strategy.backend_id, signal_id__in=ids
    )
    rows: dict[str, list] = {backend_id: [] for backend_id in ids}
    for signal_id, *counted in decided.order_by().values_list("signal_id", "outcome", "reason").annotate(n=Count("id")):
        rows[signal_id].append(counted)
    reached = copying_accounts(strategy)
    shown = [(signal_id, outcome_of_counts(counts).state(reached)) for signal_id, counts in rows.items()]
    page = "reporting/_signal_cells.html" if request.partial else "reporting/signal_outcomes.html"
    context = {"shown": shown, "strategy": strategy, "tab": "signals", "commission": ""}
    return render(request, page, context)
