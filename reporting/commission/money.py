"""Rounding of money: once per line, half up, to the currency's minor unit. Nothing here converts currencies."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal

# Enough digits for products of ledger numbers (24 + 24) without rounding; quotients are cut at the 50th digit.
EXACT = Context(prec=50, rounding=ROUND_HALF_UP)

# ISO 4217, amendment 177: currencies whose minor unit is not the hundredth
_NO_DIGITS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE_DIGITS = "BHD IQD JOD KWD LYD OMR TND"
_FOUR_DIGITS = "CLF UYW"
MINOR_DIGITS = (
    dict.fromkeys(_NO_DIGITS.split(), 0)
    | dict.fromkeys(_THREE_DIGITS.split(), 3)
    | dict.fromkeys(_FOUR_DIGITS.split(), 4)
)
_QUANTA = {digits: Decimal(1).scaleb(-digits) for digits in range(5)}


def minor_unit(currency: str) -> Decimal:
    """The smallest amount of a currency: 0.01 for most, 1 for JPY, 0.001 for KWD.

    source: ISO 4217; codes that it does not list (cryptocurrencies, broker inventions) count as two digits
    """
    return _QUANTA[MINOR_DIGITS.get(currency, 2)]


def money_text(amount: Decimal, currency: str) -> str:
    """An amount in a sentence: all digits of its currency, and the currency."""
    return f"{EXACT.quantize(amount, minor_unit(currency)):f} {currency}"


def round_money(amount: Decimal, currency: str) -> Decimal:
    """`amount` rounded half up (away from zero) to the minor unit: 0.125 USD -> 0.13, -0.125 USD -> -0.13."""
    return EXACT.quantize(amount, minor_unit(currency))
