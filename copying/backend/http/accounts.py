"""Paper accounts, beyond the contract (docs/copying.md): E1 information, E4 trades, E5 reads, E6 set-up, E10 limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from copying.backend.http.once import carry_out
from copying.backend.http.options import service
from copying.backend.http.parameters import Query, document, new_id, path_id
from copying.backend.http.replies import reply
from copying.backend.state.accounts import own_account
from copying.backend.state.book import Book
from copying.backend.state.commands import Deposit, OpenAccount, Trade
from copying.backend.state.errors import invalid, not_found
from copying.backend.state.valuation import MINOR_UNITS
from copying.symbols.instruments import ACCOUNT_CURRENCIES

from . import reads


async def list_accounts(request: Request) -> Response:
    """E1: ascending account id; `after` is the last id of the page before."""
    query = Query.of(request)
    limit = query.integer("limit", 1000, 1, 1000)
    book = service(request).core.book
    return reply(reads.account_information(book, request.scope["tenant"], after=query.text("after"), limit=limit))


async def list_risk_limits(request: Request) -> Response:
    """E10: ascending account id; `after` is the last id of the page before."""
    query = Query.of(request)
    limit = query.integer("limit", 1000, 1, 1000)
    book = service(request).core.book
    return reply(reads.risk_limits(book, request.scope["tenant"], after=query.text("after"), limit=limit))


async def account_information(request: Request) -> Response:
    """E5."""
    return _read(request, reads.account)


async def account_positions(request: Request) -> Response:
    """E5."""
    return _read(request, reads.account_positions)


async def account_orders(request: Request) -> Response:
    """E5."""
    return _read(request, reads.account_orders)


def _read(request: Request, read: Callable[[Book, str, str], Any]) -> Response:
    content = read(service(request).core.book, request.scope["tenant"], path_id(request, "account_id", "Account"))
    if content is None:
        raise not_found("Account")
    return reply(content)


async def trade(request: Request) -> Response:
    """E4. What a stopped account has can be closed, which waits for its start; nothing new is opened on it."""
    account_id = path_id(request, "account_id", "Account")
    asked = await document(request, "trade")
    command = Trade(
        tenant=request.scope["tenant"],
        account_id=account_id,
        action_type=asked.action_type,
        symbol=asked.symbol or "",
        volume_lots=asked.volume,
        price=asked.open_price,
        stop_loss=asked.stop_loss,
        take_profit=asked.take_profit,
        position_id=asked.position_id or "",
        order_id=asked.order_id or "",
        magic=asked.magic or 0,
    )
    return await carry_out(request, command, status=200)


async def put_account(request: Request) -> Response:
    """E6: open, or change what is given."""
    account_id = new_id(request, "account_id")
    asked = await document(request, "account")
    values = {
        name: value
        for name in ("currency", "leverage", "deposit", "demo")
        if (value := getattr(asked, name)) is not None
    }
    command = OpenAccount(tenant=request.scope["tenant"], account_id=account_id, name=asked.name, **values)
    if command.currency in ACCOUNT_CURRENCIES:
        check_decimals("deposit", command.deposit, command.currency)
    return await carry_out(request, command)


async def deposit(request: Request) -> Response:
    """E6: money in or out."""
    account_id = path_id(request, "account_id", "Account")
    asked, tenant, book = await document(request, "deposit"), request.scope["tenant"], service(request).core.book
    currency = ACCOUNT_CURRENCIES[book.accounts.currency[own_account(book, tenant, account_id)]]
    check_decimals("amount", asked.amount, currency)
    command = Deposit(tenant=tenant, account_id=account_id, amount=asked.amount, comment=asked.comment or "")
    return await carry_out(request, command)


def check_decimals(parameter: str, amount: float, currency: str) -> None:
    """Money is asked about, never rounded. Not among the checks of the command: those of the past are replayed."""
    decimals = int(MINOR_UNITS[ACCOUNT_CURRENCIES.index(currency)])
    if round(amount, decimals) != amount:
        most = f"at most {decimals} decimals" if decimals else "no decimals"
        raise invalid(parameter, amount, f"must have {most}, as {currency} has")
