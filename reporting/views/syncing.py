"""The state of the mirror: what is synced, how old it is, and what went wrong."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from reporting.models import QuarantinedPage, SyncState
from reporting.rights import BY_KIND, rights_of
from reporting.sweeps import sweeps_of
from users.permissions import staff_only
from users.requests import MemberRequest


@require_safe
@staff_only
def sync(request: MemberRequest) -> HttpResponse:
    """Every kind of sync of every connection, and answers that could not be read."""
    connections = request.workspace.connections.defer("token").order_by("id")
    states = SyncState.objects.filter(connection__in=connections).order_by("connection_id", "id")
    pages = QuarantinedPage.objects.filter(connection__in=connections, resolved_at=None).order_by("-last_seen_at")[:50]
    by_connection: dict[int, list[SyncState]] = {connection.pk: [] for connection in connections}
    for state in states:
        by_connection[state.connection_id].append(state)
    groups = [(c, by_connection[c.pk], sweeps_of(c, by_connection[c.pk])) for c in connections]
    context = {"groups": groups, "pages": pages, "rights": BY_KIND}
    return render(request, "reporting/_sync.html" if request.partial else "reporting/sync.html", context)


@require_safe
@staff_only
def rights(request: MemberRequest, pk: int) -> HttpResponse:
    """What a backend offers to the token of a connection, and what each missing right costs."""
    connection = get_object_or_404(request.workspace.connections.defer("token"), pk=pk)
    context = {"connection": connection, "rights": rights_of(connection)}
    return render(request, "reporting/_rights.html" if request.partial else "reporting/rights.html", context)


@require_safe
@staff_only
def freshness(request: MemberRequest) -> HttpResponse:
    """The age of the mirror for the top bar, and what is wrong with copying for the line above every page."""
    return render(request, "_state.html")
