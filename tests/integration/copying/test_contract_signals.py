"""Trading signals, external signals and the public webhook post (contract, 2.4: S1 to S5) over raw HTTP."""

import asyncio
import re
import time

import httpx
import pytest

from tests.integration.copying.conftest import STRATEGIES, SUBSCRIBERS, assert_error, iso

pytestmark = [pytest.mark.anyio, pytest.mark.django_db]


def signals(strategy_id):
    return f"/users/current/strategies/{strategy_id}/external-signals"


async def positions(user, subscriber_id):
    return await user.get(f"/users/current/accounts/{subscriber_id}/positions")


async def test_s3_an_acknowledged_signal_is_copied(user):
    strategy_id = await user.provide()
    subscriber_id = await user.subscribe(strategy_id)
    await user.signal(strategy_id, volume=0.3, stopLoss=1.05, takeProfit=1.2)
    [position] = await positions(user, subscriber_id)
    assert (position["symbol"], position["type"], position["volume"]) == ("EURUSD", "POSITION_TYPE_BUY", 0.3)


async def test_s3_the_same_call_twice_in_parallel_copies_once(user):
    strategy_id = await user.provide()
    subscriber_id = await user.subscribe(strategy_id)
    body = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "time": iso(time.time()), "volume": 0.1}
    answers = await asyncio.gather(*(user.http.put(f"{signals(strategy_id)}/abcd1234", json=body) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {204}
    assert len(await positions(user, subscriber_id)) == 1


async def test_s2_lists_active_signals_only(user, stranger):
    strategy_id = await user.provide()
    assert await user.get(signals(strategy_id)) == []
    await user.signal(strategy_id, "aaaa1111", magic=5)
    await user.signal(strategy_id, "bbbb2222", symbol="GBPUSD", type="POSITION_TYPE_SELL")
    listed = await user.get(signals(strategy_id))
    assert [each["id"] for each in listed] == ["aaaa1111", "bbbb2222"]
    assert (listed[0]["magic"], listed[0]["volume"], listed[1]["type"]) == (5, 0.1, "POSITION_TYPE_SELL")
    assert await user.status("POST", f"{signals(strategy_id)}/aaaa1111/remove", json={"time": iso(time.time())}) == 204
    assert [each["id"] for each in await user.get(signals(strategy_id))] == ["bbbb2222"]
    assert await stranger.status("GET", signals(strategy_id)) == 404


async def test_s3_a_smaller_volume_is_a_partial_close(user):
    strategy_id = await user.provide()
    subscriber_id = await user.subscribe(strategy_id)
    await user.signal(strategy_id, volume=1.0)
    await user.signal(strategy_id, volume=0.4)
    [position] = await positions(user, subscriber_id)
    assert position["volume"] == pytest.approx(0.4)


async def test_s4_closes_and_is_404_the_second_time(user):
    strategy_id = await user.provide()
    subscriber_id = await user.subscribe(strategy_id)
    await user.signal(strategy_id)
    path = f"{signals(strategy_id)}/abcd1234/remove"
    assert await user.status("POST", path, json={}) == 400
    assert await user.status("POST", path, json={"time": iso(time.time())}) == 204
    assert await positions(user, subscriber_id) == []
    repeated = await user.http.post(path, json={"time": iso(time.time())})
    assert_error(repeated, 404)
    assert "it was closed at 20" in repeated.json()["message"], "whoever had no answer learns that it is done"
    never = await user.http.post(path.replace("abcd1234", "ffff1234"), json={"time": iso(time.time())})
    assert_error(never, 404)
    assert never.json()["message"] == "External signal not found"


async def test_s3_ids_are_not_reused_and_the_trade_itself_does_not_change(user):
    strategy_id = await user.provide()
    await user.signal(strategy_id)
    path = f"{signals(strategy_id)}/abcd1234"
    base = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "time": iso(time.time()), "volume": 0.1}
    for change in ({"symbol": "GBPUSD"}, {"type": "POSITION_TYPE_SELL"}):
        assert_error(await user.http.put(path, json={**base, **change}), 400)
    await user.http.post(f"{path}/remove", json={"time": iso(time.time())})
    assert_error(await user.http.put(path, json=base), 400)


@pytest.mark.parametrize("signal_id", ["a-b", "a_b", "x" * 33, "ä", "a%00"])
async def test_s3_a_signal_id_is_letters_and_digits(user, signal_id):
    strategy_id = await user.provide()
    body = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "time": iso(time.time()), "volume": 0.1}
    assert await user.status("PUT", f"{signals(strategy_id)}/{signal_id}", json=body) == 400


@pytest.mark.parametrize(
    ("changes", "parameter"),
    [
        ({"volume": 0}, "volume"),
        ({"volume": "much"}, "volume"),
        ({"type": "BUY"}, "type"),
        ({"symbol": None}, "symbol"),
        ({"time": "now"}, "time"),
        ({"magic": 1.5}, "magic"),
        ({"type": "ORDER_TYPE_BUY_LIMIT"}, "openPrice"),
    ],
)
async def test_s3_a_wrong_body_is_400_with_its_parameter(user, changes, parameter):
    strategy_id = await user.provide()
    body = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "time": iso(time.time()), "volume": 0.1, **changes}
    answer = await user.http.put(f"{signals(strategy_id)}/abcd1234", json=body)
    assert_error(answer, 400, parameter)
    assert await user.get(signals(strategy_id)) == []


