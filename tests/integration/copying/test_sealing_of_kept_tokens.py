"""What an older version kept in plain, or under an older key, is read, and rewritten under the newest."""

from __future__ import annotations

import msgspec
import psycopg
import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command

from copying.backend.broker.paper import PaperBroker
from copying.backend.core.apply import apply
from copying.backend.core.journal import decode_entry, encode_entries
from copying.backend.core.writer import Core
from copying.backend.http.options import database_url
from copying.backend.settings import sealing
from copying.backend.state import snapshot
from copying.backend.state.book import Book
from copying.backend.state.commands import CommandEntry, PutStrategy, PutSubscriber
from tests.integration.copying.conftest import StillMarket, empty
from tests.integration.copying.planted import TOKENS, assert_unknown, dump, publishing

pytestmark = [pytest.mark.anyio, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def _bare(transactional_db) -> None:
    empty()


def plain_tables() -> None:
    """A journal and a snapshot as an older version kept them: three strategies, one of them only in the journal."""
    documents = [
        {"name": f"n{number}", "description": "", "accountId": f"P{number}", **publishing(token)}
        for number, token in enumerate(TOKENS)
    ]
    commands = [PutStrategy(tenant="t", strategy_id=f"S{n}", document=document) for n, document in enumerate(documents)]
    commands.append(PutSubscriber(tenant="t", subscriber_id="a", document={"name": "publishing", "subscriptions": []}))
    book = Book(PaperBroker())
    entries = [CommandEntry(time=1_772_452_800.0 + n, quotes={}, command=command) for n, command in enumerate(commands)]
    for sequence, entry in enumerate(entries[:2], 1):
        apply(book, entry, sequence)
    with psycopg.connect(database_url()) as database, database.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO copying_journalentry (sequence, time, payload) VALUES (%s, %s, %s)", encode_entries(1, entries)
        )
        cursor.execute("UPDATE copying_journalentry SET original = payload WHERE sequence = 1")
        cursor.execute(
            "INSERT INTO copying_snapshot (sequence, format, taken_at, state) VALUES (2, %s, now(), %s)",
            [snapshot.FORMAT, snapshot.pack(book)],
        )


async def started() -> Core:
    core = Core(database_url(), StillMarket(), fail=pytest.fail)
    await core.start(ticking=False)
    return core


def tokens_in(core: Core) -> list[str]:
    return [sealing.unsealed(sealing.token_of(each.document)) for each in core.book.strategies_by_id.values()]


async def test_what_an_older_version_kept_in_plain_is_read_and_kept_sealed_from_then_on():
    plain_tables()
    core = await started()
    assert tokens_in(core) == list(TOKENS)
    assert_unknown(str([each.document for each in core.book.strategies_by_id.values()]))
    await core.stop()
    with psycopg.connect(database_url()) as database:
        (state,) = database.execute("SELECT state FROM copying_snapshot ORDER BY sequence DESC LIMIT 1").fetchone()
    assert_unknown(state.hex())


async def test_resealing_rewrites_what_was_kept_in_plain_and_only_that():
    plain_tables()
    assert TOKENS[0].encode().hex() in dump()
    with psycopg.connect(database_url()) as database:
        before = database.execute("SELECT sequence, payload FROM copying_journalentry ORDER BY 1").fetchall()
        assert sealing.reseal_tables(database.cursor()) == 5
        assert sealing.reseal_tables(database.cursor()) == 0
    assert_unknown(dump())
    with psycopg.connect(database_url()) as database:
        after = database.execute("SELECT sequence, payload FROM copying_journalentry ORDER BY 1").fetchall()
    assert after[3] == before[3]
    for (_, old), (_, new) in zip(before[:3], after[:3], strict=True):
        old, new = decode_entry(old), decode_entry(new)
        document = sealing.unseal(new.command.document)
        assert msgspec.structs.replace(new.command, document=document) == old.command
        assert (new.time, new.quotes) == (old.time, old.quotes)
    core = await started()
    assert tokens_in(core) == list(TOKENS)
    await core.stop()


async def test_after_the_keys_were_rotated_the_old_one_can_go(settings):
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    settings.FIELD_KEYS = [old]
    plain_tables()
    core = await started()
    await core.stop()  # with a snapshot under the old key
    with psycopg.connect(database_url()) as database:
        sealing.reseal_tables(database.cursor())
    settings.FIELD_KEYS = [new, old]
    running = await started()
    with psycopg.connect(database_url()) as database:
        sealing.reseal_tables(database.cursor())
    await running._projector._store_snapshot(running.sequence, snapshot.pack(running.book))
    await running.stop()
    settings.FIELD_KEYS = [new]
    core = await started()
    assert tokens_in(core) == list(TOKENS)
    await core.stop()


async def test_a_token_whose_key_is_gone_stops_nothing(settings, caplog):
    plain_tables()
    settings.FIELD_KEYS = [Fernet.generate_key().decode()]
    with psycopg.connect(database_url()) as database:
        sealing.reseal_tables(database.cursor())
    settings.FIELD_KEYS = [Fernet.generate_key().decode()]
    core = await started()
    document = core.book.strategies_by_id["S0"].document
    assert "fits none of FIELD_KEYS" in caplog.text
    assert sealing.unseal(document)["telegram"]["publishing"] == {"chatId": "@signals"}
    with psycopg.connect(database_url()) as database:
        assert sealing.reseal_tables(database.cursor()) == 0
    await core.stop()


def test_reencrypt_rewrites_the_backends_tables_too(capsys):
    plain_tables()
    call_command("reencrypt")
    assert "journal and snapshots of the backend: 5 rows" in capsys.readouterr().out
    assert_unknown(dump())
