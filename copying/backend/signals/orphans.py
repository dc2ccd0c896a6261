"""Orphans: copies whose signal is over although nobody closed them, and signals whose position at the provider is gone.

The book lets neither arise by itself; a broker that fills an order of an account without connection does, and so does
a state that was put together from elsewhere. Looked for at the start, when an account is back, and when somebody
resynchronises; each is closed with a decision and a line in the log.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from copying.backend.broker.deferred import closing_tickets
from copying.backend.state.book import Book
from copying.backend.state.commands import FindOrphans
from copying.backend.state.effects import Decided, Effects, LogLine
from copying.backend.state.entities import OpenSignal
from copying.engine.model import Decisions, Level, OrderKind, Outcome, Step
from copying.engine.reasons import Reason

from .lifecycle import close_signal

CLOSED = "orphan: its signal is closed"
GONE = "orphan: the provider's position is gone"


def orphan_rows(book: Book, table: Any, account: int = -1) -> np.ndarray:
    """Rows of copies without a signal, on one account or (-1) on all that have a connection."""
    mine = (table.subscription >= 0) & book.accounts.connected[table.account]
    if account >= 0:
        mine &= table.account == account
    alive = np.fromiter(book.signals, dtype=np.int64, count=len(book.signals))
    return np.flatnonzero(mine & ~np.isin(table.signal, alive) & ~np.isin(table.id, closing_tickets(book)))


def gone_signals(book: Book) -> list[OpenSignal]:
    """Signals of provider accounts whose position or order is not there any more."""
    there = {*book.positions.id.tolist(), *book.orders.id.tolist(), *(missed.ticket for missed in book.missed)}
    gone = []
    for signal in book.signals.values():
        if signal.ticket and signal.ticket not in there:
            strategy = book.strategies_by_id[signal.strategy_id]
            account = signal.accounts[0] if signal.accounts else book.account_rows[strategy.document["accountId"]]
            if book.accounts.connected[account]:
                gone.append(signal)
    return gone


def exist(book: Book) -> bool:
    """Whether there is anything to close."""
    return bool(gone_signals(book)) or any(len(orphan_rows(book, table)) for table in (book.positions, book.orders))


def nothing_to_check(book: Book, command: FindOrphans) -> None:
    """It may always be looked."""


def find_orphans(book: Book, command: FindOrphans, effects: Effects) -> None:
    """Everywhere."""
    close_gone(book, effects)
    close_orphans(book, effects)


def close_gone(book: Book, effects: Effects) -> None:
    """End the signals whose position is gone, and their copies."""
    for signal in gone_signals(book):
        copies = [
            np.flatnonzero((table.signal == signal.row) & (table.subscription >= 0))
            for table in (book.positions, book.orders)
        ]
        for table, rows in zip((book.positions, book.orders), copies, strict=True):
            tell(book, effects, table, rows)
        text = "The provider's position is gone: the signal is closed."
        tenant = book.strategy_owners.get(signal.strategy_id, "")
        effects.events.append(LogLine(book.time, tenant, 2, text, signal.strategy_id, "", signal.id, signal.symbol))
        close_signal(book, effects, signal, GONE)


def close_orphans(book: Book, effects: Effects, account: int = -1) -> None:
    """Copies without a signal, on one account or (-1) on all that have a connection."""
    for table in (book.orders, book.positions):
        rows = orphan_rows(book, table, account)
        if not len(rows):
            continue
        tell(book, effects, table, rows)
        if table is book.orders:
            book.broker.cancel(book, rows)
        else:
            book.broker.close(book, effects, rows, CLOSED)


def tell(book: Book, effects: Effects, table: Any, rows: np.ndarray) -> None:
    """A decision, and with it a line in the log, for every copy that is closed."""
    trades = table.take(rows)
    for row in np.unique(trades["signal"]).tolist():
        some = np.flatnonzero(trades["signal"] == row)
        leaf = int(trades["leaf"][some[0]])
        signal = book.signals.get(row) or OpenSignal(
            row=row,
            id=book.ended_signals.get(row, ""),
            strategy_id=book.strategy_names.texts[leaf],
            symbol=book.symbols.texts[trades["symbol"][some[0]]],
            side=int(trades["side"][some[0]]),
            kind=int(OrderKind.MARKET),
            volume=0.0,
            open_volume=0.0,
            price=0.0,
            time=book.time,
        )
        effects.events.append(
            Decided(
                book.time,
                signal,
                decisions_on(book, {name: column[some] for name, column in trades.items()}),
                np.arange(len(some)),
                trades["subscription"][some],
                leaf,
                late=True,
            )
        )


def decisions_on(book: Book, copies: dict[str, np.ndarray]) -> Decisions:
    """What is decided about copies of one signal: nothing of them stays."""
    count = len(copies["id"])
    symbols, numbers = np.unique(copies["symbol"], return_inverse=True)
    return Decisions(
        outcome=np.full(count, Outcome.SKIPPED, np.uint8),
        reason=np.full(count, Reason.ORPHAN, np.uint8),
        level=np.full(count, Level.STRATEGY, np.uint8),
        steps=np.zeros((count, len(Step))),
        limit_value=np.full(count, math.nan),
        symbols=[book.symbols.texts[number] for number in symbols.tolist()],
        symbol=numbers,
        side=copies["side"],
        kind=copies["kind"],
        stop_loss=copies["stop_loss"],
        take_profit=copies["take_profit"],
        delay_s=np.zeros(count),
        notes=np.zeros(count, np.uint8),
    )
