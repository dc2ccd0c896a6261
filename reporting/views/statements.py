"""Statements and credit notes: the list, issuing, one document as page, PDF and CSV, and its corrections."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.db.models import Case, CharField, F, Q, QuerySet, Value, When
from django.db.models.functions import Cast, Concat, LPad
from django.forms import Form
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from reporting.commission.accounts import ClientAccount, credit_of, written_off
from reporting.commission.credit_notes import creditable, issue_credit_note, void_statement
from reporting.commission.document_lines import lines_of, pdf_of
from reporting.commission.drafts import periods_to_issue
from reporting.commission.money import money_text
from reporting.commission.payments import use_credit
from reporting.commission.pdf import reversal_of
from reporting.commission.refusals import CannotBook, NeedsConsent
from reporting.commission.settling import reverse_credit_note, take_write_off_back, write_off
from reporting.commission.statement_file import statement_file
from reporting.commission.wording import CHARGES
from reporting.commission.zones import period_days
from reporting.forms import CreditNoteForm, ReasonForm, TakeBackForm, WriteOffForm
from reporting.models import Dispute, DocumentKind, Statement
from reporting.states import STATEMENT_STATES
from reporting.views.commissions import LINES, explained
from reporting.views.history import render_list
from reporting.views.statement_parts import mailing_of
from users.confirming import confirmed
from users.listing import Choice, Column, DayRange, Listing, Option, Search
from users.once import once
from users.permissions import can_bill, may_bill, member_only, staff_only, subscriber_only
from users.requests import MemberRequest

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
        "schemes": CHARGES,
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
        "written_off": written_off(document) if is_statement else 0,
        "write_off_form": WriteOffForm(prefix="off", currency=document.currency, initial=_left(document)),
        "back_form": TakeBackForm(prefix="back"),
        "reverse_form": ReasonForm(prefix="reverse"),
        "reversal": reversal_of(document) if document.is_void and not is_statement else None,
        "disputes": {dispute.line_id: dispute for dispute in disputes_of(request, document)},
        "may_dispute": is_statement and not document.is_void and (bills or not request.membership.is_staff_role),
        **mailing_of(request, document),
        **forms,
    }
    if request.partial and status == 200:
        return render(request, "reporting/_commission_lines.html", context)
    return render(request, "reporting/statement.html", context, status=status)


def _left(document: Statement) -> dict[str, str]:
    """What is left to pay, as a form begins."""
    return {"amount": money_text(document.balance, document.currency).split()[0] if document.balance > 0 else ""}


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


def act_on_statement(
    request: MemberRequest,
    document: Statement,
    form: Form,
    act: Callable[[], str],
    *,
    key: str,
    field: str | None = None,
) -> HttpResponse:
    """Carry out what a form of the statement's page asks and say what was done, or show the page with what is wrong.

    act: does it with what the form has read, and says what it did. key: the form's name on the page. field: the one
    that a refusal is shown at.
    """
    if form.is_valid():
        try:
            said = act()
        except CannotBook as error:
            form.add_error(field, error.text)
        else:
            messages.success(request, said)
            return redirect("reporting:statement", document.pk)
    table = LINES.bind(request, lines_of(document))
    return render_statement(request, document, table, status=422, **{key: form})


@require_POST
@may_bill
@confirmed
@once
def void(request: MemberRequest, pk: int) -> HttpResponse:
    """Take a statement back as a whole."""
    document, form = visible_statement(request, pk), ReasonForm(request.POST, prefix="void")

    def act() -> str:
        void_statement(document, **form.cleaned_data, by=request.user, now=timezone.now())
        return f"{document.label} is void. Its periods can be issued again."

    return act_on_statement(request, document, form, act, key="void_form")


@require_POST
@may_bill
@confirmed
@once
def write_statement_off(request: MemberRequest, pk: int) -> HttpResponse:
    """Give up what will not be paid."""
    document = visible_statement(request, pk)
    form = WriteOffForm(request.POST, prefix="off", currency=document.currency)

    def act() -> str:
        entry = write_off(document, **form.cleaned_data, by=request.user, now=timezone.now())
        return f"{money_text(-entry.amount, document.currency)} is written off."

    return act_on_statement(request, document, form, act, key="write_off_form", field="amount")


@require_POST
@may_bill
@confirmed
@once
def take_off_back(request: MemberRequest, pk: int) -> HttpResponse:
    """Let what was written off be owed again."""
    document, form = visible_statement(request, pk), TakeBackForm(request.POST, prefix="back")

    def act() -> str:
        entry = take_write_off_back(document, **form.cleaned_data, by=request.user, now=timezone.now())
        return f"{money_text(entry.amount, document.currency)} is owed again."

    return act_on_statement(request, document, form, act, key="back_form")


@require_POST
@may_bill
@confirmed
@once
def reverse(request: MemberRequest, pk: int) -> HttpResponse:
    """Take a credit note back."""
    document, form = visible_statement(request, pk), ReasonForm(request.POST, prefix="reverse")

    def act() -> str:
        reverse_credit_note(document, **form.cleaned_data, by=request.user, now=timezone.now())
        return f"{document.label} is taken back. Its statement is owed as it was before it."

    return act_on_statement(request, document, form, act, key="reverse_form")


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
