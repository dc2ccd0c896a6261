"""MetaStats of paper accounts (account APIs, 4): M1 to M4, worked out of the recorded deals in a thread.

What takes long is answered with 202, and with its result when it is asked for again. Nothing is stored, so a reset (M4)
has nothing to forget; above all it never deletes the account.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from copying.backend.http import account_statistics, round_trips, terminal_state
from copying.backend.http.calculations import PER_MINUTE
from copying.backend.http.deals import MOST_RECORDS, DealFilter, clock_text, deals_of
from copying.backend.http.errors import too_many_requests
from copying.backend.http.options import Service, present, service
from copying.backend.http.parameters import Query, parse_moment, path_id
from copying.backend.http.replies import done, reply
from copying.backend.state.accounts import own_account
from copying.backend.state.book import Book
from copying.backend.state.errors import Refused
from copying.backend.state.trading_accounts import running_account

PATIENCE_SECONDS = 5.0  # for a calculation, before its caller is told to come back
Document = dict[str, Any]


def enabled(request: Request) -> tuple[Service, str, int]:
    """The service, id and row of the caller's account, which runs and has the feature. Raises 404, 403."""
    here, account_id = service(request), path_id(request, "account_id", "Account")
    book = here.core.book
    row = running_account(book, request.scope["tenant"], account_id)
    if not book.account_meta[row].settings.get("metastatsApiEnabled", True):
        raise Refused(403, "ForbiddenError", "MetaStats is not enabled for this account: enable it first")
    return here, account_id, row


async def get_metrics(request: Request) -> Response:
    """M1."""
    includes_open = Query.of(request).boolean("includeOpenPositions")
    here, account_id, row = enabled(request)
    tenant, now = request.scope["tenant"], time.monotonic()
    key = tenant, account_id, includes_open
    if wait_s := here.calculations.wait_s(tenant, key, now):
        return too_many_requests(wait_s, PER_MINUTE)
    moment = _now(request)
    metrics = await here.calculations.result(
        key, lambda: _calculate(here, tenant, account_id, row, moment, includes_open), now, PATIENCE_SECONDS
    )
    if metrics is None:
        message = {"status": "calculating", "message": "The statistics are being worked out. Ask again."}
        return reply(message, 202, headers={"retry-after": "2"})
    return reply({"metrics": metrics})


async def _calculate(here: Service, tenant: str, account_id: str, row: int, now: str, includes_open: bool) -> Document:
    deals, book = await _all_deals(here, tenant, account_id), here.core.book
    state, pips = terminal_state.account_information(book, row), pip_sizes(book, deals)
    positions = terminal_state.positions(book, row) if includes_open else []
    deals += account_statistics.closing_deals(positions, now)
    metrics = await asyncio.to_thread(account_statistics.metrics, deals, state, now, pips.get)
    return {**metrics, "inclusive": bool(positions)} if includes_open else metrics


async def _all_deals(here: Service, tenant: str, account_id: str) -> list[Document]:
    """Statistics of a part would be wrong, so there are none of more deals than can be read at once."""
    deals = await deals_of(here, tenant, account_id, DealFilter(), limit=MOST_RECORDS + 1)
    if len(deals) > MOST_RECORDS:
        text = f"The account has more than {MOST_RECORDS:,} deals: its statistics cannot be worked out here."
        raise Refused(400, "ValidationError", text)
    return deals


def pip_sizes(book: Book, deals: list[Document]) -> dict[str, float]:
    """Pips of the symbols that were traded: ten points."""
    sizes = {}
    for symbol in {deal["symbol"] for deal in deals if deal.get("symbol")}:
        if (of_symbol := book.specification(symbol)) is not None:
            sizes[symbol] = 10.0 ** (1 - of_symbol.digits)
    return sizes


def _now(request: Request) -> str:
    """By the broker's clock."""
    return clock_text(present(request) + terminal_state.ahead_of(service(request).core.book))


async def list_trades(request: Request) -> Response:
    """M2: trades and balance operations that ended from `start` on and before `end`, by the broker's clock."""
    query = Query.of(request)
    limit, offset = query.page()
    query.boolean("updateHistory")  # it always is up to date
    start, end = (clock_text(parse_moment(name, request.path_params[name])) for name in ("start", "end"))
    here, account_id, _ = enabled(request)
    deals = await _all_deals(here, request.scope["tenant"], account_id)
    pips = pip_sizes(here.core.book, deals)
    trades = await asyncio.to_thread(round_trips.trades, account_id, deals, pips.get)
    ended = [trade for trade in trades if start <= trade["closeTime"] < end]
    return reply({"trades": ended[offset : offset + limit]})


async def list_open_trades(request: Request) -> Response:
    """M3."""
    here, account_id, row = enabled(request)
    balance, now = float(here.core.book.accounts.balance[row]), _now(request)
    positions = terminal_state.positions(here.core.book, row)
    return reply({"openTrades": [round_trips.open_trade(account_id, position, balance, now) for position in positions]})


async def reset_metrics(request: Request) -> Response:
    """M4: forgets statistics, of which none are kept."""
    account_id = path_id(request, "account_id", "Account")
    own_account(service(request).core.book, request.scope["tenant"], account_id)
    return done()
