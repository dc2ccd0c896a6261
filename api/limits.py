"""How many requests a token may make in a minute, and the headers that say how many are left.

Counted in Redis, per token: a program that runs wild slows down nobody else, and no other program of the same firm.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from users import throttle

WINDOW_S = 60


@dataclass(frozen=True)
class Quota:
    """Of one minute. limit: requests in it; used: so far, this one included; ends_in_s: until the next minute."""

    limit: int
    used: int
    ends_in_s: int

    @property
    def is_exceeded(self) -> bool:
        return self.used > self.limit

    @property
    def headers(self) -> dict[str, str]:
        """As the IETF's draft on rate limit fields has them."""
        left = max(0, self.limit - self.used)
        return {
            "RateLimit-Policy": f'"minute";q={self.limit};w={WINDOW_S}',
            "RateLimit": f'"minute";r={left};t={self.ends_in_s}',
        }


def count_request(token_id: int, now: datetime) -> Quota:
    """Count one request of a token."""
    second = int(now.timestamp())
    used = throttle.count_use("api", f"{token_id}", window_s=WINDOW_S, now=now)
    return Quota(settings.API_REQUESTS_PER_MINUTE, used, WINDOW_S - second % WINDOW_S)
