"""What one external signal to 1,000 routes costs the backend's processor, by part, however busy the machine is.

    DATABASE_URL=... python -m tests.benchmarks.bench_signal_parts [--routes 1000]

Seconds of the thread, the least of many: what others do on the machine, waiting for the disk and cold memory are left
out, so that two versions can be compared where clocks on the wall cannot. `bench_signal` has the times that people
see. Its tables are emptied: use a scratch database.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "copyportal.settings")
import django

django.setup()

from django.core.management import call_command

from copying.backend import tokens
from copying.backend.core import apply as application
from copying.backend.core.writer import Core
from copying.backend.http import create_app
from copying.backend.http.options import ServerOptions, database_url
from copying.backend.state.commands import CommandEntry, PutSignal
from tests.benchmarks.bench_signal import BODY, PATH
from tests.benchmarks.signal_server import empty, subscribers
from tests.faults.signal_writer import Drifting

ROUNDS, CALLS = 50, 10
SIGNALS = 25  # more of them would stay open than the accounts have margin for


def least(call: Callable[[], object]) -> float:
    """Microseconds of one call, in the best of many rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        begun = time.thread_time()
        for _ in range(CALLS):
            call()
        best = min(best, (time.thread_time() - begun) / CALLS)
    return best * 1e6


class Requests:
    """PUTs of signals without a server. commands: what came out of them while `submits` is False."""

    def __init__(self, core: Core) -> None:
        self.app = create_app(core, ServerOptions("http://backend", database_url(), requests_per_minute=10**9))
        self.token = tokens.issue("t").encode()
        self.submit = core.submit
        self.commands: list[PutSignal] = []
        self.submits = False
        core.submit = self.take  # type: ignore[method-assign]

    async def take(self, command: Any, once: Any = None) -> Any:
        if self.submits:
            return await self.submit(command, once)
        self.commands.append(command)
        return None

    async def put(self, number: int) -> None:
        path = f"{PATH}/parts{number:05d}"
        headers = [(b"host", b"b"), (b"content-type", b"application/json"), (b"auth-token", self.token)]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "PUT",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "headers": [*headers, (b"content-length", b"%d" % len(BODY))],
            "client": None,
            "server": ("b", 80),
            "state": {},
        }
        await self.app(scope, receive, send)


async def receive() -> dict[str, Any]:
    return {"type": "http.request", "body": BODY, "more_body": False}


async def send(message: Any) -> None:
    assert message.get("status", 204) == 204, message


def drive(work: Any) -> None:
    """A coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits")


async def main(routes: int) -> None:
    empty()
    core = Core(database_url(), Drifting())
    await core.start(ticking=False)
    await subscribers(core, routes)
    core.look_at_market()  # once: without prices nothing is copied
    assert core.book.quote("EURUSD") is not None
    requests = Requests(core)
    drive(requests.put(0))
    (command,) = requests.commands
    parts = {"reading and checking the request": least(lambda: drive(requests.put(0)))}
    parts["check against the book"] = least(lambda: application.check(core.book, command))
    parts["deciding and making orders, ahead"] = least(lambda: application.look_ahead(core.book, command))
    parts["publishing and booking all copies"] = await booking(core, requests)
    for name, micros in parts.items():
        print(f"  {name:36} {micros:8.0f} us")
    print(f"  {'sum':36} {sum(parts.values()):8.0f} us   {routes} routes")
    await core.stop()


async def booking(core: Core, requests: Requests) -> float:
    """The least of carrying out signals that were decided ahead, in microseconds."""
    times, carry_out = [], core._apply

    def timed(entry: CommandEntry, *rest: Any) -> None:
        begun = time.thread_time()
        carry_out(entry, *rest)
        if isinstance(entry.command, PutSignal):
            times.append(time.thread_time() - begun)

    core._apply = timed  # type: ignore[method-assign]
    requests.submits = True
    for number in range(SIGNALS):
        await requests.put(number)
        await core.caught_up()
    return min(times) * 1e6


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--routes", type=int, default=1000)
    call_command("migrate", verbosity=0)
    asyncio.run(main(options.parse_args().routes))
