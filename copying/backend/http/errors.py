"""Every refusal as the JSON error body of the contract (1.6, 1.7). The only module that knows that shape.

What is refused is raised as `copying.backend.state.errors.Refused`, by the core or while a request is read.
"""

from __future__ import annotations

import logging
import random
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg
import psycopg_pool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match

from copying.backend.http.webhooks import note_refusal
from copying.backend.state.errors import Details, Refused
from copying.contract import wire
from copying.contract.validation import Invalid

logger = logging.getLogger(__name__)
NAMES = {
    400: "ValidationError",
    401: "UnauthorizedError",
    403: "ForbiddenError",
    404: "NotFoundError",
    405: "MethodNotAllowedError",
    413: "PayloadTooLargeError",
    422: "UnprocessableError",
    429: "TooManyRequestsError",
    500: "InternalError",
    503: "ServiceUnavailableError",
}
# who knows the id of a webhook may post to it, and who has a configuration link may set a password
SECRET_PATH = re.compile(r"(/webhooks/|/configure-trading-account-credentials/[^/]+/)[^/]+")
MESSAGES = {
    404: "There is no such address.",
    405: "This address does not offer this method.",
}


def error_response(
    status: int,
    message: str,
    *,
    error: str = "",
    details: Details | None = None,
    metadata: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """The error body; `id` is a number to quote that is found in the log for errors of the server."""
    body: dict[str, Any] = {
        "id": random.getrandbits(31),
        "error": error or NAMES.get(status, "ApiError"),
        "message": message,
    }
    if details:
        body["details"] = details
    if metadata:
        body["metadata"] = metadata
    return Response(msgspec.json.encode(body), status, headers, "application/json")


def too_many_requests(wait_s: float, requests_per_minute: int, *, per: str = "TOKEN") -> Response:
    """429 with the time at which asking again will be answered (contract, 1.7). per: whose the limit is."""
    retry_at = datetime.now(UTC) + timedelta(seconds=wait_s)
    return error_response(
        429,
        "Too many requests. Repeat this one at metadata.recommendedRetryTime or later.",
        metadata={
            "periodInMinutes": 1,
            "requestsPerPeriodAllowed": requests_per_minute,
            "recommendedRetryTime": wire.format_time(retry_at + timedelta(milliseconds=1)),
            "type": f"LIMIT_REQUEST_RATE_PER_{per}",
        },
        headers={"retry-after": str(max(1, int(-(-wait_s // 1))))},
    )


async def on_refused(request: Request, refused: Refused) -> Response:
    """The core or a parameter said no."""
    headers = {"retry-after": "1"} if refused.status == 503 else None
    return error_response(
        refused.status, refused.message, error=refused.error, details=refused.details, headers=headers
    )


async def on_invalid(request: Request, invalid: Invalid) -> Response:
    """A body breaks the contract; `details` names every parameter at fault."""
    return error_response(400, f"Validation failed. {invalid.text}", details=invalid.details)


async def on_http(request: Request, error: HTTPException) -> Response:
    """Unknown address or method."""
    headers = dict(error.headers or {})
    if request.url.path.startswith("/webhooks/"):
        await note_refusal(request, f"{request.method}: {MESSAGES.get(error.status_code, error.detail)}")
    if error.status_code == 405:
        headers = {"allow": ", ".join(_methods_of(request))}
    return error_response(error.status_code, MESSAGES.get(error.status_code, error.detail), headers=headers)


def _methods_of(request: Request) -> list[str]:
    """All that the address offers: every method is a route of its own, and the framework names only the first's."""
    routes = (route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE)
    return sorted({method for route in routes for method in route.methods})


async def on_surprise(request: Request, error: Exception) -> Response:
    """A fault of ours: logged with the id that the answer shows, and nothing else told."""
    response = error_response(500, "The server failed to answer; nothing is known to be wrong with the request.")
    error_id = msgspec.json.decode(response.body)["id"]
    path = SECRET_PATH.sub(r"\1…", request.url.path)
    logger.error("error %s at %s %s", error_id, request.method, path, exc_info=error)
    return response


async def on_hang_up(request: Request, error: ClientDisconnect) -> Response:
    """The client left in the middle of its body; nobody reads this."""
    return error_response(400, "The request was not complete.")


async def on_database(request: Request, error: Exception) -> Response:
    """The database is away or overloaded: worth trying again."""
    logger.warning("database: %s", error)
    return error_response(503, "The database does not answer at the moment.", headers={"retry-after": "1"})


HANDLERS: dict[Any, Any] = {
    Refused: on_refused,
    Invalid: on_invalid,
    HTTPException: on_http,
    ClientDisconnect: on_hang_up,
    psycopg.OperationalError: on_database,
    psycopg_pool.PoolTimeout: on_database,
    Exception: on_surprise,
}
