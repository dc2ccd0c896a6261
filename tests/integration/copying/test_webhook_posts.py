"""Posts of charting services to a webhook: what opens, closes, is refused, and what the log says of it."""

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
            ("EURUSD", "POSITION_TYPE_BUY", 0.1), ("EURUSD", "POSITION_TYPE_SELL", 0.1),
        ]  # fmt: skip
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
