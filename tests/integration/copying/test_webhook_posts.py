"""Posts of charting services to a webhook: what opens, closes, is refused, and what the log says of it."""

import asyncio
import json
import time

import httpx
import pytest

from tests.integration.copying.conftest import STRATEGIES, assert_error, iso

pytestmark = [pytest.mark.anyio, pytest.mark.django_db]


async def webhook_of(user, strategy_id, **terms):
    return (await user.http.post(f"{STRATEGIES}/{strategy_id}/webhooks", json=terms)).json()["id"]


async def open_symbols(user, strategy_id):
    listed = await user.get(f"/users/current/strategies/{strategy_id}/external-signals")
    return [(each["symbol"], each["type"], each["volume"]) for each in listed]


def public_of(backend):
    return httpx.AsyncClient(transport=httpx.ASGITransport(backend.app), base_url="http://backend")


async def test_a_strategy_alert_opens_and_closes(user, backend):
    strategy_id = await user.provide()
    path = "/webhooks/" + await webhook_of(user, strategy_id)
    alert = {"symbol": "EURUSD", "action": "BUY", "time": iso(time.time()), "volume": "0.1"}
    async with public_of(backend) as public:
        assert (await public.post(path, json=alert)).status_code == 201
        assert (await public.post(path, json={**alert, "type": "sell"})).status_code == 201
        assert await open_symbols(user, strategy_id) == [
            ("EURUSD", "POSITION_TYPE_BUY", 0.1),
            ("EURUSD", "POSITION_TYPE_SELL", 0.1),
        ]
        closed = await public.post(path, json={"symbol": "EURUSD", "type": "Close", "side": "long"})
        assert (closed.status_code, len(closed.json()["closed"])) == (200, 1)
        assert await open_symbols(user, strategy_id) == [("EURUSD", "POSITION_TYPE_SELL", 0.1)]
        assert (await public.post(path, json={"symbol": "GBPUSD", "type": "flat"})).json() == {"closed": []}
        await public.post(path, json={"symbol": "EURUSD", "type": "exit"})
        assert await open_symbols(user, strategy_id) == []


async def test_refused_posts_leave_one_line_a_minute_and_their_time(user, backend):
    strategy_id = await user.provide()
    webhook_id = await webhook_of(user, strategy_id)
    path = "/webhooks/" + webhook_id
    async with public_of(backend) as public:
        assert_error(await public.post(path, json={"symbol": "EURUSD", "type": "buy", "volume": "2%"}), 400, "volume")
        assert_error(await public.get(path), 405)
        assert_error(await public.post(path, content=b"EURUSD buy now"), 400)
    log = await user.get(f"/users/current/strategies/{strategy_id}/user-log")
    told = [line for line in log if "webhook was refused" in line["message"]]
    assert [line["level"] for line in told] == ["WARN"]
    assert "percentage" in told[0]["message"]
    assert webhook_id not in told[0]["message"]
    webhook = (await user.get(f"{STRATEGIES}/{strategy_id}/webhooks"))[0]
    assert "lastRefusedAt" in webhook
    assert "lastAcceptedAt" not in webhook


async def test_a_guarded_webhook_takes_the_same_alert_once(user, backend):
    strategy_id = await user.provide()
    guarded = "/webhooks/" + await webhook_of(user, strategy_id, ignoreRepeatsInSeconds=60)
    alert = {"symbol": "EURUSD", "type": "buy", "time": iso(time.time()), "volume": 0.1}
    async with public_of(backend) as public:
        answers = [(await public.post(guarded, json=each)).status_code for each in (alert, alert)]
        other = await public.post(guarded, json={**alert, "volume": 0.2})
    assert (answers, other.status_code) == ([201, 409], 201)
    refused = await user.http.post(f"{STRATEGIES}/{strategy_id}/webhooks", json={"ignoreRepeatsInSeconds": 86_401})
    assert_error(refused, 400, "ignoreRepeatsInSeconds")


async def test_of_the_same_alert_at_the_same_moment_one_is_taken(user, backend):
    strategy_id = await user.provide()
    guarded = "/webhooks/" + await webhook_of(user, strategy_id, ignoreRepeatsInSeconds=60)
    alert = {"symbol": "EURUSD", "type": "buy", "time": iso(time.time()), "volume": 0.1}
    async with public_of(backend) as public:
        answers = await asyncio.gather(*(public.post(guarded, json=alert) for _ in range(4)))
        assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
        assert (await public.post(guarded, json={**alert, "volume": 0.2})).status_code == 201
        assert (await public.post(guarded, json=alert)).status_code == 409, "another alert came between"
    assert len(await open_symbols(user, strategy_id)) == 2


