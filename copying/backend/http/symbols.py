"""What the broker of a paper account offers: symbols, their specifications and prices (account API, A7 to A9)."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from copying.backend.http.options import service
from copying.backend.http.parameters import path_id
from copying.backend.http.replies import reply
from copying.backend.market.instruments import ACCOUNT_CURRENCIES, TABLE
from copying.backend.market.specifications import Specification
from copying.backend.state.book import Book
from copying.backend.state.errors import not_found
from copying.backend.state.trading_accounts import running_account
from copying.contract.terminal import SymbolPrice, SymbolSpecification


def account_of(request: Request, book: Book) -> int:
    """Row of the account in the address. Raises 404."""
    return running_account(book, request.scope["tenant"], path_id(request, "account_id", "Account"))


async def list_symbols(request: Request) -> Response:
    """A7: names as the broker's list has them; prefixes and suffixes are understood without being listed."""
    account_of(request, service(request).core.book)
    return reply(list(TABLE))


async def symbol_specification(request: Request) -> Response:
    """A8."""
    book = service(request).core.book
    account_of(request, book)
    name, row = named_row(request, book)
    return reply(specification_of(name, row))


async def current_price(request: Request) -> Response:
    """A9. `keepSubscription` changes nothing: prices of all symbols are always there."""
    book = service(request).core.book
    account = account_of(request, book)
    name, row = named_row(request, book)
    price = price_of(book, account, name, row)
    if price is None:
        raise not_found(f"Price of {name}")
    return reply(price)


def named_row(request: Request, book: Book) -> tuple[str, Specification]:
    """The symbol in the address and its row. Raises 404."""
    name = request.path_params["symbol"]
    row = book.specification(name)
    if row is None:
        raise not_found("Symbol")
    return name, row


def specification_of(name: str, row: Specification) -> SymbolSpecification:
    """A row as the account API tells it. name: the broker's name of it."""
    point = 10.0**-row.digits
    return SymbolSpecification(
        symbol=name,
        description=row.description,
        path=row.path,
        contract_size=row.contract_size,
        tick_size=point,
        point=point,
        digits=row.digits,
        min_volume=row.min_volume,
        max_volume=row.max_volume,
        volume_step=row.volume_step,
        margin_currency=row.margin_currency,
        base_currency=row.base_currency,
        profit_currency=row.profit_currency,
        trade_mode="SYMBOL_TRADE_MODE_FULL",
    )


def broker_time(book: Book) -> str:
    """Now by the broker's clock, as MetaTrader writes it."""
    moment = datetime.fromtimestamp(book.time + book.broker_ahead, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}"


def price_of(book: Book, account: int, name: str, row: Specification) -> SymbolPrice | None:
    """Bid and ask of now, None without a price. Tick values are absent while the exchange rate is not known."""
    quote = book.quote(name)
    if quote is None:
        return None
    currency = ACCOUNT_CURRENCIES[book.accounts.currency[account]]
    rate, moment = book.rate(row.profit_currency, currency), datetime.fromtimestamp(book.time, UTC)
    tick_value = None if rate is None else 10.0**-row.digits * row.contract_size * rate
    return SymbolPrice(
        symbol=name,
        bid=quote[0],
        ask=quote[1],
        time=moment,
        broker_time=broker_time(book),
        profit_tick_value=tick_value,
        loss_tick_value=tick_value,
    )
