"""The long polls (contract, 2.5 and 8, rows 13 to 17) over raw HTTP: H3, H4, T5, T8, T9, E2."""

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from copying.backend.http import create_app, streams
from copying.backend.http.options import ServerOptions, database_url
from tests.integration.copying.conftest import Backend, assert_error, iso
from tests.integration.copying.test_contract_history import START, _sequences, ids, write_log, write_transactions

pytestmark = [pytest.mark.anyio, pytest.mark.django_db]
LONG_AGO = "2020-01-01T00:00:00.000Z"


def transactions_of(subscriber_id):
    return f"/users/current/subscribers/{subscriber_id}/transactions/stream"


@pytest.fixture
async def copier(user):
    """(user, strategy id, subscriber id) of one subscription."""
    strategy_id = await user.provide()
    return user, strategy_id, await user.subscribe(strategy_id)


async def test_what_is_there_is_answered_at_once_newest_first(copier):
    user, strategy_id, subscriber_id = copier
    write_transactions(user, user, 3, strategy_id=strategy_id, subscriber_id=subscriber_id)
    for path in (transactions_of(subscriber_id), f"/users/current/strategies/{strategy_id}/transactions/stream"):
        assert ids(await user.get(path, startTime=LONG_AGO)) == [2, 1, 0]
        assert ids(await user.get(path, startTime="2025-03-01T00:00:01.000Z")) == [2, 1]


async def test_of_more_than_the_limit_the_oldest_come_first(copier):
    user, _, subscriber_id = copier
    write_transactions(user, user, 10, subscriber_id=subscriber_id)
    assert ids(await user.get(transactions_of(subscriber_id), startTime=LONG_AGO, limit=4)) == [3, 2, 1, 0]


async def test_a_millisecond_is_never_cut(copier):
    user, _, subscriber_id = copier
    write_transactions(user, user, 10, step=timedelta(microseconds=400), subscriber_id=subscriber_id)
    assert ids(await user.get(transactions_of(subscriber_id), startTime=LONG_AGO, limit=1)) == [2, 1, 0]


