"""Stops, targets and prices of signals and orders: what a MetaTrader broker would refuse, found before anything is
changed, and the terms that hold for stops of open copies when their provider moves or removes its own.

What is judged, and by which price, is in docs/copying.md, "Prices that are refused". Prices are of the symbol's quotes.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from copying.backend.state.book import Book
from copying.backend.state.effects import Effects, LogLine
from copying.backend.state.entities import OpenSignal
from copying.backend.state.errors import invalid
from copying.backend.state.tables import TradeTable
from copying.backend.state.valuation import closing_prices, opening_prices, profit_rates
from copying.engine.held_stops import held_stops
from copying.engine.levels import EPSILON, FAR, Relation, is_far, is_wrong_side, relation_of
from copying.engine.model import OrderKind
from copying.engine.reasons import number

from .plans import Plan, plan_for

KEEPS_STOP = 1  # entries of these rules and later keep a stop under maxStopLoss (commands.NEWEST_RULES)
CHECKED = 1  # entries of these rules and later judge prices (commands.NEWEST_RULES)
NO_PRICE = math.nan


class Wrong(NamedTuple):
    """A price that is refused. parameter: its name on the wire; message: what it must be."""

    parameter: str
    value: float
    message: str


class Levels(NamedTuple):
    """The prices of an order; nan: none, or not to be judged. order_price: of a pending one, nan for none."""

    stop_loss: float = NO_PRICE
    take_profit: float = NO_PRICE
    order_price: float = NO_PRICE


def wrong_price(side: int, kind: int, levels: Levels, order_price: float, quote: Any) -> Wrong | None:
    """The first price of an order that is on the wrong side, or no price at all; None: all are in order.

    order_price: by which the levels of a pending order are measured. quote: (bid, ask), None unknown.
    """
    bid, ask = quote or (NO_PRICE, NO_PRICE)
    (opening, market), (reference, word) = ((ask, "ask"), (bid, "bid")) if side > 0 else ((bid, "bid"), (ask, "ask"))
    judged = []
    if kind != OrderKind.MARKET:
        away = -side if kind == OrderKind.LIMIT else side
        judged.append(("openPrice", levels.order_price, away, opening, f"the market ({market} {number(opening)})"))
        reference, word = order_price, "order's price"
    measure = f"the {word} ({number(reference)})"
    judged.append(("stopLoss", levels.stop_loss, -side, reference, measure))
    judged.append(("takeProfit", levels.take_profit, side, reference, measure))
    for parameter, price, away, by, words in judged:
        if is_wrong_side(price, by, away):
            return Wrong(parameter, price, f"must be {'above' if away > 0 else 'below'} {words}")
        if is_far(price, by):
            return Wrong(parameter, price, f"must be a price near {words}, not a distance")
    return None


def check_signal(book: Book, document: dict[str, Any], side: int, kind: int, known: OpenSignal | None) -> None:
    """A new signal's prices, or those of a known one that are to change, are on their side. Raises Refused (400)."""
    if book.rules < CHECKED:
        return
    stop, take = (float(document.get(name) or NO_PRICE) for name in ("stopLoss", "takeProfit"))
    price = float(document.get("openPrice") or (known.price if known else 0) or NO_PRICE)
    order_price = price if kind != OrderKind.MARKET else NO_PRICE
    if known is not None:
        is_moved = kind != OrderKind.MARKET and price != known.price
        order_price = price if is_moved else NO_PRICE
        stop = NO_PRICE if stop == known.stop_loss and not is_moved else stop
        take = NO_PRICE if take == known.take_profit and not is_moved else take
    wrong = wrong_price(side, kind, Levels(stop, take, order_price), price, book.quote(document["symbol"]))
    if wrong is not None:
        raise invalid(*wrong)


def is_another_symbol(book: Book, signal: OpenSignal, symbols: np.ndarray) -> np.ndarray:
    """(n,) whether symbols (by number) are another instrument than the signal's: its prices say nothing about them."""
    verdicts = {}
    for symbol in np.unique(symbols).tolist():
        own = book.instrument(book.symbols.texts[symbol])
        related = Relation.SAME if own is None else relation_of(signal.symbol, book.instrument(signal.symbol), own)
        verdicts[symbol] = related is Relation.ANOTHER
    return np.array([verdicts[symbol] for symbol in symbols.tolist()], dtype=bool)


def references(book: Book, table: TradeTable, rows: np.ndarray) -> np.ndarray:
    """(n,) what stops are measured by: what positions would close at, the price of orders; nan unknown."""
    if table is book.orders:
        return table.price[rows]
    return closing_prices(book, table.symbol[rows], table.side[rows])


def are_refused(price: np.ndarray, reference: np.ndarray, away: np.ndarray) -> np.ndarray:
    """(n,) `is_wrong_side` or `is_far` of columns."""
    with np.errstate(invalid="ignore"):
        wrong = (price - reference) * away <= reference * EPSILON
        return wrong | (price > reference * FAR) | (price * FAR < reference)


