"""What one connection may send, and how long it may take: before the token, before any work, on every connection.

uvicorn's parser takes headers without end and waits for them for ever. Here the request line and the headers have a
largest size and number, head and body have a time, and the number of connections stays below that of the descriptors,
with a part that streams may not take, so that signals are still let in. Must not know what is asked.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from copying.backend.http.errors import error_response
from copying.contract.validation import MAX_BODY_BYTES

log = logging.getLogger(__name__)
MAX_TARGET_BYTES = 65_536  # a query may name a thousand strategies
MAX_HEADER_BYTES = 32_768
MAX_HEADERS = 100
MAX_HEAD_BYTES = MAX_TARGET_BYTES + MAX_HEADER_BYTES
MAX_DRAINED_BYTES = 2 * MAX_BODY_BYTES  # a body that is too large is refused by the application, with words, before
SLICE_BYTES = 16_384
HEAD_SECONDS = 10.0
BODY_SECONDS = 30.0
WANTED_DESCRIPTORS = 65_536
OWN_DESCRIPTORS = 64  # database, log, listening sockets
STREAMS_SHARE = 0.75
REPEAT_SECONDS = 60.0
PHRASES = {
    400: "Bad Request",
    408: "Request Timeout",
    413: "Content Too Large",
    414: "URI Too Long",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


class Room:
    """How many connections there may be. open: how many there are; descriptors: how many the process may have."""

    def __init__(self, descriptors: int) -> None:
        self.capacity = max(descriptors - OWN_DESCRIPTORS, descriptors // 2)
        self.open = 0
        self._logged_at = -REPEAT_SECONDS

    @property
    def is_full(self) -> bool:
        """No connection more."""
        return self.open > self.capacity

    @property
    def is_crowded(self) -> bool:
        """No stream more: what is left is for signals and for those who manage."""
        return self.open > self.capacity * STREAMS_SHARE

    def report(self, now: float | None = None) -> None:
        """Log that somebody was turned away, once a minute. now: monotonic seconds."""
        now = time.monotonic() if now is None else now
        if now - self._logged_at >= REPEAT_SECONDS:
            self._logged_at = now
            log.error(
                "%s connections are open and at most %s can be: %s are refused. Raise the limit of open files.",
                self.open,
                self.capacity,
                "all new ones" if self.is_full else "new streams",
            )


def raised_descriptors() -> int:
    """Raise the soft limit of open files as far as is wanted and allowed; how many there may be now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, WANTED_DESCRIPTORS)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return WANTED_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError) as error:
        log.warning("The limit of %s open files cannot be raised to %s: %s", soft, wanted, error)
        return soft
    return wanted


class TooMuchUnread(Exception):
    """Raised inside the parser to end it; status and text are the answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class BoundedProtocol(HttpToolsProtocol):
    """A connection with limits. `room` is shared by all of a server: see `protocol_in`."""

    room: Room
    flow: FlowControl
    head_seconds = HEAD_SECONDS
    body_seconds = BODY_SECONDS

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._is_begun = self._in_body = False
        self._in_head = True
        self._head_bytes = self._header_bytes = self._body_bytes = 0
        self._too_much: TooMuchUnread | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._waits_for = ""  # "head" or "body", with a deadline
        self.room.open += 1
        if self.room.is_full:
            self.room.report()
            self.refuse(503, "The server has no room for another connection. Try again in a few seconds.")
        else:
            self._wait(self.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self.room.open -= 1
        self._unset_deadline()
        super().connection_lost(exc)

    # ------------------------------------------------------------------------------------------------------ what comes

    def data_received(self, data: bytes) -> None:
        """Feed the parser; while a head is being read, in slices, so that one too long is noticed before it is kept."""
        view = memoryview(data)
        while len(view) and not self.transport.is_closing():
            piece = view[:SLICE_BYTES] if self._in_head else view
            if self._in_head:
                self._head_bytes += len(piece)
                if self._head_bytes > MAX_HEAD_BYTES + SLICE_BYTES:
                    self.refuse(431, f"The headers are longer than {MAX_HEADER_BYTES} bytes.")
                    return
            super().data_received(bytes(piece))
            view = view[len(piece) :]
        self._watch()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_begun = self._in_head = True
        self._head_bytes = self._header_bytes = self._body_bytes = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > MAX_TARGET_BYTES:
            self._stop(414, f"The address is longer than {MAX_TARGET_BYTES} bytes.")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value) + 4
        if self._header_bytes > MAX_HEADER_BYTES:
            self._stop(431, f"The headers are longer than {MAX_HEADER_BYTES} bytes.")
        if len(self.headers) >= MAX_HEADERS:
            self._stop(431, f"There are more than {MAX_HEADERS} headers.")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._is_begun = self._in_head = False
        self._in_body = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > MAX_DRAINED_BYTES:
            self._stop(413, f"The body is larger than {MAX_BODY_BYTES} bytes.")
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_body = False
        self._in_head = True
        self._head_bytes = 0
        super().on_message_complete()

    def _stop(self, status: int, text: str) -> None:
        self._too_much = TooMuchUnread(status, text)
        raise self._too_much

    def send_400_response(self, msg: str) -> None:
        """What the parser did not take: too much of something, or no HTTP."""
        if self._too_much is not None:
            self.refuse(self._too_much.status, self._too_much.text)
        else:
            self.refuse(400, "This is no HTTP request.")

    def refuse(self, status: int, text: str) -> None:
        """Answer without the application, if nobody has begun to answer, and close."""
        self._unset_deadline()
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            answer = error_response(status, text)
            head = f"HTTP/1.1 {status} {PHRASES[status]}\r\ncontent-type: application/json\r\nconnection: close\r\n"
            head += "cache-control: no-store\r\nx-content-type-options: nosniff\r\n"
            head += "retry-after: 5\r\n" if status == 503 else ""
            self.transport.write(f"{head}content-length: {len(answer.body)}\r\n\r\n".encode() + answer.body)
        self.transport.close()

    # ------------------------------------------------------------------------------------------------------------ time

    def _watch(self) -> None:
        """Give what has begun and is not complete its time; a request that came in one piece costs no timer."""
        is_idle = self.cycle is None or (self.cycle.response_complete and self.timeout_keep_alive_task is None)
        if self._in_body:
            self._wait(self.body_seconds)
        elif self._is_begun or is_idle:  # line breaks begin nothing, and end the wait for the next request
            self._wait(self.head_seconds)
        else:
            self._unset_deadline()

    def _wait(self, seconds: float) -> None:
        """One deadline for each head and each body; more of it does not move it."""
        wanted = "body" if self._in_body else "head"
        if self._deadline is not None and self._waits_for == wanted:
            return
        self._unset_deadline()
        self._waits_for = wanted
        self._deadline = self.loop.call_later(seconds, self._too_late)

    def _too_late(self) -> None:
        self._deadline = None
        if self.flow.read_paused and self._in_body:
            self._wait(self.body_seconds)  # it is we who do not read
            return
        if not self._in_body and not self._is_begun:
            self.transport.close()  # never a word
            return
        self.refuse(408, f"The {'body' if self._in_body else 'head'} of the request did not arrive in time.")

    def _unset_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def protocol_in(room: Room, **seconds: Any) -> type[BoundedProtocol]:
    """The protocol of a server's connections. seconds: head_seconds, body_seconds."""
    return type("Protocol", (BoundedProtocol,), {"room": room, **seconds})
