"""The life of a copied position as clients see it: every step asked for and read over raw HTTP.

What the engine room does in each case is told in tests/unit/copying/backend/test_life_of_a_position.py.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import pytest

from copying.backend.state.commands import SetConnection
from tests.integration.copying.conftest import Backend, User, iso

pytestmark = [pytest.mark.anyio, pytest.mark.django_db]
ALL = {"from": "2020-01-01T00:00:00.000Z", "till": "2100-01-01T00:00:00.000Z"}


@dataclass
class Copying:
    """A provider's account `p`, its strategy, and an account `a` that copies it lot for lot."""

    user: User
    backend: Backend
    strategy_id: str
    p: str
    a: str

    async def trade(self, account_id: str, **order: Any) -> dict[str, Any]:
        answer = await self.user.http.post(f"/users/current/accounts/{account_id}/trade", json=order)
        assert answer.json()["stringCode"] == "TRADE_RETCODE_DONE", answer.text
        return answer.json()

    async def buy(self, volume: float = 0.4, **order: Any) -> str:
        """The provider buys EURUSD; the id of its position."""
        answer = await self.trade(self.p, actionType="ORDER_TYPE_BUY", symbol="EURUSD", volume=volume, **order)
        return answer["positionId"]

    async def limit(self, price: float = 1.09) -> str:
        """The provider places an order; its id."""
        order = {"actionType": "ORDER_TYPE_BUY_LIMIT", "symbol": "EURUSD", "volume": 0.1, "openPrice": price}
        return (await self.trade(self.p, **order))["orderId"]

    async def held(self, account_id: str = "") -> list[dict[str, Any]]:
        return await self.user.get(f"/users/current/accounts/{account_id or self.a}/positions")

    async def lots(self, account_id: str = "") -> list[float]:
        return [each["volume"] for each in await self.held(account_id)]

    async def orders(self) -> list[dict[str, Any]]:
        return await self.user.get(f"/users/current/accounts/{self.a}/orders")

    async def later(self, seconds: float = 0.0, **prices: tuple[float, float]) -> None:
        """Time passes, prices move, and what is due has happened."""
        core, market = self.backend.core, self.backend.market
        moved = core.clock() - time.time() + seconds
        core.clock = lambda: time.time() + moved
        market.prices = {**market.prices, **prices}
        core.look_at_market()
        await self.user.put(f"/users/current/accounts/{self.user.id('clock')}", {"name": "behind the tick"})

    async def connect(self, account_id: str, is_connected: bool) -> None:
        """What the broker's own program reports; clients have no call for it."""
        tenant = self.user.tenant
        await self.backend.core.submit(SetConnection(tenant=tenant, account_id=account_id, is_connected=is_connected))

    async def decisions(self) -> list[tuple[str, str]]:
        """(outcome, reason), oldest first."""
        found = await self.user.get("/users/current/decisions", subscriberId=self.a)
        return [(each["outcome"], each["reason"]) for each in reversed(found["items"])]

    async def deals(self) -> list[tuple[str, float]]:
        """(open or close, signed lots), oldest first."""
        found = await self.user.get("/users/current/subscription-transactions", subscriberId=self.a, **ALL)
        return [(each["id"].partition(":")[2], each["quantity"]) for each in reversed(found)]

    async def causes(self) -> list[str]:
        """Why positions were closed, newest first, from the account's log."""
        found = await self.user.get(f"/users/current/subscribers/{self.a}/user-log")
        return [each["message"].rpartition(": ")[2] for each in found if each.get("side") == "close"]


@pytest.fixture
async def copying(user, backend) -> Copying:
    return await start(user, backend)


async def start(user: User, backend: Backend, **settings: Any) -> Copying:
    strategy_id = await user.provide(**settings)
    return Copying(user, backend, strategy_id, user.id("provider-s"), await user.subscribe(strategy_id))


