"""How many records lie in each hour, per query: so that a jump to a deep offset lands in the right hour at once. Of an
hour with so many that passing over them would take long (one signal may make ten thousand), those in each second.

Counted once per query (`warm` does it ahead for whole tenants) and then kept up by counting only records that are new.
Records are never removed and get their ids in the order in which they become visible, as one projector writes them.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from datetime import UTC, datetime

import numpy as np

from copying.backend.http.pages import Database, Selection

MAX_QUERIES = 64
MAX_CROWDED = 256  # hours per query of which the seconds are kept
CROWDED = 5_000  # records in an hour that are sooner counted by the second than passed over
SINCE = "time >= %(start)s"  # a lower bound does not move offsets, which count from the newest


class Hours:
    """Records per hour of one query, newest hour first."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.last_id = 0
        self._counts: dict[int, int] = {}
        self.hours = np.empty(0, np.int64)  # descending, hours since the epoch
        self.counts = np.empty(0, np.int64)
        self.crowded: OrderedDict[int, tuple[int, np.ndarray, np.ndarray]] = OrderedDict()  # records; seconds, counts

    def add(self, rows: list[tuple[int, int, int]]) -> None:
        """Rows of hour, number of new records, greatest id."""
        for hour, count, last_id in rows:
            self._counts[hour] = self._counts.get(hour, 0) + count
            self.last_id = max(self.last_id, last_id)
        if rows:
            self.hours = np.array(sorted(self._counts, reverse=True), np.int64)
            self.counts = np.array([self._counts[hour] for hour in self.hours.tolist()], np.int64)


class Depths:
    """The hours of all queries that were jumped into; least recently used ones are forgotten."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries: OrderedDict[tuple, Hours] = OrderedDict()

    async def locate(self, selection: Selection, end: datetime | None, offset: int) -> tuple[int, datetime | None]:
        """(rank, before): the records before that time begin at that rank, which is at most `offset`."""
        scope = selection.without(SINCE)
        hours = self._queries.setdefault(scope.key, Hours())
        self._queries.move_to_end(scope.key)
        if len(self._queries) > MAX_QUERIES:
            self._queries.popitem(last=False)
        async with hours.lock:
            await self._count(scope, hours)
            newest, counts = hours.hours, hours.counts
        rank = 0
        if end is not None:
            hour = int(end.timestamp() // 3600)
            rank = await self._in_hour(scope, hour, end) if hour in newest else 0
            counts, newest = counts[newest < hour], newest[newest < hour]
        if offset < rank:
            return 0, end
        ends = rank + np.cumsum(counts)
        place = int(np.searchsorted(ends, offset, side="right"))  # so many hours are passed over
        known, before = (int(ends[place - 1]), _start(int(newest[place - 1]))) if place else (rank, end)
        if not place and rank:
            before = _start(hour)
        if place < len(counts) and counts[place] > CROWDED:
            seconds, inside = await self._seconds(scope, hours, int(newest[place]), int(counts[place]))
            passed = known + np.cumsum(inside)
            place = int(np.searchsorted(passed, offset, side="right"))
            if place:
                return int(passed[place - 1]), datetime.fromtimestamp(int(seconds[place - 1]), UTC)
        return known, before

    async def _seconds(self, scope: Selection, hours: Hours, hour: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Seconds with records in an hour that has `count` of them, newest first, and how many each has."""
        known = hours.crowded.get(hour)
        if known is None or known[0] != count:
            part = scope.narrowed("time >= %(hour)s AND time < %(end)s", hour=_start(hour), end=_start(hour + 1))
            rows = await self._database.rows(
                "SELECT floor(extract(epoch FROM time))::bigint, count(*)"
                f" FROM {part.table} WHERE {part.where} GROUP BY 1 ORDER BY 1 DESC",
                part.parameters,
            )
            pairs = np.array(rows, np.int64).reshape(-1, 2)
            known = hours.crowded[hour] = int(pairs[:, 1].sum()), pairs[:, 0], pairs[:, 1]
        hours.crowded.move_to_end(hour)
        if len(hours.crowded) > MAX_CROWDED:
            hours.crowded.popitem(last=False)
        return known[1], known[2]

    async def warm(self) -> None:
        """Count the transactions of every tenant ahead."""
        for (tenant,) in await self._database.rows("SELECT id FROM copying_tenant ORDER BY id LIMIT 16", {}):
            for column in ("provider_tenant", "subscriber_tenant"):
                named = tenant.decode() if isinstance(tenant, bytes) else tenant
                whole = Selection("copying_transactionrecord", (f"{column} = %(tenant)s",), {"tenant": named})
                await self.locate(whole, None, 0)

    async def _count(self, scope: Selection, hours: Hours) -> None:
        new = scope.narrowed("id > %(last_id)s", last_id=hours.last_id) if hours.last_id else scope
        hours.add(
            await self._database.rows(
                "SELECT floor(extract(epoch FROM time) / 3600)::bigint, count(*), max(id)"
                f" FROM {new.table} WHERE {new.where} GROUP BY 1",
                new.parameters,
            )
        )

    async def _in_hour(self, scope: Selection, hour: int, end: datetime) -> int:
        part = scope.narrowed("time >= %(hour)s AND time < %(end)s", hour=_start(hour), end=end)
        rows = await self._database.rows(f"SELECT count(*) FROM {part.table} WHERE {part.where}", part.parameters)
        return rows[0][0]


def _start(hour: int) -> datetime:
    return datetime.fromtimestamp(hour * 3600, UTC)
