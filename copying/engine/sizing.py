"""From the provider's volume to the subscriber's: the scaling modes (contract, 4.3). All money in base currency."""

from __future__ import annotations

from math import isfinite, isnan, nan

import numpy as np

from copying.engine.compiled import rule
from copying.engine.expressions import evaluate
from copying.engine.fold import Mode
from copying.engine.levels import Relation
from copying.engine.model import Facts, Level
from copying.engine.prices import ASKED, ASKED_FIELDS, PRICE, Specs, prices_of
from copying.engine.reasons import Reason, refusal
from copying.engine.routes import RouteTable
from copying.engine.views import View

PROVIDER_WITHOUT_MONEY = refusal(Reason.PROVIDER_WITHOUT_MONEY, Level.STRATEGY)
NO_STOP_LOSS = refusal(Reason.NO_STOP_LOSS, Level.NONE)
NO_PROVIDER_PRICE = refusal(Reason.NO_PROVIDER_PRICE, Level.BROKER)
EXPRESSION_FAILED = refusal(Reason.EXPRESSION_FAILED, Level.NONE)


@rule
def need_scalable(signal, route, price, computed):
    """Refuse where the mode lacks what it divides by, the stop loss for fixedRisk, or a usable value of an expression.

    source: contract, 3.7, 4.3 ("no stop loss -> not copied")
    """
    if route.mode == Mode.BALANCE and not signal.provider_balance > 0:
        return PROVIDER_WITHOUT_MONEY, signal.provider_balance
    if route.mode == Mode.EQUITY and not signal.provider_equity > 0:
        return PROVIDER_WITHOUT_MONEY, signal.provider_equity
    if route.mode == Mode.FIXED_RISK and isnan(price.stop_distance):
        return NO_STOP_LOSS + int(route.mode_level), nan
    if route.mode == Mode.EXPRESSION and not (isfinite(computed) and computed >= 0):
        return EXPRESSION_FAILED + int(route.mode_level), nan
    return 0, nan


@rule
def lacks_provider_lot(signal, route, price):
    """Whether the mode compares lots of two symbols and nobody knows what the provider's is worth or contains."""
    if route.mode == Mode.CONTRACT_SIZE:
        return isnan(signal.provider_contract_size)
    return (route.mode == Mode.BALANCE or route.mode == Mode.EQUITY) and not price.is_lot_known


@rule
def need_provider_lot(signal, route, spec, price):
    """Refuse to take a lot of another instrument for one of the subscriber's own.  source: contract, 4.3"""
    if signal.checks_levels and spec.relation == Relation.ANOTHER and lacks_provider_lot(signal, route, price):
        return NO_PROVIDER_PRICE, nan
    return 0, nan


@rule
def size_by_mode(signal, route, spec, price, balance, equity, computed):
    """The provider's volume scaled, before multipliers. computed: the value of the route's expression.

    units: lots.  source: contract, 4.3
    """
    if route.mode == Mode.BALANCE:
        return price.per_balance * balance
    if route.mode == Mode.EQUITY:
        return price.per_equity * equity
    if route.mode == Mode.CONTRACT_SIZE:
        return price.by_contract_size
    if route.mode == Mode.FIXED_VOLUME:
        return route.amount
    if route.mode == Mode.FIXED_RISK:
        return route.amount * balance / price.lot_risk
    return computed if route.mode == Mode.EXPRESSION else signal.volume


def expression_values(table: RouteTable, view: View, specs: Specs, moment: np.ndarray, facts: Facts) -> np.ndarray:
    """(n,) the values of the routes' own expressions, each evaluated over its routes at once; 0 on the others."""
    values, prices = np.zeros(len(table)), np.empty(2 * len(specs.records), PRICE)
    prices_of(moment, specs.records, prices)
    signal, rates = moment[:ASKED_FIELDS].view(ASKED)[0], moment[ASKED_FIELDS:]
    for text, routes in view.formulas:
        combo, account = view.places["combo"][routes], table.account[routes]
        spec, price = specs.records[combo >> 1], prices[combo]
        rate = rates[facts.accounts.currency[account]]
        values[routes] = evaluate(
            text,
            {
                "providerVolume": signal.volume,
                "providerTradeAmount": signal.volume * price["provider_lot_value"],
                "multiplier": table.gates["multiplier"][routes],
                "providerBalance": signal.provider_balance,
                "balance": facts.accounts.balance[account] * rate,
                "quoteOrOpenPrice": price["entry"],
                "tickValue": price["move_value"] * spec["tick_size"],
                "tickSize": spec["tick_size"],
                "providerScaledVolume": signal.volume * price["provider_contract_size"],
                "contractSize": spec["contract_size"],
                "providerStopLoss": signal.stop_loss,
                "providerTakeProfit": signal.take_profit,
                "accountCurrencyExchangeRate": rate,
            },
        )
    return values
