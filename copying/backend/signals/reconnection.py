"""Accounts that lose their connection to the broker and come back: what was missed is made up for, in order.

Opens are retried inside their window, closes without limit (contract, 4.4 timeSettings).
"""

from __future__ import annotations

import math

import numpy as np

from copying.backend.broker import deferred
from copying.backend.settings.documents import own_strategy
from copying.backend.state.accounts import own_account
from copying.backend.state.book import Book
from copying.backend.state.commands import AddNote, SetConnection
from copying.backend.state.effects import Effects, LogLine
from copying.backend.state.entities import Missed
from copying.backend.state.tables import TradeTable
from copying.engine.model import OrderKind
from copying.engine.reasons import Reason
from copying.engine.timing import opening_deadline

from . import orphans, removal
from .delays import apply_delayed
from .levels import refused_levels, refused_prices, tell_kept
from .lifecycle import close_signal, fill_orders, fill_signal, shrink_orders


def check_connection(book: Book, command: SetConnection) -> None:
    """The account is the caller's."""
    own_account(book, command.tenant, command.account_id)


def set_connection(book: Book, command: SetConnection, effects: Effects) -> None:
    """Note the state; with the connection back, make up for what was missed."""
    account = book.account_rows[command.account_id]
    if bool(book.accounts.connected[account]) == command.is_connected:
        return
    book.accounts.connected[account] = command.is_connected
    words = "is back" if command.is_connected else "is lost: signals are retried, closes are kept"
    text = f"The connection to the broker {words}."
    effects.events.append(
        LogLine(book.time, command.tenant, 1 if command.is_connected else 2, text, "", command.account_id)
    )
    if command.is_connected:
        catch_up(book, effects, account)


def catch_up(book: Book, effects: Effects, account: int) -> None:
    """Closes, levels and withdrawals that were kept; orders whose signal is a position by now; orphans; retries.

    Of an account that is left out nothing is done now: the next look at time and prices does it
    (`deferred.to_catch_up`).
    """
    if not book.taking_part(np.array([account]))[0]:
        deferred.hold_event(book, account, 0, "reconnected")
        return
    events = [event for event in book.missed if event.account == account]
    book.missed = [event for event in book.missed if event.account != account]
    for event in sorted(events, key=lambda event: event.what == "release"):  # which is about what closes leave
        make_up(book, effects, event)
    settle_orders(book, effects, account)
    orphans.close_orphans(book, effects, account)
    if not book.missed:
        book.ended_signals.clear()
    delayed = book.delayed
    accounts = book.subscriptions.account[delayed.subscription] if delayed.size else np.empty(0)
    waiting = (delayed.reason == Reason.OFFLINE) & (accounts == account)
    if waiting.any():
        delayed.due[waiting] = book.time
        apply_delayed(book, effects)


def make_up(book: Book, effects: Effects, event: Missed) -> None:
    """One thing that was missed; nothing when the position or order is gone meanwhile."""
    if event.what == "provider-closed":
        for signal in [signal for signal in book.signals.values() if signal.ticket == event.ticket]:
            close_signal(book, effects, signal, "the provider's position closed without a connection")
        return
    if event.what == "provider-filled":
        provider_filled(book, effects, event)
        return
    rows = np.flatnonzero(book.positions.id == event.ticket)
    orders = np.flatnonzero(book.orders.id == event.ticket)
    if event.what == "close" and len(rows):
        lots = np.array([event.volume_lots])
        book.broker.close(book, effects, rows, f"{event.cause}, made up for", lots)
    elif event.what == "release":
        removal.release(book, book.positions.id == event.ticket)
    elif event.what == "cancel" and len(orders):
        book.broker.cancel(book, orders)
    elif event.what == "levels":
        for table, own in ((book.positions, rows), (book.orders, orders)):
            make_up_levels(book, effects, event, table, own)


def make_up_levels(book: Book, effects: Effects, event: Missed, table: TradeTable, rows: np.ndarray) -> None:
    """New stops that were missed; what the broker refuses by now stays as it is."""
    signal = book.signals.get(int(table.signal[rows[0]])) if len(rows) else None
    stop, take = (
        np.full(len(rows), math.nan if level is None else level) for level in (event.stop_loss, event.take_profit)
    )
    if signal is not None:
        present = table.stop_loss[rows], table.take_profit[rows]
        wrong = refused_levels(book, signal, table, rows, stop, take)
        for what, level, is_wrong, old in zip(("stop loss", "take profit"), (stop, take), wrong, present, strict=True):
            is_wrong &= level != old
            if is_wrong.any():
                tell_kept(book, effects, signal, table, rows[is_wrong], what, level[is_wrong])
                level[is_wrong] = old[is_wrong]
    table.stop_loss[rows], table.take_profit[rows] = stop, take


def provider_filled(book: Book, effects: Effects, event: Missed) -> None:
    """A provider's order that became a position unnoticed: late opens only inside the opening window."""
    rows = np.flatnonzero(book.positions.id == event.ticket)
    order = event.order or int(event.cause)
    for signal in [signal for signal in book.signals.values() if signal.ticket == order]:
        if not len(rows):
            close_signal(book, effects, signal, "the provider's position closed without a connection")
            continue
        row = int(rows[0])
        document = book.strategies_by_id[signal.strategy_id].document
        is_late = opening_deadline(document, float(book.positions.time[row]), 0.0, False) < book.time
        fill_signal(book, effects, signal, float(book.positions.price[row]), event.ticket, opens=not is_late)


def settle_orders(book: Book, effects: Effects, account: int) -> None:
    """Pending copies whose signal was changed or filled meanwhile."""
    for ticket in book.orders.id[(book.orders.account == account) & (book.orders.subscription >= 0)].tolist():
        row = int(np.flatnonzero(book.orders.id == ticket)[0])
        signal = book.signals.get(int(book.orders.signal[row]))
        if signal is None:
            continue
        if signal.kind == OrderKind.MARKET:
            fill_orders(book, effects, np.array([row]), signal.id)
            continue
        share = signal.volume / signal.open_volume
        if not refused_prices(book, signal, np.array([row]), signal.price)[0]:
            book.orders.price[row] = signal.price
        shrink_orders(book, np.array([row]), share)


def check_note(book: Book, command: AddNote) -> None:
    """The strategy is the caller's."""
    own_strategy(book, command.tenant, command.strategy_id)


def note(book: Book, command: AddNote, effects: Effects) -> None:
    """A line for a strategy's log."""
    effects.events.append(LogLine(book.time, command.tenant, command.severity, command.message, command.strategy_id))
