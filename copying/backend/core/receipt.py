"""Whether the clock is believed by which a signal is received (`age_of` in signals/lifecycle.py measures by it)."""

from __future__ import annotations

from copying.backend.state.book import Book
from copying.backend.state.commands import PutSignal
from copying.backend.state.errors import unavailable

from .clock import Clock


def check_clock(book: Book, command: PutSignal, clock: Clock) -> None:
    """Raise Refused when a signal would be measured by a clock that is not believed.

    Only a new one with a time of its own is: what changes a known one, and a webhook's post, whose window begins at
    its receipt, go through.
    """
    is_known = (command.strategy_id, command.signal_id) in book.signal_rows
    if not command.posted and not is_known and not clock.is_confirmed():
        raise unavailable(clock.trouble(book.time))
