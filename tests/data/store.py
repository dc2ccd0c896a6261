"""Stored databases: written with pg_dump as plain SQL, read back into a database of their own.

Statements that only newer servers know are left out, so that every supported PostgreSQL reads them.
"""

from __future__ import annotations

import base64
import gzip
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

FOLDER = Path(__file__).parent
SECRET = "made up for stored data in tests, no secret at all, only long enough 0123456789"
KEY = base64.urlsafe_b64encode(b"a key of stored data for tests..").decode()  # of FIELD_KEYS
LEFT_OUT = re.compile(r"^(\\(un)?restrict .*|SET transaction_timeout = .*|--.*|)$")
COPY = re.compile(r"^COPY .* FROM stdin;$")


def write(name: str, url: str, *options: str) -> None:
    """Dump the database at `url`, as little and as repeatable as it can be."""
    from copyportal.services.servers import postgres_folder

    command = [postgres_folder()[0] / "pg_dump", "--no-owner", "--no-privileges", *options, url]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    kept = "\n".join(line for line in text.split("\n") if not LEFT_OUT.match(line))
    (FOLDER / name).write_bytes(gzip.compress(kept.encode(), 9, mtime=0))


def read(name: str, connection: psycopg.Connection) -> None:
    """Carry a stored dump out on an empty database."""
    lines = iter(gzip.decompress((FOLDER / name).read_bytes()).decode().split("\n"))
    statements: list[str] = []
    with connection.cursor() as cursor:
        for line in lines:
            if not COPY.match(line):
                statements.append(line)
                continue
            cursor.execute("\n".join(statements))
            statements = []
            with cursor.copy(line.removesuffix(";")) as copy:
                for row in iter(lambda: next(lines), "\\."):
                    copy.write(f"{row}\n")
        cursor.execute("\n".join(statements))
        cursor.execute("SELECT set_config('search_path', 'public', false)")


@contextmanager
def restored(name: str, url: str) -> Iterator[str]:
    """A new database on the server of `url` with a stored dump in it, dropped again afterwards; its address."""
    database = f"stored_{uuid.uuid4().hex[:12]}"
    own = make_conninfo(url, dbname=database)
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(database)))
        try:
            with psycopg.connect(own, autocommit=True) as connection:
                read(name, connection)
            yield own
        finally:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))


if __name__ == "__main__" and sys.argv[1:] == ["keys"]:
    sys.stdout.write(f"export SECRET_KEY='{SECRET}' FIELD_KEYS='{KEY}'\n")
