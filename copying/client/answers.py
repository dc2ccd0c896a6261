"""What an answer says: a document of the contract, or why there is none."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import msgspec

from ..contract import wire
from .addresses import shown
from .errors import BackendFailed, ClientError, Forbidden, NotFound, RateLimited, Rejected, Unauthorised, Unreadable

_NOT_A_NUMBER = re.compile(rb"[:\[,\s]-?(?:NaN|Infinity)\b")


def refusal(response: httpx.Response, *, now: datetime, delay_s: float, token: str, name: str = "") -> ClientError:
    """The error that a status stands for (contract, 1.6). delay_s: to wait after a 429 that names no time.

    name: of the backend, told instead of its address.
    """
    address, status, said = str(response.request.url), response.status_code, _error_body(response)
    message = str(said.get("message") or response.reason_phrase or "no reason given").strip().rstrip(".")
    message = message.replace(token, "…")[:500]
    where = f"(“{name}”)" if name else f"({response.request.method} {shown(address)})"
    if status == 400:
        details = [one for one in said.get("details") or [] if isinstance(one, dict)]
        return Rejected(f"The backend refused the request: {message} {where}.", details)
    if status == 401:
        return Unauthorised(f"The backend does not accept the token: {message} {where}.")
    if status == 403:
        return Forbidden(f"The backend does not allow this: {message} {where}.")
    if status == 404:
        return NotFound(f"The backend does not know this: {message} {where}.")
    if status == 429:
        at = _retry_at(said) or retry_after(response, now=now, delay_s=delay_s)
        text = f"The backend wants fewer requests and asks to wait until {wire.format_time(at)} {where}."
        return RateLimited(text, at)
    return BackendFailed(f"The backend answered {status}: {message} {where}.", status)


def _retry_at(said: dict[str, Any]) -> datetime | None:
    try:
        return wire.parse_time(said["metadata"]["recommendedRetryTime"])
    except (TypeError, KeyError, ValueError):
        return None


def retry_after(response: httpx.Response, *, now: datetime, delay_s: float) -> datetime:
    """The header Retry-After, in seconds or as a date; without one, `delay_s` from now."""
    text = response.headers.get("retry-after", "")
    try:
        return now + timedelta(seconds=min(max(float(text), 0), 86_400))
    except (ValueError, OverflowError):
        pass
    try:
        moment = parsedate_to_datetime(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, TypeError):
        return now + timedelta(seconds=delay_s)


def _error_body(response: httpx.Response) -> dict[str, Any]:
    try:
        said = msgspec.json.decode(response.content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def read(content: bytes, type: Any, address: str) -> Any:
    if type is None:
        return None
    if type is bytes:
        return content
    return decode_answer(content, type, address)


def decode_answer(content: bytes, type: Any, address: str = "the backend") -> Any:
    """The body as `type`. Raises Unreadable."""
    try:
        return wire.decode(content, type)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        reason = _reason(content, error)
        start = content[:200].decode("utf-8", "replace")
        text = f"The answer of {shown(address)} cannot be read, {reason}: {error}."
        raise Unreadable(text, reason=reason, start=start) from error


def _reason(content: bytes, error: Exception) -> str:
    if "out of range" in str(error):
        return "out of range"
    if _NOT_A_NUMBER.search(content):
        return "not a number"
    if isinstance(error, msgspec.ValidationError):
        return "wrong type"
    return "truncated" if "truncated" in str(error) else "invalid JSON"
