"""What a signal costs and risks in each of the subscribers' symbols: specifications once per view, prices per decision.

A combo is 2 * symbol + reversed; behind the last combo is one more slot that stands for "stripped" in the stop columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nan

import numpy as np

from copying.engine.model import Facts, Instrument, Level, OrderKind, Side, Signal
from copying.engine.reasons import WORD, Reason, refusal
from copying.engine.routes import RouteTable
from copying.engine.views import EPSILON, Group, View


@dataclass(slots=True)
class Specs:
    """Contract specifications per combo; the `route_` ones per route.

    step = numerator / denominator. per_lot: steps in a lot. tiny: a volume below it cannot be rounded to a tradable
    one. widest: maxStopLoss as a price distance, flat per stop class and combo; inf: no limit. too_wide: the same with
    the slack of comparisons; inward: the same from the entry, with the sign of the side; both (classes, combos).
    uncapped: a volume up to it cannot be above what any of the brokers takes. pairs: of `limit_correlation`.
    """

    instruments: list[Instrument | None]
    min_volume: np.ndarray
    max_volume: np.ndarray
    numerator: np.ndarray
    denominator: np.ndarray
    contract_size: np.ndarray
    point: np.ndarray
    digits: np.ndarray
    scale: np.ndarray
    step: np.ndarray
    per_lot: np.ndarray
    tiny: np.ndarray
    widest: np.ndarray
    tightens: bool
    numerator_matters: bool
    minimum_matters: bool
    uncapped: float
    too_wide: np.ndarray
    inward: np.ndarray
    pairs: list[Pair]
    route_per_lot: np.ndarray | float
    route_denominator: np.ndarray | float
    route_tiny: np.ndarray


@dataclass(slots=True)
class Pair:
    """Routes with reduceCorrelations whose symbols are made of the same two assets.

    by_strategy: the first routes of the group, measured by route; by_account: rows of the accounts of the others.
    """

    base_currency: str
    profit_currency: str
    group: Group
    by_strategy: np.ndarray
    by_account: np.ndarray
    against: np.ndarray


@dataclass(slots=True)
class Prices:
    """Numbers of the moment per combo.

    rows: the first six as numbers. entry: expected open price. lot_value: of one lot, base currency. move_value: of
    one lot per 1.0 of price, base currency. stop_distance: to the stop loss, nan without. problem: refusal word, 0:
    none. stops, stop_distances: flat per stop class and combo, the stop loss tightened by maxStopLoss and its distance.
    """

    rows: list[tuple[float, ...]]
    entry: np.ndarray
    lot_value: np.ndarray
    move_value: np.ndarray
    stop_loss: np.ndarray
    take_profit: np.ndarray
    stop_distance: np.ndarray
    stops: np.ndarray
    stop_distances: np.ndarray
    problem: np.ndarray | None
    has_missing_stop: bool


NO_INSTRUMENT = (1.0, inf, 1.0, 100.0, 1.0, 1.0, 0.0)
NO_PRICES = (1.0, 1.0, 1.0, nan, nan, nan)


def specs_of(table: RouteTable, view: View, facts: Facts) -> Specs:
    """The specifications of the view's symbols; made again only when the market has others."""
    instruments = [facts.market.instrument(symbol) for symbol in view.symbols]
    held: Specs | None = view.specs
    if held is None or list(map(id, held.instruments)) != list(map(id, instruments)):
        held = view.specs = make_specs(table, view, instruments)
    return held


def make_specs(table: RouteTable, view: View, instruments: list[Instrument | None]) -> Specs:
    """Columns of `instruments` over combos.

    maxStopLoss in pips is a distance of whole points, at least one; a pip is 10 points on symbols quoted with 3 or 5
    digits, else 1.  source: contract, 4.4 maxStopLoss
    """
    rows = [NO_INSTRUMENT if each is None else spec_row(each) for each in instruments] or [NO_INSTRUMENT]
    columns = np.array([*(row for row in rows for _ in range(2)), NO_INSTRUMENT]).T
    smallest, largest, numerator, denominator, contract, point, digits = columns
    step, per_lot = numerator / denominator, denominator / numerator
    tiny = (smallest - 0.5 * step) * (1 - EPSILON)
    per_pip = np.where((digits == 3) | (digits == 5), 10.0, 1.0)
    points = np.maximum(np.floor(table.stop_limits[:, None] * per_pip + 1e-6), 1.0)
    widest = points * point
    signs = np.ones(len(point))
    signs[1::2] = -1.0
    is_uniform = len({*zip(per_lot[:-1].tolist(), denominator[:-1].tolist(), strict=True)}) == 1
    return Specs(
        instruments=instruments,
        min_volume=smallest,
        max_volume=largest,
        numerator=numerator,
        denominator=denominator,
        contract_size=contract,
        point=point,
        digits=digits,
        scale=10.0**digits,
        step=step,
        per_lot=per_lot,
        tiny=tiny,
        widest=widest.ravel(),
        too_wide=widest * (1 + EPSILON),
        inward=widest * signs,
        uncapped=float((largest - step)[:-1].min()),
        pairs=pairs_of(table, view, instruments),
        tightens=bool(np.isfinite(table.stop_limits).any()),
        numerator_matters=bool((numerator != 1.0).any()),
        minimum_matters=bool((np.abs(np.rint(smallest / step) - smallest / step) > EPSILON).any()),
        route_per_lot=float(per_lot[0]) if is_uniform else per_lot[view.combo],
        route_denominator=float(denominator[0]) if is_uniform else denominator[view.combo],
        route_tiny=np.where(view.verdict == 0, tiny[view.combo], -inf),
    )


