"""No secret that a user entrusts to the backend stands in plain in tables, logs, or answers about something else."""

from __future__ import annotations

import logging

import httpx
import pytest
from cryptography.fernet import Fernet

from copying.backend.http import reads
from copying.backend.state import snapshot
from copying.backend.telegram import Publisher
from tests.integration.copying.conftest import STRATEGIES
from tests.integration.copying.planted import TOKENS, assert_unknown, dump, publishing

pytestmark = [pytest.mark.anyio, pytest.mark.django_db]


async def test_a_planted_token_is_in_no_table_and_no_log(user, backend, caplog):
    caplog.set_level(logging.DEBUG)
    refusals = [httpx.Response(403, json={"description": f"Forbidden for {TOKENS[0]}"}), httpx.Response(200, json={})]
    sent = []

    def telegram(request: httpx.Request) -> httpx.Response:
        sent.append(request.url.path)
        return refusals.pop(0) if refusals else httpx.Response(200, json={})

    publisher = Publisher(backend.core, "http://127.0.0.1:9/", transport=httpx.MockTransport(telegram))
    for number, token in enumerate(TOKENS):
        strategy_id = await user.provide(f"s{number}", **publishing(token))
        await user.subscribe(strategy_id, name=f"a{number}")
        await user.signal(strategy_id)
        await user.signal(strategy_id, stopLoss=1.05)
        changes = {"strategies": {strategy_id: {"name": "n", "description": "", "accountId": "x", **publishing(token)}}}
        asked = {"startTime": "2020-01-01T00:00:00.000Z", "endTime": "2100-01-01T00:00:00.000Z", "changes": changes}
        answer = await user.http.post("/users/current/simulations", json=asked)
        assert answer.status_code == 200
        assert_unknown(answer.text)
        assert_unknown((await user.http.get("/users/current/decisions")).text)
        log = await user.http.get(f"/users/current/strategies/{strategy_id}/user-log")
        assert_unknown(log.text)
    while publisher._tasks:
        await next(iter(publisher._tasks))
    await publisher.close()
    backend.core.listeners.remove(publisher.take)
    assert len(sent) == 4
    await backend.core.caught_up()
    await backend.core._projector._store_snapshot(backend.core.sequence, snapshot.pack(backend.core.book))
    kept = dump()
    assert b"sealed:".hex() in kept
    assert_unknown(kept)
    assert_unknown(caplog.text)


async def test_the_owner_reads_the_token_back_and_nobody_else_does(user, stranger, backend):
    strategy_id = await user.provide(**publishing(TOKENS[0]))
    document = await user.get(f"{STRATEGIES}/{strategy_id}")
    assert document["telegram"]["publishing"] == {"token": TOKENS[0], "chatId": "@signals"}
    for version in ("1", "2"):
        answer = await user.http.get(STRATEGIES, headers={"api-version": version})
        assert TOKENS[0] in answer.text
    answer = await stranger.http.get(f"{STRATEGIES}/{strategy_id}")
    assert answer.status_code == 404
    await user.put(f"{STRATEGIES}/{strategy_id}", document)  # what was read can be written
    assert (await user.get(f"{STRATEGIES}/{strategy_id}")) == document
    assert_unknown(str(backend.core.book.strategies_by_id[strategy_id].document))


async def test_what_looks_like_a_sealed_token_is_sealed_like_any_other(user):
    looks_sealed = f"sealed:{Fernet(Fernet.generate_key()).encrypt(b'x').decode()}"
    strategy_id = await user.provide(**publishing(looks_sealed))
    assert (await user.get(f"{STRATEGIES}/{strategy_id}"))["telegram"]["publishing"]["token"] == looks_sealed


@pytest.mark.parametrize(
    "telegram", [TOKENS[0], [TOKENS[0]], {"publishing": TOKENS[0]}, {"publishing": {"token": [TOKENS[0]], "chatId": 5}}]
)
async def test_a_refusal_does_not_repeat_a_token(user, telegram):
    body = {"name": "n", "description": "", "accountId": "a", "telegram": telegram}
    answer = await user.http.put(f"{STRATEGIES}/{user.id('s')}", json=body)
    assert answer.status_code == 400
    assert_unknown(answer.text)


async def test_a_fault_tells_the_log_no_address_of_a_webhook(user, backend, caplog, monkeypatch):
    strategy_id = await user.provide()
    answer = await user.http.post(f"{STRATEGIES}/{strategy_id}/webhooks", json={})
    webhook_id = answer.json()["id"]
    monkeypatch.setattr(reads, "webhook", lambda book, webhook_id: 1 / 0)
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(backend.app, raise_app_exceptions=False), base_url="http://backend"
    )
    answer = await client.post(f"/webhooks/{webhook_id}", json={})
    assert answer.status_code == 500
    assert "ZeroDivisionError" in caplog.text
    assert webhook_id not in caplog.text
