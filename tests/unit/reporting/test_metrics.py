"""Curves by hand: a few points whose growth, drawdown and months anyone can check."""

from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reporting.metrics import (
    Curve,
    chart_columns,
    converted,
    drawdown_fractions,
    flows_between,
    growth_index,
    monthly_returns,
    shown_points,
    sum_curves,
    today_month_period,
)
from reporting.rates import Rates, UnknownRate, last_shipped_day

SHIPPED = Rates()


def curve(*points, currency="USD"):
    """Points of (date text, equity, flow)."""
    times = np.array([int(datetime.fromisoformat(text + "T00:00+00:00").timestamp()) for text, *_ in points])
    return Curve(times, np.array([p[1] for p in points], float), np.array([p[2] for p in points], float), currency)


def test_a_deposit_is_no_profit():
    # 100 grows to 110, 90 come in, 200 grow to 220: ten percent twice
    assert growth_index(np.array([100, 200, 220.0]), np.array([0, 90, 0.0])).tolist() == pytest.approx([1, 1.1, 1.21])


def test_a_withdrawal_is_no_drawdown():
    index = growth_index(np.array([100, 50, 45.0]), np.array([0, -50, 0.0]))
    assert drawdown_fractions(index).tolist() == pytest.approx([0, 0, 0.1])


def test_drawdown_is_measured_from_the_highest_point_so_far():
    fractions = drawdown_fractions(np.array([1, 2, 1.5, 3, 0.75]))
    assert fractions.tolist() == pytest.approx([0, 0, 0.25, 0, 0.75])


def test_months_multiply_to_the_whole_return():
    made = curve(("2026-01-10", 100, 0), ("2026-01-31", 110, 0), ("2026-02-28", 99, 0), ("2026-04-01", 198, 0))
    returns = monthly_returns(made.times, growth_index(made.equity, made.flows))
    assert [month[:2] for month in returns] == [(2026, 1), (2026, 2), (2026, 4)]
    assert [month[2] for month in returns] == pytest.approx([0.1, -0.1, 1.0])


def test_nothing_measured_is_an_empty_chart():
    empty = sum_curves([], "USD")
    assert chart_columns(empty) == [[], [], [], []]
    assert monthly_returns(empty.times, growth_index(empty.equity, empty.flows)) == []


def test_flows_of_points_that_are_not_shown_count_at_the_next_that_is():
    flows = np.array([100.0, 5, 0, -2.5, 0, 0.1, 0.2])
    assert flows_between(flows, np.array([0, 2, 3, 6])).tolist() == [0, 5, -2.5, 0.3]
    assert flows_between(flows, np.array([2, 6])).tolist() == [0, -2.2]
    assert flows_between(flows, np.zeros(0, np.int64)).tolist() == []
    whole = curve(("2026-01-01", 100, 0), ("2026-01-02", 150, 40), ("2026-01-03", 90, -50))
    assert chart_columns(whole)[3] == [0, 40, -50]


def test_an_account_that_joins_is_no_profit():
    first = curve(("2026-01-01", 100, 0), ("2026-01-02", 110, 0), ("2026-01-03", 110, 0))
    second = curve(("2026-01-02", 1000, 0), ("2026-01-03", 1000, 0))
    both = sum_curves([first, second], "USD")
    assert both.equity.tolist() == [100, 1110, 1110]
    assert growth_index(both.equity, both.flows).tolist() == pytest.approx([1, 1.1, 1.1])


def test_what_an_account_begins_with_comes_in_once():
    # curves read by day say that their first value is money paid in; it must not count twice
    first = curve(("2026-01-01", 100, 100), ("2026-01-02", 110, 0))
    second = curve(("2026-01-02", 1000, 1000), ("2026-01-03", 1000, 0))
    both = sum_curves([first, second], "USD")
    assert both.flows.tolist() == [0, 1000, 0]
    assert drawdown_fractions(growth_index(both.equity, both.flows)).max() == 0


def test_a_thinned_curve_keeps_its_extremes_and_ends():
    values = np.sin(np.arange(100_000) / 5_000)
    values[77_777], values[33_333] = 9, -9
    shown = shown_points(values)
    assert len(shown) <= 2_002
    assert {0, 33_333, 77_777, 99_999} <= set(shown.tolist())


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300), st.integers(4, 50))
def test_thinning_keeps_order_and_range(numbers, limit):
    values = np.array(numbers)
    shown = shown_points(values, limit)
    assert (np.diff(shown) > 0).all()
    assert len(shown) <= max(limit, 4) + 2
    assert (values[shown].min(), values[shown].max()) == (values.min(), values.max())


def test_a_curve_is_converted_at_the_rate_of_each_day():
    euros = converted(curve(("2026-01-02", 100, 0), ("2026-01-05", 100, 10), currency="EUR"), "USD", SHIPPED)
    rates = [float(SHIPPED.on(date(2026, 1, day), "EUR", "USD").value) for day in (2, 5)]
    assert euros.equity.tolist() == pytest.approx([100 * rates[0], 100 * rates[1]])
    assert euros.flows[1] == pytest.approx(10 * rates[1])
    assert not euros.is_estimated


def test_a_weekend_has_the_rate_of_friday():
    friday, sunday = SHIPPED.on(date(2026, 1, 2), "USD", "JPY"), SHIPPED.on(date(2026, 1, 4), "USD", "JPY")
    assert (sunday.value, sunday.day, sunday.is_old) == (friday.value, date(2026, 1, 2), False)


def test_after_the_shipped_rates_the_last_one_is_used_and_said():
    late = SHIPPED.on(date.fromordinal(last_shipped_day().toordinal() + 40), "EUR", "USD")
    assert (late.day, late.is_old) == (last_shipped_day(), True)
    assert late.value == SHIPPED.on(last_shipped_day(), "EUR", "USD").value


def test_a_cross_rate_goes_through_the_euro():
    day = date(2026, 1, 2)
    through = SHIPPED.on(day, "EUR", "JPY").value / SHIPPED.on(day, "EUR", "USD").value
    assert SHIPPED.on(day, "USD", "JPY").value == pytest.approx(through)
    assert SHIPPED.on(day, "USD", "USD").value == Decimal(1)


def test_a_currency_without_a_rate_is_refused_with_a_sentence():
    with pytest.raises(UnknownRate, match="no reference rate for BTC"):
        SHIPPED.on(date(2026, 1, 2), "BTC", "USD")


def test_today_and_month_are_half_open():
    ranges = today_month_period(datetime(2026, 5, 31, 23, 59, tzinfo=UTC))
    assert ranges["today"] == (date(2026, 5, 31), date(2026, 6, 1))
    assert ranges["month"] == (date(2026, 5, 1), date(2026, 6, 1))
