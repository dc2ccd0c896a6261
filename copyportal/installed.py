"""System checks that look into the database: is it of this version, do the keys fit what is stored?

They run before every command, `check` and `runbackend` among them, and when a worker starts. A database that is away or
empty is no finding: whoever needs it says so. Pages are not refused: the old ones serve while an upgrade goes on.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import psycopg
from celery.signals import worker_init
from django.apps import apps
from django.core.checks import Error, register, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from psycopg import sql

from copying.secrets import decrypt
from users.secrets import EncryptedTextField

TAG = "installed"
LIMITS = {"connect_timeout": 2, "options": "-c statement_timeout=2000"}


@register(TAG)
def fits_the_database(app_configs: Any, **kwargs: Any) -> list[Error]:
    """Reasons not to work with what is stored."""
    try:
        with psycopg.connect(**{**connection.get_connection_params(), **LIMITS}) as fresh:
            return [*_newer(fresh), *_keys(fresh)]
    except (psycopg.Error, OSError):
        return []


def _newer(fresh: psycopg.Connection) -> Iterator[Error]:
    """The database has migrations behind the last one of this code."""
    if _lacks(fresh, "django_migrations"):
        return
    newest: dict[str, str] = {}
    for app, name in MigrationLoader(None).disk_migrations:
        newest[app] = max(newest.get(app, ""), name)
    applied = fresh.execute("SELECT app, max(name) FROM django_migrations GROUP BY app").fetchall()
    ahead = [f"{app} {name}" for app, name in applied if app in newest and name[:4] > newest[app][:4]]
    if ahead:
        text = (
            f"The database is of a newer version of the portal ({', '.join(sorted(ahead))}). Check that version out"
            " again, or restore the dump that was made before the upgrade."
        )
        yield Error(text, hint="See docs/operations.md, “Upgrades”.", id="copyportal.E007")


def _keys(fresh: psycopg.Connection) -> Iterator[Error]:
    """The oldest and the newest secret of each kind must be readable."""
    for model in apps.get_models():
        table = model._meta.db_table
        for field in model._meta.local_concrete_fields:
            column = str(field.column)
            if not isinstance(field, EncryptedTextField) or _lacks(fresh, table, column):
                continue
            for value in _ends(fresh, table, column, str(model._meta.pk.column)):
                try:
                    decrypt(value)
                except ImproperlyConfigured as error:
                    text = f"{error} It is about {model._meta.verbose_name}: {field.name}."
                    yield Error(text, hint="See docs/operations.md, “Rotating keys”.", id="copyportal.E008")
                    return


def _ends(fresh: psycopg.Connection, table: str, column: str, key: str) -> list[str]:
    """The first and the last stored value."""
    values = []
    for order in ("ASC", "DESC"):
        query = sql.SQL("SELECT {column} FROM {table} WHERE {column} <> '' ORDER BY {key} {order} LIMIT 1").format(
            column=sql.Identifier(column), table=sql.Identifier(table), key=sql.Identifier(key), order=sql.SQL(order)
        )
        values += [row[0] for row in fresh.execute(query)]
    return values


def _lacks(fresh: psycopg.Connection, table: str, column: str | None = None) -> bool:
    query = "SELECT 1 FROM information_schema.columns WHERE table_schema = ANY(current_schemas(false))"
    rows = fresh.execute(f"{query} AND table_name = %s AND column_name = coalesce(%s, column_name)", [table, column])
    return rows.fetchone() is None


@worker_init.connect
def refuse_to_work(**_: Any) -> None:
    """A worker would fail at everything, or harm what it does not understand."""
    if errors := [message for message in run_checks(tags=[TAG]) if message.is_serious()]:
        sys.exit("\n".join(f"ERROR {message}" for message in errors))
