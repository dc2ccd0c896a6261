"""The terminal API of paper accounts (account APIs, 3.1): A1 to A6 and A11 to A14, paid for with credits (3.10).

An account that is unknown, another tenant's or not deployed is not there: 404. What a broker refuses is answered with
200 and the code of the refusal, as at the vendor.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from copying.backend.http import accounts, terminal_state
from copying.backend.http.credits import FREE, HISTORY_READ, PER_DEAL, STATE_READ, TRADE
from copying.backend.http.deals import DealFilter, between, deals_of, history_order, of_order, of_position, of_ticket
from copying.backend.http.options import present, service
from copying.backend.http.parameters import Query, body_bytes, document, parse_moment, path_id
from copying.backend.http.replies import reply
from copying.backend.http.terminal_access import opened, running
from copying.backend.state.book import Book
from copying.backend.state.errors import Refused, invalid, not_found
from copying.backend.state.trading_accounts import running_account

REFUSALS = {
    "volume": (10014, "TRADE_RETCODE_INVALID_VOLUME"),
    "openPrice": (10015, "TRADE_RETCODE_INVALID_PRICE"),
    "stopLoss": (10016, "TRADE_RETCODE_INVALID_STOPS"),
    "takeProfit": (10016, "TRADE_RETCODE_INVALID_STOPS"),
    "orderId": (10035, "TRADE_RETCODE_INVALID_ORDER"),
    "positionId": (10036, "TRADE_RETCODE_POSITION_CLOSED"),
    "symbol": (4301, "ERR_MARKET_UNKNOWN_SYMBOL"),
}
INVALID = (10013, "TRADE_RETCODE_INVALID")
ABSOLUTE = "ABSOLUTE_PRICE"
UNITS = ("stopLossUnits", "takeProfitUnits", "openPriceUnits", "stopLimitPriceUnits")
NOT_CARRIED_OUT = ("trailingStopLoss", "expiration", "stopPriceBase", "openPriceBase", "stopLimitPriceBase")


async def account_information(request: Request) -> Response:
    """A1."""
    return reply(terminal_state.account_information(*opened(request, STATE_READ)))


async def list_positions(request: Request) -> Response:
    """A2."""
    return reply(terminal_state.positions(*opened(request, STATE_READ)))


async def get_position(request: Request) -> Response:
    """A3."""
    positions = terminal_state.positions(*opened(request, STATE_READ))
    return reply(_with_id(positions, request.path_params["position_id"], "Position"))


async def list_orders(request: Request) -> Response:
    """A4."""
    return reply(terminal_state.orders(*opened(request, STATE_READ)))


async def get_order(request: Request) -> Response:
    """A4."""
    orders = terminal_state.orders(*opened(request, STATE_READ))
    return reply(_with_id(orders, request.path_params["order_id"], "Order"))


def _with_id(documents: list[dict[str, Any]], number: str, what: str) -> dict[str, Any]:
    for row in documents:
        if row["id"] == number:
            return row
    raise not_found(what)


async def deals_by_time(request: Request) -> Response:
    """A6: from `start` on, before `end`."""
    limit, offset = Query.of(request).page()
    book, _ = opened(request, HISTORY_READ)
    return reply(await _deals(request, _period(request, book), limit=limit, offset=offset))


async def deals_of_position(request: Request) -> Response:
    """A6."""
    opened(request, HISTORY_READ)
    return reply(await _deals(request, of_position(_number(request, "position_id"))))


async def deals_of_ticket(request: Request) -> Response:
    """A6."""
    opened(request, HISTORY_READ)
    return reply(await _deals(request, of_ticket(_number(request, "ticket"))))


async def orders_by_time(request: Request) -> Response:
    """A5: by the time at which they were done."""
    limit, offset = Query.of(request).page()
    book, _ = opened(request, HISTORY_READ)
    return reply(_orders(await _deals(request, _period(request, book), only_trades=True, limit=limit, offset=offset)))


async def orders_of_position(request: Request) -> Response:
    """A5."""
    opened(request, HISTORY_READ)
    return reply(_orders(await _deals(request, of_position(_number(request, "position_id")))))


async def order_of_ticket(request: Request) -> Response:
    """A5: one order, or none."""
    opened(request, HISTORY_READ)
    ticket = _number(request, "ticket")
    deals = await _deals(request, of_order(ticket))
    return reply([order for order in _orders(deals) if order["id"] == ticket])


def _orders(deals: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [history_order(deal) for deal in deals if "entryType" in deal]


async def _deals(
    request: Request, chosen: DealFilter, *, only_trades: bool = False, limit: int = 1000, offset: int = 0
) -> list[dict[str, Any]]:
    """Deals, paid for by their number once it is known."""
    here, tenant, account_id = service(request), request.scope["tenant"], request.path_params["account_id"]
    if only_trades:
        others = f"{chosen.of_others} AND position_id <> ''"
        chosen = DealFilter(chosen.of_copies, others, chosen.parameters)
    deals = await deals_of(here, tenant, account_id, chosen, limit=limit, offset=offset)
    here.credits.spend(tenant, account_id, PER_DEAL * len(deals), running(here, tenant), time.monotonic())
    return deals


def _number(request: Request, name: str) -> str:
    """A ticket; what cannot be one has no history."""
    number = request.path_params[name]
    if not (number.isascii() and number.isdigit() and len(number) <= 20):
        raise not_found("History")
    return number


def _period(request: Request, book: Book) -> DealFilter:
    return between(_moment(request, book, "start"), _moment(request, book, "end"))


def _moment(request: Request, book: Book, name: str) -> datetime:
    """A time of the path: ISO in UTC, or as the broker's clock says it."""
    text = request.path_params[name]
    moment = parse_moment(name, text)
    is_broker_time = " " in text.strip() and not text.rstrip().endswith("Z")
    return moment - terminal_state.ahead_of(book) if is_broker_time else moment


