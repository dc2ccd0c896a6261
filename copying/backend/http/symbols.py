"""What the broker of a paper account offers: symbols, their specifications and prices (account API, A7 to A9)."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from copying.backend.http.credits import STATE_READ
from copying.backend.http.deals import broker_time
from copying.backend.http.replies import reply
from copying.backend.http.terminal_access import opened
from copying.backend.http.terminal_state import account_information, ahead_of, base_currency, currency_of, tick_value
from copying.backend.state.book import Book
from copying.backend.state.errors import not_found
from copying.backend.state.times import iso
from copying.symbols.instruments import TABLE
from copying.symbols.specifications import Specification

WEEK = ("SUNDAY", "MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY")
ALL_DAY = [{"from": "00:00:00.000", "to": "24:00:00.000"}]
OF_ALL = {
    "stopsLevel": 0,
    "freezeLevel": 0,
    "initialMargin": 0,
    "maintenanceMargin": 0,
    "tradeMode": "SYMBOL_TRADE_MODE_FULL",
    "executionMode": "SYMBOL_TRADE_EXECUTION_MARKET",
    "fillingModes": ["SYMBOL_FILLING_FOK"],
    "allowedOrderTypes": [
        "SYMBOL_ORDER_MARKET",
        "SYMBOL_ORDER_LIMIT",
        "SYMBOL_ORDER_STOP",
        "SYMBOL_ORDER_SL",
        "SYMBOL_ORDER_TP",
    ],
    "allowedExpirationModes": ["SYMBOL_EXPIRATION_GTC"],
    "orderGTCMode": "SYMBOL_ORDERS_GTC",
    "swapMode": "SYMBOL_SWAP_MODE_INTEREST_CURRENT",
    "swapRollover3Days": "WEDNESDAY",
    "quoteSessions": dict.fromkeys(WEEK, ALL_DAY),
    "tradeSessions": dict.fromkeys(WEEK, ALL_DAY),
}
Document = dict[str, Any]


async def list_symbols(request: Request) -> Response:
    """A7: names as the broker's list has them; prefixes and suffixes are understood without being listed."""
    opened(request, STATE_READ)
    return reply(list(TABLE))


async def symbol_specification(request: Request) -> Response:
    """A8."""
    book, _ = opened(request, STATE_READ)
    return reply(specification_of(*named_row(request, book)))


async def current_price(request: Request) -> Response:
    """A9. `keepSubscription` changes nothing: prices of all symbols are always there."""
    book, account = opened(request, STATE_READ)
    name, _ = named_row(request, book)
    quote = book.quote(name)
    if quote is None:
        raise not_found(f"Price of {name}")
    return reply(price_of(book, account, name, quote))


def named_row(request: Request, book: Book) -> tuple[str, Specification]:
    """The symbol in the address and its row. Raises 404."""
    name = request.path_params["symbol"]
    row = book.specification(name)
    if row is None:
        raise not_found("Symbol")
    return name, row


def specification_of(name: str, row: Specification) -> Document:
    """A row as the account API tells it. name: the broker's name of it. Swaps are percent of the value in a year."""
    point = round(10.0**-row.digits, row.digits)
    return {
        "symbol": name,
        "description": row.description,
        "path": row.path,
        "contractSize": row.contract_size,
        "tickSize": point,
        "point": point,
        "digits": row.digits,
        "minVolume": row.min_volume,
        "maxVolume": row.max_volume,
        "volumeStep": row.volume_step,
        "marginCurrency": row.margin_currency,
        "baseCurrency": row.base_currency,
        "profitCurrency": row.profit_currency,
        "priceCalculationMode": "SYMBOL_CALC_MODE_FOREX" if row.is_currency else "SYMBOL_CALC_MODE_CFDLEVERAGE",
        "swapLong": round(row.swap_long * 100, 6),
        "swapShort": round(row.swap_short * 100, 6),
        **OF_ALL,
    }


def price_of(book: Book, account: int, name: str, quote: tuple[float, float]) -> Document:
    """Bid and ask of now. Tick values are absent while the exchange rate is not known."""
    document = {
        "symbol": name,
        "bid": quote[0],
        "ask": quote[1],
        "time": iso(book.time),
        "brokerTime": broker_time(iso(book.time), ahead_of(book)),
    }
    if (tick := tick_value(book, account, name)) is not None:
        document |= {"profitTickValue": tick, "lossTickValue": tick}
    rate = book.rate(currency_of(book, account), base_currency(book.account_meta[account]))
    if rate is not None:
        document["accountCurrencyExchangeRate"] = round(rate, 8)
    return {**document, "equity": account_information(book, account)["equity"]}
