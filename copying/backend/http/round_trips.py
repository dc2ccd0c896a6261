"""Positions from their opening to their last close, out of deals: the trades of MetaStats (account APIs, 4.3).

Pure arithmetic: no clock, no I/O. Money is added up in Decimal and shown as numbers; times are the broker's clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

Document = dict[str, Any]
PipSize = Callable[[str], float | None]
CLOCK = "%Y-%m-%d %H:%M:%S.%f"


@dataclass(frozen=True)
class RoundTrip:
    """A position from its opening to its last close; of one that is still open what was closed so far is not here."""

    position_id: str
    symbol: str
    side: int
    lots: float
    opened: str
    closed: str
    open_price: float
    close_price: float
    net: Decimal
    pips: float | None

    @property
    def minutes(self) -> float:
        return (moment_of(self.closed) - moment_of(self.opened)).total_seconds() / 60


def moment_of(text: str) -> datetime:
    """A time of the broker's clock."""
    return datetime.strptime(text, CLOCK)


def money(deal: Document, *names: str) -> Decimal:
    """The sum of some amounts of a deal, exactly."""
    return sum((Decimal(str(deal.get(name) or 0)) for name in names), Decimal(0))


def net_of(deal: Document) -> Decimal:
    """What a deal did to the balance."""
    return money(deal, "profit", "commission", "swap")


def round_trips(deals: Iterable[Document], pip_of: PipSize) -> list[RoundTrip]:
    """Positions that are closed, in the order in which they were."""
    by_position: dict[str, list[Document]] = {}
    for deal in deals:
        if deal.get("positionId"):
            by_position.setdefault(deal["positionId"], []).append(deal)
    trips = [_round_trip(position, parts, pip_of) for position, parts in by_position.items()]
    return sorted((trip for trip in trips if trip is not None), key=lambda trip: (trip.closed, trip.position_id))


def _round_trip(position: str, parts: list[Document], pip_of: PipSize) -> RoundTrip | None:
    ins = [deal for deal in parts if deal["entryType"] == "DEAL_ENTRY_IN"]
    outs = [deal for deal in parts if deal["entryType"] == "DEAL_ENTRY_OUT"]
    lots, closed = (sum(deal["volume"] for deal in side) for side in (ins, outs))
    if not ins or closed < lots - 1e-9:
        return None
    first, side = ins[0], 1 if ins[0]["type"].endswith("BUY") else -1
    close_price = sum(deal["price"] * deal["volume"] for deal in outs) / closed
    pip = pip_of(first["symbol"])
    return RoundTrip(
        position_id=position,
        symbol=first["symbol"],
        side=side,
        lots=round(lots, 8),
        opened=first["brokerTime"],
        closed=outs[-1]["brokerTime"],
        open_price=first["price"],
        close_price=round(close_price, 8),
        net=sum(map(net_of, parts), Decimal(0)),
        pips=None if pip is None else round((close_price - first["price"]) * side / pip, 2),
    )


def trades(account_id: str, deals: list[Document], pip_of: PipSize) -> list[Document]:
    """M2 (4.3): round trips and balance operations, by the time of their end."""
    operations = [
        {
            "_id": f"{account_id}+{deal['id']}",
            "accountId": account_id,
            "type": deal["type"],
            "volume": 0,
            "openTime": deal["brokerTime"],
            "closeTime": deal["brokerTime"],
            "profit": shown(net_of(deal)),
            "gain": 0,
            "durationInMinutes": 0,
            "comment": deal.get("comment", ""),
        }
        for deal in deals
        if not deal.get("positionId")
    ]
    balances = balances_before(deals)
    closed = [_trade(account_id, trip, balances.get(trip.position_id)) for trip in round_trips(deals, pip_of)]
    return sorted(operations + closed, key=lambda trade: (trade["closeTime"], trade["_id"]))


def balances_before(deals: list[Document]) -> dict[str, Decimal]:
    """The balance at the opening of each position."""
    balance = Decimal(0)
    before: dict[str, Decimal] = {}
    for deal in deals:
        if deal.get("positionId"):
            before.setdefault(deal["positionId"], balance)
        balance += net_of(deal)
    return before


def _trade(account_id: str, trip: RoundTrip, balance: Decimal | None) -> Document:
    document: Document = {
        "_id": f"{account_id}+{trip.position_id}",
        "accountId": account_id,
        "type": f"DEAL_TYPE_{'BUY' if trip.side > 0 else 'SELL'}",
        "symbol": trip.symbol,
        "volume": trip.lots,
        "openTime": trip.opened,
        "closeTime": trip.closed,
        "openPrice": trip.open_price,
        "closePrice": trip.close_price,
        "profit": shown(trip.net),
        "gain": round(float(trip.net / balance) * 100, 4) if balance else 0,
        "success": "won" if trip.net > 0 else "lost",
        "durationInMinutes": round(trip.minutes, 4),
    }
    return document if trip.pips is None else {**document, "pips": trip.pips}


def open_trade(account_id: str, position: Document, balance: float, now: str) -> Document:
    """M3 (4.3): a position (3.3) as a trade that has not ended."""
    result = Decimal(str(position["profit"])) + Decimal(str(position["swap"]))
    return {
        "_id": f"{account_id}+{position['id']}",
        "accountId": account_id,
        "type": position["type"].replace("POSITION_TYPE_", "DEAL_TYPE_"),
        "symbol": position["symbol"],
        "volume": position["volume"],
        "openTime": position["brokerTime"],
        "openPrice": position["openPrice"],
        "profit": shown(result),
        "gain": round(float(result) / balance * 100, 4) if balance else 0,
        "success": "won" if result > 0 else "lost",
        "durationInMinutes": round((moment_of(now) - moment_of(position["brokerTime"])).total_seconds() / 60, 4),
    }


def share(part: int, whole: int) -> float:
    """Percent."""
    return round(part / whole * 100, 4)


def shown(amount: Decimal) -> float:
    """An amount as a JSON number, at most eight decimals."""
    return round(float(amount), 8)
