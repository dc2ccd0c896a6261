"""Transactions and logs by period (contract, H1, H2, T6, T7) and decisions (E3) over raw HTTP."""

import itertools
import json
from datetime import UTC, datetime, timedelta

import anyio
import psycopg
import pytest

from copying.backend.http import depths, pages
from copying.backend.http.options import database_url
from tests.integration.copying.conftest import assert_error

pytestmark = [pytest.mark.anyio, pytest.mark.django_db]
START = datetime(2025, 3, 1, tzinfo=UTC)
ALWAYS = {"from": "2020-01-01T00:00:00.000Z", "till": "2035-01-01T00:00:00.000Z"}
PROVIDED, SUBSCRIBED = "/users/current/provided-transactions", "/users/current/subscription-transactions"
_sequences = itertools.count(-(10**9))


def write_transactions(provider, subscriber, count, *, step=timedelta(seconds=1), **columns):
    """Transactions as the projector writes them: `count` of them from START on, named 0, 1, 2."""
    values = {"strategy_id": "s", "subscriber_id": "a", **columns}
    sequence = next(_sequences)
    with (
        psycopg.connect(database_url()) as connection,
        connection.cursor().copy(
            "COPY copying_transactionrecord (sequence, ordinal, time, document, provider_tenant, subscriber_tenant,"
            " strategy_id, subscriber_id) FROM STDIN"
        ) as rows,
    ):
        for number in range(count):
            document = json.dumps({"id": str(number), "profit": 1.10})
            tenants = (provider.tenant, subscriber.tenant)
            names = (values["strategy_id"], values["subscriber_id"])
            rows.write_row((sequence, number, START + number * step, document, *tenants, *names))


def ids(transactions):
    return [int(each["id"]) for each in transactions]


async def test_h1_is_what_i_provide_and_h2_what_i_copy(user, stranger):
    write_transactions(user, stranger, 2)
    assert ids(await user.get(PROVIDED, **ALWAYS)) == [1, 0]
    assert await user.get(SUBSCRIBED, **ALWAYS) == []
    assert await stranger.get(PROVIDED, **ALWAYS) == []
    assert ids(await stranger.get(SUBSCRIBED, **ALWAYS)) == [1, 0]


async def test_from_is_included_and_till_is_not(user):
    write_transactions(user, user, 10)
    period = {"from": "2025-03-01T00:00:02.000Z", "till": "2025-03-01T00:00:05.000Z"}
    assert ids(await user.get(PROVIDED, **period)) == [4, 3, 2]


async def test_filters_take_several_ids(user):
    for number, (strategy, subscriber) in enumerate([("s1", "a1"), ("s2", "a1"), ("s3", "a2")]):
        write_transactions(user, user, number + 1, strategy_id=strategy, subscriber_id=subscriber)
    assert len(await user.get(PROVIDED, **ALWAYS, strategyId=["s1", "s3"])) == 4
    assert len(await user.get(PROVIDED, **ALWAYS, strategyId="s2")) == 2
    assert len(await user.get(PROVIDED, **ALWAYS, subscriberId=["a1"], strategyId='["s2","s3"]')) == 2
    assert await user.get(SUBSCRIBED, **ALWAYS, subscriberId="a9") == []


@pytest.mark.parametrize("step_ms", [0, 1, 250])
async def test_pages_cover_everything_once_in_order(user, step_ms):
    write_transactions(user, user, 57, step=timedelta(milliseconds=step_ms))
    pages = [await user.get(PROVIDED, **ALWAYS, limit=10, offset=offset) for offset in range(0, 70, 10)]
    assert ids(itertools.chain.from_iterable(pages)) == list(range(56, -1, -1))
    assert pages[-1] == []


async def test_offsets_in_any_order_give_the_same_pages(user):
    write_transactions(user, user, 100)
    for offset in (90, 30, 35, 0, 35, 95, 60, 99, 100, 10**15):
        expected = [number for number in range(99 - offset, 89 - offset, -1) if number >= 0]
        assert ids(await user.get(PROVIDED, **ALWAYS, limit=10, offset=offset)) == expected


@pytest.mark.parametrize("crowded", [0, 5, 5000])
@pytest.mark.parametrize("till", ["2030-01-01T00:00:00Z", "2025-03-01T02:00:00Z", "2025-03-01T01:30:00.500Z"])
async def test_jumps_into_the_unknown_land_on_the_right_record_also_after_new_ones(user, monkeypatch, till, crowded):
    monkeypatch.setattr(pages, "JUMP", 3)
    monkeypatch.setattr(depths, "CROWDED", crowded)
    write_transactions(user, user, 60, step=timedelta(minutes=7))
    period = {"from": "2025-03-01T00:20:00Z", "till": till}
    for added in (0, 5):
        write_transactions(user, user, added, step=timedelta(minutes=11))
        whole = [each["id"] for each in await user.get(PROVIDED, **period)]
        for offset in (40, 4, 7, 33, 11, len(whole) - 1, len(whole), 90, 10**12):
            assert [each["id"] for each in await user.get(PROVIDED, **period, limit=5, offset=offset)] == whole[
                offset : offset + 5
            ]


