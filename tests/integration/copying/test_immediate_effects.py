"""What saving documents would do at once (E11): told before, done after, and nothing changed by asking."""

import numpy as np
import pytest

from copying.backend.state.snapshot import pack
from tests.integration.copying.conftest import SUBSCRIBERS, assert_error

pytestmark = [pytest.mark.anyio, pytest.mark.django_db]
PATH = "/users/current/immediate-effects"


def limit(amount, *, closes=True, **more):
    return {
        "type": "lifetime",
        "applyTo": "balance-minus-equity",
        "maxAbsoluteRisk": amount,
        "closePositions": closes,
        "startTime": "2020-01-01T00:00:00.000Z",
        **more,
    }


async def losing(user, backend, **settings):
    """A strategy, a subscriber with one open copy, and what the subscription has lost so far."""
    strategy_id = await user.provide()
    subscriber_id = await user.subscribe(strategy_id, **settings)
    await user.signal(strategy_id, volume=0.1)
    backend.market.prices = {**backend.market.prices, "EURUSD": (1.0995, 1.09958)}
    backend.core.look_at_market()
    state = await user.get(f"/users/current/accounts/{subscriber_id}/account-information")
    return strategy_id, subscriber_id, 10_000 - state["equity"]


async def ask(user, **changes):
    answer = await user.http.post(PATH, json={"changes": changes})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture(autouse=True)
def prices(backend):
    before = dict(backend.market.prices)
    yield
    backend.market.prices = before


@pytest.mark.parametrize("level", ["strategy", "subscription", "subscriber"])
@pytest.mark.parametrize(("shift", "fires"), [(-0.01, True), (0, True), (0.01, False)])
async def test_a_limit_before_at_and_after_the_loss_does_what_was_told(user, backend, level, shift, fires):
    strategy_id, subscriber_id, lost = await losing(user, backend)
    rows = backend.core.book.limits.size
    document = await user.get(f"{SUBSCRIBERS}/{subscriber_id}")
    path, name = f"{SUBSCRIBERS}/{subscriber_id}", "subscribers"
    rule = [limit(round(lost + shift, 2))]
    if level == "strategy":
        path, name = f"/users/current/configuration/strategies/{strategy_id}", "strategies"
        document = await user.get(path)
        document["riskLimits"] = rule
    elif level == "subscription":
        document["subscriptions"][0]["riskLimits"] = rule
    else:
        document["riskLimits"] = rule
    told = await ask(user, **{name: {path.rpartition("/")[2]: document}})
    [row] = told["limits"]
    assert (row["accountId"], row["level"], row["fires"], row["positions"]) == (
        subscriber_id,
        level,
        fires,
        int(fires),
    )
    assert row["drawdown"] == pytest.approx(lost, abs=0.011)
    assert (told["fires"], told["accounts"], told["count"]) == (int(fires), int(fires), 1)
    assert told["positions"] == {"positions": int(fires), "accounts": int(fires)}
    assert backend.core.book.limits.size == rows
    await user.put(path, document)
    backend.core.look_at_market()
    await user.signal(strategy_id, "later123", symbol="GBPUSD")
    open_symbols = [each["symbol"] for each in await user.get(f"/users/current/accounts/{subscriber_id}/positions")]
    assert open_symbols == ([] if fires else ["EURUSD", "GBPUSD"])


async def test_a_limit_that_stops_without_closing_closes_nothing(user, backend):
    _, subscriber_id, _ = await losing(user, backend)
    document = await user.get(f"{SUBSCRIBERS}/{subscriber_id}")
    document["subscriptions"][0]["riskLimits"] = [limit(0.01, closes=False)]
    told = await ask(user, subscribers={subscriber_id: document})
    assert (told["fires"], told["positions"], told["closes"]) == (1, {"positions": 0, "accounts": 0}, {})


async def test_what_did_not_change_and_what_is_loosened_is_no_danger(user, backend):
    _, subscriber_id, _ = await losing(user, backend, riskLimits=[limit(5_000)])
    document = await user.get(f"{SUBSCRIBERS}/{subscriber_id}")
    assert (await ask(user, subscribers={subscriber_id: document}))["count"] == 0
    document["riskLimits"] = [limit(6_000)]
    told = await ask(user, subscribers={subscriber_id: document})
    assert (told["count"], told["fires"]) == (1, 0)
    document["riskLimits"] = []
    assert (await ask(user, subscribers={subscriber_id: document}))["count"] == 0


