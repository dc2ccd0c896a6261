"""Wakes the streams. However many clients wait, a change of a topic is read from the database once and handed to those
whose strategy or subscriber it concerns; nobody polls. Reads only.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from copying.backend.core.writer import Core
from copying.backend.http.pages import Database

logger = logging.getLogger(__name__)
MAX_ROWS = 20_000  # more at once than this are not handed over: who waits reads for itself
IDLE_S = 3600.0
SLICE = 16  # clients answered per turn of the event loop: an order that comes in has five turns to take
MILLISECOND = timedelta(milliseconds=1)


class NewRecord(NamedTuple):
    """A projected record with what streams filter by; `number` is the sequence number of stopouts and snapshots."""

    id: int
    time: datetime
    strategy_id: str
    subscriber_id: str
    position_id: str
    severity: int
    number: int
    document: bytes


class Records(list[NewRecord]):
    """Records that are handed to many clients: what the first of those who want the same finds serves the others."""

    def __init__(self, records: Iterable[NewRecord] = ()) -> None:
        super().__init__(records)
        self.answers: dict[tuple, bytes | None] = {}
        self.oldest = min((record.time for record in self), default=None)
        self.lowest = min((record.number for record in self), default=0)

    def answer(self, wanted: tuple, find: Callable[[Records], bytes | None]) -> bytes | None:
        """What `find` makes of these records for all who want the same."""
        if wanted not in self.answers:
            self.answers[wanted] = find(self)
        return self.answers[wanted]


@dataclass(frozen=True)
class Topic:
    """A table whose growth is announced by the core under (name, tenant)."""

    name: str
    table: str
    tenant: str
    columns: str


TRANSACTIONS = Topic(
    "transactions",
    "copying_transactionrecord",
    "(provider_tenant = %(tenant)s OR subscriber_tenant = %(tenant)s)",
    "id, time, strategy_id, subscriber_id, ''::varchar, 0, 0, document",
)
LOG = Topic(
    "log",
    "copying_userlogrecord",
    "tenant = %(tenant)s",
    "id, time, strategy_id, subscriber_id, position_id, severity, 0, document",
)
STOPOUTS = Topic(
    "stopouts",
    "copying_stopoutrecord",
    "tenant = %(tenant)s",
    "id, time, strategy_id, subscriber_id, ''::varchar, 0, number, document",
)
SNAPSHOTS = Topic(
    "snapshots",
    "copying_accountsnapshotrecord",
    "tenant = %(tenant)s",
    "id, time, ''::varchar, account_id, ''::varchar, 0, number, document",
)


class Waiter:
    """One waiting client. What is offered before it is ready is kept for it."""

    __slots__ = ("_pending", "_take", "released")

    def __init__(self) -> None:
        self.released = False
        self._pending: Records | None = None
        self._take: Callable[[Records | None], None] | None = None

    def hold(self, take: Callable[[Records | None], None]) -> None:
        """From now on `take` is called with all that is offered, and with None on release; at once with what was."""
        self._take = take
        if self._pending is not None:
            take(self._pending)
        if self.released:
            take(None)

    def offer(self, records: Records) -> None:
        """Hand records over; an empty list asks the waiter to read for itself."""
        if self._take is not None:
            self._take(records)
        elif records and self._pending != []:
            self._pending = Records([*(self._pending or ()), *records])
        else:
            self._pending = Records()

    def release(self) -> None:
        """Let the waiter go with nothing."""
        self.released = True
        if self._take is not None:
            self._take(None)


class RecordFeed:
    """One topic of one tenant: reads what is new when the core announces it and passes it on by id."""

    def __init__(self, topic: Topic, tenant: str, core: Core, database: Database) -> None:
        self.topic = topic
        self.tenant = tenant
        self.core = core
        self.database = database
        self.ended = False
        self._waiters: dict[str, set[Waiter]] = {}  # by strategy or subscriber id, "" for everything
        self._last_id = 0
        self._changes = core.changes((topic.name, tenant))
        self.ready = asyncio.create_task(self._find_end())
        self._task = asyncio.create_task(self._run())

    def add(self, key: str, waiter: Waiter) -> None:
        self._waiters.setdefault(key, set()).add(waiter)

    def remove(self, key: str, waiter: Waiter) -> None:
        waiters = self._waiters.get(key, set())
        waiters.discard(waiter)
        if not waiters:
            self._waiters.pop(key, None)

    def release(self) -> None:
        """Let everybody go."""
        self.ended = True
        for waiters in self._waiters.values():
            for waiter in tuple(waiters):
                waiter.release()

    async def _find_end(self) -> None:
        rows = await self.database.rows(f"SELECT coalesce(max(id), 0) FROM {self.topic.table}", {})
        self._last_id = rows[0][0]

    async def _run(self) -> None:
        try:
            await self.ready
            while await self._changes.wait(IDLE_S) and self._waiters:
                await self._dispatch(await self._new_records())
        except Exception:  # whoever waits asks again and thereby starts anew
            logger.exception("stream %s of %s", self.topic.name, self.tenant)
        finally:
            self.release()

    async def _new_records(self) -> list[NewRecord]:
        """Everything since the last call, with the newest record's millisecond complete."""
        await self.core.caught_up()
        records = await self._read()
        if records and (wait_s := unfinished_s(records[-1].time)):
            await asyncio.sleep(wait_s)
            await self.core.caught_up()
            records += await self._read()
        return records

    async def _read(self) -> list[NewRecord]:
        rows = await self.database.rows(
            f"SELECT {self.topic.columns} FROM {self.topic.table}"
            f" WHERE id > %(last_id)s AND {self.topic.tenant} ORDER BY id LIMIT {MAX_ROWS + 1}",
            {"last_id": self._last_id, "tenant": self.tenant},
        )
        if len(rows) > MAX_ROWS:
            await self._find_end()
        elif rows:
            self._last_id = rows[-1][0]
        return [NewRecord(*row) for row in rows]

    async def _dispatch(self, records: list[NewRecord]) -> None:
        by_key: dict[str, list[NewRecord]] = {"": records} if records else {}
        if len(records) > MAX_ROWS:
            by_key = {key: [] for key in self._waiters}
        else:
            for record in records:
                for key in {record.strategy_id, record.subscriber_id} - {""}:
                    if key in self._waiters:
                        by_key.setdefault(key, []).append(record)
        woken = 0
        for key, own_records in by_key.items():
            waiters = tuple(self._waiters.get(key, ()))
            concerned = Records(own_records if waiters else ())
            for waiter in waiters:
                try:
                    waiter.offer(concerned)
                except Exception:  # of one client; the others are owed their answers
                    logger.exception("answering a stream %s of %s", self.topic.name, self.tenant)
                woken += 1
                if woken % SLICE == 0:  # the first answers leave, and orders pass, before the last is woken
                    await asyncio.sleep(0)


