"""The door of the web process: whole requests in, answers out, within limits, so that no client holds a thread.

Pages are synchronous code under WSGI, in a few threads (docs/decisions.md). A thread that reads a body from a slow
client, or writes a file to one that does not read, is lost for everybody else; six of them stopped every page. So the
event loop reads bodies and sends answers, with limits of size and time, and a thread only ever computes:

    client -> event loop: body, limits -> page thread: Django -> event loop -> client
                                            `-> download thread -> temporary file -> event loop -> client

`/healthz` is answered by the loop itself, `/readyz` by a thread of its own.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import structlog
from django.conf import settings
from django.db import close_old_connections

from copyportal.bodies import Body, BodyRefused, environ_of, read_body
from copyportal.spool import PIECE_BYTES, Abandoned, Spool

log = structlog.get_logger(__name__)
Receive = Callable[[], Awaitable[dict]]
Send = Callable[[dict], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

PLAIN = (b"content-type", b"text/plain; charset=utf-8")
JSON = (b"content-type", b"application/json")
NO_STORE = (b"cache-control", b"no-store")


@dataclass(frozen=True)
class Limits:
    """Seconds, bytes and numbers. piece_s: for a client to take 64 kB; renewal_s: between signs of life of a slot."""

    body_bytes: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    body_s: float = settings.WEB_BODY_SECONDS
    idle_s: float = settings.WEB_IDLE_SECONDS
    piece_s: float = settings.WEB_IDLE_SECONDS
    delivery_s: float = settings.WEB_DOWNLOAD_SECONDS
    renewal_s: float = 15.0
    waiting: int = 1_000


@dataclass
class Delivery:
    """How a download is under way, for the code that counts downloads (`environ["copyportal.delivery"]`).

    renew: called every `Limits.renewal_s` while the client reads; release: once, when it has got all or has left.
    """

    renew: list[Callable[[], None]] = field(default_factory=list)
    release: list[Callable[[], None]] = field(default_factory=list)


@dataclass
class Answer:
    """What a page thread made: the head, and the content or the download that is still to be made."""

    status: int
    headers: Headers
    content: bytes = b""
    download: Any = None
    context: contextvars.Context | None = None


class Front:
    """The ASGI application around a WSGI application of Django's kind."""

    def __init__(self, application: Callable, limits: Limits) -> None:
        self.application, self.limits = application, limits
        self.page_threads = ThreadPoolExecutor(settings.WEB_THREADS, thread_name_prefix="page")
        self.download_threads = ThreadPoolExecutor(settings.WEB_DOWNLOAD_THREADS, thread_name_prefix="download")
        self.readiness_thread = ThreadPoolExecutor(1, thread_name_prefix="readiness")
        self.slot_thread = ThreadPoolExecutor(1, thread_name_prefix="slots")
        self.waiting = 0

    async def __call__(self, scope: dict, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await _lifespan(receive, send)
        if scope["path"] == "/healthz":
            return await _send_whole(send, 200, [JSON, NO_STORE], b'{"status": "ok"}')
        try:
            if scope["path"] == "/readyz":
                return await self._answer(scope, Body.empty(), send, self.readiness_thread)
            if self.waiting >= self.limits.waiting:
                raise BodyRefused(
                    503, "Too many requests are waiting. Try again in a moment.", [(b"retry-after", b"5")]
                )
            with await read_body(scope, receive, self.limits) as body:
                await self._answer(scope, body, send, self.page_threads)
        except BodyRefused as refusal:
            head = [PLAIN, NO_STORE, (b"connection", b"close"), *refusal.headers]
            await _send_whole(send, refusal.status, head, refusal.text.encode())
        return None

    async def _answer(self, scope: dict, body: Body, send: Send, threads: ThreadPoolExecutor) -> None:
        delivery = Delivery()
        environ = {**environ_of(scope, body), "copyportal.delivery": delivery}
        self.waiting += 1
        try:
            answer = await asyncio.get_running_loop().run_in_executor(threads, self._compute, environ)
        finally:
            self.waiting -= 1
        if answer.download is None and not delivery.release:
            await self._send_content(send, answer)
        else:
            await self._deliver(send, answer, delivery)

    def _compute(self, environ: dict) -> Answer:
        """In a page thread: the answer, whole unless it is a download."""
        context = contextvars.copy_context()
        return context.run(self._call, environ, context)

    def _call(self, environ: dict, context: contextvars.Context) -> Answer:
        head: list = []
        response = self.application(environ, lambda status, headers, exc_info=None: head.extend((status, headers)))
        answer = Answer(int(head[0].split(" ", 1)[0]), _encoded(head[1]), context=context)
        if getattr(response, "streaming", False) and response.get("Content-Disposition", "").startswith("attachment"):
            close_old_connections()  # this thread's; the download opens one in its own
            answer.download = response
            return answer
        try:
            answer.content = b"".join(response)
        finally:
            response.close()
        return answer

    # ------------------------------------------------------------------------------------------------------ sending
    async def _send_content(self, send: Send, answer: Answer) -> None:
        if len(answer.content) <= 2 * PIECE_BYTES:
            return await _send_whole(send, answer.status, answer.headers, answer.content)
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        for position in range(0, len(answer.content), PIECE_BYTES):
            await self._send_piece(send, answer.content[position : position + PIECE_BYTES])
        return await send({"type": "http.response.body", "body": b""})

    async def _send_piece(self, send: Send, piece: bytes) -> None:
        async with asyncio.timeout(self.limits.piece_s):
            await send({"type": "http.response.body", "body": piece, "more_body": True})

    async def _deliver(self, send: Send, answer: Answer, delivery: Delivery) -> None:
        """Send a download; whatever happens to it, its slot is given back."""
        renewing = asyncio.create_task(self._renew(delivery))
        try:
            async with asyncio.timeout(self.limits.delivery_s):
                if answer.download is None:
                    await self._send_content(send, answer)
                else:
                    await self._send_download(send, answer)
        except TimeoutError:
            log.info("a client did not read its download", status=answer.status)
            raise
        finally:
            renewing.cancel()
            for release in delivery.release:
                await asyncio.get_running_loop().run_in_executor(self.slot_thread, _quietly, release)

    async def _send_download(self, send: Send, answer: Answer) -> None:
        spool = Spool()
        context = answer.context or contextvars.copy_context()
        self.download_threads.submit(context.run, _fill, answer.download, spool)
        try:
            await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
            async for piece in spool.pieces():
                await self._send_piece(send, piece)
            await send({"type": "http.response.body", "body": b""})
        finally:
            spool.close()

    async def _renew(self, delivery: Delivery) -> None:
        while True:
            await asyncio.sleep(self.limits.renewal_s)
            for renew in delivery.renew:
                self.slot_thread.submit(_quietly, renew)


def _fill(response: Any, spool: Spool) -> None:
    """In a download thread: make the file."""
    is_broken = True
    try:
        for piece in response:
            spool.write(piece)
        is_broken = False
    except Abandoned:
        pass
    except Exception:
        log.exception("a download failed")
    finally:
        spool.finish(is_broken=is_broken)
        response.close()


def _quietly(call: Callable[[], None]) -> None:
    """A slot that cannot be renewed or given back ends by itself."""
    try:
        call()
    except Exception:
        log.warning("a slot for downloads was not kept", exc_info=True)


def _encoded(headers: list[tuple[str, str]]) -> Headers:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]


async def _send_whole(send: Send, status: int, headers: Headers, content: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
