"""Lists that the backend is given: every bound of a symbol's row, the lines of a table, how many events and results."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from copying.backend.risk import periods
from copying.backend.settings import news, uploads
from copying.backend.state.commands import AddNews, PutNews
from copying.backend.state.errors import Refused
from copying.backend.state.numbers import FIRST, counts_of
from copying.symbols import specifications
from copying.symbols.specifications import Specification
from tests.unit.copying.backend.desk import DAY, Desk

GOLD = Specification(
    "XAUUSD", "metal", "Gold", "XAU", "USD", 100.0, 2, 0.01, 50.0, 0.01, 30, -0.02, 0.01, 2_000.0, 0.15
)
EURO = replace(GOLD, symbol="EURUSD", kind="currency", base_currency="EUR", price=math.nan, volatility=math.nan)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("symbol", [("XA", False), ("XAU", True), ("X" * 12, True), ("X" * 13, False), ("xauusd", False)]),
        ("kind", [("metal", True), ("stone", False), ("", False)]),
        ("base_currency", [("XA", False), ("XAU", True), ("XAUU", False), ("xau", False)]),
        ("profit_currency", [("US", False), ("USD", True), ("USDT", False)]),
        ("contract_size", [(-1.0, False), (0.0, False), (1e-9, True)]),
        ("digits", [(-1, False), (0, True), (8, True), (9, False)]),
        ("volume_step", [(-0.01, False), (0.0, False), (0.01, True), (0.005, True), (0.003, False)]),
        ("min_volume", [(-0.01, False), (0.0, False), (0.01, True), (0.015, False), (50.0, True), (50.01, False)]),
        ("max_volume", [(0.009, False), (0.01, True), (0.011, True)]),
        ("spread_points", [(-1, False), (0, False), (1, True)]),
        ("swap_long", [(-1.01, False), (-1.0, False), (-0.99, True), (0.99, True), (1.0, False), (1.01, False)]),
        ("swap_short", [(-1.01, False), (-1.0, False), (-0.99, True), (0.99, True), (1.0, False), (1.01, False)]),
        ("price", [(-1.0, False), (0.0, False), (1e-9, True), (math.nan, False)]),
        ("volatility", [(-1.0, False), (0.0, False), (1e-9, True), (math.nan, False)]),
    ],
)
def test_a_row_of_symbols_is_within_its_bounds(field: str, values: list[tuple]) -> None:
    for value, is_accepted in values:
        row = replace(GOLD, **{field: value})
        if is_accepted:
            specifications.check(row)
        else:
            with pytest.raises(ValueError, match=rf"^{row.symbol}: "):
                specifications.check(row)


def test_a_pair_is_named_after_its_currencies_and_needs_no_price() -> None:
    specifications.check(EURO)
    for wrong in (replace(EURO, symbol="GBPUSD"), replace(EURO, symbol="USDEUR"), replace(EURO, base_currency="USD")):
        with pytest.raises(ValueError, match="a pair is named after both"):
            specifications.check(wrong)
    specifications.check(replace(GOLD, symbol="GOLD"))


@pytest.mark.parametrize("head", ["", "\n", "\n\n", "sep=;\n", "\nsep=;\n"])
@pytest.mark.parametrize("separator", ["\n", "\r\n", "\r"])
def test_lines_are_counted_as_an_editor_counts_them(head: str, separator: str) -> None:
    text = f"{head}time;currency\n1;USD\n\n2;EUR\n".replace("\n", separator)
    start = head.count("\n")
    expected = [(start + 1, ["time", "currency"]), (start + 2, ["1", "USD"]), (start + 4, ["2", "EUR"])]
    assert uploads.split(text) == expected


def events(desk: Desk, count: int, days: float = 1.0) -> list[dict]:
    """Different events so many days from now."""
    start = desk.now + days * DAY
    times = (datetime.fromtimestamp(start + number, UTC).isoformat() for number in range(count))
    return [{"time": time, "currency": "USD", "priority": "high"} for time in times]


@pytest.mark.parametrize("present", [0, 2, 5])
@pytest.mark.parametrize(("count", "is_kept"), [(4, True), (5, True), (6, False)])
def test_a_calendar_has_so_many_events_at_most(
    desk: Desk, monkeypatch, count: int, is_kept: bool, present: int
) -> None:
    """Put at once, or some after others: events that are there already are not counted again."""
    monkeypatch.setattr(news, "MOST_EVENTS", 5)
    whole = events(desk, count)
    present = min(present, count)
    if present:
        desk.do(PutNews(tenant="t", events=whole[:present]))
        command = AddNews(tenant="t", events=whole[1:])
    else:
        command = PutNews(tenant="t", events=whole)
    assert (desk.try_(command).refused is None) is is_kept
    assert len(desk.book.news.get("t", ())) == (count if is_kept else present)


@pytest.mark.parametrize(("seconds", "is_dropped"), [(-1, True), (0, False), (1, False)])
def test_a_full_calendar_forgets_what_is_older_than_a_week(desk: Desk, monkeypatch, seconds, is_dropped) -> None:
    monkeypatch.setattr(news, "MOST_EVENTS", 3)
    desk.do(PutNews(tenant="t", events=events(desk, 3)))
    oldest = desk.now + 2 - 7 * DAY + seconds  # the next command comes a second later
    desk.book.news["t"][0].time = oldest
    added = AddNews(tenant="t", events=events(desk, 1, days=2))
    desk.now += 1
    assert (desk.try_(added).refused is None) is is_dropped


@pytest.mark.parametrize(
    ("seconds", "is_near"),
    [(-7 * DAY - 1, False), (-7 * DAY, True), (0.0, True), (7 * DAY - 1, True), (7 * DAY, False)],
)
def test_the_engine_is_told_of_a_week_before_and_after(desk: Desk, seconds: float, is_near: bool) -> None:
    desk.do(PutNews(tenant="t", events=events(desk, 1, days=0)))
    moment = desk.book.news["t"][0].time
    assert bool(news.events_near(desk.book, "t", moment - seconds)) is is_near
    assert not news.events_near(desk.book, "u", moment)


@pytest.mark.parametrize(
    ("year", "is_taken"),
    [
        ("1969-12-31T23:59:59Z", False),
        ("1970-01-01T00:00:00Z", True),
        ("2099-12-31T23:59:59Z", True),
        ("2100-01-01T00:00:00Z", False),
    ],
)
def test_events_are_of_this_age(desk: Desk, year: str, is_taken: bool) -> None:
    command = PutNews(tenant="t", events=[{"time": year, "currency": "USD", "priority": "high"}])
    assert (desk.try_(command).refused is None) is is_taken


@pytest.mark.parametrize("size", [5, 6, 7])
def test_the_newest_results_are_kept_when_there_are_twice_as_many(desk: Desk, monkeypatch, size: int) -> None:
    monkeypatch.setattr(periods, "KEPT_RESULTS", 3)
    none = np.array([-1])
    for number in range(size):
        desk.book.time = float(number)
        periods.note_results(desk.book, none, none, none, np.array([float(number)]))
    is_cut = size > 6
    assert desk.book.results.amount.tolist() == ([4.0, 5.0, 6.0] if is_cut else list(range(size)))
    assert desk.book.results_since == (3.0 if is_cut else 0.0)


def test_the_first_shown_id_is_not_taken_for_a_plain_one() -> None:
    ids = np.array([FIRST - 1, FIRST, FIRST + 1])
    counts = counts_of(ids, b"secret")
    assert counts[0] == FIRST - 1
    assert len(set(counts.tolist())) == 3
    assert (counts[1:] < 2**40).all()


@pytest.mark.parametrize(
    ("hours", "is_accepted"), [(-14.01, False), (-14, True), (0, True), (14, True), (14.01, False)]
)
def test_a_brokers_clock_is_one_on_earth(desk: Desk, hours: float, is_accepted: bool) -> None:
    command = periods.SetBrokerClock(tenant="t", offset_hours=hours)
    if is_accepted:
        periods.check_broker_clock(desk.book, command)
    else:
        with pytest.raises(Refused):
            periods.check_broker_clock(desk.book, command)


@pytest.mark.parametrize(
    ("now", "ahead", "midnight"),
    [
        (DAY - 1, 0.0, DAY),
        (DAY, 0.0, 2 * DAY),
        (DAY + 1, 0.0, 2 * DAY),
        (DAY - 7_201, 7_200.0, DAY - 7_200),
        (DAY - 7_200, 7_200.0, 2 * DAY - 7_200),
        (DAY + 7_199, -7_200.0, DAY + 7_200),
        (DAY + 7_200, -7_200.0, 2 * DAY + 7_200),
    ],
)
def test_midnight_is_the_next_one_of_the_clock(now: float, ahead: float, midnight: float) -> None:
    assert periods.next_midnight(now, ahead) == midnight
