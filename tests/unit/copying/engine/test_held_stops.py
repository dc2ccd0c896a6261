"""Stops that the provider moves: 1 lot of EURUSD bought at 1.1, 10 USD a pip, 10,000 USD."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from copying.engine.held_stops import held_stops
from tests.unit.copying.engine import oracle

NONE = math.nan


def held(side=1, entry=1.1, stop=NONE, lots=1.0, move=100_000.0, balance=10_000.0, pips=math.inf, risk=NONE, digits=5):
    given = (side, entry, stop, lots, move, balance, pips, risk, digits)
    return float(held_stops(*(np.array([each], float) for each in given))[0])


@pytest.mark.parametrize(
    ("terms", "stop", "wanted"),
    [
        ({}, 1.05, 1.05),
        ({}, NONE, NONE),
        ({"pips": 30}, 1.098, 1.098),
        ({"pips": 30}, 1.097, 1.097),
        ({"pips": 30}, 1.05, 1.097),
        ({"pips": 30}, NONE, 1.097),  # taken off: the copy keeps one
        ({"pips": 30}, 1.11, 1.11),  # in profit
        ({"pips": 30, "side": -1}, 1.15, 1.103),
        ({"pips": 30, "side": -1}, 1.05, 1.05),
        ({"risk": 0.02}, 1.05, 1.098),  # 200 USD are 20 pips
        ({"risk": 0.02}, NONE, 1.098),
        ({"risk": 0.02, "lots": 0.1}, NONE, 1.08),
        ({"risk": 0.02, "pips": 10}, NONE, 1.099),
        ({"risk": 0.02, "pips": 50}, 1.05, 1.098),
        ({"risk": 0.02, "side": -1}, NONE, 1.102),
        ({"risk": 0.0}, NONE, 1.1),
        ({"risk": 0.02, "balance": -5.0}, NONE, 1.1),
        ({"risk": 50.0, "lots": 0.01}, NONE, NONE),  # the price falls below zero first
        ({"pips": 30, "entry": 150.0, "digits": 3}, 140.0, 149.7),
        ({"pips": 30, "entry": 2_000.0, "digits": 2}, 1_900.0, 1_999.7),
    ],
)
def test_moved_stops_stay_within_the_terms(terms: dict, stop: float, wanted: float) -> None:
    assert held(stop=stop, **terms) == pytest.approx(wanted, nan_ok=True, abs=1e-9)


@given(
    side=st.sampled_from([1, -1]),
    entry=st.sampled_from([1.1, 1.23457, 150.123, 2_000.55]),
    away=st.one_of(st.none(), st.floats(-0.1, 0.5)),
    lots=st.sampled_from([0.01, 0.3, 5.0]),
    move=st.sampled_from([100.0, 100_000.0, 667.3]),
    balance=st.sampled_from([100.0, 12_345.67, 1e6]),
    pips=st.sampled_from([None, 0.05, 20.5, 300]),
    risk=st.sampled_from([None, 0.0005, 0.01, 0.5]),
    digits=st.sampled_from([2, 3, 5]),
)
def test_all_copies_at_once_move_as_one_after_another(
    side, entry, away, lots, move, balance, pips, risk, digits
) -> None:
    stop = None if away is None else round(entry * (1 - side * away), 5)
    wanted = oracle.moved_stop(side, entry, stop, lots, move, balance, pips, risk, digits)
    found = held(
        side,
        entry,
        NONE if stop is None else stop,
        lots,
        move,
        balance,
        math.inf if pips is None else pips,
        NONE if risk is None else risk,
        digits,
    )
    assert found == pytest.approx(NONE if wanted is None else wanted, nan_ok=True, rel=1e-12)
    if risk is not None and not math.isnan(found):
        assert side * (entry - found) * lots * move <= risk * balance * (1 + 1e-6) + 1e-6
