"""Risk limits inside a portfolio: every member has its own result, and stops on its own (contract, 4.1 and 4.5)."""

from __future__ import annotations

from typing import Any

import pytest

from copying.backend.broker.paper import PaperBroker
from copying.backend.core.apply import apply
from copying.backend.http import reads
from copying.backend.state import snapshot
from copying.backend.state.book import Book
from copying.backend.state.commands import ResetStopouts, Resynchronise
from copying.backend.state.effects import Decided
from copying.backend.state.parts import parts_below, path_text
from copying.engine.reasons import Reason
from copying.engine.routes import MAX_DEPTH
from tests.unit.copying.backend.desk import DAY, Desk

#        S --(member)--+
#                      P --(member)--+
#        T --(member)--+             Q --- subscription of a
#        U --(member)----------------+
WHERE = {
    # the limit stands at          : trades of these strategies lose; it stops these strategies
    "S": ("S", "S"),
    "S in P": ("S", "S"),
    "P": ("S", "ST"),
    "P of T": ("T", "ST"),
    "P in Q": ("T", "ST"),
    "Q": ("U", "STU"),
    "subscription": ("S", "STU"),
    "subscriber": ("U", "STU"),
}


def limit(kind: str = "date", basis: str = "balance-minus-equity", **terms: Any) -> dict[str, Any]:
    return {"type": kind, "applyTo": basis, "maxAbsoluteRisk": 50, "closePositions": True, **terms}


def tree(desk: Desk, at: str = "", **terms: Any) -> None:
    """The portfolios above, with a risk limit at one place."""

    def given(*places: str) -> dict[str, Any]:
        return {"riskLimits": [limit(**terms)]} if at in places else {}

    desk.strategy("S", "p1", **given("S"))
    desk.strategy("T", "p2")
    desk.strategy("U", "p3")
    desk.portfolio("P", [{"strategyId": "S", **given("S in P")}, {"strategyId": "T"}], **given("P", "P of T"))
    desk.portfolio("Q", [{"strategyId": "P", **given("P in Q")}, {"strategyId": "U"}], **given("Q"))
    desk.subscriber("a", "Q", settings=given("subscriber"), **given("subscription"))


def fall(desk: Desk, points: int) -> None:
    desk.tick(1, EURUSD=(1.1001 - points * 1e-4, 1.1002 - points * 1e-4))


def sources(desk: Desk) -> str:
    return "".join(sorted(each["sourceStrategyId"] for each in reads.account_positions(desk.book, "t", "a")))


@pytest.mark.parametrize("basis", ["balance-minus-equity", "equity-difference"])
@pytest.mark.parametrize("at", WHERE)
def test_a_limit_looks_at_what_came_through_its_place_and_stops_that(desk: Desk, at: str, basis: str) -> None:
    loser, stopped = WHERE[at]
    tree(desk, at, basis=basis)
    for number, strategy in enumerate("STU"):
        lots = {"volume": 0.2} if strategy == loser else {"volume": 0.01}
        desk.signal(f"sig0000{number}", strategy, **lots)
    fall(desk, 20)
    assert reads.stopouts(desk.book, "t", "a") == []
    fall(desk, 40)
    assert len(reads.stopouts(desk.book, "t", "a")) == 1
    assert sources(desk) == "".join(each for each in "STU" if each not in stopped)
    for number, strategy in enumerate("STU"):
        desk.signal(f"sig0001{number}", strategy, volume=0.01)
    refused = [
        told.signal.strategy_id
        for told in desk.told(Decided)
        if told.decisions.reason[told.rows].tolist() == [Reason.STOPPED_OUT]
    ]
    assert "".join(refused) == stopped


@pytest.mark.parametrize("at", ["S", "S in P", "P in Q"])
def test_losses_beside_a_member_do_not_count_for_it(desk: Desk, at: str) -> None:
    tree(desk, at)
    desk.signal("sig00001", "U", volume=5)
    fall(desk, 100)
    assert reads.stopouts(desk.book, "t", "a") == []


