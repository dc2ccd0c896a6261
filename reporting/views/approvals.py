"""Runs that wait for a second person: the list, what one would do, and answering it."""

from __future__ import annotations

from decimal import Decimal

from django.contrib import messages
from django.db.models import Q
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from reporting.commission.approving import (
    NOUNS,
    approve_run,
    decline_run,
    nobody_else,
    outlook,
    withdraw_run,
)
from reporting.commission.book_jobs import ISSUE
from reporting.commission.refusals import CannotBook
from reporting.forms import ReasonForm
from reporting.models import ApprovalState, RunRequest
from reporting.states import APPROVAL_STATES
from reporting.views.booking import begin
from reporting.views.history import render_list
from users.confirming import confirmed
from users.listing import Choice, Column, DayRange, Listing, Option, Search
from users.once import once
from users.permissions import can_bill, may_bill, staff_only
from users.requests import MemberRequest
from users.time_limit import statements_may_take

APPROVALS = Listing(
    name="approvals",
    sort="-requested_at",
    columns=(
        Column("title", "Run"),
        Column("kind"),
        Column("number", "Would make", is_number=True),
        Column("requested_by_name", "Asked by", source="requested_by__name", csv_name="requested_by"),
        Column("requested_at", "Asked", is_sortable=True),
        Column("state", "State"),
        Column("settled_by_name", "Answered by", source="settled_by__name", csv_name="answered_by"),
        Column("settled_at"),
        Column("note", "Note"),
    ),
    filters=(
        Search("q", "Search", placeholder="Run or person", fields=("title", "requested_by__name")),
        Choice(
            "state",
            "State",
            placeholder="Any state",
            options=tuple(Option(state.code, state.words, Q(state=state.code)) for state in APPROVAL_STATES.values()),
        ),
        DayRange("requested_at", "Asked"),
    ),
)


@require_safe
@staff_only
def approvals(request: MemberRequest) -> HttpResponseBase:
    """Every run that somebody asked a second person to approve."""
    table = APPROVALS.bind(request, RunRequest.objects.visible_to(request.membership))
    if table.wants_csv:
        return table.csv()
    context = {"tab": "approvals", "nouns": NOUNS}
    return render_list(request, "reporting/approvals.html", "reporting/_approvals.html", table, **context)


def visible_request(request: MemberRequest, pk: int) -> RunRequest:
    """A request that the member may see. Raises Http404."""
    own = RunRequest.objects.visible_to(request.membership).select_related("workspace", "requested_by", "settled_by")
    return get_object_or_404(own, pk=pk)


@require_safe
@statements_may_take(60)  # everything that the run would do
@staff_only
def approval(request: MemberRequest, pk: int) -> HttpResponse:
    """One run: what it would do now, what it was when it was asked for, and answering it."""
    return render_approval(request, visible_request(request, pk))


def render_approval(request: MemberRequest, own: RunRequest, status: int = 200, **forms: object) -> HttpResponse:
    is_waiting = own.state == ApprovalState.WAITING
    is_own = own.requested_by_id == request.user.pk
    asked = {currency: Decimal(amount) for currency, amount in own.sums.items()}
    run = outlook(request.membership, own.kind, own.parameters, timezone.now()) if is_waiting else None
    context = {
        "own": own,
        "tab": "approvals",
        "noun": NOUNS[own.kind],
        "is_issuing": own.kind == ISSUE,
        "asked": sorted(asked.items()),
        "sums": list(run.sums.items()) if run else sorted(asked.items()),
        "run": run,
        "has_changed": run is not None and (run.number, run.sums) != (own.number, asked),
        "may_answer": is_waiting and not is_own and can_bill(request.membership),
        "may_withdraw": is_waiting and is_own,
        "nobody": nobody_else(request.workspace, own.requested_by) if is_waiting and is_own else "",
        "decline_form": ReasonForm(prefix="decline"),
        **forms,
    }
    return render(request, "reporting/approval.html", context, status=status)


@require_POST
@may_bill
@confirmed
@once
def approve(request: MemberRequest, pk: int) -> HttpResponse:
    """Let it be carried out."""
    own = visible_request(request, pk)
    try:
        job = approve_run(own, by=request.membership, seen=request.POST.get("seen", ""), now=timezone.now())
    except CannotBook as error:
        messages.error(request, error.text)
    else:
        messages.success(request, f"Approved: {own.title}.")
        begin(request, job)
    return redirect("reporting:approval", pk)


@require_POST
@may_bill
@confirmed
@once
def decline(request: MemberRequest, pk: int) -> HttpResponse:
    """Say no, and why."""
    own, form = visible_request(request, pk), ReasonForm(request.POST, prefix="decline")
    if not form.is_valid():
        return render_approval(request, own, status=422, decline_form=form)
    try:
        decline_run(own, by=request.membership, note=form.cleaned_data["reason"], now=timezone.now())
    except CannotBook as error:
        messages.error(request, error.text)
    else:
        messages.success(request, "Declined. Nothing is carried out.")
    return redirect("reporting:approval", pk)


@require_POST
@staff_only
@once
def withdraw(request: MemberRequest, pk: int) -> HttpResponse:
    """Take back what one asked for."""
    own = visible_request(request, pk)
    try:
        withdraw_run(own, by=request.membership, now=timezone.now())
    except CannotBook as error:
        messages.error(request, error.text)
    else:
        messages.success(request, "Withdrawn. Nothing is carried out.")
    return redirect("reporting:approval", pk)
