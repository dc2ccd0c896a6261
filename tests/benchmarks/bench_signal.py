"""An external signal to 1,000 and 10,000 subscribers over HTTP: until the first order, and until all is executed.

    DATABASE_URL=... python -m tests.benchmarks.bench_signal [--routes 1000 2000 10000] [--signals 100]

A client process sends PUTs to the backend process over a unix socket and closes every signal again. `answered` is from
the first byte sent to the last byte of the answer: by then the signal is durable, decided for every route and executed
on paper. `first order` ends when the broker is handed the first orders, with the signal durable. Open loop: arrivals
at random times that do not wait for answers; latency counts from the time a signal was due. Naive: one loop over the
subscribers in Python that sizes each copy by itself and commits one INSERT per copy, in the same run on the same
database. Its tables are emptied: use a scratch database, with fsync as in production.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import monotonic, sleep

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "copyportal.settings")
import django

django.setup()

import psycopg
from django.core.management import call_command

from copying.backend import tokens
from copying.backend.http.options import database_url

PATH = "/users/current/strategies/S/external-signals"
BODY = b'{"symbol":"EURUSD","type":"POSITION_TYPE_BUY","time":"2100-01-01T00:00:00.000Z","volume":0.2}'
REST_SECONDS = 0.05
SHARES = (0.5, 0.9, 0.99, 0.999)
STAGES = (
    ("reading and checking the request", "sent", "begun"),
    ("journal commit", "begun", "committed"),
    ("taking or making the decisions", "committed", "decided"),
    ("handing over the orders", "decided", "ordered"),
    ("filling and booking all copies", "ordered", "applied"),
    ("answer", "applied", "answered"),
)


class Client:
    """One kept-open connection that speaks just enough HTTP."""

    async def connect(self, socket: str) -> Client:
        self.reader, self.writer = await asyncio.open_unix_connection(socket)
        self.token = tokens.issue("t").encode()
        return self

    async def ask(self, method: str, path: str, body: bytes) -> int:
        head = f"{method} {path} HTTP/1.1\r\nhost: b\r\ncontent-type: application/json\r\n"
        rest = b"auth-token: %b\r\ncontent-length: %d\r\n\r\n%b" % (self.token, len(body), body)
        self.writer.write(head.encode() + rest)
        answer = await self.reader.readuntil(b"\r\n\r\n")
        if b"content-length" in answer:
            await self.reader.readexactly(int(answer.split(b"content-length: ")[1].split(b"\r\n")[0]))
        return int(answer.split(b" ", 2)[1])

    async def put(self, signal_id: str) -> None:
        status = await self.ask("PUT", f"{PATH}/{signal_id}", BODY)
        assert status == 204, status

    async def close(self, signal_id: str) -> None:
        status = await self.ask("POST", f"{PATH}/{signal_id}/remove", b'{"time":"2026-03-02T12:01:00.000Z"}')
        assert status == 204, status


class Backend:
    """The server process."""

    def __init__(self, folder: str, routes: int) -> None:
        self.socket, self.stamps = f"{folder}/s{routes}", Path(folder) / f"stamps{routes}"
        Path(self.socket).unlink(missing_ok=True)
        words = [sys.executable, "-m", "tests.benchmarks.signal_server", self.socket, str(routes), str(self.stamps)]
        self.process = subprocess.Popen(words)
        while not Path(self.socket).exists():
            assert self.process.poll() is None
            sleep(0.1)
        sleep(1)

    def stop(self) -> dict[str, dict[str, float]]:
        """The stamps of every signal."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        return json.loads(self.stamps.read_text())


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


async def one_by_one(socket: str, signals: int) -> tuple[dict[str, dict[str, float]], list[float]]:
    """Signals with a rest in between; when each was sent and answered. And the least that any of them could take: ms of
    a request that does nothing and of one committed INSERT, each after the same rest.
    """
    client, times, least = await Client().connect(socket), {}, []
    with psycopg.connect(database_url(), autocommit=True) as database:
        database.execute("CREATE TABLE IF NOT EXISTS bare_entry (id bigserial PRIMARY KEY, payload text)")
        for number in range(signals):
            await asyncio.sleep(REST_SECONDS)
            begun = monotonic()
            await settled(client)
            asked = monotonic() - begun
            await asyncio.sleep(REST_SECONDS)
            begun = monotonic()
            database.execute("INSERT INTO bare_entry (payload) VALUES (%s)", [BODY.decode()], prepare=True)
            least.append((asked + monotonic() - begun) * 1e3)
            await asyncio.sleep(REST_SECONDS)
            times |= await one_signal(client, number)
        database.execute("DROP TABLE bare_entry")
    return times, least


async def one_signal(client: Client, number: int) -> dict[str, dict[str, float]]:
    """Open and close one; return when all its records are written, so that the next meets a quiet backend."""
    signal_id = f"one{number:05d}"
    sent = monotonic()
    await client.put(signal_id)
    answered = monotonic()
    await client.close(signal_id)
    while (await settled(client)) is False:
        await asyncio.sleep(0.05)
    return {signal_id: {"sent": sent, "answered": answered}}


