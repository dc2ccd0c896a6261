"""Payments and debt: recording, taking back, the balance of every account, and what portfolios' owners owe."""

from __future__ import annotations

from decimal import Decimal

from django.contrib import messages
from django.db.models import (
    CharField,
    Count,
    Exists,
    OuterRef,
    Q,
    Subquery,
    Sum,
    Value,
)
from django.db.models.functions import Concat
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from reporting.commission.accounts import ClientAccount
from reporting.commission.money import money_text
from reporting.commission.payments import Recorded, due_statements, record_payment, undo_payment
from reporting.commission.refusals import CannotBook, NeedsConsent
from reporting.commission.services import calendar_of
from reporting.forms import PaymentForm, ReasonForm
from reporting.models import DocumentKind, Entry, Payment, Statement
from reporting.rates import UnknownRate, is_old
from reporting.views.debts import AGES, debt_listing, overdue_by
from reporting.views.history import render_list
from reporting.views.statements import visible_statement
from subscribers.models import Subscriber
from users.confirming import confirmed
from users.listing import Choice, Column, DayRange, Listing, Option, Search
from users.once import once
from users.parsing import row_id
from users.permissions import can_bill, may_bill, staff_only
from users.requests import MemberRequest

KEPT_S = 20


class Days(DayRange):
    """From one day to another, of a column that is a day and no moment."""

    def narrow(self, queryset, parameters, zone, workspace=None):
        start, end = self.days(parameters)
        queryset = queryset.filter(**{f"{self.key}__gte": start}) if start else queryset
        return queryset.filter(**{f"{self.key}__lte": end}) if end else queryset


PAYMENTS = Listing(
    name="payments",
    sort="-received_on",
    columns=(
        Column("received_on", "Received", is_sortable=True),
        Column("subscriber_name", "Subscriber", source="subscriber__name", csv_name="subscriber"),
        Column("subscriber_id"),
        Column("amount", "Amount", is_sortable=True, is_number=True),
        Column("currency", "Currency"),
        Column("settled", "Counted as", is_number=True),
        Column("settled_currency"),
        Column("rate"),
        Column("rate_source"),
        Column("rate_day"),
        Column("reference", "Reference"),
        Column(
            "statements",
            in_csv=False,
            source=Subquery(
                Entry.objects.filter(payment_id=OuterRef("pk"), kind="payment")
                .order_by()
                .values("payment_id")
                .annotate(n=Count("statement_id"))
                .values("n")
            ),
        ),
        Column("is_undone", "State"),
        Column("recorded_at"),
    ),
    filters=(
        Search(
            "q",
            "Search",
            placeholder="Subscriber or reference",
            fields=("subscriber__name", "subscriber_id", "reference"),
        ),
        Choice(
            "state",
            "State",
            placeholder="Any state",
            options=(
                Option("received", "Received", Q(is_undone=False)),
                Option("undone", "Taken back", Q(is_undone=True)),
            ),
        ),
        Days("received_on", "Received"),
    ),
)


@require_safe
@staff_only
def payments(request: MemberRequest) -> HttpResponseBase:
    """Every payment that was recorded."""
    table = PAYMENTS.bind(request, Payment.objects.visible_to(request.membership).with_undone())
    if table.wants_csv:
        return table.csv()
    context = {"may_bill": can_bill(request.membership), "tab": "payments"}
    return render_list(request, "reporting/payments.html", "reporting/_payments.html", table, **context)


def payer(request: MemberRequest) -> tuple[ClientAccount, Subscriber | None, Statement | None]:
    """The account that pays, by `statement` or `subscriber` in the URL. Raises Http404.

    A statement that is named but cannot be read is none: the money must not go to the account's oldest ones instead.
    """
    if asked := request.GET.get("statement", ""):
        document = visible_statement(request, row_id(asked) or 0)
        return ClientAccount.of(document), document.subscriber, document
    visible = Subscriber.objects.visible_to(request.membership).exclude(currency="")
    subscriber = get_object_or_404(visible, pk=row_id(request.GET.get("subscriber", "")))
    return (
        ClientAccount(subscriber.workspace_id, subscriber.connection_id, subscriber.backend_id, subscriber.currency),
        subscriber,
        None,
    )


@require_http_methods(["GET", "HEAD", "POST"])
@may_bill
@confirmed
@once
def new_payment(request: MemberRequest) -> HttpResponse:
    """Record money that was received for a statement, or for an account's oldest statements."""
    account, subscriber, document = payer(request)
    due = [visible_statement(request, document.pk)] if document else due_statements(account)
    owed = sum((statement.balance for statement in due), Decimal(0))
    today = calendar_of(request.workspace).day_of(timezone.now())
    first = {
        "amount": money_text(owed, account.currency).split()[0] if owed > 0 else "",
        "currency": account.currency,
        "received_on": today,
    }
    form = PaymentForm(request.POST or None, initial=first, today=today)
    if request.method == "POST" and form.is_valid():
        try:
            recorded = record_payment(
                request.workspace, account, **form.cleaned_data, statement=document, by=request.user, now=timezone.now()
            )
        except NeedsConsent as error:
            form.ask(error)
        except (CannotBook, UnknownRate) as error:
            form.add_error("amount" if isinstance(error, CannotBook) else "currency", error.text)
        else:
            say_recorded(request, recorded)
            return redirect("reporting:statement", document.pk) if document else redirect("reporting:payments")
    context = {"form": form, "account": account, "subscriber": subscriber, "document": document, "due": due}
    context |= {"owed": owed, "tab": "payments"}
    return render(request, "reporting/payment_new.html", context, status=422 if form.errors else 200)


