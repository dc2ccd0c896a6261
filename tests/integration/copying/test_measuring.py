"""What the backend measures about itself: who may read it, and that it counts what was done, once."""

from __future__ import annotations

import re

import httpx
import pytest

from copying.backend.http import create_app
from copying.backend.http.options import ServerOptions, database_url
from tests.integration.copying.conftest import SUBSCRIBERS

pytestmark = [pytest.mark.anyio, pytest.mark.django_db]
TOKEN = {"Authorization": "Bearer of-metrics"}


@pytest.fixture
async def prometheus(backend):
    """Reads the figures of the backend that the tests trade with, as somebody with the token."""
    options = ServerOptions("http://x", database_url(), requests_per_minute=10**6, metrics_token="of-metrics")
    app = create_app(backend.core, options)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        yield client
    backend.core.listeners.remove(app.state.measured.add)
    await app.state.service.database.close()


async def figures(client: httpx.AsyncClient) -> dict[str, float]:
    answer = await client.get("/metrics", headers=TOKEN)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    lines = [line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


@pytest.mark.parametrize("sent", [{}, {"Authorization": "Bearer"}, {"Authorization": "Bearer x"}, {"auth-token": "x"}])
async def test_without_the_token_there_is_no_such_address(sent, prometheus, backend, user):
    for path in ("/metrics", "/nothing"):
        assert (await prometheus.get(path, headers=sent)).status_code == 401
        assert (await prometheus.get(path, headers={**sent, "auth-token": user.token})).status_code == 404
    # where none is set, no token fits, not even an empty one
    async with httpx.AsyncClient(transport=httpx.ASGITransport(backend.app), base_url="http://x") as plain:
        for headers in (sent, {"Authorization": "Bearer "}, TOKEN):
            assert (await plain.get("/metrics", headers=headers)).status_code == 401
            answer = await user.http.get("/metrics", headers={**headers, "auth-token": user.token})
            assert answer.status_code == 404


async def test_decisions_signals_and_deals_are_counted_once(prometheus, backend, user):
    strategy = await user.provide()
    await user.subscribe(strategy, name="copies")
    skips = {"strategyId": strategy, "symbolFilter": {"included": ["GBPUSD"]}}
    await user.put(f"{SUBSCRIBERS}/{user.id('skips')}", {"name": "skips", "subscriptions": [skips]})
    before = await figures(prometheus)
    signal = await user.signal(strategy)
    await backend.core.caught_up()
    after = await figures(prometheus)

    def more(name: str) -> float:
        return after.get(f"copyportal_backend_{name}", 0) - before.get(f"copyportal_backend_{name}", 0)

    assert more('decisions_total{outcome="copied",reason="copied"}') == 1
    skipped = [name for name in after if 'outcome="skipped"' in name and "_total" in name]
    assert sum(after[name] - before.get(name, 0) for name in skipped) == 1
    assert more('signals_total{what="open"}') == 1
    assert more('deals_total{kind="open"}') == 1
    assert more("journal_entry") >= 1
    assert more("command_seconds_count") >= 1
    assert after["copyportal_backend_projected_entry"] <= after["copyportal_backend_journal_entry"]
    path = f"/users/current/strategies/{strategy}/external-signals/{signal}/remove"
    assert await user.status("POST", path, json={"time": "2100-01-01T00:00:00.000Z"}) == 204
    closed = await figures(prometheus)
    name = 'copyportal_backend_deals_total{kind="close"}'
    assert closed[name] - after.get(name, 0) == 1


async def test_no_name_is_told(prometheus, user):
    strategy = await user.provide("secretly")
    await user.subscribe(strategy, name="secretly")
    await user.signal(strategy)
    text = (await prometheus.get("/metrics", headers=TOKEN)).text
    assert "secretly" not in text
    assert not re.search(rf"{user.tenant}|{strategy}", text)
