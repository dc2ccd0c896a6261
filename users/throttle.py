"""Slows down whoever guesses, and nobody else.

Wrong passwords are counted per account *and* source (a network, or a browser that has signed in to the account before),
so nobody can lock another person out: from a source without failures the right password always works at once. Beside
it, one source may fail at most SOURCE_FAILURES times in SOURCE_WINDOW_S over all accounts.

An attempt counts as failed when it begins and is forgiven when it succeeds: attempts at the same time cannot slip
through before the first one has failed. Every step is one command of Redis. Addresses are stored as digests.
"""

from __future__ import annotations

import functools
import hashlib
import math
from datetime import datetime

import redis
from django.conf import settings

FREE_FAILURES = 5  # typing errors of a person who knows the password
LONGEST_DELAY_S = 900
FAILURES_KEPT_S = 24 * 3600
SOURCE_FAILURES = 50  # an office of people behind one address, on a bad Monday
SOURCE_WINDOW_S = 600

# KEYS: failures of the account from the source. ARGV: now in ms, free failures, longest delay in ms, kept in ms.
# Answers the ms to wait; 0: go on, and the attempt is counted.
_BEGIN = """
local now, free, longest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local blocked_until = tonumber(redis.call('HGET', KEYS[1], 'until') or '0')
if blocked_until > now + longest then blocked_until = now + longest end
if blocked_until > now then return blocked_until - now end
local failures = redis.call('HINCRBY', KEYS[1], 'failures', 1)
local delay = 0
if failures >= free then delay = math.min(1000 * 2 ^ math.min(failures - free, 30), longest) end
redis.call('HSET', KEYS[1], 'until', string.format('%.0f', now + delay))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 0
"""
# KEYS: a counter. ARGV: limit, window in ms. Answers 1 and counts, or 0 when the limit is reached.
_COUNT = """
if tonumber(redis.call('GET', KEYS[1]) or '0') >= tonumber(ARGV[1]) then return 0 end
if redis.call('INCR', KEYS[1]) == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1
"""


def begin_attempt(account: str, source: str, *, network: str | None, now: datetime) -> int:
    """Count an attempt as failed. Returns the seconds to wait before the next one may be made; 0: make it now.

    source: whom the account's failures are counted for. network: whom failures over all accounts are counted for;
    None: it is shared by everybody.
    """
    window_left_s = SOURCE_WINDOW_S - int(now.timestamp()) % SOURCE_WINDOW_S
    if network and not _count(_network_key(network, now), SOURCE_FAILURES, SOURCE_WINDOW_S):
        return window_left_s
    arguments = [_ms(now), FREE_FAILURES, LONGEST_DELAY_S * 1000, FAILURES_KEPT_S * 1000]
    wait_ms = _client(settings.REDIS_URL).eval(_BEGIN, 1, _pair_key(account, source), *arguments)
    if wait_ms and network:  # nothing was tried, so nothing failed
        _uncount(_network_key(network, now))
    return math.ceil(int(wait_ms) / 1000)


def forgive_attempt(account: str, source: str, *, network: str | None, now: datetime) -> None:
    """The attempt that began at `now` succeeded: the account's failures from there are forgotten, the source's are not.

    Else somebody with one account of their own could clear their source between guesses at others.
    """
    _client(settings.REDIS_URL).delete(_pair_key(account, source))
    if network:
        _uncount(_network_key(network, now))


def may_act(action: str, key: str, *, limit: int, window_s: int, now: datetime) -> bool:
    """Whether `key` may do `action` once more in this window; counts it."""
    name = f"{action}:{_digest(key)}:{int(now.timestamp()) // window_s}"
    return _count(_key(name), limit, window_s)


def count_use(action: str, key: str, *, window_s: int, now: datetime) -> int:
    """How often `key` did `action` in this window, this time included."""
    name = _key(f"{action}:{_digest(key)}:{int(now.timestamp()) // window_s}")
    pipe = _client(settings.REDIS_URL).pipeline()
    pipe.incr(name)
    pipe.pexpire(name, window_s * 1000)
    return int(pipe.execute()[0])


def _count(key: str, limit: int, window_s: int) -> bool:
    return bool(_client(settings.REDIS_URL).eval(_COUNT, 1, key, limit, window_s * 1000))


def _uncount(key: str) -> None:
    """Take one back, unless the window has ended meanwhile."""
    script = "if redis.call('EXISTS', KEYS[1]) == 1 then return redis.call('DECR', KEYS[1]) end return 0"
    _client(settings.REDIS_URL).eval(script, 1, key)


def _pair_key(account: str, source: str) -> str:
    return _key(f"sign-in:{_digest(account.strip().lower())}:{_digest(source)}")


def _network_key(network: str, now: datetime) -> str:
    return _key(f"failures:{_digest(network)}:{int(now.timestamp()) // SOURCE_WINDOW_S}")


def _key(name: str) -> str:
    return f"{settings.CACHES['default']['KEY_PREFIX']}:throttle:{name}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


@functools.cache
def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2)
