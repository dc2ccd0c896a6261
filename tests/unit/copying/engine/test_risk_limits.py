"""Risk limits: which are in force along a chain, and who set them."""

from __future__ import annotations

from math import inf

from copying.engine.model import Level
from copying.engine.risk_limits import effective_limits, make_limit


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


def test_a_start_time_is_seconds_since_the_epoch() -> None:
    made = make_limit(limit(startTime="2026-01-01T10:00:00.000Z"), Level.STRATEGY)
    assert made.start == 1_767_261_600.0
    assert make_limit(limit(), Level.STRATEGY).start is None
