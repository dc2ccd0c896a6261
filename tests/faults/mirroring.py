"""What tests of the sync share: run until nothing is left, and compare the mirror with the backend."""

from __future__ import annotations

import time
from datetime import datetime
from decimal import Decimal

from reporting.models import DailyResult, SyncKind, SyncState, Transaction
from reporting.sync import run, states
from tests import builders
from tests.faults.sim_backend import SimBackend
from users.models import Connection

HISTORY = [SyncKind.PROVIDED]


def connect(backend: SimBackend, **fields) -> Connection:
    """A workspace's connection to the simulated backend."""
    return builders.connection(builders.workspace(), base_url=backend.url, **fields)


def sync(connection: Connection, kinds: list[str] | None = None) -> list[SyncState]:
    """One run of these kinds and no other; returns their states."""
    states.ensure_states()
    SyncState.objects.exclude(kind__in=kinds or list(SyncKind)).update(due_at="2999-01-01T00:00:00Z")
    states.request_sync(connection, kinds)
    run.run_due()
    return list(SyncState.objects.filter(connection=connection, kind__in=kinds or list(SyncKind)).order_by("kind"))


def settle(connection: Connection, kinds: list[str] | None = None, *, within_s: float = 20) -> list[SyncState]:
    """Run until every state is without error, as the schedule would, only without its pauses."""
    until = time.monotonic() + within_s
    while True:
        found = sync(connection, kinds)
        if not any(state.error for state in found):
            return found
        assert time.monotonic() < until, [state.error for state in found]
        _skip_pauses(found)
        time.sleep(0.02)


def _skip_pauses(found: list[SyncState]) -> None:
    for state in found:
        for hole in state.cursor.get("holes", []):
            hole["next"] = "2000-01-01T00:00:00+00:00"
        SyncState.objects.filter(pk=state.pk).update(cursor=state.cursor)


def assert_same_history(connection: Connection, *histories: list[dict]) -> None:
    """The mirror holds exactly these deals, once each, with their content; daily results are their sums."""
    expected = {_key(deal): _content(deal) for deals in histories for deal in deals}
    rows = list(Transaction.objects.filter(connection=connection))
    mirrored = {(row.subscriber_id, row.strategy_id, row.backend_id): _row_content(row) for row in rows}
    assert len(rows) == len(mirrored), "doubled rows"
    assert mirrored.keys() == expected.keys()
    assert mirrored == expected
    assert _daily(connection) == _sums(rows)


def _key(deal: dict) -> tuple:
    return deal["subscriberId"], deal["strategy"]["id"], deal["id"]


def _content(deal: dict) -> tuple:
    money = (deal[name] for name in ("quantity", "profit", "swap", "commission", "providerCommission", "amount"))
    return datetime.fromisoformat(deal["time"]), deal["type"], deal["symbol"], *(Decimal(str(value)) for value in money)


def _row_content(row: Transaction) -> tuple:
    money = (row.volume_lots, row.profit, row.swap, row.commission, row.provider_commission, row.amount)
    return row.time, row.type, row.symbol, *money


def _daily(connection: Connection) -> dict:
    days = DailyResult.objects.filter(connection=connection).exclude(deals=0)
    return {
        (d.subscriber_id, d.strategy_id, d.day): (d.deals, d.volume_lots, d.profit, d.swap, d.commission) for d in days
    }


def _sums(rows: list[Transaction]) -> dict:
    sums: dict = {}
    for row in rows:
        key = row.subscriber_id, row.strategy_id, row.time.date()
        deal = 1, abs(row.volume_lots), row.profit, row.swap, row.commission
        sums[key] = tuple(map(sum, zip(sums.get(key, (0, 0, 0, 0, 0)), deal, strict=True)))
    return sums
