"""What the backend finds at its start: spoilt snapshots, large entries, a clock that went back, new faults."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from copying.backend.core import apply as application
from copying.backend.core import journal
from copying.backend.core.projector import MOVE_PROGRESS
from copying.backend.core.writer import CannotReplay, Core
from copying.backend.state import snapshot
from copying.backend.state.commands import (
    AddNote,
    OpenAccount,
    PutSignal,
    PutStrategy,
    PutSubscriber,
)
from tests.faults.signal_writer import Drifting

pytestmark = pytest.mark.django_db
NOW = 1_772_452_800.0


def put_signal(number: int) -> PutSignal:
    document = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "time": "2026-03-02T12:00:00Z", "volume": 0.1}
    return PutSignal(tenant="t", strategy_id="S", signal_id=f"{number:08d}", document=document)


async def begun(url: str, now: float = NOW) -> Core:
    core = Core(url, Drifting(), clock=lambda: now, fail=pytest.fail)
    await core.start(ticking=False)
    core.look_at_market()
    return core


async def sent(url: str, *numbers: int) -> dict:
    """A run of the backend that copies some signals and ends with a snapshot; its state."""
    core = await begun(url)
    if "S" not in core.book.strategies_by_id:
        document = {"name": "S", "description": "", "accountId": "prov"}
        subscription = {"strategyId": "S", "tradeSizeScaling": {"mode": "fixedVolume", "tradeVolume": 0.01}}
        follower = {"name": "a", "subscriptions": [subscription]}
        await core.submit(OpenAccount(tenant="t", account_id="prov", name="prov", deposit=100_000))
        await core.submit(PutStrategy(tenant="t", strategy_id="S", document=document))
        await core.submit(PutSubscriber(tenant="t", subscriber_id="a0", document=follower))
    for number in numbers:
        await core.submit(put_signal(number))
    await core.stop()
    return held(core)


def held(core: Core) -> dict:
    """What a start must find again."""
    positions = core.book.positions
    return {
        "sequence": core.book.sequence,
        "signals": sorted(signal.id for signal in core.book.signals.values()),
        "positions": sorted(zip(positions.id.tolist(), positions.price.tolist(), strict=True)),
        "balances": core.book.accounts.balance.tolist(),
    }


def ask(url: str, sql: str, *parameters: object) -> list[tuple]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(sql, parameters)
        return cursor.fetchall() if cursor.description else []


def restarted(url: str) -> dict:
    async def run() -> dict:
        core = await begun(url)
        found = held(core)
        await core.stop()
        return found

    return asyncio.run(run())


@pytest.mark.parametrize(
    "spoilt",
    [
        "substring(state from 1 for octet_length(state) / 2)",
        "substring(state from 5)",
        "''::bytea",
        "'\\x80'::bytea",
        "convert_to('no snapshot', 'UTF8')",
    ],
)
def test_a_spoilt_snapshot_only_costs_time(tables: str, spoilt: str, caplog: pytest.LogCaptureFixture) -> None:
    asyncio.run(sent(tables, 1, 2))
    before = asyncio.run(sent(tables, 3))
    newest = "sequence = (SELECT max(sequence) FROM copying_snapshot)"
    ask(tables, f"UPDATE copying_snapshot SET state = {spoilt} WHERE {newest}")
    assert restarted(tables) == before
    assert "cannot be read" in caplog.text
    caplog.clear()
    assert restarted(tables) == before  # the end of the last run has put a good one in its place
    assert "cannot be read" not in caplog.text
    ask(tables, "UPDATE copying_snapshot SET state = ''")
    assert restarted(tables) == before  # from the journal alone


def test_a_snapshot_of_another_format_is_left_alone(tables: str) -> None:
    before = asyncio.run(sent(tables, 1, 2))
    ask(tables, "UPDATE copying_snapshot SET format = %s, state = 'x'", snapshot.FORMAT + 1)
    assert restarted(tables) == before
    deals = ask(tables, "SELECT document::json->>'id' FROM copying_transactionrecord")
    assert len(deals) == len(set(deals)) == 2


def test_large_entries_are_read_a_few_at_a_time(tables: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "BATCH_BYTES", 250_000)

    last = asyncio.run(sent(tables))["sequence"]

    async def run() -> list[int]:
        core = await begun(tables)
        for number in range(10):
            await core.submit(AddNote(tenant="t", strategy_id="S", severity=1, message=str(number) * 100_000))
        await core.stop()
        counts, after = [], last
        reader = await journal.Journal.open(tables)
        while entries := await reader.entries(after):
            counts.append(len(entries))
            after = entries[-1][0]
        await reader.close()
        return counts

    counts = asyncio.run(run())
    assert sum(counts) >= 10
    assert max(counts) <= 4  # three large ones, and perhaps a small one of the core's own


def test_a_clock_that_went_back_over_a_restart_is_told_and_changes_nothing(
    tables: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = asyncio.run(sent(tables, 1))

    async def run() -> tuple[dict, float]:
        core = await begun(tables, NOW - 7200)
        found = held(core)
        await core.submit(put_signal(2))
        await core.caught_up()
        await core.stop()
        return found, core.book.time

    found, time = asyncio.run(run())
    assert found == before
    assert time == NOW
    assert "7200 seconds behind" in caplog.text
    times = ask(tables, "SELECT time FROM copying_journalentry ORDER BY sequence")
    assert times == sorted(times)


def test_what_was_carried_out_before_is_not_set_aside(tables: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(sent(tables, 1, 2))
    ask(tables, "DELETE FROM copying_snapshot")
    journal_before = ask(tables, "SELECT * FROM copying_journalentry ORDER BY sequence")
    check, _ = application.HANDLERS[PutSignal]

    def fails(book, command, effects):
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setitem(application.HANDLERS, PutSignal, (check, fails))
        with pytest.raises(CannotReplay, match="carried out before"):
            asyncio.run(begun(tables))
    assert ask(tables, "SELECT * FROM copying_journalentry ORDER BY sequence") == journal_before
    assert restarted(tables)["signals"] == ["00000001", "00000002"]


def test_the_mark_of_progress_never_goes_back(tables: str) -> None:
    asyncio.run(sent(tables, 1))
    (before,) = ask(tables, "SELECT projected_sequence FROM copying_progress")
    ask(tables, MOVE_PROGRESS, 1)  # what one that has lost its lock may still write
    assert ask(tables, "SELECT projected_sequence FROM copying_progress") == [before]


def test_the_journals_numbers_are_no_ones_twice(tables: str) -> None:
    """Even past the lock a second writer cannot add an entry beside the first."""
    asyncio.run(sent(tables, 1))
    died: list[str] = []

    async def run() -> None:
        core = Core(tables, Drifting(), clock=lambda: NOW, fail=died.append)
        await core.start(ticking=False)
        ask(
            tables,
            "INSERT INTO copying_journalentry (sequence, time, payload) VALUES (%s, now(), 'x')",
            core.sequence + 1,
        )
        waiting = asyncio.ensure_future(core.submit(put_signal(2)))
        async with asyncio.timeout(5):
            while not died:
                await asyncio.sleep(0.01)
        assert not waiting.done()
        waiting.cancel()
        for task in core._tasks:
            task.cancel()
        await core._journal.close()
        await core._projector._connection.close()

    asyncio.run(run())
    assert died == ["The journal cannot be written"]
