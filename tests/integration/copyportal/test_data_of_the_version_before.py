"""An installation of the version before: it migrates, starts, and says the same (tests/data/README.md)."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest

from copying.backend.core.writer import Core
from copying.backend.http.options import database_url
from tests.data import figures, store

pytestmark = pytest.mark.django_db
EXPECTED = json.loads((store.FOLDER / "before.json").read_text())


@pytest.fixture(scope="module")
def before(django_db_setup, django_db_blocker) -> Iterator[str]:
    """The address of the stored database, migrated as `make up` does it."""
    with django_db_blocker.unblock():
        url = database_url()
    with store.restored("before.sql.gz", url) as own:
        migrate(own)
        yield own


def migrate(url: str) -> None:
    parts = psycopg.conninfo.conninfo_to_dict(url)
    host = parts.get("host", "")
    where = f"{parts.get('user', '')}:{parts.get('password', '')}@"
    where += (
        f"/{parts['dbname']}?host={host}"
        if host.startswith("/")
        else f"{host}:{parts.get('port', 5432)}/{parts['dbname']}"
    )
    environment = {
        **os.environ,
        "DATABASE_URL": f"postgresql://{where}",
        "SECRET_KEY": store.SECRET,
        "FIELD_KEYS": store.KEY,
        "DJANGO_SETTINGS_MODULE": "copyportal.settings",
    }
    done = subprocess.run(
        [sys.executable, "manage.py", "prepare"], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def started(url: str, monkeypatch: pytest.MonkeyPatch, settings) -> dict:
    settings.FIELD_KEYS = [store.KEY]

    async def run() -> dict:
        core = Core(url, figures.StoredPrices(), clock=lambda: EXPECTED["time"], fail=pytest.fail)
        await core.start(ticking=False)
        await core.caught_up()
        state = figures.of_state(core)
        await core.stop()
        return state

    return asyncio.run(run())


def plain(state: dict) -> dict:
    """As it is after a way through JSON."""
    return json.loads(json.dumps(state))


@pytest.mark.parametrize("where", ["its snapshot", "the snapshot of this version", "the journal alone"])
def test_the_backend_starts_from(where, before, monkeypatch, settings):
    if where == "the journal alone":
        with psycopg.connect(before, autocommit=True) as connection:
            connection.execute("DELETE FROM copying_snapshot")
    state = plain(started(before, monkeypatch, settings))
    for name, expected in EXPECTED["state"].items():
        assert state[name] == expected, name
    assert figures.of_records(before) == EXPECTED["records"]


def test_the_books_say_the_same_to_the_last_byte(before):
    portal = plain(figures.of_portal(before))
    assert portal["counts"] == EXPECTED["portal"]["counts"]
    assert portal["commission lines"] == EXPECTED["portal"]["commission lines"]
    for table in figures.WHOLE:
        rows = portal[table]
        assert len(rows) == len(EXPECTED["portal"][table]), table
        for row, expected in zip(rows, EXPECTED["portal"][table], strict=True):
            assert {name: row.get(name) for name in expected} == expected, table
