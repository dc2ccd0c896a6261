"""What a client who stops copying leaves behind: what is owed, what is not billed yet, and what is open."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, Sum
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from editing.models import Action, Change
from reporting.ledger import CommissionLineQuerySet
from reporting.models import CommissionLine, DocumentKind, Entry, OpenPosition, Statement, StatementItem
from subscribers.models import Subscriber
from users.permissions import subscriber_only
from users.requests import MemberRequest

MOST_POSITIONS = 50


@require_safe
@subscriber_only
def leaving(request: MemberRequest, pk: int) -> HttpResponse:
    """The part of the review of a client's leaving, or a page of its own around it."""
    change = get_object_or_404(Change.objects.visible_to(request.membership), pk=pk)
    own = Subscriber.objects.visible_to(request.membership)
    account = get_object_or_404(own, connection_id=change.connection_id, backend_id=change.backend_id)
    if change.action not in (Action.REMOVE, Action.TAKE_OUT):
        raise Http404
    only = {"connection_id": account.connection_id, "subscriber_id": account.backend_id}
    statements = Statement.objects.visible_to(request.membership).with_balance().filter(**only)
    positions = OpenPosition.objects.visible_to(request.membership).filter(**only)
    lines = not_billed(CommissionLine.objects.visible_to(request.membership).filter(**only))
    if change.part:
        positions, lines = positions.filter(strategy_id=change.part), lines.filter(strategy_id=change.part)
    credit = Entry.objects.visible_to(request.membership).filter(**only, statement=None)
    context = {
        "account": account,
        "part": change.part,
        "unpaid": list(statements.filter(kind=DocumentKind.STATEMENT, is_void=False, balance__gt=0).order_by("due_on")),
        "credits": list(credit.order_by().values("currency").annotate(credit=-Sum("amount")).filter(credit__gt=0)),
        "not_billed": list(lines.totals()),
        "positions": list(positions.order_by("symbol", "pk")[:MOST_POSITIONS]),
        "count": positions.count(),
    }
    page = "reporting/_leaving.html" if request.partial else "reporting/leaving.html"
    return render(request, page, context)


def not_billed(lines: CommissionLineQuerySet) -> CommissionLineQuerySet:
    """Lines that are on no statement: of the periods that run, and of those that nobody has billed yet."""
    item = StatementItem.objects.filter(
        is_void=False,
        subscriber_id=OuterRef("subscriber_id"),
        currency=OuterRef("currency"),
        period__connection_id=OuterRef("connection_id"),
        period__strategy_id=OuterRef("strategy_id"),
        period__period_start=OuterRef("period_start"),
        period__period_end=OuterRef("period_end"),
    )
    return lines.filter(~Exists(item))
