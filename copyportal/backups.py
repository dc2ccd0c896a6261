"""A dump of the whole database with what proves it: rows and a digest of every table, of the same moment.

A backup is two files of one name: `.dump` (PostgreSQL's own format) and `.json` (what is in it). It is there whole or
not at all, also when the machine stops while it is made. The secrets SECRET_KEY and FIELD_KEYS are in neither.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from django.db import connections
from django.db.migrations.loader import MigrationLoader
from psycopg import sql

from copyportal.services.programs import VARIABLES, environment_of, program

NAME = re.compile(r"copyportal-\d{8}T\d{6}Z\.dump")
PIECE = 1 << 20
CLOSES_WITHIN_S = 2.0
ABANDONED_S = 86_400  # what a killed backup left behind
# the sum does not depend on the order of rows, and md5 is the same in every version of PostgreSQL
_DIGEST = "SELECT count(*), coalesce(sum(('x' || left(md5(row::text), 16))::bit(64)::bigint::numeric), 0) FROM {} row"
# nothing of PostgreSQL's own, and none of the temporary tables of whoever works meanwhile
_TABLES = """
SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
WHERE schemaname <> 'information_schema' AND schemaname NOT LIKE 'pg\\_%' ORDER BY 1
"""
_NEW_SCHEMA = b"DROP SCHEMA public CASCADE;\nCREATE SCHEMA public;\n"


class BackupFailed(Exception):
    """`str()` is a sentence for the operator: what was wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds. migrations: the newest of each app. tables: rows and digest by name."""

    made_at: str
    postgresql: int
    migrations: dict[str, str]
    bytes: int
    sha256: str
    tables: dict[str, tuple[int, str]]

    @classmethod
    def read(cls, dump: Path) -> Manifest:
        """The one beside a dump. Raises BackupFailed when it is missing or damaged."""
        path = dump.with_suffix(".json")
        try:
            stored = json.loads(path.read_text())
            return cls(**stored | {"tables": {name: tuple(row) for name, row in stored["tables"].items()}})
        except FileNotFoundError:
            raise BackupFailed(f"{path} is missing: it lies beside the dump and says what is in it.") from None
        except (ValueError, TypeError, KeyError, AttributeError):
            raise BackupFailed(f"{path} is damaged. Take the backup of another day.") from None


def configured() -> dict[str, Any]:
    """How to reach the database of the settings, as libpq's parameters."""
    own = connections["default"].get_connection_params()
    return {name: str(own[name]) for name in VARIABLES if own.get(name)}


def back_up(folder: Path, *, now: datetime, keep: int = 0) -> Path:
    """Dump the database into a folder and return the file; of older backups there `keep` remain in all (0: all).

    Raises BackupFailed; then nothing of it is left behind and no older backup is removed.
    """
    path = folder / f"copyportal-{now:%Y%m%dT%H%M%SZ}.dump"
    unfinished = path.with_suffix(".part")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for abandoned in folder.glob("copyportal-*.part"):
            if abandoned.stat().st_mtime < now.timestamp() - ABANDONED_S:
                abandoned.unlink(missing_ok=True)
        unfinished.touch(mode=0o600, exist_ok=False)
    except OSError as error:
        raise BackupFailed(f"{folder} cannot be written: {error.strerror}.") from None
    try:
        with psycopg.connect(**configured()) as connection, connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            (snapshot,) = cursor.execute("SELECT pg_export_snapshot()").fetchone() or ("",)
            version = connection.info.server_version // 10_000
            _run(version, "pg_dump", "--format=custom", "--no-owner", f"--snapshot={snapshot}", f"--file={unfinished}")
            tables = digests(cursor)
        manifest = Manifest(
            now.isoformat(), version, newest_migrations(), unfinished.stat().st_size, sha256_of(unfinished), tables
        )
        _write(path.with_suffix(".json"), json.dumps(asdict(manifest), indent=1).encode())
        _sync(unfinished)
        unfinished.rename(path)  # last: a dump without its manifest is never seen
        _sync(folder)
    except psycopg.OperationalError as error:
        raise BackupFailed(f"The database cannot be read: {str(error).strip()}") from None
    finally:
        unfinished.unlink(missing_ok=True)
    for old in backups_in(folder)[:-keep] if keep else []:
        old.unlink()
        old.with_suffix(".json").unlink(missing_ok=True)
    return path


def backups_in(folder: Path) -> list[Path]:
    """The finished backups of a folder, the oldest first."""
    return sorted(path for path in folder.iterdir() if NAME.fullmatch(path.name))


def check_readable(dump: Path) -> Manifest:
    """The manifest of a backup that is whole and that this version can use. Raises BackupFailed."""
    manifest = Manifest.read(dump)
    try:
        whole = dump.stat().st_size == manifest.bytes and sha256_of(dump) == manifest.sha256
    except OSError as error:
        raise BackupFailed(f"{dump} cannot be read: {error.strerror}.") from None
    if not whole:
        raise BackupFailed(f"{dump} is damaged: it is not the file that was written. Take the backup of another day.")
    known = MigrationLoader(None).disk_migrations
    newer = [f"{app} {name}" for app, name in manifest.migrations.items() if (app, name) not in known]
    if newer:
        raise BackupFailed(f"The backup is of a newer version (it has {newer[0]}): check that version out first.")
    return manifest


