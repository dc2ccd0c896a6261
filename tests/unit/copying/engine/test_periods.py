"""Periods of risk limits: the eleven types, with their edges."""

from __future__ import annotations

from datetime import UTC, datetime
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from copying.engine.periods import TYPES, period_at


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("kind", "anchor", "now", "start", "end"),
    [
        ("day", "2026-01-01T10:30", "2026-01-03T10:29", "2026-01-02T10:30", "2026-01-03T10:30"),
        ("day", "2026-01-01T10:30", "2026-01-03T10:30", "2026-01-03T10:30", "2026-01-04T10:30"),
        ("date", "2026-01-01T10:30", "2026-01-03T00:00", "2026-01-03", "2026-01-04"),
        ("date", "2026-01-03T10:30", "2026-01-03T23:59", "2026-01-03T10:30", "2026-01-04"),
        ("week", "2026-01-01T10:30", "2026-01-08T10:30", "2026-01-08T10:30", "2026-01-15T10:30"),
        # 2026-03-01 is a Sunday
        ("week-to-date", "2026-01-01", "2026-03-01T00:00", "2026-03-01", "2026-03-08"),
        ("week-to-date", "2026-01-01", "2026-02-28T23:59", "2026-02-22", "2026-03-01"),
        ("month", "2026-01-31T12:00", "2026-02-28T11:59", "2026-01-31T12:00", "2026-02-28T12:00"),
        ("month", "2026-01-31T12:00", "2026-03-01T00:00", "2026-02-28T12:00", "2026-03-31T12:00"),
        ("month-to-date", "2026-01-01", "2026-02-10", "2026-02-01", "2026-03-01"),
        ("quarter", "2025-11-30", "2026-02-28", "2026-02-28", "2026-05-30"),
        ("quarter-to-date", "2025-01-01", "2026-05-10", "2026-04-01", "2026-07-01"),
        ("year", "2024-02-29", "2025-02-28", "2025-02-28", "2026-02-28"),
        ("year-to-date", "2024-02-29", "2025-02-28", "2025-01-01", "2026-01-01"),
    ],
)
def test_the_period_that_contains_a_moment(kind: str, anchor: str, now: str, start: str, end: str) -> None:
    assert period_at(kind, at(anchor), at(now)) == (at(start), at(end))


def test_a_lifetime_never_ends() -> None:
    assert period_at("lifetime", 5.0, 1e9) == (5.0, inf)


@given(st.sampled_from(TYPES), st.integers(0, 2_000_000_000), st.integers(0, 500_000_000))
def test_periods_contain_their_moment_and_follow_each_other(kind: str, anchor: int, passed: int) -> None:
    now = float(anchor + passed)
    period = period_at(kind, float(anchor), now)
    assert anchor <= period.start <= now < period.end
    if period.end < 4e9:
        assert period_at(kind, float(anchor), period.end).start == period.end
        assert period_at(kind, float(anchor), period.end - 1) == period


def test_before_the_anchor_there_is_no_period() -> None:
    assert period_at("day", 100.0, 50.0) == (100.0, 100.0)
