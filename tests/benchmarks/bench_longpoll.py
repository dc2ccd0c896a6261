"""Clients waiting on streams: memory per client and how late they learn of what happened, beside the naive way.

    python -m tests.benchmarks.bench_longpoll [--clients 10000]

A server process holds N open polls of N different subscribers over TCP; a second process is the clients. One of them is
woken at a time (a record is written and announced, as the projector does it), then all at once by one record each.
Latency is from the announcement to the client's reading of the whole answer. Naive: every client's poll asks the
database each second; ten thousand of those do not fit into one process, so it is run with a
tenth of the clients, and so is ours once more.
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
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "copyportal.settings")
import django

django.setup()

import uvicorn
import uvloop
from django.db import connection
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from copying.backend import tokens
from copying.backend.changes import Changes, Subscription
from copying.backend.http import create_app
from copying.backend.http.options import Options, database_url
from copying.backend.http.pages import Database
from copying.backend.service import listen, settle_memory

PATH = "/users/current/subscribers/{}/transactions/stream"
INSERT = (
    "INSERT INTO copying_transactionrecord (sequence, ordinal, time, document, provider_tenant, subscriber_tenant,"
    " strategy_id, subscriber_id) VALUES (%s, %s, %s, '{\"id\": \"1:open\"}', 'local', 'local', 's', %s)"
)


class KnownBook:
    """Knows every subscriber it is asked for."""

    def subscriber(self, tenant: str, subscriber_id: str) -> dict:
        return {"_id": subscriber_id}


class AnnouncingCore:
    """A core whose tables are written and announced by the benchmark."""

    def __init__(self) -> None:
        self.book = KnownBook()
        self.announced = Changes()

    async def caught_up(self) -> None:
        return None

    def changes(self, topic: tuple) -> Subscription:
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


def write(keys: list[str], sequence: int) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(INSERT, [(sequence, n, datetime.now(UTC), key) for n, key in enumerate(keys)])
    connection.close()  # of the thread that this runs in


# ------------------------------------------------------------------------------------------------------ the clients


async def one_client(port: int, key: str, token: str, arrivals: dict[str, float], gate: asyncio.Semaphore) -> None:
    async with gate:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"GET {PATH.format(key)} HTTP/1.1\r\nhost: backend\r\nauth-token: {token}\r\nconnection: close\r\n\r\n"
        writer.write(head.encode())
        await writer.drain()
    body = await reader.read()
    if b"1:open" in body:
        arrivals[key] = time.monotonic()
    writer.close()


async def be_clients(port: int, count: int, token: str) -> None:
    gc.disable()  # the clients must not be what is late
    arrivals: dict[str, float] = {}
    gate = asyncio.Semaphore(100)
    await asyncio.gather(*(one_client(port, f"a{n}", token, arrivals, gate) for n in range(count)))
    print(json.dumps(arrivals))


# ------------------------------------------------------------------------------------------------------- the server


def resident_kb() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() // 1024


Late = dict[str, tuple[float, float]]  # median and 99th percentile, ms


async def measure(count: int, is_naive: bool) -> tuple[float, Late]:
    """Kilobytes per waiting client, and how late the clients were."""
    core = AnnouncingCore()
    options = Options("http://127.0.0.1", database_url(), requests_per_minute=10**9, hold_s=600)
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
        await asyncio.to_thread(write, [key], sequence)
        announced_at[key] = time.monotonic()
        core.announced.announce(("transactions", "local"))
        await asyncio.sleep(0.02)
    await asyncio.sleep(1)
    rest = keys[len(singles) :]
    await asyncio.to_thread(write, rest, 10**6)
    announced_at |= dict.fromkeys(rest, time.monotonic())
    core.announced.announce(("transactions", "local"))
    arrivals = json.loads(await clients.stdout.readline())
    await clients.wait()
    late: Late = {}
    for name, group in (("one woken", singles), ("all woken at once", rest)):
        times = sorted((arrivals[key] - announced_at[key]) * 1000 for key in group)
        late[name] = statistics.median(times), times[int(len(times) * 0.99)]
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
        naive_median, naive_p99 = naive[1][name]
        print(
            f"{name:>18}: p50 {median:8.2f} ms (naive {naive_median:8.1f}, {naive_median / median:6.1f}x)"
            f"   p99 {p99:8.2f} ms (naive {naive_p99:8.1f}, {naive_p99 / p99:6.1f}x)"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--connect", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.connect:
        asyncio.run(be_clients(arguments.connect, arguments.clients, tokens.issue("local")))
        return
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        report(arguments.clients, max(arguments.clients // 10, 10))
    finally:
        connection.creation.destroy_test_db(os.environ.get("PGDATABASE", ""), verbosity=0)


if __name__ == "__main__":
    main()
