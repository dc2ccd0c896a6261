"""Clients waiting on streams: memory per client and how late they learn of what happened.

    python -m tests.benchmarks.bench_longpoll [--clients 10000] [--naive]

A server process holds N open polls of N different subscribers over a unix socket. One of them is woken at a time (a
record is written and announced, as the projector does it), then all at once by one record each. Latency is from the
announcement to the client's reading of the whole answer. `--naive` polls the database for every client twice a second
instead; with 10,000 clients it does not keep up, so it is run with a tenth of them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime

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
            await asyncio.sleep(0.5)

    return Starlette(routes=[Route(PATH.format("{id}"), stream)])


def write(keys: list[str], sequence: int) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(INSERT, [(sequence, n, datetime.now(UTC), key) for n, key in enumerate(keys)])
    connection.close()  # of the thread that this runs in


# ------------------------------------------------------------------------------------------------------ the clients


async def one_client(socket: str, key: str, token: str, arrivals: dict[str, float], gate: asyncio.Semaphore) -> None:
    async with gate:
        reader, writer = await asyncio.open_unix_connection(socket)
        head = f"GET {PATH.format(key)} HTTP/1.1\r\nhost: backend\r\nauth-token: {token}\r\nconnection: close\r\n\r\n"
        writer.write(head.encode())
        await writer.drain()
    body = await reader.read()
    if b"1:open" in body:
        arrivals[key] = time.monotonic()
    writer.close()


async def be_clients(socket: str, count: int, token: str) -> None:
    arrivals: dict[str, float] = {}
    gate = asyncio.Semaphore(100)
    await asyncio.gather(*(one_client(socket, f"a{n}", token, arrivals, gate) for n in range(count)))
    print(json.dumps(arrivals))


# ------------------------------------------------------------------------------------------------------- the server


def resident_kb() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() // 1024


async def measure(count: int, is_naive: bool) -> None:
    core = AnnouncingCore()
    options = Options("http://127.0.0.1", database_url(), requests_per_minute=10**9, hold_s=600)
    app = naive_app() if is_naive else create_app(core, options)
    socket = tempfile.mktemp(suffix=".sock")
    server = uvicorn.Server(uvicorn.Config(app, uds=socket, log_level="warning", backlog=4096, access_log=False))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.05)
    before = resident_kb()
    arguments = [sys.executable, "-m", "tests.benchmarks.bench_longpoll", "--connect", socket, "--clients", str(count)]
    clients = await asyncio.create_subprocess_exec(*arguments, stdout=subprocess.PIPE, limit=2**26)
    while len(server.server_state.tasks) < count:
        await asyncio.sleep(0.1)
    await asyncio.sleep(2)
    print(f"{count:,} clients wait: {(resident_kb() - before) / count:.1f} kB each (connection, request and wait)")
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
    for name, group in (("one woken", singles), (f"all {len(rest):,} woken at once", rest)):
        late = sorted((arrivals[key] - announced_at[key]) * 1000 for key in group)
        print(
            f"{name:>28}: p50 {statistics.median(late):8.2f} ms   p99 {late[int(len(late) * 0.99)]:8.2f} ms"
            f"   max {late[-1]:8.2f} ms"
        )
    server.should_exit = True
    await serving


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--naive", action="store_true")
    parser.add_argument("--connect", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.connect:
        asyncio.run(be_clients(arguments.connect, arguments.clients, tokens.issue("local")))
        return
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        uvloop.run(measure(arguments.clients // 10 if arguments.naive else arguments.clients, arguments.naive))
    finally:
        connection.creation.destroy_test_db(os.environ.get("PGDATABASE", ""), verbosity=0)


if __name__ == "__main__":
    main()
