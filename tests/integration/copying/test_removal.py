"""What the operator keeps for some days only goes after them, in slices; what it is rebuilt from stays."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest

from copying.backend.core import removal
from copying.backend.http.options import database_url

from .conftest import empty

pytestmark = [pytest.mark.anyio, pytest.mark.django_db]
MICROSECOND = timedelta(microseconds=1)


@pytest.fixture
def rows(django_db_setup):
    """A connection to empty tables."""
    empty()
    with psycopg.connect(database_url(), autocommit=True) as connection:
        yield connection
    empty()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


DECISION = (
    "INSERT INTO copying_decisionrecord (sequence, ordinal, time, document, tenant, strategy_id, subscriber_id,"
    " signal_id, outcome, reason) VALUES (%s, 0, %s, '{}', 't', 's', 'a', 'x', 'copied', 'copied')"
)
LINE = (
    "INSERT INTO copying_userlogrecord (sequence, ordinal, time, document, tenant, strategy_id, subscriber_id,"
    " position_id, severity) VALUES (%s, 0, %s, '{}', 't', 's', 'a', '', 1)"
)
KINDS = [("decisions", DECISION, "copying_decisionrecord"), ("log", LINE, "copying_userlogrecord")]


@pytest.mark.parametrize(("kind", "insert", "table"), KINDS)
async def test_what_is_older_goes_and_no_more(kind, insert, table, rows, monkeypatch):
    monkeypatch.setattr(removal, "SLICE_ROWS", 2)
    monkeypatch.setattr(removal, "PAUSE_SECONDS", 0)
    ((now,),) = rows.execute("SELECT now()").fetchall()
    ages = [timedelta(days=400), timedelta(days=91), timedelta(days=90, seconds=5), timedelta(days=90, hours=-1)]
    for sequence, age in enumerate([*ages, timedelta(0)], 1):
        rows.execute(insert, [sequence, now - age])
    for other, other_insert, _ in KINDS:
        if other != kind:
            rows.execute(other_insert, [99, now - timedelta(days=400)])
            rows.execute(other_insert, [100, now])
    assert await removal.remove_kind(database_url(), kind, 90) == 3
    assert rows.execute(f"SELECT sequence FROM {table} ORDER BY 1").fetchall() == [(4,), (5,)]
    counts = {rows.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for *_, name in KINDS}
    assert counts == {2}
    assert await removal.remove_kind(database_url(), kind, 90) == 0


@pytest.mark.parametrize(("kind", "insert", "table"), KINDS)
async def test_days_count_back_from_the_newest_record(kind, insert, table, rows):
    """A clock that is years ahead, or a firm that rested for a year, leaves the last days there are."""
    ((now,),) = rows.execute("SELECT now()").fetchall()
    for sequence, age in enumerate((500, 401, 400, 380), 1):
        rows.execute(insert, [sequence, now - timedelta(days=age)])
    assert await removal.remove_kind(database_url(), kind, 30) == 1
    assert rows.execute(f"SELECT sequence FROM {table} ORDER BY 1").fetchall() == [(2,), (3,), (4,)]


@pytest.mark.parametrize(
    ("keep", "words"),
    [
        ({"decision": 90}, "knows decisions and log, not “decision”"),
        ({"log": 29}, "log=29 is too few: at least 30, or 0 for ever"),
        ({"log": -1}, "log=-1 is too few"),
        ({"transactions": 90}, "not “transactions”"),
    ],
)
def test_an_unclear_wish_is_refused(keep, words):
    with pytest.raises(ValueError, match=words):
        removal.checked(keep)


def test_for_ever_is_nothing_to_do():
    assert removal.checked({"decisions": 0, "log": 30}) == {"log": 30}
    assert removal.checked({}) == {}
