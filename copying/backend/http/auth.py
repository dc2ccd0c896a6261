"""Lets a request in: whose token it carries, whether the token may ask again, and whether its body can be small enough.

Plain ASGI on purpose: it runs before everything else on every request. Must not read bodies.
"""

from __future__ import annotations

import hmac
import time
from functools import lru_cache

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from copying.backend import tokens
from copying.backend.http.connections import Room
from copying.backend.http.errors import error_response, too_many_requests
from copying.backend.http.rate_limits import TokenBuckets
from copying.backend.http.token_list import TokenList
from copying.contract.validation import MAX_BODY_BYTES

OPEN = "/healthz"  # needs no token and counts against no limit
MEASURED = "/metrics"  # the same for whoever has its own token; for others it is an address that does not exist
SAFE = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
PUBLIC = "/webhooks/"  # the secret is the id in the address (contract, 1.5)
LINKS = "/configure-trading-account-credentials/"  # the same: the last part of the address (account APIs, 2.11)

WRONG_TOKENS_PER_MINUTE = 300  # of one address
NO_TOKEN = "Authorization token is missing or not valid."

_tenant_of = lru_cache(maxsize=10_000)(tokens.tenant_of)


class Gate:
    """Sets `scope["tenant"]` to the caller's tenant, "" where none is needed; lets nobody keep or guess an answer.

    room: of the server's connections; None: there is no limit to keep.
    """

    def __init__(
        self,
        app: ASGIApp,
        buckets: TokenBuckets,
        room: Room | None = None,
        metrics_token: str = "",
        token_list: TokenList | None = None,
    ) -> None:
        self.app = app
        self.metrics_token = metrics_token
        self.token_list = token_list or TokenList()
        self.wrong = TokenBuckets(WRONG_TOKENS_PER_MINUTE)
        self.buckets = buckets
        self.room = room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *SAFE]
            await send(message)

        await (self._refusal(scope) or self.app)(scope, receive, send_safely)

    def _has_metrics_token(self, headers: list[tuple[bytes, bytes]]) -> bool:
        """Never where none is set."""
        expected, sent = f"Bearer {self.metrics_token}".encode(), _header(headers, b"authorization")
        return bool(self.metrics_token) and hmac.compare_digest(sent.encode("latin-1"), expected)

    def _refusal(self, scope: Scope) -> Response | None:
        path, headers = scope["path"], scope["headers"]
        scope["tenant"] = ""
        if path == OPEN or (path == MEASURED and self._has_metrics_token(headers)):
            return None
        key = path if path.startswith(PUBLIC) else ""
        if path.startswith(LINKS):
            key = path.rpartition("/")[0]  # whoever guesses secrets spends what the account has
        if not key:
            key = _header(headers, b"auth-token")
            if not key:  # no guess at anybody's
                return error_response(401, NO_TOKEN)
            tenant = _tenant_of(key)
            if tenant is None:
                return self._wrong_token(scope)
            if refusal := self.token_list.refusal(key, tenant, scope["method"], time.time()):
                return error_response(refusal.status, refusal.text)
            scope["tenant"] = tenant
        if wait_s := self.buckets.take(key, time.monotonic()):
            return too_many_requests(wait_s, self.buckets.per_minute)
        length = _header(headers, b"content-length")
        if length.isdecimal() and int(length[:20]) > MAX_BODY_BYTES:
            return error_response(413, f"The body is larger than {MAX_BODY_BYTES} bytes.")
        if self.room is not None and self.room.is_crowded and path.endswith("/stream"):
            self.room.report()
            text = "Too many connections are open: new streams are not taken. Try again in a few seconds."
            return error_response(503, text, headers={"retry-after": "5", "connection": "close"})
        return None

    def _wrong_token(self, scope: Scope) -> Response:
        """Who sends many wrong tokens from an address waits; right ones go on working from there."""
        source = (scope.get("client") or ("",))[0]
        if wait_s := self.wrong.take(source, time.monotonic()):
            return too_many_requests(wait_s, self.wrong.per_minute, per="ADDRESS")
        return error_response(401, NO_TOKEN)


def _header(headers: list[tuple[bytes, bytes]], name: bytes) -> str:
    for key, value in headers:
        if key == name:
            return value.decode("latin-1")
    return ""
