"""What positions are worth now: profit, margin and value of every position, equity and margin of every account.

One pass of array operations over all positions, done only when prices or positions changed and somebody asks. The
result depends on nothing but positions and prices, so it is the same however the state was reached.
"""

from __future__ import annotations

import numpy as np

from copying.symbols.instruments import ACCOUNT_CURRENCIES

from .book import Book
from .commands import NEWEST_RULES

MINOR_UNITS = np.array([0 if code in ("ISK", "JPY", "KRW") else 2 for code in ACCOUNT_CURRENCIES])
_CENTS = 10.0**MINOR_UNITS
ROUNDS_LARGE = 5  # entries of these rules and later round halves of large amounts as on paper
ULPS = 4e-16  # what a number and its product with 100 may lack of the exact ones, as a share of them


def round_money(amounts: np.ndarray, currencies: np.ndarray, rules: int = NEWEST_RULES) -> np.ndarray:
    """(n,) amounts rounded to the minor unit of (n,) account currencies, half away from zero.

    rules: of the entry that is carried out (`Book.rules`).
    """
    scale = _CENTS[currencies]
    units = np.abs(amounts) * scale
    if rules >= ROUNDS_LARGE:  # 524,498.315 times 100 is 52,449,831.49999999 for the machine
        units += units * ULPS
    units += 0.5
    units += 1e-9
    np.floor(units, out=units)
    np.copysign(units, amounts, out=units)
    units /= scale
    return units


def value(book: Book) -> None:
    """Bring profit, margin and value of positions and equity of accounts and subscriptions up to the present prices."""
    if book.valued:
        return
    positions, accounts, subscriptions = book.positions, book.accounts, book.subscriptions
    if positions.size:
        symbols = positions.symbol.astype(np.intp)
        closing = closing_prices(book, symbols, positions.side)
        worth = book.account_dollars()[positions.account]
        facts = book.symbol_facts()  # of few symbols: what is the same for all of one is worked out before it is spread
        size = positions.volume * facts[:, 0].take(symbols)
        profit = size * positions.side * (closing - positions.price)
        profit *= book.dollars[facts[:, 2].astype(np.intp)].take(symbols)
        profit /= worth
        _keep_known(positions.profit, profit)
        size *= _value_dollars(book, facts).take(symbols)
        size /= worth
        _keep_known(positions.value, size)
        np.divide(positions.value, accounts.leverage[positions.account], out=positions.margin)
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


def _keep_known(column: np.ndarray, fresh: np.ndarray) -> None:
    """Fresh numbers into a column; where there is none (no price), the last one stays."""
    unknown = np.isnan(fresh)
    if unknown.any():
        fresh[unknown] = column[unknown]
    column[:] = fresh


def closing_prices(book: Book, symbols: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """(n,) what positions would be closed at: bid for bought, ask for sold; nan without a price."""
    quotes = book.symbol_quotes()
    symbols = symbols.astype(np.intp, copy=False)
    return np.where(sides > 0, quotes[:, 0].take(symbols), quotes[:, 1].take(symbols))


def opening_prices(book: Book, symbols: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """(n,) what a market order would be filled at: ask to buy, bid to sell; nan without a price."""
    return closing_prices(book, symbols, -sides)


def lot_values(book: Book, symbols: np.ndarray, accounts: np.ndarray) -> np.ndarray:
    """(n,) worth of one lot in each account's currency."""
    facts = book.symbol_facts()
    return (facts[:, 0] * _value_dollars(book, facts))[symbols] / book.account_dollars()[accounts]


def profit_rates(book: Book, symbols: np.ndarray, accounts: np.ndarray) -> np.ndarray:
    """(n,) account currency for one unit of price and one lot."""
    facts = book.symbol_facts()
    per_symbol = facts[:, 0] * book.dollars[facts[:, 2].astype(np.intp)]
    return per_symbol[symbols] / book.account_dollars()[accounts]


def _value_dollars(book: Book, facts: np.ndarray) -> np.ndarray:
    """(n_symbols,) US dollars that one unit is worth: of pairs the base currency, of all else the mid price."""
    bases = book.dollars[facts[:, 1].astype(np.intp)]
    by_price = facts[:, 4] > 0
    if not by_price.any():
        return bases
    mids = book.symbol_quotes().mean(axis=1)
    return np.where(by_price, mids * book.dollars[facts[:, 2].astype(np.intp)], bases)
