"""Statements and credit notes: the list, issuing, one document as page, PDF and CSV, and its corrections."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from django.contrib import messages
from django.db.models import Case, CharField, F, Q, QuerySet, Value, When
from django.db.models.functions import Cast, Concat, LPad
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from editing.terms import SCHEMES
from reporting.commission.accounts import ClientAccount, credit_of
from reporting.commission.book_jobs import ISSUE
from reporting.commission.credit_notes import creditable, issue_credit_note, void_statement
from reporting.commission.document_lines import lines_of, pdf_of
from reporting.commission.drafts import Draft, drafts_of, periods_to_issue
from reporting.commission.money import money_text
from reporting.commission.payments import use_credit
from reporting.commission.refusals import CannotBook, NeedsConsent
from reporting.commission.services import calendar_of
from reporting.commission.statement_file import statement_file
from reporting.commission.zones import period_days
from reporting.forms import CreditNoteForm, IssueForm, ReasonForm
from reporting.models import BillingIdentity, BillingPeriod, Dispute, DocumentKind, Statement
from reporting.states import STATEMENT_STATES
from reporting.views.booking import carry_out_or_ask
from reporting.views.commissions import LINES, chosen_span, explained
from reporting.views.history import render_list
from reporting.views.statement_parts import mailing_of
from users.confirming import confirmed
from users.listing import Choice, Column, DayRange, Listing, Option, Search
from users.once import once
from users.permissions import can_bill, may_bill, member_only, staff_only, subscriber_only
from users.requests import MemberRequest
from users.time_limit import statements_may_take

DAYS_TO_PAY = 14
# as on paper: S-000012, C-000003
LABEL = Concat(
    Case(
        When(~Q(series=""), then=F("series")),
        When(kind=DocumentKind.STATEMENT, then=Value("S-")),
        default=Value("C-"),
        output_field=CharField(),
    ),
    LPad(Cast("number", CharField()), 6, Value("0")),
    output_field=CharField(),
)
COLUMNS = (
    Column("number", "Number", is_number=False, in_csv=False),
    Column("series", in_csv=False),
    Column("label", source=LABEL, in_table=False, csv_name="number"),
    Column("kind"),
    Column("subscriber_name", "Subscriber", csv_name="subscriber"),
    Column("subscriber_id"),
    Column("first_day", "Period"),
    Column("last_day"),
    Column("amount", "Amount", is_sortable=True, is_number=True),
    Column("tax"),
    Column("tax_rate"),
    Column("balance", "To pay", is_number=True),
    Column("currency", "Currency"),
    Column("state", "State"),
    Column("is_partly_paid", in_csv=False),
    Column("due_on", "Due"),
    Column("days_overdue", in_csv=False),
    Column("issued_at", "Issued", is_sortable=True),
    Column("reporting_amount"),
    Column("reporting_currency"),
)
STATE = Choice(
    "state",
    "State",
    placeholder="Any state",
    options=tuple(
        Option(state.code, state.words, Q(state=state.code, kind=DocumentKind.STATEMENT))
        for state in STATEMENT_STATES.values()
    ),
)
KIND = Choice(
    "kind", "Kind", placeholder="Any document", options=tuple(Option(*choice) for choice in DocumentKind.choices)
)
STATEMENTS = Listing(
    name="statements",
    sort="-issued_at",
    columns=COLUMNS,
    filters=(
        Search("q", "Search", placeholder="Subscriber by name or id", fields=("subscriber_name", "subscriber_id")),
        STATE,
        KIND,
        DayRange("issued_at", "Issued"),
    ),
)
OWN_STATEMENTS = Listing(name="my-statements", sort="-issued_at", columns=COLUMNS, filters=(STATE,))


@require_safe
@staff_only
def statements(request: MemberRequest) -> HttpResponseBase:
    """Every document that was issued."""
    table = STATEMENTS.bind(request, Statement.objects.visible_to(request.membership).with_balance())
    if table.wants_csv:
        return table.csv()
    context = {"may_bill": can_bill(request.membership), "tab": "statements"}
    context["waiting"] = periods_to_issue(request.workspace)
    return render_list(request, "reporting/statements.html", "reporting/_statements.html", table, **context)


@require_safe
@subscriber_only
def own_statements(request: MemberRequest) -> HttpResponseBase:
    """A client's own documents."""
    table = OWN_STATEMENTS.bind(request, Statement.objects.visible_to(request.membership).with_balance())
    if table.wants_csv:
        return table.csv()
    context = {"may_bill": False, "waiting": None}
    return render_list(request, "reporting/own_statements.html", "reporting/_statements.html", table, **context)


