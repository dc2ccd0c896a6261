"""What is wrong with settings: what the contract says of a document, and its sentences in the words of a form."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from copying.contract.validation import Invalid, validate
from editing.fields import FIELDS, MODES
from editing.inputs import InputPath
from editing.widgets import Several

_WIRE_WORD = re.compile(r"\b[a-z]+(?:[A-Z][a-z]+)+\b")
_LABELS = {part.name or field.key: part.label for field in FIELDS for part in field.parts} | MODES


@dataclass(frozen=True)
class InputProblem:
    """What is wrong with one input; input "" is the form as a whole."""

    input: str
    label: str
    text: str


def problems_of(kind: str, document: dict[str, Any]) -> list[dict[str, Any]]:
    """Everything the contract says against a document."""
    try:
        validate(kind, document)
    except Invalid as error:
        return error.details
    return []


def in_words(message: str, path: InputPath | None) -> str:
    """A sentence of the contract as the form's own: labels for its words, percent for fractions."""
    text = message.replace("be a fraction between 0 and 1", "be between 0 and 100 %")
    if path and isinstance(path.part.widget, Several):
        text = text.replace("is required", "needs at least one")
    text = _WIRE_WORD.sub(lambda word: f"“{_LABELS.get(word[0], word[0])}”", text)
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '…')) else '.'}"
