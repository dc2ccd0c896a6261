"""What a strategy brought: results of all strategies side by side, and of one its curve, transactions and log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice

from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from reporting import performance
from reporting.metrics import Curve, chart_columns
from reporting.models import LogRecord, Transaction
from reporting.overview import RANGES
from reporting.rates import UnknownRate, in_use, rates_of
from reporting.retention import RecordKind, kept_from
from reporting.views.history import LOG, TRANSACTIONS, render_list
from reporting.views.overview import chosen_range
from strategies.models import Strategy
from strategies.pages import page_of, visible_strategy
from strategies.views import STRATEGIES
from users.listing import BadParameter, Table
from users.listing.export import computed_csv
from users.parsing import row_ids
from users.permissions import staff_only
from users.requests import MemberRequest

LONGEST_IDS = 100
ORDERS = {
    "name": lambda row: row[0].name.lower(),
    "subscribers": lambda row: row[1].subscribers,
    "equity": lambda row: row[1].equity or 0,
    "month": lambda row: row[1].month if row[1].month is not None else -9e9,
    "year": lambda row: row[1].year if row[1].year is not None else -9e9,
    "drawdown": lambda row: row[1].drawdown if row[1].drawdown is not None else -9e9,
}


def without(listing, *keys: str):
    """A list without filters that its page has decided already."""
    return replace(listing, filters=tuple(filter_ for filter_ in listing.filters if filter_.key not in keys))


STRATEGY_TRANSACTIONS = without(TRANSACTIONS, "strategy")
STRATEGY_LOG = without(LOG, "strategy")


def asked_ids(request: MemberRequest) -> list[int] | None:
    """The strategies of `ids`, comma separated; None: all. Raises BadParameter."""
    listed = request.GET.get("ids", "")
    if not listed:
        return None
    if (ids := row_ids(listed, most=LONGEST_IDS)) is None:
        raise BadParameter("“ids” is a list of numbers with commas between them.")
    return ids


FIGURES_CSV = (
    "subscribers",
    "equity_copied",
    "currency",
    "accounts_left_out",
    "return_month",
    "return_year",
    "max_drawdown",
)
AT_ONCE = 50


def results_csv(request: MemberRequest, table: Table) -> StreamingHttpResponse:
    """The list of strategies with what the page shows beside it: returns and drawdown are fractions of one."""
    headings = [column.heading for column in table.csv_columns] + list(FIGURES_CSV)

    def rows() -> Iterator[list]:
        visible, now = table.whole.defer("document").iterator(AT_ONCE), timezone.now()
        while strategies := list(islice(visible, AT_ONCE)):
            figures = performance.strategy_figures(request.workspace, strategies, now=now)
            for strategy in strategies:
                own = [getattr(strategy, column.key) for column in table.csv_columns]
                yield own + figures_cells(figures[strategy.pk], request.workspace.reporting_currency)

    return computed_csv(headings, rows(), table.file_name)


def figures_cells(figures: performance.Figures, currency: str) -> list:
    """The cells of FIGURES_CSV; what is not known stays empty."""
    returns = [None if value is None else round(value, 6) for value in (figures.month, figures.year, figures.drawdown)]
    equity = None if figures.equity is None else round(figures.equity, 2)
    return [figures.subscribers, equity, currency, figures.left_out, *returns]


@require_safe
@staff_only
def results(request: MemberRequest) -> HttpResponseBase:
    """All strategies side by side, only the cells that the list of strategies asks for, or that list as a file."""
    if "format" in request.GET:
        return results_csv(request, STRATEGIES.bind(request, Strategy.objects.visible_to(request.membership)))
    strategies = performance.visible_strategies(request.membership, asked_ids(request))
    figures = performance.strategy_figures(request.workspace, strategies, now=timezone.now())
    rows = [(strategy, figures[strategy.pk]) for strategy in strategies]
    if request.partial and "ids" in request.GET:
        return render(request, "reporting/_strategy_cells.html", {"rows": rows})
    order = request.GET.get("sort") or "-month"
    if order.removeprefix("-") not in ORDERS:
        raise BadParameter(f"“sort” is one of {', '.join(ORDERS)}.")
    rows.sort(key=ORDERS[order.removeprefix("-")], reverse=order.startswith("-"))
    context = {"rows": rows, "order": order, "currency": request.workspace.reporting_currency}
    context["rate_note"] = in_use(request.workspace, rates_of(request.workspace), timezone.now().date()).note
    return render(request, "reporting/strategy_results.html", context)


@require_safe
@staff_only
def strategy_performance(request: MemberRequest, pk: int) -> HttpResponse:
    """Curve, monthly returns and symbols of one strategy, as a page or as the part of its overview."""
    strategy = visible_strategy(request, pk)
    now, currency = timezone.now(), request.workspace.reporting_currency
    context = page_of(strategy, "overview", currency=currency, ranges=list(RANGES), range=chosen_range(request))
    context["figures"] = performance.strategy_figures(request.workspace, [strategy], now=now)[pk]
    try:
        rates = rates_of(request.workspace)
        curve = performance.followers_curve(strategy, currency, rates)
        context |= {"heat_map": performance.heat_map(curve), "is_estimated": curve.is_estimated}
        context["symbols"] = performance.symbols_of(strategy, currency, rates, on=now.date())
        context["problem"] = ""
    except UnknownRate as error:
        context |= {"heat_map": None, "symbols": [], "problem": error.text}
    part, page = "reporting/_strategy_performance.html", "reporting/strategy_performance.html"
    return render(request, part if request.partial else page, context)


def curve_answer(
    request: MemberRequest, curve: Curve, title: str, came_from: str, *, of_many: bool = False
) -> HttpResponse:
    """The chosen range of a whole curve as columns for the chart, or as a table for everybody.

    of_many: accounts that begin are flows too.
    """
    columns = chart_columns(curve, start=start_of(request))
    if request.GET.get("as") == "table":
        points = list(zip(*columns, strict=True))[::-1]
        context = {
            "points": points,
            "currency": curve.currency,
            "title": title,
            "back": came_from,
            "is_of_many": of_many,
        }
        return render(request, "reporting/curve_table.html", context)
    return JsonResponse(columns, safe=False)


def start_of(request: MemberRequest) -> datetime | None:
    """Where the chosen range begins; None: at the beginning. Raises BadParameter."""
    days = RANGES[chosen_range(request)]
    return timezone.now() - timedelta(days=days) if days else None


@require_safe
@staff_only
def equity(request: MemberRequest, pk: int) -> HttpResponse:
    """The equity of the accounts that copy a strategy, by day."""
    strategy = visible_strategy(request, pk)
    try:
        curve = performance.followers_curve(strategy, request.workspace.reporting_currency, rates_of(request.workspace))
    except UnknownRate as error:
        return JsonResponse({"error": error.text}, status=409)
    title = f"Equity of the accounts that copy {strategy.name}"
    return curve_answer(request, curve, title, f"/strategies/{pk}/", of_many=True)


@require_safe
@staff_only
def transactions(request: MemberRequest, pk: int) -> HttpResponse:
    """Every deal copied from one strategy."""
    strategy = visible_strategy(request, pk)
    own = Transaction.objects.visible_to(request.membership).filter(strategy_id=strategy.backend_id)
    table = STRATEGY_TRANSACTIONS.bind(request, own.filter(connection_id=strategy.connection_id))
    if table.wants_csv:
        return table.csv()
    page = page_of(strategy, "transactions", totals_href="")
    return render_list(request, "reporting/strategy_transactions.html", "reporting/_transactions.html", table, **page)


@require_safe
@staff_only
def log(request: MemberRequest, pk: int) -> HttpResponse:
    """What the backend wrote about one strategy."""
    strategy = visible_strategy(request, pk)
    own = LogRecord.objects.visible_to(request.membership).filter(strategy_id=strategy.backend_id)
    table = STRATEGY_LOG.bind(request, own.filter(connection_id=strategy.connection_id))
    if table.wants_csv:
        return table.csv()
    page = page_of(strategy, "log", kept_from=kept_from(request.workspace.pk, RecordKind.LOG))
    return render_list(request, "reporting/strategy_log.html", "reporting/_log.html", table, **page)
