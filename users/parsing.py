"""What comes from outside as text (addresses, forms, headers) and is meant as a number, an id, a day: read here only.

Python reads more than people mean: "²".isdigit() is true and int("²") an error, int("١٢") is 12, five thousand digits
are an error of their own, and a NUL is one that only PostgreSQL reports. So nothing else in the portal calls int(),
isdigit() or fromisoformat() on what somebody sent; a rule in tests/rules watches it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date

LARGEST_ID = 2**63 - 1
_DIGITS = re.compile(r"[0-9]{1,19}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# NUL, which no text of PostgreSQL can hold, and halves of characters, which no encoding can
_UNREADABLE = re.compile("[\0\ud800-\udfff]")


def whole_number(text: str, *, largest: int = LARGEST_ID) -> int | None:
    """A number written in plain digits, from 0 to `largest`; None for anything else."""
    if not _DIGITS.fullmatch(text):
        return None
    number = int(text)
    return number if number <= largest else None


def row_id(text: str) -> int | None:
    """The id of a row; None for what cannot be one."""
    return whole_number(text) or None


def row_ids(text: str, *, most: int) -> list[int] | None:
    """Ids with commas between them; None when one cannot be one, or there are too many."""
    if len(text) > most * 20:
        return None
    parts = text.split(",")
    ids = [number for part in parts if (number := row_id(part)) is not None]
    return ids if len(ids) == len(parts) <= most else None


def day(text: str) -> date | None:
    """A day like 2026-01-31; None for anything else."""
    if not _DAY.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def is_readable(texts: Iterable[str]) -> bool:
    """Whether all of them could be stored."""
    return not any(_UNREADABLE.search(text) for text in texts)
