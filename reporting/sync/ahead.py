"""Runs a generator in a thread a few steps ahead of its consumer, so that fetching and storing overlap."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
_END = object()


@contextmanager
def ahead(source: Iterator[T], *, steps: int = 2) -> Iterator[Iterator[T]]:
    """The items of `source`, produced at most `steps` ahead; its exception is raised at the consumer.

    Leaving the block stops the thread and waits until it has ended its step. `source` must not use the database.
    """
    ready: queue.Queue = queue.Queue(maxsize=steps)
    stopped = threading.Event()

    def put(item) -> None:
        while not stopped.is_set():
            try:
                return ready.put(item, timeout=0.2)
            except queue.Full:
                continue

    def produce() -> None:
        try:
            for item in source:
                put((item, None))
                if stopped.is_set():
                    return
            put((_END, None))
        except BaseException as error:  # raised again where the items are consumed
            put((_END, error))

    thread = threading.Thread(target=produce, name="fetch", daemon=True)
    thread.start()
    try:
        yield _consume(ready)
    finally:
        stopped.set()
        thread.join()


def _consume(ready: queue.Queue) -> Iterator:
    while True:
        item, error = ready.get()
        if error is not None:
            raise error
        if item is _END:
            return
        yield item
