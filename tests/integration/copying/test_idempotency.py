"""The same request twice with one key: in parallel, after a restart, by somebody else, with another body."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest

from .conftest import STRATEGIES, SUBSCRIBERS, User, assert_error

pytestmark = [pytest.mark.anyio, pytest.mark.django_db]

KEY = {"idempotency-key": "order 4711 / first"}
BUY = {"actionType": "ORDER_TYPE_BUY", "symbol": "EURUSD", "volume": 0.1}
POST = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "time": "2026-01-05T00:00:00.000Z", "volume": 0.1}


class Firm:
    """A user with a strategy, a copying account and a webhook."""

    def __init__(self, user: User, strategy: str, account: str, webhook: str) -> None:
        self.user, self.strategy, self.account, self.webhook = user, strategy, account, webhook
        self.public = httpx.AsyncClient(transport=user.http._transport, base_url="http://backend")

    @property
    def address(self) -> str:
        return f"/users/current/accounts/{self.account}"

    async def state(self) -> tuple[int, int]:
        """What can be doubled: deposits of 7 (what trades cost is less), and positions."""
        balance = (await self.user.get(f"{self.address}/account-information"))["balance"]
        return round((balance - 10_000) / 7), len(await self.user.get(f"{self.address}/positions"))


async def founded(user: User) -> Firm:
    strategy = await user.provide()
    account = await user.subscribe(strategy)
    webhook = (await user.http.post(f"{STRATEGIES}/{strategy}/webhooks", json={})).json()["id"]
    return Firm(user, strategy, account, webhook)


@pytest.fixture
async def firm(user: User) -> Firm:
    return await founded(user)


Call = Callable[[Firm, dict], Awaitable[httpx.Response]]
CALLS: dict[str, Call] = {
    "trade": lambda firm, sent: firm.user.http.post(f"{firm.address}/trade", json=BUY, headers=sent),
    "deposit": lambda firm, sent: firm.user.http.post(f"{firm.address}/deposit", json={"amount": 7}, headers=sent),
    "signal": lambda firm, sent: firm.public.post(f"/webhooks/{firm.webhook}", json=POST, headers=sent),
    "webhook": lambda firm, sent: firm.user.http.post(
        f"{STRATEGIES}/{firm.strategy}/webhooks", json={"magic": 3}, headers=sent
    ),
}


def told(answer: httpx.Response) -> tuple:
    return answer.status_code, answer.content


@pytest.mark.parametrize("header", ["idempotency-key", "Idempotency-Key", "transaction-id"])
@pytest.mark.parametrize("name", CALLS)
async def test_the_second_of_two_is_answered_as_the_first_and_does_nothing(firm, name, header):
    first = await CALLS[name](firm, {header: "k"})
    assert first.status_code in (200, 201, 204), first.text
    state, webhooks = await firm.state(), await firm.user.get(f"{STRATEGIES}/{firm.strategy}/webhooks")
    for _ in range(2):
        assert told(await CALLS[name](firm, {header: "k"})) == told(first)
    assert await firm.state() == state
    assert await firm.user.get(f"{STRATEGIES}/{firm.strategy}/webhooks") == webhooks


@pytest.mark.parametrize("name", CALLS)
async def test_in_parallel_they_are_done_once(firm, name):
    answers = await asyncio.gather(*(CALLS[name](firm, KEY) for _ in range(6)))
    assert len({told(answer) for answer in answers}) == 1
    assert await firm.state() == (int(name == "deposit"), int(name in ("trade", "signal")))
    webhooks = await firm.user.get(f"{STRATEGIES}/{firm.strategy}/webhooks")
    assert len(webhooks) == (2 if name == "webhook" else 1)


async def test_in_parallel_another_body_is_refused(firm):
    path = f"{firm.address}/deposit"
    answers = await asyncio.gather(
        *(firm.user.http.post(path, json={"amount": amount}, headers=KEY) for amount in (7, 8, 7, 8))
    )
    assert [answer.status_code for answer in answers] == [204, 422, 204, 422]
    assert (await firm.state())[0] == 1


@pytest.mark.parametrize("name", CALLS)
async def test_without_a_key_or_with_another_it_is_done_again(firm, name):
    answers = [await CALLS[name](firm, sent) for sent in ({}, {}, {"idempotency-key": "a"}, {"idempotency-key": "A"})]
    assert len({answer.status_code for answer in answers}) == 1
    assert await firm.state() == (4 * (name == "deposit"), 4 * (name in ("trade", "signal")))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("{account}/deposit", {"amount": 7, "comment": "c"}),
        ("{account}/deposit", {"amount": 7.5}),
        ("{account}/deposit?x=1", {"amount": 7}),
        ("{account}/trade", {"amount": 7}),
    ],
)
async def test_another_request_with_the_key_is_refused_and_named(firm, path, body):
    assert (await CALLS["deposit"](firm, KEY)).status_code == 204
    state = await firm.state()
    answer = await firm.user.http.post(path.format(account=firm.address), json=body, headers=KEY)
    assert "idempotency key was sent before with another request" in assert_error(answer, 422)["message"]
    assert await firm.state() == state


async def test_the_same_body_may_be_spaced_and_ordered_otherwise(firm):
    for content in (b'{"amount": 7, "comment": "c"}', b' {"comment":"c",\n"amount":7}'):
        answer = await firm.user.http.post(f"{firm.address}/deposit", content=content, headers=KEY)
        assert answer.status_code == 204
    assert (await firm.state())[0] == 1


async def test_somebody_elses_key_is_another_key(firm, stranger):
    other = await founded(stranger)
    for name in CALLS:
        key = {"idempotency-key": name}
        mine, theirs = await CALLS[name](firm, key), await CALLS[name](other, key)
        assert mine.status_code == theirs.status_code
    assert await firm.state() == await other.state() == (1, 2)


async def test_who_posts_to_a_webhook_meets_no_key_of_its_owner(firm):
    assert (await CALLS["signal"](firm, KEY)).status_code == 201
    assert (await CALLS["deposit"](firm, KEY)).status_code == 204


async def test_a_post_that_closes_is_done_once_even_if_more_was_opened_since(firm):
    path, close = f"/webhooks/{firm.webhook}", {"symbol": "EURUSD", "type": "close"}
    nothing = [await firm.public.post(path, json=close, headers={"idempotency-key": "none"}) for _ in range(1)]
    assert (await CALLS["signal"](firm, {})).status_code == 201
    nothing.append(await firm.public.post(path, json=close, headers={"idempotency-key": "none"}))
    assert [answer.json() for answer in nothing] == [{"closed": []}] * 2
    answers = await asyncio.gather(*(firm.public.post(path, json=close, headers=KEY) for _ in range(3)))
    assert len({told(answer) for answer in answers}) == 1
    assert len(answers[0].json()["closed"]) == 1
    assert (await CALLS["signal"](firm, {})).status_code == 201
    assert told(await firm.public.post(path, json=close, headers=KEY)) == told(answers[0])
    assert (await firm.state())[1] == 1


async def test_posts_to_close_at_the_same_time_close_everything(firm):
    for _ in range(3):
        await CALLS["signal"](firm, {})
    close = {"symbol": "EURUSD", "type": "close"}
    answers = await asyncio.gather(*(firm.public.post(f"/webhooks/{firm.webhook}", json=close) for _ in range(3)))
    assert [answer.status_code for answer in answers] == [200] * 3
    assert sum(len(answer.json()["closed"]) for answer in answers) == 3
    assert (await firm.state())[1] == 0


async def test_the_owner_reads_of_a_post_whose_key_is_refused(firm):
    assert (await CALLS["signal"](firm, KEY)).status_code == 201
    other = await firm.public.post(f"/webhooks/{firm.webhook}", json={**POST, "volume": 0.2}, headers=KEY)
    assert_error(other, 422)
    lines = await firm.user.get(f"/users/current/strategies/{firm.strategy}/user-log", level="WARN")
    assert any("idempotency key" in line["message"] for line in lines)


async def test_a_refused_request_leaves_its_key_free(firm):
    answer = await firm.user.http.post(f"{firm.address}/deposit", json={"amount": -1e6}, headers=KEY)
    assert_error(answer, 400)
    assert (await CALLS["deposit"](firm, KEY)).status_code == 204
    assert (await firm.state())[0] == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\tinside", b"caf\xe9"])
@pytest.mark.parametrize("header", ["idempotency-key", "transaction-id"])
async def test_what_is_no_key_is_refused_before_anything_is_done(firm, header, key):
    answer = await firm.user.http.post(f"{firm.address}/deposit", json={"amount": 7}, headers={header: key})
    assert_error(answer, 400, header)
    assert (await firm.state())[0] == 0


async def test_two_keys_are_none(firm):
    sent = [("idempotency-key", "a"), ("idempotency-key", "b")]
    assert_error(await firm.user.http.post(f"{firm.address}/deposit", json={"amount": 7}, headers=sent), 400)


@pytest.mark.parametrize("key", ["x", "x" * 255, "~ printable !"])
async def test_the_longest_and_the_shortest_are_keys(firm, key):
    for _ in range(2):
        assert (await CALLS["deposit"](firm, {"idempotency-key": key})).status_code == 204
    assert (await firm.state())[0] == 1


async def test_a_resynchronisation_with_its_key_reopens_nothing_a_second_time(firm):
    await firm.user.signal(firm.strategy)
    path = f"/users/current/subscribers/{firm.account}/resynchronize"

    async def close_by_hand() -> None:
        [position] = await firm.user.get(f"{firm.address}/positions")
        close = {"actionType": "POSITION_CLOSE_ID", "positionId": position["id"]}
        assert (await firm.user.http.post(f"{firm.address}/trade", json=close)).status_code == 200

    await close_by_hand()
    assert (await firm.user.http.post(path, headers=KEY)).status_code == 204
    await close_by_hand()
    assert (await firm.user.http.post(path, headers=KEY)).status_code == 204
    assert (await firm.state())[1] == 0
    assert (await firm.user.http.post(path)).status_code == 204
    assert (await firm.state())[1] == 1


async def test_a_document_put_again_with_its_key_does_not_replace_a_newer_one(firm):
    path = f"{SUBSCRIBERS}/{firm.account}"
    for name, key in (("first", "1"), ("second", "2"), ("first", "1")):
        answer = await firm.user.http.put(
            path, json={"name": name, "subscriptions": []}, headers={"idempotency-key": key}
        )
        assert answer.status_code == 204
    assert (await firm.user.get(path))["name"] == "second"


async def test_a_webhook_removed_twice_with_one_key_is_removed(firm):
    path = f"{STRATEGIES}/{firm.strategy}/webhooks/{firm.webhook}"
    answers = [await firm.user.http.delete(path, headers=sent) for sent in (KEY, KEY, {})]
    assert [answer.status_code for answer in answers] == [204, 204, 404]
