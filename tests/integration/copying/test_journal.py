"""The journal's own way of writing: what `append` returned for is in the table, whole groups or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import psycopg
import pytest

from copying.backend.core.journal import Journal
from copying.backend.http.options import database_url
from copying.backend.state.commands import AddNote, CommandEntry

from .conftest import empty


def note(number: int, size: int = 1) -> CommandEntry:
    message = "m" * size
    return CommandEntry(
        time=1_772_452_800.25 + number,
        quotes={"EURUSD": (1.1, 1.2)},
        command=AddNote(tenant="t", strategy_id=f"s{number}", severity=1, message=message),
    )


def on_journal(act: Callable[[Journal], Awaitable[None]]) -> list[tuple]:
    """Rows of the table after `act`."""

    async def run() -> None:
        journal = await Journal.open(database_url())
        try:
            await act(journal)
        finally:
            await journal.close()

    asyncio.run(run())
    with psycopg.connect(database_url()) as connection:
        return connection.execute("SELECT sequence, time FROM copying_journalentry ORDER BY sequence").fetchall()


@pytest.fixture(autouse=True)
def _bare(transactional_db) -> None:
    empty()


def test_single_entries_and_groups_are_read_back_as_they_were():
    async def act(journal: Journal) -> None:
        await journal.append(1, [note(1)])
        await journal.append(2, [note(2), note(3), note(4)])
        await journal.append(5, [note(5)])
        assert await journal.entries(0) == [(number, note(number)) for number in range(1, 6)]

    rows = on_journal(act)
    assert [time.timestamp() for _, time in rows] == [note(number).time for number in range(1, 6)]


def test_a_group_larger_than_the_sockets_buffers_arrives():
    async def act(journal: Journal) -> None:
        await journal.append(1, [note(number, size=100_000) for number in range(1, 101)])

    assert len(on_journal(act)) == 100


def test_a_group_that_cannot_be_written_leaves_nothing_and_is_told():
    async def act(journal: Journal) -> None:
        await journal.append(3, [note(3)])
        with pytest.raises(psycopg.Error, match="copying_journalentry"):
            await journal.append(1, [note(1), note(2), note(3), note(4)])
        with pytest.raises(psycopg.Error, match="copying_journalentry"):
            await journal.append(3, [note(3)])
        await journal.append(4, [note(4)])

    assert [sequence for sequence, _ in on_journal(act)] == [3, 4]


def test_a_server_that_goes_away_is_told():
    async def act(journal: Journal) -> None:
        await journal.append(1, [note(1)])
        with psycopg.connect(database_url(), autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%journalentry%'"
            )
        with pytest.raises(psycopg.Error):
            await journal.append(2, [note(2)])

    assert [sequence for sequence, _ in on_journal(act)] == [1]
