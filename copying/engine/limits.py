"""What lowers a volume: risk, maxTradeVolume, correlation, leverage and the broker, each as a cap in lots per route.

Nothing is cut here: `rounding.py` applies the smallest cap together with the broker's step, so that rounding never goes
above a limit. The rule that set the smallest cap is the reason.
"""

from __future__ import annotations

from math import inf

import numpy as np

from copying.engine.case import Case
from copying.engine.model import Instrument, Level, OrderKind
from copying.engine.reasons import Reason, refusal


def limit_volume(case: Case) -> None:
    """volume <= maxTradeVolume, the smallest of the chain after multipliers.  units: lots.  source: contract, 4.2"""
    columns = case.table.columns
    case.cap = columns["max_volume"].copy()
    case.cap_code = columns["max_volume_code"].copy()
    case.cap_value = columns["max_volume"].copy()


def limit_trade_risk(case: Case) -> None:
    """volume <= maxTradeRisk x balance / (distance of the stop x value of one lot per 1.0 of price).

    The distance is the provider's stop, tightened by maxStopLoss. Without a stop one is placed later
    (`stops.py`), unless copyStopLoss is off: then the trade is refused.  source: contract, 4.4; section 8, 23
    """
    group = case.group("max_trade_risk", lambda table: ~np.isnan(table.columns["max_trade_risk"]))
    if not len(group):
        return
    prices, risk = case.prices, group.column("max_trade_risk")
    distance = prices.stop_distances[group.spot]
    if prices.has_missing_stop:
        missing = np.isnan(distance) & ~group.column("copy_stop_loss")
        case.refuse(group.routes, missing, group.column("stop_needed_code"), risk)
    lots = risk * case.balance[group.routes] / (distance * prices.move_value[group.combo])
    case.limit(group.routes, lots, group.column("max_trade_risk_code"), risk, wins_ties=True)


def limit_correlation(case: Case) -> None:
    """volume <= volume so far - the larger same-sign exposure already open in either asset of a pair.

    A buy adds to the first asset and takes from the second. Only symbols made of two asset names.
    units: lots.  source: contract, 4.4 reduceCorrelations
    """
    for kind, exposures in ((1, case.facts.strategy_exposure), (2, case.facts.account_exposure)):
        for number, instrument in enumerate(case.specs.instruments) if exposures else ():
            if instrument is not None and is_pair(instrument):
                cut_by_exposure(case, kind, number, instrument, exposures)


def cut_by_exposure(
    case: Case, kind: int, number: int, instrument: Instrument, exposures: dict[str, np.ndarray]
) -> None:
    """`limit_correlation` for one symbol and scope (1 strategy: exposure by route, 2 account: by account row)."""
    group = case.group(
        f"correlation {kind} {number}",
        lambda table: (table.columns["correlations"] == kind) & (case.view.symbol == number),
    )
    base, quote = exposures.get(instrument.base_currency), exposures.get(instrument.profit_currency)
    if not len(group) or (base is None and quote is None):
        return
    rows = group.routes if kind == 1 else group.account
    same_sign = np.zeros(len(group))
    if base is not None:
        np.maximum(same_sign, base[rows] * group.side, out=same_sign)
    if quote is not None:
        np.maximum(same_sign, -(quote[rows] * group.side), out=same_sign)
    before = np.minimum(case.multiplied[group.routes], case.cap[group.routes])
    allowed = np.where(same_sign > 0, np.maximum(before - same_sign, 0.0), inf)
    case.limit(group.routes, allowed, group.column("correlations_code"), same_sign)


def is_pair(instrument: Instrument) -> bool:
    """Whether the symbol is composed of two asset names, like EURUSD or EURUSD.m."""
    base, profit = instrument.base_currency, instrument.profit_currency
    return bool(base and profit) and base != profit and base + profit in instrument.symbol


def limit_leverage(case: Case) -> None:
    """volume x lot value <= maxLeverage x equity - value of open positions. Market orders only.

    units: ratio.  source: contract, 4.4; section 8, 21
    """
    if case.signal.kind is not OrderKind.MARKET:
        return
    group = case.group("max_leverage", lambda table: ~np.isnan(table.columns["max_leverage"]))
    if not len(group):
        return
    routes, ratio = group.routes, group.column("max_leverage")
    open_value = case.accounts.position_value[group.account] * case.rate[routes]
    lots = np.maximum(ratio * case.equity[routes] - open_value, 0.0) / case.prices.lot_value[group.combo]
    case.limit(routes, lots, group.column("max_leverage_code"), ratio)


def limit_broker(case: Case) -> None:
    """volume <= the broker's largest volume.  units: lots"""
    largest = case.specs.max_volume[:-1].min()
    if case.multiplied.max() + case.specs.step[:-1].max() <= largest:
        return
    lots = case.specs.max_volume[case.view.combo]
    case.limit(np.arange(len(lots)), lots, refusal(Reason.BROKER_MAX_VOLUME, Level.BROKER), lots)
