"""What a text of one line may hold: names, references, reasons, as they stand in lists, statements and messages."""

from __future__ import annotations

import re

# controls and line ends; marks that turn the direction of writing, so that a line reads otherwise than it is stored
_NOT_OF_ONE_LINE = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
ONE_LINE = "must be one line, without control characters and marks that turn the direction of writing"


def is_one_line(text: str) -> bool:
    """Whether it reads as it is stored, in one line."""
    return not _NOT_OF_ONE_LINE.search(text)
