"""Which copies a setting of a portfolio's member looks at: those of the subscription that came through its place.

As with risk limits (docs/copying.md): what is subscribed to and the subscription look at the whole subscription, a
member and the strategy or portfolio that it is at what came through this member.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from copying.backend.state.parts import path_text
from copying.engine.fold import Document
from copying.engine.routes import Configuration, RouteKey, RouteTable

WHOLE = ""


class Scopes(NamedTuple):
    """number: (n_routes,) into `texts`, -1 for the whole subscription. texts: ends of paths, as `parts.is_below`."""

    number: np.ndarray
    texts: list[str]


def correlation_scopes(configuration: Configuration, table: RouteTable) -> Scopes:
    """Of reduceCorrelations by strategy: the last level that sets it."""
    rows = np.flatnonzero(table.columns["correlations"] == 1)
    return _scopes(configuration, table, rows, lambda document: document.get("reduceCorrelations") is not None, -1)


def removal_scopes(configuration: Configuration, table: RouteTable) -> Scopes:
    """Of removals that still take symbols that are open: the first level that is being removed."""
    rows = np.flatnonzero(table.gates["removed_by_symbol"])
    return _scopes(configuration, table, rows, lambda document: bool(document.get("closeOnRemovalMode")), 0)


def _scopes(
    configuration: Configuration, table: RouteTable, rows: np.ndarray, concerns: Callable[[Document], bool], which: int
) -> Scopes:
    number, texts = np.full(len(table), -1), dict[str, int]()
    above: dict[tuple[str, ...], list[str]] = {}
    for row in rows.tolist():
        key = table.keys[row]
        if len(key.path) == 1:
            continue
        if key.path not in above:
            above[key.path] = [scope for scope, document in _places(configuration, key) if concerns(document)]
        levels = above[key.path] + [WHOLE] * any(concerns(document) for document in _own(configuration, key))
        if levels and levels[which]:
            number[row] = texts.setdefault(levels[which], len(texts))
    return Scopes(number, list(texts))


def _places(configuration: Configuration, key: RouteKey) -> Iterator[tuple[str, Document]]:
    """The documents above the subscription, leaf first, each with its scope."""
    path = key.path
    yield path_text(path), configuration.strategies[path[0].partition("#")[0]]
    for place in range(1, len(path)):
        portfolio = configuration.portfolios[path[place].partition("#")[0]]
        child, _, repeated = path[place - 1].partition("#")
        same = [member for member in portfolio.get("members") or () if member["strategyId"] == child]
        yield path_text(path[place - 1 :]), same[int(repeated or 1) - 1]
        yield path_text(path[place:]) if place < len(path) - 1 else WHOLE, portfolio


def _own(configuration: Configuration, key: RouteKey) -> Iterator[Document]:
    """The documents of the subscriber."""
    subscriber = configuration.subscribers[key.subscriber_id]
    yield from (
        subscription
        for subscription in subscriber.get("subscriptions") or ()
        if subscription["strategyId"] == key.strategy_id
    )
    yield subscriber
