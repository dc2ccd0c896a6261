"""What a workspace's records take, and how long those that no money rests on are kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.db import connection
from django.db.models import Model, QuerySet, Sum
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from reporting.models import Decision, DecisionCount, LogRecord, RecordKind, Retention, Transaction
from reporting.retention import CHOICES, choose
from users.confirming import confirmed
from users.listing.counting import Count, count_rows
from users.permissions import can_own, owner_only, staff_only
from users.requests import MemberRequest

WEEK = timedelta(days=7)
NAMES = {30: "30 days", 60: "60 days", 90: "90 days", 180: "180 days", 365: "1 year", 730: "2 years", 1_825: "5 years"}
OPTIONS = [("", "For ever"), *((str(days), NAMES[days]) for days in CHOICES)]


class KeepForm(forms.Form):
    """How long records of one kind are kept."""

    kind = forms.ChoiceField(choices=RecordKind.choices, widget=forms.HiddenInput)
    days = forms.TypedChoiceField(label="Keep them", choices=OPTIONS, coerce=int, empty_value=None, required=False)


@dataclass(frozen=True)
class RecordLine:
    """One kind of record. size: bytes with indexes, about; None: the database has not measured its tables yet.

    weekly: records of the last seven days; None: not counted. form: None where it is kept for ever in any case.
    """

    name: str
    count: Count
    size: float | None
    weekly: int | None = None
    retention: Retention | None = None
    form: KeepForm | None = None

    @property
    def yearly_size(self) -> float | None:
        """What a year at the pace of the last week adds, bytes."""
        if self.size is None or self.weekly is None or not self.count.rows:
            return None
        return self.size / self.count.rows * self.weekly / 7 * 365


def row_size(table: str) -> float | None:
    """Bytes that a row takes on average, with its indexes; None while PostgreSQL has no statistics of the table."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT CASE WHEN reltuples > 0 THEN pg_total_relation_size(oid) / reltuples END::float8"
            " FROM pg_class WHERE oid = %s::regclass",
            [table],
        )
        return cursor.fetchone()[0]


def line_of(name: str, rows: QuerySet[Any], model: type[Model], **more: Any) -> RecordLine:
    """One kind with its number of rows and their size."""
    count, per_row = count_rows(rows), row_size(model._meta.db_table)
    return RecordLine(name, count, None if per_row is None else per_row * count.rows, **more)


def lines_of(request: MemberRequest, now: datetime, sent: dict[str, KeepForm]) -> list[RecordLine]:
    """All kinds; `sent`: forms that were sent and not accepted."""
    membership = request.membership
    own = {row.kind: row for row in Retention.objects.filter(workspace=request.workspace)}
    counted = DecisionCount.objects.filter(workspace=request.workspace, day__gt=(now - WEEK).date())
    logged = LogRecord.objects.visible_to(membership).filter(time__gt=now - WEEK)
    weekly = {
        RecordKind.DECISIONS.value: counted.aggregate(n=Sum("decisions"))["n"] or 0,
        RecordKind.LOG.value: count_rows(logged).rows,
    }
    lines = []
    for kind, model in ((RecordKind.DECISIONS, Decision), (RecordKind.LOG, LogRecord)):
        retention = own.get(kind.value) or Retention(workspace=request.workspace, kind=kind.value)
        retention.settle(now)
        days = retention.next_days if retention.next_at else retention.days
        form = sent.get(kind.value) or KeepForm(initial={"days": "" if days is None else days}, auto_id=f"{kind}_%s")
        more = {"weekly": weekly.get(kind.value), "retention": retention, "form": form}
        lines.append(line_of(kind.label, model.objects.visible_to(membership), model, **more))
    week = Transaction.objects.visible_to(membership).filter(time__gt=now - WEEK)
    deals = Transaction.objects.visible_to(membership)
    return [line_of("Deals", deals, Transaction, weekly=count_rows(week).rows), *lines]


def render_records(request: MemberRequest, sent: dict[str, KeepForm], status: int = 200) -> HttpResponse:
    context: dict[str, Any] = {"lines": lines_of(request, timezone.now(), sent), "may_own": can_own(request.membership)}
    context |= {"names": NAMES}
    return render(request, "reporting/records.html", context, status=status)


@require_safe
@staff_only
def records(request: MemberRequest) -> HttpResponse:
    """What there is, what it takes, and how long it is kept."""
    return render_records(request, {})


@require_POST
@owner_only
@confirmed
def keep_records(request: MemberRequest) -> HttpResponse:
    """Keep records of a kind for so long."""
    kind = request.POST.get("kind", "")
    form = KeepForm(request.POST, auto_id=f"{kind}_%s")
    if not form.is_valid():
        return render_records(request, {kind: form}, status=422)
    now = timezone.now()
    row = choose(request.workspace, kind, form.cleaned_data["days"], by=request.user, now=now)
    name = RecordKind(kind).label
    if row.next_at is not None:
        words = f"{name} older than {NAMES[row.next_days or 0]} are removed from {row.next_at:%d %b %H:%M} UTC on."
        messages.success(request, f"{words} Until then you can choose again and nothing is lost.")
    elif row.days is None:
        messages.success(request, f"{name} are kept for ever.")
    else:
        messages.success(request, f"{name} are kept for {NAMES[row.days]}.")
    return redirect("reporting:records")
