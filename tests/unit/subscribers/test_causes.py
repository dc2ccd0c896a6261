"""Why an account was stopped, in words."""

import pytest

from subscribers.causes import cause_of, describe, in_words


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (
            "Drawdown 5.00 USD reached the limit 5.00 (date-balance-minus-equity, subscription).",
            "Drawdown 5.00 USD reached the limit 5.00 (loss with open positions within a calendar day, subscription).",
        ),
        ("week-to-date-equity-difference", "loss of equity within a calendar week"),
        ("Nothing about to-date-equity and day-trading.", "Nothing about to-date-equity and day-trading."),
    ],
)
def test_codes_inside_a_sentence_become_words(told, words):
    assert in_words(told) == words


def test_what_is_told_of_a_stopout_does_not_repeat_its_reason():
    text = "Drawdown 5.00 USD reached the limit 0.7 % of 714.29 (date-balance-minus-equity, portfolio member)."
    left = "Drawdown 5.00 USD reached the limit 0.7 % of 714.29, set by the portfolio member."
    assert describe(text, "date-balance-minus-equity") == left
    inside = text.replace("portfolio member)", "portfolio in portfolio member Trend-1)")
    assert describe(inside, "date-balance-minus-equity").endswith("set by the portfolio in portfolio member Trend-1.")
    assert describe("It lost too much.", "date-balance-minus-equity") == "It lost too much."


def test_a_reason_becomes_a_sentence():
    assert cause_of("day-balance-difference") == "The closed loss within a day reached its limit"
    assert cause_of("lunar-eclipse") == "Lunar eclipse reached its limit"
