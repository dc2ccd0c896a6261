"""The backend as a process: core, API and robots on one event loop, from start to a quick and clean end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import uvicorn
from django.conf import settings

from .core.clock import Clock, database_clock
from .core.removal import checked, remove_old
from .core.writer import AlreadyRunning, CannotReplay, Core
from .demo.robots import Robots
from .market.feed import Feed
from .telegram import ForbiddenHost, Publisher, allowed_base

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from .http.connections import Room

log = logging.getLogger(__name__)
Certificate = tuple[Path, Path]  # its file and that of its key
GRACE_SECONDS = 3
ENDING = (signal.SIGTERM, signal.SIGINT)
BIND_TRIES = 50


class CannotServe(Exception):
    """`str()` is a sentence for the operator."""


class ServerBeside(uvicorn.Server):
    """Serves the same application at one more address, and ends when it is told to."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Server(uvicorn.Server):
    """Lets waiting streams go as soon as it is told to end, so that none of them holds it up.

    Signals are taken by the event loop: uvicorn would raise them again after its own end, before the core has ended.
    """

    def __init__(self, config: uvicorn.Config, release: Callable[[], None], beside: list[ServerBeside]) -> None:
        super().__init__(config)
        self._release, self._beside = release, beside

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in ENDING:
            loop.add_signal_handler(number, self._end)
        yield

    def _end(self) -> None:
        for server in (self, *self._beside):
            server.should_exit = True
        self._release()


def listen(host: str, port: int) -> socket.socket:
    """A bound socket. Raises CannotStart with a sentence when the port is taken."""
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise CannotServe(
            f"Port {port} of {host} cannot be used: {error.strerror}. Choose another with --port."
        ) from error
    return bound


def settle_memory() -> None:
    """Keep the collector's pauses short: it looks at the young often, at what has settled almost never.

    Five thousand young objects take a third of a millisecond. A full collection over ten thousand waiting clients takes
    half a second, and hardly anything here is garbage in a circle.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 20, 1_000)


def checked_settings() -> tuple[float, dict[str, int]]:
    """The broker's hours ahead of UTC, and the days that old records are kept. Raises CannotServe."""
    offset = settings.BACKEND_BROKER_OFFSET_HOURS
    if not -14 <= offset <= 14:
        raise CannotServe(f"BACKEND_BROKER_OFFSET_HOURS is {offset:g}: it must be between -14 and 14.")
    try:
        allowed_base(settings.BACKEND_TELEGRAM_URL)
        return offset, checked(settings.BACKEND_KEEP_DAYS)
    except (ForbiddenHost, ValueError) as error:
        raise CannotServe(str(error)) from error


async def stand_by(core: Core) -> None:
    """Wait for the lock; SIGTERM and SIGINT end the process at once meanwhile: it has written nothing."""
    loop, me = asyncio.get_running_loop(), asyncio.current_task()
    assert me is not None
    for number in ENDING:
        loop.add_signal_handler(number, me.cancel)
    try:
        await core.stand_by()
    finally:
        for number in ENDING:
            loop.remove_signal_handler(number)


async def bound_soon(bind: Callable[[], socket.socket]) -> socket.socket:
    """The socket, as soon as the process that had the port has let it go. Raises CannotServe."""
    for _ in range(BIND_TRIES):
        with contextlib.suppress(CannotServe):
            return bind()
        await asyncio.sleep(0.1)
    return bind()


def _config(
    app: Starlette, room: Room, certificate: Certificate | None, *, has_lifespan: bool = True
) -> uvicorn.Config:
    """How one address is served. has_lifespan: whether the application begins and ends with it."""
    from .http.connections import protocol_in

    certificate_file, key_file = certificate or (None, None)
    return uvicorn.Config(
        app,
        http=protocol_in(room),
        ws="none",
        lifespan="auto" if has_lifespan else "off",
        server_header=False,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_keep_alive=75,
        backlog=16_384,
        ssl_certfile=certificate_file,
        ssl_keyfile=key_file,
    )


async def serve(
    database_url: str,
    feed: Feed,
    bind: Callable[[], socket.socket],
    *,
    certificate: Certificate | None = None,
    beside: tuple[Callable[[], socket.socket], Certificate] | None = None,
    stands_by: bool = False,
) -> None:
    """Recover, serve until SIGTERM or SIGINT, keep a snapshot, end. Raises CannotServe.

    bind: the socket to listen on. stands_by: while another backend works, follow it; take its place when it is gone.
    Only then is `bind` called: the port may be the other's. beside: one more address, which serves HTTPS to clients
    that build host names.
    """
    from .http import create_app
    from .http.connections import Room, raised_descriptors
    from .http.options import ServerOptions

    offset, keep = checked_settings()
    core = Core(database_url, feed, clock=Clock(witness=database_clock(database_url)), broker_offset_hours=offset)
    try:
        if stands_by:
            await stand_by(core)
        binds = [bind, beside[0]] if beside else [bind]
        bound, *more = [await bound_soon(binding) if stands_by else binding() for binding in binds]
        await core.start()
    except (AlreadyRunning, CannotReplay) as error:
        raise CannotServe(str(error)) from error
    except psycopg.OperationalError as error:
        raise CannotServe(f"The database cannot be reached: {str(error).strip().splitlines()[0]}") from error
    room = Room(raised_descriptors())
    tls_port = more[0].getsockname()[1] if more else 0
    port, is_tls = bound.getsockname()[1], certificate is not None
    app = create_app(core, ServerOptions.from_settings(port=port, is_tls=is_tls, tls_port=tls_port), room)

    def release() -> None:
        core.release()
        app.state.service.wakeups.close()

    others = [ServerBeside(_config(app, room, beside[1], has_lifespan=False))] if beside else []
    server = Server(_config(app, room, certificate), release, others)
    publisher = Publisher(core, settings.BACKEND_TELEGRAM_URL)
    robots = asyncio.create_task(Robots(core).run())
    remover = asyncio.create_task(remove_old(database_url, keep))
    log.info("The copying backend listens on port %s", port)
    settle_memory()
    try:
        serving = [other.serve(sockets=[own_socket]) for other, own_socket in zip(others, more, strict=True)]
        await asyncio.gather(server.serve(sockets=[bound]), *serving)
    finally:
        robots.cancel()
        remover.cancel()
        await publisher.close()
        await core.stop()
