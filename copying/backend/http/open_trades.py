"""What is open at all accounts and of all strategies of a tenant (E13, E14; docs/copying.md). Changes nothing.

The vendor's call tells the positions of one account. A portal that shows everything that is open within seconds asks
for all accounts at once, in pages by ascending id; that costs no credits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from copying.backend.http import reads, terminal_state
from copying.backend.http.options import service
from copying.backend.http.parameters import Query
from copying.backend.http.replies import reply
from copying.backend.state.book import Book
from copying.backend.state.entities import OpenSignal
from copying.backend.state.times import iso
from copying.backend.state.valuation import value

Document = dict[str, Any]


async def list_positions(request: Request) -> Response:
    """E13: ascending position id; `after` is the last id of the page before."""
    return _page(request, positions)


async def list_signals(request: Request) -> Response:
    """E14: ascending number; `after` is the last number of the page before."""
    return _page(request, signals)


def _page(request: Request, read: Callable[..., list[Document]]) -> Response:
    query = Query.of(request)
    limit, after = query.integer("limit", 1000, 1, 1000), query.integer("after", 0, 0, 2**63 - 1)
    return reply(read(service(request).core.book, request.scope["tenant"], after=after, limit=limit))


def positions(book: Book, tenant: str, *, after: int = 0, limit: int = 1000) -> list[Document]:
    """Open positions of the tenant's accounts as A2 tells them, each with its accountId."""
    value(book)
    table, own = book.positions, list(book.accounts_of.get(tenant, ()))
    places = np.flatnonzero(np.isin(table.account, own) & (table.id > after))
    places = places[np.argsort(table.id[places], kind="stable")][:limit]
    return [
        {
            **terminal_state.position(book, int(table.account[place]), reads.position(book, place)),
            "accountId": book.account_meta[int(table.account[place])].id,
        }
        for place in places.tolist()
    ]


def signals(book: Book, tenant: str, *, after: int = 0, limit: int = 1000) -> list[Document]:
    """Open signals of the tenant's strategies, also of those that are being removed."""
    own = (row for row in sorted(book.signals) if row >= after and _is_own(book, tenant, book.signals[row]))
    return [_signal(book, book.signals[row]) for row, _ in zip(own, range(limit), strict=False)]


def _is_own(book: Book, tenant: str, signal: OpenSignal) -> bool:
    strategy = book.strategies_by_id.get(signal.strategy_id)
    return strategy is not None and strategy.tenant == tenant


def _signal(book: Book, signal: OpenSignal) -> Document:
    document = {
        "number": signal.row + 1,  # what a page is continued after
        "id": signal.id,
        "strategyId": signal.strategy_id,
        "symbol": signal.symbol,
        "side": "buy" if signal.side > 0 else "sell",
        "type": reads.KIND_WORDS[signal.kind],
        "volume": signal.volume,
        "openPrice": signal.price or None,  # 0: no price was known
        "time": iso(signal.time),
        "stopLoss": signal.stop_loss,
        "takeProfit": signal.take_profit,
        "external": not signal.ticket,
    }
    return {key: value for key, value in document.items() if value is not None}
