"""How current the figures are of accounts that are asked one by one: what the page of the sync says of each sweep."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Min, Q

from reporting.models import AccountPause, SyncKind, SyncState
from reporting.open_reads import age_of
from reporting.rights import is_missing
from reporting.sync.turns import per_minute
from reporting.watching import BY_ACCOUNT
from subscribers.models import Subscriber
from users.models import Connection


@dataclass(frozen=True)
class Sweep:
    """One sweep over the accounts of a connection.

    oldest_at: when the oldest figure was read; None: none was. unread: accounts that were never read. silent: accounts
    that do not answer and are asked less often, `example` the one that is silent longest. credits: a minute, for all
    sweeps of the connection together.
    """

    words: str
    accounts: int
    unread: int
    oldest_at: datetime | None
    silent: int
    example: AccountPause | None
    credits: float


def sweeps_of(connection: Connection, states: Iterable[SyncState]) -> list[Sweep]:
    """The sweeps of a connection whose backend tells no list; no query where it does."""
    kinds = {state.kind for state in states if BY_ACCOUNT in state.cursor and not is_missing(state)}
    sweeps = []
    accounts = Subscriber.objects.filter(connection=connection, is_removed=False)
    if SyncKind.ACCOUNTS in kinds:
        ages = accounts.aggregate(count=Count("pk"), oldest=Min("measured_at"), unread=Count("pk", Q(measured_at=None)))
        sweeps.append(_sweep(connection, SyncKind.ACCOUNTS, ages["count"], ages["unread"], ages["oldest"]))
    if SyncKind.POSITIONS in kinds:
        age = age_of([connection.pk])
        count = connection.positionreading_set.filter(is_strategy=False).count()
        sweeps.append(_sweep(connection, SyncKind.POSITIONS, count, age.unread, age.oldest_at))
    return sweeps


def _sweep(connection: Connection, kind: SyncKind, accounts: int, unread: int, oldest_at: datetime | None) -> Sweep:
    there = Subscriber.objects.filter(connection=connection, is_removed=False).values("backend_id")
    silent = AccountPause.objects.filter(connection=connection, kind=kind, backend_id__in=there)
    example = silent.order_by("since", "pk").first()
    count = silent.count() if example else 0
    return Sweep(kind.label, accounts, unread, oldest_at, count, example, per_minute(connection))
