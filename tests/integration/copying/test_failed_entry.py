"""A command whose effects cannot be computed is set aside; nothing else of anybody is held up."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from copying.backend.core import apply as application
from copying.backend.core.writer import Core
from copying.backend.http.options import database_url
from copying.backend.state.commands import CommandEntry, OpenAccount, PutSignal, PutStrategy
from copying.backend.state.errors import Refused

from .conftest import StillMarket, empty

pytestmark = [pytest.mark.anyio, pytest.mark.django_db]


@pytest.fixture
def rows(django_db_setup):
    """Asks the database beside the backend, on empty tables."""
    empty()

    def ask(query: str) -> list[tuple]:
        with psycopg.connect(database_url(), autocommit=True) as connection:
            return connection.execute(query).fetchall()

    yield ask
    empty()


async def abandon(core: Core) -> None:
    """What is left of a process that ended by itself: nothing, the lock included."""
    for task in core._tasks:
        task.cancel()
    await core._journal.close()
    await core._projector._connection.close()


async def started(fail) -> Core:
    core = Core(database_url(), StillMarket(), fail=fail)
    await core.start(ticking=False)
    return core


def strategy(strategy_id: str) -> PutStrategy:
    document = {"name": strategy_id, "description": "", "accountId": "P-1"}
    return PutStrategy(tenant="firm", strategy_id=strategy_id, document=document)


def signal(signal_id: str) -> PutSignal:
    document = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "time": "2100-01-01T00:00:00.000Z", "volume": 1.0}
    return PutSignal(tenant="firm", strategy_id="AAAA", signal_id=signal_id, document=document)


def fails_for_one(act):
    def half_done(book, command, effects):
        act(book, command, effects)  # half done before it fails
        if command.signal_id == "poisoned":
            raise ZeroDivisionError("division by zero")

    return half_done


def open_signals(core: Core) -> set[str]:
    return {each.id for each in core.book.signals.values()}


@pytest.mark.parametrize("is_repaired", [False, True])
async def test_it_is_set_aside_and_told_and_the_rest_goes_on(monkeypatch, rows, is_repaired):
    check, act = application.HANDLERS[PutSignal]
    monkeypatch.setitem(application.HANDLERS, PutSignal, (check, fails_for_one(act)))
    core = await started(pytest.fail)
    for command in (OpenAccount(tenant="firm", account_id="P-1", name="P"), strategy("AAAA"), signal("before01")):
        await core.submit(command)
    answers = await asyncio.gather(
        *(core.submit(signal(each)) for each in ("with0001", "poisoned", "with0002")), return_exceptions=True
    )
    assert [type(each) for each in answers] == [type(None), ZeroDivisionError, type(None)]
    await core.submit(signal("after001"))
    await core.caught_up()
    expected = {"before01", "with0001", "with0002", "after001"}
    assert open_signals(core) == expected
    last = core.book.sequence
    await core.stop()

    if is_repaired:
        monkeypatch.setitem(application.HANDLERS, PutSignal, (check, act))
    rows("DELETE FROM copying_snapshot RETURNING 1")
    core = await started(pytest.fail)
    assert core.book.sequence == last
    assert open_signals(core) == expected, "what was set aside stays so"
    await core.stop()
    lines = rows("SELECT severity, document FROM copying_userlogrecord WHERE strategy_id = 'AAAA'")
    assert any(severity == 3 and "put-signal" in document for severity, document in lines)
    kept = rows("SELECT count(*) FROM copying_journalentry WHERE original IS NOT NULL")
    assert kept == [(1,)]


async def test_one_that_a_start_finds_is_set_aside_as_well(monkeypatch, rows):
    """Its process ended before it was carried out."""
    check, act = application.HANDLERS[PutSignal]
    core = await started(pytest.fail)
    for command in (OpenAccount(tenant="firm", account_id="P-1", name="P"), strategy("AAAA"), signal("before01")):
        await core.submit(command)
    await core.caught_up()
    entry = CommandEntry(time=core.book.time, quotes={}, command=signal("poisoned"))
    await core._journal.append(core.book.sequence + 1, [entry])
    await abandon(core)
    monkeypatch.setitem(application.HANDLERS, PutSignal, (check, fails_for_one(act)))
    core = await started(pytest.fail)
    await core.submit(signal("after001"))
    assert open_signals(core) == {"before01", "after001"}
    await core.stop()
    assert rows("SELECT count(*) FROM copying_journalentry WHERE original IS NOT NULL") == [(1,)]


async def test_a_fault_while_checking_is_told_to_the_sender_and_ends_nothing(monkeypatch, rows):
    _, act = application.HANDLERS[PutSignal]

    def fails_for_one(book, command):
        if command.signal_id == "poisoned":
            raise ZeroDivisionError("division by zero")

    monkeypatch.setitem(application.HANDLERS, PutSignal, (fails_for_one, act))
    died: list[str] = []
    core = await started(died.append)
    for command in (OpenAccount(tenant="firm", account_id="P-1", name="P"), strategy("AAAA")):
        await core.submit(command)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await core.submit(signal("poisoned"))
    await core.submit(signal("after001"))
    assert {each.id for each in core.book.signals.values()} == {"after001"}
    assert died == []
    await core.stop()
    assert rows("SELECT count(*) FROM copying_journalentry WHERE original IS NOT NULL") == [(0,)]


async def test_what_the_journal_cannot_hold_is_refused_and_ends_nothing(rows):
    """Whatever lets such a value through: the others of its group are written."""
    died: list[str] = []
    core = await started(died.append)
    for command in (OpenAccount(tenant="firm", account_id="P-1", name="P"), strategy("AAAA")):
        await core.submit(command)
    poisoned = signal("poisoned")
    poisoned.document["magic"] = 2**64
    answers = await asyncio.gather(
        *(core.submit(each) for each in (signal("with0001"), poisoned, signal("with0002"))), return_exceptions=True
    )
    assert [type(each) for each in answers] == [type(None), Refused, type(None)]
    assert answers[1].status == 400
    assert open_signals(core) == {"with0001", "with0002"}
    assert died == []
    await core.stop()