# --- Issuing ----------------------------------------------------------------------------------------------------------
def issue_until(request: MemberRequest):
    """The end of the month in the URL, else now."""
    return min(chosen_span(request).until, timezone.now()) if request.GET.get("period") else timezone.now()


@require_safe
@statements_may_take(60)  # everything that is to be issued, worked out at once
@may_bill
def review(request: MemberRequest) -> HttpResponse:
    """The statements that can be issued now."""
    today = calendar_of(request.workspace).day_of(timezone.now())
    proposed = drafts_of(request.workspace, issue_until(request))
    initial = {"due_on": today + timedelta(days=DAYS_TO_PAY)}
    form = IssueForm(initial=initial, today=today, **asked_about(request, proposed))
    return render_review(request, form, proposed)


def asked_about(request: MemberRequest, proposed: Sequence[Draft]) -> dict[str, int]:
    """How many statements wait unless somebody says otherwise: for their rates, or as their sum is small."""
    small = small_drafts(request, proposed)
    return {"old_rates": sum(1 for draft in proposed if draft.amount and draft.is_rate_old), "small": len(small)}


def small_drafts(request: MemberRequest, proposed: Sequence[Draft]) -> list[Draft]:
    """Statements below the firm's minimum."""
    identity = BillingIdentity.of(request.workspace)
    return [draft for draft in proposed if draft.is_below(identity.minimum(draft.account.currency))]


def render_review(
    request: MemberRequest, form: IssueForm, proposed: Sequence[Draft], status: int = 200
) -> HttpResponse:
    until, small = issue_until(request), small_drafts(request, proposed)
    drafts = [draft for draft in proposed if draft.amount and draft not in small]
    totals: dict[str, list] = {}
    for draft in drafts:
        total = totals.setdefault(draft.account.currency, [0, 0])
        total[0] += 1
        total[1] += draft.amount
    waiting = BillingPeriod.objects.visible_to(request.membership).to_close(timezone.now())
    context = {
        "drafts": drafts,
        "nothing_owed": sum(1 for draft in proposed if not draft.amount),
        "small": small,
        "form": form,
        "totals": sorted(totals.items()),
        "tab": "statements",
        "until": until,
    }
    context |= {"open_periods": waiting.filter(period_end__lte=until).count(), "schemes": SCHEMES}
    return render(request, "reporting/issue_statements.html", context, status=status)


@require_POST
@may_bill
@confirmed
@once
def issue(request: MemberRequest) -> HttpResponse:
    """Issue them all."""
    proposed = drafts_of(request.workspace, issue_until(request))
    today = calendar_of(request.workspace).day_of(timezone.now())
    form = IssueForm(request.POST, today=today, **asked_about(request, proposed))
    if not form.is_valid():
        return render_review(request, form, proposed, status=422)
    until, due_on = issue_until(request), form.cleaned_data["due_on"]
    title = f"Statements of periods that ended by {until:%Y-%m-%d}"
    parameters = {"until": until.isoformat(), "due_on": due_on.isoformat()}
    for consent in ("accepts_old_rates", "with_small"):
        parameters[consent] = bool(form.cleaned_data.get(consent))
    carry_out_or_ask(request, ISSUE, title=title, parameters=parameters, origin=reverse("reporting:statements"))
    return redirect("reporting:statements")


# --- One document -----------------------------------------------------------------------------------------------------
def visible_statement(request: MemberRequest, pk: int) -> Statement:
    """A document that the member may see. Raises Http404."""
    own = Statement.objects.visible_to(request.membership).with_balance()
    return get_object_or_404(own.select_related("subscriber", "corrects", "issued_by", "rates_accepted_by"), pk=pk)


@require_safe
@member_only
def statement(request: MemberRequest, pk: int) -> HttpResponseBase:
    """One document: what it is the sum of, what was paid, and down to every line."""
    document = visible_statement(request, pk)
    table = LINES.bind(request, lines_of(document))
    if table.wants_csv:
        return table.csv()
    return render_statement(request, document, table)


