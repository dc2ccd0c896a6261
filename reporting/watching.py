"""Which accounts are on an open page: the sync asks for those first, and a backend that tells all at once at once.

A page says so whenever it is shown or refreshes itself. It is kept in the cache for half a minute: lost, the figures
are as old as the usual rhythm makes them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import datetime

from django.core.cache import cache

from reporting.models import SyncKind, SyncState

WATCHED_S = 30
MOST_WATCHED = 100  # accounts of one connection
PACE_S = 2  # of a backend that tells all positions at once, while a page of them is open
BY_ACCOUNT = "one_by_one"  # in the cursor: when the backend said that it tells no list


def watch(accounts: Iterable[tuple[int, str]]) -> list[int]:
    """Note the accounts (connection, id) of a page; returns the connections whose sync is to run at once.

    Without an id only the connection counts. One that is asked account by account is not hurried: its own pace is what
    the credits allow.
    """
    by_connection: dict[int, list[str]] = {}
    for connection_id, account_id in accounts:
        by_connection.setdefault(connection_id, []).append(account_id)
    for connection_id, ids in by_connection.items():
        if own := [account_id for account_id in dict.fromkeys(ids) if account_id][:MOST_WATCHED]:
            _remember(connection_id, own)
    return [
        connection_id for connection_id in by_connection if cache.add(f"positions-asked:{connection_id}", 1, PACE_S)
    ]


def _remember(connection_id: int, accounts: list[str]) -> None:
    """Beside those of other open pages, each for half a minute; the newest where they are too many."""
    until = time.time() + WATCHED_S
    others = {key: end for key, end in _watched(connection_id).items() if key not in accounts}
    watched = dict.fromkeys(accounts, until) | dict(list(others.items())[: MOST_WATCHED - len(accounts)])
    cache.set(f"positions-watched:{connection_id}", watched, WATCHED_S)


def _watched(connection_id: int) -> dict[str, float]:
    accounts: dict[str, float] = cache.get(f"positions-watched:{connection_id}") or {}
    return {key: end for key, end in accounts.items() if end > time.time()}


def watched(connection_id: int) -> list[str]:
    """The accounts of a connection that are on an open page."""
    return list(_watched(connection_id))


def asked_by_account(connection_ids: Iterable[int]) -> set[int]:
    """Which of these connections are asked account by account."""
    states = SyncState.objects.filter(connection_id__in=list(connection_ids), kind=SyncKind.POSITIONS)
    return set(states.filter(cursor__has_key=BY_ACCOUNT).values_list("connection_id", flat=True))


def hurry(connection_ids: Sequence[int], now: datetime) -> int:
    """Make positions due now where the backend tells all at once and answers; returns of how many connections."""
    states = SyncState.objects.filter(connection_id__in=connection_ids, kind=SyncKind.POSITIONS, failures=0)
    states = states.exclude(cursor__has_key="is_offered").exclude(cursor__has_key=BY_ACCOUNT)
    return states.filter(due_at__gt=now).update(due_at=now)
