"""Parts of a subscription to a portfolio: one for each way from a leaf to what is subscribed to, with its own result.

Risk limits of members look at the parts below them (limits.py), and what a portfolio's owner owes to its members is
settled on them (commission.py). A part is made by its first trade or wait; a subscription to a plain strategy has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .book import Book
    from .routing import Plan

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
    found = np.full(len(keys), -1)
    for row, key in enumerate(keys):
        if len(key.path) > 1:
            number = book.paths.find(path_text(key.path))
            found[row] = book.part_rows.get((int(subscription[row]), number), UNKNOWN)
    return found


def parts_of(book: Book, plan: Plan, routes: np.ndarray) -> np.ndarray:
    """(n,) rows of the parts of some routes that trade; missing ones are made."""
    for route in routes[plan.part[routes] == UNKNOWN].tolist():
        subscription, path = int(plan.subscription[route]), book.paths.number(path_text(plan.table.keys[route].path))
        row = book.part_rows.get((subscription, path))
        if row is None:
            member = member_number(book, book.paths.texts[path])
            row = book.parts.append(subscription=subscription, path=path, leaf=plan.leaf, member=member)
            book.part_rows[subscription, path] = row
            book.valued = False
        plan.part[route] = row
    return plan.part[routes]


def learn_parts(book: Book, plan: Plan) -> None:
    """Take over the parts that another plan of the same leaf made: a route has one part, whichever plan it is in."""
    routes = np.flatnonzero(plan.part == UNKNOWN)
    plan.part[routes] = known_parts(book, [plan.table.keys[route] for route in routes], plan.subscription[routes])


def forget_results(book: Book, subscription: int) -> None:
    """The subscription starts again: so do its parts."""
    parts = book.parts
    mine = parts.subscription == subscription
    parts.realised[mine] = parts.mark[mine] = 0.0
    for period in range(5):
        getattr(parts, f"balance_{period}")[mine] = getattr(parts, f"equity_{period}")[mine] = 0.0


def parts_below(book: Book, subscription: int, scope: int) -> np.ndarray:
    """Rows of the parts of a subscription that belong to a member."""
    rows = np.flatnonzero(book.parts.subscription == subscription)
    texts, wanted = book.paths.texts, book.paths.texts[scope]
    below = [is_below(texts[path], wanted) for path in book.parts.path[rows].tolist()]
    return rows[np.array(below, dtype=bool)]
