"""From the SIGKILL of the backend to the next executed signal: with a stand-by, and by starting it again (naive).

    DATABASE_URL=... python -m tests.benchmarks.bench_takeover [--subscribers 10000] [--kills 5]

Real processes on one port. A client sends the same external signal until it is answered, over and over while nobody
listens; executed means that PUT was answered 204, which happens after its journal entry is committed. The naive way
starts a new process at the moment of the kill, without the pause that a service manager adds. Least: the answer of a
backend that nobody killed. The scratch database's tables are emptied.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from time import perf_counter, sleep

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "copyportal.settings")
import django

django.setup()

from django.core.management import call_command

from copying.backend.http.options import database_url
from tests.benchmarks.signal_server import empty
from tests.faults.test_http_kills import CONFIGURATION, ROOT, Backend

BODY = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "time": "2100-01-01T00:00:00.000Z", "volume": 0.1}
TURN_SECONDS = 3.0  # for a stand-by to have followed what was done last


def process(backend: Backend, *words: str) -> subprocess.Popen:
    """A backend on that port; with --stand-by it is waited for until it follows."""
    log = tempfile.NamedTemporaryFile(prefix="takeover-", suffix=".log")  # noqa: SIM115  # the process writes to it
    command = [sys.executable, "manage.py", "runbackend", *words, "--port", str(backend.port)]
    environment = {**backend.environment, "LOG_LEVEL": "INFO"}
    started = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
    while words and b"Stands by" not in open(log.name, "rb").read():  # noqa: SIM115
        sleep(0.05)
    return started


def signal_until_answered(backend: Backend, name: str) -> float:
    """Seconds until a signal is executed."""
    begun = perf_counter()
    while backend.send("PUT", f"{backend.signals}/{name}", BODY) != 204:
        sleep(0.005)
        if backend.process.poll() is not None:  # it found the lock still taken: a service manager starts it again
            backend.process = process(backend)
    return perf_counter() - begun


def measured(backend: Backend, kills: int, *, stands_by: bool) -> list[float]:
    """Seconds from each kill to the next executed signal."""
    times = []
    for number in range(kills):
        successor = process(backend, "--stand-by") if stands_by else None
        sleep(TURN_SECONDS)
        signal_until_answered(backend, f"{'b' if stands_by else 'a'}{number:06d}0")
        backend.process.send_signal(signal.SIGKILL)
        backend.process.wait()
        begun = perf_counter()
        backend.process = successor or process(backend)
        signal_until_answered(backend, f"{'b' if stands_by else 'a'}{number:06d}1")
        times.append(perf_counter() - begun)
    return times


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--subscribers", type=int, default=10_000)
    options.add_argument("--kills", type=int, default=5)
    chosen = options.parse_args()
    call_command("migrate", verbosity=0)
    empty()
    backend = Backend(database_url())
    backend.environment["DATABASE_URL"] = os.environ["DATABASE_URL"]
    backend.environment["BACKEND_REQUESTS_PER_MINUTE"] = "1000000000"
    backend.start()
    backend.provide()
    scaling = {"mode": "fixedVolume", "tradeVolume": 0.01}
    document = {"name": "a", "subscriptions": [{"strategyId": backend.strategy, "tradeSizeScaling": scaling}]}
    for number in range(chosen.subscribers):
        assert backend.send("PUT", f"{CONFIGURATION}/subscribers/a{number}", document) == 204
    least = statistics.median(signal_until_answered(backend, f"least{number:03d}") for number in range(5))
    again = measured(backend, chosen.kills, stands_by=False)
    taken = measured(backend, chosen.kills, stands_by=True)
    backend.end(signal.SIGTERM)
    print(f"{chosen.subscribers} subscribers, {chosen.kills} kills each, load {os.getloadavg()[0]:.1f}")
    for label, times in (("started again", again), ("stand-by", taken)):
        print(f"{label:14} median {statistics.median(times):6.2f} s, worst {max(times):6.2f} s")
    print(f"nobody killed  median {least:6.3f} s")
    print(f"ratio {statistics.median(again) / statistics.median(taken):.1f}")


if __name__ == "__main__":
    main()
