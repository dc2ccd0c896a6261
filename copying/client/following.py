"""Following a stream by time without losing a record (contract, 2.5).

The streams of transactions and logs take a time, not a number, so what arrives late or shares the last millisecond
would be lost by asking for "after the last one". Each answer with something new, and each request that the backend
held, is therefore followed by one from a little earlier; records already delivered are dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from .chosen import Following
from .exchange import PAGE_LIMIT


class Record(Protocol):
    """What a stream by time is made of."""

    @property
    def time(self) -> datetime: ...


T = TypeVar("T", bound=Record)

MILLISECOND = timedelta(milliseconds=1)
OVERLAP = timedelta(seconds=5)

Poll = Callable[[datetime | None], list[T]]


def never() -> bool:
    """Follow for ever."""
    return False


def followed(
    stream: Callable[..., list[T]], owner_id: str, identity: Callable[[T], Hashable], wanted: Following
) -> Iterator[list[T]]:
    """`follow` the polls of one strategy or subscriber."""
    limit, hold_s = wanted.get("limit", PAGE_LIMIT), wanted.get("hold_s")
    return follow(
        lambda cursor: stream(owner_id, start=cursor, limit=limit, hold_s=hold_s),
        start=wanted.get("start"),
        identity=identity,
        limit=limit,
        overlap=wanted.get("overlap", OVERLAP),
        should_stop=wanted.get("should_stop", never),
    )


def follow(
    poll: Poll[T],
    *,
    start: datetime | None,
    identity: Callable[[T], Hashable],
    limit: int,
    overlap: timedelta,
    should_stop: Callable[[], bool] = never,
) -> Iterator[list[T]]:
    """Lists of new records, oldest first, for ever or until `should_stop`; empty when a poll brought nothing.

    The cursor to keep is the time of the last record delivered; starting from it again repeats at most the overlap.
    """
    cursor, was_fresh, is_holding = start, False, False
    newest: datetime | None = None
    delivered: dict[Hashable, datetime] = {}
    while not should_stop():
        page = sorted(poll(cursor), key=lambda record: record.time)
        fresh = _undelivered(page, delivered, identity)
        was_fresh = was_fresh or bool(fresh)
        yield fresh
        if page:
            newest = page[-1].time if newest is None else max(newest, page[-1].time)
        if len(page) >= limit:  # more is waiting, and the last millisecond may have been cut
            is_stuck = not fresh and cursor is not None and page[-1].time <= cursor
            cursor = page[-1].time + MILLISECOND if is_stuck else page[-1].time
        elif newest is not None:
            # after a poll that the backend held, look back once: what came late is older than the newest
            is_holding = not (was_fresh or is_holding)
            cursor, was_fresh = newest + MILLISECOND if is_holding else newest - overlap, False
            delivered = {key: time for key, time in delivered.items() if time >= newest - overlap}


def _undelivered(page: list[T], delivered: dict[Hashable, datetime], identity: Callable[[T], Hashable]) -> list[T]:
    """Records not seen before; of those that look alike (log lines), as many as came in one answer."""
    copies: Counter[Hashable] = Counter()
    fresh = []
    for record in page:
        name = identity(record)
        copies[name] += 1
        key = (name, copies[name])
        if key not in delivered:
            delivered[key] = record.time
            fresh.append(record)
    return fresh
