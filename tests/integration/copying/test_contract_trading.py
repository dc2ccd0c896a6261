"""Resynchronisation, stopouts and resets (contract, T1 to T5) and the paper accounts (E1, E4 to E6) over raw HTTP."""

import pytest

from tests.integration.copying.conftest import STRATEGIES, assert_error

pytestmark = [pytest.mark.anyio, pytest.mark.django_db]
LIMIT_TYPES = (
    "day date week week-to-date month month-to-date quarter quarter-to-date year year-to-date lifetime"  # contract, 3.5
)
LIMIT_BASES = "balance-difference balance-minus-equity equity-difference"
REASON = "lifetime-balance-minus-equity"


def account(account_id):
    return f"/users/current/accounts/{account_id}"


async def stopped_out(user, backend):
    """A subscriber whose floating loss has passed a limit of its subscription's strategy."""
    limit = {"type": "lifetime", "applyTo": "balance-minus-equity", "maxAbsoluteRisk": 100, "closePositions": True}
    strategy_id = await user.provide(riskLimits=[limit])
    subscriber_id = await user.subscribe(strategy_id)
    await user.signal(strategy_id, volume=1.0)
    backend.market.prices = {**backend.market.prices, "EURUSD": (1.09, 1.09008)}
    backend.core.look_at_market()
    await user.signal(strategy_id, "other123", symbol="GBPUSD")
    backend.market.prices = {**backend.market.prices, "EURUSD": (1.1, 1.10008)}
    backend.core.look_at_market()
    return strategy_id, subscriber_id


async def test_t2_t5_a_stopout_is_listed_and_streamed(user, stranger, backend):
    strategy_id, subscriber_id = await stopped_out(user, backend)
    path = f"/users/current/subscribers/{subscriber_id}/stopouts"
    [stopout] = await user.get(path)
    assert stopout["strategy"] == {"id": strategy_id, "name": "s"}
    assert (stopout["reason"], stopout["closePositions"]) == (REASON, True)
    assert {"partial", "reasonDescription", "stoppedAt", "stoppedTill"} <= set(stopout)
    streamed = await user.get("/users/current/stopouts/stream", previousSequenceNumber=0)
    assert [(each["sequenceNumber"], each["subscriberId"]) for each in streamed] == [(1, subscriber_id)]
    assert await stranger.status("GET", path) == 404
    assert await stranger.get("/users/current/stopouts/stream", previousSequenceNumber=0, holdInSeconds=0) == []


async def test_e10_tells_how_near_every_limit_is_and_agrees_with_what_fires(user, stranger, backend):
    day = {"type": "date", "applyTo": "balance-minus-equity", "maxRelativeRisk": 0.5, "closePositions": True}
    lifetime = {"type": "lifetime", "applyTo": "balance-minus-equity", "maxAbsoluteRisk": 100, "closePositions": True}
    strategy_id = await user.provide(riskLimits=[lifetime])
    subscriber_id = await user.subscribe(strategy_id, riskLimits=[day])
    path = "/users/current/risk-limits"
    await user.signal(strategy_id, volume=0.1)
    backend.market.prices = {**backend.market.prices, "EURUSD": (1.0999, 1.09998)}
    backend.core.look_at_market()
    [told] = await user.get(path)
    [of_account] = [each for each in told["limits"] if "strategyId" not in each]
    [of_subscription] = [each for each in told["limits"] if "strategyId" in each]
    state = await user.get(f"{account(subscriber_id)}/account-information")
    assert (told["accountId"], told["currency"]) == (subscriber_id, "USD")
    assert of_subscription["strategyId"] == strategy_id
    assert (of_subscription["maxAbsoluteRisk"], of_subscription["level"], of_subscription["stopped"]) == (
        100,
        "strategy",
        False,
    )
    assert 0 < of_subscription["drawdown"] < 100
    assert of_account["drawdown"] == pytest.approx(of_account["startBalance"] - state["equity"])
    assert "maxRelativeRisk" not in of_subscription
    assert "maxAbsoluteRisk" not in of_account
    assert await user.get(path, after=subscriber_id) == []
    assert await stranger.get(path) == []
    backend.market.prices = {**backend.market.prices, "EURUSD": (1.08, 1.08008)}
    backend.core.look_at_market()
    await user.signal(strategy_id, "other123", symbol="GBPUSD")
    [told] = await user.get(path)
    assert [each["stopped"] for each in told["limits"] if "strategyId" in each] == [True]


