"""From decisions to orders: placed in bulk, at the market or pending, and what the broker does not take."""

from __future__ import annotations

import numpy as np

from copying.backend.state.book import Book
from copying.backend.state.broker_port import Orders
from copying.backend.state.effects import Effects
from copying.backend.state.entities import OpenSignal
from copying.backend.state.parts import UNKNOWN
from copying.engine.model import Decisions, Level, OrderKind, Outcome
from copying.engine.reasons import Reason

from .plans import Plan, parts_of

MARKET = int(OrderKind.MARKET)
Placed = tuple[np.ndarray, Orders]  # with the routes that the orders are of


def execute(
    book: Book,
    effects: Effects,
    plan: Plan,
    signal: OpenSignal,
    decisions: Decisions,
    rows: np.ndarray,
    orders: Placed | None,
) -> None:
    """Place the orders of some routes (None: make them now); routes that the broker refuses become failed decisions."""
    if orders is None:
        orders = orders_for(book, plan, signal, decisions, without_offline(book, plan, decisions, rows))
    rows, placed = orders
    if not len(rows):
        return
    if placed.is_pending:
        book.broker.place(book, effects, placed)
        return
    refused = rows[book.broker.open(book, effects, placed) == 0]
    if len(refused):
        fail(decisions, refused, Reason.NOT_ENOUGH_MARGIN)


def orders_for(book: Book, plan: Plan, signal: OpenSignal, decisions: Decisions, rows: np.ndarray) -> Placed:
    """The orders of some routes, at the market or pending as the signal is, with their routes; nothing is placed."""
    numbers = symbol_numbers(book, decisions, rows)
    is_market = signal.kind == MARKET
    pick = slice(None) if len(rows) == len(plan.table) else rows  # all of them: nothing is copied
    part = plan.part[pick]
    if (part == UNKNOWN).any():
        part = parts_of(book, plan, rows)
    orders = Orders(
        account=plan.account[pick],
        symbol=numbers[decisions.symbol[pick]],
        side=decisions.side[pick],
        volume=decisions.volume_lots[pick],
        kind=decisions.kind[pick],
        price=signal.price,
        stop_loss=decisions.stop_loss[pick],
        take_profit=decisions.take_profit[pick],
        magic=signal.magic,
        subscription=plan.subscription[pick],
        part=part,
        signal=signal.row,
        leaf=plan.leaf,
        flags=plan.flags[pick],
        expires=signal.time + plan.lifetime_s,
        signal_id=signal.id,
        is_pending=not is_market,
        provider_price=provider_prices(book, signal, decisions, rows) if is_market else np.nan,
    )
    if not is_market:
        orders.expires = min(signal.time - signal.age_s + plan.opening_s[signal.kind], orders.expires)
    return rows, orders


def symbol_numbers(book: Book, decisions: Decisions, rows: np.ndarray) -> np.ndarray:
    """Numbers in the book of `decisions.symbols`; -1 for names that none of `rows` places an order in.

    A name that only refused routes wanted never enters the book: the broker may not know it.
    """
    numbers = np.full(len(decisions.symbols), -1, dtype=np.intp)
    for place in np.unique(decisions.symbol[rows]).tolist():
        numbers[place] = book.symbols.number(decisions.symbols[place])
    return numbers


def without_offline(book: Book, plan: Plan, decisions: Decisions, rows: np.ndarray) -> np.ndarray:
    """The routes whose accounts can be reached; the others fail."""
    connected = book.accounts.connected[plan.account[rows]]
    if not connected.all():
        fail(decisions, rows[~connected], Reason.OFFLINE)
    return rows[connected]


def fail(decisions: Decisions, rows: np.ndarray, reason: Reason) -> None:
    """The broker does not take what was decided."""
    decisions.refuse(rows, Outcome.FAILED, reason, Level.BROKER)


def provider_prices(book: Book, signal: OpenSignal, decisions: Decisions, rows: np.ndarray) -> np.ndarray | float:
    """What slippage is measured against: the provider's fill, where the copy is on the same side and pair."""
    if signal.price <= 0:
        return np.nan
    same = decisions.side[rows] == signal.side
    quote = book.quote(signal.symbol)
    by_symbol = np.array([quote is not None and book.quote(symbol) == quote for symbol in decisions.symbols])
    if by_symbol.all() and same.all():
        return signal.price
    return np.where(same & by_symbol[decisions.symbol[rows]], signal.price, np.nan)
