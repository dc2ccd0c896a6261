"""Stop loss and take profit of a copy: reversed, tightened, stripped, or placed where a risk limit needs one."""

from __future__ import annotations

from math import nan

import numpy as np

from copying.engine.case import Case


def strip_stops(case: Case) -> None:
    """The provider's levels (exchanged on reversed routes), tightened by maxStopLoss; nan where not copied.

    source: contract, 4.4 reverse, maxStopLoss, copyStopLoss, copyTakeProfit; section 8, 24
    """
    case.stop_loss = case.prices.stops.take(case.view.stop_spot)
    case.take_profit = case.prices.take_profit.take(case.view.target_combo)


def place_stops(case: Case) -> None:
    """A stop for maxTradeRisk where the signal has none: where the final volume loses maxTradeRisk x balance.

    Rounded towards the entry, not wider than maxStopLoss, left out where the price would fall below zero first. Refuse
    where not even one point fits.  source: contract, 4.4; section 8, 23
    """
    group = case.group("max_trade_risk", lambda table: ~np.isnan(table.columns["max_trade_risk"]))
    prices, stop_loss = case.prices, case.stop_loss
    if not prices.has_missing_stop or not len(group) or stop_loss is None:
        return
    routes, combo, risk = group.routes, group.combo, group.column("max_trade_risk")
    point, scale = case.specs.point[combo], 10.0 ** case.specs.digits[combo]
    distance = risk * case.balance[routes] / (case.rounded[routes] * prices.move_value[combo])
    points = np.floor(np.minimum(distance, case.specs.widest[group.spot]) * scale * (1 + 1e-12))
    placing = np.isnan(prices.stop_distance[combo]) & group.column("copy_stop_loss")
    placed = np.floor((prices.entry[combo] - group.side * points * point) * scale + 0.5) / scale
    stop_loss[routes] = np.where(placing, np.where(placed > 0, placed, nan), stop_loss[routes])
    case.refuse(routes, placing & (points < 1), group.column("max_trade_risk_code"), risk)