async def calculate_margin(request: Request) -> Response:
    """A12."""
    asked = await document(request, "margin")
    book, row = opened(request, STATE_READ)
    specification = book.specification(asked.symbol)
    if specification is None:
        raise invalid("symbol", asked.symbol[:200], "is not offered")
    margin = terminal_state.margin(book, row, asked.symbol, specification, asked.volume)
    return reply({} if margin is None else {"margin": margin})


async def server_time(request: Request) -> Response:
    """A13."""
    book, _ = opened(request, FREE)
    return reply(terminal_state.server_time(book, present(request)))


async def get_credits(request: Request) -> Response:
    """A14: costs nothing."""
    here, tenant = service(request), request.scope["tenant"]
    account_id = path_id(request, "account_id", "Account")
    running_account(here.core.book, tenant, account_id)
    return reply(here.credits.usage(tenant, account_id, running(here, tenant), time.monotonic()))


async def trade(request: Request) -> Response:
    """A11: done or refused, by its code. Sent again with its transaction-id it is done once."""
    opened(request, TRADE)
    request.state.content = await body_bytes(request)
    if (problem := _not_carried_out(request.state.content)) is not None:
        return _refusal(INVALID, problem)
    try:
        return await accounts.trade(request)
    except Refused as refused:
        if refused.status not in (400, 404) or refused.message.startswith("The account"):
            raise
        return _refusal(_code_of(refused), refused.message)


def _code_of(refused: Refused) -> tuple[int, str]:
    """The code for what is wrong. The account is known, so it is a position or an order that is not."""
    details = refused.details if isinstance(refused.details, list) else []
    parameter = details[0].get("parameter", "") if details else ""
    if refused.status == 404:
        parameter = "orderId" if refused.message.startswith("Order") else "positionId"
    return REFUSALS.get(parameter, INVALID)


def _refusal(code: tuple[int, str], message: str) -> Response:
    return reply({"numericCode": code[0], "stringCode": code[1], "message": message})


def _not_carried_out(content: bytes) -> str | None:
    """What would be done in another way than it was asked for: a stop in pips is no price. None: nothing."""
    try:
        body = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        return None  # the document's own check says what is wrong with it
    if not isinstance(body, dict):
        return None
    for name in UNITS:
        if body.get(name) not in (None, ABSOLUTE):
            return f"{name}: paper accounts take absolute prices only"
    for name in NOT_CARRIED_OUT:
        if body.get(name) is not None:
            return f"{name}: is not offered on paper accounts"
    return None
