"""What /healthz of the backend calls trouble, at the boundaries, and what the log says of it."""

from __future__ import annotations

import logging

import pytest

from copying.backend.core import vital_signs
from copying.backend.core.vital_signs import VitalSigns


class World:
    """Signs of a core whose time a test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.sequence = self.projected = 7
        self.signs = VitalSigns(lambda: self.now)

    def kinds(self) -> list[tuple[str, bool]]:
        return [(trouble.kind, trouble.stops) for trouble in self.signs.troubles(self.sequence, self.projected)]

    def report(self) -> None:
        self.signs.report(self.sequence, self.projected)

    def live(self, seconds: float) -> None:
        """So long everything goes well."""
        for _ in range(round(seconds)):
            self.now += 1
            self.signs.look(has_worked=True)
            self.signs.see_change()
            self.report()


@pytest.fixture
def world() -> World:
    world = World()
    world.live(2)
    return world


def test_a_core_at_work_has_no_trouble(world: World) -> None:
    world.live(1_000)
    assert world.kinds() == []


@pytest.mark.parametrize(("seconds", "expected"), [(4.9, []), (5.0, []), (5.1, [("looks", True)])])
def test_looks_that_do_not_come_are_time_that_stands_still(world: World, seconds: float, expected: list) -> None:
    world.now += seconds
    assert world.kinds() == expected


def test_looks_that_fail_are_no_looks(world: World) -> None:
    for _ in range(6):
        world.now += 1
        world.signs.look(has_worked=False)
    assert world.kinds() == [("looks", True)]


@pytest.mark.parametrize(("seconds", "expected"), [(5.0, []), (5.1, [("journal", True)])])
def test_a_journal_that_takes_no_write_stops_signals(world: World, seconds: float, expected: list) -> None:
    world.signs.begin_write()
    world.now += seconds
    world.signs.look(has_worked=True)
    assert [each for each in world.kinds() if each[0] != "stop"] == expected
    world.signs.end_write()
    assert "journal" not in [kind for kind, _ in world.kinds()]


@pytest.mark.parametrize(("seconds", "expected"), [(10, []), (11, [("records", False)])])
def test_records_may_be_behind_for_ten_seconds(world: World, seconds: int, expected: list) -> None:
    world.sequence += 1
    world.kinds()
    world.live(seconds)
    assert world.kinds() == expected
    world.projected = world.sequence
    assert world.kinds() == []


def test_records_that_follow_a_steady_stream_are_not_behind(world: World) -> None:
    for _ in range(100):
        world.sequence += 5
        world.live(1)
        world.projected = world.sequence - 3
    assert world.kinds() == []


@pytest.mark.parametrize(("seconds", "expected"), [(300, []), (301, [("prices", False)])])
def test_prices_that_do_not_move_are_old(world: World, seconds: int, expected: list) -> None:
    for _ in range(seconds):
        world.now += 1
        world.signs.look(has_worked=True)
    assert world.kinds() == expected


def test_a_stop_that_is_over_is_told_for_a_minute(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.now += 60
    with caplog.at_level(logging.WARNING, vital_signs.log.name):
        world.signs.look(has_worked=True)
    assert "stood still for 60 seconds" in caplog.text
    assert world.kinds() == [("stop", False)]
    world.live(60)
    assert world.kinds() == [("stop", False)]
    world.live(1)
    assert world.kinds() == []


def test_each_trouble_is_logged_once_and_its_end_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, vital_signs.log.name):
        world.sequence += 1
        world.live(30)
        world.projected = world.sequence
        world.live(5)
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    first, last = (record.getMessage() for record in caplog.records)
    assert "seconds behind the journal" in first
    assert "well again" in last
