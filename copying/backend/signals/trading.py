"""Trades on paper accounts in the vocabulary of the vendor's trade call: by hand, by robots, by programs.

What happens on an account that provides a strategy becomes a signal. What happens on a subscriber's account stands
beside the copied trades; a copied position that is closed by hand stays closed until it is resynchronised.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from copying.backend.state.accounts import own_account
from copying.backend.state.book import LEAST_LOTS, STEP_LOTS, Book
from copying.backend.state.broker_port import Orders
from copying.backend.state.commands import Trade
from copying.backend.state.effects import Effects
from copying.backend.state.errors import Refused, invalid
from copying.backend.state.tables import TradeTable
from copying.backend.state.trading_accounts import CHECKS_ALL, running_account
from copying.engine.model import Instrument, OrderKind
from copying.symbols.instruments import ACCOUNT_CURRENCIES

from .levels import CHECKED, NO_PRICE, Levels, wrong_price
from .lifecycle import (
    KINDS,
    SIDES,
    change_signal,
    close_signal,
    level,
    lower_volume,
    publish_order,
    publish_position,
    signals_of_ticket,
)

ACTIONS = (
    "ORDER_TYPE_BUY",
    "ORDER_TYPE_SELL",
    "ORDER_TYPE_BUY_LIMIT",
    "ORDER_TYPE_SELL_LIMIT",
    "ORDER_TYPE_BUY_STOP",
    "ORDER_TYPE_SELL_STOP",
    "POSITION_MODIFY",
    "POSITION_PARTIAL",
    "POSITION_CLOSE_ID",
    "POSITIONS_CLOSE_SYMBOL",
    "ORDER_MODIFY",
    "ORDER_CANCEL",
)
DONE = {"numericCode": 10009, "stringCode": "TRADE_RETCODE_DONE", "message": "Request completed"}
NO_CONNECTION = {
    "numericCode": 10031,
    "stringCode": "TRADE_RETCODE_CONNECTION",
    "message": "No connection with the trade server",
}
INVALID_PRICE = {"numericCode": 10015, "stringCode": "TRADE_RETCODE_INVALID_PRICE"}
INVALID_STOPS = {"numericCode": 10016, "stringCode": "TRADE_RETCODE_INVALID_STOPS"}
NO_MONEY = {"numericCode": 10019, "stringCode": "TRADE_RETCODE_NO_MONEY", "message": "Not enough free margin"}


def row_of(table: TradeTable, account: int, ticket: str) -> int | None:
    """Row of a position or order of an account by its id, None when there is none."""
    if not ticket.isdigit() or len(ticket) > 18:
        return None
    rows = np.flatnonzero((table.id == int(ticket)) & (table.account == account))
    return int(rows[0]) if len(rows) else None


def present_row(table: TradeTable, account: int, ticket: str) -> int:
    """As `row_of`, of one that `check_trade` has seen."""
    row = row_of(table, account, ticket)
    if row is None:
        raise LookupError(ticket)
    return row


def check_trade(book: Book, command: Trade) -> None:
    """What the action needs is there and makes sense now."""
    account = own_account(book, command.tenant, command.account_id)
    action = command.action_type
    if action not in ACTIONS:
        raise invalid("actionType", action, "is not a trade")
    for name, price in (
        ("openPrice", command.price),
        ("stopLoss", command.stop_loss),
        ("takeProfit", command.take_profit),
    ):
        if price is not None and not (math.isfinite(price) and 0 <= price < 1e9):
            raise invalid(name, None, "must be a price")
    if action.startswith("ORDER_TYPE"):
        if book.rules >= CHECKS_ALL:
            running_account(book, command.tenant, command.account_id)
        check_new(book, command)
    elif action in ("ORDER_MODIFY", "ORDER_CANCEL"):
        if row_of(book.orders, account, command.order_id) is None:
            raise missing("orderId", command.order_id)
    elif action == "POSITIONS_CLOSE_SYMBOL":
        if not command.symbol:
            raise invalid("symbol", command.symbol, "is needed")
    else:
        row = row_of(book.positions, account, command.position_id)
        if row is None:
            raise missing("positionId", command.position_id)
        if action == "POSITION_PARTIAL":
            spec = book.instrument(book.symbols.texts[book.positions.symbol[row]])
            check_volume(command, spec, float(book.positions.volume[row]))


def missing(parameter: str, ticket: str) -> Refused:
    """404 that names the id."""
    what = "Position" if parameter == "positionId" else "Order"
    return Refused(404, "NotFoundError", f"{what} {ticket} not found")


def check_new(book: Book, command: Trade) -> None:
    """A known symbol with a price, a volume in steps, a sensible price for pending orders."""
    spec = book.instrument(command.symbol)
    if spec is None:
        raise invalid("symbol", command.symbol, "is not offered by the broker: name a symbol of its list")
    quote = book.quote(command.symbol)
    if quote is None:
        raise invalid("symbol", command.symbol, "has no price at the moment")
    check_volume(command, spec, spec.max_volume)
    if book.uses_table:
        check_rate(book, command, spec)
    words = command.action_type.split("_")
    if len(words) == 3:
        return
    if not command.price:
        raise invalid("openPrice", command.price, "is needed for pending orders")
    if book.rules >= CHECKED:
        return  # a price on the wrong side is the broker's answer: open_trade
    market = quote[1] if words[2] == "BUY" else quote[0]
    below = (words[2] == "BUY") == (words[3] == "LIMIT")
    if (command.price >= market) if below else (command.price <= market):
        raise invalid("openPrice", command.price, f"must be {'below' if below else 'above'} the market ({market})")


def check_rate(book: Book, command: Trade, spec: Instrument) -> None:
    """What the trade earns can be told in the account's currency."""
    currency = ACCOUNT_CURRENCIES[book.accounts.currency[book.account_rows[command.account_id]]]
    if book.rate(spec.profit_currency, currency) is None:
        missing_rate = f"there is no exchange rate from {spec.profit_currency} to {currency} at the moment"
        raise invalid("symbol", command.symbol, f"cannot be traded: {missing_rate}. Try again when prices are there")