def pairs_of(table: RouteTable, view: View, instruments: list[Instrument | None]) -> list[Pair]:
    """What `limit_correlation` asks: the routes that reduce correlations, by the two assets of their symbol."""
    numbers: dict[tuple[str, str], list[int]] = {}
    for number, each in enumerate(instruments):
        if each is not None and is_pair(each):
            numbers.setdefault((each.base_currency, each.profit_currency), []).append(number)
    kinds, found = table.columns["correlations"], []
    for (base, profit), symbols in numbers.items():
        concerned = np.isin(view.symbol, symbols) & (view.verdict == 0)
        by_strategy, by_account = (np.flatnonzero(concerned & (kinds == kind)) for kind in (1, 2))
        if len(by_strategy) or len(by_account):
            group = Group(table, view, np.concatenate((by_strategy, by_account)))
            found.append(Pair(base, profit, group, by_strategy, table.account[by_account], -group.side))
    return found


def is_pair(instrument: Instrument) -> bool:
    """Whether the symbol is composed of two asset names, like EURUSD or EURUSD.m."""
    base, profit = instrument.base_currency, instrument.profit_currency
    return bool(base and profit) and base != profit and base + profit in instrument.symbol


def spec_row(instrument: Instrument) -> tuple[float, ...]:
    """The first fields of `Specs` for one instrument."""
    numerator, denominator = step_fraction(instrument.volume_step)
    volumes = (instrument.min_volume, instrument.max_volume, numerator, denominator)
    return (*volumes, instrument.contract_size, 10.0**-instrument.digits, float(instrument.digits))


def prices_of(specs: Specs, signal: Signal, facts: Facts) -> Prices:
    """What the signal's order costs and risks in each symbol, in both directions.

    Market orders enter at ask (buy) or bid (sell) of the subscriber's symbol, pending ones at the signal's price. A
    reversed route exchanges stop loss and take profit.  source: contract, 3.7, 4.4 reverse
    """
    rows: list[tuple[float, ...]] = []
    problems: list[int] = []
    for instrument in specs.instruments:
        problem, bid_ask, move_value = quote_of(instrument, signal, facts)
        problems += (problem, problem)
        if problem:
            rows += (NO_PRICES, NO_PRICES)
            continue
        entries = (bid_ask[1], bid_ask[0]) if signal.side is Side.BUY else bid_ask
        stop = nan if signal.stop_loss is None else signal.stop_loss
        target = nan if signal.take_profit is None else signal.take_profit
        for entry, own_stop, own_target in ((entries[0], stop, target), (entries[1], target, stop)):
            distance = abs(entry - own_stop) or nan
            rows.append((entry, entry * move_value, move_value, own_stop, own_target, distance))
    if not rows:
        rows, problems = [NO_PRICES] * 2, [0, 0]
    rows.append(NO_PRICES)
    entry, lot_value, move_value, stops, targets, distances = np.array(rows).T
    tight_stops, tight_distances = stops, distances
    if specs.tightens:
        tight_stops, tight_distances = tighten(specs, signal, entry, stops, distances)
    return Prices(
        rows=rows,
        entry=entry,
        lot_value=lot_value,
        move_value=move_value,
        stop_loss=stops,
        take_profit=targets,
        stop_distance=distances,
        stops=tight_stops,
        stop_distances=tight_distances,
        problem=np.array([*problems, 0], WORD) if any(problems) else None,
        has_missing_stop=any(row[5] != row[5] for row in rows[:-1]),
    )


def quote_of(instrument: Instrument | None, signal: Signal, facts: Facts) -> tuple[int, tuple[float, float], float]:
    """Refusal word or 0, bid and ask (pending: the order price twice), value of one lot per 1.0 of price."""
    nothing = (0.0, 0.0)
    if instrument is None:
        return refusal(Reason.UNKNOWN_SYMBOL, Level.BROKER), nothing, 1.0
    quote: tuple[float, float] | None = (signal.price, signal.price)
    if signal.kind is OrderKind.MARKET:
        quote = facts.market.quote(instrument.symbol)
    if quote is None or not (quote[0] > 0 and quote[1] > 0):
        return refusal(Reason.NO_PRICE, Level.BROKER), nothing, 1.0
    rate = facts.market.rate(instrument.profit_currency, facts.base_currency)
    if rate is None:
        return refusal(Reason.NO_EXCHANGE_RATE, Level.BROKER), nothing, 1.0
    return 0, quote, instrument.tick_value / instrument.tick_size * rate


def tighten(
    specs: Specs, signal: Signal, entry: np.ndarray, stops: np.ndarray, distances: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Stop losses and their distances under every maxStopLoss of the table, flat per stop class and combo."""
    is_wider = distances > specs.too_wide
    tightened = np.floor((entry - specs.inward * float(signal.side)) * specs.scale + 0.5) / specs.scale
    widest = specs.widest.reshape(is_wider.shape)
    return np.where(is_wider, tightened, stops).ravel(), np.where(is_wider, widest, distances).ravel()


def step_fraction(step: float) -> tuple[float, float]:
    """A volume step as integers numerator / denominator, so that multiples of it are the nearest float64.

    >>> step_fraction(0.01), step_fraction(0.25), step_fraction(5)
    ((1.0, 100.0), (25.0, 100.0), (5.0, 1.0))
    """
    denominator = 1.0
    while denominator < 1e8 and abs(step * denominator - round(step * denominator)) > 1e-9 * denominator:
        denominator *= 10
    return float(round(step * denominator)), denominator
