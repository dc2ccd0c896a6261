"""How near every risk limit is to firing, as the API tells it (docs/copying.md, "Endpoints beyond the contract").

The figures are those that `limits.passed` judges by: what is told here and what fires cannot differ. Changes nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any

import numpy as np

from copying.engine.model import Level

from .limits import BASES, KINDS, drawdowns, iso, member_of
from .offers import withheld
from .state import ACCOUNT_CURRENCIES

if TYPE_CHECKING:
    from .book import Book

OWN_LEVELS = (Level.SUBSCRIPTION, Level.SUBSCRIBER)  # the others are terms of a provider, who may not offer them


def risk_limits(book: Book, tenant: str, *, after: str = "", limit: int = 1000) -> list[dict[str, Any]]:
    """E10: the tenant's accounts that have limits, by ascending id after `after`, each with all of its limits."""
    rows = book.limits
    own = {}
    for account in np.unique(rows.account).tolist():
        subscriber = book.subscribers_by_id.get(book.account_meta[account].id)
        if subscriber is not None and subscriber.tenant == tenant:
            own[subscriber.id] = account
    ids = sorted(own)
    page = ids[bisect_right(ids, after) :][:limit] if after else ids[:limit]
    if not page:
        return []
    drawdown, hidden = drawdowns(book), withheld(book)
    order = np.argsort(rows.account, kind="stable")
    accounts = rows.account[order]
    told = []
    for account_id in page:
        account = own[account_id]
        mine = order[np.searchsorted(accounts, account) : np.searchsorted(accounts, account, side="right")]
        told.append(
            {
                "accountId": account_id,
                "currency": ACCOUNT_CURRENCIES[book.accounts.currency[account]],
                "time": iso(book.time),
                "limits": [
                    served_limit(book, row, float(drawdown[row]))
                    for row in mine.tolist()
                    if rows.level[row] in OWN_LEVELS or int(rows.subscription[row]) not in hidden
                ],
            }
        )
    return told


def served_limit(book: Book, row: int, drawdown: float) -> dict[str, Any]:
    """One limit. drawdown, maxAbsoluteRisk, startBalance: account currency; maxRelativeRisk: of startBalance."""
    rows = book.limits
    subscription = int(rows.subscription[row])
    told: dict[str, Any] = {
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
        told["strategyId"] = book.subscription_keys[subscription][1]
    if rows.scope[row] >= 0:
        told["sourceStrategyId"] = member_of(book, int(rows.scope[row]))[0]
    for name, bound in (("maxAbsoluteRisk", rows.absolute[row]), ("maxRelativeRisk", rows.relative[row])):
        if np.isfinite(bound):
            told[name] = float(bound)
    return told
