"""The description of the API as a page shows it: chapters of operations, with what they take and answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from api.schema import description

METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True)
class FieldLine:
    """A parameter or a field: its name, what it can be, what it means."""

    name: str
    kind: str
    words: str


@dataclass(frozen=True)
class Operation:
    """One method of one address."""

    key: str
    method: str
    path: str
    title: str
    words: str
    takes: list[FieldLine] = field(default_factory=list)
    sends: list[FieldLine] = field(default_factory=list)
    answers: list[FieldLine] = field(default_factory=list)


@cache
def chapters() -> dict[str, list[Operation]]:
    """The operations by chapter, in the order of the addresses."""
    whole = description()
    by_tag: dict[str, list[Operation]] = {}
    for path, methods in whole["paths"].items():
        for method in METHODS:
            if operation := methods.get(method):
                by_tag.setdefault(operation["tags"][0], []).append(_operation(whole, path, method, operation))
    return by_tag


def _operation(whole: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any]) -> Operation:
    takes = [
        FieldLine(entry["name"], _kind(whole, entry["schema"]), entry.get("description", ""))
        for entry in operation.get("parameters", ())
    ]
    success = next(answer for status, answer in operation["responses"].items() if status.startswith("2"))
    body = operation.get("requestBody", {})
    return Operation(
        key=operation["operationId"],
        method=method.upper(),
        path=path,
        title=operation["summary"],
        words=operation.get("description", ""),
        takes=takes,
        sends=_lines(whole, body),
        answers=_lines(whole, success),
    )


def _lines(whole: Mapping[str, Any], message: Mapping[str, Any]) -> list[FieldLine]:
    """The fields of a body; of a page of rows those of a row."""
    media: list[Mapping[str, Any]] = list(message.get("content", {}).values())
    schema = _resolved(whole, media[0]["schema"]) if media else {}
    fields = schema.get("properties", {})
    if "results" in fields:
        schema = _resolved(whole, fields["results"].get("items", {}))
        fields = schema.get("properties", {})
    return [
        FieldLine(name, _kind(whole, entry), _resolved(whole, entry).get("description", entry.get("description", "")))
        for name, entry in fields.items()
    ]


def _resolved(whole: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema that a reference leads to."""
    if "$ref" not in schema and len(schema.get("allOf", ())) == 1:
        schema = schema["allOf"][0]
    name = schema.get("$ref", "").rpartition("/")[2]
    return whole["components"]["schemas"][name] if name else schema


def _kind(whole: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """What a value can be, in a few words."""
    schema = _resolved(whole, schema)
    if values := schema.get("enum"):
        return ", ".join(str(value) for value in values if value not in (None, ""))
    if schema.get("oneOf"):
        return " or ".join(_kind(whole, inner) for inner in schema["oneOf"])
    types = schema.get("type", "any")
    words = " or ".join(types) if isinstance(types, list) else types
    if words.startswith("array"):
        return f"list of {_kind(whole, schema.get('items', {}))}"
    return f"{words}, {schema['format']}" if "format" in schema else words
