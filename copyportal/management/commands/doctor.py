"""Looks at everything that an installation needs and says what is wrong and what to do, one line each."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import redis
from django.conf import settings
from django.core.checks import run_checks
from django.core.management.base import BaseCommand
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from copyportal import database_roles, heartbeats, hosts, watch

Line = tuple[str, str]  # ok, note or wrong; a sentence
OK, NOTE, WRONG = "ok", "note", "wrong"
OLDEST_POSTGRESQL = 140000
FEW_FILES = 4096
LITTLE_SPACE = 5_000_000_000
MOST_APART_S = 2.0


class Command(BaseCommand):
    help = (
        "Look at settings, database, Redis, processes, clocks, files and backends; exit code 1 if something is wrong."
    )
    requires_system_checks: list[str] = []  # it reports them itself

    def handle(self, *args: Any, **options: Any) -> None:
        looks: tuple[Callable[[], Iterator[Line]], ...] = (
            look_at_settings,
            look_at_database,
            look_at_redis,
            look_at_processes,
            look_at_files,
        )
        number = 0
        for look in looks:
            for state, text in look():
                number += state == WRONG
                self.stdout.write(f"{state:>5}  {text}")
        if number:
            self.stdout.write(f"{number} {'thing is' if number == 1 else 'things are'} wrong.")
            raise SystemExit(1)
        self.stdout.write("Nothing is wrong.")


def look_at_settings() -> Iterator[Line]:
    """What `check --deploy` of this product says."""
    listed = [message for message in run_checks(include_deployment_checks=True) if "copyportal" in (message.id or "")]
    for message in listed:
        yield (WRONG if message.is_serious() else NOTE), f"settings: {message.msg} ({message.id})"
    if not listed:
        yield OK, "settings: complete and safe"


def look_at_database() -> Iterator[Line]:
    """Version, migrations, room for connections, its clock."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT current_setting('server_version_num')::int, current_setting('max_connections')::int,"
                " extract(epoch FROM clock_timestamp())::float8, pg_size_pretty(pg_database_size(current_database()))"
            )
            version, most, _, size = cursor.fetchone()
        plan = MigrationExecutor(connection)
        missing = plan.migration_plan(plan.loader.graph.leaf_nodes())
    except (DatabaseError, psycopg.Error) as error:
        yield WRONG, f"database: does not answer ({str(error).splitlines()[0]}): see DATABASE_URL"
        return
    state = OK if version >= OLDEST_POSTGRESQL else WRONG
    yield state, f"database: PostgreSQL {version // 10000}, {size}" + ("" if state == OK else "; 14 or newer is needed")
    if missing:
        yield WRONG, f"database: {len(missing)} migrations are missing: run manage.py migrate"
    else:
        yield from look_at_roles()
    pool = int(settings.DATABASES["default"]["OPTIONS"]["pool"]["max_size"])
    if most < pool * 8:
        yield (
            NOTE,
            f"database: takes {most} connections; each web and worker process keeps up to {pool}, the backend 10",
        )


def look_at_roles() -> Iterator[Line]:
    """As whom the application works: what its role could undo is kept by nobody."""
    now = database_roles.standing()
    if now is None:
        return
    if reason := now.above_the_books:
        yield (
            WRONG if database_roles.are_two() else NOTE,
            f"database: the application works as {now.role}, {reason}: nothing keeps closed books from it;"
            " see docs/operations.md, “Two database roles”",
        )
    elif now.lacking:
        yield WRONG, f"database: {now.role} may not read {now.lacking} tables: run manage.py databaseroles"
    else:
        yield OK, f"database: the application works as {now.role}, which owns nothing"


def look_at_redis() -> Iterator[Line]:
    """Whether it answers, forgets nothing, and agrees about the time."""
    try:
        server = heartbeats.client()
        info: Any = server.info()
        policy: Any = info.get("maxmemory_policy", "")
        seconds, microseconds = server.time()
        with connection.cursor() as cursor:
            cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
            apart = cursor.fetchone()[0] - (seconds + microseconds / 1e6)
    except redis.RedisError as error:
        yield WRONG, f"Redis: does not answer ({error}): see REDIS_URL"
        return
    except (DatabaseError, psycopg.Error):
        policy, apart = "noeviction", 0.0
    yield OK, "Redis: answers"
    if policy and policy != "noeviction":
        yield WRONG, f"Redis: maxmemory-policy is {policy}, so it may drop work that waits: set noeviction"
    if abs(apart) > MOST_APART_S:
        yield WRONG, f"clocks: the database's is {apart:+.1f} s from Redis': set both machines by a time server"


def look_at_processes() -> Iterator[Line]:
    """Signs of life and clocks of every machine, and what the watch says of backends."""
    try:
        server = heartbeats.client()
        listed, unwell = hosts.signs(server), watch.number_unwell(server)
    except redis.RedisError:
        return
    for kind in ("web", "worker", "beat"):
        if not any(sign.kind == kind for sign in listed):
            yield WRONG, f"{kind}: no machine gives a sign of life"
    for sign in listed:
        if sign.is_clock_off:
            yield WRONG, f"{sign.kind} on {sign.host}: its clock is {sign.skew_s:+.1f} s off: set it by a time server"
        elif sign.is_late:
            yield WRONG, f"{sign.kind} on {sign.host}: no sign of life for {sign.age_s:.0f} s"
        else:
            yield OK, f"{sign.kind} on {sign.host}: alive"
    if unwell is None:
        yield NOTE, "backends: nobody watches them (beat does)"
    elif unwell:
        yield WRONG, f"backends: {unwell} not well; the line above the pages of the portal and beat's log say why"
    else:
        yield OK, "backends: well"


def look_at_files() -> Iterator[Line]:
    """Static files, room for results and open files."""
    if not settings.DEBUG and not (Path(settings.STATIC_ROOT) / "staticfiles.json").exists():
        yield WRONG, "static files: not collected: run manage.py collectstatic --noinput"
    place = Path(settings.VAR)
    try:
        free = shutil.disk_usage(place if place.exists() else place.parent).free
    except OSError as error:
        yield WRONG, f"VAR: cannot be read ({error.strerror})"
    else:
        yield (OK if free >= LITTLE_SPACE else NOTE), f"VAR: {free / 1e9:.0f} GB free"
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= hard < FEW_FILES:
        yield NOTE, f"open files: at most {hard} here; set LimitNOFILE=65536 for web and backend"
