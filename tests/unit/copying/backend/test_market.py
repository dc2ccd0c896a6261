"""Prices: the ECB market is a pure function of time, and recordings may be untidy."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from copying.backend.market import replay, simulated
from copying.backend.market.ecb import LEGS, STEP_SECONDS, EcbMarket, _closing_time, read_closes
from copying.backend.market.replay import NoQuotes, ReplayFeed
from copying.symbols.instruments import SYMBOLS, spread


def mid(market: EcbMarket, symbol: str, moment: float) -> float:
    bid, ask = market.quotes(moment)[symbol]
    return (bid + ask) / 2


def test_daily_closes_are_the_reference_rates() -> None:
    days, closes = read_closes()
    market = EcbMarket()
    for place in (-1, -2, -100):
        rates = dict(zip(LEGS, closes[place], strict=True))
        moment = _closing_time(days[place])
        assert mid(market, "EURUSD", moment) == pytest.approx(rates["USD"], abs=2e-5)
        assert mid(market, "USDJPY", moment) == pytest.approx(rates["JPY"] / rates["USD"], abs=2e-3)


def test_a_price_depends_on_nothing_but_the_moment() -> None:
    days, _ = read_closes()
    moments = [_closing_time(days[-1]) + hours * 3600.0 for hours in (-2000, 5, 900, -30)]
    first, second = EcbMarket(), EcbMarket()
    forwards = [first.quotes(moment) for moment in moments]
    backwards = [second.quotes(moment) for moment in reversed(moments)]
    assert forwards == backwards[::-1]


def test_crosses_agree_and_spreads_are_as_listed() -> None:
    market = EcbMarket()
    quotes = market.quotes(_closing_time(read_closes()[0][-1]) - 40_000)
    mids = {symbol: sum(quote) / 2 for symbol, quote in quotes.items()}
    assert mids["EURJPY"] == pytest.approx(mids["EURUSD"] * mids["USDJPY"], rel=3e-5)
    assert mids["EURGBP"] == pytest.approx(mids["EURUSD"] / mids["GBPUSD"], rel=3e-5)
    for symbol in SYMBOLS:
        assert quotes[symbol][1] - quotes[symbol][0] == pytest.approx(spread(symbol), rel=1e-6)


def test_the_market_goes_on_for_years_after_the_last_shipped_day() -> None:
    last = datetime.combine(read_closes()[0][-1], datetime.min.time(), UTC)
    price = mid(EcbMarket(), "EURUSD", (last + timedelta(days=1000)).timestamp())
    assert 0.5 < price < 2.5


def write(path, lines: list[str]) -> None:
    path.write_text("time,symbol,bid,ask\n" + "\n".join(lines))


def test_untidy_recordings_are_put_in_order(tmp_path) -> None:
    write(
        tmp_path / "quotes.csv",
        [
            "2026-01-01T00:00:10Z,EURUSD,1.2,1.2001",
            "2026-01-01T00:00:00Z,EURUSD,1.1,1.1001",  # out of order
            "2026-01-01T00:00:00Z,EURUSD,1.1,1.1001",  # repeated
            "2026-01-01T00:00:05Z,EURUSD,1.3,1.2",  # crossed
            "2026-01-01T00:00:05Z,EURUSD,nan,1.2",
            "nonsense,EURUSD,1.1,1.2",
            "2026-01-01T01:00:00Z,GBPUSD,1.3,1.3001",  # after a gap
        ],
    )
    feed = ReplayFeed(tmp_path / "quotes.csv")
    start = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    assert feed.rejected == 3
    assert feed.quotes(start - 1) == {}
    assert feed.quotes(start + 7) == {"EURUSD": (1.1, 1.1001)}
    assert feed.quotes(start + 1800) == {"EURUSD": (1.2, 1.2001)}
    assert set(feed.quotes(start + 3600)) == {"EURUSD", "GBPUSD"}
    assert np.isnan(feed.mids("EURUSD", np.array([start - 1]))).all()


def test_a_recording_may_be_packed_and_moved_in_time(tmp_path) -> None:
    with gzip.open(tmp_path / "quotes.csv.gz", "wt") as handle:
        handle.write("1767225600,EURUSD,1.1,1.1001\n1767225600500,EURUSD,1.2,1.2001\n")
    feed = ReplayFeed(tmp_path / "quotes.csv.gz", start=1000.0)
    assert feed.quotes(1000.0) == {"EURUSD": (1.1, 1.1001)}
    assert feed.quotes(1000.5) == {"EURUSD": (1.2, 1.2001)}


@pytest.mark.parametrize("content", ["", "time,symbol,bid,ask\n", "a,b\n"])
def test_a_file_without_quotes_is_one_clear_sentence(tmp_path, content: str) -> None:
    (tmp_path / "quotes.csv").write_text(content)
    with pytest.raises(NoQuotes, match="no usable quote"):
        ReplayFeed(tmp_path / "quotes.csv")
    with pytest.raises(NoQuotes, match="cannot be read"):
        ReplayFeed(tmp_path / "missing.csv")


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.999])
def test_between_the_steps_of_a_path_prices_go_in_a_straight_line(share: float) -> None:
    market = EcbMarket()
    start = _closing_time(read_closes()[0][-2])
    for step in (0, 7, 40):
        left, right = (market.legs_at(start + (step + more) * STEP_SECONDS) for more in (0, 1))
        between = market.legs_at(start + (step + share) * STEP_SECONDS)
        assert between == pytest.approx(left + (right - left) * share, abs=1e-9)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.999])
def test_added_symbols_go_in_a_straight_line_between_their_steps(share: float) -> None:
    paths = simulated.SimulatedPaths(read_closes)
    start = simulated.closing_moment(500)
    for step in (0, 9, 500):
        left, right = (paths.logs_at(start + (step + more) * simulated.STEP_SECONDS) for more in (0, 1))
        between = paths.logs_at(start + (step + share) * simulated.STEP_SECONDS)
        assert between == pytest.approx(left + (right - left) * share, abs=1e-9)


def test_prices_move_at_every_step_of_a_day() -> None:
    market = EcbMarket()
    start = _closing_time(read_closes()[0][-2])
    legs = np.array([market.legs_at(start + step * STEP_SECONDS)[0] for step in range(200)])
    assert len(np.unique(np.diff(legs))) > 190


@pytest.mark.parametrize(
    ("text", "moment"),
    [("99999999999", 99_999_999_999.0), ("100000000000", 1e11), ("100000000001", 100_000_000.001), ("0", 0.0)],
)
def test_times_of_recordings_are_milliseconds_above_a_bound(text: str, moment: float) -> None:
    assert replay._moment(text) == moment
