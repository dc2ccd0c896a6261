"""Commission: what accrues now and what earlier periods came to, by strategy and subscriber, down to single lines."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from django.db.models import Count, DecimalField, Exists, OuterRef, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from editing.terms import SCHEMES
from reporting.commission.billing import Owed, Span, owed_by_strategy, owed_by_subscription, span_of
from reporting.commission.explain import explain
from reporting.commission.periods import Calendar
from reporting.commission.zones import read_zones
from reporting.models import CommissionLine
from reporting.rates import ConvertedSum, UnknownRate, rates_of
from reporting.waiting import waiting_deals
from strategies.models import Strategy
from strategies.pages import page_of, visible_strategy
from subscribers.models import Subscriber
from users.listing import BadParameter, Column, Listing, Search
from users.listing.export import file_name, plain_csv
from users.models import Workspace
from users.permissions import member_only, staff_only
from users.requests import MemberRequest

MONEY = DecimalField(max_digits=24, decimal_places=4)
OWED_CSV = ("strategy", "strategy_id", "subscriber", "subscriber_id", "scheme", "first_day", "last_day", "lines",
            "provisional_lines", "amount", "currency", "backends_amount", "difference")  # fmt: skip
LINES = Listing(
    name="commission-lines",
    sort="-occurred_at",
    columns=(
        Column("occurred_at", "When", is_sortable=True),
        Column("period_start"),
        Column("period_end"),
        Column("key", csv_name="for"),
        Column("scheme", "Scheme"),
        Column("rate"),
        Column("inputs", in_csv=True),
        Column("policy"),
        Column("exact_amount"),
        Column("amount", "Amount", is_number=True),
        Column("currency"),
        Column("is_provisional"),
        Column("strategy_id"),
        Column("reporting_amount"),
        Column("reporting_currency"),
        Column("reporting_rate"),
        Column("reporting_source"),
        Column("reporting_day"),
    ),
)


def chosen_span(request: MemberRequest) -> Span:
    """The span in the URL. Raises BadParameter."""
    try:
        return span_of(request.GET.get("period", ""), request.workspace, timezone.now())
    except ValueError:
        raise BadParameter("“period” is “open” or a month like 2026-10 that has begun.")


def in_one_currency(rows: Sequence[Owed], workspace: Workspace) -> ConvertedSum | None:
    """The sum at today's rates, for reading; None where a currency has no rate."""
    amounts = ((row.amount, row.currency) for row in rows)
    try:
        return rates_of(workspace).add_up(amounts, workspace.reporting_currency, timezone.now().date())
    except UnknownRate:
        return None


def owed_csv(request: MemberRequest, rows: Sequence[Owed], name: str, span: Span) -> HttpResponse:
    """Totals as a file."""
    cells = (
        (
            row.strategy.name if row.strategy else "", row.strategy_id,
            row.subscriber.name if row.subscriber else "", row.subscriber_id,
            row.scheme, *row.period.split(" – "), row.lines, row.provisional, row.amount, row.currency, row.backends,
            row.difference,
        )
        for row in rows
    )  # fmt: skip
    return plain_csv(OWED_CSV, cells, file_name(name, [span.key], on=local_day(request)))


def local_day(request: MemberRequest) -> date:
    """Today in the billing zone."""
    return Calendar(request.workspace.timezone).day_of(timezone.now())


def wants_csv(request: MemberRequest) -> bool:
    """Whether the file is wanted. Raises BadParameter for another format."""
    if request.GET.get("format", "csv") != "csv":
        raise BadParameter("“format” can only be “csv”.")
    return "format" in request.GET


@require_safe
@staff_only
def commissions(request: MemberRequest) -> HttpResponseBase:
    """What is owed in a span of time, by strategy or by subscriber."""
    span, by = chosen_span(request), request.GET.get("by") or "strategy"
    if by not in ("strategy", "subscriber"):
        raise BadParameter("“by” is “strategy” or “subscriber”.")
    currency = request.workspace.reporting_currency
    context: dict[str, Any] = {"span": span, "by": by, "currency": currency, "schemes": SCHEMES}
    context["waiting"] = waiting_deals(request.membership)
    if by == "subscriber":
        return by_subscriber(request, span, context)
    rows = owed_by_strategy(request.membership, span, timezone.now())
    if wants_csv(request):
        return owed_csv(request, rows, "commissions-by-strategy", span)
    context |= {"rows": rows, "total": in_one_currency(rows, request.workspace)}
    context["by_currency"] = totals_by_currency(rows)
    return render(request, "reporting/commissions.html", context)


def totals_by_currency(rows: Sequence[Owed]) -> list[tuple[str, Decimal, Decimal]]:
    """(currency, ours, the backend's) sums."""
    sums: dict[str, list[Decimal]] = {}
    for row in rows:
        both = sums.setdefault(row.currency, [Decimal(0), Decimal(0)])
        both[0] += row.amount
        both[1] += row.backends
    return [(currency, ours, backends) for currency, (ours, backends) in sorted(sums.items())]


