"""Expressions: what they compute, what is refused and where, and that they are bounded."""

from __future__ import annotations

import contextlib
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from copying.engine.expressions import MAX_LENGTH, VARIABLES, ExpressionError, check, evaluate, parse

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
        # what is equal within math.js's tolerance
        ("0.1 + 0.2 - 0.3 == 0", 1),
        ("0.1 + 0.2 - 0.3 > 0", 0),
        ("1e-10 == 0", 0),
        ("1 / 0 == 5", 0),
        ("1 / 0 > 5", 1),
        ("1 / 0 == 1 / 0", 1),
        ("0 / 0 == 0 / 0", 0),
        ("0 / 0 != 0 / 0", 1),
        ("floor(0.29 * 100)", 29),
        ("ceil(0.1 * 3 * 10)", 3),
        ("floor(-0.5) + ceil(-0.5)", -1),
        ("floor(1 / 0)", math.inf),
        ("round(1.005, 2)", 1.01),
        ("round(5.5, 16)", math.nan),
        ("round(5.5, -1)", math.nan),
        ("round(5.5, 0.5)", math.nan),
        ("5 % 0", 5),
        ("5 % (-3)", -1),
        ("-5 % 3", 1),
        ("8 / 2 % 3 + 2 * 5 % 4", 3),
        # binding
        ("2 ^ -2 ^ 2", 1 / 16),
        ("2 * -3 ^ 2", -18),
        ("- - 2 ^ 2", 4),
        ("not 1 + 1", 1),
        ("not 2 > 1", 0),
        ("1 or 0 and 0", 1),
        ("1 xor 1 and 0", 1),
        ("1 or 1 xor 1", 1),
        ("1 + 1 == 2 and 3 > 2 + 0", 1),
        ("0 ? 1 : 0 ? 2 : 3", 3),
        ("1 ? 0 ? 4 : 5 : 6", 5),
        ("1 or 0 ? 2 : 3", 2),
        ("(0 / 0) ? 1 : 2", 2),
        ("1 ? 2 : 1 / 0", 2),
        ("(1 +\n 2)\n", 3),
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
        ("2 balance", 2),
        ("2(3)", 1),
        ("(2)(3)", 3),
        ("balance (2)", 8),
        ("5!", 1),
        ("50%", 3),
        ("5 mod 3", 2),
        ("1 ? : 2", 4),
        ("1 : 2", 2),
        ("min(1, )", 7),
        ("min(, 1)", 4),
        ("round(1, 2, 3)", 0),
        ("1 <> 2", 3),
        ("1 = = 2", 2),
        ("0x10", 1),
        ("1e", 1),
        ("1.2.3", 3),
        ("a.b", 1),
        ("balance > 1 ? 2 : ", 18),
        ("not", 3),
        ("pi", 0),
        ("Balance", 0),
        ("balance \N{GREEK SMALL LETTER PI}", 8),
    ],
)
def test_what_is_not_allowed_is_refused_with_its_position(text: str, position: int) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert caught.value.position == position


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("4 * 7 % 3", 6),  # versions of math.js differ in which is done first
        ("1 + 4 / 7 % 3", 10),
        ("10 % -3", 5),  # a percentage in math.js
        ("10 % not 1", 5),
        ("1\n+ 2", 2),  # two expressions in math.js
        ("(1)\n? 2 : 3", 4),
        ("balance\n\n* 2", 9),
    ],
)
def test_what_math_js_reads_in_two_ways_is_not_saved_but_still_computed(text: str, position: int) -> None:
    with pytest.raises(ExpressionError) as caught:
        check(text)
    assert caught.value.position == position
    assert math.isfinite(evaluate(text, VALUES))


@pytest.mark.parametrize(
    "text",
    [
        "(4 * 7) % 3",
        "4 * (7 % 3)",
        "4 % 3 * 2",
        "2 * 3 + 4 % 3",
        "10 % (-3)",
        "1 +\n2",
        "(1\n+ 2)",
        "1\n",
        "min(1\n, 2)",
    ],
)
def test_what_is_clear_is_saved(text: str) -> None:
    check(text)


# Strength of the operators of math.js, weakest first; those of one strength are taken from the left, but "^".
STRENGTH = {"or": 2, "xor": 3, "and": 4, "==": 5, "<": 5, ">=": 5, "+": 6, "-": 6, "*": 7, "/": 7, "%": 7, "^": 9}


