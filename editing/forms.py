"""A form over the settings of one level of a document.

The form remembers what its inputs said when it was opened (`was`). Only what a person changed since is applied to the
document of now, so two people who change different settings both win, and what the table does not know stays. The
contract's own validation checks the whole document; its problems find their inputs by path.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from dataclasses import field as default
from typing import Any

from copying.contract import wire
from copying.engine.model import Level
from editing.fields import GROUPS, Field, Part, fields_of
from editing.inputs import InputPath, RowTexts, Texts, filled_rows, path_of_parameter, rows_in, says, texts_of
from editing.problems import InputProblem, in_words, problems_of
from editing.widgets import Secret, Widget


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
class BoundField:
    """A setting as a page shows it: rows of inputs (one row unless it is a list)."""

    field: Field
    rows: list[tuple[int, list[Input]]]
    problems: tuple[str, ...]
    is_set: bool


@dataclass
class SettingsForm:
    """The inputs of a level: `texts` as they stand, `was` as they stood when the form was opened."""

    level: Level
    fields: list[Field]
    texts: Texts
    was: Texts
    problems: list[InputProblem] = default(default_factory=list)
    extra_rows: dict[str, int] = default(default_factory=dict)

    # --- made of a document, of a draft, of what was sent -----------------------------------------------------------
    @classmethod
    def of(cls, level: Level, document: Mapping[str, Any]) -> SettingsForm:
        """The form as it is opened."""
        return cls.of_draft(level, document, document)

    @classmethod
    def of_draft(
        cls, level: Level, before: Mapping[str, Any], after: Mapping[str, Any], *, more: tuple[Field, ...] = ()
    ) -> SettingsForm:
        """The form as it was sent for review: opened on `before`, saying `after`. more: fields beside the table's."""
        fields = [*fields_of(level), *more]
        return cls(level, fields, texts_of(after, fields), texts_of(before, fields))

    @classmethod
    def sent(cls, level: Level, post: Any, *, more: tuple[Field, ...] = ()) -> SettingsForm:
        """The form as a person sent it (a QueryDict); "add" asks for one more row of a list."""
        form = cls(level, [*fields_of(level), *more], {}, _remembered(post.get("was", "")))
        for name in post:
            if form.path_of(name) is not None:
                texts = [text.strip().replace("\r\n", "\n").replace("\0", "") for text in post.getlist(name)]
                form.texts[name] = ",".join(text for text in texts if text)
        taken_out = tuple(name.removesuffix("remove") for name in post if name.endswith(".remove"))
        form.texts.update({name: "" for name in form.texts if taken_out and name.startswith(taken_out)})
        if post.get("add"):
            form.extra_rows[post["add"]] = 1
        return form

    def path_of(self, name: str) -> InputPath | None:
        """The place of the input of this name; None: it is none of this form."""
        return InputPath.parse(name, self.fields)

    # --- what was changed -------------------------------------------------------------------------------------------
    @property
    def changed_fields(self) -> list[Field]:
        """Settings that a person changed since the form was opened."""
        return [field for field in self.fields if says(field, self.texts) != says(field, self.was)]

    def changed_elsewhere(self, document: Mapping[str, Any]) -> list[Field]:
        """Settings that stand otherwise in the document of now than when the form was opened."""
        now = texts_of(document, self.fields)
        return [field for field in self.fields if says(field, now) != says(field, self.was)]

    # --- applied to the document ------------------------------------------------------------------------------------
    def apply_to(self, document: dict[str, Any], *, everything: bool = False) -> dict[str, Any]:
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
        edited = wire.overlay(document, edit)
        # an object whose last setting was emptied goes with it, unless it was there empty
        for name in {field.key.split(".")[0] for field in fields if "." in field.key}:
            if edited.get(name) == {} and document.get(name) != {}:
                edited.pop(name)
        return edited

    def _value(self, field: Field) -> Any:
        if not field.is_rows:
            [row] = rows_in(field, self.texts)
            return self._row_value(row)
        values = [self._row_value(row) for row in filled_rows(field, self.texts)]
        return [value for value in values if value is not None] or None

    def _row_value(self, row: RowTexts) -> Any:
        field = row.field
        if not field.is_object:
            value = self._part_value(row, field.parts[0])
            return "" if value is None and field.is_required else value
        if not row.is_filled:
            return None
        # a secret left empty is not named, so that the one that is stored stays
        parts = [part for part in field.parts if row.texts[part.name] or not isinstance(part.widget, Secret)]
        return {part.name: self._part_value(row, part) for part in parts} | dict(field.fixed)

    def _part_value(self, row: RowTexts, part: Part) -> Any:
        text = row.texts[part.name]
        if not text:
            return None
        try:
            return part.widget_beside(row.texts.get).read(text)
        except ValueError as error:
            self.add_problem(row.name_of(part), str(error))
            return None

    # --- problems ---------------------------------------------------------------------------------------------------
    def add_problem(self, name: str, text: str) -> None:
        """Put a sentence at an input, once."""
        path = self.path_of(name)
        problem = InputProblem(name if path else "", path.label if path else "", text)
        has_one = path is not None and any(other.input == name for other in self.problems)
        if problem not in self.problems and not has_one:
            self.problems.append(problem)

    def validate(
        self, kind: str, document: dict[str, Any], *, path: str = "", before: dict[str, Any] | None = None
    ) -> None:
        """Ask the contract about the whole document; `path`: where this level stands in it, such as members.0.

        What was wrong with `before` already is the backend's own and no reason to refuse the edit.
        """
        known = problems_of(kind, before) if before else []
        old = {(problem["parameter"], problem["message"]) for problem in known}
        problems = problems_of(kind, document)
        self.attach(
            [problem for problem in problems if (problem["parameter"], problem["message"]) not in old], path=path
        )

    def attach(self, details: Iterable[Mapping[str, Any]], *, path: str = "") -> None:
        """Put problems ({parameter, message}) of our validation or of a backend at their inputs."""
        for detail in details:
            parameter = str(detail.get("parameter") or "")
            text = str(detail.get("message") or "is not accepted")
            is_here = not path or parameter == path or parameter.startswith(f"{path}.")
            own = parameter.removeprefix(path).lstrip(".") if is_here else ""
            place = path_of_parameter(own, self.fields, self.texts) if own else None
            prefix = "" if place or not parameter else f"{parameter}: "
            self.add_problem(place.name if place else "", prefix + in_words(text, place))

    # --- for a page -------------------------------------------------------------------------------------------------
    @property
    def remembered(self) -> str:
        """`was`, for a hidden input."""
        return json.dumps(self.was, separators=(",", ":"), sort_keys=True)

    @property
    def groups(self) -> list[tuple[str, list[BoundField]]]:
        """The settings by group, in the order of the table."""
        groups = [(group, [self.bound(field) for field in self.fields if field.group == group]) for group in GROUPS]
        return [(group, bound) for group, bound in groups if bound]

    def bound(self, field: Field) -> BoundField:
        """A setting with its inputs; a list has an empty row at its end."""
        paths = {problem: self.path_of(problem.input) for problem in self.problems if problem.input}
        problems = tuple(problem.text for problem, path in paths.items() if path and path.field is field)
        rows = rows_in(field, self.texts)
        is_set = any(row.is_filled for row in rows)
        if field.is_rows:
            empty = sum(not row.is_filled for row in rows)
            start = (rows[-1].index or 0) + 1 if rows else 0
            more = max(1 - empty, self.extra_rows.get(field.key, 0))
            rows += [RowTexts(field, start + number, {part.name: "" for part in field.parts}) for number in range(more)]
        return BoundField(field, [(row.index or 0, self._inputs(row)) for row in rows], problems, is_set)

    def _inputs(self, row: RowTexts) -> list[Input]:
        inputs = []
        for part in row.field.parts:
            name = row.name_of(part)
            text = self.texts.get(name, "")
            if part.is_rare and not text:
                continue
            problems = tuple(problem.text for problem in self.problems if problem.input == name)
            inputs.append(Input(name, part, part.widget_beside(row.texts.get), text, problems))
        return inputs


def _remembered(text: str) -> Texts:
    try:
        texts = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return {name: value for name, value in texts.items() if isinstance(value, str)} if isinstance(texts, dict) else {}
