"""What settings inside a portfolio look at: the copies that came through the place where they stand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from copying.backend.http import reads
from copying.backend.signals.levels import routes_of
from copying.backend.signals.plans import copies_inside, plan_for
from copying.backend.signals.scopes import Scopes
from copying.backend.state.commands import Remove
from tests.unit.copying.backend.desk import Desk

#        S --(member)--+
#                      P --(member)--+
#        T --(member)--+             Q --- subscription of a
#        U --(member)----------------+
WHERE = {
    # reduceCorrelations by strategy stands at: what S opens of 0.3 lots, after 0.1 of T and 0.25 of U
    "S": 0.3,
    "S in P": 0.3,
    "P": 0.2,
    "P in Q": 0.2,
    "Q": 0.05,  # U itself has opened 0.15 of its 0.25
    "subscription": 0.05,
    "nowhere": 0.3,
}


def tree(desk: Desk, at: str = "nowhere", **settings: Any) -> None:
    """The portfolios above, with settings at one place."""

    def given(place: str) -> dict[str, Any]:
        return settings if place == at else {}

    desk.strategy("S", "p1", **given("S"))
    desk.strategy("T", "p2")
    desk.strategy("U", "p3")
    desk.portfolio("P", [{"strategyId": "S", **given("S in P")}, {"strategyId": "T"}], **given("P"))
    desk.portfolio("Q", [{"strategyId": "P", **given("P in Q")}, {"strategyId": "U"}], **given("Q"))
    desk.subscriber("a", "Q", **given("subscription"))


def lots_of(desk: Desk, strategy_id: str) -> list[float]:
    held = reads.account_positions(desk.book, "t", "a")
    return [each["volume"] for each in held if each["sourceStrategyId"] == strategy_id]


@pytest.mark.parametrize("at", WHERE)
def test_correlations_are_reduced_within_the_place_of_the_setting(desk: Desk, at: str) -> None:
    tree(desk, at, reduceCorrelations="by-strategy")
    desk.signal("sig00001", "T", volume=0.1)
    desk.signal("sig00002", "U", volume=0.25)
    desk.signal("sig00003", "S", volume=0.3)
    assert lots_of(desk, "S") == [pytest.approx(WHERE[at])]


@pytest.mark.parametrize("at", ["S", "S in P", "P", "P in Q"])
def test_what_a_place_holds_itself_counts_for_it(desk: Desk, at: str) -> None:
    tree(desk, at, reduceCorrelations="by-strategy")
    desk.signal("sig00001", "S", volume=0.1)
    desk.signal("sig00002", "S", volume=0.3)
    assert lots_of(desk, "S") == [0.1, pytest.approx(0.2)]


def test_the_last_place_wins(desk: Desk) -> None:
    tree(desk, "S in P", reduceCorrelations="by-strategy")
    desk.subscriber("a", "Q", reduceCorrelations="by-strategy")
    desk.signal("sig00001", "U", volume=0.1)
    desk.signal("sig00002", "S", volume=0.3)
    assert lots_of(desk, "S") == [pytest.approx(0.2)]


@pytest.mark.parametrize(
    ("removed", "beside", "opens"),
    [
        ({"what": "member", "id": "P", "part": "S"}, "T", False),
        ({"what": "member", "id": "P", "part": "S"}, "S", True),
        ({"what": "strategy", "id": "S"}, "T", False),
        ({"what": "strategy", "id": "S"}, "S", True),
        ({"what": "member", "id": "Q", "part": "P"}, "T", True),
        ({"what": "member", "id": "Q", "part": "P"}, "U", False),
        ({"what": "portfolio", "id": "Q"}, "U", True),
        ({"what": "subscription", "id": "a", "part": "Q"}, "U", True),
    ],
)
def test_winding_down_by_symbol_takes_what_is_open_of_it(desk: Desk, removed: dict, beside: str, opens: bool) -> None:
    tree(desk)
    desk.signal("sig00001", "S", volume=0.01, symbol="USDJPY")  # so that there is something to wind down
    desk.signal("sig00002", beside, volume=0.1)
    desk.do(Remove(tenant="t", mode="close-gracefully-by-symbol", **removed))
    desk.signal("sig00003", "S", volume=0.02)
    assert (0.02 in lots_of(desk, "S")) == opens


def test_two_ways_to_one_leaf_are_two_places(desk: Desk) -> None:
    desk.strategy("S", "p1")
    desk.portfolio("P", [{"strategyId": "S", "reduceCorrelations": "by-strategy"}])
    desk.portfolio("Q", [{"strategyId": "P"}, {"strategyId": "S", "multiplier": 0.5}])
    desk.subscriber("a", "Q")
    desk.signal("sig00001", "S", volume=0.1)
    desk.signal("sig00002", "S", volume=0.3)
    assert sorted(lots_of(desk, "S")) == [0.05, 0.1, 0.15, pytest.approx(0.2)]


def test_a_plain_copy_is_inside_no_member(desk: Desk) -> None:
    desk.strategy("S")
    desk.portfolio("P", [{"strategyId": "S"}])
    desk.subscriber("a", "S")
    desk.signal()
    desk.trade("ORDER_TYPE_BUY", "a")
    scopes = Scopes(np.zeros(1, dtype=int), ["S", "S/P"])
    assert [mask.tolist() for mask in copies_inside(desk.book, scopes)] == [[False, False]] * 2


def test_copies_of_nobody_have_no_route(desk: Desk) -> None:
    desk.strategy("S")
    for account in ("a", "b"):
        desk.subscriber(account, "S")
    plan = plan_for(desk.book, "S")
    none, of_each = np.full(3, -1), np.array([0, 1, -1])
    assert routes_of(desk.book, plan, of_each, none).tolist() == [0, 1, -1]
