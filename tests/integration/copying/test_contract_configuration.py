"""Strategies, portfolios, subscribers and webhooks (contract, 2.1: C1 to C19) over raw HTTP."""

import re
import time

import pytest

from tests.integration.copying.conftest import PORTFOLIOS, STRATEGIES, SUBSCRIBERS, assert_error, iso

pytestmark = [pytest.mark.anyio, pytest.mark.django_db]
DAY = 86_400


async def test_c1_gives_an_unused_id_of_four_characters(user):
    answer = await user.get("/users/current/configuration/unused-strategy-id")
    assert re.fullmatch("[A-Za-z0-9]{4}", answer["id"])
    assert await user.status("GET", f"{STRATEGIES}/{answer['id']}") == 404


async def test_c3_c4_a_put_creates_replaces_and_may_be_repeated(user):
    path = f"{STRATEGIES}/{user.id('s')}"
    document = {"name": "n", "description": "d", "accountId": user.id("p"), "maxLeverage": 10}
    await user.put(path, document)
    await user.put(path, document)
    assert await user.get(path) == {**document, "_id": user.id("s"), "platformCommissionRate": 0}
    await user.put(path, {"name": "m", "description": "d", "accountId": user.id("p")})
    read = await user.get(path)
    assert read["name"] == "m"
    assert "maxLeverage" not in read


async def test_documents_come_back_as_they_were_sent(user):
    sent = {
        "name": "n",
        "description": "d",
        "accountId": user.id("p"),
        "skipPendingOrders": False,
        "symbolFilter": {"included": ["EURUSD"], "excluded": []},
        "symbolMapping": [{"from": "EURUSD", "to": "EURUSDm"}],
        "riskLimits": [
            {
                "type": "month-to-date",
                "applyTo": "balance-minus-equity",
                "maxRelativeRisk": 0.1,
                "closePositions": True,
                "startTime": "2026-01-01T00:00:00.000Z",
            }
        ],
        "drawdownFilter": {"maxDrawdown": 0.2, "action": "exclude"},
        "commissionScheme": {"type": "high-water-mark", "billingPeriod": "month", "commissionRate": 0.2},
        "telegram": {"publishing": {"token": "t", "chatId": "@c", "template": "${symbol}"}},
    }
    path = f"{STRATEGIES}/{user.id('s')}"
    await user.put(path, sent)
    read = await user.get(path)
    assert {name: read[name] for name in sent} == sent


LISTS = {"strategies": STRATEGIES, "portfolios": PORTFOLIOS, "subscribers": SUBSCRIBERS}


async def fill(user, collection, count):
    for number in range(count):
        body = {"name": f"n{number}", "description": "d", "accountId": user.id("p"), "subscriptions": [], "members": []}
        await user.put(f"{collection}/{user.id(f'n{number}')}", body)


@pytest.mark.parametrize("kind", LISTS)
async def test_c2_c6_c11_both_styles_of_pages(user, stranger, kind):
    collection = LISTS[kind]
    await fill(user, collection, 5)
    ids = [user.id(f"n{number}") for number in range(5)]
    assert [each["_id"] for each in await user.get(collection)] == ids
    assert [each["_id"] for each in await user.get(collection, limit=2, offset=3)] == ids[3:]
    assert await user.get(collection, offset=5) == []
    for version, style in (("1", list), ("2", dict)):
        answer = await user.http.get(collection, params={"limit": 2}, headers={"api-version": version})
        assert type(answer.json()) is style
    assert answer.json()["count"] == 5
    assert [each["_id"] for each in answer.json()["items"]] == ids[:2]
    assert_error(await user.http.get(collection, headers={"api-version": "3"}), 400)
    assert_error(await user.http.get(collection, params={"includeRemoved": "perhaps"}), 400, "includeRemoved")
    assert await stranger.get(collection) == []


