"""One signal decided for all routes of its strategy at once: a verdict with a reason, a volume and its prices per
route.

The order of `RULES` is part of the contract (docs/copying.md): the first rule that refuses a route gives the reason.
Pure: the same table, signal and facts give the same decisions.
"""

from __future__ import annotations

from collections.abc import Callable
from math import nan

import numpy as np

from copying.engine.case import Case
from copying.engine.filters import below_equity_curve, near_news, outside_drawdown, outside_magic
from copying.engine.limits import limit_broker, limit_correlation, limit_leverage, limit_trade_risk, limit_volume
from copying.engine.model import Decisions, Facts, Level, Outcome, Signal
from copying.engine.prices import prices_of, specs_of
from copying.engine.reasons import REFUSED, WORD, Reason, pack, refusal
from copying.engine.rounding import keep_reserved_margin, need_min_amount, need_min_volume, round_volumes
from copying.engine.routes import RouteTable
from copying.engine.sizing import need_scalable, size_by_mode
from copying.engine.stops import place_stops, strip_stops
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
    case.finished = not len(case.table) or bool(case.words.min() >= REFUSED)


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
            is_open |= held.take(routes) & (case.view.by_symbol_symbol == number)
    case.refuse(routes, ~is_open, case.view.by_symbol_code)


def stopped_out(case: Case) -> None:
    """Refuse routes with an active stopout, at the level whose limit fired.  source: contract, 4.5"""
    stopped = case.facts.stopped
    if stopped is None:
        return
    routes = stopped.nonzero()[0]
    if routes.size:
        levels = case.facts.stopped_level
        case.refuse_routes(routes, STOPPED[Level.NONE] if levels is None else STOPPED[levels.take(routes)])


def look_at_prices(case: Case) -> None:
    """Refuse where the symbol is unknown at the broker, has no price or no exchange rate."""
    case.specs = specs_of(case.table, case.view, case.facts)
    case.prices = prices_of(case.specs, case.signal, case.facts)
    problem = case.prices.problem
    if problem is not None:
        codes = problem[case.view.combo]
        case.refuse(None, codes != 0, codes)


def look_at_money(case: Case) -> None:
    """Balance and equity per route in base currency; refuse accounts without money or exchange rate."""
    accounts, facts, rows = case.accounts, case.facts, case.view.rows
    rates = [facts.market.rate(currency, facts.base_currency) for currency in accounts.currencies]
    known = np.array([nan if rate is None else rate for rate in rates])
    columns = accounts.currency, accounts.balance, accounts.equity
    if isinstance(rows, slice):
        currency, balance, equity = (column[rows] for column in columns)
    else:
        currency, balance, equity = (column.take(rows, mode="clip") for column in columns)
    known.take(currency, out=case.rate, mode="clip")
    np.multiply(balance, case.rate, out=case.balance)
    np.multiply(equity, case.rate, out=case.equity)
    if case.balance.min() > 0 and case.equity.min() > 0:
        return
    case.refuse(None, np.isnan(case.rate), refusal(Reason.NO_EXCHANGE_RATE, Level.SUBSCRIBER))
    least = np.minimum(balance, equity)
    case.refuse(None, ~(least > 0), refusal(Reason.NO_MONEY, Level.SUBSCRIBER), least)


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
    keep_reserved_margin,
    need_min_volume,
    need_min_amount,
    strip_stops,
    place_stops,
)

STOPPED = np.array([refusal(Reason.STOPPED_OUT, level) for level in Level], WORD)


def result(case: Case) -> Decisions:
    """The columns of the answer; signalDelay is imposed on what is left."""
    view, n, words = case.view, len(case.table), case.words
    is_open = words < REFUSED
    delay = np.zeros(n)
    if case.gated is not None:  # refused as a whole before there were volumes
        case.steps[1:] = 0.0
    else:
        np.multiply(case.rounded, is_open, out=case.final)
        if not case.is_after_delay:
            impose_delay(case, delay, is_open)
    level, reason, outcome, _ = words.view(np.uint8).reshape(n, 4).T
    case.table.scratch.append(case.scratch)
    return Decisions(
        outcome=outcome,
        reason=reason,
        level=level,
        steps=case.steps.T,
        limit_value=case.limit_value,
        symbols=view.symbols,
        symbol=view.symbol,
        side=view.side,
        kind=view.kind,
        stop_loss=np.full(n, nan) if case.stop_loss is None else case.stop_loss,
        take_profit=np.full(n, nan) if case.take_profit is None else case.take_profit,
        delay_s=delay,
    )


def impose_delay(case: Case, delay: np.ndarray, is_open: np.ndarray) -> None:
    """Routes that would trade wait first.  units: seconds.  source: contract, 3.8 signalDelay (last wins)"""
    group = case.group("delay", lambda table: table.columns["delay_max_s"] > 0)
    waits = is_open.take(group.routes).nonzero()[0]
    if not waits.size:
        return
    routes = group.routes.take(waits)
    shortest, longest = group.column("delay_min_s").take(waits), group.column("delay_max_s").take(waits)
    seconds = delays(case.signal.id, case.table.key_hash.take(routes), shortest, longest)
    delay[routes] = case.limit_value[routes] = seconds
    case.words[routes] = group.column("delay_level").take(waits) | DELAYED


DELAYED = pack(Outcome.DELAYED, Reason.DELAYED, Level.NONE)
