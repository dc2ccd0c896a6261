"""How many requests a token may make in a minute, and the headers that say how many are left.

Counted in Redis, per token: a program that runs wild slows down nobody else, and no other program of the same firm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from django.conf import settings

from users import throttle

WINDOW_S = 60


@dataclass(frozen=True)
class Quota:
    """Of one minute. limit: requests in it; used: so far, this one included; ends_in_s: until the next minute.

    writes: of the writes among them, where the request is one.
    """

    limit: int
    used: int
    ends_in_s: int
    writes: Quota | None = None

    @property
    def is_exceeded(self) -> bool:
        return self.used > self.limit or (self.writes is not None and self.writes.is_exceeded)

    @property
    def headers(self) -> dict[str, str]:
        """As the IETF's draft on rate limit fields has them."""
        named = [("minute", self), *([("writes", self.writes)] if self.writes else [])]
        policies = [f'"{name}";q={quota.limit};w={WINDOW_S}' for name, quota in named]
        states = [f'"{name}";r={max(0, quota.limit - quota.used)};t={quota.ends_in_s}' for name, quota in named]
        return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(states)}


def count_request(token_id: int, now: datetime) -> Quota:
    """Count one request of a token."""
    return _count("api", token_id, settings.API_REQUESTS_PER_MINUTE, now)


def count_write(token_id: int, now: datetime, requests: Quota) -> Quota:
    """Count one write of a token, which `requests` has counted already."""
    return replace(requests, writes=_count("api write", token_id, settings.API_WRITES_PER_MINUTE, now))


def _count(action: str, token_id: int, limit: int, now: datetime) -> Quota:
    used = throttle.count_use(action, f"{token_id}", window_s=WINDOW_S, now=now)
    return Quota(limit, used, WINDOW_S - int(now.timestamp()) % WINDOW_S)
