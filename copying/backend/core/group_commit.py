"""Commands on their way through the journal: check against the state, commit, apply, answer.

All that waits is committed in one transaction. Nothing is applied that is not durable, so a crash at any point loses
only what nobody was told about. If a commit fails the process ends: a restart replays the journal.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any

from msgspec import structs

from copying.backend.settings.rules import newer_rules
from copying.backend.state.book import Book
from copying.backend.state.broker_port import Broker
from copying.backend.state.commands import NEWEST_RULES, AnyCommand, CommandEntry, Once, PutSignal, Tick
from copying.backend.state.effects import Effects, Watch
from copying.backend.state.errors import Refused

from . import apply as application
from . import faults, receipt
from .aside import Aside
from .clock import Clock
from .journal import Journal, check_recordable
from .projector import Projector
from .vital_signs import VitalSigns
from .waiting import Waiting

log = logging.getLogger(__name__)
GROUP = 256  # most entries in one commit
LEFT_OUT_SECONDS = 60.0  # how long an account that a kind of entry failed for is not tried again


class GroupCommit(ABC):
    """The only place that changes the book. `writer.Core` starts it, moves prices and time, and ends it.

    listeners: told what was just applied, not on replay.
    """

    _journal: Journal  # both from `start` on
    _projector: Projector

    def __init__(self, broker: Broker[Book], clock: Clock | Callable[[], float]) -> None:
        self.broker = broker
        self.book = Book(broker)
        self.clock = clock
        self._waiting: deque[Waiting] = deque()
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()  # no entry has a time and is not applied yet
        self._settled.set()
        self._pending_quotes: dict[str, tuple[float, float]] = {}
        self._stopping = False
        self._committing = False
        self._look_later = False
        self._idle_until = 0.0  # after a tick that failed for everybody
        self.listeners: list[Callable[[Effects], None]] = []
        self._aside = Aside()
        self.signs = VitalSigns()

    @property
    def clock(self) -> Clock:
        """The time that is believed: `clock()`. A plain function may be put in its place."""
        return self._clock

    @clock.setter
    def clock(self, clock: Clock | Callable[[], float]) -> None:
        self._clock = clock if isinstance(clock, Clock) else Clock(clock, None)

    @abstractmethod
    def look_at_market(self) -> None:
        """Take over new prices, unless a group is being committed: then when it has been."""

    async def submit(self, command: AnyCommand, once: Once | None = None) -> Any:
        """Carry a command out; durable when it returns. Raises Refused and changes nothing.

        once: the key of its request: when that was carried out already, its answer then is returned.

        Returns None, except: Trade -> {"numericCode", "stringCode", "message", "orderId"?, "positionId"?}.
        """
        if isinstance(command, PutSignal):
            receipt.check_clock(self.book, command, self.clock)
        check_recordable(command)
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(Waiting(command, future, time.perf_counter(), once))
        self._wake.set()
        return await future

    def _queue(self, command: AnyCommand) -> None:
        """A command of the core's own, which nobody waits for."""
        self._waiting.append(Waiting(command, None, time.perf_counter()))
        self._wake.set()

    async def _write(self) -> None:
        """The only place that changes the book."""
        while True:
            if not self._waiting:
                if self._stopping:
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            await self._write_group()

    async def _write_group(self) -> None:
        """Check, journal, apply and answer what waits now.

        Only the first of a group is checked before it is journalled: the others may depend on it, so they are checked
        when they are applied; a refused entry in the journal changes nothing.
        """
        group: list[Waiting] = []
        keys: set[tuple[str, str] | None] = set()
        while self._waiting and len(group) < GROUP:
            if self._waiting[0].key in keys:
                break  # it is answered when the first of the two is
            waiting = self._waiting.popleft()
            if waiting.is_answered(self.book):
                continue
            if not group and waiting.future is not None and (error := self._checked(waiting.command)) is not None:
                waiting.tell(error)
                continue
            group.append(waiting)
            keys |= {waiting.key} - {None}
        if not group:
            return
        group[:0] = [Waiting(command, None, time.perf_counter()) for command in newer_rules(self.book)]
        self._settled.clear()
        moment = self.clock.after(self.book.time)
        received = wall if (wall := self.clock()) < moment else None
        entries = [
            CommandEntry(
                time=moment,
                received=received,
                rules=NEWEST_RULES,
                quotes={},
                command=waiting.command,
                left_out=self._aside.of(waiting.command, moment),
                once=waiting.once,
            )
            for waiting in group
        ]
        entries[0] = structs.replace(entries[0], quotes=self._pending_quotes)
        self._pending_quotes = {}
        self._committing = True
        self.book.time, self.book.received = moment, received
        ahead = asyncio.get_running_loop().call_soon(self._look_ahead, group[0])  # runs while the disk writes
        self.signs.begin_write()
        await self._journal.append(self.book.sequence + 1, entries)
        self.signs.end_write()
        committed = time.perf_counter()
        ahead.cancel()
        for entry, waiting in zip(entries, group, strict=True):
            self._apply(entry, waiting, committed)
        self._committing = False
        if self._look_later:
            self.look_at_market()
        self._settled.set()

    def _checked(self, command: AnyCommand) -> Exception | None:
        """What is wrong with a command. A fault of the program in a check, which changes nothing, must end nothing."""
        self.book.time = self.clock.after(self.book.time)
        try:
            application.check(self.book, command)
        except Refused as refused:
            return refused
        except Exception as error:
            log.exception("A command could not be checked and was not carried out")
            return error
        return None

    def _look_ahead(self, first: Waiting) -> None:
        """Decide the command that has been checked before its entry is durable; nobody is told until then.

        What fails here will fail again when the entry is carried out, and is told there.
        """
        if first.future is not None and not self._aside.of(first.command, self.book.time):
            with contextlib.suppress(Exception):
                application.look_ahead(self.book, first.command)

    def _apply(self, entry: CommandEntry, waiting: Waiting, committed: float) -> None:
        watch = Watch(time.perf_counter, waiting.received, committed)
        sequence = self.book.sequence + 1
        try:
            effects = application.apply(self.book, entry, sequence, watch)
        except Exception as error:
            effects = self._carry_out_mended(sequence, entry, error)
        waiting.tell(effects.answer if effects.refused is None else effects.refused)
        self._projector.put(effects)  # after the answer: whoever waits is woken before anything is rendered
        for listener in self.listeners:
            try:
                listener(effects)
            except Exception:
                log.exception("What journal entry %s did could not be passed on", effects.sequence)

    def _carry_out_mended(self, sequence: int, entry: CommandEntry, error: Exception) -> Effects:
        """Carry an entry out for all that it does not fail for. Nobody sees the book before it is whole again."""
        mended = self._mend(sequence, entry, error)
        effects = application.apply(self.book, mended, sequence)
        if mended.command is not entry.command:
            effects.refused = error
            if isinstance(entry.command, Tick):
                self._idle_until = self.clock() + LEFT_OUT_SECONDS
        return effects

    def _mend(self, sequence: int, entry: CommandEntry, error: Exception) -> CommandEntry:
        """Write into the journal what can be carried out of an entry that failed; the book is as it was before it."""
        book, mended = faults.mend(self.book, self._journal, sequence, entry, error, application.apply)
        if mended.faulty:
            self._aside.add(type(entry.command), mended.faulty, entry.time + LEFT_OUT_SECONDS)
        book.version = self.book.version + 1  # what is kept by version elsewhere is void
        vars(self.book).clear()
        vars(self.book).update(vars(book))
        return mended
