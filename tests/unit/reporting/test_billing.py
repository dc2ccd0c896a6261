"""Periods at their edges, rounding, and terms that survive being stored."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reporting.commission.money import round_money
from reporting.commission.periods import Calendar, PeriodLength
from reporting.commission.policy import Basis, Hurdle, Policy, Scheme, read_terms
from reporting.commission.schemes import opens_position

D = Decimal
WEEK, MONTH, QUARTER = PeriodLength.WEEK, PeriodLength.MONTH, PeriodLength.QUARTER


@pytest.mark.parametrize(
    ("amount", "currency", "rounded"),
    [
        ("0.125", "USD", "0.13"),
        ("-0.125", "USD", "-0.13"),
        ("0.5", "JPY", "1"),
        ("0.1249", "KWD", "0.125"),
        ("0.12345", "CLF", "0.1235"),
        ("0.005", "XYZ", "0.01"),
    ],
)
def test_money_is_rounded_half_up_to_the_minor_unit(amount, currency, rounded):
    assert str(round_money(D(amount), currency)) == rounded


@pytest.mark.parametrize(
    ("monday", "day", "first"),
    [
        (False, date(2026, 5, 23), date(2026, 5, 17)),
        (False, date(2026, 5, 24), date(2026, 5, 24)),
        (True, date(2026, 5, 24), date(2026, 5, 18)),
        (True, date(2026, 5, 25), date(2026, 5, 25)),
    ],
)
def test_a_week_starts_on_sunday_unless_the_firm_says_monday(monday, day, first):
    calendar = Calendar(week_starts_monday=monday)
    week = calendar.containing(calendar.midnight(day), WEEK)
    assert (week.first_day, week.days) == (first, 7)


@pytest.mark.parametrize(("year", "days"), [(2027, 28), (2028, 29)])
def test_february_has_its_leap_day(year, days):
    assert Calendar().containing(datetime(year, 2, 28, tzinfo=UTC), MONTH).days == days


def test_a_quarter_that_ends_the_year():
    quarter = Calendar().containing(datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), QUARTER)
    assert (quarter.first_day, quarter.next_day, quarter.days) == (date(2026, 10, 1), date(2027, 1, 1), 92)


def test_a_month_with_a_clock_change_is_an_hour_shorter_and_has_its_days():
    march = Calendar("Europe/Berlin").containing(datetime(2026, 3, 15, tzinfo=UTC), MONTH)
    assert march.start == datetime(2026, 2, 28, 23, tzinfo=UTC)
    assert march.end == datetime(2026, 3, 31, 22, tzinfo=UTC)
    assert march.days == 31


def test_where_clocks_skip_midnight_the_day_starts_when_they_jump():
    # Cairo, 24 April 2026: 00:00 becomes 01:00
    assert Calendar("Africa/Cairo").midnight(date(2026, 4, 24)) == datetime(2026, 4, 23, 22, tzinfo=UTC)


@given(
    moment=st.datetimes(datetime(1999, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),
    length=st.sampled_from(PeriodLength),
    zone=st.sampled_from(["UTC", "America/New_York", "Asia/Kathmandu", "Africa/Cairo", "Pacific/Apia"]),
    monday=st.booleans(),
)
def test_periods_join_without_gap_or_overlap(moment, length, zone, monday):
    calendar = Calendar(zone, monday)
    period = calendar.containing(moment, length)
    assert period.start <= moment < period.end
    assert calendar.containing(period.end, length).start == period.end


def test_terms_come_from_the_strategys_document():
    stated = {"type": "high-water-mark", "commissionRate": 0.1, "billingPeriod": "quarter"}
    terms = read_terms({"commissionScheme": stated})
    assert (terms.scheme, terms.rate, terms.billing_period) == (Scheme.HIGH_WATER_MARK, D("0.1"), QUARTER)
    assert read_terms({}) is None
    assert read_terms({"commissionScheme": {"type": "flat-fee", "commissionRate": 0}}) is None
    assert read_terms({"commissionScheme": {"type": "something new", "commissionRate": 1}}) is None


def test_a_policy_survives_being_stored():
    policy = Policy("strict", 3, Basis.EQUITY, hurdle=Hurdle.HARD, hurdle_rate=D("0.05"), loss_memory_periods=4)
    assert Policy.parse(policy.serialise()) == policy


@pytest.mark.parametrize(
    ("stored", "complaint"),
    [({"basis": "mood"}, "mood"), ({"loss_memory_periods": 0}, "at least one"), ({"hurdle_rate": "-1"}, "negative")],
)
def test_a_policy_that_makes_no_sense_is_refused(stored, complaint):
    with pytest.raises(ValueError, match=complaint):
        Policy.parse(stored)


@pytest.mark.parametrize(
    ("backend_id", "profit", "opens"),
    [("7:open", 0, True), ("7:close", 0, False), ("7:open", 5, True), ("7", 0, True), ("7", -5, False)],
)
def test_a_deal_says_by_its_id_whether_it_opens(backend_id, profit, opens):
    assert opens_position(backend_id, D(profit)) is opens
