"""How near every risk limit is to firing, from a call that our backend adds to the contract.

A backend that does not offer it is asked again once an hour; that is no error, and its accounts show no headroom.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from copying.client import NotFound
from copying.contract.accounts import AccountLimits
from reporting.sync import quarantine
from reporting.sync.source import PAGE_SIZE, Source, UnreadableAnswer
from reporting.sync.states import Lease, SyncOutcome
from subscribers.headroom import forget_limits, keep_limits
from users.models import Connection

ALL = "/users/current/risk-limits"
ASK_AGAIN_S = 3600
UNREADABLE = "The risk limits could not be read; the answer is kept in quarantine and tried again."


def sync_limits(lease: Lease, *, source: Source, backend: Connection, now: datetime) -> SyncOutcome:
    """Mirror what is left of every limit. Raises the client's errors."""
    seen: list[str] = []
    try:
        while True:
            params = {"limit": PAGE_SIZE} | ({"after": seen[-1]} if seen else {})
            page = source.page(ALL, AccountLimits, params)
            if isinstance(page, UnreadableAnswer):
                quarantine.put_away(lease.connection_id, lease.kind, page, now=now)
                return SyncOutcome(error=UNREADABLE)
            with transaction.atomic():
                lease.save(rows=keep_limits(backend, page))
            is_last = len(page) < PAGE_SIZE or page[-1].account_id in seen[-1:]
            seen += [limits.account_id for limits in page]
            if is_last:
                break
    except NotFound:
        lease.cursor["is_offered"] = False
        with transaction.atomic():
            lease.save(rows=forget_limits(backend))
        return SyncOutcome(complete_until=now, next_in_s=ASK_AGAIN_S)
    lease.cursor.pop("is_offered", None)
    with transaction.atomic():
        lease.save(rows=forget_limits(backend, but=seen))
    quarantine.resolve(lease.connection_id, lease.kind, now=now)
    return SyncOutcome(complete_until=now)
