"""Pages of agents and the platform: what each gets of the fees, its clients, its statements, and what was paid."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from django.contrib import messages
from django.db.models import OuterRef, Subquery
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from editing.terms import percent
from reporting.commission.money import money_text
from reporting.commission.refusals import CannotBook
from reporting.commission.services import calendar_of
from reporting.commission.sharing import (
    add_receiver,
    clients_of_receiver,
    draft_documents,
    introduce,
    make_statements,
    record_payout,
    set_shares,
)
from reporting.models import FeeReceiver, Payout, ReceiverKind, ReceiverStatement, ReceiverTerms, ShareLine
from reporting.receiver_forms import ClientsForm, PayoutForm, ReceiverForm, SharesForm
from reporting.views.commissions import wants_csv
from subscribers.models import Subscriber
from users.confirming import confirmed
from users.listing.export import file_name, plain_csv
from users.once import once
from users.permissions import can_bill, may_bill, staff_only
from users.requests import MemberRequest
from users.time_limit import statements_may_take

SHOWN = 200
LINES_CSV = (
    "statement",
    "client",
    "client_id",
    "client_statement",
    "strategy",
    "until",
    "fee",
    "level",
    "share",
    "standing",
    "fees",
    "booked",
    "amount",
    "currency",
)


def today_of(request: MemberRequest) -> date:
    return calendar_of(request.workspace).day_of(timezone.now())


def visible_receiver(request: MemberRequest, pk: int) -> FeeReceiver:
    """404 for strangers and clients."""
    return get_object_or_404(FeeReceiver.objects.visible_to(request.membership).select_related("workspace"), pk=pk)


def visible_document(request: MemberRequest, pk: int) -> ReceiverStatement:
    """404 for strangers and clients."""
    own = ReceiverStatement.objects.visible_to(request.membership)
    return get_object_or_404(own.select_related("workspace", "receiver"), pk=pk)


def with_state(documents: Any) -> Any:
    """Statements of receivers with `is_paid` and `paid_on`, as the newest note says."""
    newest = Payout.objects.filter(document=OuterRef("pk")).order_by("-pk")
    return documents.annotate(
        is_paid=Subquery(newest.values("is_paid")[:1]), paid_on=Subquery(newest.values("paid_on")[:1])
    )


# --- Receivers --------------------------------------------------------------------------------------------------------
@require_safe
@staff_only
def receivers(request: MemberRequest) -> HttpResponse:
    """Who gets a part of the fees, and the newest statements."""
    own = FeeReceiver.objects.visible_to(request.membership).order_by("name", "pk")
    now = timezone.now()
    newest = ReceiverTerms.objects.filter(receiver=OuterRef("pk"), valid_from__lte=now).order_by("-valid_from", "-pk")
    rows = own.annotate(shares=Subquery(newest.values("shares")[:1]), above=Subquery(newest.values("above__name")[:1]))
    documents = with_state(ReceiverStatement.objects.visible_to(request.membership)).select_related("receiver")
    context = {
        "rows": rows[:SHOWN],
        "share_words": share_words,
        "documents": documents.order_by("-number")[:SHOWN],
        "may_bill": can_bill(request.membership),
        "tab": "receivers",
    }
    return render(request, "reporting/receivers.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@may_bill
@confirmed
@once
def new_receiver(request: MemberRequest) -> HttpResponse:
    """Add an agent or the platform."""
    form = ReceiverForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            receiver = add_receiver(request.workspace, **form.cleaned_data, by=request.user, now=timezone.now())
        except CannotBook as error:
            form.add_error("name", error.text)
        else:
            messages.success(request, "Added: say what it gets.")
            return redirect("reporting:receiver-shares", receiver.pk)
    context = {
        "receiver": None,
        "form": form,
        "title": "Add somebody who gets a part of the fees",
        "button": "Add",
        "tab": "receivers",
    }
    return render(request, "reporting/receiver_form.html", context, status=422 if form.errors else 200)


@require_safe
@staff_only
def receiver(request: MemberRequest, pk: int) -> HttpResponse:
    """One receiver: its terms from when on, its clients, its statements."""
    own, now = visible_receiver(request, pk), timezone.now()
    terms = list(own.terms.select_related("above", "set_by").order_by("-valid_from", "-pk"))
    current = next((row.pk for row in terms if row.valid_from <= now), None)
    clients = clients_of_receiver(own, now)
    context = {
        "receiver": own,
        "share_words": share_words,
        "terms": terms,
        "current": current,
        "clients": clients[:SHOWN],
        "more_clients": max(0, len(clients) - SHOWN),
        "documents": with_state(own.statements.order_by("-number"))[:SHOWN],
        "is_agent": own.kind == ReceiverKind.AGENT,
        "may_bill": can_bill(request.membership),
        "tab": "receivers",
    }
    return render(request, "reporting/receiver.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@may_bill
@confirmed
@once
def receiver_shares(request: MemberRequest, pk: int) -> HttpResponse:
    """What a receiver gets from a day on."""
    own, now = visible_receiver(request, pk), timezone.now()
    others = FeeReceiver.objects.visible_to(request.membership).filter(kind=ReceiverKind.AGENT).exclude(pk=own.pk)
    newest = own.terms.order_by("valid_from", "pk").last()
    form = SharesForm(
        request.POST or None,
        receiver=own,
        others=list(others),
        shares=newest.shares if newest else [],
        above=newest.above_id if newest else None,
        today=today_of(request),
    )
    if request.method == "POST" and form.is_valid():
        begins = calendar_of(request.workspace).midnight(form.cleaned_data["day"])
        above = form.cleaned_data.get("above")
        try:
            set_shares(own, shares=form.shares, above=above, valid_from=begins, by=request.user, now=now)
        except CannotBook as error:
            form.add_error(None, error.text)
        else:
            messages.success(request, "Saved.")
            return redirect("reporting:receiver", own.pk)
    context = {"receiver": own, "form": form, "title": f"Shares of {own.name}", "button": "Save", "tab": "receivers"}
    return render(request, "reporting/receiver_form.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@may_bill
@confirmed
@once
def receiver_clients(request: MemberRequest, pk: int) -> HttpResponse:
    """Whose clients accounts are from a day on; 404 for a platform, which gets its part of everybody's fees anyway."""
    own, now = visible_receiver(request, pk), timezone.now()
    if own.kind != ReceiverKind.AGENT:
        raise Http404
    form = ClientsForm(request.POST or None, today=today_of(request))
    if request.method == "POST" and form.is_valid():
        ids = form.cleaned_data["accounts"]
        accounts = list(Subscriber.objects.visible_to(request.membership).filter(backend_id__in=ids).order_by("pk"))
        known = {account.backend_id for account in accounts}
        unknown = [backend_id for backend_id in ids if backend_id not in known]
        if unknown:
            form.add_error("accounts", f"Not known: {', '.join(unknown[:5])}.")
        else:
            begins = calendar_of(request.workspace).midnight(form.cleaned_data["day"])
            target = None if form.cleaned_data["ends"] else own
            number = introduce(request.workspace, accounts, target, valid_from=begins, by=request.user, now=now)
            messages.success(request, f"Recorded for {number} {'account' if number == 1 else 'accounts'}.")
            return redirect("reporting:receiver", own.pk)
    context = {"receiver": own, "form": form, "title": f"Clients of {own.name}", "button": "Save", "tab": "receivers"}
    return render(request, "reporting/receiver_form.html", context, status=422 if form.errors else 200)


