"""Pages of records out of the projected tables, as the JSON text that was stored. Never changes a row.

Offsets are what the contract offers, keyset positions are what is fast: where a served page ended is remembered, so the
next offset starts there instead of counting from the top (docs/copying.md, "Where we fill the vendor's silence").
"""

from __future__ import annotations

import asyncio
import threading
from bisect import bisect_right, insort
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import psycopg
from psycopg.types.string import ByteaBinaryLoader
from psycopg_pool import ConnectionPool

JUMP = 5_000  # records that are sooner passed over than located
Locate = Callable[["Selection", datetime | None, int], Awaitable[tuple[int, datetime | None]]]
Position = tuple[datetime, int]  # time and id of the last record before an offset


def _configure(connection: psycopg.Connection) -> None:
    # documents are sent on as they are: decoding a megabyte of them into str would only be undone
    connection.adapters.register_loader("text", ByteaBinaryLoader)


class Database:
    """A read-only pool, opened at the first query, and the threads that use it.

    A page is a megabyte that arrives in a hundred pieces: a thread takes them up in C, the event loop would be woken
    for each of them. Many small queries at once take half as long too.
    """

    def __init__(self, database_url: str, *, max_size: int = 8) -> None:
        self._opening = threading.Lock()
        self._threads = ThreadPoolExecutor(max_size, thread_name_prefix="read")
        self._pool = ConnectionPool(
            database_url,
            min_size=1,
            max_size=max_size,
            open=False,
            configure=_configure,
            kwargs={
                "autocommit": True,
                # custom plans: a generic one does not see how few rows a limit leaves and may sort a whole history
                "options": "-c default_transaction_read_only=on -c plan_cache_mode=force_custom_plan"
                " -c statement_timeout=30s -c jit=off",
            },
        )

    async def rows(self, sql: str, parameters: dict[str, Any]) -> list[tuple]:
        """All rows of a query; `text` columns arrive as bytes. Queries beyond the pool's size wait their turn."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._rows, sql, parameters)

    def _rows(self, sql: str, parameters: dict[str, Any]) -> list[tuple]:
        with self._opening:
            self._pool.open()
        with self._pool.connection() as connection, connection.cursor(binary=True) as cursor:
            return cursor.execute(sql, parameters).fetchall()

    async def close(self) -> None:
        """Take no more queries, let those that run end, close what was opened."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if not self._pool.closed:
            await asyncio.to_thread(self._pool.close)


class Positions:
    """Where served offsets ended, per query; least recently used queries are forgotten beyond `max_positions`.

    A page at offset 0 starts the query's positions anew: whoever pages on sees the list as it was when they began,
    without the doubles that records arriving meanwhile would push into the next offset.
    """

    def __init__(self, max_positions: int = 100_000) -> None:
        self.max_positions = max_positions
        self._queries: OrderedDict[tuple, tuple[list[int], dict[int, Position]]] = OrderedDict()
        self._count = 0

    def nearest(self, query: tuple, offset: int) -> tuple[int, Position | None]:
        """The greatest remembered offset up to `offset` and its position; (0, None) when there is none."""
        if offset == 0:
            self._forget(query)
            return 0, None
        known = self._queries.get(query)
        if known is None:
            return 0, None
        self._queries.move_to_end(query)
        offsets, positions = known
        index = bisect_right(offsets, offset)
        return (offsets[index - 1], positions[offsets[index - 1]]) if index else (0, None)

    def remember(self, query: tuple, offset: int, position: Position) -> None:
        """`position` is the last record before `offset`."""
        offsets, positions = self._queries.setdefault(query, ([], {}))
        if offset not in positions:
            insort(offsets, offset)
            self._count += 1
        positions[offset] = position
        while self._count > self.max_positions:
            self._forget(next(iter(self._queries)))

    def _forget(self, query: tuple) -> None:
        if (known := self._queries.pop(query, None)) is not None:
            self._count -= len(known[0])


@dataclass(frozen=True)
class Selection:
    """Which records of a table: SQL conditions, their parameters, and what makes the query the same query again."""

    table: str
    conditions: tuple[str, ...]
    parameters: dict[str, Any]

    @property
    def where(self) -> str:
        return " AND ".join(self.conditions)

    @property
    def key(self) -> tuple:
        values = (tuple(value) if isinstance(value, list) else value for value in self.parameters.values())
        return self.table, self.conditions, *values

    def narrowed(self, condition: str, **parameters: Any) -> Selection:
        """The same with one more condition."""
        return Selection(self.table, (*self.conditions, condition), {**self.parameters, **parameters})

    def without(self, condition: str) -> Selection:
        """The same without one of its conditions and the parameters that only it has."""
        conditions = tuple(other for other in self.conditions if other != condition)
        text = " ".join(conditions)
        return Selection(
            self.table, conditions, {name: value for name, value in self.parameters.items() if f"%({name})s" in text}
        )

    def older_than(self, end: datetime | None, position: Position | None) -> Selection:
        """Records before `end` and behind `position`. Only the stricter is asked for: given both, PostgreSQL starts at
        the looser one and walks through everything between.
        """
        if position is not None and (end is None or position[0] < end):
            return self.narrowed("(time, id) < (%(end)s, %(end_id)s)", end=position[0], end_id=position[1])
        return self if end is None else self.narrowed("time < %(end)s", end=end)

    def by_ids(self, column: str, ids: list[str]) -> Selection:
        """Records with one of these ids; no ids: all. One id compares by `=`, so that its own index gives the order."""
        if not ids:
            return self
        if len(ids) == 1:
            return self.narrowed(f"{column} = %({column})s", **{column: ids[0]})
        return self.narrowed(f"{column} = ANY(%({column})s)", **{column: sorted(ids)})


async def newest_first(
    selection: Selection,
    end: datetime | None,
    limit: int,
    offset: int,
    *,
    database: Database,
    positions: Positions,
    locate: Locate,
) -> bytes:
    """Documents before `end` as JSON, newest first; costs O(limit) at an offset that continues a served page, and
    O(an hour's records) at any other.
    """
    query = (*selection.key, end)
    known_offset, position = positions.nearest(query, offset)
    scope = selection.older_than(end, position)
    if offset - known_offset > JUMP:
        rank, before = await locate(selection, end, offset)
        if rank > known_offset:
            known_offset, scope = rank, selection.older_than(before, None)
    rows = await database.rows(
        f"SELECT document, id FROM {scope.table} WHERE {scope.where}"
        " ORDER BY time DESC, id DESC LIMIT %(limit)s OFFSET %(skip)s",
        {**scope.parameters, "limit": limit, "skip": offset - known_offset},
    )
    if len(rows) == limit:  # one time read by itself is cheaper than a thousand decoded and thrown away
        last_id = rows[-1][1]
        ends = await database.rows(f"SELECT time FROM {scope.table} WHERE id = %(id)s", {"id": last_id})
        for (time,) in ends:
            positions.remember(query, offset + limit, (time, last_id))
    return joined([row[0] for row in rows])


@lru_cache(maxsize=8)
def joined_once(documents: tuple[bytes, ...]) -> bytes:
    """As `joined`, for what many streams answer at the same moment: encoded once, the bytes are shared."""
    return joined(list(documents))


def joined(documents: list[bytes]) -> bytes:
    """Stored JSON objects as one JSON array."""
    return b"[" + b",".join(documents) + b"]"