def by_subscriber(request: MemberRequest, span: Span, context: dict) -> HttpResponseBase:
    """The accounts that owe something in a span, as a list of pages."""
    table = subscribers_listing(request, span).bind(request, owing(request, span))
    if table.wants_csv:
        return table.csv()
    context |= {"table": table}
    page = "reporting/_commission_subscribers.html" if request.partial else "reporting/commissions.html"
    return render(request, page, context)


def lines_of_row(request: MemberRequest, span: Span, strategy: Strategy | None = None) -> QuerySet:
    """The lines of the subscriber of the outer query, in a span, of one strategy or all."""
    own = CommissionLine.objects.filter(
        workspace=request.workspace,
        connection=OuterRef("connection"),
        subscriber_id=OuterRef("backend_id"),
        member_id="",
    )
    if strategy is not None:
        own = own.filter(strategy_id=strategy.backend_id)
    return span.narrow(own, timezone.now()).order_by()


def owing(request: MemberRequest, span: Span, strategy: Strategy | None = None) -> QuerySet:
    """Accounts with lines in a span."""
    accounts = Subscriber.objects.visible_to(request.membership)
    if strategy is not None:
        accounts = accounts.filter(connection_id=strategy.connection_id)
    return accounts.filter(Exists(lines_of_row(request, span, strategy)))


def subscribers_listing(request: MemberRequest, span: Span, strategy: Strategy | None = None) -> Listing:
    """The list of accounts with what each owes, in its own currency."""
    grouped = lines_of_row(request, span, strategy).values("connection_id")
    amount = Coalesce(Subquery(grouped.annotate(total=Sum("amount")).values("total")), Value(0), output_field=MONEY)
    return Listing(
        name="commissions-by-subscriber",
        sort="name",
        columns=(
            Column("name", "Subscriber", is_sortable=True, csv_name="subscriber"),
            Column("backend_id", csv_name="subscriber_id"),
            Column("strategies", "Strategies", is_number=True,
                   source=Subquery(grouped.annotate(n=Count("strategy_id", distinct=True)).values("n"))),
            Column("lines", "Lines", is_number=True, source=Subquery(grouped.annotate(n=Count("id")).values("n"))),
            Column("owed", "Amount", is_number=True, source=amount, csv_name="amount"),
            Column("currency", "Currency"),
        ),
        filters=(Search("q", "Search", placeholder="Search by name or id", fields=("name", "backend_id")),),
    )  # fmt: skip


@require_safe
@staff_only
def strategy_commission(request: MemberRequest, pk: int) -> HttpResponse:
    """What the subscribers of one strategy owe in a span, a page of them at a time."""
    strategy, span, now = visible_strategy(request, pk), chosen_span(request), timezone.now()
    only = {"connection_id": strategy.connection_id, "strategy_id": strategy.backend_id}
    if wants_csv(request):
        return owed_csv(request, owed_by_subscription(request.membership, span, now, **only), "commission", span)
    table = subscribers_listing(request, span, strategy).bind(request, owing(request, span, strategy))
    shown = [row.backend_id for row in table.rows]
    rows = owed_by_subscription(request.membership, span, now, **only, subscriber_id__in=shown)
    totals = totals_by_currency(owed_by_strategy(request.membership, span, now, **only))
    context = page_of(strategy, "commission", span=span, rows=rows, schemes=SCHEMES, of_strategy=True, table=table)
    return render(request, "reporting/strategy_commission.html", {**context, "by_currency": totals})


def explained(request: MemberRequest, connection_id: int, rows: Sequence) -> list[tuple]:
    """(line, its explanation, first and last day of its billing period in the zone of its time), of one connection."""
    zones = read_zones(request.workspace, {(connection_id, row.strategy_id) for row in rows})
    return [
        (row, explain(row), zones.days_text((connection_id, row.strategy_id), row.period_start, row.period_end))
        for row in rows
    ]


@require_safe
@member_only
def lines(request: MemberRequest, strategy_pk: int, subscriber_pk: int) -> HttpResponseBase:
    """Every line of one subscription, each with what it was computed from and how."""
    visible = Subscriber.objects.visible_to(request.membership).defer("document")
    subscriber = get_object_or_404(visible, pk=subscriber_pk)
    strategy = get_object_or_404(Strategy, pk=strategy_pk, connection_id=subscriber.connection_id)
    own = CommissionLine.objects.visible_to(request.membership).of_subscription(
        subscriber.connection_id, strategy.backend_id, subscriber.backend_id
    )
    is_linked = subscriber.subscriptions.filter(strategy_backend_id=strategy.backend_id).exists() or own.exists()
    if not is_linked:
        raise Http404
    span = chosen_span(request) if request.GET.get("period") else None
    narrowed = span.narrow(own, timezone.now()) if span else own
    table = LINES.bind(request, narrowed)
    if table.wants_csv:
        return table.csv()
    totals = list(narrowed.totals())
    context: dict[str, Any] = {
        "subscriber": subscriber,
        "strategy": strategy,
        "span": span,
        "table": table,
        "totals": totals,
    }
    context |= {"explained": explained(request, subscriber.connection_id, table.rows), "schemes": SCHEMES}
    page = "reporting/_commission_lines.html" if request.partial else "reporting/commission_lines.html"
    return render(request, page, context)
