"""The chains of levels that lead to a strategy or portfolio: a portfolio has one per strategy at its leaves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from copying.engine.model import Level
from editing.terms import Chain
from strategies.models import Strategy

DEEPEST = 8
MOST_LEAVES = 20


def strategies_of(connection_id: int) -> dict[str, Strategy]:
    """Every mirrored strategy of a connection by its backend id: portfolios refer to each other."""
    return {s.backend_id: s for s in Strategy.objects.filter(connection_id=connection_id)}


def leaf_chains(strategy_id: str, strategies: Mapping[str, Strategy], depth: int = DEEPEST) -> list[tuple[str, Chain]]:
    """(name of the leaf, its chain down to this strategy) of everything a strategy or portfolio is made of."""
    strategy = strategies.get(strategy_id)
    document: dict[str, Any] = strategy.document if strategy else {}
    members = [m for m in document.get("members") or [] if isinstance(m, dict) and m.get("strategyId")]
    name = strategy.name if strategy else strategy_id
    if not members or depth == 0:
        return [(name, [(Level.STRATEGY, document)])]
    return [
        (leaf, [*chain, (Level.MEMBER, member), (Level.PORTFOLIO, document)])
        for member in members
        for leaf, chain in leaf_chains(member["strategyId"], strategies, depth - 1)
    ]


def leaf_ids(strategy_id: str, strategies: Mapping[str, Strategy], depth: int = DEEPEST) -> set[str]:
    """Backend ids of the strategies that a strategy or portfolio is made of in the end; its own for a strategy."""
    document = strategies[strategy_id].document if strategy_id in strategies else {}
    members = [m["strategyId"] for m in document.get("members") or [] if isinstance(m, dict) and m.get("strategyId")]
    if not members or depth == 0:
        return {strategy_id}
    return {leaf for member in members for leaf in leaf_ids(member, strategies, depth - 1)}


def portfolios_with(strategy_id: str, strategies: Mapping[str, Strategy]) -> list[str]:
    """Backend ids of the portfolios that hold a strategy, directly or through others; nearest first."""
    portfolios: list[str] = []
    wanted = {strategy_id}
    while wanted:
        holders = [
            strategy.backend_id
            for strategy in strategies.values()
            if strategy.backend_id not in portfolios
            and any(
                isinstance(member, dict) and member.get("strategyId") in wanted
                for member in strategy.document.get("members") or []
            )
        ]
        portfolios += holders
        wanted = set(holders)
    return portfolios
