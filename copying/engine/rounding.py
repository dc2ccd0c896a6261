"""What the broker can do and what is too small then: the smallest cap, the volume step, tiny trades and the
minimums.
"""

from __future__ import annotations

from math import nan

import numpy as np

from copying.engine.compiled import rule
from copying.engine.levels import EPSILON
from copying.engine.model import Level, Outcome
from copying.engine.reasons import REASON_AND_LEVEL, Reason, pack, refusal

COPIED = pack(Outcome.COPIED, Reason.COPIED, Level.NONE)
RESIZED = pack(Outcome.RESIZED, Reason.COPIED, Level.NONE) & ~REASON_AND_LEVEL
FORCED = pack(Outcome.RESIZED, Reason.TINY_TRADE_FORCED, Level.NONE)
TINY = refusal(Reason.TINY_TRADE, Level.BROKER)
MAX_RISK_COEFFICIENT = refusal(Reason.MAX_RISK_COEFFICIENT, Level.NONE)
RESERVED_MARGIN = refusal(Reason.RESERVED_MARGIN, Level.SUBSCRIBER)
MIN_TRADE_VOLUME = refusal(Reason.MIN_TRADE_VOLUME, Level.NONE)
MIN_TRADE_AMOUNT = refusal(Reason.MIN_TRADE_AMOUNT, Level.SUBSCRIBER)


@rule
def resized(word):
    """The word of a trade that a rule made smaller, from that of its refusal."""
    return RESIZED | (word & REASON_AND_LEVEL)


@rule
def whole_steps(steps, spec):
    """A number of volume steps in lots, rounded down to whole ones."""
    return np.floor(steps) * spec.numerator / spec.denominator


@rule
def round_volume(wanted, cap, route, spec):
    """(word, its number, lots): the wanted volume within the cap, rounded to the nearest step.

    Below min volume - step / 2: refused, or min volume with forceTinyTrades. A rounded volume above
    min(cap, maxRiskCoefficient x wanted) is rounded down instead and refused below min volume.
    units: lots.  source: contract, 4.3 rounding and tiny trades
    """
    most, reason, limit = cap
    limited = min(wanted, most)
    word, value = COPIED, nan
    if wanted > most * (1 + EPSILON):
        word, value = resized(reason), limit
    rounded = max(whole_steps(limited * spec.per_lot + (0.5 + EPSILON), spec), spec.min_volume)
    if limited < spec.tiny:
        if not route.force_tiny:
            return (TINY, spec.min_volume, 0.0) if word == COPIED else (reason, limit, 0.0)
        word, value, rounded = FORCED | int(route.mode_level), spec.min_volume, spec.min_volume
    by_coefficient = wanted * route.max_risk_coefficient
    upper = min(most, by_coefficient)
    if rounded > upper * (1 + EPSILON):
        rounded = whole_steps(upper * spec.per_lot + EPSILON, spec)
        if by_coefficient < most * (1 + EPSILON):  # of equal ones the one that was asked for first
            reason, limit = MAX_RISK_COEFFICIENT | int(route.mode_level), route.max_risk_coefficient
            word, value = resized(reason), limit
        if rounded < spec.min_volume * (1 - EPSILON):
            return reason, limit, 0.0
    return word, value, rounded


@rule
def keep_reserved_margin(lots, route, price, balance, buying_power):
    """Refuse if free margin x leverage (the buying power) - trade value < balance x reservedMarginFraction.

    units: multiple of the balance.  source: contract, section 8, 22
    """
    reserve = balance * route.reserved_margin * (1 - EPSILON)
    if route.reserved_margin > 0 and buying_power - lots * price.lot_value < reserve:
        return RESERVED_MARGIN, route.reserved_margin
    return 0, nan


@rule
def need_min_volume(lots, route):
    """Refuse a rounded volume below minTradeVolume, the largest of the chain after multipliers.

    units: lots.  source: contract, 4.2
    """
    if lots < route.min_volume * (1 - EPSILON):
        return MIN_TRADE_VOLUME + int(route.min_volume_level), route.min_volume
    return 0, nan


@rule
def need_min_amount(lots, route, price, rate):
    """Refuse a trade worth less than minTradeAmount.  units: account currency.  source: contract, 4.4"""
    if lots * price.lot_value < route.min_amount * rate * (1 - EPSILON):
        return MIN_TRADE_AMOUNT, route.min_amount
    return 0, nan