class Wakeups:
    """All feeds; each lives while somebody waits on it."""

    def __init__(self, core: Core, database: Database) -> None:
        self.core = core
        self.database = database
        self._feeds: dict[tuple[str, str], RecordFeed] = {}
        self._closed = False

    @asynccontextmanager
    async def waiting(self, topic: Topic, tenant: str, key: str) -> AsyncIterator[Waiter]:
        """A waiter that is offered every record of `key` that is projected from now on."""
        feed = self._feeds.get((topic.name, tenant))
        if feed is None or feed.ended:
            feed = self._feeds[topic.name, tenant] = RecordFeed(topic, tenant, self.core, self.database)
        waiter = Waiter()
        feed.add(key, waiter)
        try:
            await asyncio.shield(feed.ready)
            if self._closed:
                waiter.release()
            yield waiter
        finally:
            feed.remove(key, waiter)

    def close(self) -> None:
        """Let every stream answer at once, now and later: a shutdown must not wait for them."""
        self._closed = True
        for feed in self._feeds.values():
            feed.release()


def millisecond(time: datetime) -> datetime:
    """The millisecond a time is in, which is all that clients see of it."""
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


def unfinished_s(time: datetime) -> float:
    """How long the millisecond of `time` still lasts, 0.0 when it is over.

    A client's next cursor is one millisecond behind what it got: a record that came later within it would be lost.
    Times further ahead are those of a market that does not run by this clock; there is nothing to wait for.
    """
    left_s = (millisecond(time) + MILLISECOND - datetime.now(UTC)).total_seconds()
    return left_s if 0 < left_s <= 0.002 else 0.0
