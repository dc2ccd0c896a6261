"""A request as it comes in: its body read within limits, its head as the environment that WSGI wants."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from typing import IO, Protocol
from urllib.parse import unquote_to_bytes

MEMORY_BYTES = 64 * 1024  # of one body; what is longer goes to a temporary file


class BodyRefused(Exception):
    """A request that is answered without Django: status, a sentence, more headers."""

    def __init__(self, status: int, text: str, headers: list[tuple[bytes, bytes]] | None = None):
        super().__init__(text)
        self.status, self.text, self.headers = status, text, headers or []


class BodyLimits(Protocol):
    """What read_body is held to."""

    @property
    def body_bytes(self) -> int: ...
    @property
    def body_s(self) -> float: ...
    @property
    def idle_s(self) -> float: ...


class Body:
    """The bytes of a request's body; a context manager that gives them back."""

    def __init__(self, file: IO[bytes], length: int) -> None:
        self.file, self.length = file, length

    @classmethod
    def empty(cls) -> Body:
        return cls(tempfile.SpooledTemporaryFile(MEMORY_BYTES), 0)

    def __enter__(self) -> Body:
        return self

    def __exit__(self, *_) -> None:
        self.file.close()


async def read_body(scope: dict, receive, limits: BodyLimits) -> Body:
    """The whole body. Raises Refused: 413 for one that is too long, 408 for one that does not come."""
    headers = dict(scope["headers"])
    body = Body.empty()
    if b"content-length" not in headers and b"transfer-encoding" not in headers:
        return body
    declared = headers.get(b"content-length", b"0")
    if not declared.isdigit() or int(declared[:20]) > limits.body_bytes:
        raise _too_long(limits)
    try:
        async with asyncio.timeout(limits.body_s):
            await _receive_into(body, receive, limits)
    except TimeoutError:
        body.file.close()
        raise BodyRefused(408, "The request did not arrive in time. Nothing was changed. Try again.") from None
    except BodyRefused:
        body.file.close()
        raise
    body.file.seek(0)
    return body


async def _receive_into(body: Body, receive, limits: BodyLimits) -> None:
    while True:
        async with asyncio.timeout(limits.idle_s):
            message = await receive()
        if message["type"] == "http.disconnect":
            raise BodyRefused(400, "The client left before its request was complete.")
        piece = message.get("body", b"")
        body.length += len(piece)
        if body.length > limits.body_bytes:
            raise _too_long(limits)
        body.file.write(piece)
        if not message.get("more_body"):
            return


def _too_long(limits: BodyLimits) -> BodyRefused:
    megabytes = limits.body_bytes / 1_048_576
    return BodyRefused(413, f"The request is longer than {megabytes:g} MB. Nothing was changed.")


def environ_of(scope: dict, body: Body) -> dict:
    """The WSGI environment (PEP 3333) of an ASGI scope and its body."""
    client, server = scope.get("client") or ("", 0), scope.get("server") or ("localhost", 0)
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": str(server[0]),
        "SERVER_PORT": str(server[1]),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": str(client[0]),
        "REMOTE_PORT": str(client[1]),
        "CONTENT_LENGTH": str(body.length),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": body.file,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in scope["headers"]:
        # a name with "_" would be taken for the one with "-" that a proxy is trusted to set
        if b"_" in name or name == b"content-length":
            continue
        key = name.decode("latin-1").upper().replace("-", "_")
        key = key if key == "CONTENT_TYPE" else f"HTTP_{key}"
        text, joint = value.decode("latin-1"), "; " if key == "HTTP_COOKIE" else ","
        environ[key] = f"{environ[key]}{joint}{text}" if key in environ else text
    return environ
