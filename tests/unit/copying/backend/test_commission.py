"""What the backend writes onto transactions under the six schemes (contract, section 5)."""

from __future__ import annotations

import msgspec
import pytest

from copying.backend.broker.paper import PaperBroker
from copying.backend.state import snapshot
from copying.backend.state.commands import Remove
from copying.backend.state.effects import Deals
from tests.unit.copying.backend.desk import DAY, Desk


def scheme(kind: str, rate: float, period: str = "month") -> dict:
    return {"commissionScheme": {"type": kind, "billingPeriod": period, "commissionRate": rate}}


def won_trade(desk: Desk, signal_id: str = "sig00001", points: int = 100) -> None:
    """0.1 lots of EURUSD bought and sold `points` dollars higher, less 0.60 of broker commission."""
    desk.quote(EURUSD=(1.1, 1.1001))
    desk.signal(signal_id)
    desk.quote(EURUSD=(1.1001 + points * 1e-4, 1.1002 + points * 1e-4))
    desk.close_signal(signal_id)


def owed(desk: Desk) -> list[tuple[str, float]]:
    return [(deals.kind, float(each)) for deals in desk.told(Deals) for each in deals.provider_commission]


@pytest.mark.parametrize(
    ("kind", "rate", "opening", "closing"),
    [
        ("lots-traded", 5.0, 0.5, 0.0),
        ("lots-won", 5.0, 0.0, 0.5),
        ("amount-traded", 0.001, 11.0, 0.0),  # 0.1 lots x 110 005 USD
        ("amount-won", 0.2, 0.0, 19.94),  # 20 % of 100 - 0.30
    ],
)
def test_schemes_that_charge_per_deal(desk: Desk, kind: str, rate: float, opening: float, closing: float) -> None:
    desk.strategy(**scheme(kind, rate))
    desk.subscriber()
    won_trade(desk)
    assert owed(desk) == [("open", opening), ("close", closing)]


def test_losing_deals_owe_nothing_under_won_schemes(desk: Desk) -> None:
    desk.strategy(**scheme("amount-won", 0.2))
    desk.subscriber()
    won_trade(desk, points=-50)
    assert owed(desk) == [("open", 0.0), ("close", 0.0)]


def test_a_flat_fee_is_booked_once_when_the_period_ends(desk: Desk) -> None:
    desk.strategy(**scheme("flat-fee", 25, "week"))
    desk.subscriber()
    for _ in range(14):
        desk.tick(DAY)
    assert owed(desk) == [("commission", 25.0), ("commission", 25.0)]


def test_the_high_water_mark_is_charged_on_new_highs_only(desk: Desk) -> None:
    desk.strategy(**scheme("high-water-mark", 0.2, "week"))
    desk.subscriber()
    results = []
    for week, points in enumerate((100, -70, 50, 60)):
        won_trade(desk, f"sig0000{week}", points)
        before = len(owed(desk))
        for _ in range(7):
            desk.tick(DAY)
        results.append([amount for kind, amount in owed(desk)[before:] if kind == "commission"])
    # after costs of 0.60 a trade: 99.4, 28.8, 78.2, 137.6
    assert results == [[19.88], [], [], [7.64]]


def test_portfolio_owners_owe_the_leaf_for_the_same_deal(desk: Desk) -> None:
    desk.strategy("S", **scheme("lots-traded", 5.0))
    desk.portfolio("P", [{"strategyId": "S"}], **scheme("lots-traded", 8.0))
    desk.subscriber("a", "P")
    desk.signal()
    deals = desk.told(Deals)[0]
    assert (deals.provider_commission[0], deals.incoming_provider[0]) == (0.8, 0.5)


@pytest.mark.parametrize(
    ("kind", "rate", "opening", "closing"),
    [("lots-traded", 8.0, 0.8, 0.0), ("amount-won", 0.1, 0.0, 9.97), (None, 0.0, 0.0, 0.0)],
)
def test_owners_of_outer_portfolios_owe_the_inner_ones_owner_by_its_scheme(
    desk: Desk, kind: str | None, rate: float, opening: float, closing: float
) -> None:
    desk.strategy("S", **scheme("lots-traded", 5.0))
    desk.portfolio("P", [{"strategyId": "S"}], **(scheme(kind, rate) if kind else {}))
    desk.portfolio("Q", [{"strategyId": "P"}], **scheme("lots-traded", 20.0))
    desk.subscriber("a", "Q")
    desk.subscriber("b", "P")
    won_trade(desk)
    deals = desk.told(Deals)
    assert [float(each.incoming_provider[0]) for each in deals] == [opening, closing]
    assert [float(each.incoming_provider[1]) for each in deals] == [0.5, 0.0]  # b's portfolio has the leaf itself
    assert [float(each.provider_commission[0]) for each in deals] == [2.0, 0.0]


def test_a_leaf_on_two_ways_is_owed_for_by_each_member(desk: Desk) -> None:
    desk.strategy("S", **scheme("lots-traded", 5.0))
    desk.portfolio("P", [{"strategyId": "S"}], **scheme("lots-traded", 8.0))
    desk.portfolio("Q", [{"strategyId": "P"}, {"strategyId": "S"}])
    desk.subscriber("a", "Q")
    desk.signal()
    assert sorted(desk.told(Deals)[0].incoming_provider.tolist()) == [0.5, 0.8]


