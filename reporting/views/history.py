"""The transactions explorer and the backend's log."""

from __future__ import annotations

from django.db.models import Q
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from reporting import deals
from reporting.models import LogRecord, Transaction
from reporting.retention import RecordKind, kept_from
from reporting.totals import MOST_DEALS, Totals, daily_results, deal_totals, totals
from subscribers.listings import ids_of, strategy_options
from users.listing import Choice, Column, DayRange, Listing, NameSearch, Option, Search, Text
from users.listing.parameters import address, first_page
from users.permissions import member_only, staff_only
from users.requests import MemberRequest

# whose a row is: the name with its link, the backend's id
SUBSCRIBER = (
    Column("subscriber_name", "Subscriber", source="subscriber__name", csv_name="subscriber"),
    Column("subscriber_id"),
    Column("subscriber_pk", source="subscriber__pk", in_csv=False),
)
STRATEGY = (
    Column("strategy_name", "Strategy", source="strategy__name", csv_name="strategy"),
    Column("strategy_id"),
    Column("strategy_pk", source="strategy__pk", in_csv=False),
)
TRANSACTION_TYPES = (
    Option("DEAL_TYPE_BUY", "Buy"),
    Option("DEAL_TYPE_SELL", "Sell"),
    Option("DEAL_TYPE_BALANCE", "Deposit or withdrawal"),
    Option("DEAL_TYPE_CREDIT", "Credit"),
    Option("DEAL_TYPE_COMMISSION", "Commission"),
)
ENTRIES = (Option(deals.IN, "Opens", deals.IS_IN), Option(deals.OUT, "Closes", deals.IS_OUT))
OUTCOMES = (
    Option("gain", "Gain", Q(profit__gt=0)),
    Option("loss", "Loss", Q(profit__lt=0)),
    Option("zero", "No result", Q(profit=0)),
)
TRANSACTIONS = Listing(
    name="transactions",
    sort="-time",
    columns=(
        Column("time", "Time", is_sortable=True),
        *SUBSCRIBER,
        *STRATEGY,
        Column("type", "Type"),
        Column("entry", source=deals.entry()),
        Column("side", source=deals.side()),
        Column("position", source=deals.position()),
        Column("symbol", "Symbol"),
        Column("lots", "Lots", source=deals.lots(), is_number=True, csv_name="volume_lots"),
        Column("price", "Price", is_number=True),
        Column("profit", "Profit", is_number=True, hint="In the currency of the subscriber's account"),
        Column("swap", "Swap", is_number=True, hint="In the currency of the subscriber's account"),
        Column("commission", "Commission", is_number=True, hint="In the currency of the subscriber's account"),
        Column("currency", "Currency", source="subscriber__currency"),
        Column("connection_id", in_csv=False),
        Column("provider_commission", in_table=False),
        Column("platform_commission", in_table=False),
        Column("improvement", in_table=False),
        Column("slippage_amount", in_table=False),
        Column("slippage_bp", in_table=False),
        Column("latency_ms", "Latency", is_number=True, hint="From the provider's fill to the copy's"),
        Column("position_id", in_table=False),
        Column("subscriber_position_id", in_table=False),
        Column("backend_id", csv_name="id"),
    ),
    filters=(
        DayRange("period", "Period", field="time"),
        Choice("strategy", "Strategy", field="strategy_id", placeholder="All strategies", options=strategy_options),
        NameSearch("subscriber", "Subscriber", field="subscriber_id", placeholder="Subscriber name or id", ids=ids_of),
        Text("symbol", "Symbol", placeholder="Symbol"),
        Choice("type", "Type", placeholder="All types", options=TRANSACTION_TYPES),
        Choice("entry", "Opens or closes", placeholder="Opens and closes", options=ENTRIES),
        Choice("outcome", "Outcome", placeholder="Any outcome", options=OUTCOMES),
        Text("deal", "Deal id", field="backend_id"),
    ),
)
LEVELS = (Option("INFO", "Information"), Option("WARN", "Warning"), Option("ERROR", "Error"))
LOG = Listing(
    name="log",
    sort="-time",
    columns=(
        Column("time", "Time", is_sortable=True),
        Column("level", "Level"),
        Column("message", "Message"),
        Column("symbol", "Trade"),
        Column("side"),
        *STRATEGY,
        *SUBSCRIBER,
        Column("currency", source="subscriber__currency"),
        Column("position_id", in_table=False),
        Column("open_price", in_table=False),
    ),
    filters=(
        Search("q", "Text", placeholder="Search the messages", fields=("message",)),
        DayRange("period", "Period", field="time"),
        Choice("level", "Level", placeholder="All levels", options=LEVELS),
        Choice("strategy", "Strategy", field="strategy_id", placeholder="All strategies", options=strategy_options),
        NameSearch("subscriber", "Subscriber", field="subscriber_id", placeholder="Subscriber name or id", ids=ids_of),
    ),
)


