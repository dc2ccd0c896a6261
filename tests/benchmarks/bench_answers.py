"""Answering clients that wait, all at one moment: by hand (`streams.begun`) and with a task for each.

python -m tests.benchmarks.bench_answers [--clients 10000]
"""

from __future__ import annotations

import argparse
import asyncio
import os
from time import perf_counter

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "copyportal.settings")
import django

django.setup()

import uvloop

from copying.backend.http.streams import NOTHING, Held

ROUNDS = 7


async def sent(message: object) -> None:
    """A socket that takes everything at once."""


async def measure(clients: int) -> None:
    by_hand, by_task = [], []
    for _ in range(ROUNDS):
        polls = [Held(sent, None, None) for _ in range(clients)]
        begun = perf_counter()
        for poll in polls:
            poll.answer(NOTHING)
        by_hand.append(perf_counter() - begun)
        begun = perf_counter()
        await asyncio.gather(*[asyncio.ensure_future(poll._answer(NOTHING)) for poll in polls])
        by_task.append(perf_counter() - begun)
    print(f"{clients} answers, best of {ROUNDS}: {min(by_hand) * 1e3:.0f} ms, with tasks {min(by_task) * 1e3:.0f} ms")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=int, default=10_000)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(measure(parser.parse_args().clients))
