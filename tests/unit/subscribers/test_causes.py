"""Why an account was stopped, in words."""

import pytest

from subscribers.causes import cause_of, in_words


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ("Drawdown 5.00 USD reached the limit 5.00 (date-balance-minus-equity, subscription).",
         "Drawdown 5.00 USD reached the limit 5.00 (loss with open positions within a calendar day, subscription)."),
        ("week-to-date-equity-difference", "loss of equity within a calendar week"),
        ("Nothing about to-date-equity and day-trading.", "Nothing about to-date-equity and day-trading."),
    ],
)  # fmt: skip
def test_codes_inside_a_sentence_become_words(told, words):
    assert in_words(told) == words


def test_a_reason_becomes_a_sentence():
    assert cause_of("day-balance-difference") == "The closed loss within a day reached its limit"
    assert cause_of("lunar-eclipse") == "Lunar eclipse reached its limit"
