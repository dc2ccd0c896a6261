"""Statistics of an account out of its deals (account APIs, 4.2). Pure arithmetic: no clock, no I/O.

Gain and drawdown are time-weighted: what is paid in or out is neither, so a withdrawal is no loss. Percentages are in
percent. Times are the broker's clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from statistics import fmean, stdev

from copying.backend.http.round_trips import (
    Document,
    PipSize,
    RoundTrip,
    moment_of,
    money,
    net_of,
    round_trips,
    share,
    shown,
)

DAYS_OF_MONTH = 30.4
FEWEST_FOR_RATIOS = 30


@dataclass
class Growth:
    """The balance along its deals. index: what one unit paid in at the start is worth, payments in and out apart."""

    balance: Decimal = Decimal(0)
    deposits: Decimal = Decimal(0)
    withdrawals: Decimal = Decimal(0)
    commissions: Decimal = Decimal(0)
    interest: Decimal = Decimal(0)
    highest: Decimal = Decimal(0)
    highest_at: str = ""
    index: float = 1.0
    peak: float = 1.0
    drawdown: float = 0.0

    def add(self, deal: Document) -> None:
        """Take one deal."""
        amount = net_of(deal)
        if deal["type"] == "DEAL_TYPE_BALANCE":
            if amount > 0:
                self.deposits += amount
            else:
                self.withdrawals -= amount
        else:
            self.commissions += money(deal, "commission")
            self.interest += money(deal, "swap")
            if self.balance > 0:
                self.index *= max(0.0, 1 + float(amount / self.balance))
        self.balance += amount
        if self.balance > self.highest:
            self.highest, self.highest_at = self.balance, deal["brokerTime"]
        self.peak = max(self.peak, self.index)
        self.drawdown = max(self.drawdown, 1 - self.index / self.peak)


def metrics(deals: list[Document], state: Document, now: str, pip_of: PipSize) -> Document:
    """M1 (4.2). state: account information (3.2); now: by the broker's clock.

    profit: what all deals but deposits and withdrawals did to the balance, parts of open positions among them.
    """
    growth, daily = Growth(), daily_growth(deals)
    for deal in deals:
        growth.add(deal)
    trips = round_trips(deals, pip_of)
    profit = growth.balance - growth.deposits + growth.withdrawals
    result: Document = {
        **{name: state[name] for name in ("balance", "equity", "margin", "freeMargin")},
        "trades": len(trips),
        "profit": shown(profit),
        "deposits": shown(growth.deposits),
        "withdrawals": shown(growth.withdrawals),
        "commissions": shown(growth.commissions),
        "interest": shown(growth.interest),
        "highestBalance": shown(growth.highest),
        "gain": round((growth.index - 1) * 100, 4),
        "maxDrawdown": round(growth.drawdown * 100, 4),
        "lots": round(sum(trip.lots for trip in trips), 8),
        "dailyGrowth": daily,
        **of_trades(trips),
    }
    if growth.highest_at:
        result["highestBalanceDate"] = growth.highest_at
    if growth.deposits:
        result["absoluteGain"] = round(float(profit / growth.deposits) * 100, 4)
    if state["balance"]:
        result["equityPercent"] = round(state["equity"] / state["balance"] * 100, 4)
    if "marginLevel" in state:
        result["marginLevel"] = state["marginLevel"]
    return result | (rates(trips[0].opened, now, growth) if trips else {})


def closing_deals(positions: list[Document], now: str) -> list[Document]:
    """Open positions (3.3) as the deals that would close them now, so that statistics may include them."""
    sides = {"POSITION_TYPE_BUY": "DEAL_TYPE_SELL", "POSITION_TYPE_SELL": "DEAL_TYPE_BUY"}
    return [
        {
            "id": position["id"],
            "type": sides[position["type"]],
            "entryType": "DEAL_ENTRY_OUT",
            "symbol": position["symbol"],
            "brokerTime": now,
            "volume": position["volume"],
            "price": position.get("currentPrice", position["openPrice"]),
            "profit": position["unrealizedProfit"],
            "swap": position["unrealizedSwap"],
            "commission": position["unrealizedCommission"],
            "positionId": position["id"],
        }
        for position in positions
    ]


def rates(begin: str, now: str, growth: Growth) -> Document:
    """Compound gains of a day and a month, from the first trade on; none where everything is lost."""
    days = (moment_of(now) - moment_of(begin)).total_seconds() / 86_400
    result: Document = {"daysSinceTradingStarted": round(days, 6)}
    if days < 1 or growth.index <= 0:
        return result  # a gain of hours, taken to the power of months, says nothing
    daily = growth.index ** (1 / days) - 1
    return result | {
        "dailyGain": daily * 100,
        "monthlyGain": ((1 + daily) ** DAYS_OF_MONTH - 1) * 100,
    }


def of_trades(trips: list[RoundTrip]) -> Document:
    """Shares, averages and extremes; empty without trades."""
    if not trips:
        return {}
    won, lost = ([trip for trip in trips if (trip.net > 0) == is_won] for is_won in (True, False))
    best, worst = max(trips, key=lambda trip: trip.net), min(trips, key=lambda trip: trip.net)
    gains, losses = (abs(sum((trip.net for trip in group), Decimal(0))) for group in (won, lost))
    pips = [trip.pips for trip in trips if trip.pips is not None]
    result: Document = {
        "wonTradesPercent": share(len(won), len(trips)),
        "lostTradesPercent": share(len(lost), len(trips)),
        "bestTrade": shown(best.net),
        "bestTradeDate": best.closed,
        "worstTrade": shown(worst.net),
        "worstTradeDate": worst.closed,
        "averageWin": shown(gains / len(won)) if won else 0,
        "averageLoss": shown(-losses / len(lost)) if lost else 0,
        "expectancy": shown((gains - losses) / len(trips)),
        "pips": round(sum(pips), 2),
        "averageTradeLengthInMilliseconds": round(fmean(trip.minutes for trip in trips) * 60_000),
    }
    if losses:  # with no loss it is infinite, which JSON does not know
        result["profitFactor"] = round(float(gains / losses), 6)
    if len(trips) >= FEWEST_FOR_RATIOS:
        result |= ratios([float(trip.net) for trip in trips])
    return result | by_side(trips)


def by_side(trips: list[RoundTrip]) -> Document:
    """How many bought and sold positions there were, and how many of them won."""
    result: Document = {}
    for name, side in (("long", 1), ("short", -1)):
        of_side = [trip for trip in trips if trip.side == side]
        winners = sum(trip.net > 0 for trip in of_side)
        result |= {f"{name}Trades": len(of_side), f"{name}WonTrades": winners}
        if of_side:
            result[f"{name}WonTradesPercent"] = share(winners, len(of_side))
    return result


def ratios(results: list[float]) -> Document:
    """What only many trades tell."""
    deviation, mean = stdev(results), fmean(results)
    below = math.sqrt(fmean(min(0.0, result) ** 2 for result in results))
    answer: Document = {"standardDeviationProfit": round(deviation, 6)}
    if deviation:
        answer["sharpeRatio"] = round(mean / deviation, 6)
    if below:
        answer["sortinoRatio"] = round(mean / below, 6)
    return answer


def daily_growth(deals: list[Document]) -> list[Document]:
    """The balance at the end of each day of the broker that had a deal."""
    days: list[Document] = []
    total = Decimal(0)
    growth, before = Growth(), 1.0
    for deal in deals:
        date, result = deal["brokerTime"][:10], Decimal(0)
        if not days or days[-1]["date"] != date:
            days.append({"date": date, "profit": Decimal(0), "lots": 0.0})
            before = growth.index
        growth.add(deal)
        if deal["type"] != "DEAL_TYPE_BALANCE":
            result = net_of(deal)
        total += result
        day = days[-1]
        day["profit"] += result
        day["lots"] = round(day["lots"] + (deal["volume"] if deal.get("entryType") == "DEAL_ENTRY_OUT" else 0), 8)
        day |= {
            "gains": round((growth.index / before - 1) * 100, 4) if before else 0,
            "totalProfit": shown(total),
            "totalGains": round((growth.index - 1) * 100, 4),
            "balance": shown(growth.balance),
            "drawdownPercentage": round((1 - growth.index / growth.peak) * 100, 4),
        }
    return [{**day, "profit": shown(day["profit"])} for day in days]
