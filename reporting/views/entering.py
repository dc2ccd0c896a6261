"""Currencies of accounts that no API tells: who waits for one, one account or a CSV, and a look before it is saved."""

from __future__ import annotations

import csv
import io
from collections import Counter

from django import forms
from django.contrib import messages
from django.db.models import F, Q
from django.db.models.expressions import RawSQL
from django.db.models.fields import IntegerField
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from reporting.currencies import problem_of
from reporting.entering import DECIMALS, MOST_BYTES, EntryRow, PlannedEntry, plan_entries, read_entries, save_entries
from reporting.views.history import render_list
from reporting.waiting import waiting_deals
from subscribers.models import Subscriber
from subscribers.pages import visible_subscriber
from users.listing import Choice, Column, Listing, Option, Search
from users.numbers import NumberField
from users.once import once
from users.permissions import can_bill, may_bill, staff_only
from users.requests import MemberRequest
from users.table_files import BadRow, BadRows

SHOWN = 50
IS_WAITING = Q(currency="")
IS_CONTRADICTED = Q(entered__isnull=False) & ~Q(entered__reported="") & ~Q(entered__reported=F("entered__currency"))
WAITING_DEALS = RawSQL(
    """(SELECT coalesce(sum(day.deals), 0)::int FROM reporting_dailyresult day
    WHERE day.connection_id = subscribers_subscriber.connection_id
      AND day.subscriber_id = subscribers_subscriber.backend_id AND NOT day.is_accrued)""",
    [],
    IntegerField(),
)
# its file can be filled in and sent: reporting.entering reads these columns
CURRENCIES = Listing(
    name="currencies",
    sort="name",
    columns=(
        Column("name", "Subscriber", is_sortable=True),
        Column("backend_id", csv_name="account"),
        Column("connection_name", source="connection__name", csv_name="connection"),
        Column("currency", "Currency"),
        Column("entered_balance", "Balance", source="entered__balance", is_number=True, csv_name="balance"),
        Column("waiting_deals", "Deals that wait", source=WAITING_DEALS, is_number=True),
        Column("entered_by", "Entered by", source="entered__set_by__email"),
        Column("entered_at", source="entered__set_at"),
        Column("reported", source="entered__reported"),
        Column("entered_currency", source="entered__currency", in_csv=False),
    ),
    filters=(
        Search("q", "Search", placeholder="Search by name or id", fields=("name", "backend_id")),
        Choice(
            "state",
            "State",
            placeholder="Waiting and entered",
            options=(
                Option("waiting", "Waits for a currency", IS_WAITING),
                Option("entered", "Entered by hand", Q(entered__isnull=False)),
                Option("contradicted", "The account says another one", IS_CONTRADICTED),
            ),
        ),
    ),
)


class CurrencyFileForm(forms.Form):
    """A file, or the same text typed in."""

    file = forms.FileField(label="CSV file", required=False, widget=forms.FileInput(attrs={"accept": ".csv,text/csv"}))
    text = forms.CharField(
        label="Or the text itself",
        required=False,
        strip=False,
        max_length=MOST_BYTES,
        widget=forms.Textarea(attrs={"rows": 6, "placeholder": "account;currency;balance"}),
    )

    def content(self) -> bytes:
        """What was sent."""
        file = self.cleaned_data.get("file")
        return file.read(MOST_BYTES + 1) if file else self.cleaned_data["text"].encode()


class CurrencyForm(forms.Form):
    """Of one account."""

    currency = forms.CharField(label="Currency", min_length=3, max_length=3, help_text="Three letters, like USD.")
    balance = NumberField(
        label="Balance",
        required=False,
        decimals=DECIMALS,
        help_text="In this currency, as it is now. May stay empty; it is shown, and no result is worked out of it.",
    )

    def clean_currency(self) -> str:
        code = self.cleaned_data["currency"].upper()
        if text := problem_of(code):
            raise forms.ValidationError(text)
        return code


@require_safe
@staff_only
def currencies(request: MemberRequest) -> HttpResponseBase:
    """Accounts whose currency is not known or was entered."""
    own = Subscriber.objects.visible_to(request.membership).filter(IS_WAITING | Q(entered__isnull=False))
    table = CURRENCIES.bind(request, own)
    if table.wants_csv:
        return table.csv()
    context = {"waiting": waiting_deals(request.membership), "may_bill": can_bill(request.membership)}
    return render_list(request, "reporting/currencies.html", "reporting/_currencies.html", table, **context)


@require_http_methods(["GET", "HEAD", "POST"])
@may_bill
def currency_file(request: MemberRequest) -> HttpResponse:
    """Take a CSV; the answer is a look at what it does, or every row that is wrong."""
    form = CurrencyFileForm(request.POST or None, request.FILES or None)
    bad: list[BadRow] = []
    if request.method == "POST" and form.is_valid():
        try:
            rows, left_out = read_entries(form.content())
            return review(request, plan_entries(request.workspace, rows), left_out)
        except BadRows as error:
            bad = error.rows
    context = {"form": form, "bad": bad}
    return render(request, "reporting/currency_file.html", context, status=422 if bad or form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@may_bill
def account_currency(request: MemberRequest, pk: int) -> HttpResponse:
    """The currency of one account; the answer is a look at what it does."""
    account = visible_subscriber(request, pk)
    entered = getattr(account, "entered", None)
    first = {"currency": account.currency, "balance": entered.balance if entered else None}
    form = CurrencyForm(request.POST or None, initial=first)
    if request.method == "POST" and form.is_valid():
        row = EntryRow(0, account.backend_id, **form.cleaned_data, connection=account.connection.name)
        try:
            return review(request, plan_entries(request.workspace, [row]), 0)
        except BadRows as error:
            form.add_error(None, " ".join(bad.text for bad in error.rows))
    context = {"form": form, "subscriber": account, "entered": entered}
    return render(request, "reporting/account_currency.html", context, status=422 if form.errors else 200)


def review(request: MemberRequest, planned: list[PlannedEntry], left_out: int) -> HttpResponse:
    """What saving does, with the rows in the form that saves them."""
    context = {
        "planned": planned[:SHOWN],
        "count": len(planned),
        "left_out": left_out,
        "deals": sum(entry.deals for entry in planned),
        "corrections": sum(entry.is_correction for entry in planned),
        "by_currency": sorted(Counter(entry.row.currency for entry in planned).items()),
        "text": text_of([entry.row for entry in planned]),
    }
    return render(request, "reporting/currency_review.html", context)


def text_of(rows: list[EntryRow]) -> str:
    """The rows as `read_entries` takes them."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=";", lineterminator="\n")
    writer.writerow(["account", "currency", "balance", "connection"])
    for row in rows:
        balance = "" if row.balance is None else f"{row.balance:f}"
        writer.writerow([row.account, row.currency, balance, row.connection])
    return text.getvalue()


@require_POST
@may_bill
@once
def save_currencies(request: MemberRequest) -> HttpResponse:
    """Save what was looked at; what has become wrong meanwhile is named and nothing is saved."""
    try:
        rows, _ = read_entries(request.POST.get("rows", "").encode())
        planned = save_entries(request.workspace, rows, by=request.user, now=timezone.now())
    except BadRows as error:
        context = {"form": CurrencyFileForm(), "bad": error.rows}
        return render(request, "reporting/currency_file.html", context, status=422)
    accounts = f"{len(planned)} accounts" if len(planned) > 1 else planned[0].subscriber.name
    verb = "have" if len(planned) > 1 else "has"
    messages.success(request, f"{accounts} {verb} a currency now. Commissions of their deals are there in a minute.")
    return redirect("reporting:currencies")
