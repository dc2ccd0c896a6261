"""Which time is believed when the wall clock steps: rows before, at and after each boundary, without sleeping."""

from __future__ import annotations

import asyncio
import logging

import pytest

from copying.backend.core.clock import Clock

NOON = 1_772_452_800.0


class Clocks:
    """Three clocks that a test sets: on the wall, monotonic, and the database's."""

    def __init__(self, database: float = NOON) -> None:
        self.wall, self.monotonic, self.database = NOON, 50.0, database
        self.is_away = False
        self.clock = Clock(lambda: self.wall, lambda: self.monotonic, self.witness)
        self.clock()

    async def witness(self) -> float:
        if self.is_away:
            raise OSError("no answer")
        return self.database

    def go_on(self, seconds: float) -> None:
        self.wall, self.monotonic, self.database = (
            each + seconds for each in (self.wall, self.monotonic, self.database)
        )

    def ask(self) -> bool:
        asyncio.run(self.clock.ask())
        return self.clock.is_confirmed()


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.mark.parametrize(("step", "is_believed"), [(0.9, True), (1.0, True), (1.1, False), (300, False)])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_step_of_more_than_a_second_is_not_believed(
    clocks: Clocks, step: float, is_believed: bool, sign: int
) -> None:
    clocks.go_on(10)
    clocks.wall += sign * step
    assert clocks.clock.is_confirmed() is is_believed
    assert clocks.clock() == pytest.approx(NOON + 10 + (sign * step if is_believed else 0))


def test_time_goes_on_while_the_clock_is_not_believed(clocks: Clocks) -> None:
    clocks.wall += 300
    clocks.clock()
    clocks.go_on(2)
    assert clocks.clock() == NOON + 2
    assert not clocks.ask(), "the database's clock says otherwise"


def test_a_clock_that_is_back_is_believed_without_asking(clocks: Clocks) -> None:
    clocks.wall += 300
    clocks.go_on(2)
    assert not clocks.clock.is_confirmed()
    clocks.wall -= 300
    assert clocks.clock.is_confirmed()
    assert clocks.clock() == NOON + 2


@pytest.mark.parametrize("step", [1.1, 2, 600, 86_400, -2, -600])
def test_a_resumed_machine_is_believed_as_soon_as_the_database_agrees(clocks: Clocks, step: float) -> None:
    clocks.wall += step
    clocks.database += step
    assert not clocks.clock.is_confirmed()
    assert clocks.ask()
    assert clocks.clock() == NOON + step


@pytest.mark.parametrize(("skew", "is_believed"), [(29, True), (-29, True), (31, False), (-31, False), (3_600, False)])
def test_hosts_clocks_may_differ_a_little(clocks: Clocks, skew: float, is_believed: bool) -> None:
    clocks.wall += 600
    clocks.database += 600 + skew
    assert clocks.ask() is is_believed


def test_the_database_is_asked_once_a_second_and_again_when_it_was_away(clocks: Clocks) -> None:
    clocks.is_away = True
    clocks.wall += 600
    clocks.database += 600
    assert not clocks.ask()
    clocks.is_away = False
    clocks.go_on(0.5)
    assert not clocks.ask(), "asked too soon"
    clocks.go_on(0.6)
    assert clocks.ask()


@pytest.mark.parametrize(("skew", "is_believed"), [(0, True), (30, True), (-30, True), (31, False), (-3_600, False)])
def test_at_the_start_the_clock_must_agree_with_the_databases(skew: float, is_believed: bool) -> None:
    clocks = Clocks(NOON + skew)
    asyncio.run(clocks.clock.begin())
    assert clocks.clock.is_confirmed() is is_believed
    assert clocks.clock() == (NOON if is_believed else min(NOON, NOON + skew)), "the earlier of both"
    clocks.go_on(5)
    clocks.wall = clocks.database
    assert clocks.ask()
    assert clocks.clock() == clocks.database


def test_a_clock_without_a_monotonic_one_is_always_believed() -> None:
    now = [NOON]
    clock = Clock(lambda: now[0], None)
    for step in (3_600, -7_200, 86_400):
        now[0] += step
        assert clock.is_confirmed()
        assert clock() == now[0]


def test_a_journal_that_is_ahead_goes_on_at_half_speed_until_the_clock_has_caught_up(clocks: Clocks) -> None:
    last = NOON + 300
    for second in range(1, 620):
        clocks.go_on(1)
        before, last = last, clocks.clock.after(last)
        assert last >= before + 0.5 or last == clocks.wall
        assert last - clocks.wall == pytest.approx(max(0, 300 - second / 2), abs=0.5)


def test_what_is_wrong_is_said_once_a_minute(clocks: Clocks, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, logger="copying.backend.core.clock")
    clocks.clock.report(NOON + 1)
    assert not caplog.messages
    for seconds, lines in ((0, 1), (59, 1), (1, 2), (59.5, 2), (60, 3)):
        clocks.go_on(seconds)
        clocks.clock.report(NOON + 1_000)
        assert len(caplog.messages) == lines
    assert "time goes at half speed" in caplog.text
    clocks.clock.report(clocks.wall)
    clocks.wall += 7_200
    clocks.clock.report(NOON)
    assert "has stepped by 7200 seconds" in caplog.messages[-1]
