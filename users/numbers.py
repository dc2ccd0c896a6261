"""How a number or a day that a person typed is read: the same in every form, and never guessed or rounded.

What has two readings is asked about, what has one is taken: docs/guide.md, "Numbers". Nothing else in the portal may
turn typed text into a number (a test looks).
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Any

from django import forms

from users.parsing import day

LIMIT = Decimal("1e15")  # where float64 ends to hold hundredths
LONGEST = 400  # all digits of the smallest float64
NOT_A_NUMBER = "This must be a number, like 0.5."
GROUPED_BY = " \u00a0\u202f\u2009\u2007'\u2019"  # spaces of every width that groups are set with, and apostrophes
_GROUP = re.compile(rf"\d{{1,3}}([{GROUPED_BY}])\d{{3}}(?:\1\d{{3}})*(?:[.,]\d*)?", re.ASCII)
_EXPONENT = re.compile(r"[\d.,]+e[+-]?\d+", re.ASCII | re.IGNORECASE)
_COUNTS = ("no decimals", "one decimal", "two decimals", "three decimals", "four decimals")


class Unclear(ValueError):
    """A text that is no number, or more than one. Its words say what to write."""


def read_number(text: str, *, decimals: int | None = None, unit: str = "") -> Decimal:
    """The number in a text that is not empty, with the digits that were typed.

    decimals: how many digits may stand behind the point (None: any); unit: what has so many, for the sentence.
    Raises Unclear.
    """
    shown = text.strip()
    if len(shown) > LONGEST:
        raise Unclear("This number has too many digits.")
    sign, body = _sign_of(shown)
    if any(not character.isascii() and character not in GROUPED_BY for character in body):
        raise Unclear(f"“{shown}” has signs of another keyboard. Type the digits 0 to 9 and a point, like 1234.50.")
    if "_" in body:
        raise Unclear("Type the number without underscores, like 1234.50.")
    if _EXPONENT.fullmatch(body):
        raise Unclear(f"“{shown}” has an exponent. Type all its digits, like 1000 for 1e3.")
    whole, fraction = _parts(_without_groups(body, shown), shown, is_grouped=any(c in GROUPED_BY for c in body))
    if decimals is not None and len(fraction) > decimals:
        raise Unclear(_too_many(shown, whole, fraction, decimals, unit))
    number = Decimal(f"{sign}{whole or 0}.{fraction}" if fraction else f"{sign}{whole}")
    if abs(number) >= LIMIT:
        raise Unclear("This number is too large.")
    return number


def _sign_of(shown: str) -> tuple[str, str]:
    for sign, meaning in (("-", "-"), ("\u2212", "-"), ("+", "")):
        if shown.startswith(sign):
            return meaning, shown[1:].lstrip()
    return "", shown


def _without_groups(body: str, shown: str) -> str:
    if not any(character in GROUPED_BY for character in body):
        return body
    if not _GROUP.fullmatch(body):
        if not re.fullmatch(rf"[\d.,{GROUPED_BY}]+", body):
            raise Unclear(NOT_A_NUMBER)
        raise Unclear(f"“{shown}” cannot be read: blanks and apostrophes stand between groups of three digits only.")
    return body.translate(dict.fromkeys(map(ord, GROUPED_BY)))


def _parts(body: str, shown: str, *, is_grouped: bool) -> tuple[str, str]:
    """The digits before and behind the decimal sign."""
    if body.lower().lstrip(".") in ("nan", "snan", "inf", "infinity"):
        raise Unclear(f"This must be a number, like 0.5, not “{shown}”.")
    if not re.fullmatch(r"[\d.,]*\d[\d.,]*", body, re.ASCII):
        raise Unclear(NOT_A_NUMBER)
    signs = [character for character in body if character in ".,"]
    if len(signs) == 1:
        whole, fraction = re.split("[.,]", body)
        if signs == [","] and not is_grouped and is_group(whole, fraction):
            raise Unclear(f"“{shown}” can be {whole}{fraction} or {whole}.{fraction}: type the one that you mean.")
        return whole, fraction
    if not signs:
        return body, ""
    # the last sign is the decimal one if it is another than those before it: 1,234.50 and 1.234,50
    whole, fraction = body, ""
    if signs[-1] != signs[0]:
        whole, _, fraction = body.rpartition(signs[-1])
    if is_grouped or not re.fullmatch(rf"[1-9]\d{{0,2}}(?:{re.escape(signs[0])}\d{{3}})+", whole, re.ASCII):
        raise Unclear(f"“{shown}” cannot be read. Type it without signs between the thousands, like 1234.50.")
    return whole.replace(signs[0], ""), fraction


def is_group(whole: str, fraction: str) -> bool:
    """Whether the sign between them may stand between thousands."""
    return len(fraction) == 3 and 1 <= len(whole) <= 3 and not whole.startswith("0")


def _too_many(shown: str, whole: str, fraction: str, decimals: int, unit: str) -> str:
    if is_group(whole, fraction):
        ask = f"“{shown}” can be {whole}{fraction} or {whole}.{fraction}"
        return (
            f"{ask}, which has more decimals than {unit}: type the one that you mean."
            if unit
            else (f"{ask}: type a number with {_count(decimals)}.")
        )
    if not unit:
        return "This must be a whole number." if decimals == 0 else f"This has at most {_count(decimals)}."
    return f"“{shown}” has more decimals than {unit}, which has {_count(decimals)}."


def _count(decimals: int) -> str:
    return _COUNTS[decimals] if decimals < len(_COUNTS) else f"{decimals} decimals"


class NumberField(forms.CharField):
    """A number typed into a form; empty: None. is_float: as programs of the contract take it, else a Decimal."""

    def __init__(
        self,
        *,
        decimals: int | None = None,
        is_positive: bool = False,
        is_float: bool = False,
        most: Decimal = LIMIT,
        **options: Any,
    ):
        attributes = {"inputmode": "decimal", "autocomplete": "off"}
        super().__init__(max_length=400, widget=forms.TextInput(attrs=attributes), **options)
        self.decimals, self.is_positive, self.is_float, self.most = decimals, is_positive, is_float, most

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text.strip():
            return None
        try:
            number = read_number(text, decimals=self.decimals)
        except Unclear as error:
            raise forms.ValidationError(str(error)) from error
        if self.is_positive and number <= 0:
            raise forms.ValidationError("Must be greater than 0.")
        if abs(number) > self.most:
            raise forms.ValidationError("This number is too large.")
        return float(number) if self.is_float else number


class WholeNumberField(NumberField):
    """A number without decimals; empty: None."""

    def __init__(self, *, smallest: int | None = None, largest: int | None = None, **options: Any):
        super().__init__(decimals=0, **options)
        self.smallest, self.largest = smallest, largest
        self.widget.attrs["inputmode"] = "numeric"

    def clean(self, value: Any) -> int | None:
        number = super().clean(value)
        if number is None:
            return None
        if self.smallest is not None and number < self.smallest:
            raise forms.ValidationError(f"This must be {self.smallest} or more.")
        if self.largest is not None and number > self.largest:
            raise forms.ValidationError(f"This must be {self.largest} or less.")
        return int(number)


class DayField(forms.CharField):
    """A day as the browser's calendar sends it; empty: None. 05/03/2026 is March to some and May to others."""

    def __init__(self, **options: Any):
        super().__init__(max_length=40, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"), **options)

    def clean(self, value: Any) -> date | None:
        text = super().clean(str(value) if isinstance(value, date) else value)
        if not text:
            return None
        chosen = day(text)
        if chosen is None:
            raise forms.ValidationError(f"“{text}” is not read as a day. Type year, month and day, like 2026-01-31.")
        return chosen
