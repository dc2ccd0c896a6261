"""Clients waiting on streams: memory per client and how late they learn of what happened, beside the naive way.

    python -m tests.benchmarks.bench_longpoll [--clients 10000]

A server process holds N open polls of N different subscribers over TCP; a second process is the clients. One of them is
woken at a time (a record is written and announced, as the projector does it), then all at once by one record each.
Latency is from the announcement (naive: from the commit) to the client's reading of the whole answer. A third process
sends signals before and during the moment when all are woken, to a core that takes them at once: how long do they wait
for the streams? Naive:
every client's poll asks the database each second; ten thousand of those do not fit into one process, so it is run with
a tenth of the clients, and so is ours once more.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "copyportal.settings")
import django

django.setup()

import uvicorn
import uvloop
from django.db import connection, transaction
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from copying.backend import tokens
from copying.backend.core.announcements import Changes, Listener
from copying.backend.http import create_app, reads
from copying.backend.http.options import ServerOptions, database_url
from copying.backend.http.pages import Database
from copying.backend.service import listen, settle_memory
from copying.backend.state.commands import Command

PATH = "/users/current/subscribers/{}/transactions/stream"
SIGNALS = "/users/current/strategies/S/external-signals"
SIGNAL = b'{"symbol":"EURUSD","type":"POSITION_TYPE_BUY","time":"2100-01-01T00:00:00.000Z","volume":0.2}'
INSERT = (
    "INSERT INTO copying_transactionrecord (sequence, ordinal, time, document, provider_tenant, subscriber_tenant,"
    " strategy_id, subscriber_id) VALUES (%s, %s, %s, '{\"id\": \"1:open\"}', 'local', 'local', 's', %s)"
)


def any_subscriber(book: None, tenant: str, subscriber_id: str) -> dict:
    """Instead of `reads.subscriber`: everybody is known."""
    return {"_id": subscriber_id}


class AnnouncingCore:
    """A core whose tables are written and announced by the benchmark."""

    def __init__(self) -> None:
        self.book = None
        self.announced = Changes()

    async def caught_up(self) -> None:
        return None

    async def submit(self, command: Command) -> None:
        """Takes every signal: what is timed is how long it waits for the streams."""

    def changes(self, topic: tuple) -> Listener:
        return self.announced.subscribe(topic)


def naive_app() -> Starlette:
    """One loop of queries per client."""
    database = Database(database_url())

    async def stream(request: Request) -> Response:
        began = datetime.now(UTC)
        while True:
            rows = await database.rows(
                "SELECT document FROM copying_transactionrecord WHERE subscriber_id = %(id)s AND time >= %(start)s"
                " ORDER BY time, id LIMIT 1000",
                {"id": request.path_params["id"], "start": began},
            )
            if rows:
                return Response(b"[" + b",".join(row[0] for row in rows) + b"]")
            await asyncio.sleep(1)

    return Starlette(routes=[Route(PATH.format("{id}"), stream)])


def write(keys: list[str], sequence: int) -> float:
    """A record for each; the monotonic time at which they are about to become visible, all at once."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.executemany(INSERT, [(sequence, n, datetime.now(UTC), key) for n, key in enumerate(keys)])
        visible_at = time.monotonic()
    connection.close()  # of the thread that this runs in
    return visible_at


# ------------------------------------------------------------------------------------------------------ the clients


class OneClient(asyncio.Protocol):
    """Asks once and notes when the whole answer is there, and little else: it must not be what is late."""

    def __init__(self, request: bytes, arrived: Callable[[], None]) -> None:
        self.request, self.arrived = request, arrived
        self.answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.answer += data
        if self.answer.endswith(b"]"):
            self.arrived()


async def be_clients(port: int, count: int, token: str) -> None:
    gc.disable()
    arrivals: dict[str, float] = {}
    ended, loop = asyncio.Event(), asyncio.get_running_loop()

    def arrived(key: str) -> None:
        arrivals[key] = time.monotonic()
        if len(arrivals) == count:
            ended.set()

    for number in range(count):
        key = f"a{number}"
        head = f"GET {PATH.format(key)} HTTP/1.1\r\nhost: backend\r\nauth-token: {token}\r\nconnection: close\r\n\r\n"
        await loop.create_connection(partial(OneClient, head.encode(), partial(arrived, key)), "127.0.0.1", port)
    await ended.wait()
    print(json.dumps(arrivals))