def check_volume(command: Trade, spec: Instrument | None, most: float) -> None:
    """Lots in the symbol's steps, not below its smallest volume. spec: None for a name that nobody knows."""
    volume = command.volume_lots
    least, step = (spec.min_volume, spec.volume_step) if spec else (LEAST_LOTS, STEP_LOTS)
    if volume is None or not math.isfinite(volume) or not least - 1e-9 <= volume <= most + 1e-9:
        raise invalid(
            "volume", volume if volume is None or math.isfinite(volume) else None, f"must be {least:g} to {most:g}"
        )
    if abs(volume / step - round(volume / step)) > 1e-6:
        raise invalid("volume", volume, f"must be a multiple of {step:g}")


def trade(book: Book, command: Trade, effects: Effects) -> dict[str, Any]:
    """Carry a trade out; the broker's answer."""
    account = book.account_rows[command.account_id]
    action = command.action_type
    if not book.accounts.connected[account]:
        return dict(NO_CONNECTION)
    if action.startswith("ORDER_TYPE"):
        return open_trade(book, command, effects, account)
    if action == "ORDER_MODIFY":
        return modify_order(book, command, effects, account)
    if action == "ORDER_CANCEL":
        row = present_row(book.orders, account, command.order_id)
        ticket = int(book.orders.id[row])
        book.broker.cancel(book, np.array([row]))
        for signal in signals_of_ticket(book, ticket):
            close_signal(book, effects, signal, "the provider cancelled the order")
        return {**DONE, "orderId": command.order_id}
    if action == "POSITIONS_CLOSE_SYMBOL":
        symbol = book.symbols.find(command.symbol)
        rows = np.flatnonzero((book.positions.account == account) & (book.positions.symbol == symbol))
        close_by_rows(book, effects, rows, "closed by hand", "the provider closed the position")
        return dict(DONE)
    row = present_row(book.positions, account, command.position_id)
    if action == "POSITION_MODIFY":
        return modify_position(book, command, effects, row)
    volume, lots = float(book.positions.volume[row]), command.volume_lots
    if action == "POSITION_PARTIAL" and lots is not None and lots < volume - 1e-9:
        ticket = int(book.positions.id[row])
        book.broker.close(book, effects, np.array([row]), "partly closed by hand", np.array([lots]))
        for signal in signals_of_ticket(book, ticket):
            lower_volume(book, effects, signal, round(volume - lots, 8))
    else:
        close_by_rows(book, effects, np.array([row]), "closed by hand", "the provider closed the position")
    return {**DONE, "positionId": command.position_id}


def close_by_rows(book: Book, effects: Effects, rows: np.ndarray, cause: str, signal_cause: str) -> None:
    """Close positions and the signals that they give."""
    own = rows[book.positions.subscription[rows] < 0]
    tickets = set(book.positions.id[own].tolist())
    book.broker.close(book, effects, rows, cause)
    if tickets:
        for signal in [signal for signal in book.signals.values() if signal.ticket in tickets]:
            close_signal(book, effects, signal, signal_cause)


