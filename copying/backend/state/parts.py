"""Parts of a subscription to a portfolio: one for each way from a leaf to what is subscribed to, with its own result.

Risk limits of members look at the parts below them (risk/limits.py), and what a portfolio's owner owes to its members
is settled on them (settings/commission.py). A part is made by its first trade or wait; a subscription to a plain
strategy has none.
"""

from __future__ import annotations

import numpy as np

from .book import Book

SEPARATOR = "\x1f"
UNKNOWN = -2  # in a plan: a route through a portfolio that has no part yet


def path_text(path: tuple[str, ...]) -> str:
    """A route's path (engine.routes.RouteKey), or the end of one, as one text."""
    return SEPARATOR.join(path)


def is_below(text: str, scope: str) -> bool:
    """Whether the path leads through the member that `scope`, the end of a path, stands for."""
    return text == scope or text.endswith(SEPARATOR + scope)


def member_number(book: Book, text: str) -> int:
    """Number of the strategy or portfolio that a path (`path_text`) leads through right below what is subscribed to."""
    return book.strategy_names.find(text.split(SEPARATOR)[-2].partition("#")[0])


def known_parts(book: Book, keys: list, subscription: np.ndarray) -> np.ndarray:
    """(n_routes,) rows of parts: -1 for plain subscriptions, UNKNOWN where there is none yet."""
    rows = np.full(len(keys), -1)
    for row, key in enumerate(keys):
        if len(key.path) > 1:
            number = book.paths.find(path_text(key.path))
            rows[row] = book.part_rows.get((int(subscription[row]), number), UNKNOWN)
    return rows


def forget_results(book: Book, subscription: int) -> None:
    """The subscription starts again: so do its parts."""
    parts = book.parts
    mine = parts.subscription == subscription
    parts.realised[mine] = parts.mark[mine] = 0.0
    for period in range(5):
        parts.starts("balance", period)[mine] = parts.starts("equity", period)[mine] = 0.0


def parts_below(book: Book, subscription: int, scope: int) -> np.ndarray:
    """Rows of the parts of a subscription that belong to a member."""
    rows = np.flatnonzero(book.parts.subscription == subscription)
    texts, wanted = book.paths.texts, book.paths.texts[scope]
    below = [is_below(texts[path], wanted) for path in book.parts.path[rows].tolist()]
    return rows[np.array(below, dtype=bool)]