async def settled(client: Client) -> bool:
    """Whether the records are written too."""
    client.writer.write(b"GET /healthz HTTP/1.1\r\nhost: b\r\n\r\n")
    answer = await client.reader.readuntil(b"\r\n\r\n")
    length = int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    health = json.loads(await client.reader.readexactly(length))
    return health["sequence"] == health["projected"]


async def open_loop(socket: str, rate: float, seconds: float) -> list[float]:
    """Latencies in ms of signals that are due at random times, each on a connection of its own, closed a second on."""
    draw = random.Random(1)
    free: list[Client] = []
    latencies: list[float] = []
    start = monotonic() + 0.5

    async def one(number: int, due: float) -> None:
        await asyncio.sleep(max(0.0, due - monotonic()))
        client = free.pop() if free else await Client().connect(socket)
        await client.put(f"open{number:05d}")
        latencies.append((monotonic() - due) * 1e3)
        await asyncio.sleep(1)
        await client.close(f"open{number:05d}")
        free.append(client)

    free += [await Client().connect(socket) for _ in range(int(rate * 2))]
    moments, now = [], 0.0
    while (now := now + draw.expovariate(rate)) < seconds:
        moments.append(start + now)
    await asyncio.gather(*(one(number, due) for number, due in enumerate(moments)))
    return latencies


def naive(routes: int) -> float:
    """Milliseconds for a loop over subscribers with a committed INSERT per copy."""
    accounts = [{"id": f"a{number}", "balance": 10_000.0, "multiplier": 1.0, "least": 0.01} for number in range(routes)]
    with psycopg.connect(database_url(), autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS naive_copy")
        connection.execute("CREATE TABLE naive_copy (id bigserial PRIMARY KEY, account text, symbol text, lots float)")
        begun = monotonic()
        for account in accounts:
            lots = round(0.2 * account["balance"] / 100_000 * account["multiplier"], 2)
            if lots >= account["least"]:
                copy = (account["id"], "EURUSD", lots)
                connection.execute("INSERT INTO naive_copy (account, symbol, lots) VALUES (%s, %s, %s)", copy)
        taken = (monotonic() - begun) * 1e3
        connection.execute("DROP TABLE naive_copy")
    return taken


def measure(folder: str, routes: int, signals: int) -> float:
    """Print one size; the median of `answered`."""
    backend = Backend(folder, routes)
    try:
        times, least = asyncio.run(one_by_one(backend.socket, signals))
    finally:
        stamps = backend.stop()
    merged = [{**stamps[key], **value} for key, value in times.items()][2:]  # the first two compile the routes
    answered = [(each["answered"] - each["sent"]) * 1e3 for each in merged]
    first = [(each["ordered"] - each["sent"]) * 1e3 for each in merged]
    loop = naive(routes)
    print(f"\n{routes} routes, {len(merged)} signals")
    for name, values in (
        ("all copies executed, durable, answered", answered),
        ("first order out, durable", first),
        ("least: a bare request and one INSERT", least),
    ):
        shares = "  ".join(f"p{share * 100:g} {percentile(values, share):8.2f}" for share in SHARES)
        print(f"  {name:40} {shares} ms")
    for name, begin, end in STAGES:
        print(f"    {name:38} p50 {statistics.median((each[end] - each[begin]) * 1e3 for each in merged):8.2f} ms")
    median = statistics.median(answered)
    print(f"  first order: {statistics.median(first) / statistics.median(least):.1f} times the least")
    print(f"  naive loop, one INSERT per copy          {loop:12.1f} ms   ratio {loop / median:.0f}")
    print(f"  of it one committed INSERT (the disk's floor) {loop / routes:7.2f} ms")
    return median


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--routes", type=int, nargs="+", default=[1000, 2000, 10_000, 20_000])
    options.add_argument("--signals", type=int, default=60)
    options.add_argument("--open", type=int, nargs="*", default=[100], help="open loop: to so many routes")
    options.add_argument("--rate", type=float, default=20.0, help="open loop: signals per second")
    options.add_argument("--seconds", type=float, default=60.0, help="open loop: how long")
    chosen = options.parse_args()
    call_command("migrate", verbosity=0)
    with psycopg.connect(database_url()) as connection:
        names = ("fsync", "synchronous_commit")
        print("  ".join(f"{name} {connection.execute(f'SHOW {name}').fetchone()[0]}" for name in names))
    with tempfile.TemporaryDirectory() as folder:
        medians = {routes: measure(folder, routes, chosen.signals) for routes in chosen.routes}
        for routes, median in medians.items():
            if routes * 2 in medians:
                print(f"\nfrom {routes} to {routes * 2} routes: {medians[routes * 2] / median:.2f} times the time")
        for routes in chosen.open:
            backend = Backend(folder, routes)
            try:
                latencies = asyncio.run(open_loop(backend.socket, chosen.rate, chosen.seconds))
            finally:
                backend.stop()
            shares = "  ".join(f"p{share * 100:g} {percentile(latencies, share):.2f}" for share in SHARES)
            print(f"\nopen loop, {routes} routes, {chosen.rate:g} signals/s, {len(latencies)} signals: {shares} ms")


if __name__ == "__main__":
    main()
