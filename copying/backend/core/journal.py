"""The journal, its snapshots and the lock on them, in PostgreSQL. One connection that only the writer uses.

An entry is acknowledged when its transaction is committed; entries that wait together share one (group commit).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
import psycopg
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGconn

from copying.backend.state import snapshot
from copying.backend.state.book import Book
from copying.backend.state.broker_port import Broker
from copying.backend.state.commands import AnyCommand, CommandEntry
from copying.backend.state.errors import Refused

log = logging.getLogger(__name__)
LOCK = 5_117_243_891_006_151  # advisory: one writer per data set
INSERT = b"INSERT INTO copying_journalentry (sequence, time, payload) VALUES ($1, $2, $3)"
STATEMENT, TYPES, BINARY = b"append_entry", (20, 1184, 17), (1, 1, 1)  # bigint, timestamptz, bytea
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # PostgreSQL counts from here
MICROSECOND = timedelta(microseconds=1)
BATCH_BYTES = 32 * 2**20  # of entries read at once: a start must not need the memory of thousands of large ones
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(CommandEntry)


def check_recordable(command: AnyCommand) -> None:
    """Raises Refused (400) for a command that the journal cannot hold, such as a number of more than 64 bits.

    Before it joins others: a group that cannot be written ends the writer.
    """
    try:
        _encoder.encode(command)
    except (OverflowError, ValueError, RecursionError) as error:
        raise Refused(400, "ValidationError", f"The request cannot be recorded: {error}") from error


class AlreadyRunning(Exception):
    """Another backend writes to this database; `str()` is a sentence for the operator."""

    def __init__(self) -> None:
        super().__init__("Another backend is already running on this database: only one may write to a data set.")


class PipelineExchange:
    """What was sent on a connection until its last answer, on the event loop without a task or a timer of its own."""

    def __init__(self, pgconn: PGconn) -> None:
        self._pgconn = pgconn
        self._socket = pgconn.socket
        self._loop = asyncio.get_running_loop()
        self._done = self._loop.create_future()
        self._error: psycopg.Error | None = None

    async def run(self) -> None:
        """Wait for the last answer. Raises psycopg.Error: the first that the server told, or that it is gone."""
        self._loop.add_reader(self._socket, self._guarded, self._read)
        if self._pgconn.flush():
            self._loop.add_writer(self._socket, self._guarded, self._write)
        await self._done
        if self._error is not None:
            raise self._error

    def end(self) -> None:
        """Listen no longer; the connection is as it was before, but for its reader, which is the journal's."""
        self._loop.remove_writer(self._socket)
        if self._pgconn.pipeline_status:
            self._pgconn.exit_pipeline_mode()

    def _guarded(self, act: Callable[[], None]) -> None:
        try:
            act()
        except psycopg.Error as error:
            if not self._done.done():
                self._done.set_exception(error)

    def _write(self) -> None:
        if not self._pgconn.flush():
            self._loop.remove_writer(self._socket)

    def _read(self) -> None:
        pgconn = self._pgconn
        pgconn.consume_input()
        while not self._done.done() and not pgconn.is_busy():
            result = pgconn.get_result()
            if result is None:
                if not pgconn.pipeline_status:  # there, it only parts the answers
                    self._done.set_result(None)
            elif result.status == ExecStatus.PIPELINE_SYNC:
                self._done.set_result(None)
            elif result.status != ExecStatus.COMMAND_OK and self._error is None:
                self._error = psycopg.OperationalError(result.error_message.decode(errors="replace").strip())


