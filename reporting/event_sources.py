"""Events that no single write causes: stopouts, copies that failed, statements that became overdue.

Rows come in by sets, and a day passes without anybody doing anything: so they are looked for, further back than a
missed turn lasts. A key for each cause keeps anything from being told twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import transaction
from django.db.models import Min

from reporting.commission.event_data import statement_data
from reporting.commission.mailing import overdue_statements
from reporting.models import Decision
from subscribers.causes import cause_of
from subscribers.models import Stopout
from users.events import EventEndpoint, PortalEvent, emit
from users.models import Workspace

log = structlog.get_logger(__name__)

BACK = timedelta(hours=6)
MOST = 200  # of a kind and workspace at a time; the rest in the next turn
Cause = tuple[str, dict[str, Any]]  # key and data


def collect(now: datetime) -> int:
    """Look in every workspace that has an address; returns how many events there were."""
    asking = EventEndpoint.objects.filter(is_enabled=True).values("workspace_id").annotate(since=Min("created_at"))
    number = 0
    for row in asking.order_by("workspace_id"):
        try:
            workspace = Workspace.objects.get(pk=row["workspace_id"])
            number += collect_workspace(workspace, since=max(row["since"], now - BACK), now=now)
        except Exception:  # whatever is wrong with one firm's rows: the others' programs are told
            log.exception("events of a workspace were not collected", workspace=row["workspace_id"])
    return number


def collect_workspace(workspace: Workspace, *, since: datetime, now: datetime) -> int:
    """Tell of what is new since a moment; nobody is told of what was before their address was entered."""
    number = 0
    for kind, causes in (
        ("stopout.started", stopouts(workspace, since)),
        ("copy.failed", failed_copies(workspace, since)),
        ("statement.overdue", overdue(workspace, since)),
    ):
        waiting = dict(causes)
        known = PortalEvent.objects.filter(workspace=workspace, key__in=waiting).values_list("key", flat=True)
        for key in [key for key in waiting if key not in set(known)][:MOST]:
            with transaction.atomic():
                number += emit(workspace.pk, kind, waiting[key], now=now, key=key) is not None
    return number


def stopouts(workspace: Workspace, since: datetime) -> Iterator[Cause]:
    """Risk limits that fired."""
    rows = Stopout.objects.filter(workspace=workspace, stopped_at__gte=since).select_related("subscriber", "strategy")
    for row in rows.order_by("stopped_at", "pk"):
        yield (
            f"stopout:{row.pk}",
            {
                "stopout": row.pk,
                "subscriber": row.subscriber_id,
                "subscriber_backend_id": row.subscriber.backend_id,
                "subscriber_name": row.subscriber.name,
                "strategy_backend_id": row.strategy_backend_id,
                "reason": row.reason,
                "cause": cause_of(row.reason),
                "closes_positions": row.close_positions,
                "stopped_at": row.stopped_at.isoformat(),
                "stopped_till": row.stopped_till.isoformat(),
            },
        )


def failed_copies(workspace: Workspace, since: datetime) -> Iterator[Cause]:
    """Copies that were decided on and could not be made."""
    rows = Decision.objects.filter(workspace=workspace, outcome="failed", time__gte=since).order_by("time", "pk")
    for row in rows[: MOST * 10]:
        yield (
            f"copy:{row.connection_id}:{row.backend_id}"[:120],
            {
                "decision": row.pk,
                "subscriber_backend_id": row.subscriber_id,
                "strategy_backend_id": row.strategy_id,
                "signal": row.signal_id,
                "symbol": row.symbol,
                "side": row.side,
                "reason": row.reason,
                "text": row.text,
                "time": row.time.isoformat(),
            },
        )


def overdue(workspace: Workspace, since: datetime) -> Iterator[Cause]:
    """Statements whose day has passed with something left to pay; those that were overdue before are not news."""
    day = (since - timedelta(days=1)).date()
    for row in overdue_statements(workspace).filter(due_on__gte=day):
        yield f"overdue:{row.pk}", statement_data(row) | {"balance": f"{row.balance:f}"}
