"""Which risk limits a chain of settings has: the one rule of combination, for the backend and for whoever shows it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

Document = dict[str, Any]
Key = tuple[str, str, bool]
LevelT = TypeVar("LevelT")


def effective_limits(chain: Iterable[tuple[LevelT, Document]]) -> dict[Key, tuple[LevelT, Document]]:
    """All limits of a chain; a later one with the same type, applyTo and closePositions replaces an earlier one.

    chain: (level, or whatever says where it is from, document) from the strategy to the subscription; for a
    subscriber's own limits the subscriber alone, because those are measured on the whole account. Returns
    (type, applyTo, closePositions) -> (level, limit).  source: contract, 4.1 riskLimits and 4.5
    """
    return {
        (limit["type"], limit["applyTo"], bool(limit.get("closePositions"))): (level, limit)
        for level, document in chain
        for limit in document.get("riskLimits") or ()
    }
