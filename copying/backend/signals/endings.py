"""What ends with a strategy, a portfolio, a subscription: it leaves the book, and what hangs on it goes with it.

Nothing here closes a position: whoever ends something has closed or released its copies before (removal.py).
"""

from __future__ import annotations

import numpy as np

from copying.backend.settings import commission
from copying.backend.state.book import Book
from copying.backend.state.effects import Effects, LogLine

from .lifecycle import drop_signal
from .plans import Plans


def drop_strategy(book: Book, effects: Effects, strategy_id: str) -> None:
    """A strategy or portfolio, its signals, webhooks, memberships and subscriptions."""
    strategy = book.strategies_by_id[strategy_id]
    member, parts = book.strategy_names.find(strategy_id), book.parts
    commission.settle_parts(book, effects, (parts.member == member) & book.subscriptions.active[parts.subscription])
    for signal in [signal for signal in book.signals.values() if signal.strategy_id == strategy_id]:
        drop_signal(book, signal)
    for subscriber_id, subscribed in list(book.subscription_keys):
        if subscribed == strategy_id and subscriber_id in book.subscribers_by_id:
            end_in_document(book, effects, subscriber_id, strategy_id)
    for portfolio in book.strategies_by_id.values():
        members = portfolio.document.get("members") or ()
        remaining = [member for member in members if member["strategyId"] != strategy_id]
        if len(remaining) != len(members):
            portfolio.document = {**portfolio.document, "members": remaining}
    book.webhooks_by_id = {key: hook for key, hook in book.webhooks_by_id.items() if hook.strategy_id != strategy_id}
    del book.strategies_by_id[strategy_id]
    book.cache(Plans).whole.pop(strategy_id, None)
    kind = "portfolio strategy" if strategy.is_portfolio else "strategy"
    effects.events.append(LogLine(book.time, strategy.tenant, 1, f"The {kind} was removed.", strategy_id))


def end_in_document(book: Book, effects: Effects, subscriber_id: str, strategy_id: str) -> None:
    """Take a subscription out of its subscriber's document."""
    subscriber = book.subscribers_by_id[subscriber_id]
    subscriptions = subscriber.document["subscriptions"]
    remaining = [terms for terms in subscriptions if terms["strategyId"] != strategy_id]
    if len(remaining) != len(subscriptions):
        subscriber.document = {**subscriber.document, "subscriptions": remaining}
    removed = subscriber.subscriptions_removed
    subscriber.subscriptions_removed = {key: mode for key, mode in removed.items() if key != strategy_id}
    end_subscription(book, effects, subscriber_id, strategy_id)


def end_subscription(book: Book, effects: Effects, subscriber_id: str, strategy_id: str) -> None:
    """Settle and close the books of a subscription."""
    row = book.subscription(subscriber_id, strategy_id)
    if row < 0 or not book.subscriptions.active[row]:
        return
    if book.subscriptions.scheme[row] == commission.HIGH_WATER_MARK:
        commission.settle(book, effects, np.array([row]))
    commission.settle_parts(book, effects, book.parts.subscription == row)
    book.subscriptions.active[row] = False
    forget_limits(book, book.limits.subscription == row)


def forget_limits(book: Book, mask: np.ndarray) -> None:
    """Drop limits and their stopouts."""
    limits = book.limits
    gone = set(zip(limits.account[mask].tolist(), limits.subscription[mask].tolist(), strict=True))
    if gone:
        stopouts = book.active_stopouts
        book.active_stopouts = [event for event in stopouts if (event.account, event.subscription) not in gone]
        book.limits.keep(~mask)
