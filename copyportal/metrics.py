"""/metrics: how the installation is, as Prometheus reads it. Off until METRICS_TOKEN is set; names: docs/operations.md.

Everything comes from rows and from Redis, so it is the same whichever web process answers, and workers that have no
address of their own are in it. No names of people or firms: connections are numbers.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Iterator

import psycopg
import redis
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse

from copyportal import heartbeats, hosts, watch
from copyportal.health import DATABASE_LIMITS, REDIS_LIMITS

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Sample = tuple[dict[str, str], float]  # labels, value

SYNCS = """
SELECT s.connection_id::text, s.kind, extract(epoch FROM clock_timestamp() - s.last_success_at)::float8, s.failures,
       s.rows_total
FROM reporting_syncstate s JOIN users_connection c ON c.id = s.connection_id WHERE c.is_enabled ORDER BY 1, 2
"""
JOBS = """
SELECT kind, state, count(*) FROM jobs_job WHERE NOT is_standing AND (state IN ('queued', 'running')
    OR finished_at > clock_timestamp() - interval '1 day') GROUP BY 1, 2 ORDER BY 1, 2
"""
WAITING = """
SELECT coalesce(max(extract(epoch FROM clock_timestamp() - due_at)), 0)::float8 FROM jobs_job
WHERE state IN ('queued', 'running') AND due_at <= clock_timestamp()
  AND (lease_until IS NULL OR lease_until < clock_timestamp())
"""
DATABASE = "SELECT pg_database_size(current_database()), (SELECT count(*) FROM pg_stat_activity WHERE datname ="
DATABASE += " current_database()), current_setting('max_connections')::int"


class MetricsMiddleware:
    """Answers the address for whoever has the token; for all others it does not exist. Follows HealthMiddleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path != "/metrics" or request.method not in ("GET", "HEAD") or not has_token(request):
            return self.get_response(request)
        response = HttpResponse("".join(lines()), content_type=CONTENT_TYPE)
        response["Cache-Control"] = "no-store"
        return response


def has_token(request: HttpRequest) -> bool:
    """Whether it carries METRICS_TOKEN; never where none is set."""
    sent, expected = request.headers.get("Authorization", ""), f"Bearer {settings.METRICS_TOKEN}"
    return bool(settings.METRICS_TOKEN) and hmac.compare_digest(sent.encode(), expected.encode())


def lines() -> Iterator[str]:
    """The whole text; a part that does not answer leaves its figures out and is 0 under `copyportal_up`."""
    up = []
    for part, read in (("database", _of_database), ("redis", _of_redis)):
        try:
            text = list(read())
        except (psycopg.Error, redis.RedisError, OSError):
            up.append(({"part": part}, 0.0))
            continue
        up.append(({"part": part}, 1.0))
        yield from text
    yield from _metric("copyportal_up", "gauge", "Whether the part answers.", up)


def _of_database() -> Iterator[str]:
    with psycopg.connect(**{**connection.get_connection_params(), **DATABASE_LIMITS}) as fresh:
        syncs = fresh.execute(SYNCS).fetchall()
        jobs = fresh.execute(JOBS).fetchall()
        (waiting,) = fresh.execute(WAITING).fetchone() or (0.0,)
        size, used, most = fresh.execute(DATABASE).fetchone() or (0, 0, 0)
    named = [({"connection": row[0], "kind": row[1]}, row) for row in syncs]
    ages = [(labels, row[2]) for labels, row in named if row[2] is not None]
    yield from _metric("copyportal_sync_age_seconds", "gauge", "Since the last success of a kind of sync.", ages)
    failures = [(labels, row[3]) for labels, row in named]
    yield from _metric("copyportal_sync_failures", "gauge", "Failures in a row; 0 is well.", failures)
    rows = [(labels, row[4]) for labels, row in named]
    yield from _metric("copyportal_sync_rows_total", "counter", "Rows that a kind of sync has stored.", rows)
    counts = [({"kind": kind, "state": state}, number) for kind, state, number in jobs]
    yield from _metric("copyportal_jobs", "gauge", "Jobs that wait, run, or ended within a day.", counts)
    yield from _metric("copyportal_job_waiting_seconds", "gauge", "How long the oldest due job waits.", [({}, waiting)])
    yield from _metric("copyportal_database_bytes", "gauge", "Size of the database.", [({}, size)])
    yield from _metric("copyportal_database_connections", "gauge", "Connections to it.", [({}, used)])
    yield from _metric("copyportal_database_connections_limit", "gauge", "How many it takes.", [({}, most)])


def _of_redis() -> Iterator[str]:
    with redis.Redis.from_url(settings.REDIS_URL, **REDIS_LIMITS) as server:
        ages = {name: heartbeats.age_seconds(name, server) for name in ("worker", "beat")}
        unwell, signs = watch.number_unwell(server), hosts.signs(server)
    alive = [({"process": name}, age) for name, age in ages.items() if age is not None]
    yield from _metric("copyportal_sign_age_seconds", "gauge", "Since any such process gave a sign of life.", alive)
    labelled = [({"process": sign.kind, "host": sign.host}, sign) for sign in signs]
    yield from _metric(
        "copyportal_host_sign_age_seconds",
        "gauge",
        "The same of each machine.",
        [(labels, sign.age_s) for labels, sign in labelled],
    )
    yield from _metric(
        "copyportal_host_clock_skew_seconds",
        "gauge",
        "How far its clock is ahead of Redis' clock.",
        [(labels, sign.skew_s) for labels, sign in labelled],
    )
    if unwell is not None:
        yield from _metric("copyportal_backends_unwell", "gauge", "Backends that are not well.", [({}, unwell)])


def _metric(name: str, kind: str, text: str, samples: Iterable[Sample]) -> Iterator[str]:
    yield f"# HELP {name} {text}\n# TYPE {name} {kind}\n"
    for labels, value in samples:
        inner = ",".join(f'{key}="{_escaped(label)}"' for key, label in labels.items())
        yield f"{name}{{{inner}}} {float(value)!r}\n" if inner else f"{name} {float(value)!r}\n"


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
