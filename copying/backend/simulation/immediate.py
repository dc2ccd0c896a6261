"""What saving documents would do at once (E11, docs/copying.md): which limits would fire, which positions would close.

The documents are laid into a shadow of the book, and the functions that act on saving measure there: what is told here
and what fires cannot differ. The book itself stays as it is, names that it has never seen included.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from copying.backend.risk import limits
from copying.backend.risk.headroom import served_limit
from copying.backend.settings.nesting import above, tree_of
from copying.backend.signals.news_closing import closing_positions
from copying.backend.state.book import Book
from copying.backend.state.columns import Interned
from copying.backend.state.entities import StoredSubscriber
from copying.backend.state.tables import LimitTable
from copying.backend.state.times import iso
from copying.backend.state.valuation import value
from copying.symbols.instruments import ACCOUNT_CURRENCIES

MOST_LISTED = 1_000
Documents = Mapping[str, Mapping[str, dict[str, Any] | None]]


def immediate_effects(book: Book, tenant: str, documents: Documents) -> dict[str, Any]:
    """What would happen at the tenant's own accounts right after these documents were saved.

    documents: as checked, by "strategies", "portfolios", "subscribers" and id; None for one that goes is left out: its
    close instructions say what becomes of it. Returns the document of E11.
    """
    shadow = shadow_of(book)
    for name in ("strategies", "portfolios"):
        for key, document in documents.get(name, {}).items():
            if document is not None and key in shadow.strategies_by_id:
                shadow.strategies_by_id[key] = msgspec.structs.replace(shadow.strategies_by_id[key], document=document)
                refresh_reached(shadow, tenant, key)
    closing = {"news": new_closings(book, shadow, tenant)}
    closing |= {"close-only": np.zeros(0, np.intp), "left-out": np.zeros(0, np.intp)}
    for key, document in documents.get("subscribers", {}).items():
        if document is not None:
            known = book.subscribers_by_id.get(key) or StoredSubscriber(key, tenant, {}, book.time)
            lay_in_subscriber(book, shadow, known, document, closing)
    changed, firing = changed_rows(book, shadow, tenant)
    closed = {row: closed_by(shadow, row) for row in firing if shadow.limits.closes[row]}
    closing["risk-limit"] = union(closed.values())
    drawdown = limits.drawdowns(shadow)
    shown = [served_row(shadow, row, float(drawdown[row]), row in firing, len(closed.get(row, ()))) for row in changed]
    shown.sort(key=lambda limit: (not limit["fires"], limit["accountId"]))
    return {
        "time": iso(book.time),
        "limits": shown[:MOST_LISTED],
        "count": len(shown),
        "fires": len(firing),
        "accounts": len({int(shadow.limits.account[row]) for row in firing}),
        "closes": {cause: _counted(book, rows) for cause, rows in closing.items() if len(rows)},
        "positions": _counted(book, union(closing.values())),
    }


def shadow_of(book: Book) -> Book:
    """A book that shares accounts, positions and prices, and has documents, limits and caches of its own."""
    value(book)
    shadow = copy.copy(book)
    shadow.limits = LimitTable(max(book.limits.size, 16))
    shadow.limits.extend(book.limits.size, **book.limits.take(np.arange(book.limits.size)))
    shadow.paths = Interned(list(book.paths.texts))
    shadow.active_stopouts = list(book.active_stopouts)
    shadow.strategies_by_id = dict(book.strategies_by_id)
    shadow.subscribers_by_id = dict(book.subscribers_by_id)
    shadow.forget_caches()
    return shadow


def refresh_reached(shadow: Book, tenant: str, strategy_id: str) -> None:
    """The limits of the tenant's own subscriptions that lead to a strategy."""
    reached = above(tree_of(shadow), strategy_id)
    for row, (subscriber_id, subscribed) in enumerate(shadow.subscription_keys):
        subscriber = shadow.subscribers_by_id.get(subscriber_id)
        if subscriber is None or subscriber.tenant != tenant:
            continue
        if subscribed in reached and shadow.subscriptions.active[row]:
            limits.refresh_subscription(shadow, row, subscriber, shadow.strategies_by_id[subscribed])


