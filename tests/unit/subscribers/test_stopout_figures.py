"""The figures of a stopout that the embedded backend told; what others tell stays their text."""

from __future__ import annotations

from decimal import Decimal

import pytest

from subscribers.causes import figures_of


@pytest.mark.parametrize(
    ("text", "measured", "currency", "absolute", "relative", "level", "member"),
    [
        (
            "Drawdown 73451.50 JPY reached the limit 5 % of 1461975.00 (date-balance-difference, subscriber).",
            "73451.50",
            "JPY",
            None,
            "0.05",
            "subscriber",
            "",
        ),
        (
            "Drawdown 267.18 USD reached the limit 13 % of 2000.00 (week-balance-minus-equity, subscriber).",
            "267.18",
            "USD",
            None,
            "0.13",
            "subscriber",
            "",
        ),
        (
            "Drawdown 192.71 EUR reached the limit 0.7 % of 2000.00 (date-balance-minus-equity, subscriber).",
            "192.71",
            "EUR",
            None,
            "0.007",
            "subscriber",
            "",
        ),
        (
            "Drawdown 100.00 USD reached the limit 100.00 (day-equity-difference, strategy).",
            "100.00",
            "USD",
            "100.00",
            None,
            "strategy",
            "",
        ),
        (
            "Drawdown 9.10 EUR reached the limit 9.00 or 2.5 % of 1000.00 (month-balance-minus-equity, subscription).",
            "9.10",
            "EUR",
            "9.00",
            "0.025",
            "subscription",
            "",
        ),
        (
            "Drawdown 9.10 EUR reached the limit 9.00 (date-balance-difference, member in portfolio member A (b)).",
            "9.10",
            "EUR",
            "9.00",
            None,
            "member",
            "A (b)",
        ),
    ],
)
def test_figures(text, measured, currency, absolute, relative, level, member):
    its = figures_of(text)
    assert (its.measured, its.currency, its.level, its.member) == (Decimal(measured), currency, level, member)
    assert its.absolute == (None if absolute is None else Decimal(absolute))
    assert its.relative == (None if relative is None else Decimal(relative))


@pytest.mark.parametrize("text", ["", "It lost 10.2 % of 10 % allowed.", "Drawdown reached the limit"])
def test_other_words_stay_words(text):
    assert figures_of(text) is None