@pytest.mark.parametrize("basis", ["balance-difference", "balance-minus-equity", "equity-difference"])
def test_closed_losses_count_where_they_were_made(desk: Desk, basis: str) -> None:
    tree(desk, "S in P", basis=basis)
    desk.signal("sig00001", "T", volume=0.2)
    desk.signal("sig00002", "S", volume=0.2)
    desk.quote(EURUSD=(1.0901, 1.0902))
    desk.close_signal("sig00001", "T")
    desk.tick(1)
    is_booked = basis == "balance-difference"
    assert (len(reads.stopouts(desk.book, "t", "a")), sources(desk)) == ((0, "S") if is_booked else (1, ""))
    if is_booked:
        desk.close_signal("sig00002", "S")
        desk.tick(1)
        assert len(reads.stopouts(desk.book, "t", "a")) == 1


def test_members_with_the_same_limit_each_have_their_own(desk: Desk) -> None:
    desk.strategy("S", "p1")
    desk.strategy("T", "p2")
    members = [
        {"strategyId": "S", "riskLimits": [limit(maxAbsoluteRisk=50)]},
        {"strategyId": "T", "riskLimits": [limit(maxAbsoluteRisk=500)]},
    ]
    desk.portfolio("P", members)
    desk.subscriber("a", "P")
    desk.signal("sig00001", "S")
    desk.signal("sig00002", "T")
    fall(desk, 60)
    assert sources(desk) == "T"
    fall(desk, 510)
    assert sources(desk) == ""
    assert [each["sourceStrategy"]["id"] for each in reads.stopouts(desk.book, "t", "a")] == ["S", "T"]


def test_a_later_limit_replaces_the_earlier_one_of_its_own_chain_only(desk: Desk) -> None:
    tree(desk, "S in P")
    assert len(desk.book.limits) == 1
    desk.portfolio("P", [{"strategyId": "S"}, {"strategyId": "T", "riskLimits": [limit()]}])
    desk.subscriber("a", "Q", riskLimits=[limit(maxAbsoluteRisk=900)])
    assert (desk.book.limits.absolute.tolist(), desk.book.limits.scope.tolist()) == ([900], [-1])


def test_a_stopout_of_a_member_names_it_and_is_reset_by_the_subscription(desk: Desk) -> None:
    tree(desk, "P in Q")
    desk.signal("sig00001", "S")
    fall(desk, 60)
    stopout = reads.stopouts(desk.book, "t", "a")[0]
    assert (stopout["strategy"]["id"], stopout["sourceStrategy"]["id"]) == ("Q", "P")
    assert stopout["reasonDescription"].endswith("(date-balance-minus-equity, portfolio member in portfolio member P).")
    desk.do(ResetStopouts(tenant="t", subscriber_id="a", strategy_id="Q", reason="date-balance-minus-equity"))
    assert reads.stopouts(desk.book, "t", "a") == []


def test_a_members_stopout_ends_with_its_period(desk: Desk) -> None:
    tree(desk, "S in P")
    desk.signal("sig00001", "S")
    fall(desk, 60)
    desk.tick(DAY / 2 + 60)
    assert reads.stopouts(desk.book, "t", "a") == []
    desk.signal("sig00002", "S")
    assert sources(desk) == "S"


def test_calendar_limits_of_a_member_count_from_the_start_of_the_day(desk: Desk) -> None:
    tree(desk)
    desk.signal("sig00001", "S", volume=0.1)
    desk.quote(EURUSD=(1.0961, 1.0962))
    desk.close_signal("sig00001", "S")  # 40 lost before there is a limit
    member = {"strategyId": "S", "riskLimits": [limit(basis="balance-difference")]}
    desk.portfolio("P", [member, {"strategyId": "T"}])
    desk.quote(EURUSD=(1.1, 1.1001))
    desk.signal("sig00002", "S", volume=0.1)
    desk.quote(EURUSD=(1.0981, 1.0982))
    desk.close_signal("sig00002", "S")
    desk.tick(1)
    assert len(reads.stopouts(desk.book, "t", "a")) == 1


