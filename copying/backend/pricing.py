"""What positions are worth now: profit, margin and value of every position, equity and margin of every account.

One pass of array operations over all positions, done only when prices or positions changed and somebody asks. The
result depends on nothing but positions and prices, so it is the same however the state was reached.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .book import Book

MINOR_UNITS = np.array([2, 2, 2, 0])  # of book.ACCOUNT_CURRENCIES
_CENTS = 10.0**MINOR_UNITS


def round_money(amounts: np.ndarray, currencies: np.ndarray) -> np.ndarray:
    """(n,) amounts rounded to the minor unit of (n,) account currencies, half away from zero."""
    scale = _CENTS[currencies]
    return np.copysign(np.floor(np.abs(amounts) * scale + 0.5 + 1e-9), amounts) / scale


def value(book: Book) -> None:
    """Bring profit, margin and value of positions and equity of accounts and subscriptions up to the present prices."""
    if book.valued:
        return
    positions, accounts, subscriptions = book.positions, book.accounts, book.subscriptions
    if positions.size:
        facts = book.symbol_facts()[positions.symbol]
        closing = closing_prices(book, positions.symbol, positions.side)
        worth = book.account_dollars()[positions.account]
        size = positions.volume * facts[:, 0]
        profit = size * positions.side * (closing - positions.price) * book.dollars[facts[:, 2].astype(np.intp)] / worth
        positions.profit[:] = np.where(np.isnan(profit), positions.profit, profit)
        held = size * book.dollars[facts[:, 1].astype(np.intp)] / worth
        positions.value[:] = np.where(np.isnan(held), positions.value, held)
        positions.margin[:] = positions.value / accounts.leverage[positions.account]
    floating = positions.profit + positions.swap
    accounts.equity[:] = accounts.balance + np.bincount(positions.account, floating, accounts.size)
    accounts.margin[:] = np.bincount(positions.account, positions.margin, accounts.size)
    accounts.position_value[:] = np.bincount(positions.account, positions.value, accounts.size)
    copied = positions.subscription >= 0
    subscriptions.floating[:] = np.bincount(positions.subscription[copied], floating[copied], subscriptions.size)
    if book.parts.size:
        split = positions.part >= 0
        book.parts.floating[:] = np.bincount(positions.part[split], floating[split], book.parts.size)
    book.valued = True


def closing_prices(book: Book, symbols: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """(n,) what positions would be closed at: bid for bought, ask for sold; nan without a price."""
    quotes = book.symbol_quotes()[symbols]
    return np.where(sides > 0, quotes[:, 0], quotes[:, 1])


def opening_prices(book: Book, symbols: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """(n,) what a market order would be filled at: ask to buy, bid to sell; nan without a price."""
    return closing_prices(book, symbols, -sides)


def lot_values(book: Book, symbols: np.ndarray, accounts: np.ndarray) -> np.ndarray:
    """(n,) worth of one lot in each account's currency."""
    facts = book.symbol_facts()[symbols]
    return facts[:, 0] * book.dollars[facts[:, 1].astype(np.intp)] / book.account_dollars()[accounts]


def profit_rates(book: Book, symbols: np.ndarray, accounts: np.ndarray) -> np.ndarray:
    """(n,) account currency for one unit of price and one lot."""
    facts = book.symbol_facts()[symbols]
    return facts[:, 0] * book.dollars[facts[:, 2].astype(np.intp)] / book.account_dollars()[accounts]
