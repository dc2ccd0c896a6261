"""One request to one host: what is sent, within which limits of size and time, and which error an answer stands for."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

import httpx

from .addresses import shown
from .answers import not_ready, read, refusal
from .errors import Unauthorised, Unreadable
from .reach import GuardedClient, PrivateReach
from .reading import ENCODINGS, TooMuch, read_whole
from .silence import unreachable

_TOKEN = re.compile(r"[\x21-\x7e]+")


@cache
def _tls() -> ssl.SSLContext:
    """Loading the certificates takes longer than a request; one context serves the process."""
    return httpx.create_ssl_context()


@dataclass(slots=True, frozen=True, kw_only=True)
class Request:
    """What is sent, wherever it goes. is_held: a stream poll, where no answer means nothing new.

    is_polled: every 202 means "not ready". secrets: texts of the request that no message may repeat; they are never
    shown, and neither is what is sent.
    """

    method: str
    target: str
    type: Any
    timeout_s: float
    content: bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    is_repeatable: bool = True
    is_held: bool = False
    is_polled: bool = False
    secrets: tuple[str, ...] = field(default=(), repr=False)


class Sender:
    """Sends with a token, or without one. name: what messages call the backend instead of its address.

    reach: of Exchange.

    Raises Unauthorised for a token that cannot be one.
    """

    def __init__(
        self,
        token: str | None,
        *,
        name: str,
        largest_answer: int,
        connect_timeout_s: float,
        min_delay_s: float,
        clock: Callable[[], datetime],
        transport: httpx.BaseTransport | None,
        reach: PrivateReach | None,
    ) -> None:
        if token is not None and not _TOKEN.fullmatch(token):
            raise Unauthorised("The token is empty or contains characters that no token has.")
        self._token = token or ""
        self._name, self._largest_answer = name, largest_answer
        self._connect_timeout_s, self._min_delay_s, self._clock = connect_timeout_s, min_delay_s, clock
        options: dict[str, Any] = {"transport": transport, "verify": _tls(), "follow_redirects": False}
        self._http = httpx.Client(**options) if reach is None else GuardedClient(reach, **options)

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def shown(self, address: str) -> str:
        """How a message names the backend: by its name where it has one."""
        return f"“{self._name}”" if self._name else shown(address)

    def send(self, request: Request, host: str, timeout_s: float) -> Any:
        """The decoded answer of one host, or the error that its status stands for."""
        address = host + request.target
        sent = {"auth-token": self._token, "accept": "application/json", **request.headers}
        if not sent["auth-token"]:
            del sent["auth-token"]
        if request.content is not None:
            sent["content-type"] = "application/json"
        response = self._answer(request, address, {**sent, "accept-encoding": ENCODINGS}, timeout_s)
        status, where = response.status_code, self.shown(address)
        if status == 202 and (request.is_polled or (request.is_repeatable and "retry-after" in response.headers)):
            raise not_ready(response, where, now=self._clock(), delay_s=self._min_delay_s)
        if 200 <= status < 300:
            return read(response.content, request.type, where)
        hidden = (self._token, *request.secrets)
        raise refusal(response, now=self._clock(), delay_s=self._min_delay_s, hidden=hidden, name=self._name)

    def _answer(self, request: Request, address: str, headers: dict[str, str], timeout_s: float) -> httpx.Response:
        """The whole answer, read within its limits of size and time."""
        limits = httpx.Timeout(timeout_s, connect=min(self._connect_timeout_s, timeout_s))
        until, where = time.monotonic() + 2 * timeout_s, self.shown(address)
        sending = self._http.stream(request.method, address, content=request.content, headers=headers, timeout=limits)
        try:
            with sending as response:
                content = read_whole(response, largest=self._largest_answer, until=until)
            received_headers = [(name, value) for name, value in response.headers.items() if name != "content-encoding"]
            return httpx.Response(
                response.status_code, headers=received_headers, content=content, request=response.request
            )
        except TooMuch as error:
            text = f"The backend {where} answers {error}: the answer was not read to its end."
            raise Unreadable(text, reason="out of range", start="") from error
        except (httpx.RequestError, httpx.InvalidURL) as error:
            raise unreachable(error, where, limits) from error
