"""Which time the core goes by: the wall clock, as long as it moves with the monotonic one.

A wall clock that steps (a wrong time server, a resumed machine, a stand-by host that was never set) is not believed on
its own word: the database's clock is asked. Until it confirms the new time, time goes on from what it was. Must not
know the book; whoever asks says up to when the journal has come.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable

import psycopg

Witness = Callable[[], Awaitable[float]]
log = logging.getLogger(__name__)
STEP_SECONDS = 1.0
SKEW_SECONDS = 30.0  # hosts' clocks may differ by so much: half of the opening window that strategies have by default
CATCHING_UP = 0.5  # how fast time goes while the journal is ahead of the clock
REPEAT_SECONDS = 60.0
ASK_SECONDS = 1.0
LOOK_SECONDS = 0.25


class Clock:
    """Seconds since the epoch that are believed: call it.

    wall: UTC seconds. monotonic: seconds that only go forward; None: `wall` itself, whose every step is then believed,
    as simulated time wants it. witness: the database's clock; None: there is none to ask.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] | None = time.monotonic,
        witness: Witness | None = None,
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic or wall
        self._witness = witness
        self._anchor = wall(), self._monotonic()  # what was believed last, and when
        self._last = self._anchor[1]
        self._contradicted = False  # by the database's clock, at the start
        self._asked_at = self._logged_at = -math.inf
        self.step = 0.0  # seconds by which the wall clock has stepped without confirmation, 0.0: it is believed

    def __call__(self) -> float:
        """The time that is believed."""
        wall, monotonic, reckoned = self._read()
        if self._contradicted:
            return reckoned
        if abs(wall - reckoned) > STEP_SECONDS:
            self.step = wall - reckoned
            return reckoned
        if self.step:
            log.warning("The clock is back where it was before its step of %+.1f seconds", self.step)
        self.step, self._anchor = 0.0, (wall, monotonic)
        return wall

    def is_confirmed(self) -> bool:
        """Whether the wall clock is believed now."""
        self()
        return not self.step

    def _read(self) -> tuple[float, float, float]:
        """The wall clock, the monotonic one, and the time that should be by it."""
        wall, monotonic = self._wall(), self._monotonic()
        return wall, monotonic, self._anchor[0] + monotonic - self._anchor[1]

    def after(self, last: float) -> float:
        """The time to go on with behind `last`, the newest time in the journal; never before it.

        A journal that is ahead of the clock can only be waited for. It goes on at half speed meanwhile: delays and
        retries still come to their end, and with each second the clock gains half of one.
        """
        now, monotonic = self(), self._monotonic()
        passed, self._last = max(0.0, monotonic - self._last), monotonic
        return now if now >= last else last + CATCHING_UP * passed

    async def begin(self) -> None:
        """At the start nothing is known of before: the wall clock must agree with the database's.

        If it does not, the earlier of both is gone by: a journal that is behind catches up at any time, one that is
        ahead does not come back. Raises psycopg.OperationalError.
        """
        if self._witness is None:
            return
        witness = await self._witness()
        wall, monotonic = self._wall(), self._monotonic()
        if abs(wall - witness) > SKEW_SECONDS:
            self.step, self._contradicted = wall - witness, True
            self._anchor = min(wall, witness), monotonic

    async def watch(self, last: Callable[[], float]) -> None:
        """Until cancelled: have a step confirmed, and log what is wrong. last: as in `after`."""
        while True:
            await self.ask()
            self.report(last())
            await asyncio.sleep(LOOK_SECONDS)

    async def ask(self) -> None:
        """While the wall clock is not believed, ask the database's once in a while; one that is away is asked again."""
        monotonic = self._monotonic()
        if self._witness is None or self.is_confirmed() or abs(monotonic - self._asked_at) < ASK_SECONDS:
            return
        self._asked_at = monotonic
        try:
            async with asyncio.timeout(ASK_SECONDS * 3):
                self.hear(await self._witness())
        except (OSError, psycopg.Error) as error:
            log.warning("The database's clock cannot be asked: %s", error)

    def hear(self, witness: float) -> None:
        """Believe the wall clock if the database's stands by it rather than by the time gone by so far."""
        wall, monotonic, reckoned = self._read()
        distance = abs(witness - wall)
        if distance > SKEW_SECONDS or not (self._contradicted or distance < abs(witness - reckoned)):
            return
        log.warning("The database's clock confirms the time: %+.1f seconds of what went before", wall - reckoned)
        self.step, self._contradicted, self._anchor = 0.0, False, (wall, monotonic)

    def trouble(self, last: float) -> str:
        """What is wrong, as sentences for people; "" when nothing is. last: as in `after`."""
        if not self.is_confirmed():
            what = "differs from the database's" if self._contradicted else "has stepped"
            return (
                f"The clock of the backend's machine {what} by {_duration(self.step)}, and the database's clock does "
                "not confirm it: new signals are refused until both agree. Set both by a time server."
            )
        ahead = last - self()
        if ahead <= STEP_SECONDS:
            return ""
        return (
            f"The backend's clock is {_duration(ahead)} behind its journal, because it was ahead before. Until it has "
            "caught up, time goes at half speed: delays, lifetimes, removals and the ends of periods come late. "
            "Signals are copied by their own time."
        )

    def report(self, last: float) -> None:
        """Log what is wrong, once a minute."""
        monotonic = self._monotonic()
        if not (text := self.trouble(last)):
            self._logged_at = -math.inf
        elif abs(monotonic - self._logged_at) >= REPEAT_SECONDS:
            self._logged_at = monotonic
            log.error("%s", text)


def _duration(seconds: float) -> str:
    return f"{abs(seconds):.1f} seconds" if abs(seconds) < 10 else f"{abs(seconds):.0f} seconds"


def database_clock(url: str) -> Witness:
    """The clock of a database, on a connection of its own. Raises psycopg.OperationalError when it is away."""

    async def ask() -> float:
        async with await psycopg.AsyncConnection.connect(url, connect_timeout=2) as connection:
            cursor = await connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
            (seconds,) = await cursor.fetchone() or (math.nan,)
            return seconds

    return ask
