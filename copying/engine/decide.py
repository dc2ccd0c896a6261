"""One signal decided for all routes of its strategy in one pass: a verdict with a reason, a volume and its prices per
route.

The order of the rules in `decide_routes` and `size_route` is part of the contract (docs/copying.md): the first rule
that refuses a route gives the reason. Pure: the same table, signal and facts give the same decisions. Rules are
compiled when this module is imported (`compiled.py`).
"""

from __future__ import annotations

from math import nan
from typing import NamedTuple

import numpy as np

from copying.engine.compiled import array_of, compiled, entry_of, record, rule, tuple_of
from copying.engine.filters import (
    NEWS_GAP,
    below_equity_curve,
    near_news,
    news_gaps,
    not_open_by_symbol,
    outside_drawdown,
    outside_magic,
    stopped_out,
    without_money,
)
from copying.engine.levels import Relation, refuse_levels, refuse_own_stop
from copying.engine.limits import (
    BY_STRATEGY,
    UNLIMITED,
    limit_broker,
    limit_correlation,
    limit_leverage,
    limit_trade_risk,
    limit_volume,
    need_stop_loss,
)
from copying.engine.model import Decisions, Facts, Level, Outcome, Signal, Step
from copying.engine.prices import (
    DIRECTIONS,
    MARKET,
    PRICE,
    SPEC,
    Specs,
    note_prices,
    provider_lot,
    quote_of,
    read_moment,
    specs_of,
)
from copying.engine.reasons import REFUSED, Note, Reason, pack
from copying.engine.rounding import keep_reserved_margin, need_min_amount, need_min_volume, round_volume
from copying.engine.routes import ROUTE, RouteTable
from copying.engine.sizing import (
    expression_values,
    lacks_provider_lot,
    need_provider_lot,
    need_scalable,
    size_by_mode,
)
from copying.engine.stops import needs_placed_stop, place_stop, stop_loss_of, take_profit_of
from copying.engine.timing import delay_of, seed_of
from copying.engine.views import PLACE, View, view_of

STRATEGY_FILTERS = {
    "magicFilter": outside_magic,
    "equityCurveFilter": below_equity_curve,
    "drawdownFilter": outside_drawdown,
}
VERDICT = record(outcome="u1", reason="u1", level="u1", notes="u1")
FIGURES = record(
    **{step.name.lower(): "f8" for step in Step}, limit_value="f8", stop_loss="f8", take_profit="f8", delay_s="f8"
)
"""What is decided about a route: the volume steps first, in the order of `Step`."""
NO_VOLUMES = (0.0, 0.0, 0.0, 0.0)
DELAYED = pack(Outcome.DELAYED, Reason.DELAYED, Level.NONE)
NO_NUMBERS = np.empty(0)
NO_NEWS, NO_STOPS, NO_LEVELS = np.empty((0, 0), NEWS_GAP), np.empty(0, bool), np.empty(0, np.uint8)


class Routes(NamedTuple):
    """The routes of a table by row, each with its account (row of `Money`)."""

    routes: np.ndarray  # (n,) ROUTE
    places: np.ndarray  # (n,) PLACE
    account: np.ndarray


class Money(NamedTuple):
    """The columns of `model.Accounts` that rules ask."""

    currency: np.ndarray
    balance: np.ndarray
    equity: np.ndarray
    margin: np.ndarray
    leverage: np.ndarray
    position_value: np.ndarray


class World(NamedTuple):
    """What else a decision knows, empty where there is nothing.

    Columns of `open_symbols`, `by_route` and `by_account` follow the routes that ask for them.
    """

    stopped: np.ndarray  # (n,) bool
    stopped_level: np.ndarray  # (n,) Level
    open_symbols: np.ndarray  # (symbols, routes that ask)
    news: np.ndarray  # (news chains, symbols) NEWS_GAP
    by_route: np.ndarray  # (assets, routes that ask) signed lots
    by_account: np.ndarray
    computed: np.ndarray  # (n,) values of expressions


