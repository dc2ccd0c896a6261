"""Reads a history completely, window of time by window of time, oldest first; knows nothing of tables.

Offsets are only trusted within one pass over one small window: rows that arrive while paging shift the others, and a
backend may answer a page twice. A pass is clean when no record came twice; a window is read until a pass is clean.
Windows start as wide as a month and adapt, so that one holds about TARGET_PAGES pages whatever the traffic; a
millisecond that holds more than that is read by its offsets alone.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from reporting.sync.source import PAGE_SIZE, UnreadableAnswer

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_WIDTH = timedelta(days=30)
SMALLEST = timedelta(milliseconds=1)
WIDEST = timedelta(days=3650)
TARGET_PAGES = 10
MOST_PAGES = 15
MOST_PASSES = 6
MOST_UNREADABLE = 3

Fetch = Callable[[datetime, datetime, int], "list[Any] | UnreadableAnswer"]


class KeepsRepeating(Exception):
    """The backend's pages contain records twice, however often they are read."""

    text = "The backend keeps answering the same records on different pages, so nothing can be said to be complete."
    transient = True


@dataclass
class Window:
    """The records of [start, end), once each, and the pages of it that could not be read."""

    start: datetime
    end: datetime
    records: list[Any] = field(default_factory=list)
    unreadable: list[UnreadableAnswer] = field(default_factory=list)


class _TooWide(Exception):
    """A window holds more than MOST_PAGES pages; `part` of it should hold about TARGET_PAGES."""

    def __init__(self, part: float):
        self.part = part


def windows(
    fetch: Fetch,
    *,
    key: Callable[[Any], Hashable],
    start: datetime,
    end: datetime,
    width: timedelta = FIRST_WIDTH,
    insist: bool = True,
) -> Iterator[Window]:
    """All windows of [start, end), each complete but for its unreadable pages. Raises KeepsRepeating.

    insist: whether a record that keeps coming twice is an error; not so where records have no id.

    fetch(start, end, offset) answers at most PAGE_SIZE records of [start, end), in any order.
    """
    start = _floor(start)
    while start < end:
        till = min(start + max(width, SMALLEST), end)
        try:
            window = read(fetch, key=key, start=start, end=till, insist=insist)
        except _TooWide as too_wide:
            width = max((till - start) * too_wide.part, SMALLEST)
            continue
        yield window
        start, width = till, _next_width(width, len(window.records))


def _next_width(width: timedelta, records: int) -> timedelta:
    wanted = TARGET_PAGES * PAGE_SIZE / records if records else 8.0
    wider = max(width, SMALLEST) * min(max(wanted * 0.9, 0.25), 8.0)
    return _floor_delta(min(max(wider, SMALLEST), WIDEST))


def read(
    fetch: Fetch, *, key: Callable[[Any], Hashable], start: datetime, end: datetime, insist: bool = True
) -> Window:
    """Read one window in as many passes as it takes. Raises _TooWide and KeepsRepeating."""
    seen: dict[Hashable, Any] = {}
    for _ in range(MOST_PASSES):
        unreadable, received, met = _pass(fetch, key, start, end, seen)
        if received == met or unreadable:
            return Window(start, end, list(seen.values()), unreadable)
    if insist:
        raise KeepsRepeating(KeepsRepeating.text)
    return Window(start, end, list(seen.values()))


def _pass(fetch, key, start, end, seen) -> tuple[list[UnreadableAnswer], int, int]:
    """One walk over the pages: what could not be read, how many records came, how many different ones."""
    unreadable: list[UnreadableAnswer] = []
    met: set[Hashable] = set()
    received = offset = 0
    may_split = end - start > SMALLEST
    while True:
        if may_split and offset >= MOST_PAGES * PAGE_SIZE:
            raise _TooWide(1 / 8)
        page = fetch(start, end, offset)
        offset += PAGE_SIZE
        if isinstance(page, UnreadableAnswer):
            unreadable.append(page)
            if len(unreadable) >= MOST_UNREADABLE:
                return unreadable, received, len(met)
            continue
        if may_split and offset == PAGE_SIZE and (pages := _expected_pages(page, start, end)) > MOST_PAGES:
            raise _TooWide(TARGET_PAGES / pages)
        fresh = {key(record): record for record in page}
        seen.update(fresh)
        met.update(fresh)
        received += len(page)
        if len(page) < PAGE_SIZE:
            return unreadable, received, len(met)


def _expected_pages(page: list[Any], start: datetime, end: datetime) -> float:
    """How many pages the window holds if the others are as dense as the first."""
    if len(page) < PAGE_SIZE:
        return 1.0
    times = [record.time for record in page]
    return (end - start) / max(max(times) - min(times), SMALLEST)


def _floor(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _floor_delta(width: timedelta) -> timedelta:
    return max(width // SMALLEST, 1) * SMALLEST
