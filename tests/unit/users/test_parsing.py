"""What comes from outside is read in one place: plain digits, days and ids, and nothing that merely looks like them."""

from datetime import date

import pytest

from users import parsing

NOT_NUMBERS = [
    "",
    " ",
    "²",
    "१२",
    "1.0",
    "1e3",
    "+1",
    "-1",
    "0x1",
    "1_0",
    "1\n",
    "9" * 20,
    "9" * 5_000,
    str(2**63),
    "\0",
]


@pytest.mark.parametrize("text", NOT_NUMBERS)
def test_what_is_no_plain_number_is_none(text):
    assert parsing.whole_number(text) is None
    assert parsing.row_id(text) is None


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("7", 7), ("007", 7), (str(2**63 - 1), 2**63 - 1)])
def test_plain_digits_are_a_number(text, number):
    assert parsing.whole_number(text) == number


@pytest.mark.parametrize(("text", "number"), [("8", 8), ("9", 9), ("10", None)])
def test_a_number_up_to_the_largest(text, number):
    assert parsing.whole_number(text, largest=9) == number


def test_no_row_has_the_id_zero():
    assert parsing.row_id("0") is None


@pytest.mark.parametrize(
    ("text", "ids"),
    [("1,2", [1, 2]), ("1,2,3", None), ("1,,2", None), ("1,²", None), ("1," + "9" * 5_000, None), ("", None)],
)
def test_ids_with_commas(text, ids):
    assert parsing.row_ids(text, most=2) == ids


@pytest.mark.parametrize(
    "text", ["20260131", "2026-W05-1", "2026-02-30", "٢٠٢٦-01-01", "2026-01-01T00", "", "0000-01-01"]
)
def test_what_is_no_day_is_none(text):
    assert parsing.day(text) is None


def test_a_day_is_read():
    assert parsing.day("2026-01-31") == date(2026, 1, 31)


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_what_cannot_be_stored_is_not_readable(text):
    assert not parsing.is_readable(["fine", text])


def test_every_other_character_is_readable():
    assert parsing.is_readable(["ä", "😀", "\x01", "\ufffd", "\u202e"])
