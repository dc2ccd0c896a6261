"""Stop loss and take profit of a copy: reversed, tightened, stripped, or placed where a risk limit needs one."""

from __future__ import annotations

from math import isnan, nan

import numpy as np

from copying.engine.compiled import rule
from copying.engine.levels import EPSILON
from copying.engine.limits import MAX_TRADE_RISK, widest_stop


@rule
def from_entry(points, spec, price):
    """The price a number of points on the losing side of the entry, in whole points.

    An entry between two points (a pending price the provider's broker writes with more digits) is rounded towards the
    entry: a stop further away would lose more than the terms allow.
    """
    exact = (price.entry - price.side * points * spec.point) * spec.scale
    return price.side * np.ceil(price.side * exact - 1e-7) / spec.scale


@rule
def take_profit_of(route, price):
    """The provider's take profit (on reversed routes its stop loss); nan where not copied.

    source: contract, 4.4 reverse, copyTakeProfit
    """
    return price.take_profit if route.copy_take_profit else nan


@rule
def stop_loss_of(route, spec, price):
    """The provider's stop loss (on reversed routes its take profit), tightened by maxStopLoss; nan where not copied.

    source: contract, 4.4 reverse, maxStopLoss, copyStopLoss; section 8, 24
    """
    if not route.copy_stop_loss:
        return nan
    widest = widest_stop(route, spec)
    if price.stop_distance > widest * spec.point * (1 + EPSILON):
        return from_entry(widest, spec, price)
    return price.stop_loss


@rule
def needs_placed_stop(route, price):
    """Whether maxTradeRisk has to be kept by a stop of our own."""
    return route.max_trade_risk_level and isnan(price.stop_distance) and route.copy_stop_loss


@rule
def place_stop(lots, route, spec, price, balance):
    """(word, its number, stop loss) where the signal has none: where the volume loses maxTradeRisk x balance.

    Rounded towards the entry, not wider than maxStopLoss, left out where the price would fall below zero first. Refused
    where not even one point fits.  source: contract, 4.4; section 8, 23
    """
    distance = route.max_trade_risk * balance / (lots * price.move_value)
    points = np.floor(min(distance, widest_stop(route, spec) * spec.point) * spec.scale * (1 + 1e-12))
    if points < 1:
        return MAX_TRADE_RISK + int(route.max_trade_risk_level), route.max_trade_risk, nan
    placed = from_entry(points, spec, price)
    return 0, nan, placed if placed > 0 else nan
