"""Answers that many people ask for at the same time: worked out by one request, given to all for some seconds.

Who finds an answer too old works it out while the others still get the old one; where there is none yet they wait for
it. So a costly figure holds one thread, however many tabs show it. A cache that does not answer is no reason to fail:
then everybody works it out.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import structlog
from django.core.cache import cache
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)
Answer = TypeVar("Answer")
OLD_STAYS = 10  # an old answer is given for so many times as long as a fresh one, while somebody works out the next
LOCK_S = 30  # a request that died working one out keeps the others waiting for no longer
LOOK_EVERY_S = 0.05


def shared_answer(key: str, read: Callable[[], Answer], *, fresh_s: float) -> Answer:
    """What `read` returns, at most `fresh_s` seconds old, or older while another request works it out."""
    try:
        stored = _stored(key)
        if stored is not None and time.time() - stored[0] < fresh_s:
            return stored[1]
        is_ours = cache.add(f"{key}:lock", 1, LOCK_S)
        if not is_ours:
            stored = stored or _wait_for(key)
        if not is_ours and stored is not None:
            return stored[1]
    except RedisError:
        log.warning("no shared answers: the cache does not answer")
        return read()
    try:
        answer = read()
        _store(key, answer, fresh_s)
        return answer
    finally:
        if is_ours:
            _unlock(key)


def _stored(key: str) -> tuple[float, Any] | None:
    return cache.get(key)


def _wait_for(key: str) -> tuple[float, Any] | None:
    """The answer that another request works out; None: it gave up, or takes too long."""
    stop_at = time.monotonic() + LOCK_S
    while time.monotonic() < stop_at:
        time.sleep(LOOK_EVERY_S)
        stored = _stored(key)
        if stored is not None:
            return stored
        if cache.get(f"{key}:lock") is None:
            return None
    return None


def _store(key: str, answer: Any, fresh_s: float) -> None:
    try:
        cache.set(key, (time.time(), answer), fresh_s * (1 + OLD_STAYS))
    except RedisError:
        log.warning("an answer is not shared: the cache does not answer")


def _unlock(key: str) -> None:
    try:
        cache.delete(f"{key}:lock")
    except RedisError:
        log.warning("an answer is not shared: the cache does not answer")
