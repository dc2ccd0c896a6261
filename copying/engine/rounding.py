"""What the broker can do and what is too small then: the smallest cap, the volume step, tiny trades and the
minimums.
"""

from __future__ import annotations

import numpy as np

from copying.engine.case import Case
from copying.engine.model import Level, Outcome
from copying.engine.reasons import REASON_AND_LEVEL, REFUSED, Reason, pack, refusal
from copying.engine.views import EPSILON

# what makes the word of a skipped trade that of a resized one: 3 and 1 differ in a bit
RESIZED = (int(Outcome.SKIPPED) & int(Outcome.RESIZED)) << 16 | REASON_AND_LEVEL
FORCED = pack(Outcome.RESIZED, Reason.TINY_TRADE_FORCED, Level.NONE)
TINY = refusal(Reason.TINY_TRADE, Level.BROKER)


def round_volumes(case: Case) -> None:
    """limited = min(multiplied, cap); rounded to the nearest step, never above the cap or maxRiskCoefficient.

    Below min volume - step / 2: refused, or min volume with forceTinyTrades. A rounded volume above
    min(cap, maxRiskCoefficient x multiplied) is rounded down instead and refused below min volume.
    units: lots.  source: contract, 4.3 rounding and tiny trades
    """
    specs, scratch, multiplied, limited, rounded = case.specs, case.scratch, case.multiplied, case.limited, case.rounded
    np.minimum(multiplied, case.cap, out=limited)
    most = np.multiply(case.cap, 1 + EPSILON, out=scratch.most)
    cut = multiplied > most
    if case.refused_late:
        cut &= case.words < REFUSED
    np.putmask(case.words, cut, np.bitwise_and(case.cap_code, RESIZED, out=scratch.resized))
    np.putmask(case.limit_value, cut, case.cap_value)
    np.multiply(limited, specs.route_per_lot, out=rounded)
    rounded += 0.5 + EPSILON
    np.floor(rounded, out=rounded)
    if specs.numerator_matters:
        rounded *= specs.numerator.take(case.view.combo)
    rounded /= specs.route_denominator
    if specs.minimum_matters:
        raised = np.maximum(rounded, specs.min_volume.take(case.view.combo))
        np.copyto(rounded, raised, where=case.words < REFUSED)
    tiny = (limited < specs.route_tiny).nonzero()[0]
    if tiny.size:
        handle_tiny(case, tiny[case.words.take(tiny) < REFUSED])
    if case.view.coefficient is not None:
        np.minimum(most, np.multiply(multiplied, case.view.coefficient, out=scratch.bound), out=most)
    over = (rounded > most).nonzero()[0]
    if over.size:
        round_down(case, over[case.words.take(over) < REFUSED])


def handle_tiny(case: Case, routes: np.ndarray) -> None:
    """Force the broker's smallest volume where the terms say so, refuse the others by what made them tiny."""
    columns = case.table.columns
    smallest = case.specs.min_volume.take(case.view.combo.take(routes))
    is_forced = columns["force_tiny"].take(routes)
    forced, others = routes[is_forced], routes[~is_forced]
    if forced.size:
        case.words[forced] = columns["mode_level"].take(forced) | FORCED
        case.rounded[forced] = case.limit_value[forced] = smallest[is_forced]
    if others.size:
        is_cut = case.multiplied.take(others) > case.scratch.most.take(others)
        code = np.where(is_cut, case.cap_code.take(others), TINY)
        case.refuse_routes(others, code, np.where(is_cut, case.cap_value.take(others), smallest[~is_forced]))
        case.rounded[others] = 0.0


def round_down(case: Case, routes: np.ndarray) -> None:
    """The largest multiple of the step within cap and coefficient; refused below the broker's smallest volume."""
    if not routes.size:
        return
    columns, specs, combo = case.table.columns, case.specs, case.view.combo.take(routes)
    cap, coefficient = case.cap.take(routes), columns["max_risk_coefficient"].take(routes)
    by_coefficient = case.multiplied.take(routes) * coefficient
    upper = np.minimum(cap, by_coefficient)
    steps = np.floor(upper * specs.per_lot.take(combo) + EPSILON)
    lots = steps * specs.numerator.take(combo) / specs.denominator.take(combo)
    is_coefficient = by_coefficient < cap
    fits = lots >= specs.min_volume.take(combo) * (1 - EPSILON)
    case.rounded[routes] = lots * fits
    code = np.where(is_coefficient, columns["coefficient_code"].take(routes), case.cap_code.take(routes))
    changed = (fits & is_coefficient).nonzero()[0]
    if changed.size:
        case.words[routes.take(changed)] = code.take(changed) & RESIZED
        case.limit_value[routes.take(changed)] = coefficient.take(changed)
    if changed.size < routes.size:
        case.refuse(routes, ~fits, code, np.where(is_coefficient, coefficient, case.cap_value.take(routes)))


def keep_reserved_margin(case: Case) -> None:
    """Refuse if free margin x leverage - trade value < balance x reservedMarginFraction.

    units: multiple of the balance.  source: contract, section 8, 22
    """
    group = case.group("reserved_margin", lambda table: table.columns["reserved_margin"] > 0)
    if not len(group):
        return
    routes, rows, accounts = group.routes, group.account, case.accounts
    fraction = group.column("reserved_margin")
    free = case.equity.take(routes) - accounts.margin.take(rows) * case.rate.take(routes)
    left = free * accounts.leverage.take(rows) - case.rounded.take(routes) * case.prices.lot_value.take(group.combo)
    reserve = case.balance.take(routes) * fraction * (1 - EPSILON)
    case.refuse(routes, left < reserve, refusal(Reason.RESERVED_MARGIN, Level.SUBSCRIBER), fraction)


def need_min_volume(case: Case) -> None:
    """Refuse a rounded volume below minTradeVolume, the largest of the chain after multipliers.

    units: lots.  source: contract, 4.2
    """
    if case.view.least is not None:
        routes = (case.rounded < case.view.least).nonzero()[0]
        if routes.size:
            columns = case.table.columns
            case.refuse_routes(routes, columns["min_volume_code"].take(routes), columns["min_volume"].take(routes))


def need_min_amount(case: Case) -> None:
    """Refuse a trade worth less than minTradeAmount.  units: account currency.  source: contract, 4.4"""
    group = case.group("min_amount", lambda table: table.columns["min_amount"] > 0)
    if len(group):
        routes, amount = group.routes, group.column("min_amount")
        worth = case.rounded.take(routes) * case.prices.lot_value.take(group.combo)
        too_small = worth < amount * case.rate.take(routes) * (1 - EPSILON)
        case.refuse(routes, too_small, refusal(Reason.MIN_TRADE_AMOUNT, Level.SUBSCRIBER), amount)