def test_the_mark_of_a_member_that_is_a_portfolio_stands_on_all_that_came_through_it(desk: Desk) -> None:
    desk.strategy("S", **scheme("high-water-mark", 0.5, "week"))  # owed by P's owner, not by Q's
    desk.strategy("T", "prov2")
    desk.portfolio("P", [{"strategyId": "S"}, {"strategyId": "T"}], **scheme("high-water-mark", 0.2, "week"))
    desk.portfolio("Q", [{"strategyId": "P"}])
    desk.subscriber("a", "Q")
    won_trade(desk, "sig00001", 100)
    desk.quote(EURUSD=(1.1, 1.1001))
    desk.signal("sig00002", "T")
    desk.quote(EURUSD=(1.0961, 1.0962))
    desk.close_signal("sig00002", "T")  # 99.4 - 40.6 are 58.8 for the portfolio
    for _ in range(7):
        desk.tick(DAY)
    assert incoming(desk) == [("commission", 11.76)]
    for week, points in enumerate((-70, 50, 60)):  # -70.6 + 49.4 + 59.4: 38.2 above the mark
        won_trade(desk, f"sig0001{week}", points)
    for _ in range(7):
        desk.tick(DAY)
    assert incoming(desk) == [("commission", 11.76), ("commission", 7.64)]
    settled = [deals for deals in desk.told(Deals) if deals.kind == "commission"]
    assert {desk.book.strategy_names.texts[deals.leaf[0]] for deals in settled} == {"P"}


def test_parts_of_older_snapshots_learn_their_members(desk: Desk) -> None:
    desk.strategy("S")
    desk.portfolio("P", [{"strategyId": "S"}])
    desk.portfolio("Q", [{"strategyId": "P"}])
    desk.subscriber("a", "Q")
    desk.signal()
    state = msgspec.msgpack.decode(snapshot.pack(desk.book))
    del state["parts"]["columns"]["member"]
    restored = snapshot.unpack(msgspec.msgpack.encode(state), PaperBroker())
    assert [restored.strategy_names.texts[each] for each in restored.parts.member] == ["P"]


def incoming(desk: Desk) -> list[tuple[str, float]]:
    return [(deals.kind, float(each)) for deals in desk.told(Deals) for each in deals.incoming_provider if each]


def test_a_members_flat_fee_is_owed_by_the_portfolio_once_per_subscriber_and_period(desk: Desk) -> None:
    desk.strategy("S", **scheme("flat-fee", 25, "week"))
    desk.strategy("T", "prov2", **scheme("flat-fee", 7, "month"))
    desk.portfolio("P", [{"strategyId": "S"}, {"strategyId": "T"}], **scheme("flat-fee", 40, "week"))
    desk.portfolio("Q", [{"strategyId": "P"}])
    desk.subscriber("a", "P")
    desk.subscriber("b", "Q")  # never traded: a fee is owed all the same
    desk.subscriber("c", "S")  # pays the leaf itself
    for _ in range(7):
        desk.tick(DAY)
    assert incoming(desk) == [("commission", 25.0), ("commission", 40.0)]  # a's to S, b's to P
    assert [amount for _, amount in owed(desk) if amount] == [40.0, 25.0]
    for _ in range(25):
        desk.tick(DAY)
    assert incoming(desk).count(("commission", 7.0)) == 1


def test_a_leafs_mark_rises_with_its_own_part_of_the_portfolio(desk: Desk) -> None:
    desk.strategy("S", **scheme("high-water-mark", 0.2, "week"))
    desk.strategy("T", "prov2")
    desk.portfolio("P", [{"strategyId": "S"}, {"strategyId": "T"}])
    desk.subscriber("a", "P")
    won_trade(desk, "sig00001", 100)
    desk.quote(EURUSD=(1.1, 1.1001))
    desk.signal("sig00002", "T")
    desk.quote(EURUSD=(1.05, 1.0501))
    desk.close_signal("sig00002", "T")  # what the other member lost does not lower the mark of this one
    for _ in range(7):
        desk.tick(DAY)
    assert incoming(desk) == [("commission", 19.88)]
    for week, points in enumerate((-70, 50, 60)):
        won_trade(desk, f"sig0001{week}", points)
        for _ in range(7):
            desk.tick(DAY)
    assert incoming(desk) == [("commission", 19.88), ("commission", 7.64)]
    settled = [deals for deals in desk.told(Deals) if deals.kind == "commission"]
    assert {desk.book.strategy_names.texts[deals.leaf[0]] for deals in settled} == {"S"}


@pytest.mark.parametrize("what", ["subscription", "strategy"])
def test_a_leafs_mark_is_settled_when_it_ends(desk: Desk, what: str) -> None:
    desk.strategy("S", **scheme("high-water-mark", 0.2, "quarter"))
    desk.portfolio("P", [{"strategyId": "S"}])
    desk.subscriber("a", "P")
    won_trade(desk, "sig00001", 100)
    removed = {"id": "a", "part": "P"} if what == "subscription" else {"id": "S"}
    desk.do(Remove(tenant="t", what=what, **removed))
    assert incoming(desk) == [("commission", 19.88)]
    desk.do(Remove(tenant="t", what="subscriber", id="a"))
    assert incoming(desk) == [("commission", 19.88)]


def test_commission_is_rounded_to_the_currency(desk: Desk) -> None:
    desk.account("a", currency="JPY", deposit=1_000_000)
    desk.strategy(**scheme("lots-traded", 333.33))
    desk.subscriber()
    desk.signal()
    assert owed(desk) == [("open", 33.0)]