async def be_provider(port: int, token: str, seconds: float) -> None:
    """Send a signal every few milliseconds; print when each was sent and answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    times, end, number = [], time.monotonic() + seconds, 0
    while time.monotonic() < end:
        number += 1
        head = f"PUT {SIGNALS}/s{number} HTTP/1.1\r\nhost: backend\r\nauth-token: {token}\r\n"
        began = time.monotonic()
        writer.write(head.encode() + b"content-length: %d\r\n\r\n" % len(SIGNAL) + SIGNAL)
        answer = await reader.readuntil(b"\r\n\r\n")
        assert b" 204 " in answer, answer
        times.append((began, time.monotonic()))
        await asyncio.sleep(0.005)
    print(json.dumps(times))


# ------------------------------------------------------------------------------------------------------- the server


def resident_kb() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() // 1024


Late = dict[str, tuple[float, float]]  # median and 99th percentile, ms


async def measure(count: int, is_naive: bool) -> tuple[float, Late]:
    """Kilobytes per waiting client, and how late the clients were."""
    core, reads.subscriber = AnnouncingCore(), any_subscriber
    options = ServerOptions("http://127.0.0.1", database_url(), requests_per_minute=10**9, hold_s=600)
    app = naive_app() if is_naive else create_app(core, options)
    bound = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", backlog=16_384, access_log=False))
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    while not server.started:
        await asyncio.sleep(0.05)
    before = resident_kb()
    port = str(bound.getsockname()[1])
    arguments = [sys.executable, "-m", "tests.benchmarks.bench_longpoll", "--connect", port, "--clients", str(count)]
    clients = await asyncio.create_subprocess_exec(*arguments, stdout=subprocess.PIPE, limit=2**26)
    while len(server.server_state.tasks) < count:
        await asyncio.sleep(0.1)
        if clients.returncode is not None:
            sys.exit("the clients died")
    await asyncio.sleep(2)
    memory_kb = (resident_kb() - before) / count
    gc.collect()
    keys = [f"a{n}" for n in range(count)]
    random.Random(1).shuffle(keys)
    singles, announced_at = keys[: min(200, count // 2)], {}
    for sequence, key in enumerate(singles):
        visible_at = await asyncio.to_thread(write, [key], sequence)
        announced_at[key] = visible_at if is_naive else time.monotonic()
        core.announced.announce(("transactions", "local"))
        await asyncio.sleep(0.02)
    await asyncio.sleep(1)
    rest = keys[len(singles) :]
    visible_at = await asyncio.to_thread(write, rest, 10**6)
    arguments = [sys.executable, "-m", "tests.benchmarks.bench_longpoll", "--signals", port]
    provider = None if is_naive else await asyncio.create_subprocess_exec(*arguments, stdout=subprocess.PIPE)
    if not is_naive:  # which sees the records as soon as they are there
        await asyncio.sleep(3)
    announced_at |= dict.fromkeys(rest, visible_at if is_naive else time.monotonic())
    core.announced.announce(("transactions", "local"))
    arrivals = json.loads(await clients.stdout.readline())
    await clients.wait()
    late: Late = {}
    for name, group in (("one woken", singles), ("all woken at once", rest)):
        times = sorted((arrivals[key] - announced_at[key]) * 1000 for key in group)
        late[name] = statistics.median(times), times[int(len(times) * 0.99)]
    if provider is not None:
        begun, ended = announced_at[rest[0]], max(arrivals[key] for key in rest)
        sent = json.loads(await provider.stdout.readline())
        for name, is_during in (("signal before", False), ("signal meanwhile", True)):
            some = sorted((till - at) * 1000 for at, till in sent if (till > begun and at < ended) == is_during)
            late[name] = statistics.median(some), some[int(len(some) * 0.99)]
    server.should_exit = True
    await serving
    return memory_kb, late


def apart(count: int, is_naive: bool) -> tuple[float, Late]:
    """`measure` in a process of its own, so that memory is not that of the run before."""
    connection.close()
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as processes:
        return processes.submit(run, count, is_naive).result()


def run(count: int, is_naive: bool) -> tuple[float, Late]:
    settle_memory()
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE copying_transactionrecord")
    connection.close()
    return uvloop.run(measure(count, is_naive))


def report(count: int, few: int) -> None:
    """Ours with all clients; ours and naive with few, and their ratios."""
    memory_kb, late = apart(count, is_naive=False)
    print(f"{count:,} clients, {memory_kb:.1f} kB each (connection, request and wait)")
    for name, (median, p99) in late.items():
        print(f"{name:>18}: p50 {median:8.2f} ms   p99 {p99:8.2f} ms")
    ours, naive = apart(few, is_naive=False), apart(few, is_naive=True)
    print(f"{few:,} clients, {ours[0]:.1f} kB each, naive {naive[0]:.1f} kB")
    for name, (median, p99) in ours[1].items():
        if name not in naive[1]:
            continue
        naive_median, naive_p99 = naive[1][name]
        print(
            f"{name:>18}: p50 {median:8.2f} ms (naive {naive_median:8.1f}, {naive_median / median:6.1f}x)"
            f"   p99 {p99:8.2f} ms (naive {naive_p99:8.1f}, {naive_p99 / p99:6.1f}x)"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--connect", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--signals", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.signals:
        uvloop.run(be_provider(arguments.signals, tokens.issue("local"), 6))
        return
    if arguments.connect:
        uvloop.run(be_clients(arguments.connect, arguments.clients, tokens.issue("local")))
        return
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        report(arguments.clients, max(arguments.clients // 10, 10))
    finally:
        connection.creation.destroy_test_db(os.environ.get("PGDATABASE", ""), verbosity=0)


if __name__ == "__main__":
    main()
