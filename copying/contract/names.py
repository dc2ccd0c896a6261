"""Which names of a document the contract does not know: it drops them, so who misspells one learns it here."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from .validation import KINDS


def unknown_names(kind: str, document: Any) -> list[str]:
    """Dotted paths of names that no document of this kind has, such as riskLimits.0.maxRisk."""
    return list(_unknown(KINDS[kind], document, ""))


def names_in(kind: str) -> list[str]:
    """The names at the top of a document of this kind."""
    return list(_fields(KINDS[kind]))


def _unknown(struct: type[msgspec.Struct], document: Any, path: str) -> Iterator[str]:
    if not isinstance(document, dict):
        return
    fields = _fields(struct)
    for name, value in document.items():
        inner = f"{path}.{name}" if path else str(name)
        if name not in fields:
            yield inner
        elif (below := fields[name]) is not None:
            for index, element in enumerate(value if isinstance(value, list) else [value]):
                yield from _unknown(below, element, f"{inner}.{index}" if isinstance(value, list) else inner)


@cache
def _fields(struct: type[msgspec.Struct]) -> dict[str, type[msgspec.Struct] | None]:
    """The names of a struct, each with the struct that is below it, also as the elements of a list."""
    described: Any = inspect.type_info(struct)
    return {field.encode_name: _struct_in(field.type) for field in described.fields}


def _struct_in(described: inspect.Type) -> type[msgspec.Struct] | None:
    if isinstance(described, inspect.UnionType):
        return next(filter(None, map(_struct_in, described.types)), None)
    if isinstance(described, inspect.ListType):
        return _struct_in(described.item_type)
    return described.cls if isinstance(described, inspect.StructType) else None