@require_safe
@member_only
def transactions(request: MemberRequest) -> HttpResponseBase:
    """Every deal of the accounts one may see."""
    table = TRANSACTIONS.bind(request, Transaction.objects.visible_to(request.membership))
    if table.wants_csv:
        return table.csv()
    context = {"totals_href": totals_address(table)}
    return render_list(request, "reporting/transactions.html", "reporting/_transactions.html", table, **context)


def totals_address(table) -> str:
    """Where the sums of what is filtered are; empty where there is nothing to add up."""
    filters = {key: value for key, value in sorted(first_page(table.parameters).items()) if key != "sort"}
    return address(reverse("reporting:transaction-totals"), filters) if table.rows else ""


def is_told_by_days(table) -> bool:
    """Whether the daily results, which are of UTC days, know the sums of what is filtered."""
    asked = set(first_page(table.parameters)) - {"sort"}
    if str(table.zone) != "UTC" and asked & {"from", "to"}:
        return False
    return asked <= {"from", "to", "strategy", "subscriber"}


def day_totals(request: MemberRequest, table) -> list[Totals] | None:
    """The sums of what is filtered from the daily results; None when there are too many days."""
    start, end = TRANSACTIONS.filters[0].days(table.parameters)
    subscriber = table.parameters.get("subscriber", "").strip()
    results = daily_results(
        request.membership,
        start=start,
        end=end,
        strategy=table.parameters.get("strategy", ""),
        subscribers=ids_of(request.membership, subscriber) if subscriber else None,
    )
    return totals(results)


@require_safe
@member_only
def transaction_totals(request: MemberRequest) -> HttpResponse:
    """What the filtered deals brought, per currency."""
    table = TRANSACTIONS.bind(request, Transaction.objects.visible_to(request.membership))
    totals = day_totals(request, table) if is_told_by_days(table) else deal_totals(table.filtered)
    came_from = address(reverse("reporting:transactions"), first_page(table.parameters))
    context = {"totals": totals, "by_days": is_told_by_days(table), "most_deals": MOST_DEALS, "back": came_from}
    return render(request, "reporting/_totals.html" if request.partial else "reporting/totals.html", context)


@require_safe
@staff_only
def log(request: MemberRequest) -> HttpResponseBase:
    """What the backend wrote while copying."""
    table = LOG.bind(request, LogRecord.objects.visible_to(request.membership))
    if table.wants_csv:
        return table.csv()
    limit = kept_from(request.workspace.pk, RecordKind.LOG)
    return render_list(request, "reporting/log.html", "reporting/_log.html", table, kept_from=limit)


def render_list(request: MemberRequest, page: str, part: str, table, **context) -> HttpResponse:
    """A list as a page, as its part, or only the word that there are newer rows."""
    if request.GET.get("newer"):
        if not table.newer_count:
            return HttpResponse(status=204)
        return render(request, "_newer.html", {"table": table})
    return render(request, part if request.partial else page, {"table": table, **context})
