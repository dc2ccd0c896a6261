"""A disk that survives crashes, and the journal and projector that write to it instead of to PostgreSQL.

A write happens at once between two pauses, so a crash meets the moments before a commit, after it, and between the
tables of a batch. What is not committed is gone; nothing is ever half there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

from copying.backend.core.journal import Journal, decode_entry, encode_entries
from copying.backend.core.projector import COLUMNS, Projector, rows_of
from copying.backend.core.render import Rows
from copying.backend.state import snapshot
from copying.backend.state.book import Book
from copying.backend.state.broker_port import Broker
from copying.backend.state.commands import CommandEntry

TABLES = tuple(COLUMNS)


class Disk:
    """What is durable: entries, snapshots, records and how far they reach."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.entries: list[bytes] = []
        self.snapshots: list[tuple[int, bytes]] = []
        self.records: dict[str, list[tuple]] = {name: [] for name in TABLES}
        self.projected = 0
        self.replaced: dict[int, bytes] = {}  # entries that failed, as they were

    async def pause(self) -> None:
        """Let others run, and a crash happen, for a while."""
        for _ in range(self.random.randrange(4)):
            await asyncio.sleep(0)

    def journal(self) -> type[Journal]:
        """The journal on this disk."""
        disk = self

        class DiskJournal(Journal):
            def __init__(self) -> None:
                pass

            @classmethod
            async def open(cls, database_url: str) -> Journal:
                return cls()

            async def close(self) -> None:
                pass

            def watch(self, lost: Callable[[], None]) -> None:
                pass

            async def append(self, first: int, entries: list[CommandEntry]) -> None:
                await disk.pause()
                assert first == len(disk.entries) + 1, "a journal number was given twice or left out"
                disk.entries += [payload for _, _, payload in encode_entries(first, entries)]
                await disk.pause()

            async def load(self, broker: Broker[Book]) -> tuple[Book | None, int]:
                await disk.pause()
                return (snapshot.unpack(disk.snapshots[-1][1], broker) if disk.snapshots else None), disk.projected

            async def entries(self, after: int, limit: int = 50) -> list[tuple[int, CommandEntry]]:
                await disk.pause()
                some = disk.entries[after : after + limit]
                return [(after + place, decode_entry(payload)) for place, payload in enumerate(some, 1)]

            def replace(self, sequence: int, replacement: CommandEntry) -> None:
                ((_, _, payload),) = encode_entries(sequence, [replacement])
                disk.replaced[sequence] = disk.entries[sequence - 1]
                disk.entries[sequence - 1] = payload

            def state_before(self, sequence: int, broker: Broker[Book]) -> tuple[Book, list[tuple[int, CommandEntry]]]:
                known = [snapshot.unpack(state, broker) for number, state in disk.snapshots if number < sequence]
                book = known[-1] if known else Book(broker)
                some = disk.entries[book.sequence : sequence - 1]
                return book, [(number, decode_entry(each)) for number, each in enumerate(some, book.sequence + 1)]

            async def tenants(self) -> dict[str, str]:
                return {}

        return DiskJournal

    def projector(self) -> type[Projector]:
        """The projector on this disk."""
        disk = self

        class DiskConnection:
            async def close(self) -> None:
                pass

        class DiskProjector(Projector):
            async def connect(self, database_url: str) -> None:
                self._connection = DiskConnection()

            async def _store(self, written: list[tuple[int, Rows]], sequence: int) -> None:
                await disk.pause()
                for name in TABLES:
                    disk.records[name] += rows_of(written, name)
                disk.projected = sequence
                await disk.pause()

            async def _store_snapshot(self, sequence: int, state: bytes) -> None:
                await disk.pause()
                disk.snapshots = [*disk.snapshots, (sequence, state)][-2:]
                await disk.pause()

        return DiskProjector