async def test_c7_c8_a_portfolio_and_its_members(user):
    strategy_id = await user.provide()
    path = f"{PORTFOLIOS}/{user.id('p')}"
    member = {"strategyId": strategy_id, "multiplier": 0.5}
    await user.put(path, {"name": "p", "description": "d", "members": [member]})
    read = await user.get(path)
    assert read["members"] == [member]
    assert read["platformCommissionRate"] == 0
    assert await user.status("GET", f"{STRATEGIES}/{user.id('p')}") == 404
    own = [{"strategyId": user.id("p")}]
    answer = await user.http.put(path, json={"name": "p", "description": "d", "members": own})
    assert_error(answer, 400, "members.0.strategyId")
    assert (await user.get(path))["members"] == [member]


async def test_c8_a_member_that_is_left_out_copies_nothing_new_and_ends_with_its_signals(user):
    strategy_id = await user.provide()
    path = f"{PORTFOLIOS}/{user.id('p')}"
    document = {"name": "p", "description": "d", "members": [{"strategyId": strategy_id}]}
    await user.put(path, document)
    subscriber_id = await user.subscribe(user.id("p"))
    positions = f"/users/current/accounts/{subscriber_id}/positions"
    await user.signal(strategy_id, "first001")
    await user.put(path, {**document, "members": []})
    await user.signal(strategy_id, "second01")
    assert len(await user.get(positions)) == 1
    removal = f"/users/current/strategies/{strategy_id}/external-signals/first001/remove"
    assert await user.status("POST", removal, json={"time": "2026-01-01T00:00:00.000Z"}) == 204
    assert await user.get(positions) == []


async def test_portfolios_that_would_contain_each_other_are_refused(user):
    strategy_id = await user.provide()
    first, second = f"{PORTFOLIOS}/{user.id('p1')}", f"{PORTFOLIOS}/{user.id('p2')}"
    await user.put(first, {"name": "p", "description": "d", "members": [{"strategyId": strategy_id}]})
    await user.put(second, {"name": "p", "description": "d", "members": [{"strategyId": user.id("p1")}]})
    ring = {"name": "p", "description": "d", "members": [{"strategyId": user.id("p2")}]}
    assert_error(await user.http.put(first, json=ring), 400, "members.0.strategyId")


async def test_portfolios_stand_at_most_eight_deep_in_each_other(user):
    below = await user.provide()
    for depth in range(1, 9):
        body = {"name": "p", "description": "d", "members": [{"strategyId": below}]}
        await user.put(f"{PORTFOLIOS}/{user.id(f'd{depth}')}", body)
        below = user.id(f"d{depth}")
    ninth = {"name": "p", "description": "d", "members": [{"strategyId": below}]}
    assert_error(await user.http.put(f"{PORTFOLIOS}/{user.id('d9')}", json=ninth), 400, "members.0.strategyId")
    other = {"name": "p", "description": "d", "members": [{"strategyId": await user.provide("other")}]}
    await user.put(f"{PORTFOLIOS}/{user.id('x')}", other)
    pushed = {"name": "p", "description": "d", "members": [{"strategyId": user.id("x")}]}
    assert_error(await user.http.put(f"{PORTFOLIOS}/{user.id('d1')}", json=pushed), 400, "members.0.strategyId")


