"""Signs of life of the processes without an address: worker and beat write the time into Redis, /readyz reads it.

Written with Redis' own commands, not through the cache: the supervisor reads it without Django.
"""

from __future__ import annotations

import functools
import time

import redis
from django.conf import settings

KEPT_SECONDS = 3600


def client() -> redis.Redis:
    """The process's own client, which waits for two seconds at most."""
    return _client(settings.REDIS_URL)


@functools.cache
def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2)


def _key() -> str:
    return f"{settings.CACHES['default']['KEY_PREFIX']}:heartbeats"


def beat_for(name: str) -> None:
    """Say that the named process is alive. Raises redis.RedisError."""
    client = _client(settings.REDIS_URL)
    client.hset(_key(), name, f"{time.time():.3f}")
    client.expire(_key(), KEPT_SECONDS)


def age_seconds(name: str, client: redis.Redis | None = None) -> float | None:
    """How long ago the named process gave its last sign, negative when its clock is ahead; None when it never did.

    Raises redis.RedisError.
    """
    written = (client or _client(settings.REDIS_URL)).hget(_key(), name)
    return None if written is None else time.time() - float(written)
