"""Removing strategies, portfolios, members, subscribers and subscriptions, at once or gradually (contract, 2.1).

What the kinds of objects differ in stands in removables.py.
"""

from __future__ import annotations

import numpy as np

from copying.backend.broker import deferred
from copying.backend.state.book import Book
from copying.backend.state.commands import Remove
from copying.backend.state.effects import Effects, LogLine
from copying.backend.state.entities import Removal
from copying.backend.state.errors import invalid
from copying.backend.state.tables import TradeTable
from copying.contract.validation import is_removal_time

from .endings import end_subscription
from .removables import REMOVABLES

MODES = ("preserve", "close-gracefully-by-position", "close-gracefully-by-symbol", "close-immediately")
DAY = 86_400.0
CLOCKS_APART = 3_600.0
RELEASES_REST = 2  # entries of these rules and later release what a kept close in part leaves (commands.NEWEST_RULES)


def check_remove(book: Book, command: Remove) -> None:
    """It exists and is the caller's; the mode and the time are allowed."""
    kind = REMOVABLES[command.what]
    kind.check(book, command)
    if command.mode not in MODES:
        raise invalid("mode", command.mode, f"must be one of {', '.join(MODES)}")
    if command.remove_after is None or not kind.has_time:
        return
    # the journal's time may be behind the clock by which the request was checked
    if not is_removal_time(command.remove_after.timestamp() - book.time, tolerance_s=CLOCKS_APART):
        raise invalid("removeAfter", command.remove_after.isoformat(), "must be 30 to 90 days from now")


def remove(book: Book, command: Remove, effects: Effects) -> None:
    """Close, release or wind down."""
    until = command.remove_after.timestamp() if command.remove_after else book.time + 30 * DAY
    removal = Removal(command.what, command.id, command.part, command.mode, until)
    book.removals = [other for other in book.removals if identity(other) != identity(removal)]
    cancel_orders(book, removal)
    if command.mode == "close-immediately":
        book.broker.close(book, effects, np.flatnonzero(scope(book, book.positions, removal)), "removed")
    if command.mode in ("preserve", "close-immediately"):
        drop(book, effects, removal)
        return
    REMOVABLES[removal.what].mark(book, removal)
    book.changed_configuration()
    book.removals.append(removal)
    finish_removals(book, effects)


def identity(removal: Removal) -> tuple[str, str, str]:
    return removal.what, removal.id, removal.part


def scope(book: Book, table: TradeTable, removal: Removal) -> np.ndarray:
    """(n_rows,) True for copied positions or orders that the removal concerns."""
    mask = table.subscription >= 0
    if not mask.any():
        return mask
    kind = REMOVABLES[removal.what]
    mask = mask & kind.concerns(book, removal)[np.maximum(table.subscription, 0)]
    leaves = kind.leaves(book, removal)
    if leaves is None:
        return mask
    return mask & np.isin(table.leaf, [book.strategy_names.find(strategy_id) for strategy_id in leaves])


def cancel_orders(book: Book, removal: Removal) -> None:
    """Copied pending orders of the scope are withdrawn in every mode."""
    orders = np.flatnonzero(scope(book, book.orders, removal))
    if len(orders):
        book.broker.cancel(book, orders)


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
    kind = REMOVABLES[removal.what]
    book.removals = [other for other in book.removals if (other.what, other.id) != (kind.parts, removal.id)]
    kind.drop(book, effects, removal)
    book.changed_configuration()


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
        effects.events.append(LogLine(book.time, subscriber.tenant, 2, text, strategy_id, subscriber_id))
