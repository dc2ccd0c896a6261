"""The scheduler of Celery beat: one at a time, whatever the operator starts, and visibly alive.

A lease in Redis decides which beat works; another one started by mistake, or as a stand-by, waits for it. Schedules are
kept in memory only: whatever must not be missed is a row with a due time, so beat is an alarm clock and not a record.
"""

from __future__ import annotations

import contextlib
import logging
import uuid

import redis
from celery.beat import Scheduler
from django.conf import settings

from copyportal import heartbeats, hosts

LEASE_SECONDS = 15
STANDBY_SECONDS = 3.0
RENEW = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pexpire', KEYS[1], ARGV[2]) else return 0 end"
RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end"
logger = logging.getLogger(__name__)


class OneBeat(Scheduler):
    """Sends due tasks while it holds the lease."""

    def __init__(self, *args, **kwargs) -> None:
        self.identity = uuid.uuid4().hex
        self.key = f"{settings.CACHES['default']['KEY_PREFIX']}:beat"
        self.redis = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2)
        self.is_working = False
        self._has_said: bool | None = None  # what the log was told: a stand-by says so at its start too
        super().__init__(*args, **kwargs)

    def tick(self, *args, **kwargs) -> float:
        """Send what is due; return the seconds until the next look."""
        try:
            holds = self._hold()
        except redis.RedisError as error:
            logger.warning("Redis does not answer, no task is sent meanwhile: %s", error)
            return STANDBY_SECONDS
        self.is_working = holds
        if holds != self._has_said:
            self._has_said = holds
            logger.info("beat is working" if holds else "another beat is working, this one waits")
        return min(super().tick(*args, **kwargs), LEASE_SECONDS / 3) if holds else STANDBY_SECONDS

    def _hold(self) -> bool:
        milliseconds = LEASE_SECONDS * 1000
        if not self.redis.eval(RENEW, 1, self.key, self.identity, milliseconds) and not self.redis.set(
            self.key, self.identity, nx=True, px=milliseconds
        ):
            return False
        heartbeats.beat_for("beat")
        hosts.show("beat", self.redis)
        return True

    def close(self) -> None:
        """Hand the lease over at once when stopped in order."""
        with contextlib.suppress(redis.RedisError):
            if self.redis.eval(RELEASE, 1, self.key, self.identity):
                hosts.forget("beat")
        super().close()
