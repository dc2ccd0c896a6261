"""One page of the backend as structs, or the reason why it cannot be read.

A page that is not JSON, is cut short, holds a NaN or has another shape is a value (`UnreadableAnswer`), because the
sync of everything else goes on; that the backend cannot be reached, refuses or is broken are the client's exceptions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
import structlog

from copying.client import Rejected
from copying.client.exchange import TimedOut
from copying.contract import wire

log = structlog.get_logger(__name__)
T = TypeVar("T")
PAGE_SIZE = 1000
CURSOR = "previousSequenceNumber"
BODY_KEPT = 10_000  # characters


@dataclass(frozen=True)
class UnreadableAnswer:
    """An answer that could not be read: which request, why, and how it began."""

    request: str
    reason: str
    body_start: str


class Source:
    """Reads pages through a client and counts the requests."""

    def __init__(self, client):
        self.client = client
        self.requests = 0

    def _body(self, path: str, params: dict[str, Any] | None = None, **options) -> bytes:
        self.requests += 1
        return self.client.get_bytes(path, params, **options)

    def page(self, path: str, of: type[T], params: dict[str, Any] | None = None) -> list[T] | UnreadableAnswer:
        """The list that `path` answers, as structs of type `of`; raises the client's errors."""
        kind: Any = list[of]  # type: ignore[valid-type]  # a type made while it runs
        answer: list[T] | UnreadableAnswer = self.read(path, kind, params)
        return answer

    def read(self, path: str, of: type[T], params: dict[str, Any] | None = None) -> T | UnreadableAnswer:
        """What `path` answers, as `of`; raises the client's errors."""
        return self.read_by(lambda body: wire.decode(body, of), path, params)

    def read_by(
        self, decode: Callable[[bytes], T], path: str, params: dict[str, Any] | None = None
    ) -> T | UnreadableAnswer:
        """What `decode` makes of the answer of `path`; raises the client's errors."""
        body = self._body(path, params)
        try:
            return decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:  # ValidationError is a DecodeError
            return UnreadableAnswer(name_request(path, params), str(error)[:1000], show(body))

    def document(self, path: str) -> dict[str, Any]:
        """One object; raises the client's errors, NotFound among them."""
        return wire.decode(self._body(path), dict[str, Any])

    def poll_numbered(
        self, path: str, of: type[T], cursor: dict[str, Any], *, limit: int = PAGE_SIZE
    ) -> list[T] | UnreadableAnswer:
        """What follows the `sequence` of the cursor, without waiting.

        A backend whose data were restored to an earlier time counts from there: the cursor then begins anew, and what
        is mirrored already is overwritten by itself.
        """
        try:
            return self.poll(path, of, {CURSOR: cursor.get("sequence", 0), "limit": limit})
        except Rejected as error:
            if not cursor.get("sequence") or CURSOR not in {detail.get("parameter") for detail in error.details}:
                raise
            log.warning("backend restored to an earlier time", stream=path, cursor=cursor["sequence"], text=error.text)
            cursor["sequence"] = 0
            return self.poll(path, of, {CURSOR: 0, "limit": limit})

    def poll(self, path: str, of: type[T], params: dict[str, Any], *, hold_s: float = 0) -> list[T] | UnreadableAnswer:
        """One poll of a stream; a backend that holds the request longer than a few seconds has nothing new."""
        try:
            body = self._body(path, {**params, "holdInSeconds": round(hold_s)}, timeout_s=hold_s + 5)
            kind: Any = list[of]  # type: ignore[valid-type]  # a type made while it runs
            records: list[T] = wire.decode(body, kind)
            return records
        except TimedOut:
            return []
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return UnreadableAnswer(name_request(path, params), str(error)[:1000], show(body))


def name_request(path: str, params: dict[str, Any] | None) -> str:
    """The request as one line, the same for every repetition."""
    return path + "".join(f" {name}={value}" for name, value in (params or {}).items())


def show(body: bytes) -> str:
    """The beginning of a body in a form that a text column keeps."""
    return body[: BODY_KEPT * 4].decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")[:BODY_KEPT]
