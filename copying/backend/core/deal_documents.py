"""Deals of accounts as the terminal API serves them (account APIs, 3.5), made once, when they are recorded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from copying.backend.state.book import Book
from copying.backend.state.effects import AccountDeals
from copying.backend.state.times import iso

CLOSING_ORDERS = 4 * 10**15  # above every number of a position or deal, and whole in a float
REASONS = (("stop loss", "SL"), ("take profit", "TP"), ("stop out", "SO"))


def closing_order(deal: str) -> str:
    """The number of the order behind a deal that closes. Deals are counted apart from positions, so theirs may repeat.

    The order that opened a position has the position's number.
    """
    return str(CLOSING_ORDERS + int(deal))


def reason_of(cause: str, default: str = "CLIENT") -> str:
    """Why a deal came about, in the vendor's words."""
    return "DEAL_REASON_" + next((reason for words, reason in REASONS if cause.startswith(words)), default)


def deal_documents(deals: AccountDeals, book: Book) -> Iterator[tuple[int, str, str, dict[str, Any]]]:
    """(row of the account, deal, position or "", document) of each deal. The broker's clock is put in by who serves."""
    moment = iso(deals.time)
    for place, account in enumerate(deals.account.tolist()):
        number = str(int(deals.number[place]))
        document: dict[str, Any] = {
            "id": number,
            "type": deals.kind,
            "time": moment,
            "profit": float(deals.profit[place]),
            "commission": float(deals.commission[place]),
            "swap": float(deals.swap[place]),
            "comment": deals.cause,
        }
        position = ""
        if deals.entry:
            position = str(int(deals.position[place]))
            document |= {
                "type": f"DEAL_TYPE_{'BUY' if deals.side[place] > 0 else 'SELL'}",
                "entryType": f"DEAL_ENTRY_{deals.entry}",
                "symbol": book.symbols.texts[int(deals.symbol[place])],
                "magic": int(deals.magic[place]),
                "volume": float(deals.volume[place]),
                "price": float(deals.price[place]),
                "positionId": position,
                "orderId": position if deals.entry == "IN" else closing_order(number),
                "reason": reason_of(deals.cause),
            }
        yield account, number, position, document
