"""Writes effects into the tables behind the journal: COPY, with the mark of progress in the same transaction.

Whatever dies when, after a restart the effects up to the mark are there once, and the rest are made again by the
replay.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import psycopg

from copying.backend.state import snapshot
from copying.backend.state.book import Book
from copying.backend.state.effects import Effects

from .render import CHUNK, Renderer, Rows

COLUMNS = {
    "transactions": (
        "copying_transactionrecord",
        "time, document, provider_tenant, subscriber_tenant, strategy_id, subscriber_id, sequence, ordinal",
    ),
    "log": (
        "copying_userlogrecord",
        "time, document, tenant, strategy_id, subscriber_id, position_id, severity, sequence, ordinal",
    ),
    "decisions": (
        "copying_decisionrecord",
        "time, document, tenant, strategy_id, subscriber_id, signal_id, outcome, reason, sequence, ordinal",
    ),
    "stopouts": (
        "copying_stopoutrecord",
        "time, document, tenant, number, strategy_id, subscriber_id, sequence, ordinal",
    ),
    "signals": (
        "copying_signalrecord",
        "time, document, tenant, strategy_id, signal_row, what, facts, sequence, ordinal",
    ),
    "deals": (
        "copying_accountdealrecord",
        "time, document, tenant, account_id, deal, position_id, sequence, ordinal",
    ),
    "snapshots": ("copying_accountsnapshotrecord", "time, document, tenant, number, account_id, sequence, ordinal"),
}
BATCH_ROWS = 20_000
SNAPSHOT_ENTRIES = 5_000
SNAPSHOT_ROWS = 500_000  # as many as a replay makes again in about a second
SNAPSHOT_SECONDS = 300.0
KEPT_SNAPSHOTS = 2
MOVE_PROGRESS = (
    "INSERT INTO copying_progress (id, projected_sequence) VALUES (1, %s) "
    "ON CONFLICT (id) DO UPDATE SET projected_sequence = "
    "greatest(copying_progress.projected_sequence, EXCLUDED.projected_sequence)"
)


def rows_of(written: list[tuple[int, Rows]], name: str) -> Iterator[tuple]:
    """Rows of one table out of those of some entries, each with its entry's number and its place in it."""
    for sequence, rows in written:
        for place, row in enumerate(getattr(rows, name)):
            yield (*row, sequence, place)


class Projector:
    """Queue of effects and the task that writes them. `announce` is called with every topic that got rows."""

    _connection: psycopg.AsyncConnection  # from `connect` on

    def __init__(self, book: Book, announce: Callable[[tuple], None], projected: int) -> None:
        self.book = book
        self.projected = projected
        self.queued_to = max(projected, book.sequence)
        self._announce = announce
        self._queue: deque[Effects] = deque()
        self._wake = asyncio.Event()
        self._moved = asyncio.Event()
        self._renderer = Renderer(book)
        self._snapshot: tuple[int, bytes] | None = None
        self._snapshot_sequence = book.sequence
        self._snapshot_time = 0.0
        self._rows_behind = 0
        self._stopping = False

    async def connect(self, database_url: str) -> None:
        self._connection = await psycopg.AsyncConnection.connect(database_url, autocommit=True)

    def put(self, effects: Effects) -> None:
        """Take over the effects of an acknowledged entry."""
        self.queued_to = effects.sequence
        self._queue.append(effects)
        self._wake.set()

    async def caught_up(self, sequence: int) -> None:
        """Wait until entry `sequence` is in the tables."""
        while self.projected < sequence:
            self._moved.clear()
            await self._moved.wait()

    async def run(self) -> None:
        """Until stop(): write what is queued, keep snapshots."""
        while not (self._stopping and not self._queue):
            if not self._queue:
                self._wake.clear()
                await self._wake.wait()
                continue
            await self._write_batch()
            await self._keep_snapshot()
        self.take_snapshot()
        await self._keep_snapshot()
        await self._connection.close()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()

    async def _write_batch(self) -> None:
        """Render some entries and write them in one transaction."""
        written: list[tuple[int, Rows]] = []
        topics: set[tuple] = set()
        total = 0
        while self._queue and total < BATCH_ROWS:
            await asyncio.sleep(0)
            effects = self._queue.popleft()
            rows = Rows()
            for _ in self._renderer.render(effects, rows):
                await asyncio.sleep(0)
            total += sum(len(getattr(rows, name)) for name in COLUMNS)
            written.append((effects.sequence, rows))
            topics |= rows.topics
        sequence = effects.sequence
        await self._store(written, sequence)
        self._rows_behind += total
        self.projected = sequence
        self._moved.set()
        for topic in topics:
            self._announce(topic)

    async def _store(self, written: list[tuple[int, Rows]], sequence: int) -> None:
        """Write the rows of some entries and how far they reach."""
        async with self._connection.transaction(), self._connection.cursor() as cursor:
            for name, (table, columns) in COLUMNS.items():
                if not any(getattr(rows, name) for _, rows in written):
                    continue
                async with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                    for place, row in enumerate(rows_of(written, name)):
                        await copy.write_row(row)
                        if place % CHUNK == CHUNK - 1:
                            await asyncio.sleep(0)
            await cursor.execute(MOVE_PROGRESS, [sequence])

    def take_snapshot(self) -> None:
        """Pack the state now; it is stored once everything up to it is in the tables."""
        if self.book.sequence > self._snapshot_sequence:
            self._snapshot = (self.book.sequence, snapshot.pack(self.book))
            self._snapshot_sequence = self.book.sequence
            self._rows_behind = 0

    async def _keep_snapshot(self) -> None:
        now = asyncio.get_running_loop().time()
        behind = self.book.sequence - self._snapshot_sequence
        is_much = behind >= SNAPSHOT_ENTRIES or self._rows_behind >= SNAPSHOT_ROWS
        is_time = is_much or (behind and now - self._snapshot_time >= SNAPSHOT_SECONDS)
        if self._snapshot is None and self._snapshot_time and is_time:
            self.take_snapshot()
            self._snapshot_time = now
        self._snapshot_time = self._snapshot_time or now
        if self._snapshot is None or self._snapshot[0] > self.projected:
            return
        sequence, state = self._snapshot
        self._snapshot = None
        await self._store_snapshot(sequence, state)

    async def _store_snapshot(self, sequence: int, state: bytes) -> None:
        """Keep a snapshot and forget old ones."""
        async with self._connection.transaction():
            await self._connection.execute(
                "INSERT INTO copying_snapshot (sequence, format, taken_at, state) VALUES (%s, %s, %s, %b) "
                "ON CONFLICT (sequence) DO UPDATE SET state = EXCLUDED.state, format = EXCLUDED.format",
                [sequence, snapshot.FORMAT, datetime.now(UTC), state],
            )
            await self._connection.execute(
                "DELETE FROM copying_snapshot WHERE sequence NOT IN "
                "(SELECT sequence FROM copying_snapshot ORDER BY sequence DESC LIMIT %s)",
                [KEPT_SNAPSHOTS],
            )
