"""When a signal arrived, and how long it had been on its way: by the clock on the wall.

Never by the journal's time: a clock that was ahead for a moment leaves that ahead.
"""

from __future__ import annotations

from typing import Any

from .book import Book
from .clock import Clock
from .commands import PutSignal
from .errors import unavailable
from .limits import moment_of

CLOCK_TOLERANCE_SECONDS = 10.0


def check_clock(book: Book, command: PutSignal, clock: Clock) -> None:
    """Raise Refused when a signal would be measured by a clock that is not believed.

    Only a new one with a time of its own is: what changes a known one, and a webhook's post, whose window begins at
    its receipt, go through.
    """
    is_known = (command.strategy_id, command.signal_id) in book.signal_rows
    if not command.posted and not is_known and not clock.is_confirmed():
        raise unavailable(clock.trouble(book.time))


def age_of(book: Book, document: dict[str, Any]) -> float:
    """Seconds that an external signal was on its way by its own `time`; clocks a little behind and ahead count as none.

    It shortens the opening window: what was held up longer is not opened at prices that nobody meant.
    """
    received = book.time if book.received is None else book.received
    seconds = received - (moment_of(document.get("time")) or received)
    return seconds if seconds > CLOCK_TOLERANCE_SECONDS else 0.0
