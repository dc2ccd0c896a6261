"""Disputes: opening one on a line of a statement, answering and withdrawing it, and the list of them."""

from __future__ import annotations

from decimal import Decimal

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from reporting.commission.credit_notes import creditable
from reporting.commission.disputing import credit_dispute, open_dispute, reject_dispute, withdraw_dispute
from reporting.commission.document_lines import lines_of
from reporting.commission.money import money_text
from reporting.commission.refusals import CannotBook, NeedsConsent
from reporting.commission.wording import CHARGES
from reporting.forms import CreditNoteForm, DisputeForm, ReasonForm
from reporting.models import CommissionLine, Dispute, DisputeState, DocumentKind, Statement
from reporting.states import DISPUTE_STATES
from reporting.views.commissions import explained
from reporting.views.history import render_list
from reporting.views.statements import visible_statement
from users.confirming import confirmed
from users.listing import Choice, Column, DayRange, Listing, Option, Search
from users.once import once
from users.permissions import can_bill, may_bill, member_only, staff_only
from users.requests import MemberRequest

DISPUTES = Listing(
    name="disputes",
    sort="-opened_at",
    columns=(
        Column("subscriber_name", "Subscriber", source="statement__subscriber_name", csv_name="subscriber"),
        Column("statement_pk", source="statement_id", in_csv=False),
        Column("series", source="statement__series", in_csv=False),
        Column("number", "Statement", source="statement__number", is_number=False),
        Column("amount", "Amount", is_number=True),
        Column("currency", "Currency", source="statement__currency"),
        Column("reason", "Reason"),
        Column("state", "State"),
        Column("opened_at", "Opened", is_sortable=True),
        Column("settled_at"),
    ),
    filters=(
        Search(
            "q",
            "Search",
            placeholder="Subscriber by name or id",
            fields=("statement__subscriber_name", "statement__subscriber_id"),
        ),
        Choice(
            "state",
            "State",
            placeholder="Any state",
            options=tuple(Option(state.code, state.words, Q(state=state.code)) for state in DISPUTE_STATES.values()),
        ),
        DayRange("opened_at", "Opened"),
    ),
)


def may_speak(request: MemberRequest) -> bool:
    """Whether a member may open and withdraw disputes: a client, or whoever bills in a client's name."""
    return not request.membership.is_staff_role or can_bill(request.membership)


@require_safe
@staff_only
def disputes(request: MemberRequest) -> HttpResponseBase:
    """Every dispute of the firm's clients."""
    table = DISPUTES.bind(request, Dispute.objects.visible_to(request.membership))
    if table.wants_csv:
        return table.csv()
    return render_list(request, "reporting/disputes.html", "reporting/_disputes.html", table, tab="disputes")


# --- Opening ----------------------------------------------------------------------------------------------------------
def visible_line(request: MemberRequest, pk: int, line_pk: int) -> tuple[Statement, CommissionLine]:
    """A line of a statement that the member may see. Raises Http404."""
    document = visible_statement(request, pk)
    if document.kind != DocumentKind.STATEMENT:
        raise Http404
    return document, get_object_or_404(lines_of(document), pk=line_pk)


@require_http_methods(["GET", "HEAD", "POST"])
@member_only
@once
def new_dispute(request: MemberRequest, pk: int, line_pk: int) -> HttpResponse:
    """Say what is wrong with a line; from then on its amount waits for the answer."""
    document, line = visible_line(request, pk, line_pk)
    if not may_speak(request):
        raise PermissionDenied
    form = DisputeForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        is_client = not request.membership.is_staff_role
        try:
            dispute = open_dispute(
                document,
                line,
                reason=form.cleaned_data["reason"],
                by=request.user,
                is_client=is_client,
                now=timezone.now(),
            )
        except CannotBook as error:
            form.add_error(None, error.text)
        else:
            messages.success(request, "The line is in dispute. Its amount is not due until it is answered.")
            return redirect("reporting:dispute", dispute.pk)
    ((_, why, days),) = explained(request, document.connection_id, [line])
    context = {"document": document, "line": line, "why": why, "days": days, "form": form, "schemes": CHARGES}
    return render(request, "reporting/dispute_new.html", context, status=422 if form.errors else 200)


