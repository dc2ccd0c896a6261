"""What a signal costs and risks in each of the subscribers' symbols: specifications once per view, quotes per decision.

A combo is 2 * symbol + reversed.
"""

from __future__ import annotations

from math import inf, isnan, nan
from typing import NamedTuple

import numpy as np

from copying.engine.compiled import array_of, compiled, record, rule
from copying.engine.levels import EPSILON, Relation, far, relation_of, wrong_side
from copying.engine.model import Facts, Instrument, Level, Market, OrderKind, Side, Signal
from copying.engine.reasons import WORD, Reason, refusal
from copying.engine.views import View

MARKET, SELL = OrderKind.MARKET, Side.SELL
UNKNOWN_SYMBOL = refusal(Reason.UNKNOWN_SYMBOL, Level.BROKER)
NO_PRICE = refusal(Reason.NO_PRICE, Level.BROKER)
NO_EXCHANGE_RATE = refusal(Reason.NO_EXCHANGE_RATE, Level.BROKER)
DIRECTIONS = {OrderKind.MARKET: 0, OrderKind.LIMIT: 1, OrderKind.STOP: -1}

SPEC = record(
    min_volume="f8",
    max_volume="f8",
    numerator="f8",
    denominator="f8",
    per_lot="f8",
    tiny="f8",
    contract_size="f8",
    tick_size="f8",
    point="f8",
    scale="f8",
    points_per_pip="f8",
    base_asset="i4",
    profit_asset="i4",
    relation="i4",
)
"""What a broker says about a symbol. Its volume step is numerator / denominator. per_lot: steps in a lot. tiny: a
volume below it cannot be rounded to a tradable one. scale: points in 1.0. base_asset, profit_asset: rows of the
exposures, -1 where the symbol is not made of two asset names. relation: to the provider's symbol (`Relation`).
"""

ASKED = record(
    volume="f8",
    side="f8",
    stop_loss="f8",
    take_profit="f8",
    provider_balance="f8",
    provider_equity="f8",
    provider_lot_value="f8",
    reversed_provider_lot_value="f8",
    provider_contract_size="f8",
    refusal="f8",
    refusal_value="f8",
    seed_high="f8",
    seed_low="f8",
    is_market="f8",
    imposes_delay="f8",
    direction="f8",
    checks_levels="f8",
)
"""The signal. refusal: word of the strategy's own filters, 0: none. provider_lot_value: of one of the provider's lots,
base currency, on straight and on reversed routes; nan: as the subscriber's own, like provider_contract_size.
direction: 1 for a limit order, -1 for a stop order, 0 at the market. checks_levels: whether prices are judged.
"""

QUOTE = record(
    entry="f8",
    reversed_entry="f8",
    move_value="f8",
    problem="f8",
    opening="f8",
    reversed_opening="f8",
)
"""A symbol now. entry, reversed_entry: expected open price on straight and on reversed routes; opening,
reversed_opening: what a market order would open at, nan unknown. move_value: of one lot per 1.0 of price, base
currency. problem: word of the refusal where there is no price, 0: none.
"""

ASKED_FIELDS, QUOTE_FIELDS = len(ASKED.names or ()), len(QUOTE.names or ())

PRICE = record(
    entry="f8",
    lot_value="f8",
    move_value="f8",
    stop_loss="f8",
    take_profit="f8",
    stop_distance="f8",
    side="f8",
    provider_lot_value="f8",
    provider_contract_size="f8",
    per_balance="f8",
    per_equity="f8",
    by_contract_size="f8",
    lot_risk="f8",
    problem=WORD,
    opening="f8",
    reference="f8",
    is_wrong_price="?",
    is_wrong_stop="?",
    is_wrong_target="?",
    loses_target="?",
    is_lot_known="?",
)
"""What the signal's order costs and risks, per combo. lot_value: of one lot, base currency. stop_distance: to the stop
loss, nan without; lot_risk: what one lot loses there. side: 1 buys, -1 sells. per_balance, per_equity: lots of a signal
per unit of the subscriber's money; by_contract_size: in lots of the subscriber's contract size. opening: what a market
order would open at, reference: what stops are measured by, nan unknown. loses_target: its take profit is a price of
another symbol. is_lot_known: what the provider's lot is worth.
"""

