"""A form over the settings of one level of a document.

The form remembers what its inputs said when it was opened (`was`). Only what a person changed since is laid over the
document of now, so two people who change different settings both win, and what the table does not know stays. The
contract's own validation judges the whole document; its problems find their inputs by path.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from dataclasses import field as default
from typing import Any

from copying.contract import wire
from copying.contract.validation import Invalid, validate
from copying.engine.model import Level
from strategies.editing.fields import FIELDS, GROUPS, MODES, Field, Part, fields_of, value_at
from strategies.editing.widgets import Secret, Several, Widget
from users.parsing import whole_number

MOST_ROWS = 9_999  # of one list in a form

_WIRE_WORD = re.compile(r"\b[a-z]+(?:[A-Z][a-z]+)+\b")
_LABELS = {part.name or field.key: part.label for field in FIELDS for part in field.parts} | MODES
Texts = dict[str, str]


@dataclass(frozen=True)
class Problem:
    """What is wrong with one input; input "" is the form as a whole."""

    input: str
    label: str
    text: str


@dataclass(frozen=True)
class Input:
    """One input as a page shows it."""

    name: str
    part: Part
    widget: Widget
    text: str
    problems: tuple[str, ...] = ()

    @property
    def choices(self) -> list[tuple[str, str]]:
        return self.widget.choices(self.text)

    @property
    def ticked(self) -> list[str]:
        return self.text.split(",")


@dataclass(frozen=True)
class Bound:
    """A setting as a page shows it: rows of inputs (one row unless it is a list)."""

    field: Field
    rows: list[tuple[int, list[Input]]]
    problems: tuple[str, ...]
    is_set: bool


def texts_of(document: Mapping[str, Any], fields: Iterable[Field]) -> Texts:
    """What the inputs say of a document; inputs without a value are left out."""
    found: Texts = {}
    for field in fields:
        value = value_at(document, field.key)
        if not field.is_rows:
            _put_row(found, field, field.key, value)
            continue
        for index, row in enumerate(value if isinstance(value, list) else []):
            _put_row(found, field, f"{field.key}.{index}", row)
    return {name: text for name, text in found.items() if text}


def _put_row(found: Texts, field: Field, path: str, value: Any) -> None:
    for part in field.parts:
        inner = value.get(part.name) if field.is_object and isinstance(value, dict) else value
        if field.is_object and not isinstance(value, dict):
            inner = None
        beside = value.get if isinstance(value, dict) else {}.get
        found[f"{path}.{part.name}" if part.name else path] = part.widget_beside(beside).show(inner)


@dataclass
class SettingsForm:
    """The inputs of a level: `texts` as they stand, `was` as they stood when the form was opened."""

    level: Level
    fields: list[Field]
    texts: Texts
    was: Texts
    problems: list[Problem] = default(default_factory=list)
    extra_rows: dict[str, int] = default(default_factory=dict)

    # --- made of a document, of a draft, of what was sent -----------------------------------------------------------
    @classmethod
    def of(cls, level: Level, document: Mapping[str, Any]) -> SettingsForm:
        """The form as it is opened."""
        fields = fields_of(level)
        texts = texts_of(document, fields)
        return cls(level, fields, dict(texts), texts)

    @classmethod
    def of_draft(
        cls,
        level: Level,
        before: Mapping[str, Any],
        after: Mapping[str, Any],
        *,
        more: tuple[Field, ...] = (),
    ) -> SettingsForm:
        """The form as it was sent for review: opened on `before`, saying `after`. more: fields beside the table's."""
        fields = [*fields_of(level), *more]
        return cls(level, fields, texts_of(after, fields), texts_of(before, fields))

    @classmethod
    def sent(cls, level: Level, post: Any, *, more: tuple[Field, ...] = ()) -> SettingsForm:
        """The form as a person sent it (a QueryDict); "add" asks for one more row of a list."""
        fields = [*fields_of(level), *more]
        form = cls(level, fields, {}, _remembered(post.get("was", "")))
        for name in post:
            if form.owner(name) is not None:
                texts = [text.strip().replace("\r\n", "\n").replace("\0", "") for text in post.getlist(name)]
                form.texts[name] = ",".join(text for text in texts if text)
        gone = tuple(name.removesuffix("remove") for name in post if name.endswith(".remove"))
        form.texts.update({name: "" for name in form.texts if gone and name.startswith(gone)})
        if post.get("add"):
            form.extra_rows[post["add"]] = 1
        return form

    def owner(self, name: str) -> tuple[Field, Part] | None:
        """The setting and part that an input belongs to."""
        for field in self.fields:
            if not (name == field.key or name.startswith(f"{field.key}.")):
                continue
            rest = name[len(field.key) :].lstrip(".")
            if field.is_rows:
                index, _, rest = rest.partition(".")
                if whole_number(index, largest=MOST_ROWS) is None:
                    continue
            for part in field.parts:
                if part.name == rest:
                    return field, part
        return None

    # --- what was changed -------------------------------------------------------------------------------------------
    @property
    def changed_fields(self) -> list[Field]:
        """Settings that a person changed since the form was opened."""
        return [field for field in self.fields if self._said(field, self.texts) != self._said(field, self.was)]

    def changed_elsewhere(self, document: Mapping[str, Any]) -> list[Field]:
        """Settings that stand otherwise in the document of now than when the form was opened."""
        now = texts_of(document, self.fields)
        return [field for field in self.fields if self._said(field, now) != self._said(field, self.was)]

    def _said(self, field: Field, texts: Texts) -> list[tuple[str, ...]]:
        paths = [f"{field.key}.{index}" for index in self._indices(field, texts)] if field.is_rows else [field.key]
        rows = [
            tuple(texts.get(f"{path}.{part.name}" if part.name else path, "").strip() for part in field.parts)
            for path in paths
        ]
        return [row for row in rows if any(row)] if field.is_rows else rows

    def _indices(self, field: Field, texts: Texts) -> list[int]:
        start = f"{field.key}."
        found = {name[len(start) :].partition(".")[0] for name in texts if name.startswith(start)}
        numbers = [whole_number(index, largest=MOST_ROWS) for index in found]
        return sorted(number for number in numbers if number is not None)

    def _filled(self, field: Field) -> list[int]:
        """The places of rows that say something, in order: their numbers in the document count only these."""
        names = [part.name for part in field.parts]
        return [
            index
            for index in self._indices(field, self.texts)
            if any(self.texts.get(f"{field.key}.{index}.{name}".rstrip("."), "").strip() for name in names)
        ]

    # --- laid over the document -------------------------------------------------------------------------------------
    def lay_over(self, document: dict[str, Any], *, everything: bool = False) -> dict[str, Any]:
        """The document with what was changed; texts that cannot be read become problems.

        everything: also what was not changed, as for a new document.
        """
        fields = self.fields if everything else self.changed_fields
        edit: dict[str, Any] = {}
        for field in fields:
            inner, (*above, last) = edit, field.key.split(".")
            for name in above:
                inner = inner.setdefault(name, {})
            inner[last] = self._value(field)
        laid = wire.overlay(document, edit)
        for name in {field.key.split(".")[0] for field in fields if "." in field.key}:
            if laid.get(name) == {} and document.get(name) != {}:
                laid.pop(name)
        return laid

    def _value(self, field: Field) -> Any:
        if not field.is_rows:
            return self._row(field, field.key)
        rows = [self._row(field, f"{field.key}.{index}") for index in self._filled(field)]
        return [row for row in rows if row is not None] or None

    def _row(self, field: Field, path: str) -> Any:
        if not field.is_object:
            value = self._part(field.parts[0], path)
            return "" if value is None and field.is_required else value
        texts = {part.name: self.texts.get(f"{path}.{part.name}", "").strip() for part in field.parts}
        if not any(texts.values()):
            return None
        kept = [part for part in field.parts if texts[part.name] or not isinstance(part.widget, Secret)]
        return {part.name: self._part(part, f"{path}.{part.name}", texts) for part in kept} | dict(field.fixed)

    def _part(self, part: Part, name: str, texts: Texts | None = None) -> Any:
        text = self.texts.get(name, "").strip()
        if not text:
            return None
        try:
            return part.widget_beside((texts or {}).get).read(text)
        except ValueError as error:
            self.add_problem(name, str(error))
            return None

    # --- problems ---------------------------------------------------------------------------------------------------
    def add_problem(self, name: str, text: str) -> None:
        """Put a sentence at an input, once."""
        owner = self.owner(name)
        label = "" if owner is None else owner[1].label or owner[0].label
        if owner is not None and owner[0].is_object:
            label = f"{owner[0].label}: {label.lower()}"
        problem = Problem(name if owner else "", label, text)
        if problem not in self.problems and (not owner or all(one.input != name for one in self.problems)):
            self.problems.append(problem)

    def judge(
        self, kind: str, document: dict[str, Any], *, path: str = "", before: dict[str, Any] | None = None
    ) -> None:
        """Ask the contract about the whole document; `path`: where this level stands in it, such as members.0.

        What was wrong with `before` already is the backend's own and no reason to refuse the edit.
        """
        known = {(one["parameter"], one["message"]) for one in problems_of(kind, before or {})} if before else set()
        found = [one for one in problems_of(kind, document) if (one["parameter"], one["message"]) not in known]
        self.place(found, path=path)

    def place(self, details: Iterable[Mapping[str, Any]], *, path: str = "") -> None:
        """Put problems ({parameter, message}) of our validation or of a backend at their inputs."""
        for one in details:
            parameter, text = str(one.get("parameter") or ""), str(one.get("message") or "is not accepted")
            is_here = not path or parameter == path or parameter.startswith(f"{path}.")
            own = parameter[len(path) :].lstrip(".") if is_here else ""
            name = self.input_of(own) if own else ""
            prefix = "" if name or not parameter else f"{parameter}: "
            self.add_problem(name, prefix + in_words(text, self.owner(name)))

    def input_of(self, parameter: str) -> str:
        """The input that a path of the document belongs to; "" when it is none of this form."""
        for field in self.fields:
            if parameter != field.key and not parameter.startswith(f"{field.key}."):
                continue
            rest = parameter[len(field.key) :].lstrip(".")
            path = field.key
            if field.is_rows:
                index, _, rest = rest.partition(".")
                filled = self._filled(field)
                number = whole_number(index) or 0
                path = f"{path}.{filled[number] if number < len(filled) else 0}"
            part = next((one for one in field.parts if one.name == rest.split(".")[0]), field.parts[0])
            return f"{path}.{part.name}" if part.name else path
        first = next((field for field in self.fields if field.key.startswith(f"{parameter}.")), None)
        return self.input_of(first.key) if first else ""

    # --- for a page -------------------------------------------------------------------------------------------------
    @property
    def remembered(self) -> str:
        """`was`, for a hidden input."""
        return json.dumps(self.was, separators=(",", ":"), sort_keys=True)

    @property
    def groups(self) -> list[tuple[str, list[Bound]]]:
        """The settings by group, in the order of the table."""
        found = [(group, [self.bound(one) for one in self.fields if one.group == group]) for group in GROUPS]
        return [(group, bound) for group, bound in found if bound]

    def bound(self, field: Field) -> Bound:
        """A setting with its inputs; a list has an empty row at its end."""
        problems = tuple(one.text for one in self.problems if self._is_of(one.input, field))
        is_set = any(any(row) for row in self._said(field, self.texts))
        if not field.is_rows:
            return Bound(field, [(0, self._inputs(field, field.key))], problems, is_set)
        indices = self._indices(field, self.texts)
        last = indices[-1] if indices else -1
        empty = set(indices) - set(self._filled(field))
        more = max(1 - len(empty), self.extra_rows.get(field.key, 0))
        indices += [last + 1 + number for number in range(more)]
        return Bound(field, [(one, self._inputs(field, f"{field.key}.{one}")) for one in indices], problems, is_set)

    def _is_of(self, name: str, field: Field) -> bool:
        owner = self.owner(name) if name else None
        return owner is not None and owner[0] is field

    def _inputs(self, field: Field, path: str) -> list[Input]:
        texts = {part.name: self.texts.get(f"{path}.{part.name}", "") for part in field.parts}
        found = []
        for part in field.parts:
            name = f"{path}.{part.name}" if part.name else path
            if part.is_rare and not self.texts.get(name):
                continue
            problems = tuple(one.text for one in self.problems if one.input == name)
            found.append(Input(name, part, part.widget_beside(texts.get), self.texts.get(name, ""), problems))
        return found


def problems_of(kind: str, document: dict[str, Any]) -> list[dict[str, Any]]:
    """Everything the contract says against a document."""
    try:
        validate(kind, document)
    except Invalid as error:
        return error.details
    return []


def in_words(message: str, owner: tuple[Field, Part] | None) -> str:
    """A sentence of the contract as the form's own: labels for its words, percent for fractions."""
    text = message.replace("be a fraction between 0 and 1", "be between 0 and 100 %")
    if owner and isinstance(owner[1].widget, Several):
        text = text.replace("is required", "needs at least one")
    text = _WIRE_WORD.sub(lambda found: f"“{_LABELS.get(found[0], found[0])}”", text)
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '…')) else '.'}"


def _remembered(text: str) -> Texts:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return {key: value for key, value in found.items() if isinstance(value, str)} if isinstance(found, dict) else {}