async def test_portfolios_lead_to_their_strategies_on_a_bounded_number_of_ways(user):
    layer = [await user.provide(f"w{number}") for number in range(4)]
    for depth in range(4):  # every portfolio of a layer holds all of the layer below: 4, 16, 64, 256 ways
        fresh = [user.id(f"w{depth}x{number}") for number in range(4)]
        members = [{"strategyId": each} for each in layer]
        for portfolio_id in fresh:
            await user.put(f"{PORTFOLIOS}/{portfolio_id}", {"name": "p", "description": "d", "members": members})
        layer = fresh
    last = {"name": "p", "description": "d", "members": [{"strategyId": each} for each in layer]}
    body = assert_error(await user.http.put(f"{PORTFOLIOS}/{user.id('top')}", json=last), 400, "members")
    assert "more than 1000 ways" in body["message"]
    last["members"].pop()
    await user.put(f"{PORTFOLIOS}/{user.id('top')}", last)
    subscription = {"strategyId": user.id("top"), "multiplier": 0.01, "tradeSizeScaling": {"mode": "none"}}
    await user.put(f"{SUBSCRIBERS}/{user.id('a')}", {"name": "a", "subscriptions": [subscription]})
    changed = {**last, "members": [*last["members"], {"strategyId": layer[-1]}]}
    request = {"startTime": "2026-01-01T00:00:00.000Z", "endTime": "2026-01-02T00:00:00.000Z"}
    request["changes"] = {"portfolios": {user.id("top"): changed}}
    answer = await user.http.post("/users/current/simulations", json=request)
    assert_error(answer, 400, f"changes.portfolios.{user.id('top')}.members")


async def test_expressions_that_cannot_be_computed_are_refused_with_their_place(user):
    def scaling(expression):
        return {"tradeSizeScaling": {"mode": "expression", "expression": expression}}

    strategy_id = await user.provide()
    strategy = {"name": "n", "description": "d", "accountId": user.id("p"), **scaling("providerVolume * import('os')")}
    answer = await user.http.put(f"{STRATEGIES}/{user.id('e')}", json=strategy)
    body = assert_error(answer, 400, "tradeSizeScaling.expression")
    assert "at character 25" in body["details"][0]["message"]
    assert await user.status("GET", f"{STRATEGIES}/{user.id('e')}") == 404

    members = [{"strategyId": strategy_id}, {"strategyId": await user.provide("s2"), **scaling("1 +")}]
    portfolio = {"name": "p", "description": "d", "members": members}
    answer = await user.http.put(f"{PORTFOLIOS}/{user.id('e')}", json=portfolio)
    assert_error(answer, 400, "members.1.tradeSizeScaling.expression")

    subscriber = {"name": "a", "subscriptions": [{"strategyId": strategy_id, **scaling("balance ? 1")}], **scaling("(")}
    answer = await user.http.put(f"{SUBSCRIBERS}/{user.id('e')}", json=subscriber)
    assert "subscriptions.0.tradeSizeScaling.expression" in [each["parameter"] for each in answer.json()["details"]]
    good = {"name": "a", "subscriptions": [{"strategyId": strategy_id, **scaling("min(providerVolume, 0.1)")}]}
    await user.put(f"{SUBSCRIBERS}/{user.id('e')}", good)


async def test_c10_a_member_is_removed_once(user):
    kept, gone = await user.provide("s1"), await user.provide("s2")
    path = f"{PORTFOLIOS}/{user.id('p')}"
    members = [{"strategyId": kept}, {"strategyId": gone}]
    await user.put(path, {"name": "p", "description": "d", "members": members})
    assert await user.status("DELETE", f"{path}/members/{gone}") == 204
    assert [member["strategyId"] for member in (await user.get(path))["members"]] == [kept]
    assert await user.status("DELETE", f"{path}/members/{gone}") == 404
    assert await user.status("DELETE", f"{path}/members/unknown") == 404


async def test_c12_c13_a_subscriber_is_its_account(user):
    strategy_id = await user.provide()
    subscriber_id = await user.subscribe(strategy_id, maxLeverage=5)
    read = await user.get(f"{SUBSCRIBERS}/{subscriber_id}")
    assert (read["_id"], read["name"], read["maxLeverage"]) == (subscriber_id, "a", 5)
    assert read["subscriptions"][0]["strategyId"] == strategy_id
    account = await user.get(f"/users/current/accounts/{subscriber_id}/account-information")
    assert (account["currency"], account["balance"], account["leverage"]) == ("USD", 10_000, 100)