async def test_the_vendors_cursor_loses_and_doubles_nothing(copier):
    user, _, subscriber_id = copier
    for step in (0, 300, 1000):
        at = timedelta(microseconds=step)
        write_transactions(user, user, 40, step=at, subscriber_id=subscriber_id)
    with psycopg.connect(database_url()) as connection:
        connection.execute(
            'UPDATE copying_transactionrecord SET document = format(\'{"id": %%s, "time": "%%s"}\', id,'
            " to_char(time AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')) WHERE subscriber_id = %s",
            [subscriber_id],
        )
    seen, cursor = [], LONG_AGO
    while page := await user.get(transactions_of(subscriber_id), startTime=cursor, limit=7, holdInSeconds=0):
        seen += ids(page)
        newest = datetime.fromisoformat(page[0]["time"])
        cursor = (newest + timedelta(milliseconds=1)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert len(seen) == len(set(seen)) == 120


async def test_a_poll_is_held_until_something_is_copied(copier):
    user, strategy_id, subscriber_id = copier
    paths = [
        transactions_of(subscriber_id),
        f"/users/current/strategies/{strategy_id}/transactions/stream",
        f"/users/current/subscribers/{subscriber_id}/user-log/stream",
        f"/users/current/strategies/{strategy_id}/user-log/stream",
    ]
    now = iso(time.time())
    polls = [asyncio.create_task(user.get(path, startTime=now)) for path in paths]
    await asyncio.sleep(0.3)
    assert not any(poll.done() for poll in polls)
    await user.signal(strategy_id)
    answers = await asyncio.wait_for(asyncio.gather(*polls), 5)
    assert [transaction["subscriberId"] for transaction in answers[0]] == [subscriber_id]
    assert answers[0] == answers[1]
    assert answers[2]
    assert answers[3]
    assert {"time", "level", "message"} <= set(answers[2][0])


async def test_a_poll_sleeps_through_what_does_not_concern_it(copier):
    user, strategy_id, subscriber_id = copier
    other = await user.provide("other")
    await user.subscribe(other, name="b")
    now = iso(time.time())
    poll = asyncio.create_task(user.get(transactions_of(subscriber_id), startTime=now, holdInSeconds=20))
    await asyncio.sleep(0.1)
    await user.signal(other)
    await asyncio.sleep(0.3)
    assert not poll.done()
    await user.signal(strategy_id, "mine1234")
    assert [each["subscriberId"] for each in await asyncio.wait_for(poll, 5)] == [subscriber_id]


async def test_an_empty_hold_ends_with_an_empty_list(copier):
    user, _, subscriber_id = copier
    began = time.monotonic()
    assert await user.get(transactions_of(subscriber_id), startTime=iso(time.time()), holdInSeconds=0.4) == []
    assert 0.4 <= time.monotonic() - began < 5
    assert await user.get(transactions_of(subscriber_id), startTime=iso(time.time()), holdInSeconds=0) == []


async def test_without_a_start_time_nothing_older_than_the_hold_is_told(copier):
    user, strategy_id, subscriber_id = copier
    write_transactions(user, user, 3, subscriber_id=subscriber_id)
    await user.signal(strategy_id)
    [transaction] = await user.get(transactions_of(subscriber_id))
    assert transaction["id"].endswith(":open")


async def test_logs_are_filtered_while_they_are_held(copier):
    user, strategy_id, subscriber_id = copier
    write_log(user, strategy_id, subscriber_id, [(0, 0, "p1"), (1, 1, "p2"), (2, 2, "p2")])
    path = f"/users/current/subscribers/{subscriber_id}/user-log/stream"

    async def messages(**query):
        return [line["message"] for line in await user.get(path, startTime=iso(START.timestamp()), **query, limit=2)]

    assert await messages(level="LogLevel.INFO", positionId="p2") == ["2", "1"]
    assert await messages(positionId="p1") == ["0"]
    assert await messages(level="WARN", strategyId=strategy_id, positionId="") == ["2"]


@pytest.mark.parametrize(
    "path",
    [
        "/users/current/subscribers/unknown/transactions/stream",
        "/users/current/strategies/unknown/transactions/stream",
        "/users/current/subscribers/unknown/user-log/stream",
        "/users/current/strategies/unknown/user-log/stream",
    ],
)
async def test_a_stream_of_an_unknown_or_foreign_id_is_404(user, stranger, copier, path):
    _, strategy_id, subscriber_id = copier
    assert await user.status("GET", path) == 404
    own = subscriber_id if "subscribers" in path else strategy_id
    assert await stranger.status("GET", path.replace("unknown", own)) == 404
    assert_error(await user.http.get(path.replace("unknown", own), params={"holdInSeconds": "56"}), 400)


# ----------------------------------------------------------------------------------- by sequence number: T5, E2


def write_stopouts(user, numbers, strategy_id="s", subscriber_id="a"):
    with psycopg.connect(database_url()) as connection:
        for number in numbers:
            document = json.dumps({"sequenceNumber": number, "subscriberId": subscriber_id})
            connection.execute(
                "INSERT INTO copying_stopoutrecord (sequence, ordinal, time, document, tenant, number, strategy_id,"
                " subscriber_id) VALUES (%s, 0, now(), %s, %s, %s, %s, %s)",
                (next(_sequences), document, user.tenant, number, strategy_id, subscriber_id),
            )


async def test_t5_numbers_ascend_behind_the_cursor(user):
    write_stopouts(user, range(1, 8))
    path = "/users/current/stopouts/stream"

    async def numbers(**query):
        return [each["sequenceNumber"] for each in await user.get(path, **query, holdInSeconds=0)]

    assert await numbers(previousSequenceNumber=0) == [1, 2, 3, 4, 5, 6, 7]
    assert await numbers(previousSequenceNumber=2, limit=3) == [3, 4, 5]
    assert await numbers(previousSequenceNumber=7) == []
    assert await numbers(previousSequenceNumber=0, subscriberId="b", strategyId="") == []
    assert await numbers(previousSequenceNumber=5, subscriberId="a", strategyId="s") == [6, 7]
    assert_error(await user.http.get(path, params={"previousSequenceNumber": "x"}), 400, "previousSequenceNumber")


@pytest.mark.parametrize("path", ["/users/current/stopouts/stream", "/users/current/account-snapshots/stream"])
async def test_a_cursor_of_a_time_that_a_restored_backup_does_not_reach_is_refused(user, path):
    """Waiting with it, a client would miss all until the numbers have caught up."""
    query = {"holdInSeconds": 0}
    assert_error(await user.http.get(path, params=query | {"previousSequenceNumber": 1}), 400, "previousSequenceNumber")
    assert await user.get(path, previousSequenceNumber=0, **query) == []
    if path.startswith("/users/current/stopouts"):
        write_stopouts(user, range(1, 8))
        assert await user.get(path, previousSequenceNumber=7, **query) == []
        refused = await user.http.get(path, params=query | {"previousSequenceNumber": 8})
        assert_error(refused, 400, "previousSequenceNumber")
        assert "go on from 7" in refused.json()["message"]


async def test_t5_empty_filters_are_absent_and_no_cursor_starts_at_the_end(user, backend):
    limit = {"type": "lifetime", "applyTo": "balance-minus-equity", "maxAbsoluteRisk": 100, "closePositions": False}
    strategy_id = await user.provide(riskLimits=[limit])
    await user.subscribe(strategy_id)
    await user.signal(strategy_id, volume=1.0)
    empty = {"previousSequenceNumber": "", "subscriberId": "", "strategyId": ""}
    poll = asyncio.create_task(user.get("/users/current/stopouts/stream", **empty))
    await asyncio.sleep(0.2)
    backend.market.prices = {**backend.market.prices, "EURUSD": (1.09, 1.09008)}
    backend.core.look_at_market()
    try:
        [stopout] = await asyncio.wait_for(poll, 5)
    finally:
        backend.market.prices = {**backend.market.prices, "EURUSD": (1.1, 1.10008)}
        backend.core.look_at_market()
    assert stopout["sequenceNumber"] == 1
    after = empty | {"previousSequenceNumber": 1, "holdInSeconds": 0}
    assert await user.get("/users/current/stopouts/stream", **after) == []


@pytest.mark.parametrize("cursor", [{}, {"previousSequenceNumber": ""}])
async def test_t5_who_sends_no_cursor_and_gives_up_early_loses_no_stopout(user, cursor, monkeypatch):
    """Old clients stop waiting after 10 seconds: what came between two of their polls is told by the next one."""
    path = "/users/current/stopouts/stream"
    monkeypatch.setattr(streams, "WITHOUT_CURSOR_S", 0.05)
    assert await asyncio.wait_for(user.get(path, **cursor), 20) == [], "answered long before the hold is over"
    write_stopouts(user, [1, 2])
    user.backend.core.book.stopout_numbers[user.tenant] = 2
    waiting = asyncio.create_task(user.get(path, previousSequenceNumber=2))
    for _ in range(2):
        assert [each["sequenceNumber"] for each in await user.get(path, **cursor)] == [1, 2]
    assert await user.get(path, **cursor, subscriberId="b", holdInSeconds=0) == []
    monkeypatch.setattr(streams, "BETWEEN_POLLS_S", 0.0)
    assert await user.get(path, **cursor) == [], "what is older was told"
    assert not waiting.done(), "with a cursor it is held as ever"
    waiting.cancel()


async def test_e2_snapshots_of_accounts_are_streamed_from_the_beginning(user):
    with psycopg.connect(database_url()) as connection:
        for number in (1, 2, 3):
            connection.execute(
                "INSERT INTO copying_accountsnapshotrecord (sequence, ordinal, time, document, tenant, number,"
                " account_id) VALUES (%s, 0, now(), %s, %s, %s, 'a')",
                (
                    -number - hash(user.tenant) % 10**9 * 1000,
                    json.dumps({"sequenceNumber": number}),
                    user.tenant,
                    number,
                ),
            )
    path = "/users/current/account-snapshots/stream"
    assert len(await user.get(path, previousSequenceNumber=0)) == 3
    assert [each["sequenceNumber"] for each in await user.get(path, previousSequenceNumber=1, limit=1)] == [2]


# -------------------------------------------------------------------------------------------------- many, gone, the end


async def test_hundreds_of_polls_of_one_stream_are_all_woken(copier):
    user, strategy_id, subscriber_id = copier
    now = iso(time.time())
    polls = [asyncio.create_task(user.get(transactions_of(subscriber_id), startTime=now)) for _ in range(300)]
    await asyncio.sleep(1)
    await user.signal(strategy_id)
    answers = await asyncio.wait_for(asyncio.gather(*polls), 10)
    assert all(len(answer) == 1 for answer in answers)


async def test_shutting_down_ends_every_poll_at_once(backend, copier):
    user, _, subscriber_id = copier
    app = create_app(backend.core, ServerOptions("http://x", database_url()))
    same = Backend(backend.core, app, backend.market).user(user.tenant)
    path = transactions_of(subscriber_id)
    poll = asyncio.create_task(same.get(path, startTime=datetime.now(UTC).isoformat()))
    await asyncio.sleep(0.2)
    app.state.service.wakeups.close()
    assert await asyncio.wait_for(poll, 1) == []
    assert await asyncio.wait_for(same.get(path, startTime=datetime.now(UTC).isoformat()), 1) == []
    await app.state.service.database.close()


async def test_a_client_that_hangs_up_is_let_go(backend, copier):
    user, _, subscriber_id = copier
    path, sent = transactions_of(subscriber_id), []
    messages = iter([{"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}])

    async def receive():
        await asyncio.sleep(0.05)
        return next(messages)

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "root_path": ""}
    scope |= {"query_string": b"", "headers": [(b"auth-token", user.token.encode())], "http_version": "1.1"}
    await asyncio.wait_for(backend.app(scope, receive, send), 5)
    assert sent[0]["status"] == 200