def decide(table: RouteTable, signal: Signal, facts: Facts, *, is_after_delay: bool = False) -> Decisions:
    """What becomes of `signal` on every route of `table`.

    is_after_delay: the wait of signalDelay is over; it is not imposed again. Signals are valid by contract: a positive
    volume and, for pending orders, a positive price.
    """
    n, accounts = len(table), facts.accounts
    view = view_of(table, signal.symbol, signal.side, signal.kind)
    specs = specs_of(view, facts.market, signal.symbol)
    moment = np.array(numbers_of(table, specs, signal, facts, is_after_delay))
    words, numbers = np.empty((n, VERDICT.itemsize), np.uint8), np.empty((n, FIGURES.itemsize // 8))
    has_news = facts.news and table.has_news
    _decide_routes(
        moment,
        specs.records,
        Routes(table.columns, view.places, table.account),
        Money(
            accounts.currency,
            accounts.balance,
            accounts.equity,
            accounts.margin,
            accounts.leverage,
            accounts.position_value,
        ),
        World(
            stopped=NO_STOPS if facts.stopped is None else np.ascontiguousarray(facts.stopped, bool),
            stopped_level=NO_LEVELS
            if facts.stopped_level is None
            else np.ascontiguousarray(facts.stopped_level, np.uint8),
            open_symbols=gathered(facts.open_symbols, view.symbols, view.asking_open),
            news=news_gaps(table, view, facts) if has_news else NO_NEWS,
            by_route=gathered(facts.strategy_exposure, specs.assets, view.reducing_by_route),
            by_account=gathered(facts.account_exposure, specs.assets, view.reducing_by_account),
            computed=expression_values(table, view, specs, moment, facts) if view.formulas else NO_NUMBERS,
        ),
        np.ndarray(n, VERDICT, words),
        np.ndarray(n, FIGURES, numbers),
    )
    return decisions_of(view, words, numbers)


def decisions_of(view: View, words: np.ndarray, numbers: np.ndarray) -> Decisions:
    """What was filled in, as columns; nothing is copied. They stand in the order of `VERDICT` and `FIGURES`.

    Taken by name out of records each would cost three times as much.
    """
    outcome, reason, level, notes = words.T
    limit_value, stop_loss, take_profit, delay_s = numbers.T[len(Step) :]
    return Decisions(
        outcome=outcome,
        reason=reason,
        level=level,
        steps=numbers[:, : len(Step)],
        limit_value=limit_value,
        symbols=view.symbols,
        symbol=view.symbol,
        side=view.side,
        kind=view.kind,
        stop_loss=stop_loss,
        take_profit=take_profit,
        delay_s=delay_s,
        notes=notes,
    )


def numbers_of(table: RouteTable, specs: Specs, signal: Signal, facts: Facts, is_after_delay: bool) -> list[float]:
    """The numbers of the moment as `read_moment` takes them apart."""
    word, value = 0, nan
    for name, refused in STRATEGY_FILTERS.items():
        if not word and table.strategy.get(name):
            word, value = refused(table.strategy[name], signal, facts)
    numbers = [
        signal.volume_lots,
        signal.side,
        nan if signal.stop_loss is None else signal.stop_loss,
        nan if signal.take_profit is None else signal.take_profit,
        facts.provider_balance_base,
        facts.provider_equity_base,
        *provider_lot(signal, facts),
        word,
        value,
        *seed_of(signal.id),
        signal.kind is MARKET,
        not is_after_delay,
        DIRECTIONS[signal.kind],
        facts.checks_levels,
    ]
    numbers += facts.market.rates(facts.accounts.currencies, facts.base_currency)
    for instrument in specs.instruments or [None]:
        numbers += quote_of(instrument, signal, facts)
    return numbers


def gathered(columns: dict[str, np.ndarray], names: list[str], rows: np.ndarray) -> np.ndarray:
    """(names, rows) the columns of these names on some rows; 0 where there is none."""
    picked = np.zeros((len(names), len(rows)))
    for place, name in enumerate(names):
        if name in columns:
            picked[place] = columns[name].take(rows)
    return picked


@rule
def size_route(signal, route, spec, price, account, exposure, computed):
    """(word, its number, (scaled, multiplied, limited, rounded), stop loss) of a route that may open."""
    rate, balance, equity, buying_power, open_value = account
    word, value = refuse_levels(signal, route, spec, price)
    if not word:
        word, value = need_scalable(signal, route, price, computed)
    if not word:
        word, value = need_provider_lot(signal, route, spec, price)
    if word:
        return word, value, NO_VOLUMES, nan
    scaled = size_by_mode(signal, route, spec, price, balance, equity, computed)
    wanted = scaled * route.scaling_multiplier
    # what lowers it
    word, value = need_stop_loss(route, price)
    if word:
        return word, value, (scaled, wanted, 0.0, 0.0), nan
    cap = limit_trade_risk(UNLIMITED, route, spec, price, balance)
    cap = limit_volume(cap, route)
    cap = limit_correlation(cap, wanted, route, price, exposure)
    cap = limit_leverage(cap, signal, route, price, equity, open_value)
    cap = limit_broker(cap, spec)
    # what the broker can do, and what is too small or too much then
    word, value, lots = round_volume(wanted, cap, route, spec)
    volumes = scaled, wanted, min(wanted, cap[0]), lots
    if word >= REFUSED:
        return word, value, volumes, nan
    late, limit = keep_reserved_margin(lots, route, price, balance, buying_power)
    if not late:
        late, limit = need_min_volume(lots, route)
    if not late:
        late, limit = need_min_amount(lots, route, price, rate)
    stop_loss = stop_loss_of(route, spec, price)
    if not late and needs_placed_stop(route, price):
        late, limit, stop_loss = place_stop(lots, route, spec, price, balance)
    if not late:
        late, limit = refuse_own_stop(stop_loss, signal, price)
    if late:
        return late, limit, volumes, nan
    return word, value, volumes, stop_loss


@rule
def notes_of(signal, route, spec, price):
    """Bits of `Note` of a copy: what besides its volume is not as the provider has it."""
    notes = 0
    if not signal.checks_levels:
        return notes
    if price.loses_target and route.copy_take_profit:
        notes |= Note.NO_TAKE_PROFIT
    if spec.relation == Relation.UNKNOWN and lacks_provider_lot(signal, route, price):
        notes |= Note.ASSUMED_LOT
    return notes


@rule
def note_decision(verdict, figure, signal, route, spec, price, word, value, volumes, stop_loss):
    """Write what was decided about a route into its records; a delay is imposed on what would be copied."""
    is_copied, delay_s = word < REFUSED, 0.0
    verdict.notes = notes_of(signal, route, spec, price) if is_copied else 0
    figure.final = volumes[3] if is_copied else 0.0
    if is_copied and signal.imposes_delay and route.delay_max_s > 0:
        value = delay_s = delay_of(signal, route)
        word = DELAYED + int(route.delay_level)
    verdict.outcome, verdict.reason, verdict.level = word >> 16, (word >> 8) & 0xFF, word & 0xFF
    figure.provider, figure.scaled, figure.multiplied = signal.volume, volumes[0], volumes[1]
    figure.limited, figure.rounded = volumes[2], volumes[3]
    figure.limit_value, figure.stop_loss = value, stop_loss
    figure.take_profit, figure.delay_s = take_profit_of(route, price), delay_s


@compiled(
    array_of(float),
    array_of(SPEC),
    tuple_of(Routes, array_of(ROUTE), array_of(PLACE), array_of(np.intp)),
    tuple_of(Money, array_of(np.int32), *[array_of(float)] * 5),
    tuple_of(
        World,
        array_of(bool),
        array_of(np.uint8),
        array_of(float, 2),
        array_of(NEWS_GAP, 2),
        array_of(float, 2),
        array_of(float, 2),
        array_of(float),
    ),
    array_of(VERDICT),
    array_of(FIGURES),
)
def decide_routes(moment, specs, table, money, world, verdicts, figures):
    """Ask every rule about every route, in order; the last two arrays are filled.

    Rules are given records and numbers only: an array as an argument costs more than most rules.
    """
    asked, rates, quotes = read_moment(moment, len(specs))
    signal = asked[0]
    prices = np.empty(2 * len(specs), PRICE)
    note_prices(signal, quotes, specs, prices)
    asking, reducing_by_route, reducing_by_account = -1, -1, -1
    for row in range(len(table.routes)):
        route, place, who = table.routes[row], table.places[row], table.account[row]
        asking += place.unless_open > 0
        reducing_by_route += route.correlations == BY_STRATEGY
        reducing_by_account += route.correlations > BY_STRATEGY
        symbol = place.combo >> 1
        spec, price = specs[symbol], prices[place.combo]
        volumes, stop_loss = NO_VOLUMES, nan
        # the strategy's own filters
        word, value = int(signal.refusal), signal.refusal_value
        if not word:  # account known, symbolFilter, skipPendingOrders, allowedSides, removal, closeOnly: views.py
            word = int(place.verdict)
        if not word and place.unless_open:
            word = not_open_by_symbol(place, world.open_symbols[symbol, asking] > 0)
        if not word and len(world.stopped) and world.stopped[row]:
            word = stopped_out(int(world.stopped_level[row]) if len(world.stopped_level) else 0)
        if not word and len(world.news):
            word, value = near_news(world.news[route.news_chain, symbol])
        # what it costs and what there is
        if not word:
            word = int(price.problem)
        if not word:
            word, value = without_money(rates[money.currency[who]], money.balance[who], money.equity[who])
        if not word:
            rate, buying_power, open_value = rates[money.currency[who]], 0.0, 0.0
            if route.reserved_margin > 0:
                buying_power = (money.equity[who] - money.margin[who]) * rate * money.leverage[who]
            if route.max_leverage_level:
                open_value = money.position_value[who] * rate
            account = rate, money.balance[who] * rate, money.equity[who] * rate, buying_power, open_value
            exposure = (0.0, 0.0)
            if route.correlations and spec.base_asset >= 0:
                if route.correlations == BY_STRATEGY:
                    exposure = (
                        world.by_route[spec.base_asset, reducing_by_route],
                        world.by_route[spec.profit_asset, reducing_by_route],
                    )
                else:
                    exposure = (
                        world.by_account[spec.base_asset, reducing_by_account],
                        world.by_account[spec.profit_asset, reducing_by_account],
                    )
            formula = world.computed[row] if len(world.computed) else 0.0
            word, value, volumes, stop_loss = size_route(signal, route, spec, price, account, exposure, formula)
        note_decision(verdicts[row], figures[row], signal, route, spec, price, word, value, volumes, stop_loss)


_decide_routes = entry_of(decide_routes)
