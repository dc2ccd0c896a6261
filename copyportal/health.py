"""/healthz says that this process answers; /readyz says how each part of the installation is. No secrets, no counts.

Both are answered before every other middleware: no session, no user, no Host to be allowed (probes come by IP address)
and nothing that could fail with what they report on. Always JSON, in less than five seconds whatever hangs.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import psycopg
import redis
import structlog
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from redis.backoff import NoBackoff
from redis.retry import Retry

from copyportal import heartbeats, hosts, watch

LATE_SECONDS = {"worker": 15, "beat": 15, "backend": 60}
AHEAD_SECONDS = 5  # of a sign of life: more is another clock, not the way through Redis
CLOCK_WRONG = {"ok": False, "why": "its clock is wrong: the pages of the portal say more"}
UNWELL = {"ok": False, "why": "does not answer or is not well: the pages of the portal and beat's log say more"}
SILENT = {"ok": False, "why": "does not answer"}
# a fresh connection, never one of the pool, which would wait ten seconds for a dead server
DATABASE_LIMITS = {"connect_timeout": 2, "options": "-c statement_timeout=1000"}
REDIS_LIMITS = {"socket_timeout": 1, "socket_connect_timeout": 0.5, "retry": Retry(NoBackoff(), 0)}
LATEST_SUCCESSES = """
    SELECT max(state.last_success_at), bool_or(coalesce(state.cursor ->> 'clock', '') <> '')
    FROM reporting_syncstate state
    JOIN users_connection connection ON connection.id = state.connection_id
    WHERE connection.is_enabled GROUP BY connection.id
"""
log = structlog.get_logger(__name__)


@require_safe
@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    """Alive: the process takes requests. Asks nobody else, so that a dead database restarts no web process."""
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """Ready: 503 while pages cannot be served (database, Redis), otherwise 200 with `ok` or `degraded`."""
    processes, unwell, of_hosts = _redis_and_processes()
    parts = {**_database_and_backend(), **processes}
    if unwell and parts["backend"]["ok"]:
        parts["backend"] = UNWELL
    if of_hosts:
        parts["hosts"] = {"ok": False, "why": of_hosts}
    can_serve = parts["database"]["ok"] and parts["redis"]["ok"]
    status = "ok" if all(part["ok"] for part in parts.values()) else "degraded" if can_serve else "unavailable"
    return JsonResponse({"status": status, "parts": parts}, status=200 if can_serve else 503)


class HealthMiddleware:
    """Answers the two addresses before anything else looks at the request. Must be the first one."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]):
        self.get_response = get_response
        self.views = {"/healthz": healthz, "/readyz": readyz}

    def __call__(self, request: HttpRequest) -> HttpResponse:
        view = self.views.get(request.path)
        if view is None:
            return self.get_response(request)
        try:
            return view(request)
        except Exception:  # whatever it is, who watches wants JSON
            log.exception("the state could not be told")
            return JsonResponse({"status": "unavailable"}, status=503)


def _database_and_backend() -> dict:
    try:
        successes, is_clock_wrong = _latest_successes()
    except (psycopg.Error, OSError):
        return {"database": SILENT, "backend": {"ok": False, "why": "unknown without database"}}
    return {"database": {"ok": True}, "backend": CLOCK_WRONG if is_clock_wrong else _backend(successes)}


def _latest_successes() -> tuple[list[datetime | None], bool]:
    """The latest success of each enabled connection's synchronisations, and whether one said that its clock is wrong.

    Raises psycopg.Error.
    """
    with psycopg.connect(**{**connection.get_connection_params(), **DATABASE_LIMITS}) as fresh:
        rows = fresh.execute(LATEST_SUCCESSES).fetchall()
    return [row[0] for row in rows], any(row[1] for row in rows)


def _backend(successes: list[datetime | None]) -> dict:
    if not successes:
        return {"ok": True, "why": "no connection is set up"}
    times = [time for time in successes if time is not None]
    if len(times) < len(successes):
        return {"ok": False, "why": "has never answered"}
    return _aged((datetime.now(UTC) - min(times)).total_seconds(), "backend")


def _redis_and_processes() -> tuple[dict, int, str]:
    """The parts, how many backends are not well, and what is wrong with some machine."""
    try:
        ages, unwell, of_hosts = _ages(("worker", "beat"))
    except redis.RedisError:
        return dict.fromkeys(("redis", "worker", "beat"), SILENT), 0, ""
    return {"redis": {"ok": True}, **{name: _aged(age, name) for name, age in ages.items()}}, unwell, of_hosts


def _ages(names: tuple[str, ...]) -> tuple[dict[str, float | None], int, str]:
    """How long ago each process gave a sign of life, in seconds, how many backends are not well, trouble of machines.

    Raises redis.RedisError.
    """
    with redis.Redis.from_url(settings.REDIS_URL, **REDIS_LIMITS) as client:
        ages = {name: heartbeats.age_seconds(name, client) for name in names}
        return ages, watch.number_unwell(client) or 0, hosts.trouble_of(hosts.signs(client))


def _aged(age: float | None, name: str) -> dict:
    if age is None:
        return {"ok": False, "why": "has given no sign of life"}
    if age < -AHEAD_SECONDS:
        return {"ok": False, "why": "its clock is ahead of this machine's", "age_seconds": round(age, 1)}
    return {"ok": age <= LATE_SECONDS[name], "age_seconds": round(max(0.0, age), 1)}