def refused_levels(
    book: Book, signal: OpenSignal, table: TradeTable, rows: np.ndarray, stop: np.ndarray, take: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Two (n,) bool: copies whose broker would refuse a new stop loss, and a new take profit (nan: taken away)."""
    nobody = np.zeros(len(rows), dtype=bool)
    if book.rules < CHECKED:
        return nobody, nobody
    side, reference = table.side[rows], references(book, table, rows)
    another = is_another_symbol(book, signal, table.symbol[rows])
    return (
        (are_refused(stop, reference, -side) | another) & ~np.isnan(stop),
        (are_refused(take, reference, side) | another) & ~np.isnan(take),
    )


def refused_prices(book: Book, signal: OpenSignal, rows: np.ndarray, price: float) -> np.ndarray:
    """(n,) pending copies whose broker would refuse a new price."""
    if book.rules < CHECKED or not len(rows):
        return np.zeros(len(rows), dtype=bool)
    orders = book.orders
    market = opening_prices(book, orders.symbol[rows], orders.side[rows])
    away = np.where(orders.kind[rows] == OrderKind.LIMIT, -orders.side[rows], orders.side[rows])
    return are_refused(np.full(len(rows), price), market, away) | is_another_symbol(book, signal, orders.symbol[rows])


def without_refused(
    book: Book,
    effects: Effects,
    signal: OpenSignal,
    table: TradeTable,
    rows: np.ndarray,
    wanted: tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]],
) -> list[np.ndarray]:
    """Which copies really get a new stop loss, and a new take profit: two (n,) bool; the others are told.

    wanted: of both, which copies follow the provider and what the new level is.
    """
    refused = refused_levels(book, signal, table, rows, wanted[0][1], wanted[1][1])
    allowed = []
    for what, (moves, level), wrong in zip(("stop loss", "take profit"), wanted, refused, strict=True):
        if (moves & wrong).any():
            tell_kept(book, effects, signal, table, rows[moves & wrong], what, level[moves & wrong])
        allowed.append(moves & ~wrong)
    return allowed


def without_refused_prices(
    book: Book, effects: Effects, signal: OpenSignal, rows: np.ndarray, price: float
) -> np.ndarray:
    """The pending copies that get a new price; the others are told."""
    wrong = refused_prices(book, signal, rows, price)
    if wrong.any():
        tell_kept(book, effects, signal, book.orders, rows[wrong], "price", np.full(int(wrong.sum()), price))
    return rows[~wrong]


def tell_kept(
    book: Book, effects: Effects, signal: OpenSignal, table: TradeTable, rows: np.ndarray, what: str, price: np.ndarray
) -> None:
    """WARN in the logs of copies that keep what they had."""
    for row, wanted in zip(rows.tolist(), price.tolist(), strict=True):
        meta, symbol = book.account_meta[table.account[row]], book.symbols.texts[table.symbol[row]]
        text = f"The provider moved its {what} to {number(wanted)}. For {symbol} the broker refuses that: it stays."
        effects.events.append(LogLine(book.time, meta.tenant, 2, text, signal.strategy_id, meta.id, signal.id, symbol))


# ---------------------------------------------------------------------------------------------- what the terms allow
def within_terms(book: Book, signal: OpenSignal, table: TradeTable, rows: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """(n,) new stops of some copies of a signal, each within the terms of its own route.

    Copies whose route is gone follow the provider alone.
    """
    plan = plan_for(book, signal.strategy_id)
    route = routes_of(book, plan, table.subscription[rows], table.part[rows])
    columns, known = plan.table.columns, route >= 0
    if not len(columns):
        return stop
    pips = np.where(known, columns["max_stop_pips"][route], np.inf)
    risk = np.where(known, columns["max_trade_risk"][route], np.nan)
    if np.isinf(pips).all() and np.isnan(risk).all():
        return stop
    symbol, account = table.symbol[rows], table.account[rows]
    return held_stops(
        table.side[rows],
        table.price[rows],
        stop,
        table.volume[rows],
        profit_rates(book, symbol, account),
        book.accounts.balance[account],
        pips,
        risk,
        book.symbol_facts()[symbol, 3],
        keeps_stop=book.rules >= KEEPS_STOP,
    )


def routes_of(book: Book, plan: Plan, subscription: np.ndarray, part: np.ndarray) -> np.ndarray:
    """(n,) the routes by which copies came, -1 where there is none any more."""
    of_subscription, of_part = np.full(book.subscriptions.size + 1, -1), np.full(book.parts.size + 2, -1)
    of_subscription[plan.subscription[::-1]] = np.arange(len(plan.table))[::-1]
    of_part[plan.part] = np.arange(len(plan.table))
    return np.where(part >= 0, of_part[part], of_subscription[subscription])
