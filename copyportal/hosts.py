"""Signs of life of every host that runs web, worker or beat, and how far its clock is from Redis'.

A worker whose clock is ahead drops the messages that wake it (they expire after five seconds) and otherwise looks
healthy; so each host compares its clock with the one that all share, and says so. Times in Redis are Redis' own.
A host that stops in order takes its sign back; one that is gone for FORGOTTEN_S counts as removed.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any

import redis
import structlog
from django.conf import settings

from copyportal import heartbeats

log = structlog.get_logger(__name__)
PACE_S = 5.0
LATE_S = 20.0
FORGOTTEN_S = 600.0
MOST_SKEW_S = 2.0  # of a message's five seconds, the rest is for the way and for a busy machine
_told: dict[str, bool] = {}  # by kind of process: whether the log was told that this host's clock is off


@dataclass(frozen=True)
class HostSign:
    """The last sign of one kind of process on one host. age_s: by Redis' clock; skew_s: positive where it is ahead."""

    kind: str
    host: str
    age_s: float
    skew_s: float

    @property
    def is_late(self) -> bool:
        return self.age_s > LATE_S

    @property
    def is_clock_off(self) -> bool:
        return abs(self.skew_s) > MOST_SKEW_S


def _key() -> str:
    return f"{settings.CACHES['default']['KEY_PREFIX']}:hosts"


def _redis_time(server: redis.Redis) -> float:
    seconds, microseconds = server.time()
    return seconds + microseconds / 1e6


def show(kind: str, server: redis.Redis | None = None) -> None:
    """Say that this host runs such a process, and by how much its clock is off. Raises redis.RedisError."""
    server = server or heartbeats.client()
    before = time.time()
    shared = _redis_time(server)
    after = time.time()
    middle, way = (before + after) / 2 - shared, (after - before) / 2
    skew = middle - min(max(middle, -way), way)  # what the way through the network cannot explain
    server.hset(_key(), f"{kind}@{socket.gethostname()}", json.dumps({"at": shared, "skew": round(skew, 3)}))
    server.expire(_key(), int(FORGOTTEN_S) * 2)
    _tell(kind, skew)


def _tell(kind: str, skew: float) -> None:
    """One line when the clock begins to be off, one when it is right again."""
    is_off = abs(skew) > MOST_SKEW_S
    if is_off and not _told.get(kind):
        direction = "ahead of" if skew > 0 else "behind"
        log.warning(
            "this machine's clock is off: work may be dropped or late; set it by a time server",
            process=kind,
            seconds=round(abs(skew), 1),
            direction=f"{direction} Redis' clock",
        )
    if not is_off and _told.get(kind):
        log.warning("this machine's clock is right again", process=kind)
    _told[kind] = is_off


def forget(kind: str) -> None:
    """This host stops running it, in order. Raises redis.RedisError."""
    heartbeats.client().hdel(_key(), f"{kind}@{socket.gethostname()}")


def signs(server: redis.Redis) -> list[HostSign]:
    """Of every host that is not forgotten, by kind and name. Raises redis.RedisError."""
    stored: Any = server.hgetall(_key())
    now = _redis_time(server)
    listed = []
    for field, value in stored.items():
        kind, _, host = field.decode().partition("@")
        sign = json.loads(value)
        if now - sign["at"] <= FORGOTTEN_S:
            listed.append(HostSign(kind, host, now - sign["at"], sign["skew"]))
    return sorted(listed, key=lambda sign: (sign.kind, sign.host))


def trouble_of(listed: list[HostSign]) -> str:
    """What is wrong with some host, without names; empty: nothing is."""
    if any(sign.is_clock_off for sign in listed):
        kinds = sorted({sign.kind for sign in listed if sign.is_clock_off})
        return f"the clock of a machine that runs {' and '.join(kinds)} is off: set it by a time server"
    late = sorted({sign.kind for sign in listed if sign.is_late})
    return f"a machine that ran {' and '.join(late)} gives no sign of life" if late else ""


def begin(kind: str) -> threading.Event:
    """Show it in a thread of this process until the event that is returned is set."""
    stopped = threading.Event()

    def run() -> None:
        while True:
            with contextlib.suppress(redis.RedisError):  # /readyz sees the age meanwhile
                show(kind)
            if stopped.wait(PACE_S):
                break
        with contextlib.suppress(redis.RedisError):
            forget(kind)

    threading.Thread(target=run, name="hosts", daemon=True).start()
    return stopped