async def test_subscribing_to_what_does_not_exist_is_refused(user):
    body = {"name": "a", "subscriptions": [{"strategyId": "none"}]}
    answer = await user.http.put(f"{SUBSCRIBERS}/{user.id('a')}", json=body)
    assert_error(answer, 400, "subscriptions.0.strategyId")
    assert await user.status("GET", f"{SUBSCRIBERS}/{user.id('a')}") == 404


@pytest.mark.parametrize("body", [None, {}, {"mode": "preserve"}, {"mode": "close-gracefully-by-position"}])
async def test_c5_c9_c14_what_has_no_positions_is_gone_at_once(user, body):
    strategy_id = await user.provide()
    await user.put(f"{PORTFOLIOS}/{user.id('p')}", {"name": "p", "description": "d", "members": []})
    subscriber_id = await user.subscribe()
    for path in (
        f"{SUBSCRIBERS}/{subscriber_id}",
        f"{PORTFOLIOS}/{user.id('p')}",
        f"{STRATEGIES}/{strategy_id}",
    ):
        request = {} if body is None else {"json": body}
        assert await user.status("DELETE", path, **request) == 204
        assert await user.status("DELETE", path, **request) == 404
        assert await user.status("GET", path) == 404


async def test_what_still_has_positions_winds_down(user):
    strategy_id = await user.provide()
    subscriber_id = await user.subscribe(strategy_id)
    await user.signal(strategy_id)
    path = f"{STRATEGIES}/{strategy_id}"
    gently = {"mode": "close-gracefully-by-position"}
    assert await user.status("DELETE", path, json=gently) == 204
    assert await user.get(STRATEGIES) == []
    [listed] = await user.get(STRATEGIES, includeRemoved="true")
    assert listed["removed"] is True
    assert listed["closeOnRemovalMode"] == "close-gracefully-by-position"
    assert (await user.get(path))["closeOnRemovalMode"] == "close-gracefully-by-position"
    answer = await user.http.put(path, json={"name": "n", "description": "d", "accountId": user.id("p")})
    assert_error(answer, 400)
    assert await user.status("DELETE", path, json=gently) == 204
    assert await user.status("DELETE", path) == 204
    assert await user.status("GET", path) == 404
    assert await user.get(f"/users/current/accounts/{subscriber_id}/positions") == []


async def test_c15_a_subscription_is_removed_with_its_own_instructions(user):
    strategy_id = await user.provide()
    subscriber_id = await user.subscribe(strategy_id)
    await user.signal(strategy_id)
    path = f"{SUBSCRIBERS}/{subscriber_id}/subscriptions/{strategy_id}"
    body = {"mode": "close-gracefully-by-symbol", "removeAfter": "2020-01-01T00:00:00.000Z"}
    assert await user.status("DELETE", path, json=body) == 204
    [subscription] = (await user.get(f"{SUBSCRIBERS}/{subscriber_id}"))["subscriptions"]
    assert subscription["removed"] is True
    assert await user.status("DELETE", path) == 204
    assert (await user.get(f"{SUBSCRIBERS}/{subscriber_id}"))["subscriptions"] == []
    assert await user.status("DELETE", path) == 404


@pytest.mark.parametrize(("days", "status"), [(29.9, 400), (29.97, 204), (30.1, 204), (89, 204), (90.1, 400)])
async def test_remove_after_is_between_30_and_90_days(user, days, status):
    strategy_id = await user.provide()
    body = {"mode": "close-gracefully-by-position", "removeAfter": iso(time.time() + days * DAY)}
    assert await user.status("DELETE", f"{STRATEGIES}/{strategy_id}", json=body) == status


@pytest.mark.parametrize("body", [{"mode": "softly"}, {"removeAfter": "soon"}, [], "x"])
async def test_wrong_close_instructions_are_refused_and_nothing_is_removed(user, body):
    strategy_id = await user.provide()
    assert await user.status("DELETE", f"{STRATEGIES}/{strategy_id}", json=body) == 400
    assert (await user.get(f"{STRATEGIES}/{strategy_id}"))["_id"] == strategy_id


