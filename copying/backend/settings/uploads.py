"""Tables that people upload as CSV: read completely, or refused with the line. Must not know what the columns mean.

Spreadsheets and feeds disagree about line ends, separators, byte order marks and encodings; what can be told apart
without guessing is read. A quote that is left open, a cell too many or a character that is none would lose rows in
silence, so they are refused.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterable

SEPARATORS = ",;\t|"
ENCODINGS = {"utf-8": "utf-8-sig", "ascii": "utf-8-sig", "utf-16": "utf-16"}
ENCODINGS |= {"iso8859-1": "cp1252", "cp1252": "cp1252"}  # as browsers do
LONGEST_CELL = 10_000


class UnreadableTable(Exception):
    """`str()` is a sentence that names the line."""


Row = tuple[int, dict[str, str]]


def read_table(content: bytes, required: Iterable[str], optional: Iterable[str], *, charset: str = "") -> list[Row]:
    """(line number, cell by column) of every row that is not empty; an absent cell is "", other columns are left out.

    charset: what the sender says; without it UTF-8, or UTF-16 with its mark. Raises UnreadableTable.
    """
    required = tuple(required)
    known = (*required, *optional)
    lines = split(decoded(content, charset))
    head_line, head = next(((number, cells) for number, cells in lines if any(cells)), (1, []))
    names = [cell.strip().lower() for cell in head]
    if missing := [name for name in required if name not in names]:
        raise UnreadableTable(
            f"line {head_line}: the first line must name {','.join(required)}, without {' and '.join(missing)} "
            "it cannot be read"
        )
    if twice := [name for name in known if names.count(name) > 1]:
        raise UnreadableTable(f"line {head_line}: the column {twice[0]} is named twice")
    rows = []
    for number, cells in lines:
        if number <= head_line or not any(cells):
            continue
        if len(cells) > len(names) and any(cells[len(names) :]):
            raise UnreadableTable(
                f"line {number}: it has {len(cells)} cells, the first line {len(names)}; "
                "texts that contain the separator belong in quotes"
            )
        row = dict(zip(names, cells, strict=False))
        rows.append((number, {name: row.get(name, "") for name in known}))
    return rows


def decoded(content: bytes, charset: str) -> str:
    """The text. Raises UnreadableTable for another encoding and for NUL."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        charset = "utf-16"
    try:
        encoding = ENCODINGS[codecs.lookup(charset or "utf-8").name]
    except (LookupError, ValueError):
        raise UnreadableTable(f"the encoding {charset[:40]} is not known: send UTF-8") from None
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = len(content[: error.start].splitlines()) or 1
        raise UnreadableTable(f"line {line}: it is not written in {charset or 'UTF-8'}") from None
    if "\0" in text:
        raise UnreadableTable(f"line {line_of(text, text.index(chr(0)))}: it must not contain NUL")
    return text


def line_of(text: str, place: int) -> int:
    """The number of the line in which a place is; lines end with CR LF, LF or CR."""
    return len(f"{text[:place]}x".replace("\r\n", "\n").replace("\r", "\n").split("\n"))


def split(text: str) -> list[tuple[int, list[str]]]:
    """Every line's number and cells without white space at their ends, by the separator that the first line has."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    head, start = lines[first], first
    if head.lower().startswith("sep=") and len(head.strip("\r\n")) == 5:  # a hint for spreadsheets
        separator, start = head[4], first + 1
    else:
        separator = max(SEPARATORS, key=head.count)
    return [
        (number, cells_of(number, line, separator))
        for number, line in enumerate(lines[start:], start + 1)
        if line.strip()
    ]


def cells_of(number: int, line: str, separator: str) -> list[str]:
    """The cells of one line; quotes must close in it."""
    if len(line) > 20 * LONGEST_CELL:
        raise UnreadableTable(f"line {number}: it is too long")
    try:
        [cells] = csv.reader(io.StringIO(line, newline=""), delimiter=separator, strict=True)
    except (csv.Error, ValueError) as error:
        why = "a quote that opens in it is not closed" if "unexpected end" in str(error) else str(error)
        raise UnreadableTable(f"line {number}: it cannot be read: {why}") from None
    if any(len(cell) > LONGEST_CELL for cell in cells):
        raise UnreadableTable(f"line {number}: a cell has more than {LONGEST_CELL:,} characters")
    return [cell.strip() for cell in cells]
