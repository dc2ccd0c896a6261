"""Partial closes in proportion, and what close-only and removal want done with positions."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from copying.engine.closing import partial_close_volume, volume_after_partial_close, wanted
from copying.engine.filters import news_closes
from copying.engine.model import Level, NewsEvent
from copying.engine.timing import close_after, opening_deadline
from tests.unit.copying.engine.worlds import INSTRUMENTS

EURUSD, GOLD = INSTRUMENTS["EURUSD"], INSTRUMENTS["XAUUSD"]


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
    assert partial_close_volume(opened, present, provider_opened, provider_present, instrument) == closes


@given(st.integers(1, 500), st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_several_partial_closes_end_where_one_would(steps: int, shares: list[float]) -> None:
    opened = steps / 100
    present = opened
    shares = sorted(shares, reverse=True)
    for share in shares:
        closing = partial_close_volume(opened, present, 1.0, share, EURUSD)
        assert 0 <= closing <= present
        present = round(present - closing, 2)
        if not present:
            break
    direct = volume_after_partial_close(opened, opened, 1.0, shares[-1], EURUSD)
    assert math.isclose(present, direct) or (present == 0 and any(share < 1 for share in shares))


@pytest.mark.parametrize(
    ("removals", "subscription", "subscriber", "opens", "manages", "closes_now"),
    [
        ([], "", "", "all", True, False),
        ([], "by-position", "immediately", "none", True, False),
        ([], "", "immediately", "none", True, True),
        ([], "by-symbol", "", "held", True, False),
        (["preserve"], "", "immediately", "none", False, False),
        (["close-gracefully-by-symbol"], "", "", "held", True, False),
        (["close-gracefully-by-symbol", "close-immediately"], "", "", "none", True, True),
        (["close-gracefully-by-position"], "by-symbol", "", "none", True, False),
    ],
)
def test_what_close_only_and_removal_want(removals, subscription, subscriber, opens, manages, closes_now) -> None:
    found = wanted(removals, subscription, subscriber)
    assert (found.opens, found.manages, found.closes_now) == (opens, manages, closes_now)


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