NO_INSTRUMENT = (1.0, inf, 1.0, 1.0, 1.0, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0, -1, -1, 0)


class Specs(NamedTuple):
    """records: (n_symbols,) `SPEC`. assets: the names that their exposures are asked by."""

    instruments: list[Instrument | None]
    records: np.ndarray
    assets: list[str]
    provider: Instrument | None


def specs_of(view: View, market: Market, name: str) -> Specs:
    """The specifications of the view's symbols; made again only when the market has others. name: the provider's."""
    instruments = [market.instrument(symbol) for symbol in view.symbols]
    provider = market.instrument(name)
    specs: Specs | None = view.specs
    if specs is None or specs.instruments != instruments or specs.provider != provider:
        assets: dict[str, int] = {}
        rows = [
            NO_INSTRUMENT
            if instrument is None
            else spec_of(instrument, assets, relation_of(name, provider, instrument))
            for instrument in instruments
        ]
        specs = view.specs = Specs(instruments, np.array(rows or [NO_INSTRUMENT], SPEC), list(assets), provider)
    return specs


def spec_of(instrument: Instrument, assets: dict[str, int], relation: Relation) -> tuple[float, ...]:
    """A `SPEC`; its assets get numbers.

    A pip is 10 points on symbols quoted with 3 or 5 digits, else 1.  source: contract, 4.4 maxStopLoss
    """
    numerator, denominator = step_fraction(instrument.volume_step)
    smallest, digits = instrument.min_volume, instrument.digits
    pair = -1, -1
    if is_pair(instrument):
        base, profit = instrument.base_currency, instrument.profit_currency
        pair = assets.setdefault(base, len(assets)), assets.setdefault(profit, len(assets))
    return (
        smallest,
        instrument.max_volume,
        numerator,
        denominator,
        denominator / numerator,
        (smallest - 0.5 * numerator / denominator) * (1 - EPSILON),
        instrument.contract_size,
        instrument.tick_size,
        10.0**-digits,
        10.0**digits,
        10.0 if digits in (3, 5) else 1.0,
        *pair,
        relation,
    )


def is_pair(instrument: Instrument) -> bool:
    """Whether the symbol is composed of two asset names, like EURUSD or EURUSD.m."""
    base, profit = instrument.base_currency, instrument.profit_currency
    return bool(base and profit) and base != profit and base + profit in instrument.symbol


def quote_of(instrument: Instrument | None, signal: Signal, facts: Facts) -> tuple[float, ...]:
    """A `QUOTE`. Market orders enter at ask (buy) or bid (sell) of the symbol, pending ones at the signal's price.

    source: contract, 3.7
    """
    if instrument is None:
        return nan, nan, nan, UNKNOWN_SYMBOL, nan, nan
    entries = entries_of(instrument.symbol, signal, facts.market)
    if entries is None or not (entries[0] > 0 and entries[1] > 0):
        return nan, nan, nan, NO_PRICE, nan, nan
    rate = facts.market.rate(instrument.profit_currency, facts.base_currency)
    if rate is None:
        return nan, nan, nan, NO_EXCHANGE_RATE, nan, nan
    openings = entries
    if signal.kind is not MARKET:
        openings = in_order(facts.market.quote(instrument.symbol), signal) or (nan, nan)
    return *entries, instrument.tick_value / instrument.tick_size * rate, 0, *openings


def entries_of(symbol: str, signal: Signal, market: Market) -> tuple[float, float] | None:
    """The open price on straight and on reversed routes; None: no price."""
    if signal.kind is not MARKET:
        return signal.price, signal.price
    return in_order(market.quote(symbol), signal)


def in_order(quote: tuple[float, float] | None, signal: Signal) -> tuple[float, float] | None:
    """What a market order opens at on straight and on reversed routes; None: no price."""
    return quote if quote is None or signal.side is SELL else (quote[1], quote[0])


