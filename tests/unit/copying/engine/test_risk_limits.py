"""Risk limits: which are in force, how far they are used, when they fire."""

from __future__ import annotations

from math import inf

import pytest

from copying.engine.model import Level
from copying.engine.periods import TYPES
from copying.engine.risk_limits import APPLY_TO, FAR_FUTURE, effective_limits, make_limit, measure, stopped_till


def limit(kind: str = "day", apply_to: str = "balance-difference", **more) -> dict:
    return {"type": kind, "applyTo": apply_to, "closePositions": False} | more


def test_limits_add_up_and_later_ones_replace() -> None:
    chain = [
        (Level.STRATEGY, {"riskLimits": [limit(maxAbsoluteRisk=100), limit("week", maxAbsoluteRisk=300)]}),
        (
            Level.SUBSCRIPTION,
            {"riskLimits": [limit(maxRelativeRisk=0.5), limit(closePositions=True, maxAbsoluteRisk=9)]},
        ),
    ]
    found = {(each.type, each.closes_positions): each for each in effective_limits(chain)}
    assert len(found) == 3
    assert found["day", False].level is Level.SUBSCRIPTION
    assert found["day", False].max_absolute == inf
    assert found["week", False].level is Level.STRATEGY


@pytest.mark.parametrize(
    ("apply_to", "limits", "balance", "equity", "drawdown", "fires"),
    [
        ("balance-difference", {"maxAbsoluteRisk": 100}, 901, 0, 99, False),
        ("balance-difference", {"maxAbsoluteRisk": 100}, 900, 0, 100, True),
        ("balance-difference", {"maxRelativeRisk": 0.1}, 901, 0, 99, False),
        ("balance-difference", {"maxRelativeRisk": 0.1}, 899, 5_000, 101, True),
        ("balance-difference", {"maxAbsoluteRisk": 500, "maxRelativeRisk": 0.1}, 900, 0, 100, True),
        ("balance-minus-equity", {"maxAbsoluteRisk": 100}, 1_000, 900, 100, True),
        ("equity-difference", {"maxAbsoluteRisk": 100}, 1_000, 900, 150, True),
        ("balance-difference", {}, 0, 0, 1_000, False),
        ("balance-difference", {"maxAbsoluteRisk": 0}, 1_000, 0, 0, False),
        ("balance-difference", {"maxAbsoluteRisk": 100}, 1_500, 0, -500, False),
    ],
)
def test_when_a_limit_fires(apply_to, limits, balance, equity, drawdown, fires) -> None:
    made = make_limit(limit(apply_to=apply_to, **limits), Level.SUBSCRIBER)
    measured = measure(made, 1_000, balance, equity, start_equity=1_050)
    assert (measured.drawdown, measured.fires) == (drawdown, fires)
    assert measured.fires == (measured.headroom <= 0 and drawdown > 0)


def test_reasons_are_the_33_words() -> None:
    words = {make_limit(limit(kind, apply_to), Level.STRATEGY).reason for kind in TYPES for apply_to in APPLY_TO}
    assert len(words) == 33
    assert "week-to-date-equity-difference" in words


def test_start_time_anchors_the_period() -> None:
    made = make_limit(limit(startTime="2026-01-01T10:00:00.000Z"), Level.STRATEGY)
    assert made.period(0.0, 1_767_348_000.0).start == 1_767_348_000.0
    assert make_limit(limit(), Level.STRATEGY).period(86_400.0, 90_000.0) == (86_400.0, 172_800.0)


def test_a_stopout_lasts_until_the_period_ends() -> None:
    assert stopped_till(make_limit(limit(), Level.STRATEGY).period(0.0, 10.0)) == 86_400.0
    assert stopped_till(make_limit(limit("lifetime"), Level.STRATEGY).period(0.0, 10.0)) == FAR_FUTURE
