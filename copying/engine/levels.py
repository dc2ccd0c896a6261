"""Whether a broker takes the prices of an order, and whether they are prices of the subscriber's symbol at all.

As in MetaTrader: the stops of a position are measured by the price at which it would close now, those of a pending
order by the order's own price, and the order's price by the price at which it would open now. Exactly at it is refused
too.
"""

from __future__ import annotations

import re
from enum import IntEnum
from math import isnan, nan

from copying.engine.compiled import rule
from copying.engine.fold import Mode
from copying.engine.model import Instrument, Level
from copying.engine.reasons import Reason, refusal

EPSILON = 1e-9  # relative: results of float64 arithmetic that mean the same number
FAR = 3.0  # a level beyond three times the price, or below a third of it, is a distance (50 pips) and no price
INVALID_PRICE = refusal(Reason.INVALID_PRICE, Level.BROKER)
INVALID_STOPS = refusal(Reason.INVALID_STOPS, Level.BROKER)
ANOTHER_SYMBOL = refusal(Reason.PRICES_OF_ANOTHER_SYMBOL, Level.BROKER)
_LETTERS = re.compile(r"[A-Z]{6,}")
_ASSETS = frozenset(
    word
    for line in (
        "USD EUR GBP JPY CHF AUD CAD NZD SEK NOK DKK PLN CZK HUF MXN ZAR TRY",
        "CNH HKD SGD ILS THB BRL INR KRW XAU XAG XPT XPD BTC ETH LTC XRP BCH",
    )
    for word in line.split()
)


class Relation(IntEnum):
    """What the provider's symbol is to the subscriber's."""

    SAME = 0
    UNKNOWN = 1  # a name that only the mapping explains
    ANOTHER = 2


def is_wrong_side(level: float, reference: float, away: float) -> bool:
    """Whether a level is not above (away 1) or not below (away -1) the reference; nan is not known, so not wrong."""
    return (level - reference) * away <= reference * EPSILON


def is_far(level: float, reference: float) -> bool:
    """Whether a number can be no price beside the reference, but a distance or a price of something else."""
    return level > reference * FAR or level * FAR < reference


wrong_side, far = rule(is_wrong_side), rule(is_far)


def relation_of(name: str, provider: Instrument | None, own: Instrument) -> Relation:
    """How `own` relates to the provider's symbol `name`; provider: its specification, None where nobody knows it.

    Suffixes and prefixes of a broker make no other instrument.
    """
    if name == own.symbol:
        return Relation.SAME
    if provider is None:
        if own.base_currency + own.profit_currency in name.upper():
            return Relation.SAME
        return Relation.ANOTHER if names_pair(name) else Relation.UNKNOWN
    if provider.base_currency == provider.profit_currency or own.base_currency == own.profit_currency:
        return Relation.SAME if name in own.symbol or own.symbol in name else Relation.ANOTHER
    pair = provider.base_currency, provider.profit_currency
    return Relation.SAME if pair == (own.base_currency, own.profit_currency) else Relation.ANOTHER


def names_pair(name: str) -> bool:
    """Whether a name contains two well-known assets beside each other, like XAUUSD or OANDA:GBPJPY."""
    return any(
        run[start : start + 3] in _ASSETS and run[start + 3 : start + 6] in _ASSETS
        for run in _LETTERS.findall(name.upper())
        for start in range(len(run) - 5)
    )


@rule
def sizes_by_levels(route):
    """Whether the volume follows from the signal's stop loss (or an expression names one of its levels)."""
    return route.mode == Mode.FIXED_RISK or route.max_trade_risk_level > 0 or route.reads_levels


@rule
def refuse_levels(signal, route, spec, price):
    """(word, its number) of an order whose prices the broker would refuse, or that are prices of something else.

    Levels that are neither copied nor used for the size do no harm.  units: price.  source: MetaTrader, invalid price
    and invalid stops
    """
    if not signal.checks_levels:
        return 0, nan
    by_levels = sizes_by_levels(route)
    if spec.relation == Relation.ANOTHER:
        if not signal.is_market or (not isnan(price.stop_loss) and (route.copy_stop_loss or by_levels)):
            return ANOTHER_SYMBOL, nan
        if route.reads_levels and not (isnan(signal.stop_loss) and isnan(signal.take_profit)):
            return ANOTHER_SYMBOL, nan
        return 0, nan
    if price.is_wrong_price:
        return INVALID_PRICE, price.opening
    if price.is_wrong_stop and (route.copy_stop_loss or by_levels):
        return INVALID_STOPS, price.reference
    if price.is_wrong_target and (route.copy_take_profit or route.reads_levels):
        return INVALID_STOPS, price.reference
    return 0, nan


@rule
def refuse_own_stop(stop_loss, signal, price):
    """(word, its number) where the terms bring the stop to where the market stands already: into the spread."""
    if signal.checks_levels and wrong_side(stop_loss, price.reference, -price.side):
        return INVALID_STOPS, price.reference
    return 0, nan
