"""Documents that were stored before a rule of today: they load and copy as before, and are listed to be corrected.

Every look at the list reads at most `MOST_READ` documents of each table: those that were mirrored since the last look,
and in a new round every hour the others, because a rule may be newer than a document. What is known between looks is
kept in the cache.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.cache import cache
from django.db.models import Q, QuerySet
from django.urls import reverse

from copying.engine.model import Level
from editing.forms import SettingsForm
from editing.merging import writable
from editing.problems import problems_of
from editing.targets import SUBSCRIBER, target_of
from strategies.models import Strategy
from subscribers.models import Subscriber
from users.models import Membership
from users.permissions import can_manage

MOST_READ = 250
MOST_LISTED = 1_000
ROUND_LASTS = timedelta(hours=1)
KEPT_S = 24 * 3600
_IN_ADDRESS = re.compile(r"[A-Za-z0-9_.:+-]{1,64}")  # an id that a page of its own can be named by


@dataclass(frozen=True)
class Fault:
    """The first thing that is wrong with a document. part: strategy id of the member or subscription it stands in."""

    setting: str
    part: str = ""


@dataclass(frozen=True)
class Correction:
    """A strategy, portfolio or account that needs a correction."""

    kind: str
    pk: int
    name: str
    fault: Fault

    def address(self, membership: Membership) -> str:
        """The form in which it is corrected; for whoever changes nothing, where its settings are read."""
        pages = "subscribers" if self.kind == SUBSCRIBER else "strategies"
        if not can_manage(membership):
            return reverse(
                "subscribers:subscriptions" if pages == "subscribers" else "strategies:settings", args=[self.pk]
            )
        if not self.fault.part:
            return reverse(f"{pages}:edit", args=[self.pk])
        form = "subscribers:edit-subscription" if pages == "subscribers" else "strategies:edit-member"
        return reverse(form, args=[self.pk, self.fault.part])


def needed_corrections(membership: Membership, now: datetime) -> list[Correction]:
    """What a member of staff sees of them: strategies and portfolios by name, then accounts; at most 1,001 of each."""
    if not membership.is_staff_role:
        return []
    strategies = Strategy.objects.visible_to(membership).filter(is_removed=False)
    accounts = Subscriber.objects.visible_to(membership).filter(is_removed=False)
    needed = []
    for rows, name in ((strategies, "strategies"), (accounts, "accounts")):
        faults = read_on(rows, f"corrections-{name}:{membership.workspace_id}", now)
        if faults:
            listed = rows.filter(pk__in=faults).order_by("name", "id").defer("document")[: MOST_LISTED + 1]
            needed += [Correction(row.document_kind, row.pk, row.name, faults[row.pk]) for row in listed]
    return needed


def read_on(rows: QuerySet, key: str, now: datetime) -> dict[int, Fault]:
    """The faults by primary key, after the next documents were read. key: where it is kept how far they were read."""
    progress: tuple[Any, ...] = cache.get(key) or (now, None, {})
    began_at, mark = progress[:2]
    faults: dict[int, Fault] = progress[2]
    if now - began_at >= ROUND_LASTS:
        began_at, mark = now, None
    unread = rows
    if mark is not None:
        unread = rows.filter(Q(synced_at__gt=mark[0]) | Q(synced_at=mark[0], pk__gt=mark[1]))
    fields = ("synced_at", "document") + (("kind",) if rows.model is Strategy else ())
    batch = list(unread.order_by("synced_at", "pk").only(*fields)[:MOST_READ])
    for row in batch:
        fault = fault_of(row.document_kind, row.document)
        if fault is None:
            faults.pop(row.pk, None)
        else:
            faults[row.pk] = fault
    if batch:
        mark = (batch[-1].synced_at, batch[-1].pk)
        cache.set(key, (began_at, mark, faults), KEPT_S)
    return faults


def fault_of(kind: str, document: dict[str, Any]) -> Fault | None:
    """The first thing that the rules of today have against a document; None: nothing, or nothing of it is known."""
    if not document:
        return None
    return next(_faults(kind, document), None)


def _faults(kind: str, document: dict[str, Any]) -> Iterator[Fault]:
    target = target_of(kind)
    for problem in problems_of(kind, writable(document)):
        parameter = str(problem["parameter"])
        list_name, _, rest = parameter.partition(".")
        index, _, setting = rest.partition(".")
        part = None
        if target.parts and list_name == target.parts.name and setting:
            part = document[list_name][int(index)]
        if isinstance(part, dict) and part.get("removed"):
            continue  # it is winding down, and nobody edits it any more
        strategy_id = part.get("strategyId") if isinstance(part, dict) and setting != "strategyId" else None
        if part and target.parts and isinstance(strategy_id, str) and _IN_ADDRESS.fullmatch(strategy_id):
            yield Fault(_label(target.parts.level, part, problem, f"{list_name}.{index}"), strategy_id)
        else:
            yield Fault(_label(target.level, document, problem, ""))


def _label(level: Level, settings: dict[str, Any], problem: dict[str, Any], path: str) -> str:
    """What the form calls the setting at fault."""
    form = SettingsForm.of(level, settings)
    form.attach([problem], path=path)
    return form.problems[0].label or str(problem["parameter"])
