"""The long polls (contract, 2.5): transactions H3 H4, stopouts T5, logs T8 T9; beyond it, account snapshots E2.

A poll answers with what is there, or holds until something comes, and with [] when the hold is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from math import inf
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from copying.backend.http.options import Service, service
from copying.backend.http.pages import Selection, joined, joined_once
from copying.backend.http.parameters import Query, path_id
from copying.backend.http.wakeups import (
    LOG,
    MILLISECOND,
    SNAPSHOTS,
    STOPOUTS,
    TRANSACTIONS,
    NewRecord,
    Records,
    Topic,
    millisecond,
    unfinished_s,
)
from copying.backend.state.errors import invalid, not_found

from . import reads

Read = Callable[[], Awaitable[bytes | None]]
Pick = Callable[[Records], bytes | None]
NOTHING = b"[]"
WITHOUT_CURSOR_S = 5.0  # clients before the contract's 6.0 give up after 10, whatever they were told
BETWEEN_POLLS_S = 2.0
Handler = Callable[[Request, Send], Awaitable[Response | None]]


class Stream:
    """An endpoint whose answer may leave before its own coroutine has its turn."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self.handler(Request(scope, receive), send)
        if response is not None:
            await response(scope, receive, send)


class Held:
    """A poll that waits for something to answer with. It is answered by whoever brings the news, without a task to wake
    and with bytes that it shares with the others: ten thousand of these may be answered at one moment.
    """

    __slots__ = ("_pick", "_read", "_send", "is_over", "rest")

    def __init__(self, send: Send, read: Read, pick: Pick) -> None:
        self._send, self._read, self._pick = send, read, pick
        self.is_over = False
        self.rest: asyncio.Future[None] | None = None  # what could not be done at once

    def take(self, records: Records | None) -> None:
        """Answer with what concerns it in `records`, if anything does. Empty: read; None: answer with nothing."""
        if self.is_over:
            return
        if records is None:
            self.answer(NOTHING)
        elif not records:
            self.rest = asyncio.ensure_future(self._reread())
        elif (body := self._pick(records)) is not None:
            self.answer(body)

    def answer(self, body: bytes) -> None:
        """Send the whole answer, now if the socket takes it."""
        self.is_over = True
        self.rest = begun(self._answer(body))

    async def _answer(self, body: bytes) -> None:
        for message in messages(body):
            await self._send(message)

    async def _reread(self) -> None:
        body = await self._read()
        if body is not None and not self.is_over:
            self.answer(body)


@lru_cache(maxsize=8)
def messages(body: bytes) -> tuple[Message, Message]:
    """An answer as the server takes it, made once for all who get the same."""
    headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
    return (
        {"type": "http.response.start", "status": 200, "headers": headers},
        {"type": "http.response.body", "body": body},
    )


def begun(work: Coroutine[Any, Any, None]) -> asyncio.Future[None] | None:
    """Run a coroutine until it has to wait; the rest of it, or None when it is done.

    10,000 waiting polls are answered in 16 ms so, with a task for each in 139 ms (`tests/benchmarks/bench_answers.py`):
    all that time no signal is copied. `asyncio.eager_task_factory` does the same from Python 3.12 on.
    """
    try:
        waited_for = work.send(None)
    except StopIteration:
        return None
    return asyncio.ensure_future(Rest(work, waited_for))


class Rest:
    """The rest of a coroutine that waits for something."""

    def __init__(self, work: Coroutine[Any, Any, None], waited_for: Any) -> None:
        self._work, self._waited_for = work, waited_for

    def __await__(self) -> Generator[Any, Any, None]:
        waited_for = self._waited_for
        while True:
            try:
                value = yield waited_for
            except BaseException as error:
                step = partial(self._work.throw, error)
            else:
                step = partial(self._work.send, value)
            try:
                waited_for = step()
            except StopIteration:
                return


@Stream
async def strategy_transactions(request: Request, send: Send) -> Response | None:
    """H3."""
    strategy_id = known_strategy(request)
    return await _by_time(request, send, TRANSACTIONS, "strategy_id", strategy_id, "provider_tenant")


@Stream
async def subscriber_transactions(request: Request, send: Send) -> Response | None:
    """H4."""
    subscriber_id = known_subscriber(request)
    return await _by_time(request, send, TRANSACTIONS, "subscriber_id", subscriber_id, "subscriber_tenant")


@Stream
async def strategy_log(request: Request, send: Send) -> Response | None:
    """T9."""
    return await _by_time(request, send, LOG, "strategy_id", known_strategy(request), "tenant")


@Stream
async def subscriber_log(request: Request, send: Send) -> Response | None:
    """T8."""
    return await _by_time(request, send, LOG, "subscriber_id", known_subscriber(request), "tenant")


