"""Discovery, authentication, errors, limits and wire conventions (contract, section 1) over raw HTTP."""

import json
import time

import httpx
import pytest

from copying.backend.http import create_app
from copying.backend.http.account_addresses import LINK
from copying.backend.http.application import TABLE
from copying.backend.http.options import ServerOptions, database_url
from copying.backend.state.commands import SetConnection
from tests.integration.copying.conftest import PORTFOLIOS, STRATEGIES, SUBSCRIBERS, assert_error

pytestmark = [pytest.mark.anyio, pytest.mark.django_db]
PERIOD = {"from": "2020-01-01T00:00:00.000Z", "till": "2030-01-01T00:00:00.000Z"}


# --------------------------------------------------------------------------------------------------------- discovery


async def test_discovery_leads_to_this_server(user):
    assert await user.get("/users/current/regions") == ["local"]
    assert (await user.get("/users/current/servers/mt-client-api"))["domain"] == "localhost:8001"


async def test_the_domain_is_the_one_the_client_came_by(user):
    answer = await user.http.get(
        "/users/current/servers/mt-client-api", headers={"host": "mt-provisioning-api-v1.localhost:9443"}
    )
    assert answer.json()["domain"] == "localhost:9443"


async def test_an_account_tells_its_region_and_roles(user, stranger):
    strategy_id = await user.provide()
    subscriber_id = await user.subscribe(strategy_id)
    account = await user.get(f"/users/current/accounts/{subscriber_id}")
    assert account["_id"] == subscriber_id
    assert account["region"] == "local"
    assert account["copyFactoryRoles"] == ["PROVIDER", "SUBSCRIBER"]  # what it may be used for, not what it is
    provider = await user.get(f"/users/current/accounts/{user.id('provider-s')}")
    assert provider["copyFactoryRoles"] == ["PROVIDER", "SUBSCRIBER"]
    assert await stranger.status("GET", f"/users/current/accounts/{subscriber_id}") == 404
    assert await user.status("GET", "/users/current/accounts/nobody") == 404


async def test_an_account_tells_whether_it_is_connected(user, backend):
    subscriber_id = await user.subscribe(await user.provide())
    path = f"/users/current/accounts/{subscriber_id}"
    assert (await user.get(path))["connectionStatus"] == "CONNECTED"
    await backend.core.submit(SetConnection(tenant=user.tenant, account_id=subscriber_id, is_connected=False))
    assert (await user.get(path))["connectionStatus"] == "DISCONNECTED_FROM_BROKER"


async def test_what_can_be_made_can_be_referred_to(user):
    odd = f"{user.prefix}.a:b+c_d-e"
    strategy = {"name": "n", "description": "d", "accountId": f"{odd}1"}
    await user.put(f"{STRATEGIES}/{odd}S", strategy)
    await user.put(f"{PORTFOLIOS}/{odd}P", {"name": "n", "description": "d", "members": [{"strategyId": f"{odd}S"}]})
    await user.put(f"{SUBSCRIBERS}/{odd}2", {"name": "n", "subscriptions": [{"strategyId": f"{odd}P"}]})
    assert (await user.get(f"{SUBSCRIBERS}/{odd}2"))["subscriptions"] == [{"strategyId": f"{odd}P"}]


async def test_health_needs_no_token(backend):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(backend.app), base_url="http://backend") as http:
        body = (await http.get("/healthz")).json()
    assert body["status"] == "ok"
    assert body["sequence"] >= body["projected"] >= 0


# ---------------------------------------------------------------------------------------------------- authentication


def addresses():
    for method, path, _ in TABLE:
        # whoever knows the last part of a webhook's or link's address needs no token
        if path not in ("/healthz", "/webhooks/{webhook_id}", LINK):
            yield method, path.replace("{", "").replace("}", "")


@pytest.mark.parametrize(("method", "path"), list(addresses()))
async def test_every_address_refuses_strangers_without_a_token(backend, method, path):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(backend.app), base_url="http://backend") as http:
        for headers in ({}, {"auth-token": ""}, {"auth-token": "x.y.z"}, {"authorization": "Bearer x.y.z"}):
            body = assert_error(await http.request(method, path, headers=headers), 401)
            assert body["error"] == "UnauthorizedError"