def open_trade(book: Book, command: Trade, effects: Effects, account: int) -> dict[str, Any]:
    """A market or pending order."""
    words = command.action_type.split("_")
    kind = KINDS[words[3]] if len(words) > 3 else int(OrderKind.MARKET)
    price = command.price if command.price and kind != OrderKind.MARKET else NO_PRICE
    levels = Levels(command.stop_loss or NO_PRICE, command.take_profit or NO_PRICE, price)
    if refused := refused_by_broker(book, SIDES[words[2]], kind, levels, price, command.symbol):
        return refused
    orders = Orders(
        account=np.array([account]),
        symbol=np.array([book.symbols.number(command.symbol)]),
        side=np.array([SIDES[words[2]]]),
        volume=np.array([command.volume_lots or 0.0]),
        kind=kind,
        price=command.price or math.nan,
        stop_loss=command.stop_loss or math.nan,
        take_profit=command.take_profit or math.nan,
        magic=command.magic,
    )
    if kind != OrderKind.MARKET:
        ticket = int(book.broker.place(book, effects, orders)[0])
        publish_order(book, effects, book.orders.size - 1)
        return {**DONE, "orderId": str(ticket)}
    ticket = int(book.broker.open(book, effects, orders)[0])
    if not ticket:
        return dict(NO_MONEY)
    publish_position(book, effects, book.positions.size - 1)
    return {**DONE, "orderId": str(ticket), "positionId": str(ticket)}


def refused_by_broker(
    book: Book, side: int, kind: int, levels: Levels, price: float, symbol: str
) -> dict[str, Any] | None:
    """The answer of a broker that refuses the prices of an order; None: they are in order.

    price: of a pending order, by which its levels are measured.
    """
    if book.rules < CHECKED:
        return None
    wrong = wrong_price(side, kind, levels, price, book.quote(symbol))
    if wrong is None:
        return None
    code = INVALID_PRICE if wrong.parameter == "openPrice" else INVALID_STOPS
    return {**code, "message": f"{wrong.parameter} {wrong.message}"}


def changed(price: float | None, present: float) -> float:
    """A level that is to be judged: given, and not the one that stands already; else nan."""
    return price if price and price != present else NO_PRICE


def modify_position(book: Book, command: Trade, effects: Effects, row: int) -> dict[str, Any]:
    """New stop loss and take profit; absent or 0 removes, as at the vendor."""
    positions = book.positions
    levels = Levels(
        changed(command.stop_loss, positions.stop_loss[row]), changed(command.take_profit, positions.take_profit[row])
    )
    symbol = book.symbols.texts[positions.symbol[row]]
    refused = refused_by_broker(book, int(positions.side[row]), int(OrderKind.MARKET), levels, NO_PRICE, symbol)
    if refused:
        return refused
    positions.stop_loss[row] = command.stop_loss or math.nan
    positions.take_profit[row] = command.take_profit or math.nan
    for signal in signals_of_ticket(book, int(positions.id[row])):
        change_signal(
            book, effects, signal, level(positions.stop_loss[row]), level(positions.take_profit[row]), signal.price
        )
    return {**DONE, "positionId": command.position_id}


def modify_order(book: Book, command: Trade, effects: Effects, account: int) -> dict[str, Any]:
    """New price, stop loss and take profit of a pending order."""
    orders = book.orders
    row = present_row(orders, account, command.order_id)
    present = float(orders.price[row])
    price = command.price or present
    is_moved = price != present
    stop, take = (0.0, 0.0) if is_moved else (float(orders.stop_loss[row]), float(orders.take_profit[row]))
    levels = Levels(
        changed(command.stop_loss, stop), changed(command.take_profit, take), price if is_moved else NO_PRICE
    )
    symbol = book.symbols.texts[orders.symbol[row]]
    refused = refused_by_broker(book, int(orders.side[row]), int(orders.kind[row]), levels, price, symbol)
    if refused:
        return refused
    if command.price:
        orders.price[row] = command.price
    orders.stop_loss[row] = command.stop_loss or math.nan
    orders.take_profit[row] = command.take_profit or math.nan
    for signal in signals_of_ticket(book, int(orders.id[row])):
        change_signal(
            book,
            effects,
            signal,
            level(orders.stop_loss[row]),
            level(orders.take_profit[row]),
            float(orders.price[row]),
        )
    return {**DONE, "orderId": command.order_id}
