"""Statistics of MetaStats and elements of the equity chart, against plain computations over random deals."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from copying.backend.http.account_statistics import Growth, closing_deals, daily_growth, metrics, rates
from copying.backend.http.calculations import KEPT_SECONDS, PER_MINUTE, Calculations
from copying.backend.http.equity_chart import chart, present_hour
from copying.backend.http.round_trips import open_trade, round_trips, trades

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
STATE = {"balance": 0.0, "equity": 0.0, "margin": 0.0, "freeMargin": 0.0}
LAST = "2026-12-31 00:00:00.000"


def at(minutes: float) -> str:
    return (NOON + timedelta(minutes=minutes)).strftime("%Y-%m-%d %H:%M:%S.") + "000"


def paid(amount: float, minutes: float = 0, number: str = "") -> dict[str, Any]:
    return {"id": number or f"b{minutes}", "type": "DEAL_TYPE_BALANCE", "brokerTime": at(minutes), "profit": amount}


def dealt(position: str, entry: str, minutes: float, profit: float = 0, volume: float = 1, **more) -> dict[str, Any]:
    side = "BUY" if entry == "IN" else "SELL"
    return {
        "id": f"{position}-{minutes}",
        "type": f"DEAL_TYPE_{side}",
        "entryType": f"DEAL_ENTRY_{entry}",
        "positionId": position,
        "brokerTime": at(minutes),
        "symbol": "EURUSD",
        "volume": volume,
        "price": 1.1,
        "profit": profit,
        "commission": 0,
        "swap": 0,
        **more,
    }


def pip_of(symbol: str) -> float | None:
    return {"EURUSD": 0.0001}.get(symbol)


def measured(deals: list[dict[str, Any]], **state: float) -> dict[str, Any]:
    return metrics(deals, {**STATE, **state}, LAST, pip_of)


def random_book(seed: int) -> list[dict[str, Any]]:
    """Deposits, withdrawals, positions that close at once, in parts, or not at all."""
    dice, deals = random.Random(seed), [paid(10_000)]
    for place in range(1, 120):
        if dice.random() < 0.1:
            deals.append(paid(dice.choice([500, -300.25]), place))
            continue
        parts = dice.choice([[1.0], [0.3, 0.7], [0.4]])
        fee = {"commission": round(dice.uniform(-5, 0), 2)}
        deals.append(dealt(str(place), "IN", place, **fee))
        for number, part in enumerate(parts, 1):
            swap = round(dice.uniform(-2, 2), 2)
            closing = place + number * dice.uniform(1, 2000)
            profit = round(dice.uniform(-90, 100), 2)
            deals.append(dealt(str(place), "OUT", round(closing), profit, part, swap=swap, **fee))
    return sorted(deals, key=lambda deal: (deal["brokerTime"], deal["id"]))


def net(deal: dict[str, Any]) -> Decimal:
    return sum((Decimal(str(deal.get(name, 0))) for name in ("profit", "commission", "swap")), Decimal(0))


@pytest.mark.parametrize("seed", range(20))
def test_totals_are_what_the_deals_add_up_to(seed):
    deals = random_book(seed)
    result, daily = measured(deals), daily_growth(deals)
    balance = sum(map(net, deals))
    assert daily[-1]["balance"] == float(balance)
    moved = [net(deal) for deal in deals if deal["type"] == "DEAL_TYPE_BALANCE"]
    assert result["deposits"] == float(sum(amount for amount in moved if amount > 0))
    assert result["withdrawals"] == float(-sum(amount for amount in moved if amount < 0))
    assert result["profit"] == daily[-1]["totalProfit"] == float(balance - sum(moved))
    assert round(sum(day["profit"] for day in daily), 8) == result["profit"]
    volumes = {}
    for deal in deals:
        if deal.get("positionId"):
            sign = 1 if deal["entryType"] == "DEAL_ENTRY_IN" else -1
            volumes[deal["positionId"]] = round(volumes.get(deal["positionId"], 0) + sign * deal["volume"], 8)
    closed = {position for position, volume in volumes.items() if not volume}
    nets = {p: sum(net(deal) for deal in deals if deal.get("positionId") == p) for p in closed}
    assert (result["trades"], result["lots"]) == (len(closed), len(closed))
    assert result["wonTradesPercent"] == round(100 * sum(n > 0 for n in nets.values()) / len(nets), 4)
    assert result["wonTradesPercent"] + result["lostTradesPercent"] == pytest.approx(100, abs=0.001)
    assert (result["bestTrade"], result["worstTrade"]) == (float(max(nets.values())), float(min(nets.values())))
    won, lost = (sum(n for n in nets.values() if (n > 0) == is_won) for is_won in (True, False))
    assert result["profitFactor"] == pytest.approx(float(-won / lost), abs=1e-5)
    assert result["longTrades"] == len(closed)
    assert ("sharpeRatio" in result) == (len(closed) >= 30)
    rows = trades("a", deals, pip_of)
    assert len(rows) == len(closed) + len(moved)
    assert sorted(row["profit"] for row in rows) == sorted(float(n) for n in [*nets.values(), *moved])
    assert [row["closeTime"] for row in rows] == sorted(row["closeTime"] for row in rows)


def test_payments_are_neither_gain_nor_drawdown():
    trade = [dealt("1", "IN", 1), dealt("1", "OUT", 2, 100)]
    again = [dealt("2", "IN", 5), dealt("2", "OUT", 6, 110)]
    plain = measured([paid(1_000), *trade, *again])
    paid_between = measured([paid(1_000), *trade, paid(-550, 3), paid(550, 4), *again])
    assert plain["gain"] == paid_between["gain"] == pytest.approx(21)
    assert paid_between["maxDrawdown"] == 0
    lost = measured([paid(1_000), dealt("1", "IN", 1), dealt("1", "OUT", 2, -250), paid(5_000, 3)])
    assert lost["maxDrawdown"] == 25


@pytest.mark.parametrize(("losses", "is_told"), [([], False), ([-1], True), ([0], False)])
def test_a_profit_factor_needs_a_loss(losses, is_told):
    deals = [paid(1_000)]
    for place, profit in enumerate([5, *losses]):
        deals += [dealt(str(place), "IN", place + 1), dealt(str(place), "OUT", place + 2, profit)]
    assert ("profitFactor" in measured(deals)) == is_told


@pytest.mark.parametrize(("count", "is_told"), [(29, False), (30, True)])
def test_ratios_need_thirty_trades(count, is_told):
    deals = [paid(1_000)]
    for place in range(count):
        deals += [dealt(str(place), "IN", place), dealt(str(place), "OUT", place + 1, place - 3)]
    assert ("sharpeRatio" in measured(deals)) == is_told


def test_an_account_without_trades_has_metrics():
    result = measured([paid(1_000)], balance=1_000.0, equity=1_000.0)
    assert (result["trades"], result["profit"], result["gain"], result["absoluteGain"]) == (0, 0, 0, 0)
    assert (result["equityPercent"], result["highestBalance"]) == (100, 1_000)
    assert measured([])["trades"] == 0


def test_open_positions_are_included_on_demand():
    position = {
        "id": "7",
        "type": "POSITION_TYPE_BUY",
        "symbol": "EURUSD",
        "volume": 1,
        "openPrice": 1.1,
        "currentPrice": 1.102,
        "brokerTime": at(1),
        "profit": 200,
        "swap": -3,
        "unrealizedProfit": 200,
        "unrealizedSwap": -3,
        "unrealizedCommission": 0,
    }
    deals = [paid(1_000), dealt("7", "IN", 1, commission=-2)]
    [trip] = round_trips(deals + closing_deals([position], at(11)), pip_of)
    assert (trip.net, trip.pips, trip.minutes) == (Decimal(195), 20, 10)
    assert measured(deals)["trades"] == 0
    shown = open_trade("a", position, 1_000, at(11))
    assert (shown["profit"], shown["gain"], shown["durationInMinutes"]) == (197, 19.7, 10)
    assert "closeTime" not in shown


def test_hours_of_the_chart():
    minutes = [(0, 100, 90), (59.9, 100, 120), (60, 150, 150), (200, 150, 100)]
    snapshots = [(NOON + timedelta(minutes=minute), balance, equity) for minute, balance, equity in minutes]
    items = chart(snapshots)
    assert [item["startBrokerTime"][11:16] for item in items] == ["12:00", "13:00", "15:00"]
    assert items[0]["endBrokerTime"] == "2026-03-02 12:59:59.999"
    names = ("averageEquity", "minEquity", "maxEquity", "startEquity", "lastEquity", "averageBalance")
    assert [items[0][name] for name in names] == [105, 90, 120, 90, 120, 100]
    now = NOON + timedelta(minutes=62)
    present = present_hour([*snapshots[:3], (now, 150.0, 170.0)], now)
    assert (present["duration"], present["balanceSum"], present["equitySum"]) == (120_000, 18e6, 18e6)


def test_a_calculation_is_begun_once_and_there_for_whoever_comes_back():
    async def run() -> None:
        calculations, begun, is_over = Calculations(), [], asyncio.Event()

        async def calculate() -> str:
            begun.append(1)
            await is_over.wait()
            return "done"

        assert calculations.wait_s("t", "k", 0.0) == 0.0
        assert await calculations.result("k", calculate, 0.0, 0.01) is None
        for _ in range(100):
            assert calculations.wait_s("t", "k", 1.0) == 0.0  # coming back costs nothing
        is_over.set()
        assert await calculations.result("k", calculate, 2.0, 60) == "done"
        assert await calculations.result("k", calculate, 3.0, 60) == "done"
        assert len(begun) == 2
        is_over.clear()
        assert await calculations.result("k", calculate, 4.0, 0.01) is None
        is_over.set()
        assert await calculations.result("k", calculate, 4.0 + KEPT_SECONDS, 60) == "done"
        assert len(begun) == 4  # nobody came back in time: it was worked out anew

    asyncio.run(run())


def test_a_tenant_begins_25_calculations_a_minute():
    calculations = Calculations()
    assert [calculations.wait_s("t", place, 0.0) for place in range(PER_MINUTE)] == [0.0] * PER_MINUTE
    assert calculations.wait_s("t", "more", 0.0) > 0
    assert calculations.wait_s("u", "more", 0.0) == 0.0
    moments = range(0, 3600, 2)
    assert sum(calculations.wait_s("v", moment, float(moment)) == 0 for moment in moments) <= 25 + 500 + 500


def test_gains_of_a_day_are_of_what_the_day_began_with() -> None:
    deals = [paid(1000), dealt("1", "OUT", 10, 100), dealt("2", "OUT", 1_450, 110), dealt("3", "OUT", 1_460, -121)]
    days = daily_growth(deals)
    assert [(day["gains"], day["totalGains"]) for day in days] == [(10.0, 10.0), (-1.0, 8.9)]
    assert [day["drawdownPercentage"] for day in days] == [0.0, 10.0]


@pytest.mark.parametrize(
    ("days", "daily", "monthly"),
    [(0.999, None, None), (1.0, 21.0, 1.21**30.4 * 100 - 100), (30.4, 1.21 ** (1 / 30.4) * 100 - 100, 21.0)],
)
def test_gains_of_days_and_months_are_compound(days: float, daily: float | None, monthly: float | None) -> None:
    answer = rates(at(0), at(days * 24 * 60), Growth(index=1.21))
    assert answer["daysSinceTradingStarted"] == pytest.approx(days, abs=1e-5)
    assert answer.get("dailyGain") == (None if daily is None else pytest.approx(daily, rel=1e-4))
    assert answer.get("monthlyGain") == (None if monthly is None else pytest.approx(monthly, rel=1e-3))


@pytest.mark.parametrize("index", [0.0, -0.1])
def test_where_everything_is_lost_there_are_no_rates(index: float) -> None:
    assert rates(at(0), at(10_000), Growth(index=index)).keys() == {"daysSinceTradingStarted"}


def test_long_and_short_trades_are_counted_apart() -> None:
    deals = [paid(1000)]
    for number, (side, profit) in enumerate((("BUY", 5), ("SELL", 7), ("SELL", -2))):
        other = {"BUY": "SELL", "SELL": "BUY"}[side]
        deals.append(dealt(str(number), "IN", number * 10 + 1, type=f"DEAL_TYPE_{side}"))
        deals.append(dealt(str(number), "OUT", number * 10 + 2, profit, type=f"DEAL_TYPE_{other}"))
    answer = measured(deals)
    assert (answer["longTrades"], answer["longWonTrades"], answer["longWonTradesPercent"]) == (1, 1, 100)
    assert (answer["shortTrades"], answer["shortWonTrades"], answer["shortWonTradesPercent"]) == (2, 1, 50)
