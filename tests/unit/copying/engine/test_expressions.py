"""Expressions: what they compute, what is refused and where, and that they are bounded."""

from __future__ import annotations

import contextlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from copying.engine.expressions import MAX_LENGTH, VARIABLES, ExpressionError, evaluate, parse

VALUES = dict.fromkeys(VARIABLES, 1.0) | {"balance": 2_000.0, "providerBalance": 10_000.0, "multiplier": 0.5}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("7 - 2 - 1", 4),
        ("8 / 4 / 2", 1),
        ("2 ^ 3 ^ 2", 512),
        ("-2 ^ 2", -4),
        ("2 ^ -1", 0.5),
        ("7 % 3", 1),
        ("-7 % 3", 2),
        (".5 + 1e1", 10.5),
        ("balance / providerBalance * multiplier", 0.1),
        ("balance > 1000 ? 1 : 2", 1),
        ("balance > 3000 ? 1 : balance > 1500 ? 2 : 3", 2),
        ("balance >= 2000 and multiplier < 1", 1),
        ("balance < 2000 or multiplier == 0.5", 1),
        ("true xor true", 0),
        ("not false", 1),
        ("not (balance > 1) == 0", 1),
        ("1 != 1", 0),
        ("0.1 + 0.2 == 0.3", 1),
        ("0.1 + 0.2 > 0.3", 0),
        ("min(3, 1, 2) + max(3, 1, 2)", 4),
        ("round(2.5)", 3),
        ("round(-2.5)", -3),
        ("round(2.345, 2)", 2.35),
        ("floor(2.7) + ceil(2.1)", 5),
        ("abs(-3) + sqrt(16) + pow(2, 3) + sign(-9)", 14),
        ("log(exp(2))", 2),
        ("log(8, 2)", 3),
        ("1 / 0", math.inf),
        ("sqrt(-1)", math.nan),
        ("log(-1)", math.nan),
        ("exp(1000)", math.inf),
    ],
)
def test_values(text: str, value: float) -> None:
    assert evaluate(text, VALUES) == pytest.approx(value, nan_ok=True)


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", 0),
        ("1 +", 3),
        ("1 2", 2),
        ("(1", 2),
        ("1)", 1),
        ("balanc * 2", 0),
        ("2 * __import__", 4),
        ("balance.real", 7),
        ("balance[0]", 7),
        ("f(1)", 0),
        ("min()", 4),
        ("sqrt(1, 2)", 0),
        ("min", 3),
        ("1 < 2 < 3", 6),
        ("a = 1", 2),
        ("1 ? 2", 5),
        ("'text'", 0),
        ("1e999", 0),
        ("2 && 3", 2),
        ("1; 2", 1),
    ],
)
def test_what_is_not_allowed_is_refused_with_its_position(text: str, position: int) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert caught.value.position == position


LONG = ["(" * 200 + "1" + ")" * 200, "-" * 300 + "1", "1" + "+1" * 900, "1" * (MAX_LENGTH + 1), "2" + "^2" * 200]


@pytest.mark.parametrize("text", [*LONG, "1?" * 200 + "1" + ":1" * 200])
def test_expressions_are_bounded(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse(text)


@given(st.text(alphabet="balance()+-*/^%?:<>=!.,0123456789 eminroudtx", max_size=60))
def test_any_text_has_a_value_or_is_refused(text: str) -> None:
    with contextlib.suppress(ExpressionError):
        assert evaluate(text, dict.fromkeys(VARIABLES, 1.0)).shape == ()


def test_routes_are_evaluated_together() -> None:
    balances = np.array([500.0, 1_500.0, 0.0])
    values = evaluate("balance > 1000 ? balance / 1000 : 1 / balance", VALUES | {"balance": balances})
    assert values.tolist() == [0.002, 1.5, math.inf]