@Stream
async def stopouts(request: Request, send: Send) -> Response | None:
    """T5. Who sends no cursor may give up after 10 seconds and cannot say what they have: they wait less, and are told
    of what stopped between two of their polls (some may be told twice, and know it by its number).
    """
    query = Query.of(request)
    last = reads.last_stopout(service(request).core.book, request.scope["tenant"])
    filters = {name: query.text(wire) for name, wire in FILTERS if query.text(wire)}
    if query.text("previousSequenceNumber"):
        return await _by_number(request, send, STOPOUTS, query, last, filters)
    last = await _before_recent(request, last)
    return await _by_number(request, send, STOPOUTS, query, last, filters, most_s=WITHOUT_CURSOR_S)


@Stream
async def account_snapshots(request: Request, send: Send) -> Response | None:
    """E2."""
    last = reads.last_account_snapshot(service(request).core.book, request.scope["tenant"])
    return await _by_number(request, send, SNAPSHOTS, Query.of(request), last, {})


async def _before_recent(request: Request, last: int) -> int:
    """The number of the stopout before those of the last BETWEEN_POLLS_S seconds; `last` where there are none."""
    await service(request).core.caught_up()
    rows = await service(request).database.rows(
        "SELECT min(number) FROM (SELECT number, time FROM copying_stopoutrecord WHERE tenant = %(tenant)s"
        " ORDER BY number DESC LIMIT 1000) newest WHERE time >= %(since)s",
        {
            "tenant": request.scope["tenant"],
            "since": datetime.now(UTC) - timedelta(seconds=BETWEEN_POLLS_S),
        },
    )
    return last if rows[0][0] is None else int(rows[0][0]) - 1


FILTERS = (("strategy_id", "strategyId"), ("subscriber_id", "subscriberId"))


def known_strategy(request: Request) -> str:
    """The strategy or portfolio of the address, 404 when the caller has none of this id."""
    strategy_id = path_id(request, "strategy_id", "Strategy")
    book, tenant = service(request).core.book, request.scope["tenant"]
    if reads.strategy(book, tenant, strategy_id) is None and reads.portfolio(book, tenant, strategy_id) is None:
        raise not_found("Strategy")
    return strategy_id


def known_subscriber(request: Request) -> str:
    """The subscriber of the address, 404 when the caller has none of this id."""
    subscriber_id = path_id(request, "subscriber_id", "Subscriber")
    if reads.subscriber(service(request).core.book, request.scope["tenant"], subscriber_id) is None:
        raise not_found("Subscriber")
    return subscriber_id


def log_selection(selection: Selection, query: Query, *, of_subscriber: bool) -> Selection:
    """Adds the filters of a log (T6 to T9): minimum severity, position and, for a subscriber's log, strategy."""
    if severity := query.severity():
        selection = selection.narrowed("severity >= %(severity)s", severity=severity)
    if position_id := query.text("positionId"):
        selection = selection.narrowed("position_id = %(position_id)s", position_id=position_id)
    if of_subscriber and (strategy_id := query.text("strategyId")):
        selection = selection.narrowed("strategy_id = %(strategy_id)s", strategy_id=strategy_id)
    return selection


async def _by_time(
    request: Request, send: Send, topic: Topic, column: str, key: str, tenant_column: str
) -> Response | None:
    """Newest first, from `startTime` (inclusive); the oldest `limit` of them when there are more."""
    query, tenant = Query.of(request), request.scope["tenant"]
    limit = query.integer("limit", 1000, 1, 1000)
    hold_s = _hold_s(request, query)
    start = query.moment("startTime") or datetime.now(UTC) - timedelta(seconds=service(request).options.hold_s)
    selection = Selection(
        topic.table,
        (f"{column} = %(key)s", f"{tenant_column} = %(tenant)s", "time >= %(start)s"),
        {"key": key, "tenant": tenant, "start": start},
    )
    if topic is LOG:
        selection = log_selection(selection, query, of_subscriber=column == "subscriber_id")
    asked = selection.parameters

    def find(records: Records) -> bytes | None:
        matching = [
            record
            for record in records
            if getattr(record, column) == key
            and record.time >= start
            and record.severity >= asked.get("severity", 0)
            and record.position_id == asked.get("position_id", record.position_id)
            and record.strategy_id == asked.get("strategy_id", record.strategy_id)
        ]
        return _oldest(sorted(matching, key=lambda record: (record.time, record.id)), limit)

    filters = tuple(asked.get(name) for name in ("severity", "position_id", "strategy_id"))

    def pick(records: Records) -> bytes | None:
        since = None if records.oldest is not None and start <= records.oldest else start
        return records.answer((column, key, limit, since, *filters), find)

    async def read() -> bytes | None:
        return await _read_oldest(service(request), selection, limit)

    return await _poll(request, send, topic, key, hold_s, read, pick)


