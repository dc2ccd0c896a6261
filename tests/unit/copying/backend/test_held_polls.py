"""Polls on hold: answered by whoever brings the news, once encoded for all who want the same, with room for orders."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from copying.backend.core.announcements import Changes
from copying.backend.http.streams import NOTHING, Held, messages
from copying.backend.http.wakeups import (
    SLICE,
    TRANSACTIONS,
    NewRecord,
    RecordFeed,
    Records,
    Waiter,
)

pytestmark = pytest.mark.anyio
MOMENT = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def record(number: int, subscriber_id: str = "a") -> NewRecord:
    return NewRecord(number, MOMENT, "s", subscriber_id, "", 0, number, b'{"id":%d}' % number)


class Socket:
    """Takes what is sent; `is_full` lets it wait."""

    def __init__(self, *, is_full: bool = False) -> None:
        self.sent: list[dict] = []
        self.room = asyncio.Event()
        if not is_full:
            self.room.set()

    async def send(self, message: dict) -> None:
        if not self.room.is_set():
            await self.room.wait()
        self.sent.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


def found(records: Records) -> bytes:
    return records.answer(("all",), lambda each: b"[" + b",".join(one.document for one in each) + b"]")


async def read() -> bytes | None:
    return b'["read"]'


async def test_it_is_answered_before_its_own_task_has_a_turn():
    socket = Socket()
    held = Held(socket.send, read, found)
    held.take(Records([record(1)]))
    assert socket.body == b'[{"id":1}]'
    assert held.rest is None
    held.take(Records([record(2)]))
    assert socket.body == b'[{"id":1}]', "an answer is given once"


async def test_what_concerns_nobody_leaves_it_waiting():
    socket = Socket()
    held = Held(socket.send, read, lambda records: None)
    held.take(Records([record(1)]))
    assert not held.is_over
    assert socket.sent == []
    held.take(None)
    assert socket.body == NOTHING


async def test_too_much_at_once_is_read_by_itself():
    socket = Socket()
    held = Held(socket.send, read, found)
    held.take(Records())
    await held.rest
    assert socket.body == b'["read"]'


async def test_a_socket_that_is_full_holds_up_nobody_and_gets_the_rest_later():
    slow, quick = Socket(is_full=True), Socket()
    polls = [Held(slow.send, read, found), Held(quick.send, read, found)]
    for held in polls:
        held.take(Records([record(1)]))
    assert (slow.body, quick.body) == (b"", b'[{"id":1}]')
    slow.room.set()
    await polls[0].rest
    assert slow.body == b'[{"id":1}]'
    assert [message["type"] for message in slow.sent] == ["http.response.start", "http.response.body"]


async def test_what_was_offered_before_it_held_is_not_lost():
    waiter, taken = Waiter(), []
    waiter.offer(Records([record(1)]))
    waiter.offer(Records([record(2)]))
    waiter.hold(taken.append)
    assert [each.id for each in taken[0]] == [1, 2]
    waiter = Waiter()
    waiter.offer(Records([record(1)]))
    waiter.offer(Records())
    waiter.offer(Records([record(2)]))
    waiter.hold(taken.append)
    assert taken[1] == [], "to be read, whatever else was offered"


class Rows:
    """A database with one answer; counts what it is asked."""

    def __init__(self) -> None:
        self.queries = 0
        self.rows: list[tuple] = [(0,)]

    async def rows_of(self, sql: str, parameters: dict) -> list[tuple]:
        self.queries += 1
        return self.rows


async def test_a_thousand_clients_cost_one_query_one_search_and_one_encoding_and_let_others_pass():
    async def nothing() -> None:
        return None

    changes, rows, clients = Changes(), Rows(), 1000
    core = SimpleNamespace(changes=changes.subscribe, caught_up=nothing)
    feed = RecordFeed(TRANSACTIONS, "t", core, SimpleNamespace(rows=rows.rows_of))
    await feed.ready
    searches, sockets = 0, [Socket() for _ in range(clients)]

    def find(records: Records) -> bytes:
        nonlocal searches
        searches += 1
        return b"[" + b",".join(one.document for one in records) + b"]"

    for socket in sockets:
        waiter = Waiter()
        waiter.hold(Held(socket.send, read, lambda records: records.answer(("same",), find)).take)
        feed.add("a", waiter)
    before, rows.rows = rows.queries, [tuple(record(number)) for number in range(1, 301)]
    changes.announce(("transactions", "t"))
    answered, turns = 0, []
    while answered < clients:
        await asyncio.sleep(0)
        now = sum(bool(socket.sent) for socket in sockets)
        turns.append(now - answered)
        answered = now
    assert searches == 1
    assert rows.queries - before == 1
    assert len({id(socket.sent[1]["body"]) for socket in sockets}) == 1, "they share the bytes"
    assert len({id(socket.sent[0]) for socket in sockets}) == 1
    assert max(turns) <= SLICE
    feed.release()


def test_an_answer_is_whole():
    start, body = messages(b"[1]")
    assert dict(start["headers"]) == {b"content-length": b"3", b"content-type": b"application/json"}
    assert body["body"] == b"[1]"
