"""The overview: is everything all right, and what did we earn?"""

from __future__ import annotations

from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from reporting import overview as reads
from reporting.attention import attention
from reporting.decisions import copies_of_day
from reporting.rates import UnknownRate, rates_of
from strategies.models import Strategy
from subscribers.models import Subscriber
from users.listing import BadParameter
from users.permissions import member_only, staff_only
from users.requests import MemberRequest

DEFAULT_RANGE = "3M"


def chosen_range(request: MemberRequest) -> str:
    """The range in the URL. Raises BadParameter for one that does not exist."""
    wanted = request.GET.get("range") or DEFAULT_RANGE
    if wanted not in reads.RANGES:
        raise BadParameter(f"“range” is one of {', '.join(reads.RANGES)}.")
    return wanted


def chosen_currency(request: MemberRequest) -> str:
    """The currency in the URL, three letters. Raises BadParameter."""
    wanted = request.GET.get("currency") or request.workspace.reporting_currency
    if not (len(wanted) == 3 and wanted.isascii() and wanted.isalpha()):
        raise BadParameter("“currency” has three letters, like USD.")
    return wanted.upper()


@require_safe
@member_only
def overview(request: MemberRequest) -> HttpResponse:
    """The first page of staff; a subscriber is taken to their own."""
    if not request.membership.is_staff_role:
        return redirect("/me/")
    now = timezone.now()
    standings, unknown = reads.standings(request.workspace, now=now)
    without_currency = unknown.accounts if unknown else 0
    deals_without = unknown.deals_today if unknown else 0
    total, no_total = None, ""
    try:
        rates, unit = rates_of(request.workspace), request.workspace.reporting_currency
        total = reads.total(standings, rates, currency=unit, on=now.date(), without_currency=without_currency)
    except UnknownRate as error:
        no_total = error.text
    context = {
        "standings": standings,
        "currencies": [standing.currency for standing in standings],
        "total": total,
        "no_total": no_total,
        "accounts": sum(standing.accounts for standing in standings) + without_currency,
        "without_currency": without_currency,
        "deals_without": deals_without,
        "deals_today": sum(standing.deals_today for standing in standings) + deals_without,
        "latency": reads.latency(request.workspace, now=now),
        "attention": attention(request.membership, now=now),
        "accounts_known": bool(standings) or Subscriber.objects.visible_to(request.membership).exists(),
        "strategies_known": bool(standings) or Strategy.objects.visible_to(request.membership).exists(),
        "copies": copies_of_day(request.workspace, now.date()),
        "feed": reads.feed(request.membership),
        "ranges": list(reads.RANGES),
        "range": chosen_range(request),
        "currency": chosen_currency(request),
        "today": now.date(),
        "month": now.date().replace(day=1),
    }
    return render(request, "reporting/_overview.html" if request.partial else "reporting/overview.html", context)


@require_safe
@staff_only
def equity(request: MemberRequest) -> HttpResponse:
    """The equity of all accounts of a currency, as columns for the chart or as a table for everybody."""
    days, currency = reads.RANGES[chosen_range(request)], chosen_currency(request)
    columns = reads.equity_curve(request.workspace, currency=currency, days=days, now=timezone.now())
    if request.GET.get("as") == "table":
        times, equity, _, flows = (column or [] for column in columns)
        context = {"points": list(zip(times, equity, flows, strict=True))[::-1], "currency": currency}
        return render(request, "reporting/equity_table.html", context)
    return JsonResponse(columns, safe=False)