class Journal:
    """Append and read entries, keep and find snapshots."""

    def __init__(self, connection: psycopg.AsyncConnection, database_url: str = "") -> None:
        self._connection = connection
        self._database_url = database_url
        self._is_prepared = False
        self._lost: Callable[[], None] | None = None

    @classmethod
    async def open(cls, database_url: str) -> Journal:
        """Connect and take the lock. Raises AlreadyRunning."""
        journal = await cls.connect(database_url)
        if not await journal.take_lock():
            await journal.close()
            raise AlreadyRunning
        return journal

    @classmethod
    async def connect(cls, database_url: str) -> Journal:
        """Connect to read only: whoever has not taken the lock must not append."""
        connection = await psycopg.AsyncConnection.connect(database_url, autocommit=True, prepare_threshold=1)
        return cls(connection, database_url)

    async def take_lock(self) -> bool:
        """Whether the lock is this connection's from now on. PostgreSQL frees it when its holder's connection ends."""
        row = await (await self._connection.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])).fetchone()
        return row is not None and bool(row[0])

    async def close(self) -> None:
        self._lost = None
        self._listen()
        await self._connection.close()

    def watch(self, lost: Callable[[], None]) -> None:
        """Call `lost` as soon as the connection is gone, also while nothing is written: with it goes the lock.

        Once, after everything was read: from here on only `append` may use the connection.
        """
        self._lost = lost
        self._listen()

    def _listen(self) -> None:
        """Be told what arrives between two exchanges."""
        pgconn = self._connection.pgconn
        if pgconn.status != ConnStatus.OK:
            return  # its socket may be another's by now
        if self._lost is None:
            asyncio.get_running_loop().remove_reader(pgconn.socket)
        else:
            asyncio.get_running_loop().add_reader(pgconn.socket, self._hear)

    def _hear(self) -> None:
        """Nothing is asked: the server says goodbye, or tells what concerns nobody."""
        pgconn, number = self._connection.pgconn, self._connection.pgconn.socket
        try:
            pgconn.consume_input()
            pgconn.is_busy()  # takes up what came
        except psycopg.Error as error:
            log.error("The journal's connection is gone: %s", error)
        if pgconn.status != ConnStatus.OK and self._lost is not None:
            asyncio.get_running_loop().remove_reader(number)
            lost, self._lost = self._lost, None
            lost()

    async def append(self, first: int, entries: list[CommandEntry]) -> None:
        """Write entries `first`, `first` + 1, … durably; they are on their way to the database before this waits.

        Straight through libpq: an order waits for nothing else as long as for this, and a cursor's execute() costs a
        third of the commit again. Several entries are one pipeline, which is one transaction.
        """
        if not self._is_prepared:
            await self._answered(lambda: self._connection.pgconn.send_prepare(STATEMENT, INSERT, TYPES))
            self._is_prepared = True
        rows = [
            [
                number.to_bytes(8, "big"),
                ((datetime.fromtimestamp(entry.time, UTC) - EPOCH) // MICROSECOND).to_bytes(8, "big", signed=True),
                _encoder.encode(entry),
            ]
            for number, entry in enumerate(entries, first)
        ]
        await self._answered(lambda: self._send(rows))

    def _send(self, rows: list[list[bytes]]) -> None:
        pgconn = self._connection.pgconn
        if len(rows) > 1:
            pgconn.enter_pipeline_mode()
        for row in rows:
            pgconn.send_query_prepared(STATEMENT, row, BINARY)
        if len(rows) > 1:
            pgconn.pipeline_sync()

    async def _answered(self, send: Callable[[], None]) -> None:
        """Send, and wait until everything is answered. Raises psycopg.Error."""
        exchange = PipelineExchange(self._connection.pgconn)
        try:
            send()
            await exchange.run()
        finally:
            exchange.end()
            self._listen()

    def replace(self, sequence: int, replacement: CommandEntry) -> None:
        """Put another entry in the place of one that cannot be carried out; what it was is kept beside.

        Waits for the database: nobody may see the book before it is whole again. On a connection of its own, as
        `watch` asks.
        """
        with psycopg.connect(self._database_url, autocommit=True) as connection:
            connection.execute(
                "UPDATE copying_journalentry SET payload = %b, original = coalesce(original, payload)"
                " WHERE sequence = %s",
                [_encoder.encode(replacement), sequence],
            )

    def state_before(self, sequence: int, broker: Broker[Book]) -> tuple[Book, list[tuple[int, CommandEntry]]]:
        """The newest snapshot's book before an entry, and the entries from there up to it. Waits for the database."""
        with psycopg.connect(self._database_url, autocommit=True) as connection:
            cursor = connection.execute(
                "SELECT state FROM copying_snapshot WHERE format = %s AND sequence < %s ORDER BY sequence DESC",
                [snapshot.FORMAT, sequence],
            )
            book = next(filter(None, (_readable(state, broker) for (state,) in cursor)), None) or Book(broker)
            cursor = connection.execute(
                "SELECT sequence, payload FROM copying_journalentry WHERE sequence > %s AND sequence < %s"
                " ORDER BY sequence",
                [book.sequence, sequence],
            )
            return book, [(number, _decoder.decode(payload)) for number, payload in cursor]

    async def load(self, broker: Broker[Book]) -> tuple[Book | None, int]:
        """The newest readable snapshot's book (None: there is none) and up to which entry effects are projected."""
        return await self._newest_book(broker), await self.projected()

    async def projected(self) -> int:
        """Up to which entry effects are in the tables."""
        cursor = await self._connection.execute("SELECT projected_sequence FROM copying_progress WHERE id = 1")
        progress = await cursor.fetchone()
        return progress[0] if progress else 0

    async def _newest_book(self, broker: Broker[Book]) -> Book | None:
        """A snapshot only saves time, so one that cannot be read costs time: the one before, else the whole journal."""
        cursor = await self._connection.execute(
            "SELECT sequence FROM copying_snapshot WHERE format = %s ORDER BY sequence DESC", [snapshot.FORMAT]
        )
        for (sequence,) in await cursor.fetchall():
            cursor = await self._connection.execute(
                "SELECT state FROM copying_snapshot WHERE sequence = %s", [sequence]
            )
            row = await cursor.fetchone()
            if row is None:  # deleted meanwhile
                continue
            try:
                return snapshot.unpack(row[0], broker)
            except snapshot.UNREADABLE:
                log.exception("Snapshot %s cannot be read; the journal behind an older one is replayed", sequence)
        return None

    async def entries(self, after: int, limit: int = 2000) -> list[tuple[int, CommandEntry]]:
        """Entries behind `after`, ascending: at most `limit`, and not many more bytes than BATCH_BYTES."""
        cursor = await self._connection.execute(
            "SELECT sequence, payload FROM (SELECT sequence, payload,"
            " sum(octet_length(payload)) OVER (ORDER BY sequence) - octet_length(payload) AS bytes_before FROM"
            " (SELECT sequence, payload FROM copying_journalentry WHERE sequence > %s ORDER BY sequence LIMIT %s)"
            " AS found) AS sized WHERE bytes_before < %s ORDER BY sequence",
            [after, limit, BATCH_BYTES],
        )
        return [(sequence, _decoder.decode(payload)) for sequence, payload in await cursor.fetchall()]

    async def tenants(self) -> dict[str, str]:
        """Names of users by id."""
        cursor = await self._connection.execute("SELECT id, name FROM copying_tenant")
        return dict(await cursor.fetchall())


def _readable(state: bytes, broker: Broker[Book]) -> Book | None:
    try:
        return snapshot.unpack(state, broker)
    except snapshot.UNREADABLE:
        return None


def encode_entries(first: int, entries: list[CommandEntry]) -> list[tuple[int, datetime, bytes]]:
    """Rows of the journal table, for writing in bulk."""
    return [
        (first + place, datetime.fromtimestamp(entry.time, UTC), _encoder.encode(entry))
        for place, entry in enumerate(entries)
    ]


def decode_entry(payload: bytes) -> CommandEntry:
    """An entry as it stands in the table."""
    return _decoder.decode(payload)
