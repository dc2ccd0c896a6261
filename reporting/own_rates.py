"""A firm's own exchange rates, for currencies that the European Central Bank does not list: entered, read, removed."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import transaction

from reporting.forms import OwnRateForm
from reporting.rates import Rates
from reporting.reference_rates import OwnRate
from users.models import User, Workspace
from users.services import record_audit

MOST_ROWS = 20_000
COLUMNS = ("currency", "day", "value", "against")


class UnreadableFile(ValueError):
    """A file of rates that is refused as a whole. Its words name the row."""


class EnteredRate(NamedTuple):
    """One unit of currency is value of against on day."""

    currency: str
    day: date
    value: Decimal
    against: str


def read_file(content: bytes, *, rates: Rates, today: date) -> list[EnteredRate]:
    """The rates of a CSV, each checked like one that is typed. Raises UnreadableFile."""
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig")))
        rows = [row for _, row in zip(range(MOST_ROWS + 1), reader, strict=False)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UnreadableFile("The file is no CSV in UTF-8.") from error
    if sorted(reader.fieldnames or []) != sorted(COLUMNS):
        raise UnreadableFile(f"The first row names the columns: {', '.join(COLUMNS)}.")
    if not rows or len(rows) > MOST_ROWS:
        raise UnreadableFile(f"A file has 1 to {MOST_ROWS:,} rates.")
    return [_read_row(row, number, rates, today) for number, row in enumerate(rows, start=2)]


def _read_row(row: dict[str, Any], number: int, rates: Rates, today: date) -> EnteredRate:
    form = OwnRateForm({**row, "source": "file"}, rates=rates, today=today)
    if not form.is_valid():
        field, problems = next(iter(form.errors.items()))
        raise UnreadableFile(f"Row {number}, {field}: {problems[0]} Nothing of the file was stored.")
    return EnteredRate(*(form.cleaned_data[name] for name in COLUMNS))


@transaction.atomic
def add_rates(workspace: Workspace, entered: Sequence[EnteredRate], *, source: str, by: User, now: datetime) -> int:
    """Store them; one of the same currency and day takes the place of the one before. What used that keeps it."""
    newest = {(rate.currency, rate.day): rate for rate in entered}
    for currency in {rate.currency for rate in entered}:
        days = [day for of, day in newest if of == currency]
        OwnRate.objects.filter(workspace=workspace, currency=currency, day__in=days).delete()
    OwnRate.objects.bulk_create(
        OwnRate(workspace=workspace, source=source, entered_at=now, entered_by=by, **rate._asdict())
        for rate in newest.values()
    )
    subject = f"{len(newest)} rates" if len(newest) > 1 else "{} on {}: {} {}".format(*entered[-1])
    record_audit(
        workspace, user=by, action="exchange rates entered", subject=subject, details={"source": source}, now=now
    )
    return len(newest)


@transaction.atomic
def remove_rate(rate: OwnRate, *, by: User, now: datetime) -> None:
    """Forget a rate; what was converted with it keeps it."""
    subject = f"{rate.currency} on {rate.day}: {rate.value} {rate.against}"
    record_audit(rate.workspace, user=by, action="exchange rate removed", subject=subject, now=now)
    rate.delete()