async def test_open_modify_close_in_parts_and_close(copying):
    ticket = await copying.buy(0.4)
    [position] = await copying.held()
    assert (position["volume"], position["sourcePositionId"]) == (0.4, ticket)
    levels = {"stopLoss": 1.05, "takeProfit": 1.2}
    await copying.trade(copying.p, actionType="POSITION_MODIFY", positionId=ticket, **levels)
    [position] = await copying.held()
    assert (position["stopLoss"], position["takeProfit"]) == (1.05, 1.2)
    for left in (0.3, 0.1):
        [volume] = await copying.lots()
        part = round(volume - left, 2)
        await copying.trade(copying.p, actionType="POSITION_PARTIAL", positionId=ticket, volume=part)
        assert await copying.lots() == pytest.approx([left])
    await copying.trade(copying.p, actionType="POSITION_CLOSE_ID", positionId=ticket)
    assert await copying.lots() == []
    assert await copying.deals() == [("open", 0.4), ("close", -0.1), ("close", -0.2), ("close", -0.1)]
    assert await copying.decisions() == [("copied", "copied")]


async def test_a_pending_order_is_changed_and_filled(copying):
    ticket = await copying.limit()
    assert [each["openPrice"] for each in await copying.orders()] == [1.09]
    change = {"openPrice": 1.08, "stopLoss": 1.05}
    await copying.trade(copying.p, actionType="ORDER_MODIFY", orderId=ticket, **change)
    [order] = await copying.orders()
    assert (order["openPrice"], order["stopLoss"]) == (1.08, 1.05)
    await copying.later(EURUSD=(1.0798, 1.0799))
    assert (await copying.orders(), await copying.lots(), await copying.lots(copying.p)) == ([], [0.1], [0.1])


async def test_a_pending_order_is_cancelled(copying):
    ticket = await copying.limit()
    await copying.trade(copying.p, actionType="ORDER_CANCEL", orderId=ticket)
    assert (await copying.orders(), await copying.lots()) == ([], [])


async def test_an_external_signal_lives_the_same_life(copying):
    order = {"type": "ORDER_TYPE_BUY_LIMIT", "openPrice": 1.09}
    await copying.user.signal(copying.strategy_id, "life0001", volume=0.4, **order)
    await copying.user.signal(copying.strategy_id, "life0001", volume=0.4, **{**order, "openPrice": 1.08})
    assert [each["openPrice"] for each in await copying.orders()] == [1.08]
    await copying.user.signal(copying.strategy_id, "life0001", volume=0.4, type="POSITION_TYPE_BUY")
    assert (await copying.orders(), await copying.lots()) == ([], [0.4])
    await copying.user.signal(copying.strategy_id, "life0001", volume=0.1, stopLoss=1.01)
    [position] = await copying.held()
    assert (position["volume"], position["stopLoss"]) == (0.1, 1.01)
    path = f"/users/current/strategies/{copying.strategy_id}/external-signals/life0001/remove"
    assert await copying.user.status("POST", path, json={"time": iso(time.time())}) == 204
    assert await copying.lots() == []


async def test_the_providers_stop_out_closes_the_copy(user, backend):
    deposit = {"name": "p", "deposit": 1000}
    await user.put(f"/users/current/accounts/{user.id('provider-s')}", deposit)
    copying = await start(user, backend)
    await copying.buy(0.5)
    await copying.later(EURUSD=(1.085, 1.08508))
    assert (await copying.lots(copying.p), await copying.lots()) == ([], [])
    assert (await copying.causes())[0] == "stop out by margin."


async def test_late_trades_are_opened_by_resynchronisation(copying):
    ticket = await copying.buy(0.4)
    late = await copying.user.subscribe(copying.strategy_id, name="late")
    assert await copying.lots(late) == []
    path = f"/users/current/subscribers/{late}/resynchronize"
    assert await copying.user.status("POST", path, params={"positionId": "another"}) == 204
    assert await copying.lots(late) == []
    assert await copying.user.status("POST", path, params={"positionId": ticket}) == 204
    assert await copying.lots(late) == [0.4]
    assert await copying.user.status("POST", path) == 204
    assert await copying.lots(late) == [0.4], "once"


async def test_a_copy_closed_by_hand_stays_closed_until_it_is_resynchronised(copying):
    ticket = await copying.buy(0.4)
    [position] = await copying.held()
    await copying.trade(copying.a, actionType="POSITION_CLOSE_ID", positionId=position["id"])
    await copying.trade(copying.p, actionType="POSITION_PARTIAL", positionId=ticket, volume=0.1)
    await copying.later(3600)
    assert await copying.lots() == []
    path = f"/users/current/subscribers/{copying.a}/resynchronize"
    assert await copying.user.status("POST", path, params={"strategyId": copying.strategy_id}) == 204
    assert await copying.lots() == pytest.approx([0.3])


