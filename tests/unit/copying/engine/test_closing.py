"""Partial closes in proportion, closes before news and the windows of a signal."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from copying.engine.closing import volumes_after_partial_close
from copying.engine.filters import news_closes
from copying.engine.model import Instrument, Level, NewsEvent
from copying.engine.timing import close_after, opening_deadline
from tests.unit.copying.engine.worlds import INSTRUMENTS

EURUSD, GOLD = INSTRUMENTS["EURUSD"], INSTRUMENTS["XAUUSD"]


def left_of(opened: float, present: float, share: float, instrument: Instrument) -> float:
    least, step = instrument.min_volume, instrument.volume_step
    return volumes_after_partial_close(np.array([opened]), np.array([present]), share, least, step)[0]


@pytest.mark.parametrize(
    ("opened", "present", "provider_opened", "provider_present", "instrument", "closes"),
    [
        (0.3, 0.3, 1.0, 0.5, EURUSD, 0.15),
        (0.3, 0.15, 1.0, 0.2, EURUSD, 0.09),
        (0.3, 0.06, 1.0, 0.0, EURUSD, 0.06),
        (0.03, 0.03, 1.0, 0.5, EURUSD, 0.01),
        (0.03, 0.02, 1.0, 0.25, EURUSD, 0.01),
        (0.01, 0.01, 1.0, 0.5, EURUSD, 0.0),
        (0.01, 0.01, 1.0, 0.4, EURUSD, 0.01),
        (0.3, 0.3, 1.0, 2.0, EURUSD, 0.0),
        (0.15, 0.15, 1.0, 0.5, GOLD, 0.05),
        (0.1, 0.1, 1.0, 0.2, GOLD, 0.1),
        (0.1, 0.1, 1.0, 0.3, GOLD, 0.05),
    ],
)
def test_partial_closes(opened, present, provider_opened, provider_present, instrument, closes) -> None:
    left = left_of(opened, present, provider_present / provider_opened, instrument)
    assert round(present - left, 8) == closes


@given(st.integers(1, 500), st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_several_partial_closes_end_where_one_would(steps: int, shares: list[float]) -> None:
    opened = steps / 100
    present = opened
    shares = sorted(shares, reverse=True)
    for share in shares:
        closing = round(present - left_of(opened, present, share, EURUSD), 8)
        assert 0 <= closing <= present
        present = round(present - closing, 2)
        if not present:
            break
    direct = left_of(opened, opened, shares[-1], EURUSD)
    assert math.isclose(present, direct) or (present == 0 and any(share < 1 for share in shares))


@pytest.mark.parametrize(
    ("minutes_to_event", "document", "closes"),
    [
        (31, b'{"calendarNewsFilter":{"priorities":["high"],"closePositionTimeGapInMinutes":30}}', False),
        (30, b'{"calendarNewsFilter":{"priorities":["high"],"closePositionTimeGapInMinutes":30}}', True),
        (0, b'{"calendarNewsFilter":{"priorities":["high"],"closePositionTimeGapInMinutes":30}}', False),
        (30, b'{"calendarNewsFilter":{"priorities":["high"]}}', False),
        (30, b'{"calendarNewsFilter":{"priorities":["low"],"closePositionTimeGapInMinutes":30}}', False),
    ],
)
def test_news_close_positions_only_with_an_explicit_gap(minutes_to_event: int, document: bytes, closes: bool) -> None:
    event = NewsEvent(time=10_000.0 + 60 * minutes_to_event, currency="EUR", priority="high")
    level = news_closes(((Level.PORTFOLIO, document),), "EURUSD", (event,), 10_000.0)
    assert level is (Level.PORTFOLIO if closes else Level.NONE)


def test_windows_of_a_signal() -> None:
    assert opening_deadline({}, 1_000.0, 90.0, False) == 1_150.0
    assert opening_deadline({"timeSettings": {"openingIntervalInMinutes": 5}}, 1_000.0, 0.0, False) == 1_300.0
    assert opening_deadline({}, 1_000.0, 0.0, True) == math.inf
    assert opening_deadline({"timeSettings": {"expirePendingOrderSignals": True}}, 1_000.0, 0.0, True) == 1_060.0
    assert close_after({}, 0.0) == 90 * 86_400
    assert close_after({"timeSettings": {"lifetimeInHours": 2}}, 0.0) == 7_200
