"""The terms that hold for a subscription, setting by setting, and the level each comes from.

A portfolio has one chain per strategy at its leaves: strategy -> member -> portfolio ... -> subscription -> account.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from copying.engine.model import Level
from editing.terms import Chain, Setting, UnreadableTerms, chain_settings
from strategies.chains import MOST_LEAVES, leaf_chains, strategies_of
from strategies.models import Strategy
from subscribers.models import Subscriber, Subscription

__all__ = ["Effective", "EffectiveTerms", "effective_terms", "leaf_chains", "strategies_of"]


@dataclass(frozen=True)
class Effective:
    """What holds for one strategy at the end of a subscription. name: empty unless it is a part of a portfolio."""

    name: str
    settings: list[Setting]
    problem: str = ""


@dataclass(frozen=True)
class EffectiveTerms:
    """A subscription as a page shows it: what it changes itself, and what holds in the end."""

    subscription: Subscription
    own: list[Setting]
    effective: list[Effective]


def effective_terms(
    subscription: Subscription, subscriber: Subscriber, strategies: Mapping[str, Strategy]
) -> EffectiveTerms:
    """What holds for a subscription; a document that cannot be read becomes a sentence in its place."""
    below: Chain = [(Level.SUBSCRIPTION, subscription.document), (Level.SUBSCRIBER, subscriber.document)]
    chains = leaf_chains(subscription.strategy_backend_id, strategies)
    ends = [_effective(leaf if len(chains) > 1 else "", [*chain, *below]) for leaf, chain in chains[:MOST_LEAVES]]
    own = _effective("", [below[0]], only_set=True)
    return EffectiveTerms(subscription, own.settings, ends)


def _effective(name: str, chain: Chain, *, only_set: bool = False) -> Effective:
    try:
        return Effective(name, chain_settings(chain, only_set=only_set))
    except UnreadableTerms as error:
        return Effective(name, [], error.text)
