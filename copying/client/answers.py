"""What an answer says: a document of the contract, or why there is none."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import msgspec

from ..contract import wire
from .account_refusals import account_refusal
from .addresses import shown
from .errors import (
    BackendFailed,
    ClientError,
    Forbidden,
    NotConnected,
    NotFound,
    NotReady,
    RateLimited,
    Rejected,
    Unauthorised,
    Unreadable,
)

# what may be repeated on pages: an error body of the contract, and of it no address (docs/copying.md, "Refusals")
_ERROR_NAME = re.compile(r"[A-Za-z]{1,60}(?:Error|Exception)")
_PARAMETER = re.compile(r"[\w$.:+\[\]-]{1,200}")
_ADDRESS = re.compile(
    r"[a-z][a-z0-9+.-]{0,40}://\S+|\b\d{1,3}(?:\.\d{1,3}){3}\b(?::\d+)?|\[[0-9a-f:]*:[0-9a-f:]*\](?::\d+)?"
    r"|\b(?:localhost|[\w-]+(?:\.[\w-]+)*\.[a-z][a-z-]+)(?::\d{2,5})\b|\blocalhost\b",
    re.IGNORECASE,
)
LONGEST_MESSAGE = 300
MOST_DETAILS = 50
_REASONS = {
    400: "the request is wrong",
    401: "it says 401",
    403: "it says 403",
    404: "it says 404",
}

_NOT_CONNECTED = "not connected to broker"  # by a 404 or a 5xx: the vendor's pages and its clients differ

_NOT_A_NUMBER = re.compile(rb"[:\[,\s]-?(?:NaN|Infinity)\b")


def refusal(
    response: httpx.Response, *, now: datetime, delay_s: float, hidden: tuple[str, ...], name: str = ""
) -> ClientError:
    """The error that a status stands for (contract, 1.6). delay_s: to wait after a 429 that names no time.

    hidden: the token and other secrets, that no text may repeat. name: of the backend, told instead of its address.
    """
    body = _without(hidden, _error_body(response))
    message = _sentence(body.get("message") or response.reason_phrase or "no reason given")
    error = _refusal(response, body, message, now=now, delay_s=delay_s, name=name)
    error.said = message[:500]
    return error


def _refusal(
    response: httpx.Response, body: dict[str, Any], message: str, *, now: datetime, delay_s: float, name: str
) -> ClientError:
    status = response.status_code
    is_not_connected = (status == 404 or status >= 500) and _NOT_CONNECTED in message.lower()
    where = f"(“{name}”)" if name else f"({response.request.method} {shown(str(response.request.url))})"
    details = [detail for detail in _list(body.get("details")) if isinstance(detail, dict)]
    if name:  # a page shows it: nothing of an address that is no backend
        speaks = _speaks_the_contract(body)
        message = public_text(message) if speaks else _REASONS.get(status, "it gives no reason that can be shown")
        details = [public for detail in details[:MOST_DETAILS] if (public := _public_detail(detail))] if speaks else []
    if status == 400 and (refused := account_refusal(body, public_text)):
        return refused
    if status == 400:
        return Rejected(f"The backend refused the request: {message} {where}.", details)
    if status == 401:
        return Unauthorised(f"The backend does not accept the token: {message} {where}.")
    if status == 403:
        return Forbidden(f"The backend does not allow this: {message} {where}.")
    if is_not_connected:
        return NotConnected(f"The account is not connected to its broker {where}.")
    if status == 404:
        return NotFound(f"The backend does not know this: {message} {where}.")
    if status == 429:
        at = _retry_at(body) or retry_after(response, now=now, delay_s=delay_s)
        text = f"The backend wants fewer requests and asks to wait until {wire.format_time(at)} {where}."
        return RateLimited(text, at)
    return BackendFailed(f"The backend answered {status}: {message} {where}.", status)


def not_ready(response: httpx.Response, where: str, *, now: datetime, delay_s: float) -> NotReady:
    """A 202. The header says when to ask again, or the body, or it is `delay_s` from now."""
    at = None if "retry-after" in response.headers else _retry_at(_error_body(response))
    return NotReady(f"The backend is not ready yet at {where}.", at or retry_after(response, now=now, delay_s=delay_s))


def _without(hidden: tuple[str, ...], value: Any) -> Any:
    """The decoded body with every secret in it replaced, wherever the backend repeats it."""
    if isinstance(value, str):
        for secret in hidden:
            value = value.replace(secret, "…") if secret else value
        return value
    if isinstance(value, dict):
        return {_without(hidden, name): _without(hidden, member) for name, member in value.items()}
    return [_without(hidden, member) for member in value] if isinstance(value, list) else value


def _sentence(value: Any) -> str:
    """The text without the full stops at its end, as it goes into a sentence of ours."""
    return str(value).strip().rstrip(". ")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _speaks_the_contract(body: dict[str, Any]) -> bool:
    """Whether this is the contract's error body (1.6): any other JSON is not repeated on a page."""
    number, error, message = (body.get(name) for name in ("id", "error", "message"))
    is_error = isinstance(error, str) and _ERROR_NAME.fullmatch(error) is not None
    return is_error and isinstance(message, str) and isinstance(number, int) and not isinstance(number, bool)


def public_text(value: Any, longest: int = LONGEST_MESSAGE) -> str:
    """A backend's sentence as a page may show it: one line, bounded, without addresses."""
    text = str(value)
    if len(text) > 4 * longest:  # looking for addresses takes the square of the length; no half of one may stay
        text = f"{text[: 4 * longest].rpartition(' ')[0]} …"
    text = _ADDRESS.sub("…", " ".join(text.split()))
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _public_detail(detail: dict[str, Any]) -> dict[str, Any]:
    """What is wrong with which parameter; {} for what is no such thing. The value is the person's own, and left out."""
    parameter, message = detail.get("parameter"), detail.get("message")
    if not isinstance(message, str) or not isinstance(parameter, str) or not _PARAMETER.fullmatch(parameter):
        return {}
    return {"parameter": parameter, "message": public_text(message)}


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
