"""Typed numbers: one reading for all forms, in whatever locale they were typed, and never a guess."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from django import forms
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from users.numbers import GROUPED_BY, DayField, NumberField, Unclear, WholeNumberField, read_number


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("0", "0"),
        ("7", "7"),
        ("0.5", "0.5"),
        (".5", "0.5"),
        ("5.", "5"),
        ("0,5", "0.5"),
        ("1234,5", "1234.5"),
        ("1,23", "1.23"),
        ("1,2345", "1.2345"),
        ("0,125", "0.125"),
        ("1234,567", "1234.567"),
        ("1.234", "1.234"),
        ("-2,40", "-2.40"),
        ("\u22122.40", "-2.40"),
        ("+5", "5"),
        (" 12.50 ", "12.50"),
        ("1 234.50", "1234.50"),
        ("1 234,50", "1234.50"),
        ("1 234 567", "1234567"),
        ("1\u202f234,567", "1234.567"),
        ("1\u00a0234", "1234"),
        ("1\u2009234", "1234"),
        ("12'345.6", "12345.6"),
        ("12\u2019345,6", "12345.6"),
        ("1,234.56", "1234.56"),
        ("1.234,56", "1234.56"),
        ("1.355,90", "1355.90"),
        ("1,234,567", "1234567"),
        ("1.234.567", "1234567"),
        ("1.234.567,8", "1234567.8"),
        ("1,234.567", "1234.567"),
    ],
)
def test_what_has_one_reading_is_taken(typed, number):
    assert read_number(typed) == Decimal(number)


@pytest.mark.parametrize("typed", ["1,234", "12,345", "123,456", "1,000", "-1,000"])
def test_one_comma_before_three_digits_is_asked_about_with_both_readings(typed):
    plain = typed.lstrip("-")
    with pytest.raises(Unclear) as refusal:
        read_number(typed)
    assert f"{plain.replace(',', '')} or {plain.replace(',', '.')}" in str(refusal.value)


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("1e3", "exponent"),
        ("1E-3", "exponent"),
        ("1,5e3", "exponent"),
        ("1_000", "underscores"),
        ("NaN", "not “NaN”"),
        ("Infinity", "must be a number"),
        ("-inf", "must be a number"),
        ("much", "must be a number"),
        ("-", "number"),
        (".", "must be a number"),
        ("１２３", "digits 0 to 9"),
        ("１２.5", "digits 0 to 9"),
        ("－5", "digits 0 to 9"),
        ("1．5", "digits 0 to 9"),
        ("١٢٣", "digits 0 to 9"),
        ("5 €", "digits 0 to 9"),
        ("$5", "must be a number"),
        ("1 23", "groups of three"),
        ("12 34.5", "groups of three"),
        ("1'2", "groups of three"),
        ("1 234'567", "groups"),
        ("1234 567", "groups of three"),
        ("1,23,456", "cannot be read"),
        ("1,234,56", "cannot be read"),
        ("1.2.3", "cannot be read"),
        ("1,234.5,6", "cannot be read"),
        ("0,123,456", "cannot be read"),
        ("1 234,567,890", "cannot be read"),
        ("1e400", "exponent"),
        ("9" * 16, "too large"),
        ("1" * 401, "too many"),
        ("0x10", "must be a number"),
        ("1/2", "must be a number"),
        ("(5)", "must be a number"),
        ("--5", "number"),
    ],
)
def test_what_is_no_number_is_refused_with_words(typed, words):
    with pytest.raises(Unclear, match=words):
        read_number(typed)


@pytest.mark.parametrize(
    ("typed", "decimals", "words"),
    [
        ("1.234", 2, "can be 1234 or 1.234"),
        ("0.5", 0, "has no decimals"),
        ("0.001", 2, "has two decimals"),
        ("1.234", 0, "can be 1234 or 1.234"),
        ("10.00", 0, "no decimals"),
        ("1.2345", 3, "three decimals"),
        ("1.2345", 2, "two decimals"),
        ("1,23", 1, "one decimal"),
        ("1.500", 2, "1500 or 1.500"),
    ],
)
def test_more_decimals_than_the_unit_has_are_asked_about(typed, decimals, words):
    with pytest.raises(Unclear, match=words):
        read_number(typed, decimals=decimals, unit="EUR")


@pytest.mark.parametrize(("typed", "decimals"), [("1.23", 2), ("1", 0), ("1.234", 3), ("1,234.50", 2), ("1 234", 0)])
def test_as_many_decimals_as_the_unit_has_are_taken(typed, decimals):
    read_number(typed, decimals=decimals, unit="EUR")


def sentence_about(text):
    try:
        return "" if read_number(text).is_finite() else "not finite"
    except Unclear as refusal:
        return str(refusal)


@given(st.text(max_size=30) | st.text(f"0123456789.,-+e_{GROUPED_BY}", max_size=14))
def test_any_text_is_a_number_or_is_refused_with_a_sentence(text):
    sentence = sentence_about(text)
    assert sentence == "" or sentence.endswith(".")


@given(st.decimals(min_value=-(10**14), max_value=10**14, places=2))
def test_a_plain_decimal_comes_back_as_it_was(number):
    assert read_number(f"{number:f}") == number
    assert read_number(f"{number:,.2f}") == number
    assert read_number(f"{number:,.2f}".replace(",", " ")) == number


def cleaned(field, typed):
    try:
        return field.clean(typed)
    except forms.ValidationError as error:
        return error.messages[0]


def test_fields_refuse_what_is_out_of_range():
    assert cleaned(NumberField(is_positive=True), "0") == "Must be greater than 0."
    assert cleaned(NumberField(is_positive=True), "0.01") == Decimal("0.01")
    assert cleaned(NumberField(most=Decimal(10)), "10.1") == "This number is too large."
    assert cleaned(NumberField(most=Decimal(10)), "10") == 10
    assert cleaned(NumberField(required=False), " ") is None
    assert type(cleaned(NumberField(is_float=True), "0,5")) is float


@pytest.mark.parametrize(
    ("typed", "number"), [("12", 12), ("1.5", None), ("1.000", None), ("1,000", None), ("7", None)]
)
def test_whole_numbers_have_no_decimals(typed, number):
    found = cleaned(WholeNumberField(smallest=8), typed)
    assert found == number if number is not None else isinstance(found, str)


@pytest.mark.parametrize(
    "text",
    [
        "05/03/2026",
        "12/11/26",
        "2026-1-5",
        "2026-02-31",
        "２０２６-12-12",
        "٢٠٢٦-١٢-١٢",
        "12.12.2026",
        "20261212",
        "2026-W48-7",
    ],
)
def test_a_day_is_never_guessed(text):
    with pytest.raises(ValidationError) as caught:
        DayField().clean(text)
    assert f"“{text}” is not read as a day" in caught.value.messages[0]


@pytest.mark.parametrize(
    ("text", "expected"), [("2026-01-31", date(2026, 1, 31)), (" 2026-01-31\n", date(2026, 1, 31)), ("", None)]
)
def test_a_day_is_read_as_the_browsers_calendar_sends_it(text, expected):
    assert DayField(required=False).clean(text) == expected
