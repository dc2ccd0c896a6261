"""The journal, its snapshots and the lock on them, in PostgreSQL. One connection that only the writer uses.

An entry is acknowledged when its transaction is committed; entries that wait together share one (group commit).
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import psycopg

from . import snapshot
from .book import Book
from .commands import Entry

LOCK = 5_117_243_891_006_151  # advisory: one writer per data set
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Entry)


class AlreadyRunning(Exception):
    """Another backend writes to this database; `str()` is a sentence for the operator."""

    def __init__(self) -> None:
        super().__init__("Another backend is already running on this database: only one may write to a data set.")


class Journal:
    """Append and read entries, keep and find snapshots."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, database_url: str) -> Journal:
        """Connect and take the lock. Raises AlreadyRunning."""
        connection = await psycopg.AsyncConnection.connect(database_url, autocommit=True, prepare_threshold=1)
        row = await (await connection.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])).fetchone()
        if not row[0]:
            await connection.close()
            raise AlreadyRunning
        return cls(connection)

    async def close(self) -> None:
        await self._connection.close()

    async def append(self, first: int, entries: list[Entry]) -> None:
        """Write entries `first`, `first` + 1, … durably."""
        rows = [
            (first + place, datetime.fromtimestamp(entry.time, UTC), _encoder.encode(entry))
            for place, entry in enumerate(entries)
        ]
        if len(rows) == 1:
            await self._connection.execute(
                "INSERT INTO copying_journalentry (sequence, time, payload) VALUES (%s, %s, %b)", rows[0]
            )
            return
        async with self._connection.transaction(), self._connection.cursor() as cursor:
            await cursor.executemany(
                "INSERT INTO copying_journalentry (sequence, time, payload) VALUES (%s, %s, %b)", rows
            )

    async def set_aside(self, sequence: int, replacement: Entry) -> None:
        """Put an entry that cannot be carried out out of the way; what it was is kept beside."""
        await self._connection.execute(
            "UPDATE copying_journalentry SET payload = %b, original = coalesce(original, payload) WHERE sequence = %s",
            [_encoder.encode(replacement), sequence],
        )

    async def load(self) -> tuple[Book | None, int]:
        """The newest snapshot's book (None: no snapshot) and up to which entry effects are projected."""
        cursor = await self._connection.execute(
            "SELECT format, state FROM copying_snapshot WHERE format = %s ORDER BY sequence DESC LIMIT 1",
            [snapshot.FORMAT],
        )
        row = await cursor.fetchone()
        cursor = await self._connection.execute("SELECT projected_sequence FROM copying_progress WHERE id = 1")
        progress = await cursor.fetchone()
        return (snapshot.unpack(row[1]) if row else None), (progress[0] if progress else 0)

    async def entries(self, after: int, limit: int = 2000) -> list[tuple[int, Entry]]:
        """Entries behind `after`, ascending."""
        cursor = await self._connection.execute(
            "SELECT sequence, payload FROM copying_journalentry WHERE sequence > %s ORDER BY sequence LIMIT %s",
            [after, limit],
        )
        return [(sequence, _decoder.decode(payload)) for sequence, payload in await cursor.fetchall()]

    async def tenants(self) -> dict[str, str]:
        """Names of users by id."""
        cursor = await self._connection.execute("SELECT id, name FROM copying_tenant")
        return dict(await cursor.fetchall())


def encode_entries(first: int, entries: list[Entry]) -> list[tuple[int, datetime, bytes]]:
    """Rows of the journal table, for writing in bulk."""
    return [
        (first + place, datetime.fromtimestamp(entry.time, UTC), _encoder.encode(entry))
        for place, entry in enumerate(entries)
    ]


def decode_entry(payload: bytes) -> Entry:
    """An entry as it stands in the table."""
    return _decoder.decode(payload)
