"""What the broker can do and what is too small then: the smallest cap, the volume step, tiny trades and the
minimums.
"""

from __future__ import annotations

import numpy as np

from copying.engine.case import Case
from copying.engine.model import Level, Outcome
from copying.engine.prices import EPSILON
from copying.engine.reasons import LEVEL_BITS, REASON_BITS, Reason, pack, refusal

REASON_AND_LEVEL = np.uint16((1 << (LEVEL_BITS + REASON_BITS)) - 1)
RESIZED = np.uint16(int(Outcome.RESIZED) << (LEVEL_BITS + REASON_BITS))
FORCED = np.uint16(pack(Outcome.RESIZED, Reason.TINY_TRADE_FORCED, Level.NONE))


def round_volumes(case: Case) -> None:
    """limited = min(multiplied, cap); rounded to the nearest step, never above the cap or maxRiskCoefficient.

    Below min volume - step / 2: refused, or min volume with forceTinyTrades. A rounded volume above
    min(cap, maxRiskCoefficient x multiplied) is rounded down instead and refused below min volume.
    units: lots.  source: contract, 4.3 rounding and tiny trades
    """
    specs, combo = case.specs, case.view.combo
    limited, rounded = case.limited, case.rounded
    np.minimum(case.multiplied, case.cap, out=limited)
    cap = case.cap * (1 + EPSILON)
    cut = (case.multiplied > cap).nonzero()[0]
    if cut.size:
        case.changed[cut] = case.cap_code[cut] & REASON_AND_LEVEL | RESIZED
        fresh = cut[case.refused[cut] == 0]
        case.limit_value[fresh] = case.cap_value[fresh]
    np.multiply(limited, specs.route_per_lot, out=rounded)
    rounded += 0.5 + EPSILON
    np.floor(rounded, out=rounded)
    if specs.numerator_matters:
        rounded *= specs.numerator[combo]
    rounded /= specs.route_denominator
    if specs.minimum_matters:
        raised = np.maximum(rounded, specs.min_volume[combo])
        np.copyto(rounded, raised, where=case.refused == 0)
    tiny = ((limited < specs.route_tiny) & (case.refused == 0)).nonzero()[0]
    if tiny.size:
        handle_tiny(case, tiny)
    over = rounded > cap
    group = case.group("coefficient", may_exceed_coefficient)
    if len(group):
        wanted = case.multiplied[group.routes] * group.column("max_risk_coefficient")
        over[group.routes] |= rounded[group.routes] > wanted * (1 + EPSILON)
    routes = over.nonzero()[0]
    if routes.size:
        round_down(case, routes[case.refused[routes] == 0])


def may_exceed_coefficient(table) -> np.ndarray:
    """Where rounding can exceed maxRiskCoefficient: it never doubles a volume unless a tiny trade is forced."""
    return table.columns["force_tiny"] | (table.columns["max_risk_coefficient"] < 2.0 + 1e-6)


def handle_tiny(case: Case, routes: np.ndarray) -> None:
    """Force the broker's smallest volume where the terms say so, refuse the others by what made them tiny."""
    columns = case.table.columns
    smallest = case.specs.min_volume[case.view.combo[routes]]
    is_forced = columns["force_tiny"][routes]
    forced = routes[is_forced]
    if forced.size:
        case.changed[forced] = FORCED | columns["mode_level"][forced].astype(np.uint16)
        case.rounded[forced] = case.limit_value[forced] = smallest[is_forced]
    is_cut = case.multiplied[routes] > case.cap[routes] * (1 + EPSILON)
    code = np.where(is_cut, case.cap_code[routes], refusal(Reason.TINY_TRADE, Level.BROKER))
    case.refuse(routes, ~is_forced, code, np.where(is_cut, case.cap_value[routes], smallest))
    case.rounded[routes[~is_forced]] = 0.0


def round_down(case: Case, routes: np.ndarray) -> None:
    """The largest multiple of the step within cap and coefficient; refused below the broker's smallest volume."""
    columns, specs, combo = case.table.columns, case.specs, case.view.combo[routes]
    cap, coefficient = case.cap[routes], columns["max_risk_coefficient"][routes]
    by_coefficient = case.multiplied[routes] * coefficient
    upper = np.minimum(cap, by_coefficient)
    lots = np.floor(upper * specs.per_lot[combo] + EPSILON) * specs.numerator[combo] / specs.denominator[combo]
    is_coefficient = by_coefficient < cap
    fits = lots >= specs.min_volume[combo] * (1 - EPSILON)
    case.rounded[routes] = np.where(fits, lots, 0.0)
    changed = routes[fits & is_coefficient]
    case.changed[changed] = columns["coefficient_code"][changed] & REASON_AND_LEVEL | RESIZED
    case.limit_value[changed] = columns["max_risk_coefficient"][changed]
    code = np.where(is_coefficient, columns["coefficient_code"][routes], case.cap_code[routes])
    case.refuse(routes, ~fits, code, np.where(is_coefficient, coefficient, case.cap_value[routes]))


def keep_reserved_margin(case: Case) -> None:
    """Refuse if free margin x leverage - trade value < balance x reservedMarginFraction.

    units: multiple of the balance.  source: contract, section 8, 22
    """
    group = case.group("reserved_margin", lambda table: table.columns["reserved_margin"] > 0)
    if not len(group):
        return
    routes, rows, accounts = group.routes, group.account, case.accounts
    fraction = group.column("reserved_margin")
    free = case.equity[routes] - accounts.margin[rows] * case.rate[routes]
    left = free * accounts.leverage[rows] - case.rounded[routes] * case.prices.lot_value[group.combo]
    reserve = case.balance[routes] * fraction * (1 - EPSILON)
    case.refuse(routes, left < reserve, refusal(Reason.RESERVED_MARGIN, Level.SUBSCRIBER), fraction)


def need_min_volume(case: Case) -> None:
    """Refuse a rounded volume below minTradeVolume, the largest of the chain after multipliers.

    units: lots.  source: contract, 4.2
    """
    group = case.group("min_volume", lambda table: table.columns["min_volume"] > 0)
    if len(group):
        smallest = group.column("min_volume")
        too_small = case.rounded[group.routes] < smallest * (1 - EPSILON)
        case.refuse(group.routes, too_small, group.column("min_volume_code"), smallest)


def need_min_amount(case: Case) -> None:
    """Refuse a trade worth less than minTradeAmount.  units: account currency.  source: contract, 4.4"""
    group = case.group("min_amount", lambda table: table.columns["min_amount"] > 0)
    if len(group):
        routes, amount = group.routes, group.column("min_amount")
        worth = case.rounded[routes] * case.prices.lot_value[group.combo]
        too_small = worth < amount * case.rate[routes] * (1 - EPSILON)
        case.refuse(routes, too_small, refusal(Reason.MIN_TRADE_AMOUNT, Level.SUBSCRIBER), amount)
