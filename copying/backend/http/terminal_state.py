"""What an account's terminal shows, in the vendor's words (account APIs, 3.2 to 3.4 and 3.9). Changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from copying.backend.http import reads
from copying.backend.http.deals import broker_time, clock_text
from copying.backend.http.trading_accounts import BROKER, platform_of, server_of
from copying.backend.state.book import Book
from copying.backend.state.entities import AccountMeta
from copying.backend.state.times import iso
from copying.backend.state.trading_accounts import shown_login
from copying.backend.state.valuation import MINOR_UNITS
from copying.contract.terminal import DEMO, HEDGING, REAL
from copying.symbols.instruments import ACCOUNT_CURRENCIES
from copying.symbols.specifications import Specification

Document = dict[str, Any]


def currency_of(book: Book, row: int) -> str:
    """The currency of an account."""
    return ACCOUNT_CURRENCIES[book.accounts.currency[row]]


def account_information(book: Book, row: int) -> Document:
    """A1."""
    meta = book.account_meta[row]
    state = reads.account(book, meta.tenant, meta.id) or {}
    margin = state["margin"]
    information = {
        "platform": platform_of(meta),
        "broker": BROKER,
        "currency": state["currency"],
        "server": server_of(meta),
        "balance": state["balance"],
        "equity": state["equity"],
        "margin": margin,
        "freeMargin": state["freeMargin"],
        "leverage": state["leverage"],
        "tradeAllowed": True,
        "investorMode": False,
        "marginMode": HEDGING,
        "name": meta.name,
        "login": int(shown_login(meta) or 0),
        "credit": 0,
        "type": DEMO if meta.demo else REAL,
        "currencyDigits": int(MINOR_UNITS[book.accounts.currency[row]]),
    }
    if margin:
        information["marginLevel"] = round(state["equity"] / margin * 100, 2)
    if (rate := book.rate(state["currency"], base_currency(meta))) is not None:
        information["accountCurrencyExchangeRate"] = round(rate, 8)
    return information


def base_currency(meta: AccountMeta) -> str:
    """Into which exchange rates are expressed."""
    return meta.settings.get("baseCurrency") or "USD"


def ahead_of(book: Book) -> timedelta:
    """How far the broker's clock is ahead of UTC."""
    return timedelta(seconds=book.broker_ahead)


def positions(book: Book, row: int) -> list[Document]:
    """A2. The opening commission was booked when the position was opened, so nothing of it is unrealised."""
    meta = book.account_meta[row]
    opened = reads.account_positions(book, meta.tenant, meta.id) or []
    return [position(book, row, position_row) for position_row in opened]


def position(book: Book, row: int, opened: Document) -> Document:
    """One position of A2. opened: as E5 tells it."""
    is_bought, quote = opened["type"].endswith("BUY"), book.quote(opened["symbol"])
    document = {
        **opened,
        "brokerTime": broker_time(opened["time"], ahead_of(book)),
        "updateTime": iso(book.time),
        "unrealizedProfit": opened["profit"],
        "realizedProfit": 0,
        "unrealizedSwap": opened["swap"],
        "realizedSwap": 0,
        "unrealizedCommission": 0,
        "realizedCommission": opened["commission"],
        "reason": "POSITION_REASON_EXPERT" if "strategyId" in opened else "POSITION_REASON_CLIENT",
    }
    if quote is not None:
        document["currentPrice"] = quote[0] if is_bought else quote[1]
    if (tick := tick_value(book, row, opened["symbol"])) is not None:
        document["currentTickValue"] = tick
    return document


def orders(book: Book, row: int) -> list[Document]:
    """A4."""
    meta = book.account_meta[row]
    return [_order(book, meta, order) for order in reads.account_orders(book, meta.tenant, meta.id) or []]


def _order(book: Book, meta: AccountMeta, order: Document) -> Document:
    quote = book.quote(order["symbol"])
    document = {
        **order,
        "state": "ORDER_STATE_PLACED",
        "brokerTime": broker_time(order["time"], ahead_of(book)),
        "currentVolume": order["volume"],
        "platform": platform_of(meta),
        "reason": "ORDER_REASON_EXPERT" if "strategyId" in order else "ORDER_REASON_CLIENT",
        "fillingMode": "ORDER_FILLING_RETURN",
        "expirationType": "ORDER_TIME_GTC",
    }
    if quote is not None:
        document["currentPrice"] = quote[1] if "_BUY" in order["type"] else quote[0]
    return document


def tick_value(book: Book, row: int, symbol: str) -> float | None:
    """What one tick of one lot is worth in the account's currency; None: no rate is known."""
    of_symbol = book.specification(symbol)
    rate = None if of_symbol is None else book.rate(of_symbol.profit_currency, currency_of(book, row))
    if of_symbol is None or rate is None:
        return None
    return round(10.0**-of_symbol.digits * of_symbol.contract_size * rate, 8)


def server_time(book: Book, now: datetime) -> Document:
    """A13."""
    quoted = datetime.fromtimestamp(book.time, UTC)
    return {
        "time": now,
        "brokerTime": clock_text(now + ahead_of(book)),
        "lastQuoteTime": quoted,
        "lastQuoteBrokerTime": clock_text(quoted + ahead_of(book)),
    }


def margin(book: Book, row: int, symbol: str, of_symbol: Specification, lots: float) -> float | None:
    """A12: what an order of so many lots ties up, in the account's currency; None: no price or rate is known."""
    rate, quote = book.rate(of_symbol.margin_currency, currency_of(book, row)), book.quote(symbol)
    if rate is None or quote is None:
        return None
    unit = 1.0 if of_symbol.is_currency else (quote[0] + quote[1]) / 2
    decimals = int(MINOR_UNITS[book.accounts.currency[row]])
    return round(of_symbol.contract_size * lots * unit * rate / float(book.accounts.leverage[row]), decimals)
