"""The journal for bookkeeping: what is exported, its files, and the accounts in Settings."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from reporting.bookkeeping import ROLE_OF, BookkeepingSettings, JournalExport
from reporting.bookkeeping_forms import BookkeepingForm, ExportForm
from reporting.commission.journal import movements_of, paid_text, read_bookings
from reporting.commission.journal_exports import export_journal, first_day_to_export, preview_export, take_export_back
from reporting.commission.journal_files import beancount_file, datev_batches, datev_file
from reporting.commission.refusals import CannotBook
from reporting.commission.services import calendar_of
from reporting.views.billing import store_settings
from users.confirming import confirmed
from users.once import once
from users.parsing import row_id
from users.permissions import can_bill, may_bill, staff_only
from users.requests import MemberRequest
from users.time_limit import statements_may_take

SHOWN = 50
EXPORTS_SHOWN = 60


def days_to_propose(request: MemberRequest) -> dict[str, date]:
    """From where the last export ended to the end of the last month, or to yesterday where that is no day later."""
    first = first_day_to_export(request.workspace)
    today = calendar_of(request.workspace).day_of(timezone.now())
    yesterday, month_end = today - timedelta(days=1), today.replace(day=1) - timedelta(days=1)
    if first is None:
        return {}
    return {"first_day": first, "last_day": month_end if month_end >= first else max(yesterday, first)}


@require_safe
@staff_only
@statements_may_take(60)  # every entry of the days, once
def journal(request: MemberRequest) -> HttpResponse:
    """What can be exported, looked at before it is, and what was exported."""
    proposed = days_to_propose(request)
    form = ExportForm(request.GET if request.GET.get("first_day") else None, initial=proposed)
    days = proposed
    if form.is_bound:
        days = form.cleaned_data if form.is_valid() else {}
    return render_journal(request, form, days)


def render_journal(request: MemberRequest, form: ExportForm, days: dict[str, Any], status: int = 200) -> HttpResponse:
    """The page, with a look at these days; none: without."""
    preview = None
    if days:
        try:
            preview = preview_export(request.workspace, **days, now=timezone.now())
        except CannotBook as error:
            if form.is_bound and not form.errors:
                form.add_error("last_day", error.text)
    exports = list(
        JournalExport.objects.visible_to(request.membership)
        .select_related("made_by")
        .order_by("-number")[:EXPORTS_SHOWN]
    )
    context = {
        "form": form,
        "days": days,
        "preview": preview,
        "exports": exports,
        "tab": "journal",
        "shown": SHOWN,
        "newest": next((row for row in exports if row.taken_back_at is None), None),
        "roles": ROLE_OF,
        "movements": movements_of(preview.bookings) if preview else [],
        "paid_text": paid_text,
        "may_bill": can_bill(request.membership),
    }
    return render(request, "reporting/journal.html", context, status=422 if form.errors else status)


@require_POST
@may_bill
@confirmed
@once
def export(request: MemberRequest) -> HttpResponse:
    """Export the days that were looked at."""
    form = ExportForm(request.POST)
    if form.is_valid():
        try:
            stored = export_journal(request.workspace, **form.cleaned_data, by=request.user, now=timezone.now())
        except CannotBook as error:
            form.add_error("last_day", error.text)
        else:
            messages.success(
                request, f"{stored} is exported: {stored.first_day} to {stored.last_day}. Download its files below."
            )
            return redirect("reporting:journal")
    return render_journal(request, form, {}, status=422)


@require_POST
@may_bill
@confirmed
@once
def take_back(request: MemberRequest, pk: int) -> HttpResponse:
    """Let the days of the newest export be exported anew."""
    own = get_object_or_404(JournalExport.objects.visible_to(request.membership), pk=pk)
    try:
        take_export_back(own, by=request.user, now=timezone.now())
    except CannotBook as error:
        messages.error(request, error.text)
    else:
        messages.success(request, f"{own} is taken back: its days can be exported anew.")
    return redirect("reporting:journal")


# --- Files ------------------------------------------------------------------------------------------------------------
@require_safe
@staff_only
@statements_may_take(60)
def as_beancount(request: MemberRequest, pk: int) -> HttpResponse:
    """An export as plain double-entry text."""
    own = get_object_or_404(JournalExport.objects.visible_to(request.membership).select_related("previous"), pk=pk)
    content = beancount_file(own, read_bookings(own))
    return as_download(content, f"{own.label}.beancount", "text/plain; charset=utf-8")


@require_safe
@staff_only
@statements_may_take(60)
def as_datev(request: MemberRequest, pk: int) -> HttpResponseBase:
    """An export as DATEV's booking batches: a list of them, or the one of a currency and fiscal year."""
    own = get_object_or_404(JournalExport.objects.visible_to(request.membership).select_related("previous"), pk=pk)
    bookings = read_bookings(own)
    batches = datev_batches(own, bookings)
    if "currency" not in request.GET:
        context = {"export": own, "batches": batches, "tab": "journal"}
        return render(request, "reporting/journal_datev.html", context)
    batch = request.GET["currency"], row_id(request.GET.get("year", ""))
    if batch not in batches:
        raise Http404
    currency, year = batch
    name = f"EXTF_Buchungsstapel_{own.number:04d}_{currency}_{year}.csv"
    return as_download(datev_file(own, bookings, currency, year), name, "text/csv; charset=windows-1252")


def as_download(content: bytes, name: str, content_type: str) -> HttpResponse:
    response = HttpResponse(content, content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store"
    return response


# --- Accounts ---------------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "HEAD", "POST"])
@staff_only
def bookkeeping(request: MemberRequest) -> HttpResponseBase:
    """The accounts of the journal; whoever bills may change them."""
    if request.method == "POST":
        return save_bookkeeping(request)
    form = BookkeepingForm(instance=BookkeepingSettings.of(request.workspace))
    return render(request, "reporting/bookkeeping.html", {"form": form, "may_bill": can_bill(request.membership)})


@may_bill
@confirmed
def save_bookkeeping(request: MemberRequest) -> HttpResponse:
    """Store the form, or show what is wrong with it."""
    form = BookkeepingForm(request.POST, instance=BookkeepingSettings.of(request.workspace))
    if not form.is_valid():
        return render(request, "reporting/bookkeeping.html", {"form": form, "may_bill": True}, status=422)
    store_settings(request, form, action="bookkeeping changed")
    messages.success(request, "Saved. It holds for exports from the next one on.")
    return redirect("reporting:bookkeeping")
