"""Recorded quotes of real brokers, as messy as they are; skipped where the recordings are not beside the project."""

from pathlib import Path

import numpy as np
import pytest

from copying.backend.market.replay import ReplayFeed

RECORDINGS = Path(__file__).resolve().parents[5] / "shared" / "data"
FILES = {"quotes-gbpusd-m1-2012.csv.gz": "GBPUSD", "quotes-usdjpy-m1-2013.csv.gz": "USDJPY"}

pytestmark = pytest.mark.skipif(not RECORDINGS.is_dir(), reason=f"no recordings in {RECORDINGS}")


@pytest.mark.parametrize(("name", "symbol"), FILES.items())
def test_a_month_of_minutes_is_replayed_whole_and_uncrossed(name, symbol):
    feed = ReplayFeed(RECORDINGS / name)
    assert feed.last_time - feed.first_time > 20 * 86_400
    moments = np.arange(feed.first_time, feed.last_time, 3_600.0)
    quotes = [feed.quotes(moment)[symbol] for moment in moments]
    assert all(0 < bid <= ask < bid * 1.01 for bid, ask in quotes)
    assert np.allclose(feed.mids(symbol, moments), [(bid + ask) / 2 for bid, ask in quotes])


def test_a_week_end_leaves_the_last_price_standing():
    feed = ReplayFeed(RECORDINGS / "quotes-gbpusd-m1-2012.csv.gz")
    saturday, sunday = 1_328_356_800.0, 1_328_443_200.0 - 1  # 2012-02-04 12:00, 2012-02-05 11:59:59
    assert feed.quotes(saturday) == feed.quotes(sunday)


def test_ticks_can_be_moved_to_another_moment():
    recorded = ReplayFeed(RECORDINGS / "quotes-usdjpy-ticks-2013.csv.gz")
    moved = ReplayFeed(RECORDINGS / "quotes-usdjpy-ticks-2013.csv.gz", start=0.0)
    assert moved.first_time == 0.0
    later = (recorded.last_time - recorded.first_time) / 2
    assert moved.quotes(later) == recorded.quotes(recorded.first_time + later)
