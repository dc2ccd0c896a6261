"""Risk limits: which are in force along a chain, and who set them."""

from __future__ import annotations

from copying.engine.model import Level
from copying.engine.risk_limits import effective_limits


def limit(kind: str = "day", apply_to: str = "balance-difference", **more) -> dict:
    return {"type": kind, "applyTo": apply_to, "closePositions": False} | more


def test_limits_add_up_and_later_ones_replace() -> None:
    weekly, own = limit("week", maxAbsoluteRisk=300), limit(maxRelativeRisk=0.5)
    closing = limit(closePositions=True, maxAbsoluteRisk=9)
    chain = [
        (Level.STRATEGY, {"riskLimits": [limit(maxAbsoluteRisk=100), weekly]}),
        (Level.SUBSCRIPTION, {"riskLimits": [own, closing]}),
    ]
    assert effective_limits(chain) == {
        ("day", "balance-difference", False): (Level.SUBSCRIPTION, own),
        ("week", "balance-difference", False): (Level.STRATEGY, weekly),
        ("day", "balance-difference", True): (Level.SUBSCRIPTION, closing),
    }


def test_limits_that_differ_in_what_they_measure_stand_beside_each_other() -> None:
    chain = [(Level.STRATEGY, {"riskLimits": [limit(), limit(apply_to="equity-difference")]})]
    assert len(effective_limits(chain)) == 2


def test_a_chain_without_limits_has_none() -> None:
    assert effective_limits([(Level.STRATEGY, {}), (Level.SUBSCRIBER, {"riskLimits": None})]) == {}