async def test_t3_resets_at_the_level_that_fired(user, backend):
    strategy_id, subscriber_id = await stopped_out(user, backend)
    base = f"/users/current/subscribers/{subscriber_id}"
    subscription = f"{base}/subscription-strategies/{strategy_id}/stopouts"
    assert await user.status("POST", f"{base}/stopouts/{REASON}/reset") == 204
    assert len(await user.get(f"{base}/stopouts")) == 1
    assert await user.status("POST", f"{subscription}/day-balance-difference/reset") == 204
    assert await user.status("POST", f"{subscription}/{REASON}/reset") == 204
    assert await user.get(f"{base}/stopouts") == []
    assert await user.status("POST", f"{subscription}/{REASON}/reset") == 204


async def test_t3_t4_refuse_unknown_reasons_and_strangers(user, stranger):
    strategy_id = await user.provide()
    subscriber_id = await user.subscribe(strategy_id)
    base = f"/users/current/subscribers/{subscriber_id}"
    for path in (f"{base}/stopouts", f"{base}/subscription-strategies/{strategy_id}/stopouts"):
        assert_error(await user.http.post(f"{path}/daily-equity/reset"), 400, "reason")
        assert await stranger.status("POST", f"{path}/{REASON}/reset") == 404
    unknown = f"{base}/subscription-strategies/unknown/stopouts/{REASON}/reset"
    assert await user.status("POST", unknown) == 404


async def test_t3_t4_know_all_33_reasons_and_an_inactive_one_has_no_effect(user):
    strategy_id = await user.provide()
    subscriber_id = await user.subscribe(strategy_id)
    base = f"/users/current/subscribers/{subscriber_id}"
    reasons = [f"{kind}-{basis}" for kind in LIMIT_TYPES.split() for basis in LIMIT_BASES.split()]
    assert len(reasons) == 33
    for path in (f"{base}/stopouts", f"{base}/subscription-strategies/{strategy_id}/stopouts"):
        for reason in reasons:
            assert await user.status("POST", f"{path}/{reason}/reset") == 204
    assert await user.get(f"{base}/stopouts") == []


async def test_t1_reopens_what_was_closed_by_hand(user, stranger):
    strategy_id = await user.provide()
    subscriber_id = await user.subscribe(strategy_id)
    await user.signal(strategy_id)
    [position] = await user.get(f"{account(subscriber_id)}/positions")
    close = {"actionType": "POSITION_CLOSE_ID", "positionId": position["id"]}
    assert (await user.http.post(f"{account(subscriber_id)}/trade", json=close)).status_code == 200
    assert await user.get(f"{account(subscriber_id)}/positions") == []
    path = f"/users/current/subscribers/{subscriber_id}/resynchronize"
    assert await user.status("POST", path, params={"strategyId": "another"}) == 204
    assert await user.get(f"{account(subscriber_id)}/positions") == []
    assert await user.status("POST", path, params={"strategyId": [strategy_id, "another"], "positionId": ""}) == 204
    assert len(await user.get(f"{account(subscriber_id)}/positions")) == 1
    assert await stranger.status("POST", path) == 404
    assert await user.status("POST", "/users/current/subscribers/unknown/resynchronize") == 404


# ---------------------------------------------------------------------------------------------------- paper accounts


