"""Calculations that may take longer than a caller waits: begun once, their results there for whoever comes back.

How many may be begun is limited for each tenant, as at the vendor: 25 a minute and 500 an hour (account APIs, 4.1).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from typing import Any

from copying.backend.http.rate_limits import TokenBuckets

PER_MINUTE, PER_HOUR = 25, 500
KEPT_SECONDS = 150.0  # for so long a client comes back for what it was told to wait for
MOST_KEPT = 1_000


class Calculations:
    """Tasks by key, with the times at which they were begun."""

    def __init__(self) -> None:
        self._tasks: OrderedDict[Hashable, tuple[asyncio.Task[Any], float]] = OrderedDict()
        self._minute, self._hour = TokenBuckets(PER_MINUTE), TokenBuckets(PER_HOUR)

    def wait_s(self, tenant: str, key: Hashable, now: float) -> float:
        """How many seconds to wait before a calculation may be begun; 0.0: it may, or is under way already."""
        if self._known(key, now) is not None:
            return 0.0
        wait_s = self._minute.take(tenant, now)
        return wait_s or self._hour.take(tenant, now / 60)  # an hour's bucket is a minute's on a slower clock

    async def result(
        self, key: Hashable, calculate: Callable[[], Coroutine[Any, Any, Any]], now: float, patience_s: float
    ) -> Any:
        """What `calculate` gives, or None if it takes longer than `patience_s`. Raises what it raises."""
        task = self._known(key, now)
        if task is None:
            task = asyncio.create_task(calculate())
            self._tasks[key] = task, now
        ended, _ = await asyncio.wait([task], timeout=patience_s)
        if not ended:
            return None
        self._tasks.pop(key, None)
        return task.result()

    def _known(self, key: Hashable, now: float) -> asyncio.Task[Any] | None:
        while self._tasks:
            oldest, (task, begun) = next(iter(self._tasks.items()))
            if now - begun < KEPT_SECONDS and len(self._tasks) <= MOST_KEPT:
                break
            del self._tasks[oldest]
            task.cancel()
        return self._tasks[key][0] if key in self._tasks else None
