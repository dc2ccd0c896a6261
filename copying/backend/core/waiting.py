"""AnyCommands on their way to the journal, with whoever waits for what comes of them."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from copying.backend.state.book import Book
from copying.backend.state.commands import AnyCommand, Once
from copying.backend.state.errors import Refused

from . import idempotency


class Waiting(NamedTuple):
    """future: of whoever waits for the answer, None: nobody; received: seconds on a monotonic clock."""

    command: AnyCommand
    future: asyncio.Future | None
    received: float
    once: Once | None = None

    @property
    def key(self) -> tuple[str, str] | None:
        """What no two commands of one group may have in common: the later is answered as the earlier will be."""
        return None if self.once is None else (self.once.caller, self.once.key)

    def tell(self, answer: Any) -> None:
        """Answer whoever waits and has not gone; an exception is raised there."""
        if self.future is None or self.future.done():
            return
        if isinstance(answer, Exception):
            self.future.set_exception(answer)
        else:
            self.future.set_result(answer)

    def is_answered(self, book: Book) -> bool:
        """Whether the request was carried out before, and is told what it was told then, or its key was another's."""
        if self.once is None:
            return False
        try:
            answer = idempotency.answer_before(book, self.once)
        except Refused as refused:
            self.tell(refused)
            return True
        if answer is not None:
            self.tell(answer.answer)
        return answer is not None
