"""Data sets that the version before could not start or that died with every order start by themselves and go on."""

from __future__ import annotations

import asyncio
import json

import psycopg
import pytest

from copying.backend.core.writer import Core
from copying.backend.http import reads
from tests.data import make_stuck, store

pytestmark = pytest.mark.django_db
EXPECTED = json.loads((store.FOLDER / "stuck.json").read_text())


@pytest.mark.parametrize("case", EXPECTED)
def test_a_stuck_backend_starts_by_itself(tables: str, case: str) -> None:
    with psycopg.connect(tables, autocommit=True) as connection:
        connection.execute("DELETE FROM copying_tenant")
        store.read(f"stuck_{case}.sql.gz", connection)

    async def run() -> tuple[Core, set[str]]:
        market = make_stuck.Moving()
        core = Core(tables, market, clock=lambda: make_stuck.NOW + 10, fail=pytest.fail)
        await core.start(ticking=False)
        core.look_at_market()
        opened = {signal.id for signal in core.book.signals.values()}
        market.prices = {**market.prices, "EURUSD": (1.101, 1.10108)}
        core.look_at_market()
        for tenant in ("one", "two"):
            await core.submit(make_stuck.signal(tenant, f"{tenant}fresh"))
        market.prices = {**market.prices, "EURUSD": (1.04, 1.04008)}
        core.look_at_market()  # the limit order fills
        await core.caught_up()
        await core.stop()
        return core, opened

    core, opened = asyncio.run(run())
    assert opened == set(EXPECTED[case]["signals"])
    assert {meta.id for meta in core.book.account_meta} >= {"onea", "oneb", "twoa", "twob"}
    held = {
        account: len(reads.account_positions(core.book, account[:3], account)) for account in ("onea", "oneb", "twoa")
    }
    assert held == {"onea": 2, "oneb": 0, "twoa": 2}
    with psycopg.connect(tables, autocommit=True) as connection:
        aside = connection.execute("SELECT count(*) FROM copying_journalentry WHERE original IS NOT NULL").fetchone()
        assert aside == (len(EXPECTED[case]["set aside"]),), "what was told as set aside stays so"
        lines = connection.execute("SELECT count(*) FROM copying_userlogrecord WHERE severity = 3").fetchone()
        assert lines >= aside, "and is in the log of its strategy"
        connection.execute("DELETE FROM copying_tenant")
