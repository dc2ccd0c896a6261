"""How old a rate is, in business days of the ECB: before, at and after each boundary."""

from datetime import date
from decimal import Decimal

import pytest

from reporting.rates import Rates, Series, UnknownRate, business_days_between, is_business_day, is_old


@pytest.mark.parametrize(
    ("rate_day", "asked_for", "days"),
    [
        (date(2026, 11, 6), date(2026, 11, 6), 0),
        (date(2026, 11, 6), date(2026, 11, 8), 0),  # Friday's on Sunday
        (date(2026, 11, 6), date(2026, 11, 9), 1),
        (date(2026, 11, 6), date(2026, 11, 11), 3),
        (date(2026, 11, 6), date(2026, 11, 12), 4),
        (date(2026, 12, 24), date(2026, 12, 30), 3),
        (date(2026, 12, 24), date(2026, 12, 31), 4),  # Christmas Day is none, the 26th a Saturday
        (date(2026, 4, 2), date(2026, 4, 7), 1),  # Good Friday and Easter Monday
        (date(2026, 4, 2), date(2026, 4, 9), 3),
        (date(2026, 4, 2), date(2026, 4, 10), 4),
        (date(1999, 4, 1), date(1999, 4, 6), 3),  # both were business days before 2000
        (date(2026, 4, 30), date(2026, 5, 4), 1),  # the first of May
    ],
)
def test_business_days(rate_day, asked_for, days):
    assert business_days_between(rate_day, asked_for) == days
    assert is_old(rate_day, asked_for) is (days > 3)


def test_a_rate_of_years_ago_is_old():
    assert is_old(date(2022, 3, 1), date(2026, 3, 2))


@pytest.mark.parametrize(
    "day", [date(2026, 1, 1), date(2026, 4, 3), date(2026, 4, 6), date(2025, 4, 18), date(2026, 12, 25)]
)
def test_days_on_which_nothing_is_published(day):
    assert not is_business_day(day)


def test_a_currency_that_left_the_list_is_old_though_the_list_goes_on():
    rate = Rates().on(date(2026, 5, 20), "RUB", "USD")
    assert (rate.day.year, rate.is_old) == (2022, True)


def own(currency, day, value, against="USD"):
    return Rates(own={currency: Series([day], [Decimal(value)], [against], ["Central bank"])})


def test_a_rate_of_ones_own_is_used_from_its_day_on():
    rates = own("KWD", date(2026, 5, 20), "3.25")
    rate = rates.on(date(2026, 5, 22), "KWD", "USD")
    assert (rate.value, rate.day, rate.source, rate.is_old) == (
        Decimal("3.25"),
        date(2026, 5, 20),
        "ECB, Central bank",
        False,
    )
    back = rates.on(date(2026, 5, 20), "USD", "KWD").value
    assert back == round(1 / Decimal("3.25"), 10)
    with pytest.raises(UnknownRate):
        rates.on(date(2026, 5, 19), "KWD", "USD")
    assert rates.on(date(2026, 5, 27), "KWD", "USD").is_old


def test_the_newer_of_the_ecbs_and_ones_own_counts():
    rates = own("RUB", date(2026, 5, 20), "0.0125")
    assert rates.on(date(2026, 5, 20), "RUB", "USD").value == Decimal("0.0125")
    assert rates.on(date(2022, 2, 1), "RUB", "USD").source == "ECB"


def test_a_sum_says_the_oldest_of_its_rates():
    rates = own("KWD", date(2026, 5, 12), "3.25")
    total = rates.add_up([(Decimal(1), "USD"), (Decimal(2), "KWD"), (Decimal(3), "USD")], "USD", date(2026, 5, 20))
    assert (total.amount, total.rate_day, total.is_old) == (Decimal("10.5"), date(2026, 5, 12), True)
    assert "older than 3 business days" in total.note
    alone = rates.add_up([(Decimal(1), "USD")], "USD", date(2026, 5, 20))
    assert (alone.rate_day, alone.is_old, alone.note) == (None, False, "")
