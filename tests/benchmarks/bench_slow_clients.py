"""Pages beside clients that never finish their requests or read their downloads: what others notice of them.

    python tests/benchmarks/bench_slow_clients.py --slow 200
    python tests/benchmarks/bench_slow_clients.py --slow 0 --application copyportal.wsgi:application

p50, p95 and p99 of a list page, one client and eight at a time, granian with one worker on one core; then the same
with so many unfinished sign-ins and as many unread downloads of one person held open.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import threading
import time
from http.client import HTTPConnection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ["SECRET_KEY"] = os.environ.get("SECRET_KEY") or "a-key-only-for-measuring-0123456789-0123456789-abcdefgh"

from tests.benchmarks.many_rows import prepare
from tests.benchmarks.serving import Web, session_cookie

PATH = "/transactions/"
BODY = "POST /accounts/login/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000\r\n\r\nlogin="
FILE = "GET /transactions/?format=csv HTTP/1.1\r\nHost: localhost\r\nCookie: {}\r\n\r\n"


def page_times(port: int, cookie: str, requests: int) -> list[float]:
    """Milliseconds of each request of one client that keeps its connection."""
    client, times = HTTPConnection("127.0.0.1", port, timeout=60), []
    for _ in range(requests):
        start = time.perf_counter()
        client.request("GET", PATH, headers={"Cookie": cookie})
        answer = client.getresponse()
        answer.read()
        times.append((time.perf_counter() - start) * 1000)
        if answer.status != 200:
            raise SystemExit(f"{PATH} answered {answer.status}")
    client.close()
    return times


def measure(label: str, port: int, cookie: str, requests: int, clients: int) -> None:
    """Print the quantiles and the pages a second of so many clients at a time."""
    page_times(port, cookie, 10)
    times: list[float] = []
    threads = [
        threading.Thread(target=lambda: times.extend(page_times(port, cookie, requests // clients)))
        for _ in range(clients)
    ]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = len(times) / (time.perf_counter() - start)
    times.sort()
    p50, p95, p99 = (times[int(len(times) * part)] for part in (0.5, 0.95, 0.99))
    print(f"{label:24} {clients} at a time  p50 {p50:6.1f}  p95 {p95:6.1f}  p99 {p99:6.1f} ms  {rate:5.0f} pages/s")


def hold(port: int, lines: str) -> socket.socket:
    """A connection that has sent something and reads nothing."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect(("127.0.0.1", port))
    made.sendall(lines.encode())
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slow", type=int, default=200)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--application", default="copyportal.asgi:application")
    given = parser.parse_args()
    prepare(1_000, 100_000)
    cookie = session_cookie()
    with Web(given.application) as web:
        for clients in (1, 8):
            measure("alone", web.port, cookie, given.requests, clients)
        if given.slow:
            held = [hold(web.port, line) for _ in range(given.slow) for line in (BODY, FILE.format(cookie))]
            for clients in (1, 8):
                measure(f"beside {given.slow} + {given.slow}", web.port, cookie, given.requests, clients)
            for connection in held:
                connection.close()
        print(f"peak memory {web.memory_mb():.0f} MB")


if __name__ == "__main__":
    main()
