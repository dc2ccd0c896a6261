"""One account's fault is that account's: an entry that cannot be carried out for some accounts is carried out without.

When carrying an entry out raises, which only a fault of the program does, the book may be half changed. The core builds
it anew, finds out here for which accounts the entry fails, writes their ids into the entry, so that every replay leaves
out the same, and carries it out for everybody else. Their routes get a failed decision, their log an ERROR; their
positions and orders stay as they are until the next entry of this kind that works.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
import numpy as np

from copying.backend.signals.plans import Plans, learn_parts
from copying.backend.state import snapshot
from copying.backend.state.book import Book
from copying.backend.state.commands import AddNote, Command, CommandEntry, Trade
from copying.backend.state.effects import Effects, LogLine

from .journal import Journal

log = logging.getLogger(__name__)
SEARCH_SECONDS = 10.0  # everybody waits meanwhile; who is still suspected then is left out as well
ERROR = 3
Carry = Callable[["Book", CommandEntry, int], Effects]


# ---------------------------------------------------------------------------------------------------------- searching


def isolate(before: Book, entry: CommandEntry, sequence: int, carry: Carry) -> CommandEntry | None:
    """The entry with the accounts that it fails for, as few as can be; None when it fails whatever is left out.

    before: the state that the entry met, not changed. carry: `apply.apply`.
    """
    packed = snapshot.pack(before)
    everybody = [meta.id for meta in before.account_meta if meta.id != trading_account(entry.command)]
    stop_at = time.monotonic() + SEARCH_SECONDS

    def works(left_out: list[str]) -> bool:
        book = snapshot.unpack(packed, before.broker)
        try:
            carry(book, msgspec.structs.replace(entry, faulty=left_out), sequence)
        except Exception:
            return False
        return True

    def search(suspects: list[str]) -> list[str]:
        if len(suspects) < 2 or time.monotonic() > stop_at:
            return suspects
        faulty = []
        for half in (suspects[: len(suspects) // 2], suspects[len(suspects) // 2 :]):
            part = set(half)
            if not works([account_id for account_id in everybody if account_id not in part]):
                faulty += search(half)
        return faulty or suspects  # it takes accounts of both halves

    def shrunk(faulty: list[str]) -> list[str]:
        """Without those that need not be left out: a half may fail for what only two of its accounts do together."""
        size = len(faulty) // 2
        while size and time.monotonic() < stop_at:
            for start in range(0, len(faulty), size):
                fewer = faulty[:start] + faulty[start + size :]
                if len(fewer) < len(faulty) and works(fewer):
                    return shrunk(fewer)
            size //= 2
        return faulty

    if not everybody or not works(everybody):
        return None
    faulty = search(everybody)
    return msgspec.structs.replace(entry, faulty=shrunk(faulty if works(faulty) else everybody))


def trading_account(command: Command) -> str:
    """The account whose owner trades on it by hand, "" for other commands.

    It is never left out: without it the trade would be answered and not be done.
    """
    return command.account_id if isinstance(command, Trade) else ""


def mend(
    book: Book, journal: Journal, sequence: int, entry: CommandEntry, error: Exception, carry: Carry
) -> tuple[Book, CommandEntry]:
    """The book before an entry that failed, and what can be carried out of the entry; that is written into the journal.

    book: which the entry may have left half changed. carry: `apply.apply`.
    """
    log.critical("Journal entry %s failed", sequence, exc_info=error)
    before, entries = journal.state_before(sequence, book.broker)
    for number, earlier in entries:
        carry(before, earlier, number)
    before.tenant_names, before.upcoming_privacy = book.tenant_names, book.upcoming_privacy
    mended = isolate(before, entry, sequence, carry) or set_aside(entry, error)
    journal.replace(sequence, mended)
    if mended.faulty:
        log.error("Journal entry %s is carried out without the accounts %s", sequence, ", ".join(mended.faulty))
    else:
        log.error("Journal entry %s is set aside", sequence)
    return before, mended


def set_aside(entry: CommandEntry, error: Exception) -> CommandEntry:
    """What stands in the journal for an entry that nobody's absence mends: an error in its user's log."""
    command = entry.command
    what = type(command).__struct_config__.tag
    note = AddNote(
        tenant=command.tenant,
        strategy_id=getattr(command, "strategy_id", ""),
        severity=ERROR,
        message=f"A command ({what}) could not be carried out and was set aside: {type(error).__name__}: {error}",
    )
    # by the entry's own rules: by none, the book's prices would be of the time before them
    return CommandEntry(time=entry.time, received=entry.received, rules=entry.rules, quotes=entry.quotes, command=note)


# -------------------------------------------------------------------------------------------------------- leaving out


@contextmanager
def without(book: Book, account_ids: list[str]) -> Iterator[None]:
    """Leave some accounts out of what is done to the book meanwhile; unknown ones are nobody's."""
    if not account_ids:
        yield
        return
    book.left_out = np.zeros(book.accounts.size, dtype=bool)
    book.left_out[[book.account_rows[account_id] for account_id in account_ids if account_id in book.account_rows]] = (
        True
    )
    plans = book.cache(Plans)
    plans.reduced.clear()
    try:
        yield
    finally:
        book.left_out = None
        for strategy_id in plans.reduced:
            if strategy_id in plans.whole:
                learn_parts(book, plans.whole[strategy_id])
        plans.reduced.clear()


# ------------------------------------------------------------------------------------------------------------ telling


def tell_faults(book: Book, effects: Effects, entry: CommandEntry) -> None:
    """An ERROR in the log of every account that the entry was found to fail for."""
    what = type(entry.command).__struct_config__.tag
    text = (
        f"A fault of the program: a command ({what}) was carried out without this account. Nothing on it was changed."
    )
    for account_id in entry.faulty:
        row = book.account_rows.get(account_id)
        if row is not None:
            tenant = book.account_meta[row].tenant
            effects.events.append(LogLine(book.time, tenant, ERROR, text, "", account_id))
