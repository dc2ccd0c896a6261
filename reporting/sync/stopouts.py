"""Stopouts: the stream brings every one that fires; what ends early is found by asking about those that still stop.

One poll without a filter serves all subscribers of a connection. The stream tells nothing of resets that were made
elsewhere, so subscribers with active stopouts are asked one by one, a few a run.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from django.db import transaction

from copying.client import NotFound
from copying.contract import wire
from reporting.sync import quarantine
from reporting.sync.source import CURSOR, PAGE_SIZE, Source, UnreadableAnswer
from reporting.sync.states import Lease, SyncOutcome
from subscribers.mirror import keep_stopouts
from subscribers.models import Stopout
from users.models import Connection

STREAM = "/users/current/stopouts/stream"
MOST_ASKED = 20
ASK_EVERY = timedelta(seconds=60)


def sync_stopouts(lease: Lease, *, source: Source, backend: Connection, now: datetime) -> SyncOutcome:
    """Mirror new stopouts and the end of active ones. Raises the client's errors."""
    cursor = lease.cursor
    while True:
        page = source.poll_numbered(STREAM, dict[str, Any], cursor)
        page = page if isinstance(page, UnreadableAnswer) else _checked(page, cursor)
        if isinstance(page, UnreadableAnswer):
            quarantine.put_away(lease.connection_id, lease.kind, page, now=now)
            return SyncOutcome(error="The stream of stopouts could not be read; the answer is kept in quarantine.")
        with transaction.atomic():
            rows = keep_stopouts(backend, page, now=now)
            cursor["sequence"] = max([cursor.get("sequence", 0), *(event["sequenceNumber"] for event in page)])
            quarantine.resolve(lease.connection_id, lease.kind, now=now)
            lease.save(rows=rows)
        if len(page) < PAGE_SIZE:
            break
    _find_ended(lease, source=source, backend=backend, now=now)
    return SyncOutcome(complete_until=now)


def _checked(page: list[dict[str, Any]], cursor: dict[str, Any]) -> list[dict[str, Any]] | UnreadableAnswer:
    """The page, or why it is none: a stopout needs its number, account, reason and two times."""
    for event in page:
        try:
            is_whole = isinstance(event["sequenceNumber"], int) and isinstance(event["reason"], str)
            is_whole = is_whole and isinstance(event["subscriberId"], str) and len(event["subscriberId"]) <= 64
            wire.parse_time(event["stoppedAt"]), wire.parse_time(event["stoppedTill"])
        except (KeyError, ValueError):
            is_whole = False
        if not is_whole:
            request = f"{STREAM} {CURSOR}={cursor.get('sequence', 0)}"
            return UnreadableAnswer(
                request, "A stopout lacks its number, account, reason or times.", repr(event)[:10_000]
            )
    return page


def _find_ended(lease: Lease, *, source: Source, backend: Connection, now: datetime) -> None:
    """Ask about the accounts with active stopouts that were not asked about for longest."""
    asked: dict[str, str] = lease.cursor.get("asked", {})
    active = Stopout.objects.filter(connection=backend).active(now)
    accounts = set(active.values_list("subscriber__backend_id", flat=True))
    turn = sorted(accounts, key=lambda account: asked.get(account, ""))
    for account in turn[:MOST_ASKED]:
        if account in asked and now - datetime.fromisoformat(asked[account]) < ASK_EVERY:
            break
        try:
            answer = source.page(f"/users/current/subscribers/{quote(account, safe='')}/stopouts", dict[str, Any])
        except NotFound:
            answer = []
        asked[account] = now.isoformat()
        if not isinstance(answer, UnreadableAnswer):
            mark_ended(backend, account, still_active=answer, now=now)
    lease.cursor["asked"] = {account: asked[account] for account in accounts if account in asked}


def mark_ended(backend: Connection, account: str, *, still_active: list[dict[str, Any]], now: datetime) -> int:
    """End the account's stopouts that the backend no longer lists; returns how many."""
    keys = {((event.get("strategy") or {}).get("id", ""), event.get("reason")) for event in still_active}
    active = Stopout.objects.filter(connection=backend, subscriber__backend_id=account).active(now)
    gone = [s.pk for s in active.only("strategy_backend_id", "reason") if (s.strategy_backend_id, s.reason) not in keys]
    return Stopout.objects.filter(pk__in=gone).update(ended_at=now)
