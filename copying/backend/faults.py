"""One account's fault is that account's: an entry that cannot be carried out for some accounts is carried out without.

When carrying an entry out raises, which only a fault of the program does, the book may be half changed. The core builds
it anew, finds out here for which accounts the entry fails, writes their ids into the entry, so that every replay leaves
out the same, and carries it out for everybody else. Their routes get a failed decision, their log an ERROR; their
positions and orders stay as they are until the next entry of this kind that works.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from copying.engine.model import Decisions, Level, Outcome
from copying.engine.reasons import Reason

from . import snapshot
from .commands import Entry, Note
from .effects import Decided, Effects, Line
from .left_out import left_out_ids
from .state import Signal

if TYPE_CHECKING:
    from .book import Book

SEARCH_SECONDS = 10.0  # everybody waits meanwhile; who is still suspected then is left out as well
ERROR = 3
Carry = Callable[["Book", Entry, int], Effects]


# ---------------------------------------------------------------------------------------------------------- searching


def isolate(before: Book, entry: Entry, sequence: int, carry: Carry) -> Entry | None:
    """The entry with the accounts that it fails for, as few as can be; None when it fails whatever is left out.

    before: the state that the entry met, not changed. carry: `apply.apply`.
    """
    packed = snapshot.pack(before)
    everybody = [meta.id for meta in before.account_meta]
    stop_at = time.monotonic() + SEARCH_SECONDS

    def works(left_out: list[str]) -> bool:
        book = snapshot.unpack(packed)
        try:
            carry(book, msgspec.structs.replace(entry, faulty=left_out), sequence)
        except Exception:
            return False
        return True

    def search(suspects: list[str]) -> list[str]:
        if len(suspects) < 2 or time.monotonic() > stop_at:
            return suspects
        found = []
        for half in (suspects[: len(suspects) // 2], suspects[len(suspects) // 2 :]):
            part = set(half)
            if not works([each for each in everybody if each not in part]):
                found += search(half)
        return found or suspects  # it takes accounts of both halves

    if not everybody or not works(everybody):
        return None
    faulty = search(everybody)
    return msgspec.structs.replace(entry, faulty=faulty if works(faulty) else everybody)


def set_aside(entry: Entry, error: Exception) -> Entry:
    """What stands in the journal for an entry that nobody's absence mends: an error in its user's log."""
    command = entry.command
    what = type(command).__struct_config__.tag
    note = Note(
        tenant=command.tenant,
        strategy_id=getattr(command, "strategy_id", ""),
        severity=ERROR,
        message=f"A command ({what}) could not be carried out and was set aside: {type(error).__name__}: {error}",
    )
    return Entry(time=entry.time, quotes=entry.quotes, command=note)


# ------------------------------------------------------------------------------------------------------------ telling


def tell_faults(book: Book, effects: Effects, entry: Entry) -> None:
    """An ERROR in the log of every account that the entry was found to fail for."""
    what = type(entry.command).__struct_config__.tag
    text = (
        f"A fault of the program: a command ({what}) was carried out without this account. Nothing on it was changed."
    )
    for account_id in entry.faulty:
        row = book.account_rows.get(account_id)
        if row is not None:
            tenant = book.account_meta[row].tenant
            effects.told.append(Line(book.time, tenant, ERROR, text, "", account_id))


def tell_routes(book: Book, effects: Effects, signal: Signal) -> None:
    """A failed decision for every subscription by which an account that is left out copies the signal's strategy."""
    rows = []
    for account_id in left_out_ids(book):
        subscriber = book.subscribers_by_id.get(account_id)
        for each in subscriber.document["subscriptions"] if subscriber else ():
            row = book.subscription(account_id, each["strategyId"])
            if row >= 0 and leads_to(book, each["strategyId"], signal.strategy_id):
                rows.append(row)
    if rows:
        shown = msgspec.structs.replace(signal)
        leaf, count = book.strategy_names.number(signal.strategy_id), len(rows)
        decisions = failed(signal, count)
        effects.told.append(
            Decided(book.time, shown, decisions, np.arange(count), np.array(rows, dtype=np.intp), leaf, False)
        )


def failed(signal: Signal, count: int) -> Decisions:
    """Decisions of routes that a fault kept from being decided."""
    steps = np.zeros((count, 6))
    steps[:, 0] = signal.volume
    return Decisions(
        outcome=np.full(count, Outcome.FAILED, np.uint8), reason=np.full(count, Reason.PROGRAM_FAULT, np.uint8),
        level=np.full(count, Level.SUBSCRIBER, np.uint8), steps=steps, limit_value=np.full(count, math.nan),
        symbols=[signal.symbol], symbol=np.zeros(count, np.intp), side=np.full(count, signal.side, np.int8),
        kind=np.full(count, signal.kind, np.uint8), stop_loss=np.full(count, math.nan),
        take_profit=np.full(count, math.nan), delay_s=np.zeros(count), notes=np.zeros(count, np.uint8),
    )  # fmt: skip


def leads_to(book: Book, strategy_id: str, leaf: str, visited: tuple[str, ...] = ()) -> bool:
    """Whether a strategy is the leaf, or a portfolio that holds it."""
    if strategy_id == leaf:
        return True
    strategy = book.strategies_by_id.get(strategy_id)
    if strategy is None or strategy_id in visited:
        return False
    members = strategy.document.get("members") or ()
    return any(leads_to(book, each["strategyId"], leaf, (*visited, strategy_id)) for each in members)
