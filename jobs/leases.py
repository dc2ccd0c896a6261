"""Leases: the right of one worker to carry a row's work out, which ends by itself when the worker dies.

A lease is judged by the database's clock, so that workers with wrong clocks cannot both hold one. The holder renews it
inside each transaction that stores what it did; whoever lost it learns it there and its rows are dropped with the
transaction. Between two such transactions a heartbeat renews it. Jobs (queue.py) and syncs (reporting/sync/states.py)
work by this.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from django.db import DatabaseError, connections

log = structlog.get_logger(__name__)

LEASE_S = 12  # how long a dead worker's work waits for another one at most
RENEW_EVERY_S = 3
BACKOFF_FIRST_S = 2
BACKOFF_CAP_S = 45


class LeaseLost(Exception):
    """Another worker took over; what is not committed must be dropped."""


@contextmanager
def heartbeat(renew: Callable[[], bool], lost: threading.Event) -> Iterator[None]:
    """Call `renew` every few seconds while the block runs; sets `lost` once it answers that the lease is gone."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(RENEW_EVERY_S):
            try:
                if not renew():
                    lost.set()
                    return
            except DatabaseError:
                log.warning("lease not renewed")  # the next beat may; if none does, the lease ends and says so itself
            finally:
                connections.close_all()

    thread = threading.Thread(target=beat, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(timeout=RENEW_EVERY_S)


def backoff_s(failures: int) -> float:
    """Pause after so many failures in a row: 2, 4, 8 ... 45 s, each a quarter more or less."""
    return min(BACKOFF_FIRST_S * 2 ** min(failures - 1, 10), BACKOFF_CAP_S) * random.uniform(0.75, 1.25)
