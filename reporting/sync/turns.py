"""The turns of sweeps over accounts: how many may be asked now, by the credits of their backend, and who is not asked.

Two pools bound a turn: that of the token, shared by the sweeps of a connection, and that of the server, shared by all
connections to it. Both live in rows, so any number of workers keeps one limit. What a person does (a trade) goes first
and is counted there, too. What one account answers is its own: one that fails is asked again after a pause that
doubles, up to an hour.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.db import transaction

from accounts.models import BrokerAccount
from copying.client import Client, ClientError, Forbidden, NotConnected, RateLimited, Unauthorised
from copying.client.credits import STATE_READ, Pool, told_limits
from reporting.models import AccountPause, CreditPool
from users.models import Connection

CONCERNS_ALL = (RateLimited, Unauthorised)
FIRST_PAUSE_S, LONGEST_PAUSE_S = 20, 3600
NOT_CONNECTED_PAUSE_S = 300  # a terminal that connects again is to be seen soon
TOLD_AGAIN_AFTER = timedelta(days=1)
FORGOTTEN_AFTER = timedelta(days=1)  # an account that is there has had its turn by then


@dataclass(frozen=True)
class ClaimedTurn:
    """How many accounts may be asked now. wait_s: until as many as were wanted may be, if more wait."""

    count: int
    wait_s: float


def claim_turn(backend: Connection, kind: str, wanted: int, *, cost: float = STATE_READ, now: datetime) -> ClaimedTurn:
    """Take credits for up to `wanted` requests of `cost` each; what is granted counts as sent."""
    if not wanted:
        return ClaimedTurn(0, 0.0)
    names = {_scope_of(backend): kind, _server_of(backend): str(backend.pk)}
    with transaction.atomic():
        pools = _locked(names)
        counts = [pools[scope].offer(name, wanted, cost=cost, now=now) for scope, name in names.items()]
        count = min(counts)
        for scope, name in names.items():
            pools[scope].take(name, count * cost)
        waits = [pools[scope].wait_s(name, wanted, cost=cost, now=now) for scope, name in names.items()]
        _store(pools)
    return ClaimedTurn(count, max(waits))


def draw_credits(backend: Connection, cost: float, *, now: datetime) -> None:
    """Count what a person's act costs, before it is sent: it waits for nobody, and the sweeps have so much less."""
    with transaction.atomic():
        pools = _locked([_scope_of(backend), _server_of(backend)])
        for pool in pools.values():
            pool.draw(cost, now=now)
        _store(pools)


def hold_credits(backend: Connection, *, until: datetime) -> None:
    """After 429: this token asks for nothing before `until`. Other tokens have their own."""
    with transaction.atomic():
        pools = _locked([scope := _scope_of(backend)])
        pools[scope].hold(until)
        _store(pools)


def learn_limits(backend: Connection, client: Client, account_id: str, *, region: str, now: datetime) -> None:
    """Once a day, ask the backend for its limits (A14) and keep them; those documented where it does not tell any."""
    scope = _scope_of(backend)
    CreditPool.objects.get_or_create(scope=scope)
    due = CreditPool.objects.filter(scope=scope).exclude(told_at__gt=now - TOLD_AGAIN_AFTER)
    if not due.update(told_at=now):
        return
    try:
        usage = client.credits(account_id, region=region) if region else client.credits(account_id)
    except CONCERNS_ALL:
        raise
    except ClientError:
        return
    with transaction.atomic():
        pools = _locked([scope])
        pools[scope].follow(told_limits(usage))
        _store(pools)


def per_minute(backend: Connection) -> float:
    """Credits that the sweeps of a connection may use in a minute."""
    row = CreditPool.objects.filter(scope=_scope_of(backend)).first()
    return Pool.restored(row.state if row else {}).limits.per_second * 60


def regions_of(backend: Connection, account_ids: Collection[str]) -> dict[str, str]:
    """Where accounts run, as their list says: whoever knows it need not look it up before each call."""
    own = BrokerAccount.objects.filter(connection=backend, backend_id__in=account_ids, is_removed=False)
    return dict(own.exclude(region="").values_list("backend_id", "region"))


def _scope_of(backend: Connection) -> str:
    return f"connection:{backend.pk}"


def _server_of(backend: Connection) -> str:
    """The server whose limit this connection shares with others: the domain, or host and port of a fixed address."""
    return f"server:{urlsplit(backend.base_url).netloc or backend.domain}"[:300]


def _locked(scopes: Collection[str]) -> dict[str, Pool]:
    """The pools of these scopes, locked in one order until the transaction ends."""
    CreditPool.objects.bulk_create([CreditPool(scope=scope) for scope in sorted(scopes)], ignore_conflicts=True)
    rows = CreditPool.objects.select_for_update().filter(scope__in=scopes).order_by("scope")
    return {row.scope: Pool.restored(row.state) for row in rows}


def _store(pools: Mapping[str, Pool]) -> None:
    for scope, pool in pools.items():
        CreditPool.objects.filter(scope=scope).update(state=pool.stored())


# ------------------------------------------------------------------------------------------------- who is not asked


def paused(backend: Connection, kind: str, now: datetime) -> set[str]:
    """Accounts that failed and are not asked yet."""
    own = AccountPause.objects.filter(connection=backend, kind=kind, next_at__gt=now)
    return set(own.values_list("backend_id", flat=True))


def note_answers(
    backend: Connection, kind: str, well: Collection[str], troubles: Mapping[str, ClientError], *, now: datetime
) -> None:
    """Let those that answered be asked as ever, and leave those that did not in peace: the n-th time FIRST x 2^(n-1).

    A refusal of the token (403) says nothing of an account.
    """
    if well:
        AccountPause.objects.filter(connection=backend, kind=kind, backend_id__in=well).delete()
    own = AccountPause.objects.filter(connection=backend, kind=kind)
    own.filter(next_at__lt=now - FORGOTTEN_AFTER).delete()
    failed = {key: error for key, error in troubles.items() if not isinstance(error, (Forbidden, *CONCERNS_ALL))}
    before = {row.backend_id: row for row in own.filter(backend_id__in=failed)}
    AccountPause.objects.bulk_create(
        [_pause(before.get(key), backend, kind, key, error, now) for key, error in failed.items()],
        update_conflicts=True,
        unique_fields=["connection", "kind", "backend_id"],
        update_fields=["failures", "next_at", "problem"],
    )


def _pause(
    before: AccountPause | None, backend: Connection, kind: str, account_id: str, error: ClientError, now: datetime
) -> AccountPause:
    failures = (before.failures if before else 0) + 1
    longest_s = NOT_CONNECTED_PAUSE_S if isinstance(error, NotConnected) else LONGEST_PAUSE_S
    pause_s = min(FIRST_PAUSE_S * 2 ** min(failures - 1, 20), longest_s)
    return AccountPause(
        connection=backend,
        kind=kind,
        backend_id=account_id,
        failures=failures,
        since=before.since if before else now,
        next_at=now + timedelta(seconds=pause_s),
        problem=error.text[:1000],
    )
