"""The books by programs: closing periods, issuing statements, and taking back what was recorded or issued.

Closing and issuing are jobs; where a workspace asks a second person first, they wait for that person as on the pages.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api.base import ApiView, Guard
from api.fields import MomentField, number, text
from api.lists import OfRows
from api.once import Reply, Sort
from api.problems import ApiProblem
from api.resources import books
from api.resources.acts import AMOUNT, PatternField
from api.writes import WriteView, errors_of_form, write
from jobs.models import Job
from jobs.services import TooMany, ask
from jobs.states import JOB_STATES, job_state
from reporting.commission.approving import outlook, request_run
from reporting.commission.book_jobs import CLOSE, ISSUE
from reporting.commission.credit_notes import issue_credit_note, void_statement
from reporting.commission.payments import undo_payment
from reporting.commission.refusals import CannotBook
from reporting.commission.services import calendar_of
from reporting.commission.zones import period_days
from reporting.forms import CreditNoteForm, IssueForm, ReasonForm
from reporting.models import BillingPeriod, Payment, PeriodState, Statement
from users.permissions import may_bill, staff_only

PERSONS_ONLY = "Closing and issuing stand in a person's name: use a token of a person."


# --- Jobs -------------------------------------------------------------------------------------------------------------
class JobRow(serializers.Serializer):
    """Long work, and how far it is."""

    id = number()
    kind = text()
    title = text()
    state = serializers.ChoiceField(list(JOB_STATES), read_only=True)
    done = number(help_text="How far, in the kind's unit.")
    total = number(allow_null=True, help_text="Of how many; null: not known.")
    message = text(help_text="What is going on, what came of it, or what is wrong.")
    created_at = MomentField()
    finished_at = MomentField(allow_null=True)


def job_row(job: Job) -> dict[str, Any]:
    """How far a job is."""
    names = ("kind", "title", "done", "total", "message")
    moments = {name: getattr(job, name) for name in ("created_at", "finished_at")}
    written = {name: moment and MomentField().to_representation(moment) for name, moment in moments.items()}
    return {"id": job.pk, "state": job_state(job).code, **{name: getattr(job, name) for name in names}, **written}


class JobDetail(ApiView):
    """Long work, and how far it is."""

    tag, noun = "Jobs", "job"
    guards: ClassVar[Mapping[str, Guard]] = {"GET": staff_only}
    answers: ClassVar = {"GET": JobRow}

    def get(self, request: Request, pk: int) -> Response:
        """Long work, and how far it is."""
        own = Job.objects.visible_to(self.membership).filter(is_standing=False)
        return Response(job_row(get_object_or_404(own, pk=pk)))


# --- Closing and issuing ----------------------------------------------------------------------------------------------
class RunAnswer(serializers.Serializer):
    """A run that was asked for."""

    job = JobRow(allow_null=True, help_text="null: it waits for a second person.")
    approval = number(allow_null=True, help_text="The request that a second person answers on the pages.")
    number = number(help_text="How many periods or statements it is about, as of now.")


class RunView(WriteView):
    """What closing and issuing have in common."""

    tag = "Money"
    answers: ClassVar = {"POST": RunAnswer}
    statuses: ClassVar = {"POST": (202,)}
    guards: ClassVar[Mapping[str, Guard]] = {"POST": may_bill}

    def run(self, kind: str, *, title: str, parameters: dict[str, Any], origin: str) -> Reply:
        """Ask for a run, or a second person for it. Raises ApiProblem."""
        now = timezone.now()
        if self.membership.pk is None:
            raise ApiProblem("refused", PERSONS_ONLY)
        count = outlook(self.membership, kind, parameters, now).number
        if not count:
            what = "close: no open period has ended" if kind == CLOSE else "issue: nothing that is closed waits for it"
            raise ApiProblem("refused", f"There is nothing to {what}.")
        options: dict[str, Any] = {"title": title, "parameters": parameters, "origin": origin, "now": now}
        if self.workspace.asks_approval:
            own, is_new = request_run(self.membership, kind, **options)
            if not is_new:
                raise ApiProblem("refused", f"“{own.title}” waits for approval already.")
            return Reply({"job": None, "approval": own.pk, "number": count}, 202)
        try:
            job = ask(kind, self.membership, **options)
        except TooMany as error:
            raise ApiProblem("too-many-requests", error.text, headers={"Retry-After": "60"}) from error
        address = self.request.build_absolute_uri(reverse("api:job", args=[job.pk]))
        return Reply({"job": job_row(job), "approval": None, "number": count}, 202, {"Location": address})

    def until(self) -> datetime:
        """The moment that the body names, at most now."""
        now = timezone.now()
        return min(self.body.get("until") or now, now)


class ClosingBody(serializers.Serializer):
    """Which periods are closed."""

    until = serializers.DateTimeField(
        required=False, help_text="Those that ended by then; without it all that have ended."
    )


class PeriodsClose(RunView):
    """Close every period that has ended."""

    noun = "closing"
    bodies: ClassVar = {"POST": ClosingBody}
    names: ClassVar = {"POST": "close_periods"}

    @write(Sort.STORED)
    def post(self, request: Request) -> Reply:
        """Close every billing period that has ended: a job. Closed ones never change."""
        until = self.until()
        title = f"Periods that ended by {until:%Y-%m-%d}"
        origin = reverse("reporting:periods")
        return self.run(CLOSE, title=title, parameters={"until": until.isoformat()}, origin=origin)


class PeriodClose(RunView):
    """Close a strategy's period."""

    noun = "period_closing"
    names: ClassVar = {"POST": "close_period"}

    @write(Sort.STORED)
    def post(self, request: Request, pk: int) -> Reply:
        """Close a strategy's period, and its earlier ones with it: a job."""
        own = BillingPeriod.objects.visible_to(self.membership).select_related("strategy")
        period = get_object_or_404(own, pk=pk)
        if period.period_end > timezone.now():
            raise ApiProblem("refused", "Not closed: the period has not ended yet.")
        if period.state != PeriodState.OPEN:
            raise ApiProblem("refused", "Nothing to do: it is closed already.")
        name = period.strategy.name if period.strategy else period.strategy_id
        parameters = {"until": period.period_end.isoformat(), "connection_id": period.connection_id}
        parameters["strategy_id"] = period.strategy_id
        title = f"{name}, {period_days(self.workspace, [period])(period)}"
        origin = reverse("reporting:period", args=[pk])
        return self.run(CLOSE, title=title, parameters=parameters, origin=origin)


