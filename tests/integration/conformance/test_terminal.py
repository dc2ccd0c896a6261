"""Rows 37, 46 and 47 of the account APIs' conformance list, and the terminal's other addresses (A1 to A14)."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from .conftest import ACCOUNTS, PROVISIONING, TERMINAL, Caller

pytestmark = pytest.mark.django_db
INFORMATION = (
    "platform",
    "broker",
    "currency",
    "server",
    "balance",
    "equity",
    "margin",
    "freeMargin",
    "leverage",
    "tradeAllowed",
    "marginMode",
    "name",
    "login",
    "credit",
    "type",
)
BUY = {"actionType": "ORDER_TYPE_BUY", "symbol": "EURUSD", "volume": 0.1}
EARLY, LATE = "2020-01-01T00:00:00.000Z", "2100-01-01T00:00:00.000Z"


def trade(caller: Caller, account_id: str, headers: dict[str, str] | None = None, **body: Any) -> dict[str, Any]:
    path = f"{ACCOUNTS}/{account_id}/trade"
    answer = caller.call(TERMINAL, "POST", path, json=body, headers=headers or {})
    assert answer.status_code == 200, answer.text
    return answer.json()


def deals(
    caller: Caller, account_id: str, start: str = EARLY, end: str = LATE, query: str = ""
) -> list[dict[str, Any]]:
    return caller.get(TERMINAL, f"{ACCOUNTS}/{account_id}/history-deals/time/{start}/{end}{query}")


def net(deal: dict[str, Any]) -> Decimal:
    return sum((Decimal(str(deal[name])) for name in ("profit", "commission", "swap")), Decimal(0))


def test_46_an_account_that_runs_tells_its_state_and_another_does_not(alice, bob):
    account_id = alice.create(balance=250.5, currency="EUR", leverage=30, name="Desk")
    path = f"{ACCOUNTS}/{account_id}/account-information"
    information = alice.get(TERMINAL, f"{path}?refreshTerminalState=true")
    assert [name for name in INFORMATION if name not in information] == []
    assert (information["balance"], information["currency"], information["leverage"]) == (250.5, "EUR", 30)
    assert (information["marginMode"], information["name"]) == ("ACCOUNT_MARGIN_MODE_RETAIL_HEDGING", "Desk")
    assert str(information["login"]) == alice.account(account_id)["login"]
    assert isinstance(information["login"], int)
    assert "marginLevel" not in information
    foreign = bob.refused(404, TERMINAL, "GET", path)
    unknown = bob.refused(404, TERMINAL, "GET", f"{ACCOUNTS}/{uuid.uuid4()}/account-information")
    assert {**foreign, "id": 0} == {**unknown, "id": 0}
    assert alice.call(PROVISIONING, "POST", f"{ACCOUNTS}/{account_id}/undeploy").status_code == 204
    for name in ("account-information", "positions", "symbols", "server-time", "credits"):
        refused = alice.refused(404, TERMINAL, "GET", f"{ACCOUNTS}/{account_id}/{name}")
        assert "deploy" in refused["message"]


READS = (
    "account-information",
    "positions",
    "positions/1",
    "orders",
    "orders/1",
    "history-deals/ticket/1",
    "history-deals/position/1",
    f"history-deals/time/{EARLY}/{LATE}",
    "history-orders/ticket/1",
    "symbols",
    "history-orders/position/1",
    f"history-orders/time/{EARLY}/{LATE}",
    "symbols/EURUSD/specification",
    "symbols/EURUSD/current-price",
    "server-time",
    "credits",
)


def test_what_is_anothers_does_not_exist(alice, bob):
    account_id = alice.create()
    for path in READS:
        bob.refused(404, TERMINAL, "GET", f"{ACCOUNTS}/{account_id}/{path}")
    bob.refused(404, TERMINAL, "POST", f"{ACCOUNTS}/{account_id}/trade", json=BUY)
    margin = {"symbol": "EURUSD", "type": "ORDER_TYPE_BUY", "volume": 1, "openPrice": 1.1}
    bob.refused(404, TERMINAL, "POST", f"{ACCOUNTS}/{account_id}/calculate-margin", json=margin)
    assert alice.get(TERMINAL, f"{ACCOUNTS}/{account_id}/positions") == []


def test_a_position_lives_from_its_deal_to_its_deal(alice):
    account_id = alice.create(balance=10_000)
    path = f"{ACCOUNTS}/{account_id}"
    opened = trade(alice, account_id, **BUY, magic=77)
    assert (opened["numericCode"], opened["stringCode"]) == (10009, "TRADE_RETCODE_DONE")
    [position] = alice.get(TERMINAL, f"{path}/positions")
    assert position["id"] == opened["positionId"]
    assert (position["type"], position["symbol"], position["volume"]) == ("POSITION_TYPE_BUY", "EURUSD", 0.1)
    assert (position["magic"], position["reason"]) == (77, "POSITION_REASON_CLIENT")
    assert alice.get(TERMINAL, f"{path}/positions/{position['id']}")["id"] == position["id"]
    information = alice.get(TERMINAL, f"{path}/account-information")
    assert information["margin"] > 0
    assert information["marginLevel"] == pytest.approx(information["equity"] / information["margin"] * 100, abs=0.01)
    part = trade(alice, account_id, actionType="POSITION_PARTIAL", positionId=position["id"], volume=0.04)
    assert part["numericCode"] == 10009
    assert trade(alice, account_id, actionType="POSITION_CLOSE_ID", positionId=position["id"])["numericCode"] == 10009
    assert alice.get(TERMINAL, f"{path}/positions") == []
    history = alice.get(TERMINAL, f"{path}/history-deals/position/{position['id']}")
    assert [(deal["entryType"], deal["volume"]) for deal in history] == [
        ("DEAL_ENTRY_IN", 0.1),
        ("DEAL_ENTRY_OUT", 0.04),
        ("DEAL_ENTRY_OUT", 0.06),
    ]
    assert [deal["type"] for deal in history] == ["DEAL_TYPE_BUY", "DEAL_TYPE_SELL", "DEAL_TYPE_SELL"]
    orders = alice.get(TERMINAL, f"{path}/history-orders/position/{position['id']}")
    assert [order["state"] for order in orders] == ["ORDER_STATE_FILLED"] * 3
    for order in orders:
        assert alice.get(TERMINAL, f"{path}/history-orders/ticket/{order['id']}") == [order]
    assert orders[0]["id"] == opened["orderId"]
    assert alice.get(TERMINAL, f"{path}/history-deals/ticket/{history[1]['id']}") == [history[1]]


def test_47_the_balance_is_the_sum_of_its_deals(alice):
    account_id = alice.create(balance=10_000)
    path = f"{ACCOUNTS}/{account_id}"
    deposit = alice.call("", "POST", f"{path}/deposit", json={"amount": -200.25, "comment": "Fee"}, host="backend")
    assert deposit.status_code == 204
    for _ in range(2):
        opened = trade(alice, account_id, **BUY)
        trade(alice, account_id, actionType="POSITION_CLOSE_ID", positionId=opened["positionId"])
    history = deals(alice, account_id)
    assert [deal["type"] for deal in history][:2] == ["DEAL_TYPE_BALANCE", "DEAL_TYPE_BALANCE"]
    assert [deal["profit"] for deal in history][:2] == [10_000, -200.25]
    assert len(history) == 6
    balance = alice.get(TERMINAL, f"{path}/account-information")["balance"]
    assert sum(map(net, history)) == Decimal(str(balance))
    assert [deals(alice, account_id, query=f"?limit=2&offset={offset}") for offset in (0, 2, 4, 6)] == [
        history[:2],
        history[2:4],
        history[4:],
        [],
    ]
    last = history[-1]["time"]
    assert deals(alice, account_id, end=last) == [deal for deal in history if deal["time"] < last]
    assert deals(alice, account_id, start=last) == [deal for deal in history if deal["time"] >= last]
    broker = history[-1]["brokerTime"]
    assert deals(alice, account_id, start=broker) == [deal for deal in history if deal["time"] >= last]
    for query in ("?limit=0", "?limit=1001", "?offset=-1"):
        times = f"history-deals/time/{EARLY}/{LATE}{query}"
        alice.refused(400, TERMINAL, "GET", f"{path}/{times}")
    body = alice.refused(400, TERMINAL, "GET", f"{path}/history-deals/time/yesterday/{LATE}")
    assert [each["parameter"] for each in body["details"]] == ["start"]


def test_no_two_orders_of_a_history_have_one_number(alice):
    """Positions and deals are counted apart: the second deal has the number of the second position."""
    account_id = alice.create(balance=10_000)
    path = f"{ACCOUNTS}/{account_id}"
    positions = [trade(alice, account_id, **BUY)["positionId"] for _ in range(3)]
    for position_id in positions:
        trade(alice, account_id, actionType="POSITION_CLOSE_ID", positionId=position_id)
    orders = alice.get(TERMINAL, f"{path}/history-orders/time/{EARLY}/{LATE}")
    numbers = [order["id"] for order in orders]
    assert len(numbers) == len(set(numbers)) == 6
    assert numbers[:3] == positions
    assert numbers == [deal["orderId"] for deal in deals(alice, account_id) if "orderId" in deal]
    for order in orders:
        assert alice.get(TERMINAL, f"{path}/history-orders/ticket/{order['id']}") == [order]


def test_a_copy_is_a_deal_of_the_subscribers_account(alice):
    provider = alice.create(balance=10_000, copyFactoryRoles=["PROVIDER"])
    subscriber = alice.create(balance=10_000, copyFactoryRoles=["SUBSCRIBER"])
    configuration = "/users/current/configuration"
    strategy_id = alice.call("", "GET", f"{configuration}/unused-strategy-id", host="backend").json()["id"]
    strategy = {"name": "n", "description": "d", "accountId": provider}
    follow = {"name": "n", "subscriptions": [{"strategyId": strategy_id, "tradeSizeScaling": {"mode": "none"}}]}
    for path, body in ((f"strategies/{strategy_id}", strategy), (f"subscribers/{subscriber}", follow)):
        assert alice.call("", "PUT", f"{configuration}/{path}", json=body, host="backend").status_code == 204
    opened = trade(alice, provider, **BUY)
    [copy] = alice.get(TERMINAL, f"{ACCOUNTS}/{subscriber}/positions")
    assert copy["reason"] == "POSITION_REASON_EXPERT"
    trade(alice, provider, actionType="POSITION_CLOSE_ID", positionId=opened["positionId"])
    history = deals(alice, subscriber)
    assert [deal.get("entryType") for deal in history] == [None, "DEAL_ENTRY_IN", "DEAL_ENTRY_OUT"]
    assert {deal["positionId"] for deal in history[1:]} == {copy["id"]}
    assert alice.get(TERMINAL, f"{ACCOUNTS}/{subscriber}/history-deals/position/{copy['id']}") == history[1:]
    for deal in history[1:]:
        order = alice.get(TERMINAL, f"{ACCOUNTS}/{subscriber}/history-orders/ticket/{deal['orderId']}")
        assert [each["doneTime"] for each in order] == [deal["time"]]
    balance = alice.get(TERMINAL, f"{ACCOUNTS}/{subscriber}/account-information")["balance"]
    assert sum(map(net, history)) == Decimal(str(balance))


REFUSED = (
    ({**BUY, "volume": 0.001}, 10014),
    ({**BUY, "symbol": "NOTHING"}, 4301),
    ({**BUY, "volume": 400}, 10019),
    ({**BUY, "stopLoss": 900}, 10016),
    ({"actionType": "POSITION_CLOSE_ID", "positionId": "12345"}, 10036),
    ({"actionType": "ORDER_CANCEL", "orderId": "12345"}, 10035),
    ({**BUY, "stopLoss": 20, "stopLossUnits": "RELATIVE_PIPS"}, 10013),
    ({**BUY, "trailingStopLoss": {"distance": {"distance": 20}}}, 10013),
    ({**BUY, "actionType": "ORDER_TYPE_BUY_LIMIT", "openPrice": 900}, 10015),
)


def test_what_a_broker_refuses_has_a_code_and_changes_nothing(alice):
    account_id = alice.create(balance=1_000)
    assert [trade(alice, account_id, **body)["numericCode"] for body, _ in REFUSED] == [code for _, code in REFUSED]
    assert alice.get(TERMINAL, f"{ACCOUNTS}/{account_id}/positions") == []
    assert len(deals(alice, account_id)) == 1
    alice.refused(400, TERMINAL, "POST", f"{ACCOUNTS}/{account_id}/trade", json={"actionType": "JUMP"})


def test_a_trade_that_is_sent_again_is_done_once(alice):
    account_id = alice.create(balance=10_000)
    key = {"transaction-id": uuid.uuid4().hex}
    answers = [trade(alice, account_id, key, **BUY) for _ in range(3)]
    assert len({answer["positionId"] for answer in answers}) == 1
    assert len(alice.get(TERMINAL, f"{ACCOUNTS}/{account_id}/positions")) == 1


def test_a_pending_order_waits_and_is_withdrawn(alice):
    account_id = alice.create(balance=10_000)
    path = f"{ACCOUNTS}/{account_id}"
    limit = trade(alice, account_id, **{**BUY, "actionType": "ORDER_TYPE_BUY_LIMIT", "openPrice": 0.5})
    [order] = alice.get(TERMINAL, f"{path}/orders")
    assert (order["id"], order["state"], order["type"]) == (
        limit["orderId"],
        "ORDER_STATE_PLACED",
        "ORDER_TYPE_BUY_LIMIT",
    )
    assert alice.get(TERMINAL, f"{path}/orders/{order['id']}")["openPrice"] == 0.5
    assert trade(alice, account_id, actionType="ORDER_CANCEL", orderId=order["id"])["numericCode"] == 10009
    alice.refused(404, TERMINAL, "GET", f"{path}/orders/{order['id']}")


def test_symbols_prices_margins_and_the_clock(alice):
    account_id = alice.create(balance=10_000, currency="USD", leverage=50)
    path = f"{ACCOUNTS}/{account_id}"
    assert "EURUSD" in alice.get(TERMINAL, f"{path}/symbols")
    spec = alice.get(TERMINAL, f"{path}/symbols/EURUSD/specification")
    assert (spec["contractSize"], spec["digits"], spec["volumeStep"]) == (100_000, 5, 0.01)
    price = alice.get(TERMINAL, f"{path}/symbols/EURUSD/current-price?keepSubscription=true")
    assert price["ask"] > price["bid"] > 0
    assert price["profitTickValue"] == pytest.approx(1)
    alice.refused(404, TERMINAL, "GET", f"{path}/symbols/NOTHING/current-price")
    order = {"symbol": "EURUSD", "type": "ORDER_TYPE_BUY", "volume": 1, "openPrice": 1.1}
    margin = alice.call(TERMINAL, "POST", f"{path}/calculate-margin", json=order).json()["margin"]
    assert margin == pytest.approx(100_000 * price["bid"] / 50, rel=0.01)
    clock = alice.get(TERMINAL, f"{path}/server-time")
    assert abs(datetime.fromisoformat(clock["time"]) - datetime.now(UTC)) < timedelta(minutes=1)
    assert clock["brokerTime"][:10].count("-") == 2


def test_37_credits_run_out_for_one_tenant_and_come_back(port, bob):
    spender = Caller(port, f"{bob.tenant}-spends")
    path = f"{ACCOUNTS}/{spender.create()}"
    totals = spender.get(TERMINAL, f"{path}/credits")
    assert {scope: [limit["period"] for limit in limits] for scope, limits in totals.items()} == {
        "perUser": ["1m"],
        "perAccount": ["10s"],
        "perServer": ["1s", "1m"],
    }
    until = time.monotonic() + 120
    while (answer := spender.call(TERMINAL, "GET", f"{path}/history-deals/position/1")).status_code == 200:
        assert time.monotonic() < until, "the credits never run out"
    assert answer.status_code == 429
    body = answer.json()
    assert body["error"] == "TooManyRequestsError"
    assert int(answer.headers["retry-after"]) >= 1
    metadata = body["metadata"]
    assert datetime.fromisoformat(metadata["recommendedRetryTime"]) > datetime.now(UTC) - timedelta(minutes=1)
    assert metadata["creditsAvailable"] < metadata["creditsRequired"] == 75
    # which pool runs out first depends on how fast the machine asks
    scope = f"per{metadata['type'].removeprefix('LIMIT_CREDITS_').title()}"
    period = {1: "1s", 10: "10s", 60: "1m"}[metadata["periodInSeconds"]]
    published = next(limit["total"] for limit in totals[scope] if limit["period"] == period)
    assert metadata["creditsAvailable"] + metadata["creditsUsed"] == published
    assert spender.call(TERMINAL, "GET", f"{path}/credits").status_code == 200  # costs nothing
    assert bob.call(TERMINAL, "GET", f"{ACCOUNTS}/{bob.create()}/positions").status_code == 200
