"""One change of many objects in the browser: looked at, begun once, followed while it runs, put back as one."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from editing.bulk import counts_of, outcome_now, propose_undo_of
from editing.bulk_job import start as start_bulk
from editing.bulk_review import effects_of_bulk, what_if_of_bulk
from editing.models import BulkEdit, RowOutcome
from editing.targets import SUBSCRIBER, target_of
from jobs.services import TooMany
from users.confirming import confirmed
from users.once import once
from users.permissions import can_manage, may_manage, staff_only
from users.requests import MemberRequest

MOST_LISTED = 200
TONES = {
    "done": "good",
    "unchanged": "quiet",
    "refused": "warn",
    "conflict": "warn",
    "failed": "bad",
    "unknown": "warn",
    "": "quiet",
}


def visible_bulk(request: MemberRequest, pk: int) -> BulkEdit:
    """The edit, or 404; one that is not begun only for those who may begin it."""
    people = ("proposed_by", "started_by", "job", "undoes", "workspace")
    bulk = get_object_or_404(BulkEdit.objects.visible_to(request.membership).select_related(*people), pk=pk)
    if bulk.started_at is None and not can_manage(request.membership):
        raise PermissionDenied
    return bulk


@require_safe
@staff_only
def bulk(request: MemberRequest, pk: int) -> HttpResponse:
    """What is about to be changed, is being changed, or was."""
    return page(request, visible_bulk(request, pk))


def page(request: MemberRequest, row: BulkEdit, *, problem: str = "", status: int = 200) -> HttpResponse:
    """The page, or while it runs the part with its rows."""
    if not row.request.get("act") and row.undoes_id is None:
        return redirect(row.form_address or row.origin or "/")
    rows = list(row.rows.select_related("change").order_by("number")[:MOST_LISTED])
    counts = counts_of(row)
    is_open = row.started_at is None
    context: dict[str, Any] = {
        "bulk": row,
        "home": row.origin or target_of(SUBSCRIBER).list_address(),
        "rows": [(account, outcome_now(account)) for account in rows],
        "counts": counts,
        "total": sum(counts.values()),
        "to_do": counts.get(RowOutcome.TO_DO, 0),
        "is_open": is_open,
        "is_running": row.job is not None and row.job.is_unfinished,
        "effects": effects_of_bulk(row) if is_open else None,
        "words": dict(RowOutcome.choices),
        "tones": TONES,
        "problem": problem,
        "may_manage": can_manage(request.membership),
        "undone_by": row.undone_by.filter(started_at__isnull=False).first(),
    }
    is_part = request.partial and not is_open
    return render(request, "editing/_bulk_rows.html" if is_part else "editing/bulk.html", context, status=status)


@require_safe
@may_manage
def bulk_what_if(request: MemberRequest, pk: int) -> HttpResponse:
    """What all of it would have done to the last days' signals."""
    summary = what_if_of_bulk(visible_bulk(request, pk), now=timezone.now())
    name = "editing/_what_if.html" if request.partial else "editing/bulk_what_if.html"
    return render(request, name, {"summary": summary, "bulk": visible_bulk(request, pk), "is_client": False})


@require_POST
@may_manage
@confirmed
@once
def bulk_start(request: MemberRequest, pk: int) -> HttpResponse:
    """Begin to carry it out, or say why not."""
    row = visible_bulk(request, pk)
    if row.started_at is None:
        count = row.rows.filter(outcome=RowOutcome.TO_DO).count()
        if not count:
            messages.info(request, "There is nothing to change.")
            return redirect("editing:bulk", pk)
        if request.POST.get("typed", "").strip() != str(count) and effects_of_bulk(row).is_dangerous:
            return page(request, row, status=422, problem=f"Nothing was changed. Type {count}, the number of accounts.")
    try:
        start_bulk(row, request.membership, by=request.user, now=timezone.now())
    except TooMany as error:
        messages.error(request, error.text)
    else:
        messages.success(request, "It is being carried out. You can leave this page: it goes on, under Jobs.")
    return redirect("editing:bulk", pk)


@require_POST
@may_manage
@once
def bulk_undo(request: MemberRequest, pk: int) -> HttpResponse:
    """Put back what was changed, by the same review."""
    row = visible_bulk(request, pk)
    if row.job is not None and row.job.is_unfinished:
        messages.info(request, "It is still being carried out: cancel the rest, or wait, then put it back.")
        return redirect("editing:bulk", pk)
    undo = propose_undo_of(row, by=request.user, now=timezone.now()) if row.started_at else None
    if undo is None:
        messages.info(request, "There is nothing to put back.")
        return redirect("editing:bulk", pk)
    return redirect("editing:bulk", undo.pk)