async def test_an_alert_that_was_refused_may_come_again_at_once(user, backend):
    strategy_id = await user.provide()
    guarded = "/webhooks/" + await webhook_of(user, strategy_id, ignoreRepeatsInSeconds=60)
    wrong_now = {"symbol": "EURUSD", "type": "buy", "time": iso(time.time()), "volume": 0.1, "stopLoss": 1.2}
    async with public_of(backend) as public:
        assert_error(await public.post(guarded, json=wrong_now), 400, "stopLoss")
        backend.market.prices = {**backend.market.prices, "EURUSD": (1.3, 1.30008)}
        backend.core.look_at_market()
        assert (await public.post(guarded, json=wrong_now)).status_code == 201


@pytest.mark.parametrize("symbol", ["EURUSD", " EURUSD", "EURUSD\n", "\tEURUSD "])
@pytest.mark.parametrize("mapped", [False, True])
async def test_white_space_around_a_symbol_closes_what_it_opened(user, backend, symbol, mapped):
    strategy_id = await user.provide()
    terms = {"symbolMapping": [{"from": "EURUSD", "to": "GBPUSD"}]} if mapped else {}
    path = "/webhooks/" + await webhook_of(user, strategy_id, **terms)
    alert = {"symbol": symbol, "type": "buy", "time": iso(time.time()), "volume": 0.1}
    async with public_of(backend) as public:
        assert (await public.post(path, json=alert)).status_code == 201
        assert [each[0] for each in await open_symbols(user, strategy_id)] == ["GBPUSD" if mapped else "EURUSD"]
        assert len((await public.post(path, json={"symbol": symbol, "type": "close"})).json()["closed"]) == 1


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"\xef\xbb\xbf%s", 201),
        (b"\r\n %s\n\n", 201),
        (b"%s%s", 400),
        (b"[%s]", 400),
        (b"'%s'", 400),
        (b"", 400),
        (b"null", 400),
        (b"\xff\xfe", 400),
    ],
)
@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "text/plain", ""])
async def test_a_body_is_read_or_refused_whatever_its_type(user, backend, content, status, kind):
    strategy_id = await user.provide()
    path = "/webhooks/" + await webhook_of(user, strategy_id)
    alert = json.dumps({"symbol": "EURUSD", "type": "BUY", "time": iso(time.time()), "volume": "0.10"}).encode()
    async with public_of(backend) as public:
        sent = content.replace(b"%s", alert)
        assert (await public.post(path, content=sent, headers={"content-type": kind})).status_code == status
    assert len(await open_symbols(user, strategy_id)) == (status == 201)


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "buy stop"},
        {"type": 1},
        {"type": None},
        {"type": ["buy"]},
        {"type": True},
        {"volume": "1e-1"},
        {"volume": "0,1"},
        {"volume": "-0.1"},
        {"volume": ""},
        {"volume": "٠.١"},
        {"volume": None},
        {"volume": True},
        {"volume": "0"},
        {"volume": "{{strategy.order.contracts}}"},
        {"symbol": "{{ticker}}"},
        {"symbol": None},
        {"symbol": ""},
        {"symbol": " "},
        {"symbol": ["EURUSD"]},
        {"symbol": "EURUSD,GBPUSD"},
        {"symbol": "EUR\u200bUSD"},
        {"type": {"close": 1}},
        {"type": ["close"]},
        {"time": "1710010112000"},
        {"time": "{{timenow}}"},
        {"time": 1710010112000},
        {"type": "close", "symbol": 5},
        {"type": "close", "symbol": " "},
        {"type": "close", "side": "both"},
        {"type": "close", "side": ["buy"]},
        {"type": "close", "side": True},
        {"type": "close", "symbol": "{{ticker}}"},
        {"stopLoss": "1,09"},
        {"takeProfit": "50 pips"},
        {"stopLoss": 50, "takeProfit": 100},
        {"stopLoss": "50"},
    ],
)
async def test_what_an_alert_may_say_wrongly_is_400_and_opens_nothing(user, backend, changes):
    strategy_id = await user.provide()
    path = "/webhooks/" + await webhook_of(user, strategy_id)
    alert = {"symbol": "EURUSD", "type": "buy", "time": iso(time.time()), "volume": 0.1, **changes}
    async with public_of(backend) as public:
        assert_error(await public.post(path, json=alert), 400)
    assert await open_symbols(user, strategy_id) == []
