"""What lowers a volume: risk, maxTradeVolume, correlation, leverage and the broker, each as a cap in lots.

A cap is (lots, word of the refusal if nothing is left, number of the rule). Nothing is cut here: `rounding.py` applies
the smallest cap together with the broker's step, so that rounding never goes above a limit. The rule that set the
smallest cap is the reason; of equal ones the first.
"""

from __future__ import annotations

from math import inf, isnan, nan

import numpy as np

from copying.engine.compiled import rule
from copying.engine.levels import EPSILON
from copying.engine.model import Level
from copying.engine.reasons import Reason, refusal

UNLIMITED = (inf, 0, nan)
STOP_LOSS_NEEDED = refusal(Reason.STOP_LOSS_NEEDED, Level.NONE)
MAX_TRADE_RISK = refusal(Reason.MAX_TRADE_RISK, Level.NONE)
MAX_TRADE_VOLUME = refusal(Reason.MAX_TRADE_VOLUME, Level.NONE)
CORRELATION = refusal(Reason.CORRELATION, Level.NONE)
MAX_LEVERAGE = refusal(Reason.MAX_LEVERAGE, Level.NONE)
BROKER_MAX_VOLUME = refusal(Reason.BROKER_MAX_VOLUME, Level.BROKER)
BY_STRATEGY = 1  # of Terms.correlations


@rule
def lowered(cap, lots, word, value):
    """The smaller of a cap and another one; nan: no limit."""
    if lots < cap[0]:
        return max(lots, 0.0), word, value
    return cap


@rule
def need_stop_loss(route, price):
    """maxTradeRisk needs a stop: without one in the signal it is placed later (`stops.py`), unless copyStopLoss is off.

    source: contract, 4.4; section 8, 23
    """
    if route.max_trade_risk_level and isnan(price.stop_distance) and not route.copy_stop_loss:
        return STOP_LOSS_NEEDED + int(route.max_trade_risk_level), route.max_trade_risk
    return 0, nan


@rule
def widest_stop(route, spec):
    """maxStopLoss in whole points, at least one; inf: no limit.  source: contract, 4.4"""
    return max(np.floor(route.max_stop_pips * spec.points_per_pip + 1e-6), 1.0)


@rule
def limit_trade_risk(cap, route, spec, price, balance):
    """volume <= maxTradeRisk x balance / (distance of the stop x value of one lot per 1.0 of price).

    The distance is that of the provider's stop, tightened by maxStopLoss.  source: contract, 4.4; section 8, 23
    """
    if not route.max_trade_risk_level or isnan(price.stop_distance):
        return cap
    distance = min(price.stop_distance, widest_stop(route, spec) * spec.point)
    lots = route.max_trade_risk * balance / (distance * price.move_value)
    return lowered(cap, lots, MAX_TRADE_RISK + int(route.max_trade_risk_level), route.max_trade_risk)


@rule
def limit_volume(cap, route):
    """volume <= maxTradeVolume, the smallest of the chain after multipliers.  units: lots.  source: contract, 4.2"""
    return lowered(cap, route.max_volume, MAX_TRADE_VOLUME + int(route.max_volume_level), route.max_volume)


@rule
def limit_correlation(cap, wanted, route, price, exposure):
    """volume <= volume so far - the larger same-sign exposure already open in either asset of a pair.

    A buy adds to the first asset and takes from the second. Only symbols made of two asset names. exposure: signed lots
    open in both, 0 where the rule is off.  source: contract, 4.4 reduceCorrelations
    """
    same_sign = max(exposure[0] * price.side, -exposure[1] * price.side)
    if not same_sign > 0:
        return cap
    left = min(wanted, cap[0]) - same_sign
    if left <= same_sign * EPSILON:  # what arithmetic leaves of equal volumes is nothing
        left = 0.0
    return lowered(cap, left, CORRELATION + int(route.correlations_level), same_sign)


@rule
def limit_leverage(cap, signal, route, price, equity, open_value):
    """volume x lot value <= maxLeverage x equity - value of open positions. Market orders only.

    units: ratio.  source: contract, 4.4; section 8, 21
    """
    if not route.max_leverage_level or not signal.is_market:
        return cap
    lots = max(route.max_leverage * equity - open_value, 0.0) / price.lot_value
    return lowered(cap, lots, MAX_LEVERAGE + int(route.max_leverage_level), route.max_leverage)


@rule
def limit_broker(cap, spec):
    """volume <= the broker's largest volume.  units: lots"""
    return lowered(cap, spec.max_volume, BROKER_MAX_VOLUME, spec.max_volume)