async def test_a_stranger_finds_nothing_and_takes_nothing(user, stranger):
    strategy_id = await user.provide()
    subscriber_id = await user.subscribe(strategy_id)
    await user.put(f"{PORTFOLIOS}/{user.id('p')}", {"name": "p", "description": "d", "members": []})
    bodies = {
        f"{STRATEGIES}/{strategy_id}": {"name": "n", "description": "d", "accountId": "x"},
        f"{PORTFOLIOS}/{user.id('p')}": {"name": "n", "description": "d", "members": []},
        f"{SUBSCRIBERS}/{subscriber_id}": {"name": "n", "subscriptions": []},
    }
    for path, body in bodies.items():
        assert await stranger.status("GET", path) == 404
        assert await stranger.status("DELETE", path) == 404
        assert await stranger.status("PUT", path, json=body) == 404
    taken = {"name": "n", "description": "d", "accountId": subscriber_id}
    assert await stranger.status("PUT", f"{STRATEGIES}/{stranger.id('s')}", json=taken) == 404
    assert (await user.get(f"{STRATEGIES}/{strategy_id}"))["name"] == "s"


# ---------------------------------------------------------------------------------------------------------- webhooks


async def test_c16_to_c19_the_life_of_a_webhook(user, stranger):
    strategy_id = await user.provide()
    path = f"{STRATEGIES}/{strategy_id}/webhooks"
    mapping = [{"from": "EURUSDi", "to": "EURUSD"}]
    made = await user.http.post(path, json={"magic": 7, "symbolMapping": mapping})
    assert made.status_code == 201
    webhook_id = made.json()["id"]
    assert re.fullmatch("[A-Za-z0-9]{32}", webhook_id)
    assert made.json()["url"] == f"http://127.0.0.1:8001/webhooks/{webhook_id}"
    [read] = await user.get(path)
    assert read["_id"] == webhook_id
    assert read["url"] == made.json()["url"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", read["createdAt"])
    assert (read["magic"], read["symbolMapping"]) == (7, mapping)
    assert await user.status("PATCH", f"{path}/{webhook_id}", json={"magic": 8}) == 204
    [read] = await user.get(path)
    assert (read["magic"], read["symbolMapping"]) == (8, mapping)
    for method in ("PATCH", "DELETE"):
        assert await stranger.status(method, f"{path}/{webhook_id}", json={}) == 404
        assert await user.status(method, f"{path}/unknown", json={}) == 404
    assert await user.status("DELETE", f"{path}/{webhook_id}") == 204
    assert await user.status("DELETE", f"{path}/{webhook_id}") == 404
    assert await user.get(path) == []


async def test_webhooks_have_a_paging_style_of_their_own(user):
    strategy_id = await user.provide()
    path = f"{STRATEGIES}/{strategy_id}/webhooks"
    made = [(await user.http.post(path)).json()["id"] for _ in range(3)]
    assert [each["_id"] for each in await user.get(path, paginationStyle="infiniteScroll")] == made
    page = await user.get(path, paginationStyle="classic", limit=2, offset=1)
    assert page["count"] == 3
    assert [each["_id"] for each in page["items"]] == made[1:]
    assert_error(await user.http.get(path, params={"paginationStyle": "spiral"}), 400, "paginationStyle")


async def test_webhooks_of_an_unknown_strategy_or_with_a_wrong_body_are_refused(user):
    strategy_id = await user.provide()
    assert await user.status("POST", f"{STRATEGIES}/unknown/webhooks", json={}) == 404
    assert await user.status("GET", f"{STRATEGIES}/unknown/webhooks") == 404
    for body in ({"magic": "x"}, {"magic": 1.5}, {"symbolMapping": [{"from": "A"}]}):
        assert await user.status("POST", f"{STRATEGIES}/{strategy_id}/webhooks", json=body) == 400
