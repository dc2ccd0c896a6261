"""A stand-by: follows the journal of the backend that works, and takes over when its lock is free.

It keeps a book of its own at most FOLLOW_SECONDS behind, so that taking over replays only what came last. It writes
nothing before it has the lock.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque

import psycopg

from copying.backend.state.book import Book
from copying.backend.state.broker_port import Broker
from copying.backend.state.effects import Effects

from . import apply as application
from .journal import Journal

log = logging.getLogger(__name__)
LOCK_SECONDS = 0.1  # how often the lock is tried
FOLLOW_SECONDS = 1.0


class Follower:
    """A book that follows the journal. effects: of its newest entries, those that are not in the tables yet."""

    def __init__(self, journal: Journal, broker: Broker[Book]) -> None:
        self._journal = journal
        self._broker = broker
        self.book: Book | None = None
        self.effects: deque[Effects] = deque()

    async def until_free(self) -> None:
        """Follow until the lock is this journal's. Raises psycopg.Error when the database is gone."""
        loop = asyncio.get_running_loop()
        log.info("Stands by: another backend works on this database")
        next_look = loop.time()
        while not await self._journal.take_lock():
            if loop.time() >= next_look:
                await self._follow()
                next_look = loop.time() + FOLLOW_SECONDS
            await asyncio.sleep(LOCK_SECONDS)
        log.warning("Takes over: the backend that worked is gone")

    async def _follow(self) -> None:
        """Catch up; what cannot be carried out is for the backend that works to mend: begin anew behind it."""
        try:
            await self.catch_up()
        except psycopg.Error:
            raise
        except Exception:
            log.warning("An entry cannot be followed; the stand-by begins anew", exc_info=True)
            self.book = None
            self.effects.clear()

    async def catch_up(self) -> None:
        """Carry out what the journal has beyond the book, and forget effects that are in the tables."""
        if self.book is None:
            self.book, _ = await self._journal.load(self._broker)
            self.book = self.book or Book(self._broker)
            self.book.tenant_names = await self._journal.tenants()
        while entries := await self._journal.entries(self.book.sequence):
            for sequence, entry in entries:
                self.effects.append(application.apply(self.book, entry, sequence))
            await asyncio.sleep(0)
        projected = await self._journal.projected()
        while self.effects and self.effects[0].sequence <= projected:
            self.effects.popleft()