def written(tree: tuple) -> tuple[str, int]:
    """An expression with no more parentheses than it needs, and its strength."""
    kind, *parts = tree
    if kind == "number":
        return f"{parts[0]}", 10
    if kind == "call":
        return f"{parts[0]}({written(parts[1])[0]}, {written(parts[2])[0]})", 10
    if kind == "?":
        condition, chosen, other = (written(each) for each in parts)
        return f"{inside(condition, 2)} ? {inside(chosen, 1)} : {inside(other, 1)}", 1
    if kind == "prefix":
        return f"{parts[0]} {inside(written(parts[1]), 8)}", 8
    own = STRENGTH[kind]
    left, right = written(parts[0]), written(parts[1])
    if kind == "^":
        return f"{inside(left, 10)} ^ {inside(right, 8)}", own
    return f"{inside(left, own + (own == 5))} {kind} {inside(right, own + 1)}", own


def inside(part: tuple[str, int], least: int) -> str:
    """A part, in parentheses where it is weaker than its place."""
    return part[0] if part[1] >= least else f"({part[0]})"


def computed(tree: tuple) -> float:
    """What it means, without a parser."""
    kind, *parts = tree
    if kind == "number":
        return float(parts[0])
    if kind == "?":
        return computed(parts[1]) if computed(parts[0]) else computed(parts[2])
    if kind == "prefix":
        value = computed(parts[1])
        return {"-": -value, "+": value, "not": float(not value)}[parts[0]]
    if kind == "call":
        return {"min": min, "max": max}[parts[0]](computed(parts[1]), computed(parts[2]))
    a, b = computed(parts[0]), computed(parts[1])
    near = math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-15)
    with contextlib.suppress(OverflowError):
        value = {
            "or": lambda: bool(a) or bool(b),
            "and": lambda: bool(a) and bool(b),
            "xor": lambda: bool(a) != bool(b),
            "==": lambda: near,
            "<": lambda: a < b and not near,
            ">=": lambda: a > b or near,
            "+": lambda: a + b,
            "-": lambda: a - b,
            "*": lambda: a * b,
            "/": lambda: a / b,
            "%": lambda: a % b if b else a,
            "^": lambda: a**b,
        }[kind]()
        if not isinstance(value, complex) and math.isfinite(value):
            return float(value)
    raise Unsuited


class Unsuited(Exception):
    """A tree whose value Python does not have."""


def trees(below: st.SearchStrategy) -> st.SearchStrategy:
    return st.one_of(
        st.tuples(st.sampled_from(list(STRENGTH)), below, below),
        st.tuples(st.just("prefix"), st.sampled_from(["-", "+", "not"]), below),
        st.tuples(st.just("?"), below, below, below),
        st.tuples(st.just("call"), st.sampled_from(["min", "max"]), below, below),
    )


@settings(max_examples=1_000, deadline=None)
@given(st.recursive(st.tuples(st.just("number"), st.sampled_from([0, 1, 2, 3, 0.5, 10])), trees, max_leaves=12))
def test_operators_bind_as_in_math_js(tree: tuple) -> None:
    text, _ = written(tree)
    try:
        expected = computed(tree)
    except (Unsuited, ZeroDivisionError):
        assume(False)
    found = float(evaluate(text, VALUES))
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12), text


LONG = ["(" * 200 + "1" + ")" * 200, "-" * 300 + "1", "1" + "+1" * 900, "1" * (MAX_LENGTH + 1), "2" + "^2" * 200]


@pytest.mark.parametrize("text", [*LONG, "1?" * 200 + "1" + ":1" * 200])
def test_expressions_are_bounded(text: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert 0 <= caught.value.position <= len(text)


@given(st.text(alphabet="balance()+-*/^%?:<>=!.,0123456789 eminroudtx", max_size=60))
def test_any_text_has_a_value_or_is_refused(text: str) -> None:
    position = 0
    try:
        assert evaluate(text, dict.fromkeys(VARIABLES, 1.0)).shape == ()
    except ExpressionError as error:
        position = error.position
    assert 0 <= position <= len(text)


def test_routes_are_evaluated_together() -> None:
    balances = np.array([500.0, 1_500.0, 0.0])
    values = evaluate("balance > 1000 ? balance / 1000 : 1 / balance", VALUES | {"balance": balances})
    assert values.tolist() == [0.002, 1.5, math.inf]
