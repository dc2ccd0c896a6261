"""Documents on their way to clients: sending one or those of a whole run, and the list of what was mailed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.db.models import Count, Max, Min, Q, Sum
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from reporting.books import StatementQuerySet
from reporting.commission.mailing import RunSending, has_address, not_mailed, send_document, send_run
from reporting.commission.void_runs import MOST_NAMED, VOID, run_of
from reporting.forms import ReasonForm
from reporting.models import DocumentKind, Statement, StatementMail
from reporting.states import MAIL_STATES, mail_code
from reporting.views.booking import carry_out
from reporting.views.history import render_list
from reporting.views.statements import STATEMENTS, visible_statement
from users.confirming import confirmed
from users.listing import Choice, Column, DayRange, Listing, Option, Search
from users.models import Mail
from users.once import once
from users.permissions import can_bill, may_bill, staff_only
from users.requests import MemberRequest
from users.sending import MAIL_KINDS, NO_SERVER, CannotMail

MOST_RUNS = 50
MAILS = Listing(
    name="mails",
    sort="-queued_at",
    columns=(
        Column("subject", "Mail"),
        Column("kind"),
        Column("recipient", "To"),
        Column("recipient_name", "For"),
        Column("code", "State", source=mail_code(), csv_name="state"),
        Column("state", in_csv=False),
        Column("refusal"),
        Column("attempts", "Attempts", is_number=True),
        Column("may_be_double"),
        Column("queued_at", "Written", is_sortable=True),
        Column("settled_at", "Settled"),
    ),
    filters=(
        Search(
            "q", "Search", placeholder="Address, client or subject", fields=("recipient", "recipient_name", "subject")
        ),
        Choice(
            "state",
            "State",
            placeholder="Any state",
            options=tuple(Option(state.code, state.words, Q(code=state.code)) for state in MAIL_STATES.values()),
        ),
        DayRange("queued_at", "Written"),
    ),
)


@require_safe
@staff_only
def mails(request: MemberRequest) -> HttpResponseBase:
    """What was sent to clients, and what was not."""
    table = MAILS.bind(request, Mail.objects.visible_to(request.membership))
    if table.wants_csv:
        return table.csv()
    context = {"tab": "mail", "problem": "" if settings.MAIL_IS_SET_UP else NO_SERVER}
    return render_list(request, "reporting/mails.html", "reporting/_mails.html", table, **context)


@require_safe
@staff_only
def mail(request: MemberRequest, pk: int) -> HttpResponse:
    """One mail: what it says, to whom, and what the mail server said."""
    mail = get_object_or_404(Mail.objects.visible_to(request.membership).select_related("queued_by"), pk=pk)
    sent = StatementMail.objects.filter(mail=mail).select_related("statement").first()
    kind = MAIL_KINDS.get(mail.kind)
    context = {"mail": mail, "sent": sent, "kind_words": kind.words if kind else mail.kind, "tab": "mail"}
    return render(request, "reporting/mail.html", context)


@require_POST
@may_bill
@confirmed
@once
def send(request: MemberRequest, pk: int) -> HttpResponse:
    """Send a document to its client."""
    document = visible_statement(request, pk)
    try:
        mail = send_document(document, by=request.user, now=timezone.now())
    except CannotMail as error:
        messages.error(request, error.text)
    else:
        messages.success(request, f"{document.label} is on its way to {mail.recipient}.")
    return redirect("reporting:statement", pk)


# --- Runs -------------------------------------------------------------------------------------------------------------
@require_safe
@staff_only
def runs(request: MemberRequest) -> HttpResponse:
    """The newest runs of issuing: how many statements each made, and how many of them were mailed."""
    own = Statement.objects.visible_to(request.membership).filter(kind=DocumentKind.STATEMENT)
    by_run = own.order_by("-issued_at").values("issued_at")
    rows = list(
        by_run.annotate(
            first=Min("pk"),
            last=Max("pk"),
            number=Count("pk"),
            void=Count("pk", filter=Q(is_void=True)),
            unsent=Count("pk", filter=Q(is_void=False) & Q(not_mailed())),
        )[:MOST_RUNS]
    )
    moments = [row["issued_at"] for row in rows]
    sums: dict[datetime, list[tuple[Any, str]]] = {}
    totals = own.filter(issued_at__in=moments, is_void=False).order_by("currency").values("issued_at", "currency")
    owed = totals.annotate(owed=Sum("amount") + Sum("tax"))
    for issued_at, currency, total in owed.values_list("issued_at", "currency", "owed"):
        sums.setdefault(issued_at, []).append((total, currency))
    context = {"rows": [(row, sums.get(row["issued_at"], [])) for row in rows], "tab": "statements"}
    return render(request, "reporting/runs.html", {**context, "most": MOST_RUNS})


def visible_run(request: MemberRequest, pk: int) -> tuple[Statement, StatementQuerySet]:
    """(a statement that names the run, all that were issued with it). Raises Http404."""
    own = Statement.objects.visible_to(request.membership).filter(kind=DocumentKind.STATEMENT)
    named = get_object_or_404(own.select_related("issued_by"), pk=pk)
    return named, own.filter(issued_at=named.issued_at)


@require_safe
@staff_only
def run(request: MemberRequest, pk: int) -> HttpResponseBase:
    """The statements that were issued together: sending them all, or taking them back."""
    return render_run(request, pk, ReasonForm(prefix="void"))


def render_run(request: MemberRequest, pk: int, void_form: ReasonForm) -> HttpResponseBase:
    named, documents = visible_run(request, pk)
    table = STATEMENTS.bind(request, documents.with_balance())
    if table.wants_csv:
        return table.csv()
    unsent = documents.filter(not_mailed(), is_void=False).annotate(is_ready=has_address())
    sums = unsent.aggregate(all=Count("pk"), ready=Count("pk", filter=Q(is_ready=True)))
    context = {
        "named": named,
        "may_bill": can_bill(request.membership),
        "tab": "statements",
        "waiting": None,
        "ready": sums["ready"],
        "without_address": sums["all"] - sums["ready"],
        "problem": "" if settings.MAIL_IS_SET_UP else NO_SERVER,
    }
    context["void_number"] = 0
    if context["may_bill"] and not request.partial:
        context |= {"void_form": void_form, "most_named": MOST_NAMED, **voidable(request, pk)}
    return render_list(request, "reporting/run.html", "reporting/_statements.html", table, **context)


@require_POST
@may_bill
@confirmed
@once
def send_all(request: MemberRequest, pk: int) -> HttpResponse:
    """Send every statement of a run that was not sent yet."""
    _, documents = visible_run(request, pk)
    try:
        outcome = send_run(
            request.workspace, documents.values_list("pk", flat=True), by=request.user, now=timezone.now()
        )
    except CannotMail as error:
        messages.error(request, error.text)
    else:
        level = messages.success if outcome.queued else messages.info
        level(request, run_words(outcome))
    return redirect("reporting:run", pk)


@require_POST
@may_bill
@confirmed
@once
def void_all(request: MemberRequest, pk: int) -> HttpResponseBase:
    """Take a whole run back, but for statements on which money was received."""
    named, _ = visible_run(request, pk)
    form = ReasonForm(request.POST, prefix="void")
    if not form.is_valid():
        answer = render_run(request, pk, form)
        answer.status_code = 422
        return answer
    origin = reverse("reporting:run", args=[pk])
    parameters = {"run": pk, "reason": form.cleaned_data["reason"]}
    title = f"Run of {named.issued_at:%Y-%m-%d %H:%M} UTC"
    carry_out(request, VOID, title=title, parameters=parameters, origin=origin)
    return redirect(origin)


def voidable(request: MemberRequest, pk: int) -> dict[str, Any]:
    """What voiding a run would do: (currency, statements, total) of those that it voids, labels of those it leaves."""
    standing = run_of(request.membership, pk).filter(is_void=False)
    sums = standing.filter(received=0).order_by("currency").values("currency")
    rows = list(sums.annotate(number=Count("pk"), total=Sum("amount") + Sum("tax")))
    left = standing.exclude(received=0).order_by("pk")
    named = [statement.label for statement in left[: MOST_NAMED + 1]]
    return {"void_sums": rows, "void_number": sum(row["number"] for row in rows), "void_left": named}


def run_words(outcome: RunSending) -> str:
    """What sending a run did."""
    if not outcome.queued:
        words = "Nothing to send: every statement was sent, or is void."
    else:
        words = f"{outcome.queued} {'statement is' if outcome.queued == 1 else 'statements are'} on their way."
    if outcome.without_address:
        have = "1 client has" if outcome.without_address == 1 else f"{outcome.without_address} clients have"
        words = (
            f"{words} {have} no e-mail address." if outcome.queued else f"Nothing to send: {have} no e-mail address."
        )
    return words
