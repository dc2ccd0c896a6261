"""Contract specifications of what the paper broker offers, and the worth of one currency in another.

Prices are of the symbol, volumes are lots, sizes are units of the base currency.
"""

from __future__ import annotations

import re
from functools import lru_cache

from copying.engine.model import Instrument

SYMBOLS = (
    "EURUSD", "GBPUSD", "USDJPY", "USDCHF", "AUDUSD", "USDCAD", "NZDUSD",
    "EURGBP", "EURJPY", "GBPJPY", "EURCHF", "AUDJPY",
)  # fmt: skip
CONTRACT_SIZE = 100_000.0
LEAST_LOTS = STEP_LOTS = 0.01
SPREAD_POINTS = {
    "EURUSD": 8, "GBPUSD": 11, "USDJPY": 9, "USDCHF": 12, "AUDUSD": 10, "USDCAD": 13, "NZDUSD": 14,
    "EURGBP": 12, "EURJPY": 13, "GBPJPY": 20, "EURCHF": 15, "AUDJPY": 16,
}  # fmt: skip
# yearly swap as fractions of the value held: (long, short); the difference of interest less the broker's margin
SWAP_RATES = {
    "EURUSD": (-0.022, 0.008), "GBPUSD": (-0.008, -0.006), "USDJPY": (0.031, -0.045), "USDCHF": (0.030, -0.044),
    "AUDUSD": (-0.010, -0.004), "USDCAD": (0.004, -0.018), "NZDUSD": (-0.009, -0.005), "EURGBP": (-0.024, 0.010),
    "EURJPY": (0.010, -0.024), "GBPJPY": (0.030, -0.045), "EURCHF": (0.009, -0.023), "AUDJPY": (0.028, -0.042),
}  # fmt: skip
# brokers append these to a pair's name: EURUSDm, EURUSD.r, EURUSD_ecn
# a line break at the end cannot come in any more, but older journals have such positions, and a replay must know them
_NAME = re.compile(r"([A-Z]{6})([a-z]{0,4}|[._#-][A-Za-z0-9]{1,6})\n?")


def base_symbol(symbol: str) -> str | None:
    """The pair behind a broker's name for it (EURUSDm -> EURUSD), or None for what is not offered."""
    match = _NAME.fullmatch(symbol)
    return match.group(1) if match and match.group(1) in SPREAD_POINTS else None


@lru_cache(maxsize=4096)
def instrument(symbol: str) -> Instrument | None:
    """The specification of a symbol under any broker's name, or None when it is not offered."""
    base = base_symbol(symbol)
    if base is None:
        return None
    digits = 3 if base.endswith("JPY") else 5
    tick = 10.0**-digits
    return Instrument(
        symbol=symbol,
        base_currency=base[:3],
        profit_currency=base[3:],
        contract_size=CONTRACT_SIZE,
        digits=digits,
        tick_size=tick,
        tick_value=tick * CONTRACT_SIZE,
        min_volume=LEAST_LOTS,
        max_volume=500.0,
        volume_step=STEP_LOTS,
    )


def spread(symbol: str) -> float:
    """Ask less bid of a pair, in price."""
    return SPREAD_POINTS[symbol] * 10.0 ** -(3 if symbol.endswith("JPY") else 5)


_DOLLARS = {"EUR": ("EURUSD", 1), "GBP": ("GBPUSD", 1), "AUD": ("AUDUSD", 1), "NZD": ("NZDUSD", 1),
            "JPY": ("USDJPY", -1), "CHF": ("USDCHF", -1), "CAD": ("USDCAD", -1)}  # fmt: skip
CURRENCIES = ("USD", *_DOLLARS)


def dollars(currency: str, quotes: dict[str, tuple[float, float]]) -> float | None:
    """US dollars for one unit of `currency` at mid prices, or None when a price is missing."""
    if currency == "USD":
        return 1.0
    pair = _DOLLARS.get(currency)
    quote = quotes.get(pair[0]) if pair else None
    if pair is None or quote is None:
        return None
    mid = (quote[0] + quote[1]) / 2
    return mid if pair[1] > 0 else 1 / mid
