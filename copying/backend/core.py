"""The single writer: takes commands, journals them, applies them to the book, answers, and lets effects be projected.

It holds the only clock and the only market feed of the backend; the book itself knows neither.
"""

from __future__ import annotations

from typing import Any

from .book import Book
from .changes import Changes, Subscription
from .commands import Command
from .errors import Refused

__all__ = ["Core", "Refused"]


class Core:
    """The embedded backend without HTTP."""

    book: Book

    def __init__(self, database_url: str, feed: Any, *, clock: Any = None) -> None:
        self.book = Book()
        self._changes = Changes()

    async def start(self) -> None:
        """Take the lock, recover the state, begin to write, project and tick. Raises `AlreadyRunning`."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Let waiters go, project what is left, keep a snapshot."""
        raise NotImplementedError

    async def submit(self, command: Command) -> Any:
        """Carry a command out; durable when it returns. Raises Refused and changes nothing.

        Returns None, except: Trade -> {"numericCode", "stringCode", "message", "orderId"?, "positionId"?}.
        """
        raise NotImplementedError

    async def caught_up(self) -> None:
        """Everything acknowledged so far is in the tables."""
        raise NotImplementedError

    @property
    def sequence(self) -> int:
        """Number of the newest journal entry."""
        return self.book.sequence

    @property
    def projected(self) -> int:
        """Up to which entry the tables tell the effects."""
        raise NotImplementedError

    def changes(self, topic: tuple) -> Subscription:
        """What to wait on; topics: ("transactions" | "log" | "stopouts" | "snapshots", tenant)."""
        return self._changes.subscribe(topic)
