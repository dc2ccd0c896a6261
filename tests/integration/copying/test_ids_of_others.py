"""An id that one may not use answers exactly like one that nobody has: status, body and headers, call by call."""

from __future__ import annotations

import json

import pytest

from tests.integration.copying.conftest import PORTFOLIOS, STRATEGIES, SUBSCRIBERS

pytestmark = [pytest.mark.anyio, pytest.mark.django_db]

CONFIGURATION = "/users/current/configuration"
TERMS = {"name": "n", "description": "d"}
SIMULATIONS = "/users/current/simulations"
PERIOD = {"startTime": "2026-01-01T00:00:00Z", "endTime": "2026-01-02T00:00:00Z"}
SIGNAL = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "time": "2026-01-01T00:00:00Z", "volume": 0.1}
STOPOUTS = "stopouts/day-balance-difference/reset"

# {id}: the foreign or the made-up one; {own}: a subscriber of the caller
CALLS = (
    ("strategy", "GET", STRATEGIES + "/{id}", None),
    ("strategy", "PUT", STRATEGIES + "/{id}", {**TERMS, "accountId": "{own}"}),
    ("strategy", "DELETE", STRATEGIES + "/{id}", {}),
    ("strategy", "PUT", PORTFOLIOS + "/{id}", {**TERMS, "members": []}),
    ("strategy", "GET", STRATEGIES + "/{id}/webhooks", None),
    ("strategy", "POST", STRATEGIES + "/{id}/webhooks", {}),
    ("strategy", "GET", "/users/current/strategies/{id}/external-signals", None),
    ("strategy", "PUT", "/users/current/strategies/{id}/external-signals/abcd1234", SIGNAL),
    ("strategy", "POST", "/users/current/strategies/{id}/external-signals/abcd1234/remove", {"time": SIGNAL["time"]}),
    ("strategy", "GET", "/users/current/strategies/{id}/transactions/stream?holdInSeconds=0", None),
    ("strategy", "GET", "/users/current/strategies/{id}/user-log", None),
    ("strategy", "GET", "/users/current/strategies/{id}/user-log/stream?holdInSeconds=0", None),
    ("strategy", "PUT", SUBSCRIBERS + "/{own}", {"name": "n", "subscriptions": [{"strategyId": "{id}"}]}),
    ("strategy", "DELETE", SUBSCRIBERS + "/{own}/subscriptions/{id}", {}),
    ("strategy", "PUT", PORTFOLIOS + "/{mine}", {**TERMS, "members": [{"strategyId": "{id}"}]}),
    ("strategy", "DELETE", PORTFOLIOS + "/{mine}/members/{id}", {}),
    ("strategy", "POST", SIMULATIONS, {**PERIOD, "changes": {"strategies": {"{id}": {**TERMS, "accountId": "a"}}}}),
    ("strategy", "POST", SIMULATIONS, {**PERIOD, "changes": {"strategies": {"{id}": None}}}),
    ("strategy", "POST", SIMULATIONS, {**PERIOD, "changes": {"portfolios": {"{id}": {**TERMS, "members": []}}}}),
    (
        "strategy",
        "POST",
        SIMULATIONS,
        {
            **PERIOD,
            "changes": {"subscribers": {"{own}": {"name": "n", "subscriptions": [{"strategyId": "{id}"}]}}},
        },
    ),
    ("strategy", "POST", SIMULATIONS, {**PERIOD, "strategyId": "{id}"}),
    ("strategy", "GET", "/users/current/decisions?strategyId={id}", None),
    ("strategy", "GET", "/users/current/provided-transactions?from=2020-01-01&till=2030-01-01&strategyId={id}", None),
    ("strategy", "POST", "/users/current/subscribers/{own}/subscription-strategies/{id}/" + STOPOUTS, None),
    ("portfolio", "GET", PORTFOLIOS + "/{id}", None),
    ("portfolio", "PUT", PORTFOLIOS + "/{id}", {**TERMS, "members": []}),
    ("portfolio", "PUT", STRATEGIES + "/{id}", {**TERMS, "accountId": "{own}"}),
    ("portfolio", "DELETE", PORTFOLIOS + "/{id}", {}),
    ("portfolio", "PUT", SUBSCRIBERS + "/{own}", {"name": "n", "subscriptions": [{"strategyId": "{id}"}]}),
    ("portfolio", "PUT", PORTFOLIOS + "/{mine}", {**TERMS, "members": [{"strategyId": "{id}"}]}),
    ("account", "GET", SUBSCRIBERS + "/{id}", None),
    ("account", "DELETE", SUBSCRIBERS + "/{id}", {}),
    ("account", "DELETE", SUBSCRIBERS + "/{id}/subscriptions/x", {}),
    ("account", "GET", "/users/current/subscribers/{id}/signals", None),
    ("account", "POST", "/users/current/subscribers/{id}/resynchronize", None),
    ("account", "GET", "/users/current/subscribers/{id}/stopouts", None),
    ("account", "POST", "/users/current/subscribers/{id}/" + STOPOUTS, None),
    ("account", "GET", "/users/current/subscribers/{id}/user-log", None),
    ("account", "GET", "/users/current/subscribers/{id}/user-log/stream?holdInSeconds=0", None),
    ("account", "GET", "/users/current/subscribers/{id}/transactions/stream?holdInSeconds=0", None),
    ("account", "GET", "/users/current/accounts/{id}/account-information", None),
    ("account", "GET", "/users/current/accounts/{id}/positions", None),
    ("account", "GET", "/users/current/accounts/{id}/orders", None),
    (
        "account",
        "POST",
        "/users/current/accounts/{id}/trade",
        {"actionType": "ORDER_TYPE_BUY", "symbol": "EURUSD", "volume": 0.1},
    ),
    ("account", "POST", "/users/current/accounts/{id}/deposit", {"amount": 1}),
    ("account", "GET", "/users/current/decisions?subscriberId={id}", None),
    ("account", "POST", SIMULATIONS, {**PERIOD, "subscriberId": "{id}"}),
)


