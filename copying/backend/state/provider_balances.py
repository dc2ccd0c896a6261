"""The balances of provider accounts over time, from which equityCurveFilter takes its moving average.

Kept as the changes of a step function, so that the average at any moment follows from the journal alone and does not
depend on when somebody looked.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .book import Book

KEPT_CHANGES = 5_000
MOST_SAMPLES = 10_000
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@dataclass
class Providers:
    """Rows of the accounts that provide strategies, with the balances that were noted last."""

    version: int = -1
    rows: np.ndarray = field(default_factory=lambda: np.zeros(0, np.intp))
    last: np.ndarray = field(default_factory=lambda: np.zeros(0))


def note_balances(book: Book) -> None:
    """Remember the balances of provider accounts that changed with the entry just applied."""
    providers = book.cache(Providers)
    if providers.version != book.version:
        ids = {
            strategy.document.get("accountId", "")
            for strategy in book.strategies_by_id.values()
            if not strategy.is_portfolio
        }
        rows = np.array(
            sorted(book.account_rows[account_id] for account_id in ids if account_id in book.account_rows),
            dtype=np.intp,
        )
        known = [book.provider_balances.get(book.account_meta[row].id) for row in rows.tolist()]
        providers.version, providers.rows = book.version, rows
        providers.last = np.array([changes[-1][1] if changes else np.nan for changes in known])
    rows, last = providers.rows, providers.last
    balances = book.accounts.balance[rows]
    changed = np.flatnonzero(balances != last)
    for place in changed.tolist():
        changes = book.provider_balances.setdefault(book.account_meta[int(rows[place])].id, [])
        changes.append((book.time, float(balances[place])))
        del changes[:-KEPT_CHANGES]
        last[place] = balances[place]


def average(changes: list[tuple[float, float]], settings: dict[str, Any] | None, now: float) -> float | None:
    """Simple moving average over `period` closes of `timeframe`, the balance of now being the last of them.

    changes: (time, balance), oldest first. None: no filter, or no balance known that far back.
    units: provider currency.  source: contract, 3.10, 4.4 equityCurveFilter
    """
    if not settings or not changes:
        return None
    count = min(max(int(settings.get("period", 1)), 1), MOST_SAMPLES)
    text = str(settings.get("timeframe", "1h"))
    length = float(text[:-1] or 1) * UNITS.get(text[-1], 3600)
    closes = [now, *(now // length * length - place * length for place in range(count - 1))]
    times = [moment for moment, _ in changes]
    places = [bisect_right(times, moment) - 1 for moment in closes]
    return None if min(places) < 0 else sum(changes[place][1] for place in places) / count
