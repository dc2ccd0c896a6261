"""The world around the embedded backend: one seed decides what people do, where prices go and when everything dies."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from random import Random
from typing import Any
from unittest import mock

import numpy as np

from copying.backend import tokens
from copying.backend.broker.deferred import away
from copying.backend.broker.paper import PaperBroker
from copying.backend.core.clock import Clock
from copying.backend.core.writer import Core
from copying.backend.http import signals
from copying.backend.settings.rules import NEWEST
from copying.backend.state.book import Book
from copying.backend.state.broker_port import Orders
from copying.backend.state.commands import Command, PutSignal
from copying.backend.state.effects import Effects
from copying.backend.state.errors import Refused
from copying.backend.telegram import Publisher
from tests.simulation import people
from tests.simulation.chats import Chats
from tests.simulation.disk import Disk
from tests.simulation.door import Door
from tests.simulation.ledger import Ledger, identity

MONDAY = 1_772_452_800.0  # 2026-03-02 12:00 UTC
PRICES = {"EURUSD": 1.1, "GBPUSD": 1.25, "USDJPY": 150.0}
CRASHES = 0.04  # per step
PATIENCE_SECONDS = 60.0
FAULTY = ("onea3", "twoa1")


class Market:
    """Prices that the simulation moves."""

    simulated = True

    def __init__(self) -> None:
        self.prices: dict[str, tuple[float, float]] = {}

    def quotes(self, now: float) -> dict[str, tuple[float, float]]:
        return self.prices

    def mids(self, symbol: str, times: np.ndarray) -> np.ndarray:
        return np.full(len(times), PRICES[symbol])


def failing_to_open(fill: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """A broker that now and then raises as soon as it is to copy something to one of two accounts."""

    def fails(broker: PaperBroker, book: Book, effects: Effects, orders: Orders) -> np.ndarray:
        copied = np.broadcast_to(orders.subscription, orders.account.shape) >= 0
        for row in orders.account[copied].tolist():
            if book.account_meta[row].id in FAULTY and int(book.time) // 120 % 10 == 0:
                raise ZeroDivisionError("planted")
        return fill(broker, book, effects, orders)

    return fails


def failing_to_close(close: Callable[..., None]) -> Callable[..., None]:
    """A broker that now and then raises as soon as it is to close a copy on one of two accounts."""

    def fails(broker: PaperBroker, book: Book, effects: Effects, rows: np.ndarray, *terms: Any, **more: Any) -> None:
        accounts = book.positions.account[rows]
        asked = (book.positions.subscription[rows] >= 0) & ~away(book, book.positions, rows)
        for row in accounts[asked].tolist():
            if book.account_meta[row].id in FAULTY and int(book.time) // 120 % 10 == 5:
                raise ZeroDivisionError("planted")
        close(broker, book, effects, rows, *terms, **more)

    return fails


class Simulation:
    """Runs steps; `check` is called after every crash and at the end."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.disk = Disk(Random(seed + 1))
        self.people = people.People(Random(seed + 2))
        self.ledger = Ledger(self.disk)
        self.market = Market()
        self.now = MONDAY  # as people and the database see it
        self.error = 0.0  # by which the backend's own clock is wrong
        self.elapsed = 0.0  # on its monotonic one
        self.refusals = 0  # of signals, for the clock's sake
        self.middles = dict(PRICES)
        self.step = 0
        self.crashes = 0
        self.failed: list[str] = []
        self.sent: Counter[bytes] = Counter()
        self.done: Counter[bytes] = Counter()
        self.unchecked: set[bytes] = set()  # commands answered since the last check
        self.chats = Chats(Random(seed + 3))
        self.recent: deque[Command] = deque(maxlen=60)
        self.unanswered: list[Command] = []  # of those who were asking when everything died
        self.posts = 0
        self.posted: list[str] = []  # signals that webhooks answered with

    async def run(self, steps: int) -> None:
        """All of it. The one random number of the API, the id of a webhook's signal, comes from here too."""
        opening = mock.patch.object(PaperBroker, "open", failing_to_open(PaperBroker.open))
        closing = mock.patch.object(PaperBroker, "close", failing_to_close(PaperBroker.close))
        with opening, closing, mock.patch.object(signals, "random_id", self.next_post):
            await self.play(steps)

    @mock.patch("copying.backend.settings.rules.token_bytes", bytes)  # the secret of ids, alike in all runs
    async def play(self, steps: int) -> None:
        self.move_prices()
        await self.start()
        for command in self.people.setup():
            await self.finish([self.send(command)])
        for self.step in range(1, steps + 1):
            await self.one_step()
        await self.end()

    async def one_step(self) -> None:
        """Time, prices, some commands at once; then answers, or a crash at any of the pauses."""
        self.pass_time()
        self.step_clock()
        await self.core.clock.ask()
        if self.random.random() < 0.7:
            self.move_prices()
        if self.random.random() < 0.6:
            self.core.look_at_market()
        if self.random.random() < 0.05:
            self.core._projector.take_snapshot()
        if self.random.random() < 0.01:  # a clean end and a new start
            await self.end()
            await self.start()
        tasks = [self.send(command) for command in self.commands()] + self.visits()
        if self.random.random() >= CRASHES:
            await self.finish(tasks)
            return
        for _ in range(self.random.randrange(25)):
            await asyncio.sleep(0)
            self.step_clock()
            if self.random.random() < 0.1:
                self.move_prices()
                self.core.look_at_market()
        await self.crash(tasks)

    def commands(self) -> list[Command]:
        """Usually one; sometimes many at once; sometimes the same one several times, at once or long after.

        Whoever was not answered because everything died asks again.
        """
        count = self.random.choice((1, 1, 1, 1, 2, 5))
        drawn = [self.people.command(self.core.book, self.now) for _ in range(count)]
        if self.random.random() < 0.15:
            drawn += [drawn[0]] * self.random.randrange(1, 3)
        if self.recent and self.random.random() < 0.05:
            drawn.append(self.random.choice(self.recent))
        drawn += self.unanswered
        self.unanswered = []
        return drawn

    def visits(self) -> list[asyncio.Task]:
        """What comes through the API's door meanwhile."""
        found = []
        if self.random.random() < 0.03:
            webhook_id, document = self.people.webhook_post(self.now)
            found.append(asyncio.ensure_future(self.post(self.door, webhook_id, document)))
        if self.random.random() < 0.01:
            subscriber_id = f"{self.random.choice(people.TENANTS)}a{self.random.randrange(5)}"
            document = self.people.documents.subscriber(subscriber_id)
            changes = {"subscribers": {subscriber_id: document}} if self.random.random() < 0.7 else {}
            token = tokens.issue(subscriber_id[:3])
            found.append(asyncio.ensure_future(self.door.simulate(token, self.core.book.time, changes)))
        return found

    def next_post(self, length: int) -> str:
        self.posts += 1
        return f"p{self.posts:0{length - 1}d}"

    async def post(self, door: Door, webhook_id: str, document: dict) -> None:
        """The id is known as soon as the post is let in, whatever becomes of it."""
        number = self.posts + 1
        self.ledger.watch.posted[f"p{number:07d}"] = document
        signal_id = await door.post(webhook_id, document)
        if signal_id is not None:
            assert self.ledger.watch.posted[signal_id] == document
            self.posted.append(signal_id)

    def pass_time(self) -> None:
        """Seldom long; the monotonic clock knows nothing of a machine that was suspended, or of a set-back clock."""
        kind = self.random.random()
        if kind < 0.004:
            passed = self.random.uniform(1, 40) * 86_400
        elif kind < 0.02:
            passed = self.random.uniform(0, 86_400)
        elif kind < 0.03:
            passed = -self.random.uniform(0, 3600)
        else:
            passed = self.random.expovariate(1 / 20)
        self.now += passed
        is_seen = passed > 0 and (passed < 3600 or self.random.random() < 0.5)
        self.elapsed += passed if is_seen else 1.0

    def step_clock(self) -> None:
        """The backend's clock goes wrong, both ways, or right again; nobody else's does."""
        if self.random.random() < 0.02:
            self.error = 0.0 if self.error else self.random.choice((-1, 1)) * self.random.expovariate(1 / 600)

    async def database_clock(self) -> float:
        return self.now

    def move_prices(self) -> None:
        for symbol, middle in self.middles.items():
            if self.random.random() < 0.3:
                continue
            width = 0.02 if self.random.random() < 0.02 else 0.001
            middle = middle * (1 + self.random.uniform(-width, width)) * (PRICES[symbol] / middle) ** 0.01
            digits = 3 if symbol == "USDJPY" else 5
            bid = round(middle, digits)
            self.middles[symbol] = middle
            self.market.prices = {**self.market.prices, symbol: (bid, round(bid + 10 ** (1 - digits), digits))}

    # ---------------------------------------------------------------------------------------------------- life, death

    async def start(self) -> None:
        self.core = Core(
            "",
            self.market,
            fail=self.failed.append,
            journal=self.disk.journal(),
            projector=self.disk.projector(),
            clock=Clock(lambda: self.now + self.error, lambda: self.elapsed, self.database_clock),
        )
        await self.core.start(ticking=False)
        self.core.look_at_market()
        self.publisher = Publisher(
            self.core, "http://localhost", transport=self.chats.transport, sleep=self.chats.sleep
        )
        self.door = Door(self.core, self.disk)
        self.ledger.read()
        self.chats.begin(self.ledger.published)

    async def end(self) -> None:
        """A clean end: what is to be published is waited for, and everything is checked."""
        await self.rest()
        assert not self.publisher._tasks, "the publisher never comes to rest"
        self.ledger.read()
        self.chats.check(self.ledger.published, is_quiet=True)
        await self.publisher.close()
        await self.core.stop()
        await self.check()

    async def rest(self) -> None:
        """Until nothing waits to be written, told or published."""
        core = self.core
        for _ in range(20_000):
            if not self.publisher._tasks and not core._waiting and core._settled.is_set():
                break
            await asyncio.sleep(0)
        await asyncio.wait_for(core.caught_up(), PATIENCE_SECONDS)

    def send(self, command: Command) -> asyncio.Task:
        self.sent[identity(command)] += 1
        self.recent.append(command)
        return asyncio.ensure_future(self.ask(self.core, command))

    async def ask(self, core: Core, command: Command) -> None:
        """What a client does: it believes what it is told."""
        try:
            await core.submit(command)
            key = identity(command)
            self.done[key] += 1
            self.unchecked.add(key)
        except Refused as refused:
            if refused.status == 503 and isinstance(command, PutSignal) and core.clock.step:
                self.refusals += 1
            elif refused.status not in (400, 403, 404):
                self.failed.append(f"{refused.status} {refused}")
        except asyncio.CancelledError:
            self.unanswered.append(command)
            raise

    async def finish(self, tasks: list[asyncio.Task]) -> None:
        """Wait for all answers."""
        waiting = asyncio.gather(*tasks)
        for _ in range(20_000):
            if waiting.done() or self.failed:
                break
            await asyncio.sleep(0)
        assert not self.failed, self.failed
        assert waiting.done(), "a command is never answered"
        waiting.result()

    async def crash(self, tasks: list[asyncio.Task]) -> None:
        """Everything in memory is gone; what was begun may or may not have become durable."""
        self.crashes += 1
        every = [*tasks, *self.core._tasks, *self.publisher._tasks]
        for task in every:
            task.cancel()
        await asyncio.gather(*every, return_exceptions=True)
        await self.start()
        if self.random.random() < 0.2:  # again while it recovers
            for _ in range(self.random.randrange(1, 10)):
                await asyncio.sleep(0)
            await self.crash([])
            return
        await self.rest()
        await self.check()

    async def check(self) -> None:
        assert not self.failed, self.failed
        self.ledger.read()
        self.ledger.check(self.core.book, self.market.prices)
        assert self.core.book.upcoming_privacy == NEWEST, "reads go by older rules than entries"
        self.chats.check(self.ledger.published, is_quiet=False)
        assert self.ledger.watch.arrived.issuperset(self.posted), "a post to a webhook was answered and lost"
        self.posted.clear()
        for command in self.unchecked | self.ledger.unchecked:
            known = self.ledger
            assert known.carried_out[command] >= self.done[command], f"acknowledged and lost: {command!r}"
            is_sent = command in self.sent and command not in known.of_webhooks
            assert not is_sent or known.journalled[command] <= self.sent[command], f"doubled: {command!r}"
        self.unchecked.clear()
        self.ledger.unchecked.clear()
