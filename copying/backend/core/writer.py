"""The embedded backend without HTTP: recovers the state, takes commands, moves prices and time, projects effects.

How a command is carried out stands in group_commit.py. The core holds the only clock and the only market feed; the book
knows neither.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from typing import Any

from copying.backend.broker.paper import PaperBroker
from copying.backend.market.feed import Feed
from copying.backend.settings.rules import NEWEST
from copying.backend.settings.sealing import reseal_book
from copying.backend.signals import orphans
from copying.backend.state.book import Book
from copying.backend.state.broker_port import Broker
from copying.backend.state.commands import (
    FindOrphans,
    SetBrokerClock,
    Tick,
)
from copying.backend.state.errors import CannotReplay, Refused

from . import apply as application
from . import ticks
from .announcements import Changes, Listener
from .clock import Clock
from .faults import without
from .following import Follower
from .group_commit import LEFT_OUT_SECONDS, GroupCommit
from .journal import AlreadyRunning, Journal
from .plans_ahead import PlansAhead
from .projector import Projector

__all__ = ["AlreadyRunning", "CannotReplay", "Core", "Refused"]

log = logging.getLogger(__name__)
TICK_SECONDS = 0.25
SNAPSHOT_SECONDS = 3600.0


def die(reason: str) -> None:
    """Crash only: what is not durable must not be answered, and a restart repairs everything."""
    log.critical("%s; the backend ends and recovers at its next start", reason)
    os._exit(3)


class Core(GroupCommit):
    """The embedded backend without HTTP.

    clock: UTC seconds, believed whatever they say where it is no Clock. fail: what to do when the journal or the
    projector cannot write. journal, projector: what keeps entries and records; the simulation gives its own, which die
    on command. broker_offset_hours: of the broker's clock from UTC.
    """

    def __init__(
        self,
        database_url: str,
        feed: Feed,
        *,
        clock: Clock | Callable[[], float] = time.time,
        fail: Callable[[str], None] = die,
        journal: type[Journal] = Journal,
        projector: type[Projector] = Projector,
        broker: Broker[Book] | None = None,
        broker_offset_hours: float = 0.0,
    ) -> None:
        super().__init__(broker or PaperBroker(), clock)
        self._broker_offset_hours = broker_offset_hours
        self.feed = feed
        self._database_url = database_url
        self._changes = Changes()
        self._fail = fail
        self._journal_type = journal
        self._projector_type = projector
        self._tasks: list[asyncio.Task] = []
        self._is_open = False  # the journal is, and has to be closed
        self._plans_ahead = PlansAhead()
        self._followed: Follower | None = None  # what a stand-by has carried out already

    # -------------------------------------------------------------------------------------------------------- lifetime

    async def stand_by(self) -> None:
        """Follow the backend that works until its lock is free and this core has it; then `start`."""
        self._journal = await self._journal_type.connect(self._database_url)
        self._is_open = True
        self._followed = Follower(self._journal, self.broker)
        await self._followed.until_free()

    async def start(self, *, ticking: bool = True) -> None:
        """Take the lock, recover the state, begin to write, project and tick. Raises AlreadyRunning, CannotReplay.

        After `stand_by` the lock is there, and most of the state.
        """
        if not self._is_open:
            self._journal = await self._journal_type.open(self._database_url)
            self._is_open = True
        while not await self._recover():
            pass
        self._journal.watch(lambda: self._fail("The connection that holds the lock is gone"))
        reseal_book(self.book)
        await self.clock.begin()
        self.clock.report(self.book.time)
        await self._projector.connect(self._database_url)
        self._pending_quotes = dict(self.book.quotes)  # a snapshot may hold prices that no entry carries
        self._tasks = [
            asyncio.create_task(self._guard(self._projector.run(), "The projector cannot write")),
            asyncio.create_task(self._guard(self._write(), "The journal cannot be written")),
        ]
        self.book.upcoming_privacy = NEWEST
        if self.book.broker_ahead != self._broker_offset_hours * 3600:
            self._queue(SetBrokerClock(tenant="", offset_hours=self._broker_offset_hours))
        if ticking:
            self.look_at_market()
        if orphans.exist(self.book):
            self._queue(FindOrphans(tenant=""))
        if ticking:
            self._tasks.append(asyncio.create_task(self._guard(self._tick(), "The ticker failed")))
            watched = self.clock.watch(lambda: self.book.time)
            self._tasks.append(asyncio.create_task(self._guard(watched, "The clock cannot be watched")))

    async def _recover(self) -> bool:
        """Apply the journal behind the snapshot; effects that are in the tables already are dropped.

        False: an entry failed, and nobody was answered yet. What can be carried out of it stays (faults.py), and the
        book, which it may have left half changed, is built once more. One whose effects are in the tables was answered
        for: dropping anything of it would part the state from the records.
        """
        followed, self._followed = self._followed, None
        if followed is not None and followed.book is not None:
            self.book, projected = followed.book, await self._journal.projected()
        else:
            book, projected = await self._journal.load(self.broker)
            self.book = book or Book(self.broker)
        self.book.tenant_names = await self._journal.tenants()
        self._projector = self._projector_type(self.book, self._changes.announce, projected)
        for effects in followed.effects if followed is not None else ():
            if effects.sequence > projected:
                self._projector.put(effects)
        while entries := await self._journal.entries(self.book.sequence):
            for sequence, entry in entries:
                try:
                    effects = application.apply(self.book, entry, sequence)
                except Exception as error:
                    if sequence <= projected:
                        await self._journal.close()
                        raise CannotReplay(sequence) from error
                    self._mend(sequence, entry, error)
                    return False
                if sequence > projected:
                    self._projector.put(effects)
            await asyncio.sleep(0)
        return True

    def release(self) -> None:
        """Let everybody who waits for changes go, now and from now on."""
        self._changes.close()

    async def stop(self) -> None:
        """Let waiters go, project what is left, keep a snapshot."""
        self._stopping = True
        self.release()
        self._wake.set()
        if self._tasks:
            await self._tasks[1]
            self._projector.stop()
            await self._tasks[0]
        for task in self._tasks[2:]:
            task.cancel()
        if self._is_open:
            await self._journal.close()

    async def _guard(self, work: Any, reason: str) -> None:
        try:
            await work
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("%s", reason)
            self._fail(reason)

    # ---------------------------------------------------------------------------------------------------------- market

    def look_at_market(self) -> None:
        """Take over new prices; queue a tick entry when prices or time have effects.

        While a group is being committed the book must keep the prices that its entries carry: the look waits.
        """
        self._look_later = self._committing
        if self._committing:
            return
        now = self.book.time = self.clock.after(self.book.time)
        known = self.book.quotes
        changed = {symbol: quote for symbol, quote in self.feed.quotes(now).items() if known.get(symbol) != quote}
        if changed:
            self.signs.see_change()
            self._pending_quotes.update(changed)
            self.book.set_quotes(changed)
        snapshots = bool(self.book.account_meta) and now - self.book.snapshots_at >= SNAPSHOT_SECONDS
        queued = bool(self._waiting) and isinstance(self._waiting[-1].command, Tick)
        if not queued and now >= self._idle_until and (snapshots or self._due(now)):
            self._queue(Tick(tenant="", snapshots=snapshots))

    def _due(self, now: float) -> bool:
        """Whether a tick has anything to do. When that cannot be said, the tick finds out what is at fault."""
        tick = Tick(tenant="")
        try:
            with without(self.book, self._aside.of(tick, now)):
                return ticks.due(self.book, now)
        except Exception:
            log.exception("Whether anything is due cannot be said")
            self._idle_until = now + LEFT_OUT_SECONDS
            return True

    async def _tick(self) -> None:
        seen = -1
        while not self._stopping:
            has_worked = True
            try:
                self.look_at_market()
                if seen == self.book.version and not self._waiting and not self._committing:
                    self._plans_ahead.compile_one(self.book)
            except Exception:
                has_worked = False
                log.exception("Prices could not be looked at")
            self.signs.look(has_worked=has_worked)
            self.signs.report(self.sequence, self.projected)
            seen = self.book.version
            await asyncio.sleep(TICK_SECONDS)

    async def caught_up(self) -> None:
        """Everything acknowledged so far is in the tables, and everything else will bear a later time."""
        await self._settled.wait()
        await self._projector.caught_up(self.book.sequence)

    @property
    def sequence(self) -> int:
        """Number of the newest journal entry."""
        return self.book.sequence

    @property
    def projected(self) -> int:
        """Up to which entry the tables tell the effects."""
        return self._projector.projected if self._tasks else 0

    def changes(self, topic: tuple) -> Listener:
        """What to wait on; topics: ("transactions" | "log" | "stopouts" | "snapshots", tenant)."""
        return self._changes.subscribe(topic)