class IssueBody(serializers.Serializer):
    """What is issued, and until when clients are asked to pay."""

    due_on = serializers.DateField(help_text="A day from today on, at most two years ahead.")
    until = serializers.DateTimeField(required=False, help_text="Of periods that ended by then; without it of all.")
    accepts_old_rates = serializers.BooleanField(required=False, help_text="Also those that need older rates.")
    with_small = serializers.BooleanField(required=False, help_text="Also those below the minimum.")


class StatementsIssue(RunView):
    """Issue statements of everything that is closed."""

    noun = "issuing"
    bodies: ClassVar = {"POST": IssueBody}
    names: ClassVar = {"POST": "issue_statements"}

    @write(Sort.STORED)
    def post(self, request: Request) -> Reply:
        """Issue statements of everything that is closed and on none: a job."""
        until = self.until()
        today = calendar_of(self.workspace).day_of(timezone.now())
        form = IssueForm({"due_on": str(self.body["due_on"])}, today=today)
        if not form.is_valid():
            raise ApiProblem("invalid", errors=errors_of_form(form))
        parameters = {"until": until.isoformat(), "due_on": form.cleaned_data["due_on"].isoformat()}
        consents = {name: self.body.get(name, False) for name in ("accepts_old_rates", "with_small")}
        title = f"Statements of periods that ended by {until:%Y-%m-%d}"
        return self.run(ISSUE, title=title, parameters=parameters | consents, origin=reverse("reporting:statements"))


