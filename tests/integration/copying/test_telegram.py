"""Signals published to Telegram: a stand-in of its API in process, fed by a running backend."""

import asyncio
import json

import httpx
import pytest

from copying.backend.telegram import ForbiddenHost, Publisher, allowed_base
from tests.integration.copying.conftest import STRATEGIES

pytestmark = [pytest.mark.anyio, pytest.mark.django_db]
TOKEN = "12345:ABC-def_ghi"


class Telegram:
    """An ASGI application that takes messages, or answers what it was told to."""

    def __init__(self):
        self.messages, self.answers = [], []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, scope, receive, send):
        body = json.loads((await receive())["body"])
        await self.gate.wait()
        status, answer = self.answers.pop(0) if self.answers else (200, {"ok": True})
        if status == 200:
            self.messages.append((scope["path"], body))
        await send({"type": "http.response.start", "status": status, "headers": [(b"location", b"http://elsewhere/")]})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})

    def texts(self, token=TOKEN):
        return [body["text"] for path, body in self.messages if path == f"/bot{token}/sendMessage"]


@pytest.fixture
async def telegram(backend):
    stand_in = Telegram()
    stand_in.pauses = []

    async def sleep(seconds):
        stand_in.pauses.append(seconds)

    publisher = Publisher(backend.core, "http://127.0.0.1:9/", transport=httpx.ASGITransport(stand_in), sleep=sleep)
    yield stand_in
    await publisher.close()
    backend.core.listeners.remove(publisher.take)


def publishing(template=None, token=TOKEN, chat="@signals"):
    given = {"token": token, "chatId": chat, "template": template}
    return {"telegram": {"publishing": {name: value for name, value in given.items() if value is not None}}}


async def until(condition):
    """Let the loop run until it holds."""
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never came to hold")


async def warnings(user, strategy_id):
    lines = await user.get(f"/users/current/strategies/{strategy_id}/user-log", level="WARN")
    return [line["message"] for line in lines]


async def test_a_signal_is_published_through_its_life(user, telegram):
    template = (
        "${operation}: ${side} ${type} ${volume} ${symbol} ${openPrice} ${stopLoss} ${takeProfit} ${orderId} ${x}"
    )
    strategy_id = await user.provide(**publishing(template))
    await user.signal(strategy_id, volume=0.2, openPrice=1.1, stopLoss=1.05)
    await user.signal(strategy_id, volume=0.2, openPrice=1.1, stopLoss=1.06)
    await user.signal(strategy_id, volume=0.1, openPrice=1.1, stopLoss=1.06)
    path = f"/users/current/strategies/{strategy_id}/external-signals/abcd1234/remove"
    await user.http.post(path, json={"time": "2026-01-01T00:00:00.000Z"})
    await until(lambda: len(telegram.messages) == 4)
    assert telegram.texts() == [
        "opened: buy market 0.2 EURUSD 1.1 1.05 - abcd1234 ${x}",
        "changed: buy market 0.2 EURUSD 1.1 1.06 - abcd1234 ${x}",
        "partly closed: buy market 0.1 EURUSD 1.1 1.06 - abcd1234 ${x}",
        "closed: buy market 0.1 EURUSD 1.1 1.06 - abcd1234 ${x}",
    ]
    assert telegram.messages[0][1]["chat_id"] == "@signals"


async def test_positions_of_the_providers_account_are_published_too(user, telegram):
    await user.provide(**publishing())
    trade = {"actionType": "ORDER_TYPE_SELL", "symbol": "GBPUSD", "volume": 0.3, "takeProfit": 1.2}
    await user.http.post(f"/users/current/accounts/{user.id('provider-s')}/trade", json=trade)
    await until(lambda: telegram.messages)
    assert telegram.texts() == ["Sell 0.3 GBPUSD at 1.25, take profit 1.2: opened"]


async def test_a_strategy_without_a_chat_publishes_nothing(user, telegram):
    await user.signal(await user.provide())
    await user.signal(await user.provide("t", **publishing(chat="")))
    await user.signal(await user.provide("u", **publishing()))
    await until(lambda: telegram.messages)
    assert len(telegram.messages) == 1


async def test_a_slow_chat_holds_nobody_up(user, telegram):
    telegram.gate.clear()
    strategy_id = await user.provide(**publishing())
    subscriber_id = await user.subscribe(strategy_id)
    await user.signal(strategy_id)
    assert len(await user.get(f"/users/current/accounts/{subscriber_id}/positions")) == 1
    telegram.gate.set()
    await until(lambda: telegram.messages)


async def test_a_passing_failure_is_tried_again(user, telegram):
    telegram.answers = [(429, {"parameters": {"retry_after": 7}}), (502, {})]
    strategy_id = await user.provide(**publishing())
    await user.signal(strategy_id)
    await until(lambda: telegram.messages)
    assert telegram.pauses == [7.0, 5.0]
    assert await warnings(user, strategy_id) == []


async def test_a_lasting_failure_is_told_in_the_log_without_the_token(user, telegram):
    telegram.answers = [(403, {"description": f"Forbidden for {TOKEN}: the bot is no member"})]
    strategy_id = await user.provide(**publishing())
    await user.signal(strategy_id)
    for _ in range(200):
        if told := await warnings(user, strategy_id):
            break
        await asyncio.sleep(0.01)
    assert told == [
        "A signal could not be published to Telegram chat @signals: Telegram answered 403: Forbidden for …: "
        "the bot is no member."
    ]
    assert telegram.messages == []


@pytest.mark.parametrize("token", ["1:a/../../x", "@evil.example/1:a", "1:a?b=", "12345"])
async def test_a_token_cannot_lead_elsewhere(user, telegram, token):
    strategy_id = await user.provide(**publishing(token=token))
    await user.signal(strategy_id)
    for _ in range(200):
        if told := await warnings(user, strategy_id):
            break
        await asyncio.sleep(0.01)
    assert "the token is not one of a bot" in told[0]
    assert telegram.messages == []


async def test_redirects_are_not_followed(user, telegram):
    telegram.answers = [(302, {})]
    strategy_id = await user.provide(**publishing())
    await user.signal(strategy_id)
    for _ in range(200):
        if told := await warnings(user, strategy_id):
            break
        await asyncio.sleep(0.01)
    assert "answered 302" in told[0]


async def test_the_token_is_kept_in_the_document(user):
    strategy_id = await user.provide(**publishing("${description}"))
    document = await user.get(f"{STRATEGIES}/{strategy_id}")
    assert document["telegram"]["publishing"] == {"token": TOKEN, "chatId": "@signals", "template": "${description}"}


@pytest.mark.parametrize(
    "url", ["http://api.telegram.org", "https://api.telegram.org.evil.example", "https://10.0.0.1", "ftp://localhost"]
)
async def test_other_hosts_are_refused(url):
    with pytest.raises(ForbiddenHost):
        allowed_base(url)
    assert allowed_base("https://api.telegram.org/") == "https://api.telegram.org"
