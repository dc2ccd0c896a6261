"""The terms that hold for a subscription, setting by setting, and the level each comes from.

A portfolio has one chain per strategy at its leaves: strategy -> member -> portfolio ... -> subscription -> account.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from copying.engine.model import Level
from strategies.models import Strategy
from strategies.terms import Chain, Setting, UnreadableTerms, chain_settings
from subscribers.models import Subscriber, Subscription

DEEPEST = 8
MOST_LEAVES = 20


@dataclass(frozen=True)
class Effective:
    """What holds for one strategy at the end of a subscription. name: empty unless it is a part of a portfolio."""

    name: str
    settings: list[Setting]
    problem: str = ""


@dataclass(frozen=True)
class Terms:
    """A subscription as a page shows it: what it changes itself, and what holds in the end."""

    subscription: Subscription
    own: list[Setting]
    effective: list[Effective]


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


def effective_terms(subscription: Subscription, subscriber: Subscriber, strategies: Mapping[str, Strategy]) -> Terms:
    """What holds for a subscription; a document that cannot be read becomes a sentence in its place."""
    below: Chain = [(Level.SUBSCRIPTION, subscription.document), (Level.SUBSCRIBER, subscriber.document)]
    chains = leaf_chains(subscription.strategy_backend_id, strategies)
    found = [_effective(leaf if len(chains) > 1 else "", [*chain, *below]) for leaf, chain in chains[:MOST_LEAVES]]
    own = _effective("", [below[0]], only_set=True)
    return Terms(subscription, own.settings, found)


def _effective(name: str, chain: Chain, *, only_set: bool = False) -> Effective:
    try:
        return Effective(name, chain_settings(chain, only_set=only_set))
    except UnreadableTerms as error:
        return Effective(name, [], error.text)
