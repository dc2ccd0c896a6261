"""How many requests a token may make: a token bucket each. Pure arithmetic; time comes in."""

from __future__ import annotations

from collections import OrderedDict


class TokenBuckets:
    """Buckets of `per_minute` requests that refill evenly; a full bucket may be spent at once.

    The least recently used are forgotten beyond `max_keys`, so that invented keys cannot fill the memory.
    """

    def __init__(self, per_minute: int, *, max_keys: int = 10_000) -> None:
        self.per_minute = per_minute
        self.max_keys = max_keys
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()  # key -> (level, when it had it)

    def take(self, key: str, now: float) -> float:
        """Take one request of `key`. Returns 0.0, or for how many seconds it has to wait."""
        per_second = self.per_minute / 60
        level, at = self._levels.get(key, (float(self.per_minute), now))
        level = min(float(self.per_minute), level + max(0.0, now - at) * per_second)
        wait_s = 0.0 if level >= 1 else (1 - level) / per_second
        self._levels[key] = (level if wait_s else level - 1, now)
        self._levels.move_to_end(key)
        if len(self._levels) > self.max_keys:
            self._levels.popitem(last=False)
        return wait_s
