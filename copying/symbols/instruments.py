"""What the paper broker offers under which names, and the worth of one currency in another.

Prices are of the symbol, volumes are lots, sizes are units of the base currency. The rows are in symbols.csv.
"""

from __future__ import annotations

import re
from functools import lru_cache

from copying.engine.model import Instrument

from .specifications import Specification, read_table

TABLE = read_table()
SYMBOLS = (
    "EURUSD",
    "GBPUSD",
    "USDJPY",
    "USDCHF",
    "AUDUSD",
    "USDCAD",
    "NZDUSD",
    "EURGBP",
    "EURJPY",
    "GBPJPY",
    "EURCHF",
    "AUDJPY",
)
"""What there was before the table: entries of the journal from then know nothing else (state/book.py)."""
ADDED = tuple(symbol for symbol in TABLE if symbol not in SYMBOLS)
# a line break at the end cannot come in any more, but older journals have such positions, and a replay must know them
_OLD_NAME = re.compile(r"([A-Z]{6})([a-z]{0,4}|[._#-][A-Za-z0-9]{1,6})\n?")
# brokers write these before and behind a name: #US30, EURUSDm, EURUSD.r, EURUSD_ecn, US30.cash
_NAME = re.compile(r"[#.!]?([A-Z][A-Z0-9]{2,11})([a-z]{0,4}|[._#-][A-Za-z0-9]{1,6})\n?")


def base_symbol(symbol: str) -> str | None:
    """The row behind a broker's name for it (EURUSDm -> EURUSD, #US30 -> US30), or None for what is not offered."""
    match = _NAME.fullmatch(symbol)
    return match.group(1) if match and match.group(1) in TABLE else None


@lru_cache(maxsize=4096)
def old_symbol(symbol: str) -> str | None:
    """As `base_symbol`, of the twelve pairs by the names that they were known by before the table."""
    match = _OLD_NAME.fullmatch(symbol)
    return match.group(1) if match and match.group(1) in SYMBOLS else None


def specification(symbol: str) -> Specification | None:
    """The row of a symbol under any broker's name, or None when it is not offered."""
    return TABLE.get(base_symbol(symbol) or "")


@lru_cache(maxsize=4096)
def instrument(symbol: str) -> Instrument | None:
    """The specification of a symbol as the engine wants it, or None when it is not offered."""
    row = specification(symbol)
    if row is None:
        return None
    tick = 10.0**-row.digits
    return Instrument(
        symbol=symbol,
        base_currency=row.base_currency,
        profit_currency=row.profit_currency,
        contract_size=row.contract_size,
        digits=row.digits,
        tick_size=tick,
        tick_value=tick * row.contract_size,
        min_volume=row.min_volume,
        max_volume=row.max_volume,
        volume_step=row.volume_step,
    )


def spread(symbol: str) -> float:
    """Ask less bid of a row of the table, in price."""
    return TABLE[symbol].spread_points * 10.0 ** -TABLE[symbol].digits


_DOLLARS = {
    "EUR": ("EURUSD", 1),
    "GBP": ("GBPUSD", 1),
    "AUD": ("AUDUSD", 1),
    "NZD": ("NZDUSD", 1),
    "JPY": ("USDJPY", -1),
    "CHF": ("USDCHF", -1),
    "CAD": ("USDCAD", -1),
}
THROUGH_EURO = tuple(
    row.profit_currency
    for row in TABLE.values()
    if row.is_currency and row.base_currency == "EUR" and row.profit_currency not in ("USD", *_DOLLARS)
)
CURRENCIES = (
    "USD",
    *_DOLLARS,
    *THROUGH_EURO,
    *dict.fromkeys(
        row.base_currency
        for row in TABLE.values()
        if not row.is_currency and row.kind != "index" and row.base_currency != row.profit_currency
    ),
)
# a journal's accounts hold the number in this list: codes are only ever added behind the last
ACCOUNT_CURRENCIES = (
    "USD",
    "EUR",
    "GBP",
    "JPY",
    "AUD",
    "BRL",
    "CAD",
    "CHF",
    "CNY",
    "CZK",
    "DKK",
    "HKD",
    "HUF",
    "IDR",
    "ILS",
    "INR",
    "ISK",
    "KRW",
    "MXN",
    "MYR",
    "NOK",
    "NZD",
    "PHP",
    "PLN",
    "RON",
    "SEK",
    "SGD",
    "THB",
    "TRY",
    "ZAR",
)


def dollars(currency: str, quotes: dict[str, tuple[float, float]]) -> float | None:
    """US dollars for one unit of `currency` at mid prices, or None when a price is missing.

    Currencies without a pair of their own go through the euro, as the ECB publishes them; metals and coins are quoted
    in dollars.
    """
    if currency == "USD":
        return 1.0
    pair = _DOLLARS.get(currency)
    if pair is not None:
        mid = middle(quotes, pair[0])
        return None if mid is None else mid if pair[1] > 0 else 1 / mid
    per_euro = middle(quotes, f"EUR{currency}")
    if per_euro is None:
        return middle(quotes, f"{currency}USD")
    euro = middle(quotes, "EURUSD")
    return None if euro is None else euro / per_euro


def middle(quotes: dict[str, tuple[float, float]], symbol: str) -> float | None:
    """The mid price of a symbol, None without a quote."""
    quote = quotes.get(symbol)
    return None if quote is None else (quote[0] + quote[1]) / 2
