"""Asks every backend with an address of its own how it is, every three seconds, and says so when one is not well.

It runs in beat, which is there once and never busy: workers that wait for a hung backend would notice last. What it
sees is in Redis: for /readyz in all, for pages by workspace. The log has one WARNING when a backend begins to be unwell
and one when it is well again. A backend is asked once for all connections to its address, of whichever workspace,
without a token: nobody's token, name or refusal reaches the others. Backends of a domain (the vendor's cloud) have no
/healthz; their sync says how they are.
"""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import msgspec
import redis
import structlog
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connections as databases

from copying.client import BackendFailed, Client, ClientError, Unreachable
from copying.client.answers import public_text
from users.models import Connection

log = structlog.get_logger(__name__)
PACE_S = 3.0
ANSWER_S = 3.0  # what a backend may take to answer
UNANSWERED = 2  # a restart takes a moment: one missing answer is no news
KEPT_S = 30  # what nobody renews is not known
MOST_AT_ONCE = 64
CLIENT: dict[str, Any] = {
    "retries": 0,
    "wait_budget_s": 0,
    "connect_timeout_s": ANSWER_S,
    "extended_timeout_s": ANSWER_S,
}


@dataclass(frozen=True)
class Condition:
    """How a backend is. why: a sentence, "" while it is well; since: UTC seconds of the first sign of it.

    is_news: whether anybody is to be told. It stays so until the backend is well, whatever the reason is meanwhile.
    """

    why: str = ""
    since: float = 0.0
    unanswered: int = 0
    is_news: bool = False


def ask(backend: Connection) -> tuple[str, bool]:
    """(what is wrong with a backend or "", whether it answered at all)."""
    try:
        with Client(None, base_url=backend.base_url, name=backend.name, reach=backend.reach, **CLIENT) as client:
            body = client.get_bytes("/healthz")
        health = msgspec.json.decode(body, type=dict)
        message = health.get("message")
        return (public_text(message) if health.get("status") != "ok" and isinstance(message, str) else ""), True
    except Unreachable as error:
        return error.text, False
    except BackendFailed as error:
        return (error.text, True) if error.status >= 500 else ("", True)
    except (ClientError, msgspec.DecodeError, UnicodeDecodeError):
        return "", True  # it answers; /healthz is no part of the contract


class BackendWatch:
    """The conditions of all backends, from one look to the next."""

    def __init__(self, server: redis.Redis, ask: Callable[[Connection], tuple[str, bool]] = ask) -> None:
        self._redis = server
        self._ask = ask
        self._conditions: dict[str, Condition] = {}
        self._pool = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="watch")

    def look(self, *, now: float | None = None) -> None:
        """Ask once, tell and store what there is. Raises DatabaseError, redis.RedisError."""
        by_address: dict[str, list[Connection]] = defaultdict(list)
        enabled = Connection.objects.filter(is_enabled=True).exclude(base_url="").defer("token").order_by("id")
        for backend in enabled:
            by_address[backend.base_url].append(backend)
        before, self._conditions = self._conditions, {}
        # those that did not answer last come last: the others do not wait for them
        addresses = sorted(by_address, key=lambda address: before.get(address, Condition()).unanswered)
        answers = dict(
            zip(addresses, self._pool.map(self._ask, [by_address[address][0] for address in addresses]), strict=True)
        )
        now = time.time() if now is None else now
        for address, (why, has_answered) in answers.items():
            condition = _next(before.get(address, Condition()), why, has_answered, now)
            _tell(before.get(address, Condition()), condition, by_address[address][0].name, now)
            self._conditions[address] = condition
        self._store(by_address, now)

    def _store(self, by_address: dict[str, list[Connection]], now: float) -> None:
        unwell: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for address, backends in by_address.items():
            condition = self._conditions[address]
            for backend in backends if condition.is_news else ():
                why = condition.why.replace(f"“{backends[0].name}”", f"“{backend.name}”")  # each has a name of its own
                line = {"connection": backend.pk, "name": backend.name, "why": why, "since": condition.since}
                unwell[backend.workspace_id].append(line)
        number = sum(condition.is_news for condition in self._conditions.values())
        with self._redis.pipeline() as pipeline:
            pipeline.set(_key("backends"), json.dumps({"at": now, "unwell": number}), ex=KEPT_S)
            pipeline.delete(_key("unwell"))
            if unwell:
                lines: Any = {str(workspace): json.dumps(lines) for workspace, lines in unwell.items()}
                pipeline.hset(_key("unwell"), mapping=lines)
                pipeline.expire(_key("unwell"), KEPT_S)
            pipeline.execute()

    def run(self, is_working: Callable[[], bool], stopped: threading.Event) -> None:
        """Until stopped: look at each pace while this beat is the one that works."""
        while not stopped.wait(PACE_S):
            try:
                if is_working():
                    self.look()
            except (DatabaseError, redis.RedisError) as error:
                log.warning("the backends could not be asked", error=str(error).splitlines()[:1])
            except Exception:
                log.exception("the backends could not be asked")
            finally:
                databases.close_all()


def _next(before: Condition, why: str, has_answered: bool, now: float) -> Condition:
    if not why:
        return Condition()
    since = before.since if before.why else now
    unanswered = 0 if has_answered else before.unanswered + 1
    return Condition(why, since, unanswered, has_answered or before.is_news or unanswered >= UNANSWERED)


def _tell(before: Condition, condition: Condition, name: str, now: float) -> None:
    """One line when it begins, one when it is over."""
    if condition.is_news and not before.is_news:
        log.warning("backend is not well", backend=name, reason=condition.why)
    if before.is_news and not condition.why:
        log.warning("backend is well again", backend=name, after_seconds=round(now - before.since))


def _key(name: str) -> str:
    return f"{settings.CACHES['default']['KEY_PREFIX']}:watch:{name}"


def number_unwell(server: redis.Redis) -> int | None:
    """How many backends are not well; None when nobody looks. Raises redis.RedisError."""
    stored: Any = server.get(_key("backends"))
    return None if stored is None else int(json.loads(stored)["unwell"])


def unwell_of(workspace_id: int, server: redis.Redis) -> list[dict[str, Any]]:
    """The connections of a workspace that are not well: connection, name, why, since. Raises redis.RedisError."""
    stored: Any = server.hget(_key("unwell"), str(workspace_id))
    return [] if stored is None else json.loads(stored)


def begin(is_working: Callable[[], bool]) -> threading.Event:
    """Watch in a thread of this process until the event that is returned is set."""
    stopped = threading.Event()
    server = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2)
    threading.Thread(target=BackendWatch(server).run, args=(is_working, stopped), name="watch", daemon=True).start()
    return stopped