async def test_a_jump_into_a_crowded_hour_passes_over_few_records(user, monkeypatch):
    monkeypatch.setattr(pages, "JUMP", 100)
    monkeypatch.setattr(depths, "CROWDED", 100)
    write_transactions(user, user, 6000, step=timedelta(milliseconds=100))  # ten minutes of one hour
    whole = [each["id"] for each in await user.get(PROVIDED, **ALWAYS, limit=1000)]
    assert len(whole) == 1000
    asked, rows_of = [], pages.Database.rows

    async def noting(self, sql, parameters):
        asked.append(parameters)
        return await rows_of(self, sql, parameters)

    monkeypatch.setattr(pages.Database, "rows", noting)
    for offset in (5321, 4007, 1500):
        asked.clear()
        page = await user.get(PROVIDED, **ALWAYS, limit=5, offset=offset)
        assert ids(page) == [5999 - offset - place for place in range(5)]
        (skipped,) = [parameters["skip"] for parameters in asked if "skip" in parameters]
        assert skipped < 10
    assert len(asked) == 3, "what is new, the page, and where it ended: the seconds are known by now"


async def test_records_that_arrive_while_paging_do_not_double_others(user):
    write_transactions(user, user, 20)
    first = ids(await user.get(PROVIDED, **ALWAYS, limit=10))
    write_transactions(user, user, 5, step=timedelta(days=1))
    second = ids(await user.get(PROVIDED, **ALWAYS, limit=10, offset=10))
    assert first + second == list(range(19, -1, -1))


async def test_a_copied_trade_is_in_both_histories_with_all_required_fields(user):
    strategy_id = await user.provide()
    subscriber_id = await user.subscribe(strategy_id)
    await user.signal(strategy_id)
    [transaction] = await user.get(PROVIDED, **ALWAYS, strategyId=strategy_id)
    assert [transaction] == await user.get(SUBSCRIBED, **ALWAYS, subscriberId=subscriber_id)
    required = {"id", "type", "time", "subscriberId", "subscriberUser", "providerUser", "demo", "strategy", "swap"}
    required |= {"improvement", "providerCommission", "platformCommission", "profit"}
    assert required <= set(transaction)
    assert transaction["type"] == "DEAL_TYPE_BUY"
    assert transaction["subscriberId"] == subscriber_id
    assert transaction["strategy"]["id"] == strategy_id
    assert transaction["id"].endswith(":open")


# --------------------------------------------------------------------------------------------------------------- logs


def write_log(user, strategy_id, subscriber_id, lines):
    """Log lines of (seconds after START, severity, position)."""
    with psycopg.connect(database_url()) as connection:
        for ordinal, (seconds, severity, position_id) in enumerate(lines):
            when = next(_sequences), ordinal, START + timedelta(seconds=seconds)
            document = json.dumps({"message": f"{seconds}", "level": ("DEBUG", "INFO", "WARN", "ERROR")[severity]})
            connection.execute(
                "INSERT INTO copying_userlogrecord (sequence, ordinal, time, document, tenant, strategy_id,"
                " subscriber_id, position_id, severity) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
                (*when, document, user.tenant, strategy_id, subscriber_id, position_id, severity),
            )


async def test_t6_t7_logs_by_period_level_position_and_strategy(user, stranger):
    strategy_id = await user.provide()
    subscriber_id = await user.subscribe()
    write_log(user, strategy_id, subscriber_id, [(0, 0, "p1"), (1, 1, "p1"), (2, 2, "p2"), (3, 3, "p2")])
    until = {"endTime": "2025-06-01T00:00:00.000Z"}

    async def messages(path, **query):
        return [int(line["message"]) for line in await user.get(path, **until | query)]

    for path in (
        f"/users/current/subscribers/{subscriber_id}/user-log",
        f"/users/current/strategies/{strategy_id}/user-log",
    ):
        assert await messages(path) == [3, 2, 1, 0]
        assert await messages(path, level="LogLevel.WARN") == [3, 2]
        assert await messages(path, level="INFO", positionId="p1") == [1]
        period = {"startTime": "2025-03-01T00:00:01.000Z", "endTime": '"2025-03-01T00:00:03.000Z"'}
        assert await messages(path, **period) == [2, 1]
        assert await messages(path, limit=2, offset=1) == [2, 1]
        assert_error(await user.http.get(path, params={"level": "LOUD"}), 400, "level")
        assert await stranger.status("GET", path) == 404
    log = f"/users/current/subscribers/{subscriber_id}/user-log"
    assert await messages(log, strategyId="another") == []
    assert len(await messages(log, strategyId=strategy_id)) == 4


# --------------------------------------------------------------------------------------------------------- decisions