async def test_trades_by_hand_beside_copies_are_never_touched(copying):
    ticket = await copying.buy(0.4)
    own = {"actionType": "ORDER_TYPE_SELL", "symbol": "EURUSD", "volume": 0.05}
    answer = await copying.trade(copying.a, **own)
    await copying.trade(copying.p, actionType="POSITION_CLOSE_ID", positionId=ticket)
    assert [each["id"] for each in await copying.held()] == [answer["positionId"]]


async def test_an_orphan_is_closed_and_told(copying):
    ticket = await copying.limit()
    await copying.connect(copying.a, False)
    await copying.trade(copying.p, actionType="ORDER_CANCEL", orderId=ticket)
    await copying.later(EURUSD=(1.0898, 1.08988))  # the broker fills what nobody could withdraw
    assert await copying.lots() == [0.1]
    await copying.connect(copying.a, True)
    assert await copying.lots() == []
    assert (await copying.decisions())[-1] == ("skipped", "orphan")
    assert (await copying.causes())[0] == "its signal is closed."


async def test_a_copy_ends_with_its_lifetime(user, backend):
    copying = await start(user, backend, timeSettings={"lifetimeInHours": 24})
    await copying.buy(0.4)
    [signal] = await user.get(f"/users/current/subscribers/{copying.a}/signals")
    await copying.later(23.9 * 3600)
    assert await copying.lots() == [0.4]
    await copying.later(0.2 * 3600)
    assert (await copying.lots(), await copying.lots(copying.p)) == ([], [0.4])
    assert (await copying.causes())[0] == "its lifetime ended."
    assert signal["closeAfter"] > signal["time"]


@pytest.mark.parametrize(
    ("away_s", "lots", "last"),
    [(30, [0.4], ("copied", "copied")), (70, [], ("skipped", "too-late"))],
)
async def test_a_signal_waits_for_the_subscriber_inside_its_window(copying, away_s, lots, last):
    await copying.connect(copying.a, False)
    await copying.buy(0.4)
    await copying.later(away_s)
    await copying.connect(copying.a, True)
    assert await copying.lots() == lots
    assert await copying.decisions() == [("failed", "offline"), last]


async def test_a_close_waits_for_the_subscriber_without_limit(copying):
    ticket = await copying.buy(0.4)
    await copying.connect(copying.a, False)
    await copying.trade(copying.p, actionType="POSITION_CLOSE_ID", positionId=ticket)
    await copying.later(3 * 86_400)
    assert await copying.lots() == [0.4]
    await copying.connect(copying.a, True)
    assert await copying.lots() == []


async def test_what_the_provider_did_offline_is_copied_when_it_is_back(copying):
    await copying.buy(0.4, stopLoss=1.09)
    [position] = await copying.held()
    own = {"actionType": "POSITION_MODIFY", "positionId": position["id"]}
    await copying.trade(copying.a, **own)  # the copy has no stop of its own
    await copying.connect(copying.p, False)
    await copying.later(EURUSD=(1.0899, 1.08998))
    assert (await copying.lots(copying.p), await copying.lots()) == ([], [0.4])
    await copying.connect(copying.p, True)
    assert await copying.lots() == []


async def test_a_chain_of_copies_is_read_hop_by_hop(user, backend):
    first = await start(user, backend)
    document = {"name": "t", "description": "d", "accountId": first.a}
    await user.put(f"/users/current/configuration/strategies/{user.id('t')}", document)
    second = await user.subscribe(user.id("t"), name="b")
    await first.buy(0.4)
    [middle], [last] = await first.held(), await first.held(second)
    assert (last["sourcePositionId"], last["sourceStrategyId"]) == (middle["id"], user.id("t"))
    deals = await user.get("/users/current/subscription-transactions", subscriberId=second, **ALL)
    assert [each["positionId"] for each in deals] == [middle["id"]]
    assert deals[0]["metrics"]["tradeCopyingLatency"] > 0
    found = await user.get("/users/current/decisions", subscriberId=second)
    assert [(each["signalId"], each["outcome"]) for each in found["items"]] == [(middle["id"], "copied")]
