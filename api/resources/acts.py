"""What else is done by programs: letting a stopped account trade again, closing a signal, recording money."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from datetime import date
from typing import Any, ClassVar

from django.core.exceptions import ImproperlyConfigured
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request

from api.base import Guard
from api.edits import RETRY_S, at_backend
from api.fields import DecimalText, MomentField, flag, number, text
from api.once import Reply, Sort
from api.problems import ApiProblem
from api.resources import books
from api.writes import WriteView, write
from copying.client import ClientError
from editing.backend import Unconfirmed
from reporting.commission.accounts import ClientAccount
from reporting.commission.payments import record_payment
from reporting.commission.refusals import CannotBook
from reporting.commission.services import calendar_of
from reporting.forms import PaymentForm
from reporting.models import Statement
from reporting.rates import UnknownRate
from strategies import signals
from strategies.models import Kind, Strategy
from subscribers.models import Stopout, Subscriber
from subscribers.services import reset_stopout
from subscribers.views import CLIENT_OPTIONS
from users.permissions import may_bill, may_manage, staff_only


# --- Stopouts -------------------------------------------------------------------------------------------------------
class ResetRow(serializers.Serializer):
    """A stopout that was reset."""

    id = number()
    reset_at = MomentField(source="ended_at", allow_null=True)
    limit_begun_anew = flag(help_text="Whether a limit behind it was found, and is measured from now on.")


class StopoutReset(WriteView):
    """Let a stopped account copy again: its limit begins anew, the stopout ends."""

    tag, noun = "Subscribers", "stopout_reset"
    guards: ClassVar[Mapping[str, Guard]] = {"POST": may_manage}
    answers: ClassVar = {"POST": ResetRow}
    names: ClassVar = {"POST": "reset_stopout"}

    @write(Sort.SENT)
    def post(self, request: Request, pk: int) -> Reply:
        """Let a stopped account copy again: its limit begins anew, the stopout ends."""
        own = Stopout.objects.visible_to(self.membership).select_related("subscriber", "connection", "strategy")
        stopout = get_object_or_404(own, pk=pk)
        if stopout.ended_at is not None or stopout.stopped_till <= timezone.now():
            raise ApiProblem("refused", "It was not stopped any more.")
        try:
            with stopout.connection.client(**CLIENT_OPTIONS) as client:
                reset_stopout(stopout, client=client, by=self.actor, now=timezone.now())
        except Unconfirmed as error:
            raise ApiProblem("outcome-unknown", error.text) from error
        except (ClientError, ImproperlyConfigured) as error:
            detail = f"It is still stopped. {getattr(error, 'text', error)}"
            raise ApiProblem("backend-unavailable", detail, headers={"Retry-After": str(RETRY_S)}) from error
        return Reply(ResetRow(stopout).data)


# --- Signals --------------------------------------------------------------------------------------------------------
class CloseBody(serializers.Serializer):
    """How much of a signal is closed."""

    volume = serializers.FloatField(
        required=False, min_value=1e-8, max_value=1e9, help_text="Lots of the provider; without it all of it."
    )


class ClosedRow(serializers.Serializer):
    """What is left of a signal."""

    signal = text()
    open_volume = DecimalText(help_text="Lots of the provider that stay open.")


class SignalClose(WriteView):
    """Close an open signal of a strategy, or a part of it, at everybody who copies it."""

    tag, noun = "Strategies", "signal_closing"
    guards: ClassVar[Mapping[str, Guard]] = {"POST": may_manage}
    answers: ClassVar = {"POST": ClosedRow}
    bodies: ClassVar = {"POST": CloseBody}
    names: ClassVar = {"POST": "close_signal"}

    @write(Sort.SENT)
    def post(self, request: Request, pk: int, signal_id: str) -> Reply:
        """Close an open signal of a strategy, or a part of it, at everybody who copies it."""
        own = Strategy.objects.visible_to(self.membership).select_related("connection", "workspace")
        strategy = get_object_or_404(own, pk=pk, kind=Kind.SINGLE)
        volume = self.body.get("volume")
        with at_backend(strategy.connection, pointer="") as client:
            signal = signals.find_signal(strategy, signal_id, client=client)
            if signal is None:
                raise Http404
            left = signals.close_signal(strategy, signal, volume, client=client, by=self.actor, now=timezone.now())
        return Reply({"signal": signal_id, "open_volume": DecimalText().to_representation(left)})


# --- Texts of a form ------------------------------------------------------------------------------------------------
AMOUNT = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,8})?")


class PatternField(serializers.CharField):
    """A text that fits a pattern as a whole. words: what it is, for whoever sent another one."""

    def __init__(self, pattern: re.Pattern[str], words: str):
        super().__init__(max_length=40, help_text=words)
        self.pattern, self.words = pattern, words

    def to_internal_value(self, data: Any) -> str:
        value: str = super().to_internal_value(data)
        if not self.pattern.fullmatch(value):
            raise serializers.ValidationError(f"It is {self.words[:1].lower()}{self.words[1:]}")
        return value


# --- Payments -------------------------------------------------------------------------------------------------------
class PaymentBody(serializers.Serializer):
    """Money that was received, for one statement or for the oldest of an account."""

    statement = serializers.IntegerField(required=False, min_value=1, max_value=2**31)
    subscriber = serializers.IntegerField(required=False, min_value=1, max_value=2**31)
    amount = PatternField(AMOUNT, "Decimal text, such as 1250.5.")
    currency = PatternField(re.compile(r"[A-Z]{3}"), "Three letters, such as USD.")
    received_on = serializers.DateField(help_text="A day up to today, in the zone of the workspace.")
    reference = serializers.CharField(required=False, allow_blank=True, max_length=120)
    accepts_old_rate = serializers.BooleanField(required=False, help_text="Convert at a rate older than three days.")
    accepts_void = serializers.BooleanField(required=False, help_text="Book it although the statement is void.")

    def validate(self, sent: dict[str, Any]) -> dict[str, Any]:
        if ("statement" in sent) == ("subscriber" in sent):
            raise serializers.ValidationError("Name “statement” or “subscriber”, one of both.")
        return sent


class PaymentAnswer(serializers.Serializer):
    """A payment that was recorded, and where the money went, in the account's currency."""

    id = number()
    currency = text()
    paid = serializers.DictField(child=serializers.CharField(), help_text="Amount by id of the statement.")
    credit = DecimalText(help_text="More than was owed: kept as credit.")


