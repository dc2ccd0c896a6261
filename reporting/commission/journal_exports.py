"""Exports the journal for bookkeeping: one after the other, so that every entry is in exactly one of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db import transaction
from django.db.models import Max, Min

from reporting.bookkeeping import BookkeepingSettings, JournalExport
from reporting.commission.accounts import lock_books
from reporting.commission.journal import Booking, closed_with_providers, read_bookings
from reporting.commission.journal_files import beancount_file
from reporting.commission.periods import Calendar
from reporting.commission.refusals import CannotBook
from reporting.commission.services import calendar_of
from reporting.models import Entry
from users.models import User, Workspace
from users.services import record_audit


@dataclass(frozen=True, slots=True)
class Preview:
    """An export as it would be now. export: not stored."""

    export: JournalExport
    bookings: list[Booking]


def last_export(workspace: Workspace) -> JournalExport | None:
    """The newest export that was not taken back."""
    return JournalExport.objects.valid().filter(workspace=workspace).order_by("-number").first()


def first_day_to_export(workspace: Workspace) -> date | None:
    """The day after the last export; of the first one the day of the oldest entry. None: there is nothing at all."""
    if last := last_export(workspace):
        return last.last_day + timedelta(days=1)
    oldest: date | None = Entry.objects.filter(workspace=workspace).aggregate(day=Min("day"))["day"]
    return oldest


def preview_export(workspace: Workspace, *, first_day: date, last_day: date, now: datetime) -> Preview:
    """What an export of these days would have. Raises CannotBook where the days are none that can be exported.

    Later exports begin where the last one ended. A first one may leave out the time before it: what was owed then is
    brought forward.
    """
    previous, calendar = last_export(workspace), calendar_of(workspace)
    if last_day < first_day:
        raise CannotBook("The last day is before the first one.")
    if last_day >= calendar.day_of(now):
        raise CannotBook("The last day must be over: something may still be booked on it.")
    if previous is not None and first_day != previous.last_day + timedelta(days=1):
        raise CannotBook(
            f"Days until {previous.last_day} are in {previous} already: the next export begins on"
            f" {previous.last_day + timedelta(days=1)}. Nothing may be in two, or in none."
        )
    newest = Entry.objects.filter(workspace=workspace).aggregate(pk=Max("pk"))["pk"] or 0
    number = JournalExport.objects.filter(workspace=workspace).aggregate(n=Max("number"))["n"] or 0
    export = JournalExport(
        workspace=workspace,
        number=number + 1,
        previous=previous,
        first_day=first_day,
        last_day=last_day,
        last_entry=newest,
        zone=calendar.zone,
        accounts=BookkeepingSettings.of(workspace).accounts(),
        made_at=now,
    )
    export.periods = _new_periods(export, calendar)
    return Preview(export, read_bookings(export))


def _new_periods(export: JournalExport, calendar: Calendar) -> list[int]:
    """Periods closed until the last day whose fees to providers no earlier export has."""
    earlier = JournalExport.objects.valid().filter(workspace_id=export.workspace_id).order_by("number")
    begin, known = export.first_day, set()
    for number, other in enumerate(earlier):
        begin = other.first_day if number == 0 else begin
        known |= set(other.periods)
    return [
        pk
        for pk, closed_at in closed_with_providers(export.workspace_id)
        if pk not in known and begin <= calendar.day_of(closed_at) <= export.last_day
    ]


@transaction.atomic
def export_journal(
    workspace: Workspace, *, first_day: date, last_day: date, by: User | None = None, now: datetime
) -> JournalExport:
    """Keep an export for good: its files are the same whenever they are made again. Raises CannotBook."""
    lock_books(workspace)  # nobody adds an entry meanwhile: the last one is the last one
    preview = preview_export(workspace, first_day=first_day, last_day=last_day, now=now)
    export = preview.export
    export.bookings = len(preview.bookings)
    export.digest = hashlib.sha256(beancount_file(export, preview.bookings)).hexdigest()
    export.made_by = by
    export.save()
    details = {"bookings": export.bookings, "sha256": export.digest}
    subject = f"{export}, {first_day} to {last_day}"
    record_audit(workspace, user=by, action="journal exported", subject=subject, details=details, now=now)
    return export


@transaction.atomic
def take_export_back(export: JournalExport, *, by: User | None = None, now: datetime) -> JournalExport:
    """Let the days of the newest export be exported anew, with other accounts; the export stays with its files.

    Raises CannotBook for one that another follows, or that was taken back before.
    """
    lock_books(export.workspace)
    export.refresh_from_db()
    if export.taken_back_at is not None:
        raise CannotBook(f"{export} was taken back before.")
    if export != last_export(export.workspace):
        raise CannotBook(f"{export} is followed by another: take that one back first.")
    export.taken_back_at, export.taken_back_by = now, by
    export.save(update_fields=["taken_back_at", "taken_back_by"])
    record_audit(export.workspace, user=by, action="journal export taken back", subject=str(export), now=now)
    return export