async def test_s3_to_a_strangers_or_unknown_strategy_is_refused(user, stranger):
    strategy_id = await user.provide()
    body = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "time": iso(time.time()), "volume": 0.1}
    assert await stranger.status("PUT", f"{signals(strategy_id)}/abcd1234", json=body) == 404
    assert await user.status("PUT", f"{signals('unknown')}/abcd1234", json=body) == 404


async def test_s1_tells_a_subscriber_what_to_hold(user, stranger):
    strategy_id = await user.provide()
    subscriber_id = await user.subscribe(strategy_id)
    await user.signal(strategy_id, volume=0.2)
    path = f"/users/current/subscribers/{subscriber_id}/signals"
    [signal] = await user.get(path)
    assert signal["strategy"] == {"id": strategy_id, "name": "s"}
    assert (signal["symbol"], signal["type"], signal["side"]) == ("EURUSD", "market", "buy")
    assert signal["signalVolume"] == signal["subscriberVolume"] == pytest.approx(0.2)
    assert {"positionId", "time", "subscriberProfit", "closeAfter"} <= set(signal)
    assert await stranger.status("GET", path) == 404


@pytest.mark.parametrize("hours", [1e14, 1e8])
async def test_s1_a_lifetime_beyond_the_calendar_ends_with_it(user, hours):
    strategy_id = await user.provide(timeSettings={"lifetimeInHours": hours})
    subscriber_id = await user.subscribe(strategy_id)
    await user.signal(strategy_id)
    [signal] = await user.get(f"/users/current/subscribers/{subscriber_id}/signals")
    assert signal["closeAfter"] == "9999-12-31T23:59:59.000Z"


async def test_s1_a_price_that_nobody_knows_is_absent(user):
    strategy_id = await user.provide()
    subscriber_id = await user.subscribe(strategy_id)
    await user.signal(strategy_id, symbol="UNHEARDOF")
    [signal] = await user.get(f"/users/current/subscribers/{subscriber_id}/signals")
    assert "openPrice" not in signal


@pytest.mark.parametrize(
    ("subscription", "subscriber", "told"),
    [
        ({}, {}, None),
        ({"closeOnly": "by-position"}, {}, True),
        ({}, {"closeOnly": "by-symbol"}, True),
    ],
)
async def test_s1_says_where_only_closes_are_copied(user, subscription, subscriber, told):
    strategy_id = await user.provide()
    subscriber_id = await user.subscribe(strategy_id)
    await user.signal(strategy_id)
    scaling = {"mode": "none"}
    document = {
        "name": "a",
        "subscriptions": [{"strategyId": strategy_id, "tradeSizeScaling": scaling, **subscription}],
    }
    await user.put(f"{SUBSCRIBERS}/{subscriber_id}", {**document, **subscriber})
    [signal] = await user.get(f"/users/current/subscribers/{subscriber_id}/signals")
    assert signal.get("closeOnly") is told
    if told is None:
        removal = {"mode": "close-gracefully-by-position"}
        path = f"{SUBSCRIBERS}/{subscriber_id}/subscriptions/{strategy_id}"
        assert await user.status("DELETE", path, json=removal) == 204
        [signal] = await user.get(f"/users/current/subscribers/{subscriber_id}/signals")
        assert signal["closeOnly"] is True


async def test_s5_a_post_to_a_webhook_needs_no_token_and_becomes_a_signal(user, backend):
    strategy_id = await user.provide()
    subscriber_id = await user.subscribe(strategy_id)
    body = {"magic": 9, "symbolMapping": [{"from": "EURUSDi", "to": "EURUSD"}]}
    webhook = (await user.http.post(f"{STRATEGIES}/{strategy_id}/webhooks", json=body)).json()
    post = {"symbol": "EURUSDi", "type": "POSITION_TYPE_SELL", "time": iso(time.time()), "volume": 0.2, "magic": 1}
    path = "/webhooks/" + webhook["id"]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(backend.app), base_url="http://backend") as public:
        answers = [await public.post(path, json=post) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [201, 201]
        assert_error(await public.post(path, json={**post, "volume": -1}), 400, "volume")
        assert_error(await public.post("/webhooks/unknown", json=post), 404)
        assert_error(await public.get(path), 405)
    ids = [answer.json()["signalId"] for answer in answers]
    assert all(re.fullmatch("[A-Za-z0-9]{8}", signal_id) for signal_id in ids)
    listed = await user.get(signals(strategy_id))
    assert [each["id"] for each in listed] == ids
    assert {(each["symbol"], each["magic"]) for each in listed} == {("EURUSD", 9)}
    assert len(await positions(user, subscriber_id)) == 2