async def test_e1_e5_e6_an_account_is_opened_funded_and_read(user, stranger):
    euros, yen = user.id("euros"), user.id("yen")
    await user.put(account(euros), {"name": "E", "currency": "EUR", "leverage": 30, "deposit": 5000})
    await user.put(account(yen), {"name": "Y", "currency": "JPY", "deposit": 1_000_000, "demo": False})
    answer = await user.http.post(f"{account(euros)}/deposit", json={"amount": -1000, "comment": "out"})
    assert answer.status_code == 204
    first, second = await user.get("/users/current/account-information")
    assert first == await user.get(f"{account(euros)}/account-information")
    assert (first["accountId"], first["currency"], first["balance"], first["leverage"]) == (euros, "EUR", 4000, 30)
    assert (second["accountId"], second["demo"]) == (yen, False)
    assert {"name", "equity", "margin", "freeMargin", "positions", "simulated", "time"} <= set(first)
    [only] = await user.get("/users/current/account-information", limit=1, after=euros)
    assert only["accountId"] == yen
    assert await stranger.get("/users/current/account-information") == []
    for path in ("account-information", "positions", "orders"):
        assert await stranger.status("GET", f"{account(euros)}/{path}") == 404
    assert await stranger.status("PUT", account(euros), json={"name": "mine"}) == 404
    assert await stranger.status("POST", f"{account(euros)}/deposit", json={"amount": 1}) == 404


@pytest.mark.parametrize(
    ("currency", "amount", "words"),
    [("USD", 0.015, "at most 2 decimals"), ("USD", 1e-9, "USD"), ("JPY", 0.5, "no decimals")],
)
async def test_e6_money_is_never_rounded(user, currency, amount, words):
    path = account(user.id("purse"))
    await user.put(path, {"name": "P", "currency": currency, "deposit": 100})
    for refused in (
        await user.http.post(f"{path}/deposit", json={"amount": amount}),
        await user.http.put(path + "x", json={"name": "P", "currency": currency, "deposit": 100 + amount}),
    ):
        assert refused.status_code == 400
        assert words in refused.json()["message"]
    assert (await user.get(f"{path}/account-information"))["balance"] == 100


async def test_e4_trades_in_the_vendors_words_and_they_are_copied(user, stranger):
    strategy_id = await user.provide()
    subscriber_id = await user.subscribe(strategy_id)
    provider = (await user.get(f"{STRATEGIES}/{strategy_id}"))["accountId"]
    order = {"actionType": "ORDER_TYPE_BUY_LIMIT", "symbol": "EURUSD", "volume": 0.2, "openPrice": 1.05, "magic": 3}
    answer = await user.http.post(f"{account(provider)}/trade", json=order)
    assert answer.status_code == 200, answer.text
    done = answer.json()
    assert {"numericCode", "stringCode", "message", "orderId"} <= set(done)
    [pending] = await user.get(f"{account(provider)}/orders")
    assert (pending["id"], pending["type"], pending["openPrice"]) == (done["orderId"], "ORDER_TYPE_BUY_LIMIT", 1.05)
    assert len(await user.get(f"{account(subscriber_id)}/orders")) == 1
    cancel = {"actionType": "ORDER_CANCEL", "orderId": done["orderId"]}
    assert (await user.http.post(f"{account(provider)}/trade", json=cancel)).status_code == 200
    assert await user.get(f"{account(subscriber_id)}/orders") == []
    buy = {"actionType": "ORDER_TYPE_BUY", "symbol": "EURUSD", "volume": 0.1}
    opened = (await user.http.post(f"{account(provider)}/trade", json=buy)).json()
    [position] = await user.get(f"{account(provider)}/positions")
    assert position["id"] == opened["positionId"]
    assert len(await user.get(f"{account(subscriber_id)}/positions")) == 1
    assert await stranger.status("POST", f"{account(provider)}/trade", json=buy) == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"actionType": "BUY"},
        {"actionType": "ORDER_TYPE_BUY", "symbol": "EURUSD"},
        {"actionType": "ORDER_TYPE_BUY", "symbol": "EURUSD", "volume": -1},
        {"actionType": "ORDER_TYPE_BUY", "symbol": "NOSUCH", "volume": 1},
        {"actionType": "POSITION_CLOSE_ID"},
    ],
)
async def test_e4_a_wrong_trade_is_400(user, body):
    await user.put(account(user.id("a")), {"name": "A"})
    assert await user.status("POST", f"{account(user.id('a'))}/trade", json=body) == 400
    assert await user.get(f"{account(user.id('a'))}/positions") == []
