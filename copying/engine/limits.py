"""What lowers a volume: risk, maxTradeVolume, correlation, leverage and the broker, each as a cap in lots per route.

Nothing is cut here: `rounding.py` applies the smallest cap together with the broker's step, so that rounding never goes
above a limit. The rule that set the smallest cap is the reason.
"""

from __future__ import annotations

import numpy as np

from copying.engine.case import Case
from copying.engine.model import Facts, Level, OrderKind
from copying.engine.prices import Pair
from copying.engine.reasons import Reason, refusal


def limit_volume(case: Case) -> None:
    """volume <= maxTradeVolume, the smallest of the chain after multipliers.  units: lots.  source: contract, 4.2"""
    columns = case.table.columns
    np.copyto(case.cap, columns["max_volume"])
    np.copyto(case.cap_code, columns["max_volume_code"])
    np.copyto(case.cap_value, columns["max_volume"])


def limit_trade_risk(case: Case) -> None:
    """volume <= maxTradeRisk x balance / (distance of the stop x value of one lot per 1.0 of price).

    The distance is the provider's stop, tightened by maxStopLoss. Without a stop one is placed later
    (`stops.py`), unless copyStopLoss is off: then the trade is refused.  source: contract, 4.4; section 8, 23
    """
    group = case.group("max_trade_risk", lambda table: ~np.isnan(table.columns["max_trade_risk"]))
    if not len(group):
        return
    prices, risk = case.prices, group.column("max_trade_risk")
    distance = prices.stop_distances.take(group.spot)
    if prices.has_missing_stop:
        missing = np.isnan(distance) & ~group.column("copy_stop_loss")
        case.refuse(group.routes, missing, group.column("stop_needed_code"), risk)
        case.refused_late = True
    lots = risk * case.balance.take(group.routes) / (distance * prices.move_value.take(group.combo))
    case.limit(group.routes, lots, group.column("max_trade_risk_code"), risk, wins_ties=True)


def limit_correlation(case: Case) -> None:
    """volume <= volume so far - the larger same-sign exposure already open in either asset of a pair.

    A buy adds to the first asset and takes from the second. Only symbols made of two asset names.
    units: lots.  source: contract, 4.4 reduceCorrelations
    """
    facts = case.facts
    if not (facts.strategy_exposure or facts.account_exposure):
        return
    for pair in case.specs.pairs:
        group = pair.group
        base, quote = exposure(facts, pair, pair.base_currency), exposure(facts, pair, pair.profit_currency)
        same_sign = np.maximum(base * group.side, quote * pair.against)
        hit = (same_sign > 0).nonzero()[0]
        if hit.size:
            routes, same_sign = group.routes.take(hit), same_sign.take(hit)
            before = np.minimum(case.multiplied.take(routes), case.cap.take(routes))
            allowed = np.maximum(before - same_sign, 0.0)
            case.limit(routes, allowed, group.column("correlations_code").take(hit), same_sign)


def exposure(facts: Facts, pair: Pair, asset: str) -> np.ndarray:
    """(k,) signed lots already open in an asset, on the routes of a pair: by route, or by account."""
    by_route, by_account = facts.strategy_exposure.get(asset), facts.account_exposure.get(asset)
    return np.concatenate(
        (
            np.zeros(len(pair.by_strategy)) if by_route is None else by_route.take(pair.by_strategy),
            np.zeros(len(pair.by_account)) if by_account is None else by_account.take(pair.by_account),
        )
    )


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
    open_value = case.accounts.position_value.take(group.account) * case.rate.take(routes)
    lots = np.maximum(ratio * case.equity.take(routes) - open_value, 0.0) / case.prices.lot_value.take(group.combo)
    case.limit(routes, lots, group.column("max_leverage_code"), ratio)


def limit_broker(case: Case) -> None:
    """volume <= the broker's largest volume.  units: lots"""
    routes = (case.multiplied > case.specs.uncapped).nonzero()[0]
    if routes.size:
        lots = case.specs.max_volume.take(case.view.combo.take(routes))
        case.limit(routes, lots, refusal(Reason.BROKER_MAX_VOLUME, Level.BROKER), lots)
