"""Portfolios in portfolios: what stands below and above what, how deep, and on how many ways.

Every question visits a portfolio once, however many ways lead to it: portfolios that share members would otherwise take
exponential time.
"""

from __future__ import annotations

from collections.abc import Mapping

from copying.backend.state.book import Book
from copying.backend.state.errors import invalid
from copying.engine.routes import MAX_DEPTH

MOST_WAYS = 1_000  # from a portfolio down to its leaves: every one is a route of every subscriber
Tree = Mapping[str, list[str]]  # portfolio -> its members


def tree_of(book: Book) -> dict[str, list[str]]:
    """The members of every portfolio."""
    return {
        strategy.id: [member["strategyId"] for member in strategy.document.get("members") or ()]
        for strategy in book.strategies_by_id.values()
        if strategy.is_portfolio
    }


def below(tree: Tree, strategy_id: str) -> set[str]:
    """A strategy and everything that it is made of."""
    members, waiting = set(), [strategy_id]
    while waiting:
        member = waiting.pop()
        if member not in members:
            members.add(member)
            waiting += tree.get(member, ())
    return members


def above(tree: Tree, strategy_id: str) -> set[str]:
    """A strategy and every portfolio that it is a part of."""
    holders: dict[str, list[str]] = {}
    for portfolio_id, members in tree.items():
        for member in members:
            holders.setdefault(member, []).append(portfolio_id)
    return below(holders, strategy_id)


def depth(tree: Tree, strategy_id: str, known: dict[str, int]) -> int:
    """How many portfolios deep this one is, itself counted; 0 for a strategy. The tree has no circles."""
    if strategy_id not in tree:
        return 0
    if strategy_id not in known:
        known[strategy_id] = 1 + max((depth(tree, member, known) for member in tree[strategy_id]), default=0)
    return known[strategy_id]


def ways(tree: Tree, strategy_id: str, known: dict[str, int]) -> int:
    """On how many ways leaves are reached from here; 1 for a strategy. The tree has no circles."""
    if strategy_id not in tree:
        return 1
    if strategy_id not in known:
        known[strategy_id] = sum(ways(tree, member, known) for member in tree[strategy_id])
    return known[strategy_id]


def check_circle(tree: Tree, portfolio_id: str, path: str = "members") -> None:
    """The portfolio does not contain itself. path: of the members in the caller's document. Raises 400."""
    for number, member in enumerate(tree[portfolio_id]):
        if portfolio_id in below(tree, member):
            raise invalid(f"{path}.{number}.strategyId", member, "the portfolio would contain itself")


def check_size(tree: Tree, portfolio_id: str, path: str = "members") -> None:
    """Neither the portfolio nor one above it stands too deep or leads to too much. No circles. Raises 400."""
    holders = above(tree, portfolio_id)
    levels_above = deepest_above(tree, portfolio_id, holders)
    known: dict[str, int] = {}
    for number, member in enumerate(tree[portfolio_id]):
        if depth(tree, member, known) + 1 + levels_above > MAX_DEPTH:
            message = f"portfolios would stand more than {MAX_DEPTH} deep in each other"
            raise invalid(f"{path}.{number}.strategyId", member, message)
    counted: dict[str, int] = {}
    most = max(ways(tree, holder, counted) for holder in holders)
    if most > MOST_WAYS:
        raise invalid(path, most, f"a portfolio would lead to its strategies on more than {MOST_WAYS} ways")


def deepest_above(tree: Tree, portfolio_id: str, holders: set[str]) -> int:
    """How many portfolios deep the deepest one stands that this one is in, 0 for none."""
    upward = {part: [holder for holder in holders if part in tree[holder]] for part in holders if part in tree}
    return depth(upward, portfolio_id, {}) - 1
