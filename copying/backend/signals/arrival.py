"""How long a signal had been on its way when it arrived: by the clock on the wall.

Never by the journal's time: a clock that was ahead for a moment leaves that ahead.
"""

from __future__ import annotations

from typing import Any

from copying.backend.state.book import Book
from copying.backend.state.times import moment_of

CLOCK_TOLERANCE_SECONDS = 10.0


def age_of(book: Book, document: dict[str, Any]) -> float:
    """Seconds that an external signal was on its way by its own `time`; clocks a little behind and ahead count as none.

    It shortens the opening window: what was held up longer is not opened at prices that nobody meant.
    """
    received = book.time if book.received is None else book.received
    seconds = received - (moment_of(document.get("time")) or received)
    return seconds if seconds > CLOCK_TOLERANCE_SECONDS else 0.0
