"""One signal decided for all routes of its strategy at once: a verdict with a reason, a volume and its prices per
route.

The order of `RULES` is part of the contract (docs/copying.md): the first rule that refuses a route gives the reason.
Pure: the same table, signal and facts give the same decisions.
"""

from __future__ import annotations

from collections.abc import Callable
from math import nan

import numpy as np

from copying.engine.case import Case, make_prices
from copying.engine.filters import below_equity_curve, near_news, outside_drawdown, outside_magic
from copying.engine.limits import (
    forget_refused,
    keep_reserved_margin,
    limit_broker,
    limit_correlation,
    limit_leverage,
    limit_trade_risk,
    limit_volume,
    max_stop_distance,
    need_min_amount,
    need_min_volume,
    round_volumes,
)
from copying.engine.model import Decisions, Facts, Level, Outcome, Signal
from copying.engine.reasons import Reason, pack, refusal
from copying.engine.routes import EVERY, RouteTable
from copying.engine.sizing import need_scalable, size_by_mode
from copying.engine.timing import delays
from copying.engine.views import view_of

Rule = Callable[[Case], None]


def decide(table: RouteTable, signal: Signal, facts: Facts, *, is_after_delay: bool = False) -> Decisions:
    """What becomes of `signal` on every route of `table`.

    is_after_delay: the wait of signalDelay is over; it is not imposed again. Signals are valid by contract: a positive
    volume and, for pending orders, a positive price.
    """
    case = Case(table, view_of(table, signal.symbol, signal.side, signal.kind), signal, facts, is_after_delay)
    with np.errstate(all="ignore"):
        for rule in RULES:
            rule(case)
            if case.finished:
                break
        return result(case)


def finish_when_all_refused(case: Case) -> None:
    """Nothing is left to be sized: the rules behind are not asked."""
    case.finished = bool(case.refused.all())


def not_open_by_symbol(case: Case) -> None:
    """Refuse routes that take only symbols already open on them, when this one is not.

    For removal `close-gracefully-by-symbol` and closeOnly `by-symbol`.  source: contract, 2.1 removal, 4.4 closeOnly
    """
    routes = case.view.by_symbol
    if not len(routes):
        return
    is_open = np.zeros(len(routes), bool)
    for number, symbol in enumerate(case.view.symbols):
        held = case.facts.open_symbols.get(symbol)
        if held is not None:
            is_open |= held[routes] & (case.view.symbol[routes] == number)
    case.refuse(routes, ~is_open, case.view.by_symbol_code)


def stopped_out(case: Case) -> None:
    """Refuse routes with an active stopout, at the level whose limit fired.  source: contract, 4.5"""
    stopped = case.facts.stopped
    if stopped is None:
        return
    codes = np.array([refusal(Reason.STOPPED_OUT, level) for level in Level], np.uint16)
    levels = case.facts.stopped_level
    case.refuse(EVERY, stopped, codes[Level.NONE] if levels is None else codes[levels])


def look_at_prices(case: Case) -> None:
    """Refuse where the symbol is unknown at the broker, has no price or no exchange rate."""
    case.prices = make_prices(case.view, case.signal, case.facts)
    problem = case.prices.problem
    if problem.any():
        codes = problem[case.view.combo]
        case.refuse(EVERY, codes != 0, codes)


def look_at_money(case: Case) -> None:
    """Balance and equity per route in base currency; refuse accounts without money or exchange rate."""
    accounts, facts, rows = case.accounts, case.facts, case.table.account
    rates = [facts.market.rate(currency, facts.base_currency) for currency in accounts.currencies]
    known = np.array([nan if rate is None else rate for rate in rates])
    case.rate = known[accounts.currency[rows]]
    if np.isnan(known).any():
        case.refuse(EVERY, np.isnan(case.rate), refusal(Reason.NO_EXCHANGE_RATE, Level.SUBSCRIBER))
    balance, equity = accounts.balance[rows], accounts.equity[rows]
    least = np.minimum(balance, equity)
    has_money = least > 0
    if not has_money.all():
        case.refuse(EVERY, ~has_money, refusal(Reason.NO_MONEY, Level.SUBSCRIBER), least)
    case.balance, case.equity = balance * case.rate, equity * case.rate


