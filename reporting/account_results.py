"""The results of accounts as expressions, for the lists and files of accounts (`subscribers/results.py`)."""

from __future__ import annotations

from datetime import UTC, date

from django.db.models import F, OuterRef, Subquery, Sum, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from reporting.models import DailyResult
from subscribers.results import MONEY


def result_today() -> Coalesce:
    """After swap and commission, of the UTC day so far."""
    return _result_since(today := _today(), today)


def result_month() -> Coalesce:
    """The same of the UTC month so far."""
    today = _today()
    return _result_since(today.replace(day=1), today)


def _today() -> date:
    return timezone.now().astimezone(UTC).date()


def _result_since(first: date, last: date) -> Coalesce:
    """0 for an account without a deal in these days."""
    days = DailyResult.objects.filter(
        connection_id=OuterRef("connection_id"), subscriber_id=OuterRef("backend_id"), day__range=(first, last)
    )
    result = Sum(F("profit") + F("swap") + F("commission"))
    sums = days.order_by().values("connection_id").annotate(result=result).values("result")
    return Coalesce(Subquery(sums, MONEY), Value(0, MONEY))
