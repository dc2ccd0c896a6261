"""What the backend writes onto transactions under the six schemes (contract, section 5)."""

from __future__ import annotations

import pytest

from copying.backend.effects import Deals
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


def test_commission_is_rounded_to_the_currency(desk: Desk) -> None:
    desk.account("a", currency="JPY", deposit=1_000_000)
    desk.strategy(**scheme("lots-traded", 333.33))
    desk.subscriber()
    desk.signal()
    assert owed(desk) == [("open", 33.0)]
