"""What can be removed: one class for each kind, with everything that the kinds differ in.

A kind says whether its object exists and is the caller's, which copies it concerns, how a removal under way shows in
the documents, and how the object leaves the book. When what happens is the same for all: removal.py.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from copying.backend.settings.documents import own_strategy, own_subscriber
from copying.backend.settings.nesting import above, below, tree_of
from copying.backend.state.book import Book
from copying.backend.state.commands import Removable, Remove
from copying.backend.state.effects import Effects, LogLine
from copying.backend.state.entities import Removal
from copying.backend.state.errors import not_found

from .endings import drop_strategy, end_in_document, end_subscription, forget_limits


class RemovableKind(ABC):
    """parts: the kind of its parts, whose own removals end with it. has_time: whether `removeAfter` counts."""

    parts: Removable | None = None
    has_time = True

    @abstractmethod
    def check(self, book: Book, command: Remove) -> None:
        """Raises Refused unless the object exists and is the caller's."""

    @abstractmethod
    def concerns(self, book: Book, removal: Removal) -> np.ndarray:
        """(n_subscriptions,) True for subscriptions whose copies may be of the object."""

    def leaves(self, book: Book, removal: Removal) -> set[str] | None:
        """Ids of the strategies that copies of the object come from; None: any."""
        return None

    @abstractmethod
    def mark(self, book: Book, removal: Removal) -> None:
        """Write the removal into documents, so that no new trades are copied and readers see it."""

    @abstractmethod
    def drop(self, book: Book, effects: Effects, removal: Removal) -> None:
        """Take the object out of the book."""


def flags_of(removal: Removal) -> dict[str, Any]:
    return {"removed": True, "closeOnRemovalMode": removal.mode}


def under(book: Book, strategy_id: str) -> np.ndarray:
    """(n_subscriptions,) True for subscriptions to a strategy, or to a portfolio that it is in."""
    concerned = above(tree_of(book), strategy_id)
    return rows_where(book, [strategy in concerned for _, strategy in book.subscription_keys])


def rows_where(book: Book, answers: list[bool]) -> np.ndarray:
    """(n_subscriptions,), one at least, True behind the end of the answers."""
    rows = np.ones(max(book.subscriptions.size, 1), dtype=bool)
    rows[: len(answers)] = answers
    return rows


class WholeStrategy(RemovableKind):
    """A strategy: its copies are told by their leaf, also where a portfolio has dropped it since."""

    is_portfolio = False

    def check(self, book: Book, command: Remove) -> None:
        own_strategy(book, command.tenant, command.id, portfolio=self.is_portfolio)

    def concerns(self, book: Book, removal: Removal) -> np.ndarray:
        return rows_where(book, [])

    def leaves(self, book: Book, removal: Removal) -> set[str] | None:
        return {removal.id}

    def mark(self, book: Book, removal: Removal) -> None:
        strategy = book.strategies_by_id[removal.id]
        strategy.removal_mode, strategy.remove_after = removal.mode, removal.remove_after
        strategy.document = {**strategy.document, **flags_of(removal)}

    def drop(self, book: Book, effects: Effects, removal: Removal) -> None:
        drop_strategy(book, effects, removal.id)


class WholePortfolio(WholeStrategy):
    """A portfolio: all copies of whoever subscribes to it, or to a portfolio that it is in."""

    is_portfolio = True
    parts: Removable | None = "member"

    def concerns(self, book: Book, removal: Removal) -> np.ndarray:
        return under(book, removal.id)

    def leaves(self, book: Book, removal: Removal) -> set[str] | None:
        return None


class MemberOfPortfolio(RemovableKind):
    """A strategy in a portfolio: `Removal.part` in `Removal.id`."""

    def check(self, book: Book, command: Remove) -> None:
        portfolio = own_strategy(book, command.tenant, command.id, portfolio=True)
        if command.part not in [member["strategyId"] for member in portfolio.document["members"]]:
            raise not_found("Portfolio member")

    def concerns(self, book: Book, removal: Removal) -> np.ndarray:
        return under(book, removal.id)

    def leaves(self, book: Book, removal: Removal) -> set[str] | None:
        return below(tree_of(book), removal.part)

    def mark(self, book: Book, removal: Removal) -> None:
        portfolio = book.strategies_by_id[removal.id]
        portfolio.members_removed = {**portfolio.members_removed, removal.part: removal.mode}
        members = [
            {**member, "closeOnRemovalMode": removal.mode} if member["strategyId"] == removal.part else member
            for member in portfolio.document["members"]
        ]
        portfolio.document = {**portfolio.document, "members": members}

    def drop(self, book: Book, effects: Effects, removal: Removal) -> None:
        portfolio = book.strategies_by_id[removal.id]
        members = [member for member in portfolio.document["members"] if member["strategyId"] != removal.part]
        portfolio.members_removed = {
            key: mode for key, mode in portfolio.members_removed.items() if key != removal.part
        }
        portfolio.document = {**portfolio.document, "members": members}


class WholeSubscriber(RemovableKind):
    """An account with all that it copies."""

    parts: Removable | None = "subscription"

    def check(self, book: Book, command: Remove) -> None:
        own_subscriber(book, command.tenant, command.id)

    def concerns(self, book: Book, removal: Removal) -> np.ndarray:
        return rows_where(book, [subscriber == removal.id for subscriber, _ in book.subscription_keys])

    def mark(self, book: Book, removal: Removal) -> None:
        subscriber = book.subscribers_by_id[removal.id]
        subscriber.removal_mode, subscriber.remove_after = removal.mode, removal.remove_after
        subscriber.document = {**subscriber.document, **flags_of(removal)}

    def drop(self, book: Book, effects: Effects, removal: Removal) -> None:
        subscriber = book.subscribers_by_id.pop(removal.id)
        for subscription in subscriber.document["subscriptions"]:
            end_subscription(book, effects, removal.id, subscription["strategyId"])
        account = book.account_rows.get(removal.id, -1)
        forget_limits(book, (book.limits.account == account) & (book.limits.subscription < 0))
        effects.events.append(LogLine(book.time, subscriber.tenant, 1, "The subscriber was removed.", "", removal.id))


class OneSubscription(RemovableKind):
    """What an account copies of one strategy: `Removal.part` of `Removal.id`."""

    has_time = False

    def check(self, book: Book, command: Remove) -> None:
        subscriber = own_subscriber(book, command.tenant, command.id)
        if command.part not in [terms["strategyId"] for terms in subscriber.document["subscriptions"]]:
            raise not_found("Subscription")

    def concerns(self, book: Book, removal: Removal) -> np.ndarray:
        return rows_where(book, [key == (removal.id, removal.part) for key in book.subscription_keys])

    def mark(self, book: Book, removal: Removal) -> None:
        subscriber = book.subscribers_by_id[removal.id]
        subscriber.subscriptions_removed = {**subscriber.subscriptions_removed, removal.part: removal.mode}
        subscriptions = [
            {**terms, **flags_of(removal)} if terms["strategyId"] == removal.part else terms
            for terms in subscriber.document["subscriptions"]
        ]
        subscriber.document = {**subscriber.document, "subscriptions": subscriptions}

    def drop(self, book: Book, effects: Effects, removal: Removal) -> None:
        end_in_document(book, effects, removal.id, removal.part)


REMOVABLES: dict[Removable, RemovableKind] = {
    "strategy": WholeStrategy(),
    "portfolio": WholePortfolio(),
    "member": MemberOfPortfolio(),
    "subscriber": WholeSubscriber(),
    "subscription": OneSubscription(),
}