def test_one_leaf_on_two_ways_is_two_parts(desk: Desk) -> None:
    desk.strategy("S", "p1")
    desk.portfolio("P", [{"strategyId": "S", "multiplier": 2, "riskLimits": [limit()]}])
    desk.portfolio("Q", [{"strategyId": "P"}, {"strategyId": "S"}])
    desk.subscriber("a", "Q")
    desk.signal("sig00001", "S", volume=0.1)
    assert sorted(lots for _, _, lots in desk.held("a")) == [0.1, 0.2]
    fall(desk, 30)
    assert [lots for _, _, lots in desk.held("a")] == [0.1]
    desk.do(ResetStopouts(tenant="t", subscriber_id="a", strategy_id="Q", reason="date-balance-minus-equity"))
    desk.subscriber("a", "Q", riskLimits=[limit(maxAbsoluteRisk=5000)])
    desk.do(Resynchronise(tenant="t", subscriber_id="a"))  # only the way that misses it opens it again
    assert sorted(lots for _, _, lots in desk.held("a")) == [0.1, 0.2]


def test_a_subscription_that_starts_again_has_parts_without_a_past(desk: Desk) -> None:
    tree(desk, "S in P", kind="lifetime", basis="balance-difference")
    desk.signal("sig00001", "S", volume=0.1)
    desk.quote(EURUSD=(1.0961, 1.0962))
    desk.close_signal("sig00001", "S")
    desk.subscriber("a", "U")
    desk.subscriber("a", "Q")
    desk.quote(EURUSD=(1.1, 1.1001))
    desk.signal("sig00002", "S", volume=0.1)
    desk.quote(EURUSD=(1.0971, 1.0972))
    desk.close_signal("sig00002", "S")
    desk.tick(1)
    assert reads.stopouts(desk.book, "t", "a") == []


def test_a_replay_and_a_restored_snapshot_give_the_same_parts(desk: Desk) -> None:
    tree(desk, "P in Q")
    desk.signal("sig00001", "S")
    desk.signal("sig00002", "U")
    held, place = snapshot.pack(desk.book), len(desk.entries)
    desk.signal("sig00003", "T", volume=0.4)
    fall(desk, 60)
    fresh, restored = Book(PaperBroker(), slippage_spreads=0.0), snapshot.unpack(held, PaperBroker())
    for sequence, entry in enumerate(desk.entries, 1):
        apply(fresh, entry, sequence)
    for sequence, entry in enumerate(desk.entries[place:], place + 1):
        apply(restored, entry, sequence)
    assert snapshot.pack(fresh) == snapshot.pack(restored) == snapshot.pack(desk.book)
    whole, parts = desk.book.subscriptions, desk.book.parts
    assert float(parts.realised.sum()) == pytest.approx(float(whole.realised.sum()))
    assert float(parts.floating.sum()) == pytest.approx(float(whole.floating.sum()))


def test_parts_of_a_member_are_those_of_the_own_subscription(desk: Desk) -> None:
    desk.strategy("S", "p1")
    desk.portfolio("P", [{"strategyId": "S", "riskLimits": [limit()]}])
    for account in ("a", "b", "c"):
        desk.subscriber(account, "P")
    desk.signal("sig00001", "S")
    scope = desk.book.paths.number(path_text(("S", "P")))
    rows = [parts_below(desk.book, subscription, scope).tolist() for subscription in range(3)]
    assert [desk.book.parts.subscription[own].tolist() for own in rows] == [[0], [1], [2]]


@pytest.mark.parametrize("depth", range(1, MAX_DEPTH + 1))
def test_limits_of_a_leaf_reach_through_all_portfolios_that_there_may_be(desk: Desk, depth: int) -> None:
    desk.strategy("S", "p1", riskLimits=[limit()])
    inner = "S"
    for number in range(1, depth + 1):
        desk.portfolio(f"P{number}", [{"strategyId": inner}])
        inner = f"P{number}"
    desk.subscriber("a", inner)
    assert len(desk.book.limits) == 1