@pytest.fixture
async def foreign(user):
    """What somebody has that the caller may not know of."""
    strategy = await user.provide("hid")
    await user.put(f"{PORTFOLIOS}/{user.id('pf')}", {**TERMS, "members": [{"strategyId": strategy}]})
    account = await user.subscribe(strategy)
    await user.signal(strategy)
    return {"strategy": strategy, "portfolio": user.id("pf"), "account": account}


def answer_of(answer, used: str) -> tuple:
    """Everything of an answer but what names the asked id itself and the number of the error."""
    body = answer.json() if answer.content else None
    if isinstance(body, dict):
        body.pop("id", None)
    headers = {name: value for name, value in answer.headers.items() if name not in ("date", "content-length")}
    return answer.status_code, json.dumps(body).replace(used, "ID"), headers


@pytest.mark.parametrize(("kind", "method", "path", "body"), CALLS)
async def test_a_foreign_id_answers_like_one_that_nobody_has(user, stranger, foreign, kind, method, path, body):
    own = await stranger.subscribe()
    await stranger.put(f"{PORTFOLIOS}/{stranger.id('mine')}", {**TERMS, "members": []})
    before = [await user.get(f"{SUBSCRIBERS}/{foreign['account']}"), await user.get(STRATEGIES)]
    stranger.reserves = False

    async def ask(used: str) -> tuple:
        def filled(text: str) -> str:
            return text.replace("{id}", used).replace("{own}", own).replace("{mine}", stranger.id("mine"))

        sent = {"json": json.loads(filled(json.dumps(body)))} if body is not None else {}
        return answer_of(await stranger.http.request(method, filled(path), **sent), used)

    made_up = foreign[kind][:-1] + ("Z" if foreign[kind][-1] != "Z" else "Y")
    answer = await ask(foreign[kind])
    assert answer == await ask(made_up)
    assert answer[0] in (200, 400, 404)
    assert [await user.get(f"{SUBSCRIBERS}/{foreign['account']}"), await user.get(STRATEGIES)] == before


