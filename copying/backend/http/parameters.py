"""What a request says: query parameters in every form that known clients send (contract, 1.8), ids, and bodies.

`strategyId=A&strategyId=B`, `strategyId[]=A`, `strategyId=["A","B"]`, `startTime="2020-…"`, `level=LogLevel.INFO` and
`subscriberId=` (absent) all work. What cannot be read is refused with 400 naming the parameter; nothing is guessed.
"""

from __future__ import annotations

import re
from datetime import datetime
from email.message import Message
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request

from copying.backend.state.errors import Refused, invalid, not_found
from copying.contract import wire
from copying.contract.rules import ID
from copying.contract.validation import MAX_BODY_BYTES, load_json, validate

MAX_PARAMETERS = 20_000
SEVERITIES = {"DEBUG": 0, "INFO": 1, "WARN": 2, "ERROR": 3}
_INDEX = re.compile(r"\[[0-9]*\]\Z")
_LOST_PLUS = re.compile(r" ([0-9]{2}:?[0-9]{2})\Z")  # "+01:00" of a client that did not escape the plus


class Query:
    """The query string, read once. Every method takes the parameter's name as the contract writes it."""

    def __init__(self, query_string: bytes) -> None:
        self._values: dict[str, list[str]] = {}
        try:
            pairs = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
        except ValueError as error:
            raise Refused(400, "ValidationError", f"The query cannot be read: {error}") from error
        for name, value in pairs:
            if value:
                self._values.setdefault(_INDEX.sub("", name), []).append(value)

    @classmethod
    def of(cls, request: Request) -> Query:
        """The query of a request."""
        return cls(request.scope["query_string"])

    def texts(self, name: str) -> list[str]:
        """All values of a list parameter, in any of its forms, each once; empty ones are absent."""
        texts = [text for value in self._values.get(name, ()) for text in _unwrapped(name, value)]
        return list(dict.fromkeys(text for text in texts if text))

    def text(self, name: str) -> str:
        """One value, "" when absent; the last one given counts."""
        texts = self.texts(name)
        return texts[-1] if texts else ""

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number within its limits."""
        text = self.text(name)
        if not text:
            return default
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", text) or not low <= int(text) <= high:
            raise _unreadable(name, text, f"must be a whole number between {low} and {high}")
        return int(text)

    def number(self, name: str, default: float, low: float, high: float) -> float:
        """A decimal number within its limits."""
        text = self.text(name)
        if not text:
            return default
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) or not low <= float(text) <= high:
            raise _unreadable(name, text, f"must be a number between {low:g} and {high:g}")
        return float(text)

    def boolean(self, name: str) -> bool:
        """`true` or `false`, default false."""
        text = self.text(name).lower()
        if text not in ("", "true", "false", "1", "0"):
            raise _unreadable(name, text, "must be true or false")
        return text in ("true", "1")

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """One of the given words, the first when absent."""
        text = self.text(name) or choices[0]
        if text not in choices:
            raise _unreadable(name, text, "must be one of " + ", ".join(choices))
        return text

    def severity(self, name: str = "level") -> int:
        """A minimum log level as a number; accepts the `LogLevel.` prefix that a Python enum brings along."""
        text = self.text(name).removeprefix("LogLevel.").upper() or "DEBUG"
        if text not in SEVERITIES:
            raise _unreadable(name, text, "must be one of " + ", ".join(SEVERITIES))
        return SEVERITIES[text]

    def moment(self, name: str) -> datetime | None:
        """A time in UTC, None when absent."""
        text = self.text(name)
        if not text:
            return None
        return parse_moment(name, text)

    def required_moment(self, name: str) -> datetime:
        """A time in UTC that must be there."""
        moment = self.moment(name)
        if moment is None:
            raise _unreadable(name, None, "is required")
        return moment

    def page(self) -> tuple[int, int]:
        """`limit` and `offset` with the contract's limits and defaults (2.1)."""
        return self.integer("limit", 1000, 1, 1000), self.integer("offset", 0, 0, 10**15)


_EVER = range(1, 10_000)


def parse_moment(name: str, text: str) -> datetime:
    """An ISO 8601 time as an aware datetime in UTC; a time without zone is UTC.

    The whole calendar is taken: clients ask for everything by the first and the last day that their language knows.
    """
    try:
        return wire.parse_sane_time(_LOST_PLUS.sub(r"+\1", text), years=_EVER)
    except ValueError as error:
        raise _unreadable(name, text, str(error)) from None


def _unreadable(name: str, value: str | None, message: str) -> Refused:
    return invalid(name, value if value is None else value[:200], message)


def _unwrapped(name: str, value: str) -> list[str]:
    """The texts inside one value: a JSON array, a quoted text or the text itself."""
    value = value.strip()
    if "\x00" in value:
        raise _unreadable(name, value.replace("\x00", ""), "must not contain NUL")
    if value.startswith("[") and value.endswith("]"):
        try:
            elements = msgspec.json.decode(value, type=list[str | int])
        except (msgspec.DecodeError, RecursionError):
            raise _unreadable(name, value, "must be a JSON array of strings") from None
        if any("\x00" in str(element) for element in elements):
            raise _unreadable(name, value, "must not contain NUL")
        return [str(element) for element in elements]
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return [value[1:-1]]
    return [value]


def path_id(request: Request, name: str, what: str) -> str:
    """An id from the address of something that exists; one that cannot exist is simply not found."""
    value = request.path_params[name]
    if not ID.fullmatch(value):
        raise not_found(what)
    return value


def new_id(request: Request, name: str) -> str:
    """An id from the address under which something may be created."""
    value = request.path_params[name]
    if not ID.fullmatch(value):
        raise _unreadable(name, value, "must consist of 1 to 64 letters, digits, '_', '-', '.', ':' or '+'")
    return value


def too_large() -> Refused:
    """413 for a body above the limit."""
    return Refused(413, "PayloadTooLargeError", f"The body is larger than {MAX_BODY_BYTES} bytes")


async def body_bytes(request: Request) -> bytes:
    """The body, refused as soon as it is known to be too large."""
    if (content := getattr(request.state, "content", None)) is not None:
        return content  # read before, to know the request again by it: once.py
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise too_large()
        chunks.append(chunk)
    return b"".join(chunks)


def content_type(request: Request) -> tuple[str, str]:
    """(type, charset) of the body in small letters, each "" when it is not told."""
    header = Message()
    header["content-type"] = request.headers.get("content-type", "")
    kind = header["content-type"].partition(";")[0].strip().lower()
    return kind, str(header.get_param("charset") or "").strip().lower()


async def document(
    request: Request,
    kind: str,
    *,
    optional: bool = False,
    now: datetime | None = None,
    stored: dict[str, Any] | None = None,
) -> Any:
    """The body as a valid struct of the contract; an absent body is an empty object when `optional`.

    stored: the document that it replaces, whose old faults do not stand against it (copying.contract.validation).
    """
    content = await body_bytes(request)
    raw = {} if optional and not content.strip() else load_json(content)
    return validate(kind, raw, now=now, stored=stored)