# -------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("path", ["/", "/users", "/users/current/configuration/strategies/", "/users/current/nothing"])
async def test_an_unknown_address_is_404_as_json_and_never_a_redirect(user, path):
    assert_error(await user.http.get(path), 404)


@pytest.mark.parametrize(("method", "path"), [("POST", STRATEGIES), ("DELETE", SUBSCRIBERS), ("PUT", "/healthz")])
async def test_an_unknown_method_is_405_as_json(user, method, path):
    assert_error(await user.http.request(method, path), 405)


async def test_a_405_names_all_methods_of_the_address(user):
    answer = await user.http.request("PATCH", f"{STRATEGIES}/{user.id('s')}")
    assert_error(answer, 405)
    assert answer.headers["allow"] == "DELETE, GET, HEAD, PUT"


async def test_a_body_of_nothing_but_faults_is_answered_shortly(user):
    body = {"name": "n", "description": "d", "accountId": "a", "riskLimits": [1] * 200_000}
    answer = await user.http.put(f"{STRATEGIES}/{user.id('s')}", json=body)
    details = assert_error(answer, 400)["details"]
    assert [detail["parameter"] for detail in details] == [f"riskLimits.{index}" for index in range(100)]
    assert "199999 more" in answer.json()["message"]
    assert len(answer.content) < 20_000


async def test_a_400_names_every_parameter_at_fault(user):
    limit = {"type": "monthly", "applyTo": "balance", "maxAbsoluteRisk": 1, "closePositions": False}
    answer = await user.http.put(
        f"{STRATEGIES}/{user.id('s')}", json={"description": "d", "accountId": "a", "riskLimits": [limit]}
    )
    body = assert_error(answer, 400)
    named = [detail["parameter"] for detail in body["details"]]
    assert {"name", "riskLimits.0.type", "riskLimits.0.applyTo"} <= set(named)
    assert all(detail["message"] for detail in body["details"])
    assert await user.status("GET", f"{STRATEGIES}/{user.id('s')}") == 404


BAD_BODIES = {
    "nothing": b"",
    "no json": b"{",
    "a list": b"[]",
    "a number": b"1",
    "null": b"null",
    "not a number": b'{"name": NaN}',
    "infinity": b'{"name": "n", "description": "d", "accountId": "a", "maxLeverage": 1e400}',
    "depth bomb": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "list bomb": b"[" * 400_000,
    "invalid utf-8": b'{"name": "\xff\xfe"}',
    "half a surrogate": b'{"name": "\\ud800", "description": "d", "accountId": "a"}',
    "NUL": b'{"name": "a\\u0000b", "description": "d", "accountId": "a"}',
    "wrong types": b'{"name": 1, "description": [], "accountId": {}}',
    "duplicate keys of wrong type": b'{"name": "a", "name": 2, "description": "d", "accountId": "a"}',
}


@pytest.mark.parametrize("name", BAD_BODIES)
@pytest.mark.parametrize("collection", [STRATEGIES, PORTFOLIOS, SUBSCRIBERS])
async def test_a_bad_body_is_400_and_writes_nothing(user, name, collection):
    assert_error(await user.http.put(f"{collection}/{user.id('bad')}", content=BAD_BODIES[name]), 400)
    assert await user.get(collection, includeRemoved="true") == []


async def test_a_body_above_one_megabyte_is_413_told_or_found_out(user):
    large = json.dumps({"name": "n" * 1_000_001}).encode()

    async def in_chunks():
        for start in range(0, len(large), 100_000):
            yield large[start : start + 100_000]

    path = f"{STRATEGIES}/{user.id('s')}"
    assert_error(await user.http.put(path, content=large), 413)
    assert_error(await user.http.put(path, content=in_chunks()), 413)


@pytest.mark.parametrize("strategy_id", ["ä", "a b", "a%00b", "x" * 65, "a%2Fb", "%ff"])
async def test_an_id_that_cannot_be_is_refused_on_write_and_unknown_on_read(user, strategy_id):
    document = {"name": "n", "description": "d", "accountId": user.id("p")}
    assert await user.status("PUT", f"{STRATEGIES}/{strategy_id}", json=document) in (400, 404)
    assert await user.status("GET", f"{STRATEGIES}/{strategy_id}") == 404


