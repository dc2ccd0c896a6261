"""Answers that are no errors: JSON, nothing, and the two styles of pages of configuration lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from copying.backend.http.parameters import Query
from copying.contract import wire


def reply(content: Any, status: int = 200, *, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer; structs and documents alike."""
    return Response(wire.encode(content), status, headers, media_type="application/json")


def done() -> Response:
    """204: carried out, and durable."""
    return Response(status_code=204)


def page_of(
    documents: list[dict[str, Any]],
    query: Query,
    *,
    is_classic: bool,
    shown: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
) -> Response:
    """A page of a list: bare ("infinite scroll") or with the count of all ("classic") (contract, 2.1).

    shown: makes a document of the page as it is to be read.
    """
    limit, offset = query.page()
    items = documents[offset : offset + limit]
    if shown is not None:
        items = [shown(item) for item in items]
    return reply({"count": len(documents), "items": items} if is_classic else items)
