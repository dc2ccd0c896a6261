"""Consent at work: who may follow what, which subscriptions are without it, and what becomes of those.

A way that leads through a strategy that is not offered to whoever copies on it is no route (copying.engine.routes):
nothing new is opened, decided or shown there. What is open follows until it closes; waiting orders are withdrawn.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from copying.backend.state.book import Book
from copying.backend.state.effects import Effects, LogLine, Withheld
from copying.backend.state.entities import StoredSubscriber
from copying.backend.state.parts import SEPARATOR
from copying.backend.state.privacy import CONSENT
from copying.engine.offers import Owners, first_withheld, is_offered

from .nesting import tree_of

MOST_OFFERED = 1_000


def owners_of(book: Book) -> Owners | None:
    """Whose everything is; None while the journal's entries are from before consent was asked for."""
    if max(book.privacy, book.upcoming_privacy) < CONSENT:
        return None
    return Owners(
        strategies={key: strategy.tenant for key, strategy in book.strategies_by_id.items()},
        subscribers={key: subscriber.tenant for key, subscriber in book.subscribers_by_id.items()},
    )


def may_follow(book: Book, tenant: str, strategy_id: str) -> bool:
    """Whether a tenant may name a strategy or portfolio: it exists and is its own or offered to it."""
    strategy = book.strategies_by_id.get(strategy_id)
    if strategy is None:
        return False
    return owners_of(book) is None or is_offered(strategy.document, strategy.tenant, tenant)


def offered_to(book: Book, tenant: str, *, after: str = "", limit: int = MOST_OFFERED) -> list[dict[str, Any]]:
    """E12: what others offer to a tenant, by ascending id after `after`; never what is being removed."""
    offers = [
        strategy
        for strategy in book.strategies_by_id.values()
        if strategy.tenant != tenant
        and not strategy.removal_mode
        and is_offered(strategy.document, strategy.tenant, tenant)
    ]
    page = sorted((strategy for strategy in offers if strategy.id > after), key=lambda strategy: strategy.id)[:limit]
    return [
        {
            "strategyId": strategy.id,
            "name": strategy.name,
            "description": strategy.document.get("description", ""),
            "portfolio": strategy.is_portfolio,
            "provider": {"id": strategy.tenant, "name": book.tenant_name(strategy.tenant)},
        }
        for strategy in page
    ]


def withheld(book: Book) -> dict[int, str]:
    """Rows of active subscriptions that lead to a strategy that is not offered to their owner, with that strategy."""
    owners = owners_of(book)
    if owners is None:
        return {}
    tree, known, rows = tree_of(book), {}, {}
    for row, (subscriber_id, strategy_id) in enumerate(book.subscription_keys):
        tenant = owners.subscribers.get(subscriber_id)
        if tenant is None or not book.subscriptions.active[row]:
            continue
        if (strategy_id, tenant) not in known:
            known[strategy_id, tenant] = _missing(book, owners, tree, strategy_id, tenant)
        if known[strategy_id, tenant]:
            rows[row] = known[strategy_id, tenant]
    return rows


def _missing(book: Book, owners: Owners, tree: dict[str, list[str]], strategy_id: str, tenant: str) -> str:
    """What is not offered to a subscriber's owner, or to the owner of a portfolio above it; "": everything is."""
    seen: set[tuple[str, tuple[str, ...]]] = set()
    waiting: list[tuple[str, tuple[str, ...]]] = [(strategy_id, (tenant,))]
    while waiting:
        member_id, tenants = waiting.pop()
        strategy = book.strategies_by_id.get(member_id)
        if strategy is None or (member_id, tenants) in seen:
            continue
        seen.add((member_id, tenants))
        if not all(is_offered(strategy.document, strategy.tenant, other) for other in tenants):
            return member_id
        above = tuple(sorted({*tenants, strategy.tenant}))
        waiting += [(member, above) for member in tree.get(member_id, ())]
    return ""


def withheld_keys(book: Book) -> set[tuple[str, str]]:
    """`withheld` as (subscriber id, what is subscribed to)."""
    return {book.subscription_keys[row] for row in withheld(book)}


def marked(subscriber: StoredSubscriber, hidden: set[tuple[str, str]]) -> dict[str, Any]:
    """The document as it is read: subscriptions without consent say `offered: false`. hidden: `withheld_keys`."""
    document = subscriber.document
    if not hidden:
        return document
    subscriptions = [
        {**subscription, "offered": False} if (subscriber.id, subscription["strategyId"]) in hidden else subscription
        for subscription in document.get("subscriptions") or ()
    ]
    return {**document, "subscriptions": subscriptions}


def is_withheld(book: Book, subscription: int, part: int, leaf: int) -> bool:
    """Whether the way of a copy leads through something that is not offered to whoever copies on it."""
    owners = owners_of(book)
    tenant = owners.subscribers.get(book.subscription_keys[subscription][0]) if owners else None
    if owners is None or tenant is None:
        return False
    text = book.paths.texts[book.parts.path[part]] if part >= 0 else book.strategy_names.texts[leaf]
    path = text.split(SEPARATOR)
    documents = {key: strategy.document for key, strategy in book.strategies_by_id.items()}
    holders = {owners.strategies.get(portfolio_id, tenant) for portfolio_id in path[1:]}
    return any(first_withheld(path, copier, documents, owners.strategies) for copier in {tenant, *holders})


def consent_changed(book: Book, effects: Effects, before: dict[int, str]) -> None:
    """Tell the subscriptions that lost consent or have it again, and withdraw the orders that wait without it.

    before: `withheld` before the change.
    """
    after = withheld(book)
    for row in sorted(after.keys() - before.keys()):
        effects.events.append(Withheld(book.time, row))
    for row in sorted(before.keys() - after.keys()):
        subscriber_id, strategy_id = book.subscription_keys[row]
        subscriber = book.subscribers_by_id.get(subscriber_id)
        if subscriber is not None and book.subscriptions.active[row]:
            text = "The strategy is offered to you again: new trades are copied."
            effects.events.append(LogLine(book.time, subscriber.tenant, 1, text, strategy_id, subscriber_id))
    if after:
        withdraw_orders(book, list(after))


def withdraw_orders(book: Book, subscriptions: list[int]) -> None:
    """Copied orders that wait at the broker are no way around consent. subscriptions: rows that lead through a lack."""
    orders = book.orders
    copied = np.flatnonzero(np.isin(orders.subscription, subscriptions)).tolist()
    gone = [
        row
        for row in copied
        if is_withheld(book, int(orders.subscription[row]), int(orders.part[row]), int(orders.leaf[row]))
    ]
    if gone:
        book.broker.cancel(book, np.array(gone))
