"""Remembered positions of offset paging."""

from datetime import UTC, datetime

from copying.backend.http.pages import Positions

TIME = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_nearest_served_offset_is_where_counting_starts():
    positions = Positions()
    for offset in (3000, 1000, 2000):
        positions.remember(("q",), offset, (TIME, offset))
    assert positions.nearest(("q",), 2000) == (2000, (TIME, 2000))
    assert positions.nearest(("q",), 2999) == (2000, (TIME, 2000))
    assert positions.nearest(("q",), 999) == (0, None)
    assert positions.nearest(("other",), 2000) == (0, None)


def test_beginning_anew_forgets_what_was_served_before():
    positions = Positions()
    positions.remember(("q",), 1000, (TIME, 1))
    assert positions.nearest(("q",), 0) == (0, None)
    assert positions.nearest(("q",), 1000) == (0, None)


def test_the_least_recently_used_query_is_forgotten_first():
    positions = Positions(max_positions=4)
    for query in ("a", "b"):
        for offset in (1, 2):
            positions.remember((query,), offset, (TIME, offset))
    positions.nearest(("a",), 1)
    positions.remember(("c",), 1, (TIME, 1))
    assert positions.nearest(("b",), 1) == (0, None)
    assert positions.nearest(("a",), 2) == (2, (TIME, 2))
