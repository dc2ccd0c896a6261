"""Where the stop of an open copy goes when the provider moves or removes its own: never further than the terms allow.

Else a provider could open with a near stop, be copied in full, and move the stop away afterwards.
"""

from __future__ import annotations

import numpy as np

from copying.engine.levels import EPSILON


def held_stops(
    side: np.ndarray,
    entry: np.ndarray,
    stop: np.ndarray,
    lots: np.ndarray,
    move_value: np.ndarray,
    balance: np.ndarray,
    max_stop_pips: np.ndarray,
    max_trade_risk: np.ndarray,
    digits: np.ndarray,
    *,
    keeps_stop: bool = True,
) -> np.ndarray:
    """The provider's new stop, brought within maxStopLoss and maxTradeRisk of the copy's own entry.

    A stop is not further away than maxStopLoss, nor than where the copy loses maxTradeRisk x balance; where the
    provider has none (any more), one is placed there. Rounded to whole points towards the entry.
    side: 1 or -1. stop: nan for none. move_value: of one lot per 1.0 of price, balance: both in one currency.
    max_stop_pips: inf, max_trade_risk: nan for no limit. keeps_stop: False leaves copies under maxStopLoss alone
    without a stop, as entries of the journal from before did.
    shape: (n,) each.  source: contract, 4.4; section 8, 23, 24
    """
    scale = 10.0**digits
    pips = np.where((digits == 3) | (digits == 5), 10.0, 1.0)
    by_distance = np.maximum(np.floor(max_stop_pips * pips + 1e-6), 1.0)
    with np.errstate(all="ignore"):
        by_risk = np.floor(max_trade_risk * balance / (lots * move_value) * scale * (1 + 1e-12))
    has_risk = ~np.isnan(max_trade_risk)
    widest = np.minimum(by_distance, np.where(has_risk, np.maximum(by_risk, 0.0), np.inf))
    distance = (entry - stop) * side * scale
    places = has_risk | (np.isfinite(max_stop_pips) & keeps_stop)
    is_wide = np.where(np.isnan(stop), places, distance > widest * (1 + EPSILON)) & np.isfinite(widest)
    exact = (entry - side * np.where(is_wide, widest, 0.0) / scale) * scale
    placed = side * np.ceil(side * exact - 1e-7) / scale
    return np.where(is_wide, np.where(placed > 0, placed, np.nan), stop)
