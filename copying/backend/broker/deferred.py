"""What cannot be told to an account that has lost its connection to the broker, kept until it is back.

Closes are kept without limit (contract, 4.4 timeSettings). What the broker does by itself (stops, stop out, fills,
expiry) goes on without a connection. An account that an entry is carried out without (core/faults.py) cannot be reached
either: what it missed is made up for by the next look at time and prices.
"""

from __future__ import annotations

import math

import numpy as np

from copying.backend.state.book import Book
from copying.backend.state.entities import NEVER, Event, Missed
from copying.backend.state.tables import TradeTable

LOTS_TOLERANCE = 1e-9


def away(book: Book, table: TradeTable, rows: np.ndarray) -> np.ndarray:
    """(n,) True for rows of positions or orders whose account has no connection, or is left out."""
    accounts = table.account[rows]
    return ~(book.accounts.connected[accounts] & book.taking_part(accounts))


def all_reached(book: Book) -> bool:
    """The usual case, which costs nothing further."""
    return book.left_out is None and bool(book.accounts.connected.all())


def to_catch_up(book: Book) -> list[int]:
    """Rows of the accounts that can be reached and have missed something: they were left out."""
    if not book.missed:
        return []
    accounts = np.unique([missed.account for missed in book.missed])
    return accounts[book.accounts.connected[accounts] & book.taking_part(accounts)].tolist()


def hold_closes(
    book: Book, rows: np.ndarray, cause: str, volumes: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Keep the closes of accounts without connection; the rows and volumes that can be closed now."""
    out = away(book, book.positions, rows)
    positions = book.positions
    for place in np.flatnonzero(out & ~to_release(book, positions, rows)).tolist():
        row = int(rows[place])
        lots = float(positions.volume[row] if volumes is None else volumes[place])
        ticket = int(positions.id[row])
        is_whole = lots >= positions.volume[row] - LOTS_TOLERANCE
        if any(
            missed.ticket == ticket and missed.what == "close" and missed.volume_lots >= lots for missed in book.missed
        ):
            continue  # it is to be closed whole already
        # lots are told from what is open now, so a later close includes the earlier ones
        book.missed = [
            missed for missed in book.missed if missed.ticket != ticket or (missed.what != "close" and not is_whole)
        ]
        if is_whole:
            positions.expires[row] = NEVER
        book.missed.append(Missed(int(positions.account[row]), ticket, "close", cause, lots))
        remember_signal(book, int(positions.signal[row]))
    return rows[~out], None if volumes is None else volumes[~out]


def hold_cancels(book: Book, rows: np.ndarray) -> np.ndarray:
    """Keep the withdrawals of accounts without connection; the rows that can be withdrawn now."""
    rows = np.asarray(rows, dtype=np.intp)
    out = away(book, book.orders, rows)
    for row in rows[out].tolist():
        ticket = int(book.orders.id[row])
        book.missed = [missed for missed in book.missed if missed.ticket != ticket]
        book.missed.append(Missed(int(book.orders.account[row]), ticket, "cancel"))
        remember_signal(book, int(book.orders.signal[row]))
    return rows[~out]


def hold_filled(book: Book, orders: np.ndarray, tickets: np.ndarray) -> None:
    """Orders that filled at the broker before they could be withdrawn: their positions are to be closed instead."""
    late = np.isin(orders, [missed.ticket for missed in book.missed if missed.what == "cancel"])
    if late.any():
        gone = set(orders[late].tolist())
        book.missed = [missed for missed in book.missed if missed.ticket not in gone]
        hold_closes(book, np.flatnonzero(np.isin(book.positions.id, tickets[late])), "its order was withdrawn", None)


def hold_levels(book: Book, table: TradeTable, rows: np.ndarray, stop: np.ndarray, take: np.ndarray) -> np.ndarray:
    """Keep new stops of accounts without connection. (n,) True for rows that can be changed now."""
    out = away(book, table, rows)
    for place in np.flatnonzero(out & ~to_release(book, table, rows)).tolist():
        row = int(rows[place])
        ticket = int(table.id[row])
        book.missed = [missed for missed in book.missed if (missed.ticket, missed.what) != (ticket, "levels")]
        levels = [None if math.isnan(level) else float(level) for level in (stop[place], take[place])]
        book.missed.append(
            Missed(int(table.account[row]), ticket, "levels", stop_loss=levels[0], take_profit=levels[1])
        )
    return ~out


def hold_release(book: Book, rows: np.ndarray) -> None:
    """Keep for copies that are to be closed in part that what is left then is their account's owner's.

    From now on nothing further is kept for them: it would be done to the owner's position.
    """
    for row in rows[~to_release(book, book.positions, rows)].tolist():
        hold_event(book, int(book.positions.account[row]), int(book.positions.id[row]), "release")
        book.positions.expires[row] = NEVER


def to_release(book: Book, table: TradeTable, rows: np.ndarray) -> np.ndarray:
    """(n,) True for rows of copies that become their owner's as soon as their account is back."""
    return np.isin(table.id[rows], [missed.ticket for missed in book.missed if missed.what == "release"])


def hold_event(book: Book, account: int, ticket: int, what: Event, order: int = 0) -> None:
    """Keep what happened to a provider's position: "provider-closed", or "provider-filled" of the order `order`."""
    book.missed.append(Missed(account, ticket, what, order=order))


def remember_signal(book: Book, row: int) -> None:
    """Keep the id of a signal for the deals that its copies will still make."""
    if row in book.signals:
        book.ended_signals[row] = book.signals[row].id


def closing_tickets(book: Book) -> list[int]:
    """Positions and orders that are to end, positions in part or whole, as soon as their account is back."""
    return [missed.ticket for missed in book.missed if missed.what in ("close", "cancel")]


def ending_copies(book: Book) -> np.ndarray:
    """(n_positions,) True for those of which no copy is to be left as soon as their account is back."""
    lots = {missed.ticket: missed.volume_lots for missed in book.missed if missed.what == "close"}
    whole = np.isin(book.positions.id, list(lots))
    for row in np.flatnonzero(whole).tolist():
        whole[row] = lots[int(book.positions.id[row])] >= book.positions.volume[row] - LOTS_TOLERANCE
    return whole | to_release(book, book.positions, np.arange(book.positions.size))