# --- Statements -------------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "HEAD", "POST"])
@may_bill
@confirmed
@once
@statements_may_take(60)  # every statement of the clients, once
def receiver_statements(request: MemberRequest) -> HttpResponse:
    """What every receiver gets since its last statement; making them."""
    if request.method == "POST":
        documents = make_statements(request.workspace, by=request.user, now=timezone.now())
        number = len(documents)
        if documents:
            messages.success(request, f"{number} {'statement was' if number == 1 else 'statements were'} made.")
        else:
            messages.info(request, "Nothing was made: nobody gets anything.")
        return redirect("reporting:receivers")
    context = {"drafts": draft_documents(request.workspace), "tab": "receivers"}
    return render(request, "reporting/receiver_statements.html", context)


@require_safe
@staff_only
def receiver_statement(request: MemberRequest, pk: int) -> HttpResponseBase:
    """A statement of a receiver: every line with what it was worked out from; whether it was paid."""
    document = visible_document(request, pk)
    lines = document.lines.select_related("statement").order_by("statement_id", "pk")
    if wants_csv(request):
        cells = (
            (
                document.label,
                line.statement.subscriber_name,
                line.statement.subscriber_id,
                line.statement.label,
                part.get("strategy", ""),
                part.get("until", "")[:10],
                part.get("fee", ""),
                part.get("level", ""),
                part.get("share", ""),
                line.inputs["standing"],
                line.inputs["fees"],
                line.inputs["booked"],
                line.amount if number == 0 else "",
                document.currency,
            )
            for line in lines
            for number, part in enumerate(line.inputs["parts"] or [{}])
        )
        return plain_csv(LINES_CSV, cells, file_name(document.label, [], on=today_of(request)))
    payouts = list(document.payouts.select_related("recorded_by").order_by("-pk"))
    context = {
        "document": document,
        "lines": [(line, *words_of(line, document.currency)) for line in lines[:SHOWN]],
        "more": max(0, lines.count() - SHOWN),
        "payouts": payouts,
        "is_paid": bool(payouts) and payouts[0].is_paid,
        "form": PayoutForm(None, today=today_of(request)),
        "may_bill": can_bill(request.membership),
        "tab": "receivers",
    }
    return render(request, "reporting/receiver_statement.html", context)


