"""Commission: what accrues now and what earlier periods came to, by strategy and subscriber, down to single lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from django.db.models import Count, Exists, IntegerField, OuterRef, QuerySet, Sum, Value
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from reporting.commission.billing import Owed, PageSpan, owed_by_strategy, owed_by_subscription, span_of
from reporting.commission.explain import explain
from reporting.commission.periods import Calendar
from reporting.commission.wording import CHARGES
from reporting.commission.zones import read_zones
from reporting.models import CommissionLine
from reporting.rates import ConvertedSum, UnknownRate, rates_of
from reporting.waiting import waiting_deals
from strategies.models import Strategy
from strategies.pages import page_of, visible_strategy
from subscribers.models import Subscriber
from users.listing import BadParameter, Column, Listing, Search, Table
from users.listing.export import computed_csv, file_name, plain_csv
from users.models import Workspace
from users.permissions import member_only, staff_only
from users.requests import MemberRequest

BESIDE = Value(None, output_field=IntegerField())  # not of the row's own query
OWED_CSV = (
    "strategy",
    "strategy_id",
    "subscriber",
    "subscriber_id",
    "scheme",
    "first_day",
    "last_day",
    "lines",
    "provisional_lines",
    "amount",
    "currency",
    "backends_amount",
    "difference",
)
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


def chosen_span(request: MemberRequest) -> PageSpan:
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


def owed_csv(request: MemberRequest, rows: Sequence[Owed], name: str, span: PageSpan) -> HttpResponse:
    """Totals as a file."""
    cells = (
        (
            row.strategy.name if row.strategy else "",
            row.strategy_id,
            row.subscriber.name if row.subscriber else "",
            row.subscriber_id,
            row.scheme,
            *row.period.split(" – "),
            row.lines,
            row.provisional,
            row.amount,
            row.currency,
            row.backends,
            row.difference,
        )
        for row in rows
    )
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
    context: dict[str, Any] = {"span": span, "by": by, "currency": currency, "schemes": CHARGES}
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


def by_subscriber(request: MemberRequest, span: PageSpan, context: dict) -> HttpResponseBase:
    """The accounts that owe something in a span, as a list of pages."""
    table = subscribers_listing().bind(request, owing(request, span))
    if table.wants_csv:
        headings = [column.heading for column in table.csv_columns]
        return computed_csv(headings, cells(request, span, table), table.file_name)
    context |= {"table": table, "sums": sums_of(request, span, table.rows)}
    page = "reporting/_commission_subscribers.html" if request.partial else "reporting/commissions.html"
    return render(request, page, context)


Sums = dict[tuple[int, str], tuple[int, int, Decimal]]


def sums_of(request: MemberRequest, span: PageSpan, rows: Sequence | None = None) -> Sums:
    """(strategies, lines, amount) by (connection, account) of a span, of these rows or of all accounts. One query.

    Asked for row by row, the same costs as many looks into the index as there are accounts and strategies together.
    """
    lines = CommissionLine.objects.visible_to(request.membership)
    if rows is not None:
        ids = {row.connection_id for row in rows}, {row.backend_id for row in rows}
        lines = lines.filter(connection_id__in=ids[0], subscriber_id__in=ids[1])
    by = ("connection_id", "subscriber_id")
    sums = {"strategies": Count("strategy_id", distinct=True), "number": Count("id"), "owed": Sum("amount")}
    grouped = span.narrow(lines, timezone.now()).order_by().values(*by).annotate(**sums)
    return {(row[0], row[1]): (row[2], row[3], row[4]) for row in grouped.values_list(*by, *sums)}


def cells(request: MemberRequest, span: PageSpan, table: Table) -> Iterator[tuple]:
    """The rows of the file: as the page shows them, for every account that the search leaves."""
    sums = sums_of(request, span)
    accounts = table.whole.values_list("connection_id", "backend_id", "name", "currency")
    for connection_id, backend_id, name, currency in accounts.iterator():
        if (connection_id, backend_id) in sums:
            yield name, backend_id, *sums[connection_id, backend_id], currency


def lines_of_row(request: MemberRequest, span: PageSpan, strategy: Strategy | None = None) -> QuerySet:
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


def owing(request: MemberRequest, span: PageSpan, strategy: Strategy | None = None) -> QuerySet:
    """Accounts with lines in a span."""
    accounts = Subscriber.objects.visible_to(request.membership)
    if strategy is not None:
        accounts = accounts.filter(connection_id=strategy.connection_id)
    return accounts.filter(Exists(lines_of_row(request, span, strategy)))


def subscribers_listing() -> Listing:
    """The list of accounts that owe something; what each owes is added up beside it (sums_of)."""
    return Listing(
        name="commissions-by-subscriber",
        sort="name",
        columns=(
            Column("name", "Subscriber", is_sortable=True, csv_name="subscriber"),
            Column("backend_id", csv_name="subscriber_id"),
            Column("connection_id", in_csv=False),
            Column("strategies", "Strategies", is_number=True, source=BESIDE),
            Column("lines", "Lines", is_number=True, source=BESIDE),
            Column("owed", "Amount", is_number=True, source=BESIDE, csv_name="amount"),
            Column("currency", "Currency"),
        ),
        filters=(Search("q", "Search", placeholder="Search by name or id", fields=("name", "backend_id")),),
    )


@require_safe
@staff_only
def strategy_commission(request: MemberRequest, pk: int) -> HttpResponse:
    """What the subscribers of one strategy owe in a span, a page of them at a time."""
    strategy, span, now = visible_strategy(request, pk), chosen_span(request), timezone.now()
    only = {"connection_id": strategy.connection_id, "strategy_id": strategy.backend_id}
    if wants_csv(request):
        return owed_csv(request, owed_by_subscription(request.membership, span, now, **only), "commission", span)
    table = subscribers_listing().bind(request, owing(request, span, strategy))
    shown = [row.backend_id for row in table.rows]
    rows = owed_by_subscription(request.membership, span, now, **only, subscriber_id__in=shown)
    totals = totals_by_currency(owed_by_strategy(request.membership, span, now, **only))
    context = page_of(strategy, "commission", span=span, rows=rows, schemes=CHARGES, of_strategy=True, table=table)
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
    context |= {"explained": explained(request, subscriber.connection_id, table.rows), "schemes": CHARGES}
    page = "reporting/_commission_lines.html" if request.partial else "reporting/commission_lines.html"
    return render(request, page, context)
