"""How bodies are read: JSON with one reading only, as the copying backend reads it, and texts that can be stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

from api.problems import ApiProblem, escaped
from copying.contract.validation import MAX_BODY_BYTES, Invalid, load_json


class StrictJson(JSONParser):
    """No name twice in an object, nothing that is not finite, nothing nested without end."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        try:
            body = load_json(stream.read(MAX_BODY_BYTES + 1))
        except Invalid as error:
            raise ApiProblem("bad-request", error.text) from error
        except (ValueError, RecursionError) as error:
            raise ParseError from error
        if unstorable := next(_unstorable(body), None):
            raise ApiProblem(
                "invalid", errors=[{"pointer": unstorable, "detail": "It holds a character without text."}]
            )
        return body


def _unstorable(value: Any, pointer: str = "") -> Iterator[str]:
    """Where texts stand that no database stores: with a NUL."""
    if isinstance(value, str):
        if "\0" in value:
            yield pointer
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _unstorable(str(name), pointer)
            yield from _unstorable(inner, f"{pointer}/{escaped(str(name))}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _unstorable(inner, f"{pointer}/{index}")
