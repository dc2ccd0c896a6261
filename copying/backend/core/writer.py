"""The single writer: takes commands, journals them, applies them to the book, answers, and lets effects be projected.

Order of a command: check against the state, commit the entry (all waiting ones in one transaction), apply, answer.
Nothing is applied that is not durable, so a crash at any point loses only what nobody was told about. If a commit
fails the process ends: a restart replays the journal. The core holds the only clock and the only market feed; the
book knows neither.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from msgspec import structs

from copying.backend.broker.paper import PaperBroker
from copying.backend.market.feed import Feed
from copying.backend.settings.rules import NEWEST, newer_rules
from copying.backend.settings.sealing import reseal_book
from copying.backend.signals import orphans
from copying.backend.signals.plans import Plans, plan_for
from copying.backend.state.book import Book
from copying.backend.state.broker_port import Broker
from copying.backend.state.commands import (
    NEWEST_RULES,
    AnyCommand,
    Entry,
    FindOrphans,
    Once,
    PutSignal,
    PutSubscriber,
    SetBrokerClock,
    Tick,
)
from copying.backend.state.effects import Effects, Watch
from copying.backend.state.errors import CannotReplay, Refused

from . import apply as application
from . import faults, receipt, ticks
from .announcements import Changes, Subscription
from .clock import Clock
from .faults import without
from .journal import AlreadyRunning, Journal
from .projector import Projector
from .waiting import Waiting

__all__ = ["AlreadyRunning", "CannotReplay", "Core", "Refused"]

log = logging.getLogger(__name__)
TICK_SECONDS = 0.25
SNAPSHOT_SECONDS = 3600.0
GROUP = 256  # most entries in one commit
LEFT_OUT_SECONDS = 60.0  # how long an account that a kind of entry failed for is not tried again


def die(reason: str) -> None:
    """Crash only: what is not durable must not be answered, and a restart repairs everything."""
    log.critical("%s; the backend ends and recovers at its next start", reason)
    os._exit(3)


class Core:
    """The embedded backend without HTTP.

    clock: UTC seconds, believed whatever they say where it is no Clock. fail: what to do when the journal or the
    projector cannot write. journal, projector: what keeps entries and records; the simulation gives its own, which die
    on command. broker_offset_hours: of the broker's clock from UTC.
    """

    book: Book
    _journal: Journal  # from `start` on
    _projector: Projector

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
        self.broker: Broker[Book] = broker or PaperBroker()
        self.book = Book(self.broker)
        self._broker_offset_hours = broker_offset_hours
        self.feed = feed
        self.clock = clock
        self._database_url = database_url
        self._changes = Changes()
        self._fail = fail
        self._journal_type = journal
        self._projector_type = projector
        self.listeners: list[Callable[[Effects], None]] = []  # told what was just applied, not on replay
        self._waiting: deque[Waiting] = deque()
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()  # no entry has a time and is not applied yet
        self._settled.set()
        self._tasks: list[asyncio.Task] = []
        self._is_open = False  # the journal is, and has to be closed
        self._pending_quotes: dict[str, tuple[float, float]] = {}
        self._stopping = False
        self._committing = False
        self._look_later = False
        self._aside: dict[type[AnyCommand], dict[str, float]] = {}  # by kind: account -> until when it is left out
        self._idle_until = 0.0  # after a tick that failed for everybody
        self._cannot_compile: dict[str, int] = {}  # strategy -> version of the configuration

    @property
    def clock(self) -> Clock:
        """The time that is believed: `clock()`. A plain function may be put in its place."""
        return self._clock

    @clock.setter
    def clock(self, clock: Clock | Callable[[], float]) -> None:
        self._clock = clock if isinstance(clock, Clock) else Clock(clock, None)

    # -------------------------------------------------------------------------------------------------------- lifetime

    async def start(self, *, ticking: bool = True) -> None:
        """Take the lock, recover the state, begin to write, project and tick. Raises AlreadyRunning, CannotReplay."""
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
        book, projected = await self._journal.load(self.broker)
        self.book = book or Book(self.broker)
        self.book.tenant_names = await self._journal.tenants()
        self._projector = self._projector_type(self.book, self._changes.announce, projected)
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

    # -------------------------------------------------------------------------------------------------------- commands

    async def submit(self, command: AnyCommand, once: Once | None = None) -> Any:
        """Carry a command out; durable when it returns. Raises Refused and changes nothing.

        once: the key of its request: when that was carried out already, its answer then is returned.

        Returns None, except: Trade -> {"numericCode", "stringCode", "message", "orderId"?, "positionId"?}.
        """
        if isinstance(command, PutSignal):
            receipt.check_clock(self.book, command, self.clock)
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(Waiting(command, future, time.perf_counter(), once))
        self._wake.set()
        return await future

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
            each = self._waiting.popleft()
            if each.is_answered(self.book):
                continue
            if not group and each.future is not None and (error := self._checked(each.command)) is not None:
                each.tell(error)
                continue
            group.append(each)
            keys |= {each.key} - {None}
        if not group:
            return
        group[:0] = [Waiting(command, None, time.perf_counter()) for command in newer_rules(self.book)]
        self._settled.clear()
        moment = self.clock.after(self.book.time)
        received = wall if (wall := self.clock()) < moment else None
        entries = [
            Entry(
                time=moment,
                received=received,
                rules=NEWEST_RULES,
                quotes={},
                command=each.command,
                left_out=self._left_out(each.command, moment),
                once=each.once,
            )
            for each in group
        ]
        entries[0] = structs.replace(entries[0], quotes=self._pending_quotes)
        self._pending_quotes = {}
        self._committing = True
        self.book.time, self.book.received = moment, received
        ahead = asyncio.get_running_loop().call_soon(self._look_ahead, group[0])  # runs while the disk writes
        await self._journal.append(self.book.sequence + 1, entries)
        committed = time.perf_counter()
        ahead.cancel()
        for entry, each in zip(entries, group, strict=True):
            self._apply(entry, each, committed)
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
        if first.future is not None and not self._left_out(first.command, self.book.time):
            with contextlib.suppress(Exception):
                application.look_ahead(self.book, first.command)

    def _apply(self, entry: Entry, waiting: Waiting, committed: float) -> None:
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

    # ---------------------------------------------------------------------------------------------------------- faults

    def _carry_out_mended(self, sequence: int, entry: Entry, error: Exception) -> Effects:
        """Carry an entry out for all that it does not fail for. Nobody sees the book before it is whole again."""
        mended = self._mend(sequence, entry, error)
        effects = application.apply(self.book, mended, sequence)
        if mended.command is not entry.command:
            effects.refused = error
            if isinstance(entry.command, Tick):
                self._idle_until = self.clock() + LEFT_OUT_SECONDS
        return effects

    def _mend(self, sequence: int, entry: Entry, error: Exception) -> Entry:
        """Write into the journal what can be carried out of an entry that failed; the book is as it was before it."""
        log.critical("Journal entry %s failed", sequence, exc_info=error)
        book, entries = self._journal.state_before(sequence, self.broker)
        for number, earlier in entries:
            application.apply(book, earlier, number)
        book.tenant_names, book.upcoming_privacy = self.book.tenant_names, self.book.upcoming_privacy
        mended = faults.isolate(book, entry, sequence, application.apply) or faults.set_aside(entry, error)
        self._journal.replace(sequence, mended)
        if mended.faulty:
            log.error("Journal entry %s is carried out without the accounts %s", sequence, ", ".join(mended.faulty))
            until = dict.fromkeys(mended.faulty, entry.time + LEFT_OUT_SECONDS)
            self._aside.setdefault(type(entry.command), {}).update(until)
        else:
            log.error("Journal entry %s is set aside", sequence)
        book.version = self.book.version + 1  # what is kept by version elsewhere is void
        vars(self.book).clear()
        vars(self.book).update(vars(book))
        return mended

    def _left_out(self, command: AnyCommand, now: float) -> list[str]:
        """Accounts that commands of a kind failed for shortly before, and whose settings are what they were then."""
        if not self._aside:
            return []
        if isinstance(command, PutSubscriber):
            for held in self._aside.values():
                held.pop(command.subscriber_id, None)
        held = dict(self._aside.get(type(command), {}))
        held.pop(faults.trading_account(command), None)
        return sorted(account_id for account_id, until in held.items() if now < until)

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
            with without(self.book, self._left_out(tick, now)):
                return ticks.due(self.book, now)
        except Exception:
            log.exception("Whether anything is due cannot be said")
            self._idle_until = now + LEFT_OUT_SECONDS
            return True

    def _queue(self, command: AnyCommand) -> None:
        """A command of the core's own, which nobody waits for."""
        self._waiting.append(Waiting(command, None, time.perf_counter()))
        self._wake.set()

    async def _tick(self) -> None:
        seen = -1
        while not self._stopping:
            try:
                self.look_at_market()
                if seen == self.book.version and not self._waiting and not self._committing:
                    self._compile_one()
            except Exception:
                log.exception("Prices could not be looked at")
            seen = self.book.version
            await asyncio.sleep(TICK_SECONDS)

    def _compile_one(self) -> None:
        """The configuration has come to rest: compile a strategy's routes before its next signal needs them."""
        for strategy_id, strategy in self.book.strategies_by_id.items():
            plan = self.book.cache(Plans).whole.get(strategy_id)
            is_old = plan is None or plan.version != self.book.version
            if not strategy.is_portfolio and is_old and self._cannot_compile.get(strategy_id) != self.book.version:
                self._cannot_compile[strategy_id] = self.book.version  # until it has been done
                plan_for(self.book, strategy_id)
                del self._cannot_compile[strategy_id]
                return

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

    def changes(self, topic: tuple) -> Subscription:
        """What to wait on; topics: ("transactions" | "log" | "stopouts" | "snapshots", tenant)."""
        return self._changes.subscribe(topic)
