"""The one way in which the core says no: a value that becomes the error body of the contract (1.6)."""

from __future__ import annotations

from typing import Any


class Refused(Exception):
    """A command that was not carried out; nothing changed.

    status: the HTTP status; details: for 400 the parameters at fault as {parameter, value, message}.
    """

    def __init__(self, status: int, error: str, message: str, details: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.message = message
        self.details = details or []


def not_found(what: str) -> Refused:
    """404: absent, or of another tenant, which must not be told apart."""
    return Refused(404, "NotFoundError", f"{what} not found")


def invalid(parameter: str, value: Any, message: str) -> Refused:
    """400 naming one parameter."""
    return Refused(
        400,
        "ValidationError",
        f"{parameter}: {message}",
        [{"parameter": parameter, "value": value, "message": message}],
    )


def forbidden(message: str) -> Refused:
    """403: somebody else's id."""
    return Refused(403, "ForbiddenError", message)
