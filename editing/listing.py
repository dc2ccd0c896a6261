"""Who changed what when: the list of one object's saved changes, as a page, a part and a file."""

from __future__ import annotations

from typing import Any

from django.http.response import HttpResponseBase
from django.shortcuts import render

from editing.models import Change
from editing.scopes import Editable
from editing.targets import PORTFOLIO, STRATEGY
from users.listing import Column, DayRange, Listing, Search
from users.permissions import can_manage
from users.requests import MemberRequest

MOST_WAITING = 10
CHANGES = Listing(
    name="changes",
    sort="-saved_at",
    columns=(
        Column("saved_at", "When", is_sortable=True),
        Column("by_name", source="saved_by__name", csv_name="by"),
        Column("by_email", "By", source="saved_by__email"),
        Column("action", "What"),
        Column("part", csv_name="of_strategy_id"),
        Column("summary", "Settings", csv_name="differences"),
        Column("undoes_id", in_csv=False),
    ),
    filters=(
        Search("q", "Search", placeholder="Search in settings and people", fields=("summary", "saved_by__email")),
        DayRange("period", "Period", field="saved_at"),
    ),
)


def answer_changes(request: MemberRequest, row: Editable, context: dict[str, Any]) -> HttpResponseBase:
    """The list of one object's saved changes. context: of its pages, with the layout around the list."""
    same_ids = (STRATEGY, PORTFOLIO) if row.document_kind in (STRATEGY, PORTFOLIO) else (row.document_kind,)
    own = Change.objects.visible_to(request.membership)
    own = own.filter(connection_id=row.connection.pk, backend_id=row.backend_id, kind__in=same_ids)
    table = CHANGES.bind(request, own.saved())
    if table.wants_csv:
        return table.csv()
    waiting = own.filter(saved_at=None).select_related("proposed_by").defer("before", "after").order_by("-id")
    may_save = can_manage(request.membership) or not request.membership.is_staff_role  # clients: their own
    context["waiting"] = waiting[:MOST_WAITING] if may_save else []
    page = "editing/_changes.html" if request.partial else "editing/changes.html"
    return render(request, page, {**context, "table": table})