def lay_in_subscriber(
    book: Book, shadow: Book, known: StoredSubscriber, document: dict[str, Any], closing: dict[str, np.ndarray]
) -> None:
    """A subscriber's document; adds to `closing` what taking a subscription out and close-only would close.

    known: as it is, or a new one, whose account may have traded before.
    """
    key = known.id
    subscriber = shadow.subscribers_by_id[key] = msgspec.structs.replace(known, document=document)
    named = {subscription["strategyId"]: subscription for subscription in document.get("subscriptions") or ()}
    for strategy_id, terms in named.items():
        row, strategy = book.subscription(key, strategy_id), shadow.strategies_by_id.get(strategy_id)
        if row < 0 or strategy is None or not book.subscriptions.active[row]:
            continue  # a new subscription has no result that a limit could have passed
        limits.refresh_subscription(shadow, row, subscriber, strategy)
        if (terms.get("closeOnly") or document.get("closeOnly")) == "immediately":
            closing["close-only"] = union((closing["close-only"], np.flatnonzero(book.positions.subscription == row)))
    for subscription in known.document.get("subscriptions") or ():
        if subscription["strategyId"] not in named and subscription["strategyId"] not in known.subscriptions_removed:
            row = book.subscription(key, subscription["strategyId"])
            closing["left-out"] = union((closing["left-out"], np.flatnonzero(book.positions.subscription == row)))
    if (account := book.account_rows.get(key)) is not None:
        limits.refresh_account(shadow, account, subscriber)


def changed_rows(book: Book, shadow: Book, tenant: str) -> tuple[list[int], list[int]]:
    """Rows of the shadow's limits that are new or different, and those of them that would fire at the next look."""
    before = {limits.key_of(book, row): _bounds(book, row) for row in range(book.limits.size)}
    changed = [
        row
        for row in range(shadow.limits.size)
        if before.get(limits.key_of(shadow, row)) != _bounds(shadow, row) and _is_own(shadow, row, tenant)
    ]
    passed = set(limits.passed(shadow).tolist())
    return changed, [row for row in changed if row in passed]


def _bounds(book: Book, row: int) -> tuple[float, ...]:
    rows = book.limits
    return float(rows.absolute[row]), float(rows.relative[row]), float(rows.given_start[row]), int(rows.level[row])


def _is_own(book: Book, row: int, tenant: str) -> bool:
    subscriber = book.subscribers_by_id.get(book.account_meta[int(book.limits.account[row])].id)
    return subscriber is not None and subscriber.tenant == tenant


def closed_by(book: Book, row: int) -> np.ndarray:
    """Rows of the positions that a limit closes when it fires."""
    account, subscription, scope, _, _ = limits.key_of(book, row)
    return np.flatnonzero(limits.under(book, book.positions, account, subscription, scope))


def new_closings(book: Book, shadow: Book, tenant: str) -> np.ndarray:
    """Rows of the tenant's positions that news close by the new filters and not by the present ones."""
    if not book.news:
        return np.zeros(0, np.intp)
    rows = np.setdiff1d(closing_positions(shadow, book.time), closing_positions(book, book.time))
    owners = [book.account_meta[int(book.positions.account[row])].tenant for row in rows.tolist()]
    return rows[np.array([owner == tenant for owner in owners], dtype=bool)]


def served_row(book: Book, row: int, drawdown: float, fires: bool, positions: int) -> dict[str, Any]:
    """A limit as E10 tells it, with its account, whether it would fire, and how many positions that would close."""
    account = int(book.limits.account[row])
    return {
        "accountId": book.account_meta[account].id,
        "currency": ACCOUNT_CURRENCIES[book.accounts.currency[account]],
        **served_limit(book, row, drawdown),
        "fires": fires,
        "positions": positions,
    }


def union(parts: Any) -> np.ndarray:
    """Row numbers, each once."""
    return np.unique(np.concatenate([np.zeros(0, np.intp), *parts])).astype(np.intp)


def _counted(book: Book, rows: np.ndarray) -> dict[str, int]:
    return {"positions": len(rows), "accounts": len(np.unique(book.positions.account[rows]))}
