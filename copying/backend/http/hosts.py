"""Which API a request is meant for: by the name of its host, or on one origin by the prefix of its path.

`DELETE /users/current/accounts/{id}` deletes a trading account on one host and forgets its statistics on another
(account APIs, 1.4). So a request to one of these hosts is taken to the addresses of that host and to no others, and
where no name says which is meant, an address that means two things does not exist. Plain ASGI, after the gate.
"""

from __future__ import annotations

from functools import lru_cache

from starlette.types import ASGIApp, Receive, Scope, Send

from copying.backend.http.errors import error_response
from copying.contract.hosts import ACCOUNT_HOSTS, WITHOUT_REGION, prefix_of


class Hosts:
    """Takes requests to a named host to that host's prefix. region: the one there is."""

    def __init__(self, app: ASGIApp, region: str) -> None:
        self.app = app
        self.region = region

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        api, region = named_in(host_of(scope))
        if not api:
            await self.app(scope, receive, send)
        elif api not in WITHOUT_REGION and region != self.region.lower():
            text = f"Accounts of this server are in the region {self.region}: call {api}.{self.region}.{{domain}}."
            await error_response(404, text)(scope, receive, send)
        else:
            path = prefix_of(api) + scope["path"]
            await self.app({**scope, "path": path, "raw_path": path.encode()}, receive, send)


def host_of(scope: Scope) -> bytes:
    """The Host header, b"" without one."""
    for name, value in scope["headers"]:
        if name == b"host":
            return value
    return b""


@lru_cache(maxsize=1024)
def named_in(host: bytes) -> tuple[str, str]:
    """(API, label behind it) of a Host header; "" twice for any other name."""
    first, _, rest = host.decode("latin-1").strip().lower().partition(".")
    return (first, rest.partition(".")[0].partition(":")[0]) if first in ACCOUNT_HOSTS else ("", "")
