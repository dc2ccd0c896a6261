"""Decisions: the list, the trace of one, a client's own in plain words, and how well trades are copied."""

from __future__ import annotations

from dataclasses import replace

from django.db.models import Func, Q, TextField
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from copying.engine.reasons import CODES
from reporting import decisions as reads
from reporting.models import Decision
from reporting.plainly import plain_sentence, setting_of, staff_sentence
from reporting.quality import METHOD, quality_of
from reporting.reconstruction.assumptions import REASONS as RECONSTRUCTED
from reporting.reconstruction.assumptions import sentences
from reporting.retention import RecordKind, kept_from
from reporting.views.history import STRATEGY, SUBSCRIBER, render_list, strategy_options
from strategies.models import Strategy
from subscribers.listings import ids_of
from subscribers.models import Subscriber
from users.listing import Choice, Column, DayRange, Listing, NameSearch, Option, Table, Text
from users.permissions import staff_only, subscriber_only
from users.requests import MemberRequest

OUTCOMES = (
    Option("copied", "Copied"),
    Option("resized", "Resized"),
    Option("delayed", "Delayed"),
    Option("skipped", "Skipped"),
    Option("failed", "Failed"),
)
REASONS = tuple(Option(code, reads.reason_label(code)) for code in (*CODES.values(), *RECONSTRUCTED))
TOLD_BY = (
    Option("backend", "Told by the backend", Q(is_reconstructed=False)),
    Option("reconstructed", "Reconstructed", Q(is_reconstructed=True)),
)


def assumed() -> Func:
    """The codes of what a reconstructed decision rests on, one behind the other."""
    template = "(SELECT coalesce(string_agg(value, ' '), '') FROM jsonb_array_elements_text(%(expressions)s))"
    return Func("assumptions", template=template, output_field=TextField())


DECISIONS = Listing(
    name="decisions",
    sort="-time",
    columns=(
        Column("time", "Time", is_sortable=True),
        Column("outcome", "Outcome"),
        Column("text", "What happened"),
        Column("reason"),
        Column("level"),
        *SUBSCRIBER,
        *STRATEGY,
        Column("source_strategy_id", in_table=False),
        Column("symbol", "Trade"),
        Column("subscriber_symbol"),
        Column("side"),
        Column("provider_lots", "Source", is_number=True, hint="Lots that the provider traded"),
        Column("scaled_lots", in_table=False),
        Column("multiplied_lots"),
        Column("limited_lots", in_table=False),
        Column("rounded_lots"),
        Column("final_lots", "Result", is_number=True, hint="Lots that were placed for the subscriber"),
        Column("limit_value"),
        Column("signal_id"),
        Column(
            "is_reconstructed", hint="Worked out here from deals, log and settings, as the backend does not tell it"
        ),
        Column("expected_lots", in_table=False),
        Column("assumed", source=assumed, in_table=False),
        Column("backend_id", in_table=False, csv_name="id"),
    ),
    filters=(
        Text("signal", "Signal", field="signal_id", placeholder="Signal id"),
        DayRange("period", "Period", field="time"),
        Choice("strategy", "Strategy", field="strategy_id", placeholder="All strategies", options=strategy_options),
        NameSearch("subscriber", "Subscriber", field="subscriber_id", placeholder="Subscriber name or id", ids=ids_of),
        Text("symbol", "Symbol", placeholder="Symbol"),
        Choice("outcome", "Outcome", placeholder="Any outcome", options=OUTCOMES),
        Choice("reason", "Reason", placeholder="Any reason", options=REASONS),
        Choice("told", "Told by", placeholder="Told or reconstructed", options=TOLD_BY),
    ),
)
# what tells of the provider's account or of settings is not for clients
NOT_FOR_CLIENTS = (
    "text",
    "level",
    "source_strategy_id",
    "limit_value",
    "provider_lots",
    "scaled_lots",
    "expected_lots",
    "assumed",
)
OWN_DECISIONS = replace(
    DECISIONS,
    columns=tuple(
        replace(column, in_csv=column.in_csv and column.key not in NOT_FOR_CLIENTS) for column in DECISIONS.columns
    ),
    filters=(
        DayRange("period", "Period", field="time"),
        NameSearch("account", "Account", field="subscriber_id", placeholder="Account name or id", ids=ids_of),
        Text("symbol", "Symbol", placeholder="Symbol"),
        Choice("outcome", "Outcome", placeholder="Any outcome", options=OUTCOMES),
    ),
)


def rows_of(request: MemberRequest, table: Table) -> list:
    """The rows to show; none are read for the question whether there are newer ones."""
    return [] if request.GET.get("newer") else table.rows


@require_safe
@staff_only
def decisions(request: MemberRequest) -> HttpResponseBase:
    """Every copy decision, newest first."""
    table = DECISIONS.bind(request, Decision.objects.visible_to(request.membership))
    if table.wants_csv:
        return table.csv()
    lines = [(row, staff_sentence(row), setting_of(row.reason)) for row in rows_of(request, table)]
    context = {"sentences": lines, "kept_from": kept_from(request.workspace.pk, RecordKind.DECISIONS)}
    return render_list(request, "reporting/decisions.html", "reporting/_decisions.html", table, **context)


@require_safe
@staff_only
def decision(request: MemberRequest, pk: int) -> HttpResponse:
    """The trace of one decision, as a page or as the part that opens in the list."""
    visible = Decision.objects.visible_to(request.membership).select_related("subscriber", "strategy")
    own = get_object_or_404(visible, pk=pk)
    routes = list(reads.routes_of(own, request.membership)[: reads.MOST_ROUTES + 1])
    context = {
        "decision": own,
        "sentence": staff_sentence(own),
        "setting": setting_of(own.reason),
        "chain": reads.chain(own),
        "assumptions": sentences(own.assumptions),
        "deal": reads.deal_of(own),
        "routes": [route for route in routes[: reads.MOST_ROUTES] if route.pk != own.pk],
        "has_more_routes": len(routes) > reads.MOST_ROUTES,
    }
    return render(request, "reporting/_decision.html" if request.partial else "reporting/decision.html", context)


@require_safe
@subscriber_only
def own_decisions(request: MemberRequest) -> HttpResponseBase:
    """What was decided for the accounts of a client, in plain words."""
    table = OWN_DECISIONS.bind(request, Decision.objects.visible_to(request.membership))
    if table.wants_csv:
        return table.csv()
    lines = [(row, plain_sentence(row)) for row in rows_of(request, table)]
    context = {"sentences": lines, "kept_from": kept_from(request.workspace.pk, RecordKind.DECISIONS)}
    return render_list(request, "reporting/own_decisions.html", "reporting/_own_decisions.html", table, **context)


@require_safe
@staff_only
def strategy_quality(request: MemberRequest, pk: int) -> HttpResponse:
    """Latency and slippage of the copies of one strategy."""
    return _quality(request, get_object_or_404(Strategy.objects.visible_to(request.membership), pk=pk), "strategies")


@require_safe
@staff_only
def subscriber_quality(request: MemberRequest, pk: int) -> HttpResponse:
    """Latency and slippage of the copies to one account."""
    return _quality(request, get_object_or_404(Subscriber.objects.visible_to(request.membership), pk=pk), "subscribers")


def _quality(request: MemberRequest, measured: Strategy | Subscriber, place: str) -> HttpResponse:
    context = {
        "measured": measured,
        "quality": quality_of(measured, now=timezone.now()),
        "method": METHOD,
        "place": place,
        "back": f"/{place}/{measured.pk}/",
    }
    return render(request, "reporting/_quality.html" if request.partial else "reporting/quality.html", context)
