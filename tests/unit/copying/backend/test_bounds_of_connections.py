"""How many connections there may be, how long a request may be, and what an error is called."""

from __future__ import annotations

import resource
from typing import Any

import pytest

from copying.backend.http import connections
from copying.backend.http.connections import Room, raised_descriptors
from copying.backend.http.errors import NAMES


@pytest.mark.parametrize(
    ("descriptors", "capacity"), [(10, 5), (64, 32), (128, 64), (129, 65), (1_064, 1_000), (65_536, 65_472)]
)
def test_a_part_of_the_descriptors_is_kept_for_oneself(descriptors: int, capacity: int) -> None:
    assert Room(descriptors).capacity == capacity


@pytest.mark.parametrize(
    ("count", "is_crowded", "is_full"),
    [(0, False, False), (750, False, False), (751, True, False), (1_000, True, False), (1_001, True, True)],
)
def test_streams_are_turned_away_before_signals(count: int, is_crowded: bool, is_full: bool) -> None:
    room = Room(1_064)
    room.open = count
    assert (room.is_crowded, room.is_full) == (is_crowded, is_full)


@pytest.mark.parametrize(("second", "lines"), [(59.9, 1), (60.0, 2), (60.1, 2)])
def test_who_is_turned_away_is_logged_once_a_minute(caplog: Any, second: float, lines: int) -> None:
    room = Room(1_064)
    room.report(0.0)
    room.report(second)
    assert len(caplog.records) == lines


NO_LIMIT, WANTED = resource.RLIM_INFINITY, connections.WANTED_DESCRIPTORS


@pytest.mark.parametrize(
    ("soft", "hard", "result", "asked"),
    [
        (1_024, 4_096, 4_096, (4_096, 4_096)),
        (1_024, 1_000_000, WANTED, (WANTED, 1_000_000)),
        (1_024, NO_LIMIT, WANTED, (WANTED, NO_LIMIT)),
        (4_095, 4_096, 4_096, (4_096, 4_096)),
        (4_096, 4_096, 4_096, None),
        (WANTED + 1, NO_LIMIT, WANTED + 1, None),
        (NO_LIMIT, NO_LIMIT, WANTED, None),
    ],
)
def test_the_limit_of_open_files_is_raised_as_far_as_it_may(monkeypatch: Any, soft, hard, result, asked) -> None:
    calls: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda which: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: calls.append(limits))
    assert raised_descriptors() == result
    assert calls == ([] if asked is None else [asked])


def test_a_limit_that_cannot_be_raised_stays(monkeypatch: Any) -> None:
    def refuse(which: int, limits: tuple[int, int]) -> None:
        raise ValueError("not permitted")

    monkeypatch.setattr(resource, "getrlimit", lambda which: (1_024, 4_096))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert raised_descriptors() == 1_024


def test_a_head_has_room_for_an_address_and_headers() -> None:
    assert connections.MAX_HEAD_BYTES == 65_536 + 32_768
    assert connections.MAX_DRAINED_BYTES == 2 * connections.MAX_BODY_BYTES


def test_errors_have_the_names_of_the_contract() -> None:
    assert NAMES == {
        400: "ValidationError",
        401: "UnauthorizedError",
        403: "ForbiddenError",
        404: "NotFoundError",
        405: "MethodNotAllowedError",
        413: "PayloadTooLargeError",
        422: "UnprocessableError",
        429: "TooManyRequestsError",
        500: "InternalError",
        503: "ServiceUnavailableError",
    }
