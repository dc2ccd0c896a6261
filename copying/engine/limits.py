"""What cuts a volume or refuses it for its size: risk, volume, correlation, leverage, margin, rounding, minimums.

Rules first lower a cap per route (`Case.limit`); `round_volumes` then applies the smallest cap and the broker's step,
so that rounding never goes above a limit; the minimums come last.
"""

from __future__ import annotations

from math import inf

import numpy as np

from copying.engine.case import EPSILON, Case
from copying.engine.model import Level, OrderKind, Outcome
from copying.engine.reasons import Reason, pack, refusal
from copying.engine.routes import EVERY


def limit_volume(case: Case) -> None:
    """volume <= maxTradeVolume, the smallest of the chain after multipliers.  units: lots.  source: contract, 4.2"""
    columns = case.table.columns
    case.cap = columns["max_volume"].copy()
    case.cap_code = columns["max_volume_code"].copy()
    case.cap_value = columns["max_volume"].copy()


def limit_trade_risk(case: Case) -> None:
    """volume <= maxTradeRisk x balance / (distance of the stop x value of one lot per 1.0 of price).

    The distance is the provider's stop, tightened by maxStopLoss. Without a stop one is placed later
    (`place_stops`), unless copyStopLoss is off: then the trade is refused.  source: contract, 4.4; section 8, 23
    """
    table, columns = case.table, case.table.columns
    where = table.where("max_trade_risk", ~np.isnan(columns["max_trade_risk"]))
    risk, combo = columns["max_trade_risk"][where], case.view.combo[where]
    if not len(risk):
        return
    distance = np.fmin(case.prices.stop_distance[combo], max_stop_distance(case, where))
    distance[np.isnan(case.prices.stop_distance[combo])] = np.nan
    missing = np.isnan(distance)
    if missing.any():
        case.refuse(where, missing & ~columns["copy_stop_loss"][where], columns["stop_needed_code"][where], risk)
    lots = risk * case.balance[where] / (distance * case.prices.move_value[combo])
    case.limit(where, lots, columns["max_trade_risk_code"][where], risk, wins_ties=True)


def max_stop_distance(case: Case, where: np.ndarray | slice) -> np.ndarray:
    """maxStopLoss of the routes as a price distance, whole points and at least one; inf: no limit.

    A pip is 10 points on symbols quoted with 3 or 5 digits, else 1 point.  source: contract, 4.4 maxStopLoss
    """
    prices = case.prices
    points_per_pip = np.where(np.isin(prices.digits, (3.0, 5.0)), 10.0, 1.0)
    combo = case.view.combo[where]
    points = np.maximum(np.floor(case.table.columns["max_stop_pips"][where] * points_per_pip[combo] + 1e-6), 1.0)
    return points * prices.point[combo]


def limit_correlation(case: Case) -> None:
    """volume <= volume so far - the larger same-sign exposure already open in either asset of a pair.

    A buy adds to the first asset and takes from the second. Only symbols made of two asset names.
    units: lots.  source: contract, 4.4 reduceCorrelations
    """
    table, columns, facts = case.table, case.table.columns, case.facts
    for kind, exposures in ((1, facts.strategy_exposure), (2, facts.account_exposure)):
        if not exposures:
            continue
        where = table.where(f"correlations {kind}", columns["correlations"] == kind)
        if not len(columns["correlations"][where]):
            continue
        rows = where if kind == 1 else table.account[where]
        same_sign = np.zeros(len(columns["correlations"][where]))
        side, symbol = case.view.side[where], case.view.symbol[where]
        for number, instrument in enumerate(case.prices.instruments):
            if instrument is None or not is_pair(instrument):
                continue
            for asset, sign in ((instrument.base_currency, 1), (instrument.profit_currency, -1)):
                open_lots = exposures.get(asset)
                if open_lots is not None:
                    leg = open_lots[rows] * (sign * side)
                    np.maximum(same_sign, leg, out=same_sign, where=symbol == number)
        before = np.minimum(case.multiplied[where], case.cap[where])
        allowed = np.where(same_sign > 0, np.maximum(before - same_sign, 0.0), inf)
        case.limit(where, allowed, columns["correlations_code"][where], same_sign)


def is_pair(instrument) -> bool:
    """Whether the symbol is composed of two asset names, like EURUSD or EURUSD.m."""
    base, profit = instrument.base_currency, instrument.profit_currency
    return bool(base and profit) and base != profit and base + profit in instrument.symbol


def limit_leverage(case: Case) -> None:
    """volume x lot value <= maxLeverage x equity - value of open positions. Market orders only.

    units: ratio.  source: contract, 4.4; section 8, 21
    """
    if case.signal.kind is not OrderKind.MARKET:
        return
    table, columns = case.table, case.table.columns
    where = table.where("max_leverage", ~np.isnan(columns["max_leverage"]))
    ratio = columns["max_leverage"][where]
    if not len(ratio):
        return
    open_value = case.accounts.position_value[table.account[where]] * rates(case, where)
    lots = (ratio * case.equity[where] - open_value) / case.prices.lot_value[case.view.combo[where]]
    case.limit(where, np.maximum(lots, 0.0), columns["max_leverage_code"][where], ratio)


def rates(case: Case, where: np.ndarray | slice) -> np.ndarray | float:
    """Account currency -> base currency of the routes."""
    return case.rate[where] if isinstance(case.rate, np.ndarray) else case.rate


def limit_broker(case: Case) -> None:
    """volume <= the broker's largest volume.  units: lots"""
    largest = case.prices.max_volume[case.view.combo]
    case.limit(EVERY, largest, refusal(Reason.BROKER_MAX_VOLUME, Level.BROKER), largest)


