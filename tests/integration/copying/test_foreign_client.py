"""A whole session as the vendor's clients hold it: find the way, set up, send every signal to both hosts at once,
follow the streams by their cursors. Nothing is known but the token, the provisioning host and the order of the calls.
"""

import asyncio
import time

import pytest

from tests.integration.copying.conftest import STRATEGIES, SUBSCRIBERS, iso

pytestmark = [pytest.mark.anyio, pytest.mark.django_db]


async def both(user, hosts, method, path, **request):
    """The same call to every host at once, as signal clients do; the first success counts."""
    calls = (user.http.request(method, f"http://{host}{path}", **request) for host in hosts)
    answers = await asyncio.gather(*calls)
    assert any(answer.is_success for answer in answers), [answer.text for answer in answers]
    return [answer.status_code for answer in answers]


async def test_a_session_of_a_client_that_only_knows_the_vendor(user):
    provisioning = "http://mt-provisioning-api-v1.localhost:8001"
    found = (await user.http.get(f"{provisioning}/users/current/servers/mt-client-api")).json()
    regions = (await user.http.get(f"{provisioning}/users/current/regions")).json()
    api = f"copyfactory-api-v1.{regions[0]}.{found['domain']}"
    at = f"http://{api}"

    strategy_id = (await user.http.get(f"{at}/users/current/configuration/unused-strategy-id")).json()["id"]
    strategy = {"name": "Trend", "description": "d", "accountId": user.id("p"), "riskLimits": [], "magicFilter": {}}
    for _ in range(2):  # a client that did not hear the first answer repeats its PUT
        assert (await user.http.put(f"{at}{STRATEGIES}/{strategy_id}", json=strategy)).status_code == 204
    subscriber_id = user.id("a")
    subscription = {"strategyId": strategy_id, "tradeSizeScaling": {"mode": "none"}}
    subscriber = {"name": "a", "subscriptions": [subscription]}
    for _ in range(2):
        assert (await user.http.put(f"{at}{SUBSCRIBERS}/{subscriber_id}", json=subscriber)).status_code == 204
    # what was read is sent back with one change, the server's own fields included
    read = (await user.http.get(f"{at}{SUBSCRIBERS}/{subscriber_id}")).json()
    assert (
        await user.http.put(f"{at}{SUBSCRIBERS}/{subscriber_id}", json={**read, "maxTradeRisk": None})
    ).status_code == 204

    account = (await user.http.get(f"{provisioning}/users/current/accounts/{subscriber_id}")).json()
    assert (account["region"], account["copyFactoryRoles"]) == (regions[0], ["PROVIDER", "SUBSCRIBER"])
    hosts = [api, api]
    path = f"/users/current/strategies/{strategy_id}/external-signals/sig00001"
    signal = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "time": iso(time.time()), "volume": 0.4}
    assert await both(user, hosts, "PUT", path, json=signal) == [204, 204]
    assert await both(user, hosts, "PUT", path, json={**signal, "volume": 0.2}) == [204, 204]
    await both(user, hosts, "POST", f"{path}/remove", json={"time": iso(time.time())})

    stream = f"{at}/users/current/subscribers/{subscriber_id}/transactions/stream"
    since, seen = iso(time.time() - 3600), []
    for _ in range(5):
        page = (await user.http.get(stream, params={"startTime": since, "limit": 1, "holdInSeconds": 0})).json()
        fresh = [each for each in page if each["id"] not in seen]
        if not page or not fresh:
            break
        seen += [each["id"] for each in reversed(fresh)]
        since = max(each["time"] for each in page)
    assert len(seen) == len(set(seen)) > 0
    positions = await user.http.get(f"{at}/users/current/accounts/{subscriber_id}/positions")
    assert positions.json() == []

    history = {"from": "2020-01-01T00:00:00.000Z", "till": "2050-01-01T00:00:00.000Z"}
    told = (await user.http.get(f"{at}/users/current/subscription-transactions", params=history)).json()
    volumes = [round(each["quantity"], 2) for each in reversed(told) if each["type"].startswith("DEAL_TYPE")]
    assert [abs(each) for each in volumes] == [0.4, 0.2, 0.2]  # opened once, closed in two parts
    assert round(sum(volumes), 2) == 0
