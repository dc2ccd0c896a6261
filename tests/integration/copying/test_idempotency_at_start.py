"""What was answered to a request with a key is known after a restart, from a snapshot and from the journal alone."""

from __future__ import annotations

import psycopg
import pytest

from copying.backend.core.writer import Core
from copying.backend.http import create_app
from copying.backend.http.options import ServerOptions, database_url

from .conftest import Backend, StillMarket, User, assert_error, empty
from .test_idempotency import CALLS, Firm, founded, told

pytestmark = [pytest.mark.anyio, pytest.mark.django_db]


class Restarts:
    """A backend of its own that a test ends and starts."""

    async def start(self) -> User:
        core = Core(database_url(), StillMarket(), fail=pytest.fail)
        await core.start(ticking=False)
        core.look_at_market()
        app = create_app(core, ServerOptions("http://b", database_url(), requests_per_minute=10**6))
        self.backend = Backend(core, app, core.feed)
        return self.backend.user("firm-1")

    async def stop(self) -> None:
        await self.backend.core.stop()
        await self.backend.app.state.service.database.close()


@pytest.fixture
async def restarts(django_db_setup):
    empty()
    world = Restarts()
    yield world
    await world.stop()
    empty()


@pytest.mark.parametrize("is_crash", [False, True], ids=["with a snapshot", "from the journal"])
async def test_a_restart_knows_what_was_answered(restarts, is_crash):
    firm = await founded(await restarts.start())
    before = {name: told(await call(firm, {"idempotency-key": name})) for name, call in CALLS.items()}
    state = await firm.state()
    await restarts.stop()
    if is_crash:
        with psycopg.connect(database_url(), autocommit=True) as connection:
            connection.execute("DELETE FROM copying_snapshot")
    firm = Firm(await restarts.start(), firm.strategy, firm.account, firm.webhook)
    assert {name: told(await call(firm, {"idempotency-key": name})) for name, call in CALLS.items()} == before
    assert await firm.state() == state
    answer = await firm.user.http.post(
        f"{firm.address}/deposit", json={"amount": 8}, headers={"idempotency-key": "deposit"}
    )
    assert_error(answer, 422)