def words_of(line: ShareLine, currency: str) -> tuple[list[str], str]:
    """What a line was worked out from: each part, and what was taken off."""
    parts, inputs = [], line.inputs
    for part in inputs["parts"]:
        level = f", level {part['level']}" if part["level"] else ""
        fee = money_text(Decimal(part["fee"]), currency)
        share = percent(float(part["share"]))
        parts.append(f"{part['strategy']}, until {part['until'][:10]}{level}: {fee} × {share}")
    notes = []
    if inputs["standing"] != inputs["fees"]:
        standing, fees = (money_text(Decimal(inputs[name]), currency) for name in ("standing", "fees"))
        notes.append(f"{standing} of {fees} stands")
    if Decimal(inputs["booked"]):
        notes.append(f"less {money_text(Decimal(inputs['booked']), currency)} booked before")
    return parts, "; ".join(notes)


def share_words(shares: Sequence[str]) -> str:
    """Fractions by level: "30 %, then 5 %"."""
    return ", then ".join(percent(float(share)) for share in shares) or "nothing"


@require_POST
@may_bill
@confirmed
@once
def receiver_paid(request: MemberRequest, pk: int) -> HttpResponse:
    """Note that a receiver's statement was paid, or that it was not after all."""
    document = visible_document(request, pk)
    is_paid = request.POST.get("state") != "unpaid"
    form = PayoutForm(request.POST, today=today_of(request))
    if is_paid and not form.is_valid():
        messages.error(request, "Nothing was recorded: say on which day it was paid, not one to come.")
        return redirect("reporting:receiver-statement", document.pk)
    try:
        record_payout(
            document,
            is_paid=is_paid,
            paid_on=form.cleaned_data["paid_on"] if is_paid else None,
            note=form.cleaned_data["note"] if is_paid else "",
            by=request.user,
            now=timezone.now(),
        )
    except CannotBook as error:
        messages.error(request, error.text)
    else:
        messages.success(request, f"{document.label} is {'paid' if is_paid else 'not paid any more'}.")
    return redirect("reporting:receiver-statement", document.pk)
