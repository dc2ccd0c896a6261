"""What a strategy charges in one line, also where a backend says what is not known here."""

from __future__ import annotations

import pytest

from editing.terms import commission_text

WON = {"type": "amount-won", "billingPeriod": "month", "commissionRate": 0.2}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "20\u202f% of every profit, monthly"),
        ({"billingPeriod": None}, "20\u202f% of every profit, monthly"),
        ({"billingPeriod": "day"}, "Nothing is charged: a billing period “day” is not known here"),
        ({"billingPeriod": ["day"]}, "Nothing is charged: a billing period “['day']” is not known here"),
        ({"type": "moonshine"}, "Nothing is charged: a scheme “moonshine” is not known here"),
        ({"type": "x" * 90}, f"Nothing is charged: a scheme “{'x' * 40}” is not known here"),
        ({"commissionRate": 0, "billingPeriod": "day"}, ""),
        ({"type": None}, ""),
    ],
)
def test_what_is_not_known_charges_nothing_and_says_so(changes, text):
    assert commission_text({"commissionScheme": WON | changes}) == text
