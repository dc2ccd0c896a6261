"""Answers that could not be read: kept with the reason, shown to the manager, resolved when the request reads well."""

from __future__ import annotations

from datetime import datetime

from django.db.models import F

from reporting.models import QuarantinedPage
from reporting.sync.source import UnreadableAnswer


def put_away(connection_id: int, kind: str, unreadable: UnreadableAnswer, *, now: datetime) -> None:
    """Keep a page, or count it once more."""
    page, is_new = QuarantinedPage.objects.get_or_create(
        connection_id=connection_id,
        kind=kind,
        request=unreadable.request,
        resolved_at=None,
        defaults={
            "reason": unreadable.reason,
            "body_start": unreadable.body_start,
            "first_seen_at": now,
            "last_seen_at": now,
        },
    )
    if not is_new:
        QuarantinedPage.objects.filter(pk=page.pk).update(
            times_seen=F("times_seen") + 1,
            last_seen_at=now,
            reason=unreadable.reason,
            body_start=unreadable.body_start,
        )


def resolve(connection_id: int, kind: str, *, request_prefix: str = "", now: datetime) -> int:
    """Mark pages as readable again whose request begins with `request_prefix`."""
    open_pages = QuarantinedPage.objects.filter(connection_id=connection_id, kind=kind, resolved_at=None)
    return open_pages.filter(request__startswith=request_prefix).update(resolved_at=now)