def say_recorded(request: MemberRequest, recorded: Recorded) -> None:
    """Where the money went, for the person who recorded it."""
    if not recorded.is_new:
        messages.info(request, "This payment is recorded already: the form was sent twice.")
        return
    currency = recorded.payment.settled_currency
    parts = [f"{money_text(part, currency)} on {document.label}" for document, part in recorded.paid]
    text = f"Payment recorded: {', '.join(parts)}." if parts else "Payment recorded."
    if recorded.credit:
        text += f" {money_text(recorded.credit, currency)} is more than was owed and is kept as credit."
    messages.success(request, text)


@require_safe
@staff_only
def payment(request: MemberRequest, pk: int) -> HttpResponse:
    """One payment: where it went, and taking it back."""
    return render_payment(request, pk, ReasonForm())


def render_payment(request: MemberRequest, pk: int, form: ReasonForm, status: int = 200) -> HttpResponse:
    own = Payment.objects.visible_to(request.membership).with_undone().select_related("subscriber", "recorded_by")
    payment = get_object_or_404(own, pk=pk)
    entries = payment.entries.select_related("statement", "made_by").order_by("pk")
    context = {"payment": payment, "entries": entries, "form": form, "may_bill": can_bill(request.membership)}
    context["is_rate_old"] = is_old(payment.rate_day, payment.received_on)
    return render(request, "reporting/payment.html", {**context, "tab": "payments"}, status=status)


@require_POST
@may_bill
@confirmed
@once
def undo(request: MemberRequest, pk: int) -> HttpResponse:
    """Take a payment back by a counter-entry."""
    payment = get_object_or_404(Payment.objects.visible_to(request.membership), pk=pk)
    form = ReasonForm(request.POST)
    if not form.is_valid():
        return render_payment(request, pk, form, status=422)
    try:
        undo_payment(payment, reason=form.cleaned_data["reason"], by=request.user, now=timezone.now())
        messages.success(request, "The payment is taken back. Its entries stay, with their counter-entries.")
    except CannotBook as error:
        messages.info(request, error.text)
    return redirect("reporting:payment", pk)


# --- Debt -------------------------------------------------------------------------------------------------------------
def ages_of(request: MemberRequest) -> list[dict]:
    """By currency what is not due yet, and what has been overdue for 1 to 30, 31 to 60, 61 to 90 and more days.

    What is in dispute stands beside. A sum below nothing, of a statement that late losses made negative, is credit by
    then and in none of them.
    """
    today = calendar_of(request.workspace).day_of(timezone.now())
    documents = (
        Statement.objects.visible_to(request.membership)
        .with_balance()
        .filter(kind=DocumentKind.STATEMENT, is_void=False, balance__gt=0)
        .order_by("currency")
    )
    sums = {key: Sum("payable", filter=overdue_by(today, days)) for key, days in AGES}
    sums |= {"in_dispute": Sum("disputed")}
    not_due = Sum("payable", filter=Q(due_on__gte=today) | Q(due_on=None))
    account = Concat("connection_id", Value("/"), "subscriber_id", output_field=CharField())
    accounts = Count(account, distinct=True, filter=Q(due_on__lt=today, payable__gt=0))
    return list(documents.values("currency").annotate(not_due=not_due, accounts=accounts, **sums))


@require_safe
@staff_only
def debt(request: MemberRequest) -> HttpResponseBase:
    """What every account owes, or has as credit."""
    booked = Entry.objects.filter(
        workspace=request.workspace, connection=OuterRef("connection"), subscriber_id=OuterRef("backend_id")
    )
    accounts = Subscriber.objects.visible_to(request.membership).filter(Exists(booked))
    today = calendar_of(request.workspace).day_of(timezone.now())
    table = debt_listing(request.workspace, today).bind(request, accounts)
    if table.wants_csv:
        return table.csv()
    by_currency = Entry.objects.visible_to(request.membership).order_by("currency").values("currency")
    owed, credit = Sum("amount", filter=Q(statement__isnull=False)), -Sum("amount", filter=Q(statement=None))
    totals = list(by_currency.annotate(owed=owed, credit=credit, balance=Sum("amount")))
    context = {"totals": totals, "ages": ages_of(request), "may_bill": can_bill(request.membership), "tab": "debt"}
    return render_list(request, "reporting/debt.html", "reporting/_debt.html", table, **context)
