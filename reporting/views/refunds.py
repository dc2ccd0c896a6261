"""Paying an account's credit back: noting what was sent to the client."""

from __future__ import annotations

from decimal import Decimal

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from reporting.commission.accounts import credit_of
from reporting.commission.money import money_text
from reporting.commission.refusals import CannotBook
from reporting.commission.services import calendar_of
from reporting.commission.settling import refund_credit
from reporting.forms import RefundForm
from reporting.views.payments import payer
from users.confirming import confirmed
from users.once import once
from users.permissions import may_bill
from users.requests import MemberRequest

MOST_MOVES = 20


@require_http_methods(["GET", "HEAD", "POST"])
@may_bill
@confirmed
@once
def new_refund(request: MemberRequest) -> HttpResponse:
    """Note that credit of an account was paid back to its client."""
    account, subscriber, _ = payer(request)
    credit, today = max(credit_of(account), Decimal(0)), calendar_of(request.workspace).day_of(timezone.now())
    first = {"amount": money_text(credit, account.currency).split()[0] if credit else "", "paid_on": today}
    form = RefundForm(request.POST or None, initial=first, today=today, currency=account.currency)
    if request.method == "POST" and form.is_valid():
        try:
            entry = refund_credit(request.workspace, account, **form.cleaned_data, by=request.user, now=timezone.now())
        except CannotBook as error:
            form.add_error("amount", error.text)
        else:
            messages.success(request, f"{money_text(entry.amount, account.currency)} of credit is paid back.")
            return redirect("reporting:debt")
    moves = account.entries.filter(statement=None).select_related("payment").order_by("-pk")[:MOST_MOVES]
    context = {"form": form, "account": account, "subscriber": subscriber, "credit": credit, "moves": moves}
    context |= {"tab": "debt"}
    return render(request, "reporting/refund_new.html", context, status=422 if form.errors else 200)