def provider_lot(signal: Signal, facts: Facts) -> tuple[float, float, float]:
    """One of the provider's lots in base currency on straight and on reversed routes, and its contract size.

    nan where the provider's symbol is unknown (an external name that only the mapping explains). For market orders
    the lot is valued at the present price, so that equal specifications cancel exactly.
    """
    instrument = facts.market.instrument(signal.symbol)
    if instrument is None:
        return nan, nan, nan
    rate = facts.market.rate(instrument.profit_currency, facts.base_currency)
    entry, reversed_entry = entries_of(signal.symbol, signal, facts.market) or (signal.price, signal.price)
    if rate is None or not entry > 0:
        return nan, nan, instrument.contract_size
    move_value = instrument.tick_value / instrument.tick_size * rate
    return entry * move_value, reversed_entry * move_value, instrument.contract_size


@rule
def read_moment(moment, symbols):
    """((1,) `ASKED`, (currencies,) rates, (symbols,) `QUOTE`): the numbers of a moment stand one after another."""
    quotes = len(moment) - symbols * QUOTE_FIELDS
    return moment[:ASKED_FIELDS].view(ASKED), moment[ASKED_FIELDS:quotes], moment[quotes:].view(QUOTE)


@rule
def note_prices(signal, quotes, specs, prices):
    """Fill the prices of all combos. A reversed route exchanges stop loss and take profit.  source: contract, 4.4"""
    for combo in range(len(prices)):
        price, quote = prices[combo], quotes[combo >> 1]
        if combo & 1:
            price.entry, price.side, theirs = quote.reversed_entry, -signal.side, signal.reversed_provider_lot_value
            price.stop_loss, price.take_profit = signal.take_profit, signal.stop_loss
        else:
            price.entry, price.side, theirs = quote.entry, signal.side, signal.provider_lot_value
            price.stop_loss, price.take_profit = signal.stop_loss, signal.take_profit
        note_levels(signal, quote, specs[combo >> 1], price, combo & 1)
        distance = abs(price.entry - price.stop_loss)
        price.stop_distance = distance if distance > 0 else nan
        price.move_value, price.problem = quote.move_value, int(quote.problem)
        price.lot_value = price.entry * quote.move_value
        price.is_lot_known = not isnan(theirs)
        price.provider_lot_value = price.lot_value if isnan(theirs) else theirs
        size = signal.provider_contract_size
        own_size = specs[combo >> 1].contract_size
        price.provider_contract_size = own_size if isnan(size) else size
        in_lots = signal.volume * price.provider_lot_value / price.lot_value
        price.per_balance, price.per_equity = in_lots / signal.provider_balance, in_lots / signal.provider_equity
        price.by_contract_size = signal.volume * price.provider_contract_size / own_size
        price.lot_risk = price.stop_distance * price.move_value


@rule
def note_levels(signal, quote, spec, price, is_reversed):
    """What is wrong with the prices of an order, once its side, entry and levels are known (`levels.py`)."""
    opening, closing = quote.opening, quote.reversed_opening
    direction = signal.direction
    if is_reversed:
        opening, closing, direction = closing, opening, -direction
    price.opening, price.reference = opening, closing if signal.is_market else price.entry
    price.is_wrong_price = direction != 0 and (
        wrong_side(price.entry, opening, -price.side * direction) or far(price.entry, opening)
    )
    price.is_wrong_stop = wrong_side(price.stop_loss, price.reference, -price.side) or far(
        price.stop_loss, price.reference
    )
    price.is_wrong_target = wrong_side(price.take_profit, price.reference, price.side) or far(
        price.take_profit, price.reference
    )
    price.loses_target = signal.checks_levels and spec.relation == Relation.ANOTHER and not isnan(price.take_profit)
    if price.loses_target:
        price.take_profit = nan


@compiled(array_of(float), array_of(SPEC), array_of(PRICE))
def prices_of(moment, specs, prices):
    """Fill the prices of all combos as `decide_routes` does, for expressions."""
    asked, _, quotes = read_moment(moment, len(specs))
    note_prices(asked[0], quotes, specs, prices)


def step_fraction(step: float) -> tuple[float, float]:
    """A volume step as integers numerator / denominator, so that multiples of it are the nearest float64.

    >>> step_fraction(0.01), step_fraction(0.25), step_fraction(5)
    ((1.0, 100.0), (25.0, 100.0), (5.0, 1.0))
    """
    denominator = 1.0
    while denominator < 1e8 and abs(step * denominator - round(step * denominator)) > 1e-9 * denominator:
        denominator *= 10
    return float(round(step * denominator)), denominator