def render_statement(request: MemberRequest, document: Statement, table, status: int = 200, **forms) -> HttpResponse:
    account = ClientAccount.of(document)
    bills = can_bill(request.membership)
    is_statement = document.kind == DocumentKind.STATEMENT
    items = document.items.select_related("period").order_by("period__period_start", "strategy_name", "pk")
    days_of = period_days(request.workspace, [item.period for item in items])
    context = {
        "document": document,
        "table": table,
        "schemes": SCHEMES,
        "explained": explained(request, document.connection_id, table.rows),
        "span": None,
        "totals": [],
        "subscriber": document.subscriber,
        "items": [(item, days_of(item.period)) for item in items],
        "entries": list(document.entries.select_related("payment").order_by("day", "pk")),
        "notes": list(document.credit_notes.order_by("pk")),
        "may_bill": bills,
        "is_statement": is_statement,
        "credit": credit_of(account) if bills and document.balance > 0 else 0,
        "creditable": creditable(document) if bills and is_statement and not document.is_void else 0,
        "note_form": CreditNoteForm(currency=document.currency),
        "void_form": ReasonForm(prefix="void"),
        "disputes": {dispute.line_id: dispute for dispute in disputes_of(request, document)},
        "may_dispute": is_statement and not document.is_void and (bills or not request.membership.is_staff_role),
        **mailing_of(request, document),
        **forms,
    }
    if request.partial and status == 200:
        return render(request, "reporting/_commission_lines.html", context)
    return render(request, "reporting/statement.html", context, status=status)


def disputes_of(request: MemberRequest, document: Statement) -> QuerySet[Dispute]:
    """The disputes of a document, the newest of each line last."""
    return Dispute.objects.visible_to(request.membership).filter(statement=document).order_by("pk")


@require_safe
@member_only
def statement_as_pdf(request: MemberRequest, pk: int) -> HttpResponse:
    """The document to keep or to send."""
    document = visible_statement(request, pk)
    response = HttpResponse(pdf_of(document), content_type="application/pdf")
    response["Content-Disposition"] = f'attachment; filename="{document.label}.pdf"'
    response["Cache-Control"] = "no-store"
    return response


@require_safe
@member_only
def statement_as_file(request: MemberRequest, pk: int) -> HttpResponse:
    """Every line with all that it was computed from, for `tools/verify_statement.py`; a credit note has no lines."""
    document = visible_statement(request, pk)
    if document.kind != DocumentKind.STATEMENT:
        raise Http404
    response = HttpResponse(statement_file(document, lines_of(document)), content_type="application/json")
    response["Content-Disposition"] = f'attachment; filename="{document.label}.json"'
    response["Cache-Control"] = "no-store"
    return response


# --- Corrections ------------------------------------------------------------------------------------------------------
@require_POST
@may_bill
@confirmed
@once
def credit_note(request: MemberRequest, pk: int) -> HttpResponse:
    """Correct a statement by a credit note."""
    document, now = visible_statement(request, pk), timezone.now()
    form = CreditNoteForm(request.POST, currency=document.currency)
    if form.is_valid():
        try:
            note = issue_credit_note(document, **form.cleaned_data, by=request.user, now=now)
        except NeedsConsent as error:
            form.ask(error)
        except CannotBook as error:
            form.add_error("amount", error.text)
        else:
            said = f"{note.label} takes {money_text(-note.total, note.currency)} off."
            is_known = note.issued_at != now
            messages.success(request, f"This form was sent before: {said}" if is_known else said)
            return redirect("reporting:statement", pk)
    table = LINES.bind(request, lines_of(document))
    return render_statement(request, document, table, status=422, note_form=form)


@require_POST
@may_bill
@confirmed
@once
def void(request: MemberRequest, pk: int) -> HttpResponse:
    """Take a statement back as a whole."""
    document, form = visible_statement(request, pk), ReasonForm(request.POST, prefix="void")
    if form.is_valid():
        try:
            void_statement(document, reason=form.cleaned_data["reason"], by=request.user, now=timezone.now())
        except CannotBook as error:
            form.add_error(None, error.text)
        else:
            messages.success(request, f"{document.label} is void. Its periods can be issued again.")
            return redirect("reporting:statement", pk)
    table = LINES.bind(request, lines_of(document))
    return render_statement(request, document, table, status=422, void_form=form)


@require_POST
@may_bill
@confirmed
@once
def pay_from_credit(request: MemberRequest, pk: int) -> HttpResponse:
    """Let the account's credit pay."""
    document = visible_statement(request, pk)
    used = use_credit(document, by=request.user, now=timezone.now())
    if used:
        messages.success(request, f"{money_text(used, document.currency)} of credit paid {document.label}.")
    else:
        messages.info(request, "There is no credit to use, or nothing left to pay.")
    return redirect("reporting:statement", pk)
