"""Removing strategies, portfolios, members, subscribers and subscriptions, at once or gradually (contract, 2.1)."""

from __future__ import annotations

import numpy as np

from copying.backend.broker import deferred
from copying.backend.settings import commission
from copying.backend.settings.documents import own_strategy, own_subscriber
from copying.backend.settings.nesting import above, below, tree_of
from copying.backend.state.book import Book
from copying.backend.state.commands import Remove
from copying.backend.state.effects import Effects, LogLine
from copying.backend.state.entities import Removal
from copying.backend.state.errors import invalid, not_found
from copying.contract.validation import is_removal_time

from .lifecycle import drop_signal
from .plans import Plans

MODES = ("preserve", "close-gracefully-by-position", "close-gracefully-by-symbol", "close-immediately")
DAY = 86_400.0
CLOCKS_APART = 3_600.0
RELEASES_REST = 2  # entries of these rules and later release what a kept close in part leaves (commands.NEWEST_RULES)


def check_remove(book: Book, command: Remove) -> None:
    """It exists and is the caller's; the mode and the time are allowed."""
    if command.what in ("strategy", "portfolio"):
        own_strategy(book, command.tenant, command.id, portfolio=command.what == "portfolio")
    elif command.what == "member":
        portfolio = own_strategy(book, command.tenant, command.id, portfolio=True)
        if command.part not in [member["strategyId"] for member in portfolio.document["members"]]:
            raise not_found("Portfolio member")
    else:
        subscriber = own_subscriber(book, command.tenant, command.id)
        subscribed = [each["strategyId"] for each in subscriber.document["subscriptions"]]
        if command.what == "subscription" and command.part not in subscribed:
            raise not_found("Subscription")
    if command.mode not in MODES:
        raise invalid("mode", command.mode, f"must be one of {', '.join(MODES)}")
    if command.remove_after is None or command.what == "subscription":
        return
    # the journal's time may be behind the clock by which the request was checked
    if not is_removal_time(command.remove_after.timestamp() - book.time, tolerance_s=CLOCKS_APART):
        raise invalid("removeAfter", command.remove_after.isoformat(), "must be 30 to 90 days from now")


def remove(book: Book, command: Remove, effects: Effects) -> None:
    """Close, release or wind down."""
    until = command.remove_after.timestamp() if command.remove_after else book.time + 30 * DAY
    removal = Removal(command.what, command.id, command.part, command.mode, until)
    book.removals = [each for each in book.removals if (each.what, each.id, each.part) != identity(removal)]
    cancel_orders(book, removal)
    if command.mode == "close-immediately":
        book.broker.close(book, effects, np.flatnonzero(scope(book, book.positions, removal)), "removed")
    if command.mode in ("preserve", "close-immediately"):
        drop(book, effects, removal)
        return
    mark(book, removal)
    book.removals.append(removal)
    finish_removals(book, effects)


def identity(removal: Removal) -> tuple[str, str, str]:
    return removal.what, removal.id, removal.part


def scope(book: Book, table, removal: Removal) -> np.ndarray:
    """(n_rows,) True for copied positions or orders that the removal concerns."""
    mask = table.subscription >= 0
    if not mask.any():
        return mask
    rows = np.ones(max(book.subscriptions.size, 1), dtype=bool)
    if removal.what != "strategy":  # its leaf decides, also where a portfolio has dropped it since
        concerned = above(tree_of(book), removal.id) if removal.what in ("portfolio", "member") else set()
        for row, key in enumerate(book.subscription_keys):
            rows[row] = _concerns(removal, key, concerned)
    mask = mask & rows[np.maximum(table.subscription, 0)]
    if removal.what not in ("strategy", "member"):
        return mask
    leaves = {removal.id} if removal.what == "strategy" else below(tree_of(book), removal.part)
    return mask & np.isin(table.leaf, [book.strategy_names.find(each) for each in leaves])


def _concerns(removal: Removal, key: tuple[str, str], concerned: set[str]) -> bool:
    if removal.what == "subscriber":
        return key[0] == removal.id
    if removal.what == "subscription":
        return key == (removal.id, removal.part)
    return key[1] in concerned


def cancel_orders(book: Book, removal: Removal) -> None:
    """Copied pending orders of the scope are withdrawn in every mode."""
    orders = np.flatnonzero(scope(book, book.orders, removal))
    if len(orders):
        book.broker.cancel(book, orders)


def mark(book: Book, removal: Removal) -> None:
    """Write the removal into documents, so that no new trades are copied and readers see it."""
    flags = {"removed": True, "closeOnRemovalMode": removal.mode}
    if removal.what in ("strategy", "portfolio"):
        strategy = book.strategies_by_id[removal.id]
        strategy.removal_mode, strategy.remove_after = removal.mode, removal.remove_after
        strategy.document = {**strategy.document, **flags}
    elif removal.what == "member":
        portfolio = book.strategies_by_id[removal.id]
        portfolio.members_removed = {**portfolio.members_removed, removal.part: removal.mode}
        members = [
            {**member, "closeOnRemovalMode": removal.mode} if member["strategyId"] == removal.part else member
            for member in portfolio.document["members"]
        ]
        portfolio.document = {**portfolio.document, "members": members}
    elif removal.what == "subscriber":
        subscriber = book.subscribers_by_id[removal.id]
        subscriber.removal_mode, subscriber.remove_after = removal.mode, removal.remove_after
        subscriber.document = {**subscriber.document, **flags}
    else:
        subscriber = book.subscribers_by_id[removal.id]
        subscriber.subscriptions_removed = {**subscriber.subscriptions_removed, removal.part: removal.mode}
        subscriptions = [
            {**each, **flags} if each["strategyId"] == removal.part else each
            for each in subscriber.document["subscriptions"]
        ]
        subscriber.document = {**subscriber.document, "subscriptions": subscriptions}
    book.changed_configuration()


