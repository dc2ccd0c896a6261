"""What portfolios' owners owe to members' providers, beside the backend's own figure, and what of it was paid."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib import messages
from django.core.cache import cache
from django.db.models import F, Max, Min, Sum
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from reporting.commission.paid_incoming import closed_incoming, record_incoming_payout
from reporting.commission.refusals import CannotBook
from reporting.commission.services import calendar_of
from reporting.models import BillingPeriod, CommissionLine, Transaction
from reporting.rates import ConvertedSum, Rates, UnknownRate, rates_of
from reporting.receiver_forms import PayoutForm
from reporting.views.commissions import chosen_span, local_day, wants_csv
from strategies.models import Strategy
from users.confirming import confirmed
from users.listing.export import file_name, plain_csv
from users.once import once
from users.permissions import can_bill, may_bill, staff_only
from users.requests import MemberRequest

KEPT_S = 20


# --- What is owed -----------------------------------------------------------------------------------------------------
INCOMING_CSV = ("portfolio", "portfolio_id", "member", "member_id", "lines", "amount", "currency")


def incoming_rows(request: MemberRequest, span, now: datetime) -> list[dict]:
    """What each portfolio's owner owes to each member's provider in a span, by currency."""
    lines = span.narrow(CommissionLine.objects.incoming(request.membership), now)
    rows = list(
        lines.totals("connection_id", "strategy_id", "member_id").annotate(
            start=Min("period_start"), end=Max("period_end")
        )
    )
    named = {
        (connection_id, backend_id): (name, pk)
        for connection_id, backend_id, name, pk in Strategy.objects.visible_to(request.membership)
        .filter(backend_id__in={row[key] for row in rows for key in ("strategy_id", "member_id")})
        .values_list("connection_id", "backend_id", "name", "pk")
    }
    for row in rows:
        for key in ("strategy", "member"):
            backend_id = row[f"{key}_id"]
            row[key], row[f"{key}_pk"] = named.get((row["connection_id"], backend_id), (backend_id, None))
    return sorted(rows, key=lambda row: (row["strategy"].lower(), row["member"].lower(), row["currency"]))


def backends_incoming(request: MemberRequest, rows: list[dict], now: datetime) -> dict[tuple, Decimal]:
    """The backend's own figure by portfolio and currency over the same days; kept for some seconds."""
    spans: dict[tuple, list] = {}
    for row in rows:
        spans.setdefault((row["connection_id"], row["strategy_id"]), []).append((row["start"], row["end"]))
    figures: dict[tuple, Decimal] = {}
    for (connection_id, strategy_id), dates in spans.items():
        start, end = min(first for first, _ in dates), min(max(last for _, last in dates), now)
        key = f"backends-incoming:{connection_id}:{strategy_id}:{start.date()}:{end.date()}".replace(" ", "")
        sums = cache.get(key)
        if sums is None:
            deals = Transaction.objects.visible_to(request.membership).filter(
                connection_id=connection_id,
                strategy_id=strategy_id,
                time__gte=start,
                time__lt=end,
            )
            by_currency = deals.order_by().annotate(unit=F("subscriber__currency")).values_list("unit")
            sums = list(by_currency.annotate(total=Sum("incoming_provider_commission")))
            cache.set(key, sums, KEPT_S)
        figures |= {(connection_id, strategy_id, currency): total or Decimal(0) for currency, total in sums}
    return figures


@require_safe
@staff_only
def incoming(request: MemberRequest) -> HttpResponse:
    """What portfolios' owners owe to the providers of their members, beside the backend's own figure."""
    span, now = chosen_span(request), timezone.now()
    rows = incoming_rows(request, span, now)
    if wants_csv(request):
        cells = (
            (
                row["strategy"],
                row["strategy_id"],
                row["member"],
                row["member_id"],
                row["lines"],
                row["total"],
                row["currency"],
            )
            for row in rows
        )
        return plain_csv(INCOMING_CSV, cells, file_name("incoming-commission", [span.key], on=local_day(request)))
    theirs = backends_incoming(request, rows, now)
    compared: dict[tuple, dict] = {}
    for row in rows:
        key = (row["connection_id"], row["strategy_id"], row["currency"])
        comparison = compared.setdefault(
            key, {"strategy": row["strategy"], "currency": row["currency"], "ours": Decimal(0)}
        )
        comparison["ours"] += row["total"]
        comparison["theirs"] = theirs.get(key, Decimal(0))
    today = calendar_of(request.workspace).day_of(now)
    total = in_one_currency(rows, request.workspace.reporting_currency, rates_of(request.workspace), now)
    context = {"span": span, "rows": rows, "compared": list(compared.values()), "total": total, "tab": "incoming"}
    context |= {"sums": with_names(request, closed_incoming(request.membership, span, now)), "today": today}
    context |= {"may_bill": can_bill(request.membership)}
    return render(request, "reporting/incoming.html", {**context, "currency": request.workspace.reporting_currency})


def in_one_currency(rows: list[dict], currency: str, rates: Rates, now: datetime) -> ConvertedSum | None:
    """The sum at today's rates, for reading; None where a currency has no rate."""
    amounts = ((row["total"], row["currency"]) for row in rows)
    try:
        return rates.add_up(amounts, currency, now.date())
    except UnknownRate:
        return None


# --- What was paid ----------------------------------------------------------------------------------------------------
def with_names(request: MemberRequest, sums: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sums with the names of portfolio and member."""
    ids = {row[key] for row in sums for key in ("strategy_id", "member_id")}
    own = Strategy.objects.visible_to(request.membership).filter(backend_id__in=ids)
    names = {
        (connection_id, key): name
        for connection_id, key, name in own.values_list("connection_id", "backend_id", "name")
    }
    for row in sums:
        for key in ("strategy", "member"):
            row[key] = names.get((row["connection_id"], row[f"{key}_id"]), row[f"{key}_id"])
    return sums


@require_POST
@may_bill
@confirmed
@once
def incoming_paid(request: MemberRequest, pk: int) -> HttpResponse:
    """Note that what is owed to a member's provider for a closed period was paid, or that it was not after all."""
    own = BillingPeriod.objects.visible_to(request.membership).filter(closed_at__isnull=False)
    period = get_object_or_404(own.select_related("workspace"), pk=pk)
    is_paid = request.POST.get("state") != "unpaid"
    form = PayoutForm(request.POST, today=calendar_of(request.workspace).day_of(timezone.now()))
    if is_paid and not form.is_valid():
        messages.error(request, "Nothing was recorded: say on which day it was paid, not one to come.")
        return redirect("reporting:incoming")
    try:
        payout = record_incoming_payout(
            period,
            request.POST.get("member", ""),
            request.POST.get("currency", ""),
            is_paid=is_paid,
            paid_on=form.cleaned_data["paid_on"] if is_paid else None,
            note=form.cleaned_data["note"] if is_paid else "",
            by=request.user,
            now=timezone.now(),
        )
    except CannotBook as error:
        messages.error(request, error.text)
    else:
        if payout is None:
            raise Http404
        messages.success(request, "Noted as paid." if is_paid else "Noted: it was not paid after all.")
    return redirect("reporting:incoming")
