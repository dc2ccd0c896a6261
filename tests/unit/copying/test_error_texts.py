"""What an address that is not offered answers: its status, its name and a sentence."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route

from copying.backend.http import errors
from copying.backend.state.errors import Refused, invalid, not_found, unavailable


def asked(path: str = "/nowhere", method: str = "GET") -> Request:
    async def endpoint(request: Request) -> None: ...

    app = Starlette(routes=[Route("/there", endpoint, methods=["POST"])])
    return Request({"type": "http", "path": path, "method": method, "headers": [], "app": app, "query_string": b""})


def told(response) -> tuple[int, str, str]:
    body = msgspec.json.decode(response.body)
    assert isinstance(body["id"], int)
    return response.status_code, body["error"], body["message"]


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (404, "NotFoundError", "There is no such address."),
        (405, "MethodNotAllowedError", "This address does not offer this method."),
        (413, "PayloadTooLargeError", "said by the server"),
        (418, "ApiError", "said by the server"),
    ],
)
def test_the_servers_own_refusals_have_a_name_and_a_sentence(status: int, error: str, message: str) -> None:
    raised = HTTPException(status, "said by the server", {"x-more": "kept"})
    response = asyncio.run(errors.on_http(asked("/there"), raised))
    assert told(response) == (status, error, message)
    assert response.headers["content-type"] == "application/json"
    assert response.headers.get("allow") == ("POST" if status == 405 else None)


@pytest.mark.parametrize(
    ("refused", "status", "error", "message", "repeats"),
    [
        (not_found("Webhook"), 404, "NotFoundError", "Webhook not found", None),
        (invalid("limit", "x", "must be a number"), 400, "ValidationError", "limit: must be a number", None),
        (unavailable("later"), 503, "ServiceUnavailableError", "later", "1"),
        (Refused(403, "ForbiddenError", "no"), 403, "ForbiddenError", "no", None),
    ],
)
def test_a_refusal_is_told_as_it_was_raised(refused: Refused, status, error, message, repeats) -> None:
    response = asyncio.run(errors.on_refused(asked(), refused))
    assert told(response) == (status, error, message)
    assert response.headers.get("retry-after") == repeats
    assert msgspec.json.decode(response.body).get("details", []) == refused.details


@pytest.mark.parametrize(
    ("wait_s", "seconds"), [(0.0, "1"), (0.2, "1"), (1.0, "1"), (1.001, "2"), (59.0, "59"), (60.0, "60")]
)
def test_who_asks_too_often_is_told_when_to_ask_again(wait_s: float, seconds: str) -> None:
    begun = datetime.now(UTC)
    response = errors.too_many_requests(wait_s, 70)
    assert response.status_code == 429
    assert response.headers["retry-after"] == seconds
    metadata = msgspec.json.decode(response.body)["metadata"]
    assert (metadata["periodInMinutes"], metadata["requestsPerPeriodAllowed"]) == (1, 70)
    moment = datetime.fromisoformat(metadata["recommendedRetryTime"])
    assert (moment - begun).total_seconds() >= wait_s