async def test_close_only_at_once_and_subscriptions_left_out_are_counted(user, backend):
    _, subscriber_id, _ = await losing(user, backend)
    document = await user.get(f"{SUBSCRIBERS}/{subscriber_id}")
    for change, cause in (({"closeOnly": "immediately"}, "close-only"), ({"subscriptions": []}, "left-out")):
        told = await ask(user, subscribers={subscriber_id: document | change})
        assert told["closes"] == {cause: {"positions": 1, "accounts": 1}}
    assert (await ask(user, subscribers={subscriber_id: document | {"closeOnly": "by-position"}}))["closes"] == {}


async def test_a_new_subscriber_on_an_account_that_traded_before_is_measured(user, backend):
    account_id = user.id("old")
    await user.put(f"/users/current/accounts/{account_id}", {"name": "old", "deposit": 1000})
    body = {"actionType": "ORDER_TYPE_BUY", "symbol": "EURUSD", "volume": 0.1}
    answer = await user.http.post(f"/users/current/accounts/{account_id}/trade", json=body)
    assert answer.status_code == 200, answer.text
    backend.market.prices = {**backend.market.prices, "EURUSD": (1.0995, 1.09958)}
    backend.core.look_at_market()
    for amount, fires in ((1, 1), (100, 0)):
        document = {"name": "old", "subscriptions": [], "riskLimits": [limit(amount)]}
        told = await ask(user, subscribers={account_id: document})
        assert (told["count"], told["fires"], told["positions"]["positions"]) == (1, fires, 0), "trades by hand stay"
    assert account_id not in backend.core.book.subscribers_by_id


async def test_a_limit_of_a_member_looks_at_that_member(user, backend):
    losing_leaf, other = await user.provide(), await user.provide("other")
    held = user.id("p")
    path = f"/users/current/configuration/portfolio-strategies/{held}"
    members = [{"strategyId": each, "multiplier": 1} for each in (losing_leaf, other)]
    await user.put(path, {"name": "p", "description": "d", "members": members})
    subscriber_id = await user.subscribe(held)
    await user.signal(losing_leaf, volume=0.1)
    backend.market.prices = {**backend.market.prices, "EURUSD": (1.0995, 1.09958)}
    backend.core.look_at_market()
    names = list(backend.core.book.paths.texts)
    for number, fires in ((0, 1), (1, 0)):
        document = await user.get(path)
        document["members"][number]["riskLimits"] = [limit(0.5)]
        told = await ask(user, portfolios={held: document})
        assert (told["fires"], told["positions"]["positions"]) == (fires, fires)
        assert told["limits"][0]["sourceStrategyId"] == (losing_leaf, other)[number]
        assert told["limits"][0]["accountId"] == subscriber_id
    assert backend.core.book.paths.texts == names


async def test_asking_changes_nothing_and_strangers_learn_nothing(user, stranger, backend):
    _, subscriber_id, _ = await losing(user, backend)
    before = {name: np.array(getattr(backend.core.book.limits, name)) for name in ("absolute", "account")}
    documents = [(each.id, dict(each.document)) for each in backend.core.book.subscribers_by_id.values()]
    snapshot = pack(backend.core.book)
    document = await user.get(f"{SUBSCRIBERS}/{subscriber_id}")
    await ask(user, subscribers={subscriber_id: document | {"riskLimits": [limit(1)], "closeOnly": "immediately"}})
    assert pack(backend.core.book) == snapshot
    assert [(each.id, each.document) for each in backend.core.book.subscribers_by_id.values()] == documents
    for name, column in before.items():
        assert np.array_equal(getattr(backend.core.book.limits, name), column)
    body = {"changes": {"subscribers": {subscriber_id: {"name": "a", "subscriptions": []}}}}
    assert (await stranger.http.post(PATH, json=body)).status_code in (403, 404)
    # a stranger's strategy that a copy of mine follows tells me nothing about the other accounts
    theirs = await stranger.provide("theirs", riskLimits=[])
    told = await ask(stranger, strategies={theirs: {"name": "s", "description": "d", "accountId": stranger.id("pp")}})
    assert told["count"] == 0


async def test_malformed_questions_are_refused_in_words(user):
    for body in ([], {}, {"changes": 1}, {"changes": {"subscribers": {"x y": {}}}}):
        answer = await user.http.post(PATH, json=body)
        assert_error(answer, 400)
