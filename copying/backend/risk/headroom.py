"""How near every risk limit is to firing, as the API tells it (docs/copying.md, "Endpoints beyond the contract").

The figures are those that `limits.passed` judges by: what is told here and what fires cannot differ. Changes nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from copying.backend.state.book import Book
from copying.backend.state.times import iso
from copying.engine.model import Level

from .limits import BASES, KINDS, member_of


def served_limit(book: Book, row: int, drawdown: float) -> dict[str, Any]:
    """One limit. drawdown, maxAbsoluteRisk, startBalance: account currency; maxRelativeRisk: of startBalance."""
    rows = book.limits
    subscription = int(rows.subscription[row])
    document: dict[str, Any] = {
        "level": Level(int(rows.level[row])).name.lower(),
        "type": KINDS[rows.kind[row]],
        "applyTo": BASES[rows.basis[row]],
        "closePositions": bool(rows.closes[row]),
        "drawdown": round(drawdown, 2) + 0.0,  # never a negative zero
        "startBalance": round(float(rows.base_balance[row]), 2),
        "startTime": iso(float(rows.start[row])),
        "endTime": iso(float(rows.period_end[row])),
        "stopped": bool(rows.stopped[row]),
    }
    if subscription >= 0:
        document["strategyId"] = book.subscription_keys[subscription][1]
    if rows.scope[row] >= 0:
        document["sourceStrategyId"] = member_of(book, int(rows.scope[row]))[0]
    for name, bound in (("maxAbsoluteRisk", rows.absolute[row]), ("maxRelativeRisk", rows.relative[row])):
        if np.isfinite(bound):
            document[name] = float(bound)
    return document