def finish_removals(book: Book, effects: Effects) -> None:
    """Drop what has no copied position left, or whose time has come (positions left then are released)."""
    for removal in list(book.removals):
        if removal not in book.removals:
            continue  # what it was a part of is gone
        if book.time >= removal.remove_after or not scope(book, book.positions, removal).any():
            book.removals.remove(removal)
            drop(book, effects, removal)


def drop(book: Book, effects: Effects, removal: Removal) -> None:
    """Take the object out of the book. Copied positions still there stay on the accounts as their owners'."""
    cancel_orders(book, removal)  # by-symbol lets new ones come while it winds down
    release(book, scope(book, book.positions, removal))
    parts = {"subscriber": "subscription", "portfolio": "member"}.get(removal.what)
    book.removals = [each for each in book.removals if (each.what, each.id) != (parts, removal.id)]
    if removal.what in ("strategy", "portfolio"):
        drop_strategy(book, effects, removal.id)
    elif removal.what == "member":
        portfolio = book.strategies_by_id[removal.id]
        members = [member for member in portfolio.document["members"] if member["strategyId"] != removal.part]
        portfolio.members_removed = {
            key: mode for key, mode in portfolio.members_removed.items() if key != removal.part
        }
        portfolio.document = {**portfolio.document, "members": members}
    elif removal.what == "subscriber":
        subscriber = book.subscribers_by_id.pop(removal.id)
        for subscription in subscriber.document["subscriptions"]:
            end_subscription(book, effects, removal.id, subscription["strategyId"])
        account = book.account_rows.get(removal.id, -1)
        forget_limits(book, (book.limits.account == account) & (book.limits.subscription < 0))
        effects.told.append(LogLine(book.time, subscriber.tenant, 1, "The subscriber was removed.", "", removal.id))
    else:
        end_in_document(book, effects, removal.id, removal.part)
    book.changed_configuration()


def drop_strategy(book: Book, effects: Effects, strategy_id: str) -> None:
    """A strategy or portfolio, its signals, webhooks, memberships and subscriptions."""
    strategy = book.strategies_by_id[strategy_id]
    member, parts = book.strategy_names.find(strategy_id), book.parts
    commission.settle_parts(book, effects, (parts.member == member) & book.subscriptions.active[parts.subscription])
    for signal in [each for each in book.signals.values() if each.strategy_id == strategy_id]:
        drop_signal(book, signal)
    for subscriber_id, subscribed in list(book.subscription_keys):
        if subscribed == strategy_id and subscriber_id in book.subscribers_by_id:
            end_in_document(book, effects, subscriber_id, strategy_id)
    for portfolio in book.strategies_by_id.values():
        members = portfolio.document.get("members") or ()
        remaining = [member for member in members if member["strategyId"] != strategy_id]
        if len(remaining) != len(members):
            portfolio.document = {**portfolio.document, "members": remaining}
    book.webhooks_by_id = {key: each for key, each in book.webhooks_by_id.items() if each.strategy_id != strategy_id}
    del book.strategies_by_id[strategy_id]
    book.cache(Plans).whole.pop(strategy_id, None)
    kind = "portfolio strategy" if strategy.is_portfolio else "strategy"
    effects.told.append(LogLine(book.time, strategy.tenant, 1, f"The {kind} was removed.", strategy_id))


def end_in_document(book: Book, effects: Effects, subscriber_id: str, strategy_id: str) -> None:
    """Take a subscription out of its subscriber's document."""
    subscriber = book.subscribers_by_id[subscriber_id]
    subscriptions = subscriber.document["subscriptions"]
    remaining = [each for each in subscriptions if each["strategyId"] != strategy_id]
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
        book.active_stopouts = [each for each in book.active_stopouts if (each.account, each.subscription) not in gone]
        book.limits.keep(~mask)


def release(book: Book, mask: np.ndarray) -> None:
    """Copied positions become the account owner's own: no longer managed."""
    positions = book.positions
    if book.missed:  # what still has to be closed stays a copy until it is
        closing = mask & np.isin(positions.id, deferred.closing_tickets(book))
        mask = mask & ~closing
        if book.rules >= RELEASES_REST:
            deferred.hold_release(book, np.flatnonzero(closing))
    positions.subscription[mask] = -1
    positions.signal[mask] = -1
    positions.leaf[mask] = -1
    positions.part[mask] = -1
    positions.expires[mask] = np.inf
    book.valued = False


def drop_subscriptions(book: Book, effects: Effects, rows: list[int]) -> None:
    """Subscriptions that a new document leaves out end like removed ones: closed at once, told as a warning."""
    for row in rows:
        if row < 0:
            continue
        subscriber_id, strategy_id = book.subscription_keys[row]
        removal = Removal("subscription", subscriber_id, strategy_id, "close-immediately", book.time)
        cancel_orders(book, removal)
        book.broker.close(book, effects, np.flatnonzero(scope(book, book.positions, removal)), "no longer subscribed")
        end_subscription(book, effects, subscriber_id, strategy_id)
        subscriber = book.subscribers_by_id[subscriber_id]
        text = "The subscription is missing in the new settings: it ended and its positions were closed."
        effects.told.append(LogLine(book.time, subscriber.tenant, 2, text, strategy_id, subscriber_id))