def round_volumes(case: Case) -> None:
    """limited = min(multiplied, cap); rounded to the nearest step, never above the cap or maxRiskCoefficient.

    Below min volume - step / 2: refused, or min volume with forceTinyTrades. A rounded volume above
    min(cap, maxRiskCoefficient x multiplied) is rounded down instead and refused below min volume.
    units: lots.  source: contract, 4.3 rounding and tiny trades
    """
    columns, prices, combo = case.table.columns, case.prices, case.view.combo
    numerator, denominator = prices.numerator[combo], prices.denominator[combo]
    smallest = prices.min_volume[combo]
    np.minimum(case.multiplied, case.cap, out=case.limited)
    is_cut = case.multiplied > case.cap * (1 + EPSILON)
    is_tiny = case.limited < (smallest - 0.5 * numerator / denominator) * (1 - EPSILON)
    np.maximum(
        np.floor(case.limited * denominator / numerator + (0.5 + EPSILON)) * numerator / denominator,
        smallest,
        out=case.rounded,
    )
    force = columns["force_tiny"]
    coefficient = columns["max_risk_coefficient"]
    by_coefficient = case.multiplied * coefficient
    upper = np.minimum(case.cap, by_coefficient)
    np.copyto(case.changed, case.cap_code & KEEP_REASON | RESIZED, where=is_cut)
    np.copyto(case.limit_value, case.cap_value, where=is_cut & (case.refused == 0))
    too_tiny = is_tiny & ~force
    code = np.where(is_cut, case.cap_code, refusal(Reason.TINY_TRADE, Level.BROKER))
    case.refuse(EVERY, too_tiny, code, np.where(is_cut, case.cap_value, smallest))
    forced = is_tiny & force & (case.refused == 0)
    if forced.any():
        case.changed[forced] = pack(Outcome.RESIZED, Reason.TINY_TRADE_FORCED, Level.NONE) | columns["mode_level"][
            forced
        ].astype(np.uint16)
        case.limit_value[forced] = smallest[forced]
    over = (case.rounded > upper * (1 + EPSILON)) & (case.refused == 0)
    if over.any():
        round_down(case, np.flatnonzero(over), upper, by_coefficient, smallest, numerator / denominator)


def forget_refused(case: Case) -> None:
    """Nothing was rounded where nothing was left to round."""
    np.copyto(case.rounded, 0.0, where=case.refused != 0)


def round_down(case: Case, routes: np.ndarray, upper, by_coefficient, smallest, step) -> None:
    """The largest multiple of the step that `upper` allows on `routes`; refused below the broker's smallest volume."""
    numerator = case.prices.numerator[case.view.combo[routes]]
    denominator = case.prices.denominator[case.view.combo[routes]]
    lots = np.floor(upper[routes] * denominator / numerator + EPSILON) * numerator / denominator
    case.rounded[routes] = lots
    columns = case.table.columns
    from_coefficient = by_coefficient[routes] < case.cap[routes]
    code = np.where(from_coefficient, columns["coefficient_code"][routes], case.cap_code[routes])
    value = np.where(from_coefficient, columns["max_risk_coefficient"][routes], case.cap_value[routes])
    fits = lots >= smallest[routes] * (1 - EPSILON)
    changed = routes[fits & from_coefficient]
    case.changed[changed] = columns["coefficient_code"][changed] & KEEP_REASON | RESIZED
    case.limit_value[changed] = columns["max_risk_coefficient"][changed]
    case.refuse(routes, ~fits, code, value)


KEEP_REASON = np.uint16((1 << 11) - 1)
RESIZED = np.uint16(int(Outcome.RESIZED) << 11)


def keep_reserved_margin(case: Case) -> None:
    """Refuse if free margin x leverage - trade value < balance x reservedMarginFraction.

    units: multiple of the balance.  source: contract, section 8, 22
    """
    table, columns, accounts = case.table, case.table.columns, case.accounts
    where = table.where("reserved_margin", columns["reserved_margin"] > 0)
    fraction = columns["reserved_margin"][where]
    if not len(fraction):
        return
    rows = table.account[where]
    free = case.equity[where] - accounts.margin[rows] * rates(case, where)
    left = free * accounts.leverage[rows] - case.rounded[where] * case.prices.lot_value[case.view.combo[where]]
    reserve = case.balance[where] * fraction
    code = refusal(Reason.RESERVED_MARGIN, Level.SUBSCRIBER)
    case.refuse(where, left < reserve - EPSILON * np.abs(reserve), code, fraction)


def need_min_volume(case: Case) -> None:
    """Refuse a rounded volume below minTradeVolume, the largest of the chain after multipliers.  source: contract,
    4.2
    """
    table, columns = case.table, case.table.columns
    where = table.where("min_volume", columns["min_volume"] > 0)
    smallest = columns["min_volume"][where]
    if len(smallest):
        too_small = case.rounded[where] < smallest * (1 - EPSILON)
        case.refuse(where, too_small, columns["min_volume_code"][where], smallest)


def need_min_amount(case: Case) -> None:
    """Refuse a trade worth less than minTradeAmount.  units: account currency.  source: contract, 4.4"""
    table, columns = case.table, case.table.columns
    where = table.where("min_amount", columns["min_amount"] > 0)
    amount = columns["min_amount"][where]
    if len(amount):
        worth = case.rounded[where] * case.prices.lot_value[case.view.combo[where]]
        too_small = worth < amount * rates(case, where) * (1 - EPSILON)
        case.refuse(where, too_small, refusal(Reason.MIN_TRADE_AMOUNT, Level.SUBSCRIBER), amount)