async def test_e3_tells_why_signals_were_copied_or_not_page_by_page(user, stranger):
    strategy_id = await user.provide()
    subscriber_id = await user.subscribe(strategy_id)
    await user.subscribe(strategy_id, name="b", allowedSides=["sell"])
    for number in range(3):
        await user.signal(strategy_id, f"signal{number}")
    path = "/users/current/decisions"
    everything = await user.get(path, strategyId=strategy_id)
    assert everything["next"] is None
    assert len(everything["items"]) == 6
    first = everything["items"][0]
    assert {"id", "time", "signalId", "strategyId", "subscriberId", "outcome", "reason", "volumes"} <= set(first)
    pages, cursor = [], ""
    while cursor is not None:
        page = await user.get(path, limit=4, before=cursor)
        pages += page["items"]
        cursor = page["next"]
    assert pages == everything["items"]
    skipped = await user.get(path, outcome="skipped")
    assert {each["subscriberId"] for each in skipped["items"]} == {user.id("b")}
    copied = await user.get(path, subscriberId=subscriber_id, signalId="signal1")
    assert [each["outcome"] for each in copied["items"]] == ["copied"]
    assert (await user.get(path, reason=skipped["items"][0]["reason"]))["items"] == skipped["items"]
    assert (await stranger.get(path))["items"] == []


async def test_e3_is_followed_oldest_first_from_where_one_was(user, stranger):
    path, strategy_id = "/users/current/decisions", await user.provide()
    await user.subscribe(strategy_id)
    nothing = await user.get(path, after="0.0")
    assert nothing == {"items": [], "next": "0.0"}
    for number in range(3):
        await user.signal(strategy_id, f"signal{number}")
    first = await user.get(path, after="0.0", limit=2)
    assert [each["signalId"] for each in first["items"]] == ["signal0", "signal1"]
    rest = await user.get(path, after=first["next"], limit=2)
    assert [each["signalId"] for each in rest["items"]] == ["signal2"]
    assert await user.get(path, after=rest["next"]) == {"items": [], "next": rest["next"]}
    assert (await stranger.get(path, after="0.0"))["items"] == []


async def test_e3_loses_and_doubles_nothing_while_decisions_are_written(user):
    """Whoever follows sees every decision once, though six share every time; who pages back, those of the beginning."""
    path, strategy_id = "/users/current/decisions", await user.provide()
    names = [await user.subscribe(strategy_id, name=name) for name in "abcdef"]
    for number in range(5):
        await user.signal(strategy_id, f"old{number}")
    followed, cursor, back, turn = [], "0.0", [], ""

    async def write():
        for number in range(20):
            await user.signal(strategy_id, f"new{number}")

    async with anyio.create_task_group() as group:
        group.start_soon(write)
        while len(followed) < 150 or turn is not None:
            page = await user.get(path, after=cursor, limit=7)
            followed, cursor = followed + page["items"], page["next"]
            if turn is not None:
                page = await user.get(path, limit=4, before=turn)
                back, turn = back + page["items"], page["next"]
    wanted = {
        (signal, name) for signal in [*(f"old{n}" for n in range(5)), *(f"new{n}" for n in range(20))] for name in names
    }
    told = [(each["signalId"], each["subscriberId"]) for each in followed]
    assert len(told) == len(wanted) == 150
    assert set(told) == wanted
    assert len({each["id"] for each in followed}) == 150
    everything = await user.get(path, limit=1000)
    assert everything["items"] == followed[::-1]
    assert back == everything["items"][-len(back) :]
    assert len(back) >= 30
    period = {"startTime": followed[30]["time"], "endTime": followed[90]["time"]}
    inside = [each for each in followed if period["startTime"] <= each["time"] < period["endTime"]]
    assert (await user.get(path, **period, after="0.0"))["items"] == inside
    assert (await user.get(path, **period))["items"] == inside[::-1]


@pytest.mark.parametrize(
    "query",
    [
        {"before": "x"},
        {"after": "x"},
        {"before": "1"},
        {"before": "1." + 19 * "9"},
        {"after": "-1.1"},
        {"outcome": "lucky"},
        {"reason": "lucky"},
        {"startTime": "x"},
        {"endTime": "x"},
        {"limit": 0},
        {"limit": 1001},
    ],
)
async def test_e3_refuses_what_it_cannot_read(user, query):
    assert_error(await user.http.get("/users/current/decisions", params=query), 400, *query)


@pytest.mark.parametrize("offset", [0, 7000])
async def test_periods_reach_from_the_first_to_the_last_year(user, offset):
    write_transactions(user, user, 3)
    ever = {"from": "0001-01-01T00:00:00.000Z", "till": "9999-12-31T23:59:59.999Z"}
    for path in (PROVIDED, SUBSCRIBED):
        assert ids(await user.get(path, **ever, offset=offset)) == ([] if offset else [2, 1, 0])


@pytest.mark.parametrize("moment", ["10000-01-01T00:00:00.000Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59-14:00"])
async def test_moments_outside_the_calendar_are_named(user, moment):
    for name in ("from", "till"):
        answer = await user.http.get(PROVIDED, params={**ALWAYS, name: moment})
        assert_error(answer, 400, name)
