"""Revenue: fees by month, strategy and client, with what the open periods may come to."""

from __future__ import annotations

from django.http import Http404
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from reporting.commission.services import calendar_of
from reporting.revenue import GROUPS, months_until, revenue_of
from reporting.views.commissions import local_day, wants_csv
from users.listing.export import file_name, plain_csv
from users.permissions import staff_only
from users.requests import MemberRequest
from users.time_limit import statements_may_take

MONTHS = 12
SHOWN_MONTHS = 6
MOST_ROWS = 200


@require_safe
@staff_only
@statements_may_take(30)  # the lines of a year
def revenue(request: MemberRequest) -> HttpResponseBase:
    """A year of months; the page shows the newest of them and the sum, the file all."""
    now, by = timezone.now(), request.GET.get("by", "strategy")
    if by not in GROUPS:
        raise Http404
    months = months_until(calendar_of(request.workspace).day_of(now), MONTHS)
    rows = revenue_of(request.membership, by, months, now)
    if wants_csv(request):
        keys = [f"{month:%Y-%m}" for month in months]
        columns = ("name", "currency", *keys, "total", "open_so_far", "forecast_of_open_periods")
        cells = (
            (row.name, row.currency, *(row.months[month] for month in months), row.total, row.open_so_far, row.forecast)
            for row in rows
        )
        return plain_csv(columns, list(cells), file_name("revenue", [by], on=local_day(request)))
    context = {"rows": rows[:MOST_ROWS], "count": len(rows), "by": by, "months": months[-SHOWN_MONTHS:]}
    return render(request, "reporting/revenue.html", {**context, "tab": "revenue"})