async def test_unknown_fields_and_old_ones_are_ignored(user):
    strategy_id = await user.provide(stopOutRisk={"absoluteValue": 1}, colour="red", platformCommissionRate=0.9)
    read = await user.get(f"{STRATEGIES}/{strategy_id}")
    assert "stopOutRisk" not in read
    assert "colour" not in read
    assert read["platformCommissionRate"] == 0


async def test_an_old_stopout_setting_is_warned_of_in_the_log(user):
    """The vendor's own samples still send it: whoever relies on it must not think that something stops there."""

    async def warnings(path: str) -> list[str]:
        since = {"startTime": "2020-01-01T00:00:00.000Z"}
        return [line["message"] for line in await user.get(f"{path}/user-log", **since) if line["level"] == "WARN"]

    strategy_id = await user.provide(stopOutRisk={"value": 0.4, "startTime": "2020-08-24T00:00:00.000Z"})
    clean = await user.provide("clean", description="stopOutRisk is only a word here")
    await user.subscribe(strategy_id, stopOutRisk={"absoluteValue": 1})
    of_strategy = await warnings(f"/users/current/strategies/{strategy_id}")
    of_subscriber = await warnings(f"/users/current/subscribers/{user.id('a')}")
    assert len(of_strategy) == len(of_subscriber) == 1
    assert all("stopOutRisk" in line and "riskLimits" in line for line in of_strategy + of_subscriber)
    assert await warnings(f"/users/current/strategies/{clean}") == []


# -------------------------------------------------------------------------------------------------------- rate limits


async def test_too_many_requests_are_told_when_to_come_back(backend):
    app = create_app(backend.core, ServerOptions("http://x", database_url(), requests_per_minute=3))
    first, second = backend.user(), backend.user()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://backend") as http:
        mine, other = {"auth-token": first.token}, {"auth-token": second.token}
        answers = [await http.get("/users/current/regions", headers=mine) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert (await http.get("/users/current/regions", headers=other)).status_code == 200
        assert (await http.get("/healthz")).status_code == 200
    body = assert_error(answers[3], 429)
    assert body["error"] == "TooManyRequestsError"
    assert 1 <= int(answers[3].headers["retry-after"]) <= 20
    metadata = body["metadata"]
    assert (metadata["periodInMinutes"], metadata["requestsPerPeriodAllowed"]) == (1, 3)
    soonest = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 15))
    assert metadata["recommendedRetryTime"].endswith("Z")
    assert metadata["recommendedRetryTime"] > soonest


# ----------------------------------------------------------------------------------------------------- query strings


@pytest.mark.parametrize(
    "query",
    [
        "from=2020-01-01T00:00:00.000Z&till=2030-01-01T00:00:00.000Z",
        'from="2020-01-01T00:00:00.000Z"&till="2030-01-01T00:00:00.000Z"&strategyId=["a"]&subscriberId=["b","c"]',
        "from=2020-01-01&till=2030-01-01&strategyId=a&strategyId=b",
        "from=2020-01-01T00:00:00%2B01:00&till=2030-01-01T00:00:00+01:00&strategyId[]=a&subscriberId[]=",
        "from=2020-01-01&till=2030-01-01&strategyId=&subscriberId=&offset=&limit=&colour=red",
    ],
)
@pytest.mark.parametrize("path", ["provided-transactions", "subscription-transactions"])
async def test_every_spelling_of_a_query_is_understood(user, path, query):
    answer = await user.http.get(f"http://backend/users/current/{path}?{query}")
    assert answer.status_code == 200, answer.text
    assert answer.json() == []


@pytest.mark.parametrize(
    ("changes", "parameter"),
    [
        ({"from": None}, "from"),
        ({"till": ""}, "till"),
        ({"from": "yesterday"}, "from"),
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"offset": -1}, "offset"),
        ({"offset": "1e400"}, "offset"),
        ({"strategyId": "[1,"}, None),
        ({"strategyId": '[{"a":1}]'}, "strategyId"),
        ({"strategyId": "a\0b"}, "strategyId"),
    ],
)
async def test_an_unreadable_parameter_is_named(user, changes, parameter):
    query = {name: value for name, value in {**PERIOD, **changes}.items() if value is not None}
    answer = await user.http.get("/users/current/provided-transactions", params=query)
    if parameter is None:
        assert answer.status_code == 200
    else:
        assert_error(answer, 400, parameter)
