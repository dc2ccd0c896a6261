"""Inputs of a form and their names: which setting, row and part a name stands for, and what the inputs say row by row.

A name is the path of a value in the document (`multiplier`, `tradeSizeScaling.mode`, `riskLimits.0.type`); a browser
sends it, and whoever names a parameter names the input with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from editing.fields import Field, Part, value_at
from users.parsing import whole_number

MOST_ROWS = 9_999  # of one list in a form
Texts = dict[str, str]


@dataclass(frozen=True)
class InputPath:
    """The place of an input. row: which of a list, None where the setting is no list."""

    field: Field
    part: Part
    row: int | None = None

    @property
    def name(self) -> str:
        """As forms and documents spell it."""
        return name_of(self.field, self.row, self.part)

    @property
    def label(self) -> str:
        """What a person calls it."""
        label = self.part.label or self.field.label
        return f"{self.field.label}: {label.lower()}" if self.field.is_object else label

    @classmethod
    def parse(cls, name: str, fields: Iterable[Field]) -> InputPath | None:
        """The input of this name; None: it is none of these fields."""
        for field in fields:
            rest, row = _below(name, field.key), None
            if rest is None:
                continue
            if field.is_rows:
                row = whole_number(rest.partition(".")[0], largest=MOST_ROWS)
                if row is None:
                    continue
            for part in field.parts:
                path = cls(field, part, row)
                if path.name == name:  # and not another spelling of it, such as a row 007
                    return path
        return None


@dataclass(frozen=True)
class RowTexts:
    """What the inputs of one row say, by the name of their part. index: None where the setting is no list."""

    field: Field
    index: int | None
    texts: Texts

    @property
    def is_filled(self) -> bool:
        return any(self.texts.values())

    @property
    def says(self) -> tuple[str, ...]:
        """The texts in the order of the parts: rows that say the same are the same."""
        return tuple(self.texts.values())

    def name_of(self, part: Part) -> str:
        """The name of its input."""
        return name_of(self.field, self.index, part)


def name_of(field: Field, row: int | None, part: Part) -> str:
    """The name of an input."""
    return ".".join([field.key, *([] if row is None else [str(row)]), *([part.name] if part.name else [])])


def _below(path: str, key: str) -> str | None:
    """What of a dotted path comes after `key`, "" for the key itself; None: it is not below it."""
    if path == key:
        return ""
    return path[len(key) + 1 :] if path.startswith(f"{key}.") else None


def rows_in(field: Field, texts: Mapping[str, str]) -> list[RowTexts]:
    """The rows of a setting in the order of their numbers; a setting that is no list has one."""
    indices: list[int | None] = [None]
    if field.is_rows:
        numbers = {(_below(name, field.key) or "").partition(".")[0] for name in texts}
        known = {whole_number(number, largest=MOST_ROWS) for number in numbers}
        indices = [*sorted(number for number in known if number is not None)]
    return [
        RowTexts(field, index, {part.name: texts.get(name_of(field, index, part), "").strip() for part in field.parts})
        for index in indices
    ]


def says(field: Field, texts: Mapping[str, str]) -> list[tuple[str, ...]]:
    """What a setting's inputs say, whatever the numbers of its rows; empty rows say nothing."""
    rows = rows_in(field, texts)
    return [row.says for row in rows if row.is_filled or not field.is_rows]


def filled_rows(field: Field, texts: Mapping[str, str]) -> list[RowTexts]:
    """The rows that say something: their numbers in the document count only these."""
    return [row for row in rows_in(field, texts) if row.is_filled]


def path_of_parameter(parameter: str, fields: list[Field], texts: Mapping[str, str]) -> InputPath | None:
    """The input that a path of the document belongs to: rows left empty are not counted; None: none of this form.

    A path above a setting (`telegram`) belongs to the first input below it.
    """
    for field in fields:
        rest = _below(parameter, field.key)
        if rest is None:
            continue
        row = None
        if field.is_rows:
            index, _, rest = rest.partition(".")
            filled, number = filled_rows(field, texts), whole_number(index) or 0
            row = filled[number].index if number < len(filled) else 0
        part_name = rest.partition(".")[0]
        return InputPath(field, next((part for part in field.parts if part.name == part_name), field.parts[0]), row)
    inner = next((field for field in fields if field.key.startswith(f"{parameter}.")), None)
    return path_of_parameter(inner.key, fields, texts) if inner else None


def texts_of(document: Mapping[str, Any], fields: Iterable[Field]) -> Texts:
    """What the inputs say of a document; inputs without a value are left out."""
    texts: Texts = {}
    for field in fields:
        value = value_at(document, field.key)
        if not field.is_rows:
            texts |= _texts_of_row(field, None, value)
            continue
        for index, row in enumerate(value if isinstance(value, list) else []):
            texts |= _texts_of_row(field, index, row)
    return {name: text for name, text in texts.items() if text}


def _texts_of_row(field: Field, row: int | None, value: Any) -> Texts:
    settings = value if isinstance(value, dict) else {}
    return {
        name_of(field, row, part): part.widget_beside(settings.get).show(
            settings.get(part.name) if field.is_object else value
        )
        for part in field.parts
    }
