"""`Idempotency-Key`: a request that is sent again with its key is answered as the first time and done once.

Every address that changes something takes it; handlers say what they do through `carry_out`.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import wraps
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from copying.backend.core.idempotency import answer_before
from copying.backend.http.options import keyed_digest, service
from copying.backend.http.parameters import body_bytes
from copying.backend.http.replies import done, reply
from copying.backend.http.webhooks import note_refusal
from copying.backend.state.commands import AnyCommand, Once
from copying.backend.state.entities import KeptAnswer
from copying.backend.state.errors import Refused, invalid
from copying.contract.hosts import PROVISIONING, prefix_of

HEADERS = ("idempotency-key", "transaction-id")  # the second is what the vendor's clients send; the first counts
KEY = re.compile(r"[\x20-\x7e]{1,255}")
Handler = Callable[[Request], Awaitable[Response]]


def once(handler: Handler) -> Handler:
    """Let a handler's request be sent again with its key."""

    @wraps(handler)
    async def guarded(request: Request) -> Response:
        key = await read_noting_refusal(request, key_of)
        if key is None:
            return await handler(request)
        request.state.content = await body_bytes(request)
        # whoever posts to a webhook is not its owner: their keys must not meet
        caller = request.scope["tenant"] or request.scope["path"]
        request.state.once = Once(caller=caller, key=key, digest=digest(request))
        async with service(request).under_way.setdefault((caller, key), asyncio.Lock()):
            earlier = await read_noting_refusal(request, kept_of)
            return await handler(request) if earlier is None else answered(earlier.answer, earlier.status)

    return guarded


async def carry_out(request: Request, command: AnyCommand, answer: Any = None, *, status: int = 204) -> Response:
    """Submit a request's only command; answers what the core does, else `answer`."""
    asked: Once | None = getattr(request.state, "once", None)
    if asked is not None:
        asked = msgspec.structs.replace(asked, status=status, answer=answer)
    result = await service(request).core.submit(command, asked)
    return answered(answer if result is None else result, status)


def answered(answer: Any, status: int) -> Response:
    """The answer of a command."""
    return done() if status == 204 else reply(answer, status)


async def read_noting_refusal(request: Request, read: Callable[[Request], Any]) -> Any:
    """What is read of the request; a refusal is told to the owner of the webhook that it was posted to."""
    try:
        return read(request)
    except Refused as refused:
        await note_refusal(request, refused.message)
        raise


def kept_of(request: Request) -> KeptAnswer | None:
    """What the request was answered before. Raises Refused (422)."""
    return answer_before(service(request).core.book, request.state.once)


def key_of(request: Request) -> str | None:
    """The request's key, None without one. Raises Refused (400)."""
    for name in HEADERS:
        keys = list(dict.fromkeys(request.headers.getlist(name)))
        if not keys:
            continue
        if len(keys) > 1 or not KEY.fullmatch(keys[0]):
            shown = keys[0].encode("ascii", "replace").decode()[:255]
            raise invalid(name, shown, "must be one key of 1 to 255 printable ASCII characters")
        return keys[0]
    return None


def digest(request: Request) -> bytes:
    """What tells one request from another: method, address, query and body, JSON however it is spaced."""
    content = request.state.content
    with suppress(msgspec.MsgspecError, ValueError, RecursionError):  # a calendar, or what the handler refuses
        content = msgspec.json.encode(msgspec.json.decode(content), order="sorted")
    scope = request.scope
    head = "\n".join((scope["method"], scope["path"], scope["query_string"].decode("latin-1"), ""))
    whole = head.encode(errors="backslashreplace") + content
    has_password = scope["path"].startswith(prefix_of(PROVISIONING))
    return (keyed_digest(whole) if has_password else hashlib.sha256(whole).digest())[:16]