# --- One dispute ------------------------------------------------------------------------------------------------------
def visible_dispute(request: MemberRequest, pk: int) -> Dispute:
    """A dispute that the member may see. Raises Http404."""
    own = Dispute.objects.visible_to(request.membership)
    return get_object_or_404(own.select_related("workspace", "statement", "line", "credit_note"), pk=pk)


@require_safe
@member_only
def dispute(request: MemberRequest, pk: int) -> HttpResponse:
    """One dispute: the line, what was said, and what can be done."""
    return render_dispute(request, visible_dispute(request, pk))


def render_dispute(request: MemberRequest, own: Dispute, status: int = 200, **forms: object) -> HttpResponse:
    document, bills = own.statement, can_bill(request.membership)
    is_open = own.state == DisputeState.OPEN
    ((_, why, days),) = explained(request, document.connection_id, [own.line])
    most = min(own.amount, creditable(document)) if is_open and bills else Decimal(0)
    first = {"amount": money_text(most, document.currency).split()[0] if most else ""}
    context = {
        "dispute": own,
        "document": document,
        "line": own.line,
        "why": why,
        "days": days,
        "schemes": CHARGES,
        "events": list(own.events.select_related("by").order_by("pk")),
        "may_answer": bills and is_open,
        "may_withdraw": is_open and may_speak(request),
        "tab": "disputes",
        "reject_form": ReasonForm(prefix="reject"),
        "credit_form": CreditNoteForm(currency=document.currency, initial=first),
        **forms,
    }
    return render(request, "reporting/dispute.html", context, status=status)


@require_POST
@may_bill
@confirmed
@once
def reject(request: MemberRequest, pk: int) -> HttpResponse:
    """Let the line stand, and say why."""
    own, form = visible_dispute(request, pk), ReasonForm(request.POST, prefix="reject")
    if form.is_valid():
        try:
            reject_dispute(own, reason=form.cleaned_data["reason"], by=request.user, now=timezone.now())
        except CannotBook as error:
            messages.error(request, error.text)
        else:
            messages.success(request, "The dispute is rejected. The amount is due again.")
        return redirect("reporting:dispute", pk)
    return render_dispute(request, own, status=422, reject_form=form)


@require_POST
@may_bill
@confirmed
@once
def credit(request: MemberRequest, pk: int) -> HttpResponse:
    """Answer by a credit note."""
    own = visible_dispute(request, pk)
    form = CreditNoteForm(request.POST, currency=own.statement.currency)
    if form.is_valid():
        try:
            note = credit_dispute(own, **form.cleaned_data, by=request.user, now=timezone.now())
        except NeedsConsent as error:
            form.ask(error)
        except CannotBook as error:
            if own.state != DisputeState.OPEN:  # somebody was quicker
                messages.error(request, error.text)
                return redirect("reporting:dispute", pk)
            form.add_error("amount", error.text)
        else:
            messages.success(request, f"{note.label} takes {money_text(-note.total, note.currency)} off.")
            return redirect("reporting:dispute", pk)
    return render_dispute(request, own, status=422, credit_form=form)


@require_POST
@member_only
@once
def withdraw(request: MemberRequest, pk: int) -> HttpResponse:
    """Take it back, as the client or in the client's name."""
    own = visible_dispute(request, pk)
    if not may_speak(request):
        raise PermissionDenied
    try:
        withdraw_dispute(own, by=request.user, now=timezone.now())
    except CannotBook as error:
        messages.error(request, error.text)
    else:
        messages.success(request, "The dispute is withdrawn. The amount is due again.")
    return redirect("reporting:dispute", pk)