async def test_ids_that_were_handed_out_to_somebody_else_are_no_ids_of_mine(user, stranger):
    stranger.reserves = user.reserves = False
    handed = (await user.get(f"{CONFIGURATION}/unused-strategy-id"))["id"]
    document = {**TERMS, "accountId": stranger.id("p")}
    taken, free = [
        answer_of(await stranger.http.put(f"{STRATEGIES}/{each}", json=document), each) for each in (handed, "zZ9z")
    ]
    assert taken == free
    assert taken[0] == 404
    assert await user.status("PUT", f"{STRATEGIES}/{handed}", json={**TERMS, "accountId": user.id("p")}) == 204
    assert await user.status("PUT", f"{STRATEGIES}/{handed}", json={**TERMS, "accountId": user.id("p")}) == 204


async def test_offered_strategies_are_listed_followed_and_told_of(user, stranger):
    strategy = await user.provide("off", offer={"to": "tenants", "tenants": [stranger.tenant]})
    await user.provide("hid")
    [offered] = await stranger.get("/users/current/offered-strategies")
    assert offered == {
        "strategyId": strategy,
        "name": "off",
        "description": "d",
        "portfolio": False,
        "provider": {"id": user.tenant, "name": user.tenant},
    }
    assert await user.get("/users/current/offered-strategies") == []
    subscriber = await stranger.subscribe(strategy)
    await user.signal(strategy, "first001")
    assert len(await stranger.get(f"/users/current/accounts/{subscriber}/positions")) == 1
    await user.put(f"{STRATEGIES}/{strategy}", {**TERMS, "accountId": user.id("provider-off")})
    await user.signal(strategy, "second01", symbol="GBPUSD")
    decisions = (await stranger.get("/users/current/decisions"))["items"]
    assert [each["reason"] for each in decisions] == ["not-offered", "copied"]
    assert decisions[0]["strategyId"] == strategy
    document = await stranger.get(f"{SUBSCRIBERS}/{subscriber}")
    assert document["subscriptions"][0]["offered"] is False
    await stranger.put(f"{SUBSCRIBERS}/{subscriber}", document | {"name": "renamed"})
    [listed] = await stranger.get(SUBSCRIBERS)
    assert (listed["name"], listed["subscriptions"][0]["offered"]) == ("renamed", False)
    log = await stranger.get(f"/users/current/subscribers/{subscriber}/user-log")
    for heard in (decisions, log, await stranger.get(f"/users/current/subscribers/{subscriber}/signals")):
        assert "GBPUSD" not in json.dumps(heard)
        assert "second01" not in json.dumps(heard)


@pytest.mark.parametrize(
    ("offer", "parameter"),
    [
        ({}, "offer.to"),
        ({"to": "friends"}, "offer.to"),
        ({"to": "tenants"}, "offer.tenants"),
        ({"to": "tenants", "tenants": []}, "offer.tenants"),
        ({"to": "everybody", "tenants": ["a"]}, "offer.tenants"),
        ({"to": "tenants", "tenants": ["a", "a"]}, "offer.tenants.1"),
        ({"to": "tenants", "tenants": ["a b"]}, "offer.tenants.0"),
        ({"to": "tenants", "tenants": ["a\n"]}, "offer.tenants.0"),
        ({"to": "tenants", "tenants": [f"t{n}" for n in range(201)]}, "offer.tenants"),
    ],
)
async def test_an_offer_that_nobody_could_mean_is_refused(user, offer, parameter):
    for path, rest in ((STRATEGIES, {"accountId": "x"}), (PORTFOLIOS, {"members": []})):
        answer = await user.http.put(f"{path}/{user.id('x')}", json={**TERMS, **rest, "offer": offer})
        assert answer.status_code == 400
        assert parameter in [each["parameter"] for each in answer.json()["details"]]
