"""The one way in which the core says no: a value that becomes the error body of the contract (1.6)."""

from __future__ import annotations

from typing import Any

Details = list[dict[str, Any]] | dict[str, Any] | str


class Refused(Exception):
    """A command that was not carried out; nothing changed.

    status: the HTTP status; details: for 400 the parameters at fault as {parameter, value, message}; of accounts also
    a code, or an object with one (account APIs, 2.5).
    """

    def __init__(self, status: int, error: str, message: str, details: Details | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.message = message
        self.details: Details = details or []


class CannotReplay(Exception):
    """An entry that was carried out before cannot be carried out any more; `str()` is a sentence for the operator."""

    def __init__(self, sequence: int) -> None:
        super().__init__(
            f"Journal entry {sequence} was carried out before and fails now: this version cannot read the data set. "
            "Start the version that wrote it, or a repaired one; nothing was changed."
        )


def not_found(what: str, why: str = "") -> Refused:
    """404: absent, or of another tenant, which must not be told apart. why: of what is the tenant's own, a reason."""
    return Refused(404, "NotFoundError", f"{what} not found" + (f": {why}" if why else ""))


def invalid(parameter: str, value: Any, message: str) -> Refused:
    """400 naming one parameter."""
    return Refused(
        400,
        "ValidationError",
        f"{parameter}: {message}" if parameter else message,
        [{"parameter": parameter, "value": value, "message": message}],
    )


def unavailable(message: str) -> Refused:
    """503: not now; whoever repeats it in a second may be answered."""
    return Refused(503, "ServiceUnavailableError", message)