class PaymentList(books.Payments, WriteView):
    """Every payment that was recorded, and recording one."""

    guards: ClassVar[Mapping[str, Guard]] = {"GET": staff_only, "POST": may_bill}
    answers: ClassVar = {"POST": PaymentAnswer}
    bodies: ClassVar = {"POST": PaymentBody}
    names: ClassVar = {"POST": "record_payment"}

    @write(Sort.STORED)
    def post(self, request: Request) -> Reply:
        """Record money that was received."""
        statement, account = self.payer()
        form = self.checked_form()
        agreed = {name: self.body.get(name, False) for name in ("accepts_old_rate", "accepts_void")}
        values = {**form.cleaned_data, **agreed}
        try:
            recorded = record_payment(
                self.workspace, account, **values, statement=statement, by=self.actor, now=timezone.now()
            )
        except (CannotBook, UnknownRate) as error:
            raise ApiProblem("refused", error.text) from error
        amount = DecimalText().to_representation
        paid = {str(document.pk): amount(part) for document, part in recorded.paid}
        body = {"id": recorded.payment.pk, "currency": recorded.payment.settled_currency, "paid": paid}
        return Reply(body | {"credit": amount(recorded.credit)})

    def payer(self) -> tuple[Statement | None, ClientAccount]:
        """The statement that is paid, and the account that pays. Raises Http404."""
        if "statement" in self.body:
            statement = get_object_or_404(Statement.objects.visible_to(self.membership), pk=self.body["statement"])
            return statement, ClientAccount.of(statement)
        own = Subscriber.objects.visible_to(self.membership).exclude(currency="")
        subscriber = get_object_or_404(own, pk=self.body["subscriber"])
        return None, ClientAccount(
            subscriber.workspace_id, subscriber.connection_id, subscriber.backend_id, subscriber.currency
        )

    def checked_form(self) -> PaymentForm:
        """What the form of the page says of it. Raises ApiProblem."""
        today: date = calendar_of(self.workspace).day_of(timezone.now())
        sent = {name: str(self.body.get(name, "")) for name in ("amount", "currency", "received_on", "reference")}
        form = PaymentForm(sent | {"token": str(uuid.uuid4())}, today=today)
        if not form.is_valid():
            errors = [
                {"pointer": f"/{name}" if name in sent else "", "detail": str(detail)}
                for name, details in form.errors.items()
                for detail in details
            ]
            raise ApiProblem("invalid", errors=errors)
        return form