# --- Taking back ------------------------------------------------------------------------------------------------------
class ReasonBody(serializers.Serializer):
    """Why: kept with the entry, and shown to the client."""

    reason = serializers.CharField(max_length=400)


def reason_of(body: Mapping[str, Any]) -> str:
    """The reason, as the form of the pages takes it. Raises ApiProblem."""
    form = ReasonForm(dict(body))
    if not form.is_valid():
        raise ApiProblem("invalid", errors=errors_of_form(form))
    reason: str = form.cleaned_data["reason"]
    return reason


class PaymentUndo(books.OfPayments, OfRows, WriteView):
    """Take a payment back."""

    noun = "payment_undo"
    guards: ClassVar[Mapping[str, Guard]] = {"POST": may_bill}
    answers: ClassVar = {"POST": books.PaymentRow}
    bodies: ClassVar = {"POST": ReasonBody}
    names: ClassVar = {"POST": "undo_payment"}

    @write(Sort.STORED)
    def post(self, request: Request, pk: int) -> Reply:
        """Take a payment back by a counter-entry."""
        payment = get_object_or_404(Payment.objects.visible_to(self.membership), pk=pk)
        try:
            undo_payment(payment, reason=reason_of(self.body), by=self.actor, now=timezone.now())
        except CannotBook as error:
            raise ApiProblem("refused", error.text) from error
        return Reply(self.written(pk))


class OfStatement(books.OfStatements, OfRows, WriteView):
    """What is done to a statement."""

    guards: ClassVar[Mapping[str, Guard]] = {"POST": may_bill}
    answers: ClassVar = {"POST": books.StatementRow}

    def statement(self, pk: int) -> Statement:
        """The statement. Raises Http404."""
        own: QuerySet[Statement] = Statement.objects.visible_to(self.membership)
        return get_object_or_404(own.select_related("workspace", "subscriber", "corrects"), pk=pk)


class StatementVoid(OfStatement):
    """Void a statement."""

    noun = "statement_voiding"
    bodies: ClassVar = {"POST": ReasonBody}
    names: ClassVar = {"POST": "void_statement"}

    @write(Sort.STORED)
    def post(self, request: Request, pk: int) -> Reply:
        """Take a statement back as a whole: its periods can be issued again."""
        statement = self.statement(pk)
        try:
            void_statement(statement, reason=reason_of(self.body), by=self.actor, now=timezone.now())
        except CannotBook as error:
            raise ApiProblem("refused", error.text) from error
        return Reply(self.written(pk))


class CreditNoteBody(ReasonBody):
    """What a credit note takes off a statement."""

    amount = PatternField(AMOUNT, "Decimal text, such as 1250.5, with the tax in it.")
    accepts_old_rate = serializers.BooleanField(required=False, help_text="At a rate older than three days.")


class StatementCredit(OfStatement):
    """Issue a credit note."""

    noun = "credit_note"
    bodies: ClassVar = {"POST": CreditNoteBody}
    statuses: ClassVar = {"POST": (201,)}
    names: ClassVar = {"POST": "issue_credit_note"}

    @write(Sort.STORED)
    def post(self, request: Request, pk: int) -> Reply:
        """Correct a statement by a credit note, which is answered."""
        statement = self.statement(pk)
        sent = {name: self.body[name] for name in ("amount", "reason")}
        form = CreditNoteForm(sent | {"token": str(uuid.uuid4())}, currency=statement.currency)
        if not form.is_valid():
            raise ApiProblem("invalid", errors=errors_of_form(form))
        accepts = self.body.get("accepts_old_rate", False)
        try:
            note = issue_credit_note(
                statement, **form.cleaned_data, accepts_old_rate=accepts, by=self.actor, now=timezone.now()
            )
        except CannotBook as error:
            raise ApiProblem("refused", error.text) from error
        return Reply(self.written(note.pk), 201)
