"""From the provider's volume to the subscriber's: the scaling modes (contract, 4.3) and the multipliers.

Every mode is a factor of the moment (per mode, symbol and direction), times money of the account where the mode uses
any, times an amount of the route: so all modes are one multiplication over all routes. All money in base currency.
"""

from __future__ import annotations

from math import nan

import numpy as np

from copying.engine.case import Case
from copying.engine.expressions import evaluate
from copying.engine.fold import Mode
from copying.engine.model import Level
from copying.engine.reasons import Reason, refusal
from copying.engine.views import Group

MODES = tuple(Mode)


def size_by_mode(case: Case) -> None:
    """scaled = factor x money x amount; multiplied = scaled x scaling multiplier.

    | mode         | factor                                  | money   | amount       |
    | none         | v                                       | 1       | 1            |
    | contractSize | v x provider contract size / own        | 1       | 1            |
    | balance      | v x provider lot / balance / own lot    | balance | 1            |
    | equity       | v x provider lot / equity / own lot     | equity  | 1            |
    | fixedVolume  | 1                                       | 1       | tradeVolume  |
    | fixedRisk    | 1 / loss of one lot at the stop         | balance | riskFraction |

    units: lots.  shape: (n_routes,)  source: contract, 4.3
    """
    columns = case.table.columns
    factors = mode_factors(case)
    money = np.multiply(case.balance, columns["by_balance"], out=case.scratch.bound)
    money += np.multiply(case.equity, columns["by_equity"], out=case.scratch.most)
    money += columns["by_nothing"]
    factors.take(case.view.mode_combo, out=case.scaled, mode="clip")
    case.scaled *= money
    size_by_expression(case)
    for routes in case.gated or ():
        case.scaled[routes] = 0.0
    case.gated = None
    np.multiply(case.scaled, columns["scaling_multiplier"], out=case.multiplied)


def mode_factors(case: Case) -> np.ndarray:
    """Flat (modes, combos) factors, and a 0 behind them, of `size_by_mode`; nan where the mode cannot be used.

    Where the provider's symbol is unknown (an external name that only the mapping explains), its lot counts as the own.
    For market orders both lots are valued at the present price, so that equal specifications cancel exactly.
    """
    signal, facts, volume = case.signal, case.facts, case.signal.volume_lots
    rows = case.prices.rows[:-1]
    provider = facts.market.instrument(signal.symbol)
    lots, by_contract = [row[1] for row in rows], [volume] * len(rows)
    provider_lots = lots
    if provider is not None:
        ours = case.specs.contract_size.tolist()
        by_contract = [volume * provider.contract_size / ours[combo] for combo in range(len(rows))]
        rate = facts.market.rate(provider.profit_currency, facts.base_currency)
        price = provider_price(case)
        if rate is not None and price is not None:
            per_price = provider.tick_value / provider.tick_size * rate
            provider_lots = [price[combo & 1] * per_price for combo in range(len(rows))]
    balance = facts.provider_balance_base if facts.provider_balance_base > 0 else nan
    equity = facts.provider_equity_base if facts.provider_equity_base > 0 else nan
    ratios = [volume * theirs / own for theirs, own in zip(provider_lots, lots, strict=True)]
    by_mode = {
        Mode.NONE: [volume] * len(rows),
        Mode.CONTRACT_SIZE: by_contract,
        Mode.BALANCE: [ratio / balance for ratio in ratios],
        Mode.EQUITY: [ratio / equity for ratio in ratios],
        Mode.FIXED_VOLUME: [1.0] * len(rows),
        Mode.FIXED_RISK: [1.0 / (row[5] * row[2]) for row in rows],
        Mode.EXPRESSION: [0.0] * len(rows),
    }
    return np.array([factor for mode in MODES for factor in by_mode[mode]] + [0.0])


def provider_price(case: Case) -> tuple[float, float] | None:
    """The provider's symbol now, on the side of straight and of reversed routes, or the order price twice."""
    signal = case.signal
    quote = case.facts.market.quote(signal.symbol) if signal.kind == 0 else None
    if quote is None:
        return (signal.price, signal.price) if signal.price > 0 else None
    return (quote[1], quote[0]) if signal.side > 0 else quote


def size_by_expression(case: Case) -> None:
    """The value of the route's own expression, evaluated once per distinct expression over its routes.

    nan, infinite or negative results are refused.  source: contract, 3.7
    """
    for number, text in enumerate(case.table.expressions):
        if not text:
            continue
        group = case.group(f"expression {number}", lambda table, number=number: table.expression == number)
        values = np.broadcast_to(evaluate(text, expression_variables(case, group)), (len(group),))
        bad = ~(np.isfinite(values) & (values >= 0))
        case.refuse(group.routes, bad, group.column("expression_code"))
        case.scaled[group.routes] = np.where(bad, 0.0, values)


def expression_variables(case: Case, group: Group) -> dict[str, np.ndarray | float]:
    """The documented variables (contract, 3.7) over the routes of a group."""
    facts, signal, prices = case.facts, case.signal, case.prices
    combo, routes = group.combo, group.routes
    provider = facts.market.instrument(signal.symbol)
    factors_lot = prices.lot_value[combo]
    contract = case.specs.contract_size[combo]
    provider_lot = factors_lot
    if provider is not None:
        rate, price = facts.market.rate(provider.profit_currency, facts.base_currency), provider_price(case)
        if rate is not None and price is not None:
            per_price = provider.tick_value / provider.tick_size * rate
            provider_lot = np.array(price)[combo & 1] * per_price
    tick_sizes = np.array([i.tick_size if i else 1.0 for i in case.specs.instruments])
    tick_size = tick_sizes[combo // 2]
    return {
        "providerVolume": signal.volume_lots,
        "providerTradeAmount": signal.volume_lots * provider_lot,
        "multiplier": group.column("multiplier"),
        "providerBalance": facts.provider_balance_base,
        "balance": case.balance[routes],
        "quoteOrOpenPrice": prices.entry[combo],
        "tickValue": prices.move_value[combo] * tick_size,
        "tickSize": tick_size,
        "providerScaledVolume": signal.volume_lots * (provider.contract_size if provider else contract),
        "contractSize": contract,
        "providerStopLoss": nan if signal.stop_loss is None else signal.stop_loss,
        "providerTakeProfit": nan if signal.take_profit is None else signal.take_profit,
        "accountCurrencyExchangeRate": case.rate[routes],
    }


def need_scalable(case: Case) -> None:
    """Refuse where the mode lacks what it divides by: the provider's money, or a stop loss for fixedRisk.

    source: contract, 4.3 ("no stop loss -> not copied")
    """
    facts = case.facts
    for mode, money in ((Mode.BALANCE, facts.provider_balance_base), (Mode.EQUITY, facts.provider_equity_base)):
        if not money > 0:
            group = case.group(f"mode {mode}", lambda table, mode=mode: table.columns["mode"] == mode)
            code = refusal(Reason.PROVIDER_WITHOUT_MONEY, Level.STRATEGY)
            case.refuse(group.routes, np.ones(len(group), bool), code, money)
    if case.prices.has_missing_stop:
        group = case.group("mode fixedRisk", lambda table: table.columns["mode"] == Mode.FIXED_RISK)
        without = np.isnan(case.prices.stop_distance)[group.combo]
        case.refuse(group.routes, without, group.column("no_stop_code"))
