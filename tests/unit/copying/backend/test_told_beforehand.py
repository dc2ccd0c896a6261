"""What an edit would do at once, told before it is saved, is what saving it then does (E11)."""

from __future__ import annotations

from typing import Any

import pytest

from copying.backend.http import reads
from copying.backend.simulation.immediate import immediate_effects
from copying.backend.state.commands import PutStrategy, PutSubscriber
from tests.unit.copying.backend.desk import Desk

STRATEGIES = ("S", "T", "U")
SCALING = {"tradeSizeScaling": {"mode": "none"}}


def document(*subscriptions: str | dict[str, Any], **terms: Any) -> dict[str, Any]:
    """A subscriber's document; a subscription by its strategy alone has no terms of its own."""
    named = [{"strategyId": each} if isinstance(each, str) else each for each in subscriptions]
    return {"name": "a", "subscriptions": [{**SCALING, **subscription} for subscription in named], **terms}


@pytest.fixture
def copying(desk: Desk) -> Desk:
    """Three strategies; a copies two of them, b copies one; every copy has lost 10 dollars or so."""
    for name in STRATEGIES:
        desk.strategy(name, f"p{name}")
    desk.account("a")
    desk.do(PutSubscriber(tenant="t", subscriber_id="a", document=document("S", "T")))
    desk.subscriber("b", "S")
    for name in STRATEGIES:
        desk.signal(f"sig{name}", name)
    desk.tick(1, EURUSD=(1.099, 1.0991))
    return desk


def limit(most: float, **terms: Any) -> dict[str, Any]:
    kind = {"type": "lifetime", "applyTo": "balance-minus-equity", "closePositions": True}
    return {"riskLimits": [{**kind, "maxAbsoluteRisk": most, **terms}]}


@pytest.mark.parametrize(
    "edit",
    [
        document("S", "T"),
        document("S"),
        document("T"),
        document(),
        document("U", "S", "T"),
        document("S", "U", "T"),
        document("S", "T", "U"),
        document("U"),
        document("S", "T", closeOnly="immediately"),
        document("U", "S", "T", closeOnly="immediately"),
        document("S", {"strategyId": "T", "closeOnly": "immediately"}),
        document({"strategyId": "S", "closeOnly": "immediately"}),
        document("S", "T", closeOnly="by-position"),
        document("S", "T", closeOnly="by-symbol"),
        document("S", "T", **limit(5)),
        document("S", "T", **limit(5_000)),
        document("S", "T", **limit(5, closePositions=False)),
        document("U", "S", {"strategyId": "T", **limit(5)}),
        document("U", {"strategyId": "S", **limit(5)}),
        document("S", {"strategyId": "U", **limit(0.001)}),
    ],
)
def test_an_edit_of_a_subscriber_closes_what_was_told(copying: Desk, edit: dict[str, Any]) -> None:
    before = {account_id: len(copying.held(account_id)) for account_id in ("a", "b")}
    effects = immediate_effects(copying.book, "t", {"subscribers": {"a": edit}})
    copying.do(PutSubscriber(tenant="t", subscriber_id="a", document=edit))
    copying.tick()
    closed = before["a"] - len(copying.held("a"))
    assert effects["positions"] == {"positions": closed, "accounts": int(closed > 0)}
    assert effects["fires"] == len(reads.stopouts(copying.book, "t", "a") or ())
    assert len(copying.held("b")) == before["b"]
    assert sum(counts["positions"] for counts in effects["closes"].values()) >= closed


@pytest.mark.parametrize("most", [5.0, 5_000.0])
@pytest.mark.parametrize("strategy_id", STRATEGIES)
def test_an_edit_of_a_strategy_closes_what_was_told(copying: Desk, strategy_id: str, most: float) -> None:
    edit = {"name": strategy_id, "description": "", "accountId": f"p{strategy_id}", **limit(most)}
    before = {account_id: len(copying.held(account_id)) for account_id in ("a", "b")}
    effects = immediate_effects(copying.book, "t", {"strategies": {strategy_id: edit}})
    copying.do(PutStrategy(tenant="t", strategy_id=strategy_id, document=edit))
    copying.tick()
    closed = {account_id: count - len(copying.held(account_id)) for account_id, count in before.items()}
    assert effects["positions"]["positions"] == sum(closed.values())
    assert effects["positions"]["accounts"] == sum(count > 0 for count in closed.values())
    expected = {"S": 2, "T": 1, "U": 0}[strategy_id]
    assert (effects["count"], effects["fires"]) == (expected, expected if most < 10 else 0)
    stopped = [account_id for account_id in ("a", "b") if reads.stopouts(copying.book, "t", account_id)]
    assert len(stopped) == effects["fires"]


def test_limits_that_fire_are_listed_first_and_by_account(copying: Desk) -> None:
    edit = {"name": "S", "description": "", "accountId": "pS", **limit(5)}
    edits = {"strategies": {"S": edit}, "subscribers": {"a": document("S", "T", **limit(5_000))}}
    effects = immediate_effects(copying.book, "t", edits)
    shown = [(row["accountId"], row["fires"], row["positions"]) for row in effects["limits"]]
    assert shown == [("a", True, 1), ("b", True, 1), ("a", False, 0)]


@pytest.mark.parametrize("stranger", ["s", "u"])
def test_a_stranger_is_told_of_no_account_of_others(copying: Desk, stranger: str) -> None:
    edit = {"name": "S", "description": "", "accountId": "pS", **limit(5)}
    effects = immediate_effects(copying.book, stranger, {"strategies": {"S": edit}})
    assert (effects["count"], effects["fires"], effects["limits"]) == (0, 0, [])


def test_nothing_of_it_stays(copying: Desk) -> None:
    book = copying.book

    def state() -> tuple[int, list, dict[str, Any]]:
        return book.limits.size, list(book.active_stopouts), book.subscribers_by_id["a"].document

    before = state()
    immediate_effects(book, "t", {"subscribers": {"a": document("S", "T", **limit(5))}})
    assert state() == before


@pytest.mark.parametrize("first", [0, 1, 2])
def test_pending_copies_fill_together_wherever_they_stand(desk: Desk, first: int) -> None:
    """The provider's own order and three copies reach their price with one quote: all become copies of their own."""
    accounts = ["a", "b", "c"]
    desk.strategy()
    for account_id in [*accounts[first:], *accounts[:first]]:
        desk.subscriber(account_id)
    desk.trade("ORDER_TYPE_BUY_LIMIT", "prov", price=1.09)
    assert all(len(desk.waiting(account_id)) == 1 for account_id in accounts)
    desk.tick(1, EURUSD=(1.0899, 1.09))
    positions = desk.book.positions
    assert [desk.held(account_id) for account_id in (*accounts, "prov")] == [[("EURUSD", 1, 0.1)]] * 4
    assert sorted(positions.subscription.tolist()) == [-1, 0, 1, 2]
    assert desk.book.orders.size == 0
    desk.trade("POSITION_CLOSE_ID", "prov", position_id=str(int(positions.id[positions.subscription < 0][0])))
    assert positions.size == 0