def _oldest(ascending: list[NewRecord], limit: int) -> bytes | None:
    """The oldest `limit` records and all others of the last one's millisecond, newest first; None for none."""
    if not ascending:
        return None
    if len(ascending) > limit:
        end = millisecond(ascending[limit - 1].time) + MILLISECOND
        ascending = [record for record in ascending if record.time < end]
    return joined_once(tuple(record.document for record in reversed(ascending)))


async def _read_oldest(service: Service, selection: Selection, limit: int) -> bytes | None:
    """As `_oldest`, from the tables."""
    sql = f"SELECT document, time, id FROM {selection.table} WHERE {selection.where}"
    rows: list[tuple] = []
    for _ in range(2):
        await service.core.caught_up()
        rows = await service.database.rows(
            f"{sql} ORDER BY time, id LIMIT %(limit)s", {**selection.parameters, "limit": limit}
        )
        if not rows or not (wait_s := unfinished_s(rows[-1][1])):
            break
        await asyncio.sleep(wait_s)
    if len(rows) == limit:
        rows += await service.database.rows(
            f"{sql} AND (time, id) > (%(last)s, %(last_id)s) AND time < %(end)s ORDER BY time, id",
            {
                **selection.parameters,
                "last": rows[-1][1],
                "last_id": rows[-1][2],
                "end": millisecond(rows[-1][1]) + MILLISECOND,
            },
        )
    return joined([row[0] for row in reversed(rows)]) if rows else None


async def _by_number(
    request: Request,
    send: Send,
    topic: Topic,
    query: Query,
    last: int,
    filters: dict[str, str],
    *,
    most_s: float = inf,
) -> Response | None:
    """Ascending numbers above `previousSequenceNumber`; without it, above `last`. most_s: that it waits at most.

    Raises 400 for a cursor above that: it is of a time that a restored backup does not reach, and whoever waited with
    it would miss all until the numbers have caught up.
    """
    limit = query.integer("limit", 1000, 1, 1000)
    hold_s = min(_hold_s(request, query), most_s)
    previous = query.integer("previousSequenceNumber", last, 0, 2**62)
    if previous > last and previous > (last := await _highest(request, topic)):
        words = f"is above {last}, the highest there is: the data may have been restored to an earlier time."
        words += f" Read what is current again, then go on from {last}."
        raise invalid("previousSequenceNumber", previous, words)
    selection = Selection(
        topic.table,
        ("tenant = %(tenant)s", "number > %(previous)s"),
        {"tenant": request.scope["tenant"], "previous": previous},
    )
    for column, value in filters.items():
        selection = selection.by_ids(column, [value])

    def find(records: Records) -> bytes | None:
        matching = [
            record
            for record in records
            if record.number > previous and all(getattr(record, name) == value for name, value in filters.items())
        ]
        matching.sort(key=lambda record: record.number)
        return joined_once(tuple(record.document for record in matching[:limit])) if matching else None

    def pick(records: Records) -> bytes | None:
        since = 0 if previous < records.lowest else previous
        return records.answer((limit, since, *filters.items()), find)

    async def read() -> bytes | None:
        await service(request).core.caught_up()
        rows = await service(request).database.rows(
            f"SELECT document FROM {selection.table} WHERE {selection.where} ORDER BY number LIMIT %(limit)s",
            {**selection.parameters, "limit": limit},
        )
        return joined([row[0] for row in rows]) if rows else None

    key = filters.get("subscriber_id") or filters.get("strategy_id") or ""
    return await _poll(request, send, topic, key, hold_s, read, pick)


async def _highest(request: Request, topic: Topic) -> int:
    """The highest number that is recorded for the tenant; 0 where there is none."""
    await service(request).core.caught_up()
    rows = await service(request).database.rows(
        f"SELECT coalesce(max(number), 0) FROM {topic.table} WHERE tenant = %(tenant)s",
        {"tenant": request.scope["tenant"]},
    )
    return int(rows[0][0])


def _hold_s(request: Request, query: Query) -> float:
    longest = service(request).options.hold_s
    return min(longest, query.number("holdInSeconds", longest, 0, 55))


async def _poll(
    request: Request, send: Send, topic: Topic, key: str, hold_s: float, read: Read, pick: Pick
) -> Response | None:
    """Answer with what `read` finds, else hold until `pick` finds something in what is projected meanwhile.

    None: answered already.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + hold_s
    async with service(request).wakeups.waiting(topic, request.scope["tenant"], key) as waiter:
        body = await read()
        if body is not None or hold_s <= 0:
            return Response(body or NOTHING, media_type="application/json")
        poll = Held(send, read, pick)
        timer = loop.call_at(deadline, poll.take, None)
        try:
            waiter.hold(poll.take)
            while (await request.receive())["type"] != "http.disconnect":  # which an answer ends, too
                pass
            return None if poll.is_over else Response(NOTHING, media_type="application/json")  # to nobody
        finally:
            poll.is_over = True
            timer.cancel()
