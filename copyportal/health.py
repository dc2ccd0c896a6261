"""/healthz says that this process answers; /readyz says how each part of the installation is. No secrets, no counts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime

import psycopg
import redis
from django.conf import settings
from django.db import connection
from django.db.models import Max
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from copyportal import heartbeats
from reporting.models import SyncState

LATE_SECONDS = {"worker": 30, "beat": 30, "backend": 300}


@require_safe
@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    """Alive: the process takes requests. Asks nobody else, so that a dead database restarts no web process."""
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """Ready: 503 while pages cannot be served (database, Redis), otherwise 200 with `ok` or `degraded`."""
    parts = {"database": _asked(_database), "redis": _asked(_redis)}
    can_serve = all(part["ok"] for part in parts.values())
    for name in ("worker", "beat"):
        parts[name] = _asked(lambda name=name: heartbeats.age_seconds(name), late=LATE_SECONDS[name])
    parts["backend"] = _backend() if parts["database"]["ok"] else {"ok": False, "why": "unknown without database"}
    status = "ok" if all(part["ok"] for part in parts.values()) else "degraded" if can_serve else "unavailable"
    return JsonResponse({"status": status, "parts": parts}, status=200 if can_serve else 503)


def _asked(question: Callable[[], float | None], *, late: float | None = None) -> dict:
    """The answer of a part; with `late` the answer is an age in seconds that must not be higher."""
    try:
        age = question()
    except (psycopg.Error, redis.RedisError):
        return {"ok": False, "why": "does not answer"}
    if late is None:
        return {"ok": True}
    if age is None:
        return {"ok": False, "why": "has given no sign of life"}
    return {"ok": age <= late, "age_seconds": round(age, 1)}


def _database() -> None:
    parameters = {**connection.get_connection_params(), "connect_timeout": 2}
    with psycopg.connect(**parameters) as fresh:  # the pool would wait ten seconds for a dead server
        fresh.execute("SELECT 1")


def _redis() -> None:
    with contextlib.closing(redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2)) as client:
        client.ping()


def _backend() -> dict:
    """The oldest success among the synchronisations of enabled connections."""
    enabled = SyncState.objects.filter(connection__is_enabled=True)
    if not enabled.exists():
        return {"ok": True, "why": "no connection is set up"}
    latest = enabled.values("connection").annotate(latest=Max("last_success_at")).values_list("latest", flat=True)
    if None in (successes := list(latest)):
        return {"ok": False, "why": "has never answered"}
    age = (datetime.now(UTC) - min(successes)).total_seconds()
    return {"ok": age <= LATE_SECONDS["backend"], "age_seconds": round(age, 1)}
