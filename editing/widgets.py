"""How one value of a document is shown in an input, said in words, and read back.

An input's text is what travels in a form: "" means that nothing is set. `read` raises ValueError with a sentence.
Fractions of one are edited in percent, exactly: the text is decimal, never a rounded float.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from copying.contract import wire
from users.numbers import read_number

THIN_SPACE = "\u202f"


def plain_number(value: float | Decimal) -> str:
    """All digits of a number without exponent: 0.1, 1000, 0.00001."""
    text = format(value if isinstance(value, Decimal) else Decimal(repr(value)), "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


@dataclass(frozen=True)
class Widget:
    """A text of one line."""

    kind = "text"
    is_multiple = False

    def show(self, value: Any) -> str:
        """The input's text of a value of the document; "" where it is absent."""
        return "" if value is None else str(value)

    def read(self, text: str) -> Any:
        """The value of a text that is not empty."""
        return text

    def words(self, value: Any) -> str:
        """The value as a person says it."""
        return self.show(value)

    def choices(self, text: str) -> list[tuple[str, str]]:
        """(value, label) of a choice; a word of the backend's that we do not know stays choosable."""
        return []


@dataclass(frozen=True)
class LongText(Widget):
    """Several lines."""

    kind = "long"

    def read(self, text: str) -> str:
        return text.replace("\r\n", "\n")


@dataclass(frozen=True)
class Secret(Widget):
    """Goes in and never comes out; left empty it stays as it is."""

    kind = "secret"

    def show(self, value: Any) -> str:
        return ""

    def words(self, value: Any) -> str:
        return "····" if value else ""


@dataclass(frozen=True)
class Number(Widget):
    """A number with a unit; `factor` of it is shown (100 for a fraction in percent)."""

    unit: str = ""
    factor: int = 1
    is_integer: bool = False
    kind = "number"

    def show(self, value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            return "" if value is None else str(value)
        exact = value if isinstance(value, Decimal) else Decimal(repr(value))
        return plain_number(exact * self.factor)

    def read(self, text: str) -> float | int:
        number = read_number(text.strip().removesuffix("%"), decimals=0 if self.is_integer else None)
        return int(number) if self.is_integer else float(number / self.factor)

    def words(self, value: Any) -> str:
        text = self.show(value)
        return f"{text}{THIN_SPACE}{self.unit}" if text and self.unit else text


@dataclass(frozen=True)
class Percent(Number):
    """A fraction of one, edited in percent."""

    unit: str = "%"
    factor: int = 100


@dataclass(frozen=True)
class OneOf(Widget):
    """One of a few words. options: (value on the wire, label)."""

    options: tuple[tuple[str, str], ...] = ()
    kind = "choice"

    def words(self, value: Any) -> str:
        return dict(self.options).get(value, str(value)) if value is not None else ""

    def choices(self, text: str) -> list[tuple[str, str]]:
        known = [*self.options]
        return known if not text or text in dict(known) else [*known, (text, f"{text} (the backend's own word)")]


@dataclass(frozen=True)
class Listed(OneOf):
    """One of what is there to choose from, and nothing else: ids, of which a form must not accept any other."""

    def read(self, text: str) -> str:
        if text not in dict(self.options):
            raise ValueError("Choose one of the list.")
        return text

    def choices(self, text: str) -> list[tuple[str, str]]:
        return [*self.options]


@dataclass(frozen=True)
class Ids(Widget):
    """Several ids in one line; a list on the wire."""

    def show(self, value: Any) -> str:
        if not isinstance(value, list):
            return "" if value is None else str(value)
        return ", ".join(str(item) for item in value)

    def read(self, text: str) -> list[str]:
        return list(dict.fromkeys(text.replace(",", " ").split()))


@dataclass(frozen=True)
class Flag(OneOf):
    """Yes, no, or not set: three things."""

    options: tuple[tuple[str, str], ...] = (("true", "Yes"), ("false", "No"))

    def show(self, value: Any) -> str:
        return "" if value is None else {True: "true", False: "false"}.get(value, str(value))

    def read(self, text: str) -> Any:
        return {"true": True, "false": False}.get(text, text)

    def words(self, value: Any) -> str:
        return super().words(self.show(value) or None)


@dataclass(frozen=True)
class Sides(OneOf):
    """Which sides of the market may be opened; a list on the wire."""

    options: tuple[tuple[str, str], ...] = (
        ("buy,sell", "Buy and sell"),
        ("buy", "Only buy"),
        ("sell", "Only sell"),
        ("none", "Neither"),
    )

    def show(self, value: Any) -> str:
        if not isinstance(value, list):
            return "" if value is None else str(value)
        return ",".join(sorted({str(side) for side in value})) or "none"

    def read(self, text: str) -> list[str]:
        return [] if text == "none" else text.split(",")

    def words(self, value: Any) -> str:
        return super().words(self.show(value) or None)


@dataclass(frozen=True)
class Several(OneOf):
    """Any number of a few words, as boxes to tick; a list on the wire. None ticked: not set."""

    kind = "several"
    is_multiple = True

    def show(self, value: Any) -> str:
        if not isinstance(value, list):
            return "" if value is None else str(value)
        return ",".join(str(item) for item in value)

    def read(self, text: str) -> list[str]:
        return text.split(",")

    def words(self, value: Any) -> str:
        known = dict(self.options)
        return ", ".join(known.get(word, str(word)) for word in value) if isinstance(value, list) else ""

    def choices(self, text: str) -> list[tuple[str, str]]:
        strange = [word for word in text.split(",") if word and word not in dict(self.options)]
        return [*self.options, *((word, word) for word in strange)]


@dataclass(frozen=True)
class Moment(Widget):
    """A point in time, typed in UTC."""

    kind = "moment"

    def show(self, value: Any) -> str:
        if value is None:
            return ""
        try:
            moment = value if isinstance(value, datetime) else wire.parse_time(value)
        except ValueError:
            return str(value)
        text = moment.astimezone(UTC).isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00")
        return text.removesuffix(".000").removesuffix(":00")

    def read(self, text: str) -> str:
        try:
            return wire.format_time(wire.parse_time(text.upper().removesuffix("UTC")))
        except ValueError:
            raise ValueError("This must be a time in UTC, like 2026-01-31 14:00.") from None

    def words(self, value: Any) -> str:
        text = self.show(value)
        return f"{text} UTC" if text else ""


def listed(words: Iterable[str]) -> str:
    """Texts one after the other, in one line."""
    return ", ".join(word for word in words if word)