def strip_and_place_stops(case: Case) -> None:
    """Stop loss and take profit per route: reversed, stripped, tightened by maxStopLoss, placed for maxTradeRisk.

    A placed stop is where the final volume loses maxTradeRisk x balance, rounded towards the entry; it is left out
    where the price would have to fall below zero first. Refuse where not even one point fits.
    source: contract, 4.4; section 8, 23 and 24
    """
    table, columns, view, prices = case.table, case.table.columns, case.view, case.prices
    stop_loss = prices.stop_loss[view.stop_combo]
    where = table.where("max_stop", np.isfinite(columns["max_stop_pips"]))
    if len(columns["max_stop_pips"][where]):
        combo, side = view.combo[where], view.side[where]
        farthest = max_stop_distance(case, where)
        entry, digits = prices.entry[combo], prices.digits[combo]
        tightened = round_price(entry - side * farthest, digits)
        present = stop_loss[where]
        stop_loss[where] = np.where(
            prices.stop_distance[combo] > farthest * (1 + 1e-9), np.where(np.isnan(present), nan, tightened), present
        )
    where = table.where("max_trade_risk", ~np.isnan(columns["max_trade_risk"]))
    risk = columns["max_trade_risk"][where]
    if len(risk) and np.isnan(prices.stop_distance[:-1]).any():
        combo, side = view.combo[where], view.side[where]
        point, entry = prices.point[combo], prices.entry[combo]
        distance = risk * case.balance[where] / (case.rounded[where] * prices.move_value[combo])
        distance = np.floor(np.minimum(distance, max_stop_distance(case, where)) / point * (1 + 1e-12)) * point
        placing = np.isnan(prices.stop_distance[combo]) & columns["copy_stop_loss"][where]
        placed = round_price(entry - side * distance, prices.digits[combo])
        stop_loss[where] = np.where(placing, np.where(placed > 0, placed, nan), stop_loss[where])
        case.refuse(where, placing & (distance < point * 0.5), columns["max_trade_risk_code"][where], risk)
    case.placed_stop = (stop_loss, prices.take_profit[view.target_combo])


def round_price(price: np.ndarray, digits: np.ndarray) -> np.ndarray:
    """Prices at the digits of their symbol, as the nearest float64."""
    scale = 10.0**digits
    return np.floor(price * scale + 0.5) / scale


RULES: tuple[Rule, ...] = (
    # the strategy's own filters refuse the signal as a whole
    outside_magic,
    below_equity_curve,
    outside_drawdown,
    # in the view (views.py): account known, symbolFilter, skipPendingOrders, allowedSides, removal, closeOnly
    not_open_by_symbol,
    stopped_out,
    near_news,
    finish_when_all_refused,
    # what it costs and what there is
    look_at_prices,
    look_at_money,
    # the volume wanted
    need_scalable,
    size_by_mode,
    # what lowers it
    limit_volume,
    limit_trade_risk,
    limit_correlation,
    limit_leverage,
    limit_broker,
    # what the broker can do, and what is too small or too much then
    round_volumes,
    forget_refused,
    keep_reserved_margin,
    need_min_volume,
    need_min_amount,
    strip_and_place_stops,
)

COPIED = np.uint16(pack(Outcome.COPIED, Reason.COPIED, Level.NONE))


def result(case: Case) -> Decisions:
    """The columns of the answer; signalDelay is imposed on what is left."""
    table, view, columns = case.table, case.view, case.table.columns
    n = len(table)
    refused = case.refused != 0
    verdict = np.where(case.changed, case.changed, COPIED)
    np.copyto(verdict, case.refused, where=refused)
    np.multiply(case.rounded, ~refused, out=case.final)
    delay = np.zeros(n)
    where = table.where("delays", columns["delay_max_s"] > 0)
    if not case.is_after_delay and len(columns["delay_max_s"][where]):
        impose_delay(case, where, verdict, delay, refused)
    stop_loss, take_profit = case.placed_stop or (np.full(n, nan), np.full(n, nan))
    return Decisions(
        outcome=(verdict >> np.uint16(11)).astype(np.uint8),
        reason=(verdict >> np.uint16(3)).astype(np.uint8),
        level=(verdict & np.uint16(7)).astype(np.uint8),
        steps=case.steps.T,
        limit_value=case.limit_value,
        symbols=view.symbols,
        symbol=view.symbol,
        side=view.side,
        kind=view.kind,
        stop_loss=stop_loss,
        take_profit=take_profit,
        delay_s=delay,
    )


def impose_delay(case: Case, where, verdict: np.ndarray, delay: np.ndarray, refused: np.ndarray) -> None:
    """Routes that would trade wait first.  units: seconds.  source: contract, 3.8 signalDelay (last wins)"""
    columns = case.table.columns
    seconds = delays(
        case.signal.id, case.table.key_hash[where], columns["delay_min_s"][where], columns["delay_max_s"][where]
    )
    waits = ~refused[where]
    delay[where] = np.where(waits, seconds, 0.0)
    code = pack(Outcome.DELAYED, Reason.DELAYED, Level.NONE) | columns["delay_level"][where].astype(np.uint16)
    verdict[where] = np.where(waits, code, verdict[where])
    case.limit_value[where] = np.where(waits, seconds, case.limit_value[where])
