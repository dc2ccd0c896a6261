"""The world around the embedded backend: one seed decides what people do, where prices go and when everything dies."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random

import numpy as np

from copying.backend.commands import Command
from copying.backend.core import Core
from copying.backend.errors import Refused
from tests.simulation import people
from tests.simulation.disk import Disk
from tests.simulation.ledger import Ledger, identity

MONDAY = 1_772_452_800.0  # 2026-03-02 12:00 UTC
PRICES = {"EURUSD": 1.1, "GBPUSD": 1.25, "USDJPY": 150.0}
CRASHES = 0.04  # per step
PATIENCE_SECONDS = 60.0


class Market:
    """Prices that the simulation moves."""

    simulated = True

    def __init__(self) -> None:
        self.prices: dict[str, tuple[float, float]] = {}

    def quotes(self, now: float) -> dict[str, tuple[float, float]]:
        return self.prices

    def mids(self, symbol: str, times: np.ndarray) -> np.ndarray:
        return np.full(len(times), PRICES[symbol])


class Simulation:
    """Runs steps; `check` is called after every crash and at the end."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.disk = Disk(Random(seed + 1))
        self.people = people.People(Random(seed + 2))
        self.ledger = Ledger(self.disk)
        self.market = Market()
        self.now = MONDAY
        self.middles = dict(PRICES)
        self.step = 0
        self.crashes = 0
        self.failed: list[str] = []
        self.sent: Counter[bytes] = Counter()
        self.done: Counter[bytes] = Counter()
        self.said_no: Counter[bytes] = Counter()

    async def run(self, steps: int) -> None:
        """All of it."""
        self.move_prices()
        await self.start()
        for command in self.people.setup():
            await self.finish([self.send(command)])
        for self.step in range(1, steps + 1):
            await self.one_step()
        await self.core.stop()
        await self.check()

    async def one_step(self) -> None:
        """Time, prices, some commands at once; then answers, or a crash at any of the pauses."""
        self.pass_time()
        if self.random.random() < 0.7:
            self.move_prices()
        if self.random.random() < 0.6:
            self.core.look_at_market()
        if self.random.random() < 0.05:
            self.core._projector.take_snapshot()
        if self.random.random() < 0.01:  # a clean end and a new start
            await self.core.stop()
            await self.start()
        tasks = [self.send(command) for command in self.commands()]
        if self.random.random() >= CRASHES:
            await self.finish(tasks)
            return
        for _ in range(self.random.randrange(25)):
            await asyncio.sleep(0)
            if self.random.random() < 0.1:
                self.move_prices()
                self.core.look_at_market()
        await self.crash(tasks)

    def commands(self) -> list[Command]:
        """Usually one; sometimes many at once; sometimes the same one several times."""
        count = self.random.choice((1, 1, 1, 1, 2, 5))
        drawn = [self.people.command(self.core.book, self.now) for _ in range(count)]
        if self.random.random() < 0.15:
            drawn += [drawn[0]] * self.random.randrange(1, 3)
        return drawn

    def pass_time(self) -> None:
        kind = self.random.random()
        if kind < 0.004:
            self.now += self.random.uniform(1, 40) * 86_400
        elif kind < 0.02:
            self.now += self.random.uniform(0, 86_400)
        elif kind < 0.03:
            self.now -= self.random.uniform(0, 3600)
        else:
            self.now += self.random.expovariate(1 / 20)

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
            "", self.market, clock=lambda: self.now, fail=self.failed.append,
            journal=self.disk.journal(), projector=self.disk.projector(),
        )  # fmt: skip
        await self.core.start(ticking=False)
        self.core.look_at_market()

    def send(self, command: Command) -> asyncio.Task:
        self.sent[identity(command)] += 1
        return asyncio.ensure_future(self.ask(self.core, command))

    async def ask(self, core: Core, command: Command) -> None:
        """What a client does: it believes what it is told."""
        try:
            await core.submit(command)
            self.done[identity(command)] += 1
        except Refused as refused:
            if refused.status not in (400, 403, 404):
                self.failed.append(f"{refused.status} {refused}")
            self.said_no[identity(command)] += 1

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
        every = [*tasks, *self.core._tasks]
        for task in every:
            task.cancel()
        await asyncio.gather(*every, return_exceptions=True)
        await self.start()
        if self.random.random() < 0.2:  # again while it recovers
            for _ in range(self.random.randrange(1, 10)):
                await asyncio.sleep(0)
            await self.crash([])
            return
        await asyncio.wait_for(self.core.caught_up(), PATIENCE_SECONDS)
        await self.check()

    async def check(self) -> None:
        assert not self.failed, self.failed
        self.ledger.read()
        self.ledger.check(self.core.book, self.market.prices)
        for command, count in self.done.items():
            assert self.ledger.carried_out[command] >= count, f"acknowledged and lost: {command!r}"
        for command, count in self.ledger.journalled.items():
            if command in self.sent:
                assert count <= self.sent[command], f"doubled: {command!r}"
