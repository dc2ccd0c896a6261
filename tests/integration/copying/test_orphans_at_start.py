"""A backend that starts on a state with orphans closes them once, and tells why."""

from __future__ import annotations

import msgspec
import psycopg
import pytest

from copying.backend.broker.paper import PaperBroker
from copying.backend.core.writer import Core
from copying.backend.http.options import database_url
from copying.backend.state import snapshot
from copying.backend.state.commands import OpenAccount, PutSignal, PutStrategy, PutSubscriber

from .conftest import StillMarket, empty

pytestmark = [pytest.mark.anyio, pytest.mark.django_db]


@pytest.fixture
def connection(django_db_setup):
    """The database beside the backend, on empty tables."""
    empty()
    with psycopg.connect(database_url(), autocommit=True) as connection:
        yield connection
    empty()


async def started() -> Core:
    core = Core(database_url(), StillMarket(), fail=pytest.fail)
    await core.start(ticking=False)
    core.look_at_market()
    return core


async def trade(core: Core) -> None:
    strategy = {"name": "s", "description": "", "accountId": "P-1"}
    subscriber = {"name": "a", "subscriptions": [{"strategyId": "AAAA", "tradeSizeScaling": {"mode": "none"}}]}
    signal = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "time": "2100-01-01T00:00:00.000Z", "volume": 0.1}
    for command in (
        OpenAccount(tenant="firm", account_id="P-1", name="P"),
        PutStrategy(tenant="firm", strategy_id="AAAA", document=strategy),
        PutSubscriber(tenant="firm", subscriber_id="A-1", document=subscriber),
        PutSignal(tenant="firm", strategy_id="AAAA", signal_id="sig00001", document=signal),
    ):
        await core.submit(command)


def lose_the_signal(connection) -> None:
    """As a state would be that was put together from elsewhere."""
    sequence, state = connection.execute(
        "SELECT sequence, state FROM copying_snapshot ORDER BY sequence DESC LIMIT 1"
    ).fetchone()
    book = snapshot.unpack(state, PaperBroker())
    book.signals.clear()
    connection.execute("UPDATE copying_snapshot SET state = %s WHERE sequence = %s", [snapshot.pack(book), sequence])


async def test_orphans_are_closed_at_the_start_once(connection):
    core = await started()
    await trade(core)
    assert core.book.positions.size == 1
    await core.stop()
    lose_the_signal(connection)

    core = await started()
    await core.submit(OpenAccount(tenant="firm", account_id="P-2", name="P"))
    assert core.book.positions.size == 0
    await core.stop()
    core = await started()
    last = core.book.sequence
    await core.stop()

    found = connection.execute("SELECT document FROM copying_decisionrecord WHERE reason = 'orphan'").fetchall()
    told = [msgspec.json.decode(document) for (document,) in found]
    assert [(each["subscriberId"], each["outcome"]) for each in told] == [("A-1", "skipped")]
    entries = connection.execute("SELECT count(*) FROM copying_journalentry").fetchone()
    assert entries == (last,), "the second start found nothing"
