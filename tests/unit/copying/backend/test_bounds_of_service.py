"""What a start refuses, what happens when nobody can say what is due, and how a database is closed."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from copying.backend import service
from copying.backend.core import writer
from copying.backend.http.deals import broker_time
from copying.backend.http.pages import Database


class Started(Exception):
    """The start went on to the core."""


@pytest.mark.parametrize(
    ("hours", "is_taken"), [(-14.5, False), (-14, True), (0, True), (5.5, True), (14, True), (14.5, False)]
)
def test_a_broker_is_at_most_14_hours_away(settings: Any, monkeypatch: Any, hours: float, is_taken: bool) -> None:
    def core(*arguments: Any, **options: Any) -> None:
        assert options["broker_offset_hours"] == hours
        raise Started

    settings.BACKEND_BROKER_OFFSET_HOURS = hours
    monkeypatch.setattr(service, "Core", core)
    with pytest.raises(Started if is_taken else service.CannotServe):
        asyncio.run(service.serve("postgresql://nowhere", None, None))


@pytest.mark.parametrize("now", [100.0, 1e9])
def test_a_look_that_fails_lets_a_tick_find_out_and_rests(monkeypatch: Any, now: float) -> None:
    def fail(*arguments: Any) -> None:
        raise ArithmeticError

    core = object.__new__(writer.Core)
    core.book, core._aside, core._idle_until = SimpleNamespace(), SimpleNamespace(of=fail), 0.0
    assert core._due(now) is True
    assert core._idle_until == now + writer.LEFT_OUT_SECONDS


@pytest.mark.parametrize(("is_closed", "count"), [(False, 1), (True, 0)])
def test_a_database_is_closed_once(is_closed: bool, count: int) -> None:
    calls: list[str] = []
    database = object.__new__(Database)
    database._threads = SimpleNamespace(shutdown=lambda **how: calls.append("threads"))
    database._pool = SimpleNamespace(closed=is_closed, close=lambda: calls.append("pool"))
    asyncio.run(database.close())
    assert (calls.count("threads"), calls.count("pool")) == (1, count)


@pytest.mark.parametrize(
    ("hours", "text"),
    [
        (0, "2026-03-02 23:30:00.250"),
        (2, "2026-03-03 01:30:00.250"),
        (-5.5, "2026-03-02 18:00:00.250"),
    ],
)
def test_times_are_told_by_the_brokers_clock(hours: float, text: str) -> None:
    assert broker_time("2026-03-02T23:30:00.250Z", timedelta(hours=hours)) == text
