"""Tables that people upload as CSV: read as text, with the line of every row, so that each bad one can be named."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

SEPARATORS = ";,\t"


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be taken, and why. line: counted from 1 with the heading; 0: the file as a whole."""

    line: int
    text: str


class BadRows(Exception):
    """Some rows cannot be taken, so none was."""

    def __init__(self, rows: list[BadRow]):
        self.rows = rows
        super().__init__(f"{len(rows)} bad rows")


def lines_of(content: bytes, *, most_bytes: int) -> list[tuple[int, list[str]]]:
    """The lines that are not empty, each with its number. Raises BadRows."""
    if len(content) > most_bytes:
        raise BadRows([BadRow(0, f"The file is larger than {most_bytes // 1000} KB.")])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadRows([BadRow(0, "The file is not UTF-8: save it as “CSV UTF-8”.")]) from None
    if "\0" in text:
        raise BadRows([BadRow(0, "The file is no CSV.")])
    first = text.partition("\n")[0]
    separator = max(SEPARATORS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        return [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error:
        raise BadRows([BadRow(reader.line_num, "A quotation mark has no partner, or stands inside a cell.")]) from None