def restore(dump: Path, *, replaces: bool) -> list[str]:
    """Put a backup into the database of the settings, whole or not at all; returns the tables that differ from it.

    Raises BackupFailed: also where somebody is connected, or where there is something already and `replaces` is false.
    """
    manifest = check_readable(dump)
    target = configured()
    with psycopg.connect(**target, autocommit=True) as connection, connection.cursor() as cursor:
        if connected := _others(cursor):
            raise BackupFailed(f"Stop all processes first: {connected} connections to the database are open.")
        if cursor.execute(_TABLES).fetchall() and not replaces:
            raise BackupFailed("The database is not empty. What is in it is lost if you restore with --replace.")
        _load(dump, target, connection.info.server_version // 10_000)
        return differences(manifest, digests(cursor))


def _others(cursor: psycopg.Cursor) -> int:
    """How many else are connected to the database, and stay: what was closed just now takes a moment to be gone."""
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    give_up_at = time.monotonic() + CLOSES_WITHIN_S
    while True:
        (connected,) = cursor.execute(others).fetchone() or (0,)
        if not connected or time.monotonic() > give_up_at:
            return int(connected)
        time.sleep(0.1)


def rehearse(dump: Path) -> list[str]:
    """Restore a backup into a database of its own beside ours, compare, remove it; returns the tables that differ.

    Raises BackupFailed, also where the role may not make databases.
    """
    manifest = check_readable(dump)
    with scratch_database() as target, psycopg.connect(**target, autocommit=True) as connection:
        _load(dump, target, connection.info.server_version // 10_000)
        with connection.cursor() as cursor:
            return differences(manifest, digests(cursor))


@contextmanager
def scratch_database() -> Iterator[dict[str, Any]]:
    """An empty database on our server for as long as the block runs."""
    own = configured()
    name = f"copyportal_rehearsal_{os.getpid()}"
    with psycopg.connect(**own, autocommit=True) as connection:
        try:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        except psycopg.errors.InsufficientPrivilege:
            raise BackupFailed(
                f"The role {own.get('user', '')} may not make databases: ALTER ROLE … CREATEDB, or rehearse on another"
                " server."
            ) from None
        try:
            yield own | {"dbname": name}
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _load(dump: Path, target: dict[str, Any], version: int) -> None:
    """Replace what a database holds in one transaction: a backup that breaks off changes nothing."""
    words = ["--quiet", "--no-psqlrc", "--single-transaction", "--set=ON_ERROR_STOP=1", "--file=-"]
    options: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "env": environment_of(target)}
    with tempfile.TemporaryFile() as said:
        reading = subprocess.Popen(
            [program("pg_restore", version), "--no-owner", "--no-privileges", "--file=-", dump],
            stdout=subprocess.PIPE,
            stderr=said,
        )
        loading = subprocess.Popen([program("psql", version), *words], stderr=said, **options)
        try:
            with contextlib.suppress(BrokenPipeError):  # psql has ended, and says why
                loading.stdin.write(_NEW_SCHEMA)  # type: ignore[union-attr]  # a pipe, as asked
                shutil.copyfileobj(reading.stdout, loading.stdin, PIECE)  # type: ignore[arg-type]
            reading.stdout.close()  # type: ignore[union-attr]
            if reading.wait():
                loading.kill()  # at the end of its input it would commit a half
            with contextlib.suppress(BrokenPipeError):
                loading.stdin.close()  # type: ignore[union-attr]
        finally:
            reading.kill()
        if loading.wait() or reading.wait():
            said.seek(0)
            words_said = said.read(2000).decode(errors="replace").strip()
            raise BackupFailed(f"The backup could not be restored, nothing was changed: {words_said}")


def _run(version: int, name: str, *words: str) -> None:
    done = subprocess.run([program(name, version), *words], env=environment_of(configured()), capture_output=True)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise BackupFailed(f"{name} failed: {said[:500]}")


def digests(cursor: psycopg.Cursor) -> dict[str, tuple[int, str]]:
    """Rows and digest of every table, by name. Reads all of them."""
    cursor.execute("SET LOCAL TIME ZONE 'UTC'" if cursor.connection.info.transaction_status else "SET TIME ZONE 'UTC'")
    tables = {}
    for (name,) in cursor.execute(_TABLES).fetchall():
        rows, digest = cursor.execute(_DIGEST.format(name)).fetchone() or (0, 0)
        tables[name] = (int(rows), str(digest))
    return tables


def differences(manifest: Manifest, tables: dict[str, tuple[int, str]]) -> list[str]:
    """The tables that are not as the manifest says, missing and added ones among them."""
    names = sorted(manifest.tables.keys() | tables.keys())
    return [name for name in names if manifest.tables.get(name) != tables.get(name)]


def newest_migrations() -> dict[str, str]:
    """The newest migration of each app that the database has."""
    with psycopg.connect(**configured()) as connection:
        rows = connection.execute("SELECT app, max(name) FROM django_migrations GROUP BY app ORDER BY app").fetchall()
    return dict(rows)


def sha256_of(path: Path) -> str:
    """Of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
