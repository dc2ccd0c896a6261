"""Chains of copying: what is copied onto an account that provides strategies of its own is a signal of those.

After every entry the copies on such accounts are compared with the signals they gave: new copies are published, changes
and ends are passed on, hop by hop, until nothing is left. It follows from the state alone, so a replay does the same.
Never in a circle: a signal knows the accounts its trade stands on (fan_out.bar) and the strategies it came through.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from copying.backend.state.book import Book
from copying.backend.state.effects import Effects, LogLine
from copying.backend.state.entities import OpenSignal
from copying.backend.state.numbers import counts_of
from copying.engine.model import OrderKind
from copying.engine.routes import MAX_DEPTH
from copying.engine.timing import opening_deadline

from .fan_out import publish
from .lifecycle import (
    add_signal,
    change_signal,
    close_signal,
    fill_signal,
    level,
    lower_volume,
    values_of_trade,
)

MOST_HOPS = MAX_DEPTH
MARKET = int(OrderKind.MARKET)


@dataclass
class Relays:
    """Which accounts copy and provide (`relaying`), and what was seen on them last (`watched`)."""

    version: int = -1
    mask: np.ndarray | None = None
    seen: bytes = b""


def follow(book: Book, effects: Effects, newest: int) -> None:
    """Pass on what the entry did to copies on providers' accounts. newest: the last ticket before the entry."""
    relays = relaying(book)
    if relays is None:
        return
    relays = relays & book.taking_part(np.arange(len(relays)))
    cache = book.cache(Relays)
    while (seen := watched(book, relays)) != cache.seen:
        cache.seen = seen
        before, newest = newest, book.counters["ticket"]
        for signal in [book.signals[row] for row in book.chained]:
            if signal.row in book.signals and relays[signal.accounts[0]]:
                pass_on(book, effects, signal)
        publish_new(book, effects, relays, before, newest)


def relaying(book: Book) -> np.ndarray | None:
    """(n_accounts,) True for accounts that provide a strategy and copy; None while there is none."""
    relays = book.cache(Relays)
    if relays.version != book.version:
        provide = {
            strategy.document.get("accountId", "")
            for strategy in book.strategies_by_id.values()
            if not strategy.is_portfolio
        }
        rows = {book.account_rows[account_id] for account_id in provide & book.subscribers_by_id.keys()}
        rows |= {book.signals[row].accounts[0] for row in book.chained}
        mask = np.zeros(book.accounts.size, dtype=bool)
        mask[list(rows)] = True
        relays.version, relays.mask, relays.seen = book.version, mask if rows else None, b""
    return relays.mask


def watched(book: Book, relays: np.ndarray) -> bytes:
    """Everything about trades on relaying accounts that is passed on, to see whether it changed."""
    parts = [book.accounts.connected[relays].tobytes()]
    for table in (book.positions, book.orders):
        rows = np.flatnonzero(relays[table.account])
        columns = (table.id, table.volume, table.stop_loss, table.take_profit, table.price)
        parts += [column[rows].tobytes() for column in columns]
    return b"|".join(parts)


def pass_on(book: Book, effects: Effects, signal: OpenSignal) -> None:
    """What became of the copy that gives a signal; nothing while its account has no connection."""
    account = signal.accounts[0]
    if not book.accounts.connected[account]:
        return
    for table in (book.positions, book.orders):
        rows = np.flatnonzero(table.id == signal.ticket)
        if len(rows):
            row = int(rows[0])
            price = signal.price if table is book.positions else float(table.price[row])
            change_signal(book, effects, signal, level(table.stop_loss[row]), level(table.take_profit[row]), price)
            lower_volume(book, effects, signal, float(table.volume[row]))
            return
    row = filled_by(book, signal) if signal.kind != MARKET else -1
    if row < 0:
        close_signal(book, effects, signal, "the provider's position, itself a copy, closed")
        return
    if effects.watch is not None:
        effects.watch.next_hop()
    document = book.strategies_by_id[signal.strategy_id].document
    filled_at, price = float(book.positions.time[row]), float(book.positions.price[row])
    is_late = opening_deadline(document, filled_at, 0.0, False) < book.time
    fill_signal(book, effects, signal, price, int(book.positions.id[row]), opens=not is_late)
    pass_on(book, effects, signal)  # what the position has that the order had not


def filled_by(book: Book, signal: OpenSignal) -> int:
    """Row of the position that the copied order of a signal became, -1 when there is none."""
    positions = book.positions
    rows = np.flatnonzero(
        (positions.account == signal.accounts[0])
        & (positions.subscription == signal.subscription)
        & (positions.signal == signal.source)
    )
    mine = signal.strategy_id
    taken = {book.signals[row].ticket for row in book.chained if book.signals[row].strategy_id == mine}
    return next((row for row in rows.tolist() if int(positions.id[row]) not in taken), -1)


def publish_new(book: Book, effects: Effects, relays: np.ndarray, before: int, newest: int) -> None:
    """Copies with tickets behind `before`, up to `newest`, are signals of every strategy of their account."""
    known = {book.signals[row].ticket for row in book.chained}
    for table in (book.positions, book.orders):
        counts = counts_of(table.id, book.secret)
        fresh = relays[table.account] & (table.subscription >= 0) & (counts > before) & (counts <= newest)
        fresh &= book.accounts.connected[table.account]
        for ticket in table.id[fresh].tolist():
            row = np.flatnonzero(table.id == ticket)
            if ticket not in known and len(row):
                publish_copy(book, effects, table, int(row[0]))


def publish_copy(book: Book, effects: Effects, table: Any, row: int) -> None:
    """One copy as a signal, unless it came through the strategy or from too far."""
    source = book.signals.get(int(table.signal[row]))
    if source is None:
        return
    account = int(table.account[row])
    passed = [*source.strategies, source.strategy_id]
    strategies = [
        strategy
        for strategy in book.strategies_of_account(account)
        if strategy.takes_signals and strategy.id not in passed
    ]
    values = {
        **values_of_trade(book, table, row, MARKET if table is book.positions else int(table.kind[row])),
        "accounts": [account, *source.accounts],
        "source": source.row,
        "subscription": int(table.subscription[row]),
        "strategies": passed,
    }
    if effects.watch is not None:
        effects.watch.next_hop()
    for strategy in strategies:
        if len(passed) >= MOST_HOPS:
            text = f"A copy that came through {len(passed)} strategies is not copied any further."
            effects.events.append(
                LogLine(book.time, strategy.tenant, 2, text, strategy.id, position_id=str(values["ticket"]))
            )
            continue
        publish(book, effects, add_signal(book, str(values["ticket"]), strategy.id, **values))
