"""Exchange rates: where they come from, how old they are, fetching them, and a firm's own for other currencies."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from reporting.commission.services import calendar_of
from reporting.forms import OwnRateForm, RateFileForm
from reporting.models import OwnRate, RateFetch
from reporting.own_rates import COLUMNS, EnteredRate, UnreadableFile, add_rates, read_file
from reporting.own_rates import remove_rate as forget_rate
from reporting.rates import in_use, is_old, rates_of
from reporting.tasks import fetch_reference_rates
from users.confirming import confirmed
from users.once import once
from users.permissions import can_bill, can_own, may_bill, owner_only, staff_only
from users.requests import MemberRequest

SHOWN = 200
AT_MOST_EVERY = timedelta(minutes=1)


def blank_form(request: MemberRequest) -> OwnRateForm:
    today = calendar_of(request.workspace).day_of(timezone.now())
    return OwnRateForm(rates=rates_of(request.workspace), today=today, initial={"day": today})


@require_safe
@staff_only
def rates(request: MemberRequest) -> HttpResponse:
    """Which rates are in use, and what can be done about them."""
    return render_rates(request, blank_form(request), RateFileForm(auto_id="file_%s"))


def render_rates(request: MemberRequest, form: OwnRateForm, file_form: RateFileForm, status: int = 200) -> HttpResponse:
    now = timezone.now()
    known, today = rates_of(request.workspace), now.date()
    own = OwnRate.objects.visible_to(request.membership).select_related("entered_by").order_by("-day", "currency")
    context: dict[str, Any] = {"form": form, "file_form": file_form, "fetch": RateFetch.only(), "own": own[:SHOWN]}
    context |= {"newest_day": known.newest_day(), "is_old": is_old(known.newest_day(), today)}
    context |= {"used": in_use(request.workspace, known, today), "address_is_set": bool(settings.ECB_RATES_URL)}
    context |= {
        "may_own": can_own(request.membership),
        "may_bill": can_bill(request.membership),
        "own_count": own.count(),
    }
    return render(request, "reporting/rates.html", {**context, "shown": SHOWN}, status=status)


@require_POST
@owner_only
@once
def switch_fetching(request: MemberRequest) -> HttpResponse:
    """Fetch the ECB's file each business day from now on, or no longer."""
    is_on = request.POST.get("on") == "1"
    RateFetch.only()
    RateFetch.objects.filter(pk=1).update(
        is_on=is_on, switched_at=timezone.now(), switched_by=request.user, due_at=None, problem=""
    )
    if is_on:
        fetch_reference_rates.delay()
        messages.success(request, "The European Central Bank's rates are fetched now and after each business day.")
    else:
        messages.success(request, "Rates are no longer fetched. Those that are stored stay in use.")
    return redirect("reporting:rates")


@require_POST
@may_bill
@once
def fetch_now(request: MemberRequest) -> HttpResponse:
    """Try again now; an attempt that runs is not doubled."""
    if not (settings.ECB_RATES_URL or RateFetch.only().is_on):
        messages.info(request, "Nothing is fetched: an owner switches it on first.")
        return redirect("reporting:rates")
    if RateFetch.objects.filter(pk=1, attempted_at__gt=timezone.now() - AT_MOST_EVERY).exists():
        messages.info(request, "Rates were asked for less than a minute ago. Look again in a moment.")
        return redirect("reporting:rates")
    RateFetch.objects.filter(pk=1).update(due_at=None)
    fetch_reference_rates.delay()
    messages.success(request, "The rates are being fetched. This page says in a moment what came of it.")
    return redirect("reporting:rates")


@require_POST
@may_bill
@confirmed
@once
def add_rate(request: MemberRequest) -> HttpResponse:
    """Enter one rate by hand."""
    today = calendar_of(request.workspace).day_of(timezone.now())
    form = OwnRateForm(request.POST, rates=rates_of(request.workspace), today=today)
    if not form.is_valid():
        return render_rates(request, form, RateFileForm(auto_id="file_%s"), status=422)
    entered = EnteredRate(*(form.cleaned_data[name] for name in COLUMNS))
    source = form.cleaned_data["source"]
    add_rates(request.workspace, [entered], source=source, by=request.user, now=timezone.now())
    messages.success(request, f"From {entered.day} on, 1 {entered.currency} is {entered.value} {entered.against}.")
    return redirect("reporting:rates")


@require_POST
@may_bill
@confirmed
@once
def add_file(request: MemberRequest) -> HttpResponse:
    """Read many rates from a file; all of them or none."""
    form = RateFileForm(request.POST, request.FILES, auto_id="file_%s")
    if form.is_valid():
        today, known = calendar_of(request.workspace).day_of(timezone.now()), rates_of(request.workspace)
        try:
            entered = read_file(form.cleaned_data["file"].read(), rates=known, today=today)
        except UnreadableFile as error:
            form.add_error("file", str(error))
        else:
            source = form.cleaned_data["source"]
            number = add_rates(request.workspace, entered, source=source, by=request.user, now=timezone.now())
            messages.success(request, f"{number} {'rate is' if number == 1 else 'rates are'} stored.")
            return redirect("reporting:rates")
    return render_rates(request, blank_form(request), form, status=422)


@require_POST
@may_bill
@confirmed
@once
def remove_rate(request: MemberRequest, pk: int) -> HttpResponse:
    """Forget a rate that was wrong."""
    rate = get_object_or_404(OwnRate.objects.visible_to(request.membership), pk=pk)
    forget_rate(rate, by=request.user, now=timezone.now())
    messages.success(request, "The rate is removed. What was converted with it keeps it.")
    return redirect("reporting:rates")
