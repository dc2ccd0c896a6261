"""Closing what is open by hand: one position, or a signal at all or at chosen clients.

Each begins with a page that says what closes, at whom and with which result; the name has to be typed.
"""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from editing.backend import NotDone, backend_of
from reporting import closing_positions as closing
from reporting import exposure, open_reads
from reporting.models import OpenPosition, OpenTrade
from reporting.views.booking import carry_out
from reporting.views.positions import ReportingMoney
from users.once import once
from users.parsing import row_ids
from users.permissions import may_manage
from users.requests import MemberRequest

MOST_CHOSEN = open_reads.MOST_COPIES
ALL = "all"
IN_DOUBT = "was sent to be closed; whether it is done is not known. Look at what is open before you send it again."


@require_http_methods(["GET", "POST"])
@may_manage
@once
def close_position(request: MemberRequest, pk: int) -> HttpResponse:
    """Close one position of a client's account."""
    visible = open_reads.client_positions(request.membership).select_related("subscriber", "connection", "strategy")
    position = get_object_or_404(visible, pk=pk)
    account, problem = open_reads.account_of(position), ""
    name, home = account.name, reverse("reporting:subscriber-positions", args=[account.pk])
    if request.method == "POST":
        if request.POST.get("typed", "").strip() == name.strip():
            if say(request, position):
                return redirect(home)
            problem = "Nothing was closed."
        else:
            problem = f"Nothing was closed. Type the name, {name}, to say that you mean it."
    context = {
        "position": position,
        "problem": problem,
        "back": home,
        "in_reporting": ReportingMoney.of(request).convert(position.floating, account.currency),
        "reporting_currency": request.workspace.reporting_currency,
    }
    return render(request, "reporting/close_position.html", context, status=422 if problem else 200)


def say(request: MemberRequest, position: OpenPosition) -> bool:
    """Close it and say what became of it; whether the form counts as sent."""
    what = f"{position.side.capitalize()} {position.symbol} at {open_reads.account_of(position).name}"
    try:
        with backend_of(position.connection) as client:
            outcome = closing.close_position(position, client=client, by=request.user, now=timezone.now())
    except NotDone as error:
        messages.error(request, error.text)
        return False
    if outcome.code == closing.REFUSED:
        messages.error(request, f"{what} is not closed: {outcome.text}")
        return False
    closing.follow_up(position.connection)
    if outcome.code == closing.UNCONFIRMED:
        messages.warning(request, f"{what} {IN_DOUBT}")
    elif outcome.code == closing.GONE:
        messages.info(request, f"{what} was not open any more.")
    else:
        messages.success(request, f"{what} is closed{' in part' if outcome.text else ''}.")
    return True


@require_http_methods(["GET", "POST"])
@may_manage
@once
def close_signal(request: MemberRequest, pk: int) -> HttpResponse:
    """Close the copies of a signal at all or at chosen clients; the provider's own trade stays."""
    visible = open_reads.listed_signals(request.membership).select_related("strategy")
    signal = get_object_or_404(visible, pk=pk)
    copies = open_reads.copies_of(signal, request.membership)
    problem = ""
    if request.method == "POST":
        chosen, problem = chosen_of(request, signal, list(copies.values_list("pk", flat=True)))
        if not problem:
            title = f"{len(chosen)} of {signal.copies} copies of {signal.side} {signal.symbol}"
            parameters = {"positions": chosen, "href": reverse("reporting:positions")}
            carry_out(request, closing.CLOSE, title=title, parameters=parameters, origin=reverse("reporting:positions"))
            return redirect("reporting:positions")
    money = ReportingMoney.of(request)
    context = {
        "signal": signal,
        "copies": list(copies[:MOST_CHOSEN]),
        "exposure": money.total(exposure.position_rows(copies)),
        "chosen": request.POST.getlist("position"),
        "scope": request.POST.get("scope", ALL),
        "problem": problem,
        "name": name_of(signal),
        "back": reverse("reporting:position-signal", args=[pk]),
    }
    return render(request, "reporting/close_signal.html", context, status=422 if problem else 200)


def name_of(signal: OpenTrade) -> str:
    """What has to be typed."""
    return signal.symbol


def chosen_of(request: MemberRequest, signal: OpenTrade, copies: list[int]) -> tuple[list[int], str]:
    """The positions to close, and why nothing is closed; one of them is empty."""
    if request.POST.get("scope") != ALL:
        asked = row_ids(",".join(request.POST.getlist("position")), most=MOST_CHOSEN)
        if not asked:
            return [], "Nothing was closed. Choose at least one client."
        if not set(asked) <= set(copies):
            return [], "Nothing was closed. Choose of what the page lists now: something was closed meanwhile."
    else:
        asked = copies
    if not asked:
        return [], "Nothing was closed: it has no copy at a client's account."
    if request.POST.get("typed", "").strip() != name_of(signal):
        return [], f"Nothing was closed. Type {name_of(signal)} to say that you mean it."
    return asked, ""
