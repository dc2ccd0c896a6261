"""Many accounts at once: which ones were chosen on a list, and what an act does to each as far as the portal knows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet, Sum
from django.http import HttpRequest, QueryDict
from django.urls import reverse

from editing import bulk as bulk_edits
from editing.models import BulkEdit, BulkRow
from editing.scopes import scope_of
from strategies.models import Strategy
from subscribers.acts import ACTS
from subscribers.listings import STRATEGY_SUBSCRIBERS, SUBSCRIBERS
from subscribers.models import Subscriber
from users.models import Membership, User
from users.parsing import row_id

MOST_ROWS = bulk_edits.MOST_ROWS
NONE_CHOSEN = "No account was chosen: tick those that are to be changed."
TOO_MANY = f"At most {MOST_ROWS:,} accounts are changed at once: narrow the list with its filters."


@dataclass(frozen=True)
class Unfit(Exception):
    """Nothing can be done with a selection. text: a sentence for the person."""

    text: str


def listed(membership: Membership, query: str, strategy: Strategy | None = None) -> QuerySet[Subscriber]:
    """The accounts that a list with these parameters shows, of one strategy or all. Raises BadParameter."""
    request = HttpRequest()
    request.GET = QueryDict(query)
    request.membership = membership  # type: ignore[attr-defined]  # as the middleware does
    accounts = Subscriber.objects.visible_to(membership).filter(is_removed=False)
    if strategy is None:
        return SUBSCRIBERS.bind(request, accounts).filtered
    return STRATEGY_SUBSCRIBERS.bind(request, copying(accounts, strategy)).filtered


def copying(accounts: QuerySet[Subscriber], strategy: Strategy) -> QuerySet[Subscriber]:
    """Those that copy one strategy."""
    return accounts.filter(
        connection_id=strategy.connection_id,
        subscriptions__strategy_backend_id=strategy.backend_id,
        subscriptions__is_removed=False,
    )


def ticked(membership: Membership, ids: Iterable[str]) -> QuerySet[Subscriber]:
    """Those with these ids; what is not the member's to see, and what does not exist, is left out alike."""
    known = {pk for text in ids if (pk := row_id(text))}
    return Subscriber.objects.visible_to(membership).filter(is_removed=False, pk__in=known)


def choose(
    membership: Membership,
    accounts: QuerySet[Subscriber],
    *,
    by: User | None,
    strategy: Strategy | None = None,
    origin: str = "",
    now: datetime,
) -> BulkEdit:
    """Keep the selection, in the order of the names. Raises Unfit for none, and for more than can be done."""
    pks = list(accounts.order_by().values_list("pk", flat=True).distinct()[: MOST_ROWS + 1])
    if not pks:
        raise Unfit(NONE_CHOSEN)
    if len(pks) > MOST_ROWS:
        raise Unfit(TOO_MANY)
    chosen = Subscriber.objects.visible_to(membership).filter(pk__in=pks)
    rows = chosen.select_related("connection").defer("document", "connection__token").order_by("name", "pk")
    sums = chosen.exclude(equity=None).values("currency").annotate(sum=Sum("equity")).order_by("-sum")
    bulk = bulk_edits.choose(
        membership,
        [scope_of(row) for row in rows],
        by=by,
        request={"only": strategy.backend_id} if strategy else {},
        sums=[[entry["currency"], str(Decimal(entry["sum"]))] for entry in sums],
        origin=origin,
        now=now,
    )
    bulk.form_address = reverse("subscribers:choose-act", args=[bulk.pk])
    bulk.save(update_fields=["form_address"])
    return bulk


def plan(bulk: BulkEdit, request: dict[str, Any]) -> None:
    """Write down what the act does to each account. request: as subscribers/acts.py takes it, with its act."""
    act = ACTS[request["act"]]
    strategy = request.get("strategy", "")
    title = act.title(request) + (f", {name_of(bulk, strategy)}" if strategy else "")
    only = {name: value for name, value in bulk.request.items() if name == "only"}
    bulk_edits.plan(bulk, {**only, **request}, title, planned(bulk, request))


def planned(bulk: BulkEdit, request: dict[str, Any]) -> Iterator[tuple[BulkRow, dict[str, Any], bulk_edits.RowPlan]]:
    """Each row with the document that the portal knows and what the act does to it."""
    act = ACTS[request["act"]]
    for row, document in bulk_edits.with_documents(bulk):
        if document is None:
            yield row, {}, bulk_edits.RowPlan(refusal=bulk_edits.GONE)
        else:
            yield row, document, act.plan(request, document)


def name_of(bulk: BulkEdit, strategy: str) -> str:
    """A strategy's name, or its id where it is not mirrored."""
    own = Strategy.objects.filter(workspace_id=bulk.workspace_id, backend_id=strategy)
    return own.values_list("name", flat=True).first() or strategy


def strategies_in(bulk: BulkEdit) -> list[tuple[str, str]]:
    """What the chosen accounts copy: ids and names, for the choice of one."""
    copied: dict[str, None] = {}
    for _, document in bulk_edits.with_documents(bulk):
        for terms in (document or {}).get("subscriptions") or []:
            if isinstance(terms, dict) and terms.get("strategyId") and not terms.get("removed"):
                copied[terms["strategyId"]] = None
    own = Strategy.objects.filter(workspace_id=bulk.workspace_id, backend_id__in=list(copied))
    names = dict(own.values_list("backend_id", "name"))
    return sorted(((id, names.get(id) or id) for id in copied), key=lambda option: option[1].lower())
