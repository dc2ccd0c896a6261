"""A clock that steps does not stop the copying of external signals: over HTTP, with clocks that the tests set."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import msgspec
import psycopg
import pytest

from copying.backend.core.clock import Clock
from copying.backend.core.writer import Core
from copying.backend.http import create_app
from copying.backend.http.options import ServerOptions, database_url

from .conftest import Backend, StillMarket, User, assert_error, empty, iso

pytestmark = [pytest.mark.anyio, pytest.mark.django_db]


class World:
    """A backend whose clocks a test sets. error: of its machine's clock; database_error: of the database's."""

    def __init__(self) -> None:
        self.passed = self.error = self.database_error = 0.0
        self.begun = time.time()
        self.backend: Backend
        self.user: User
        self.signals = 0

    @property
    def truth(self) -> float:
        return self.begun + self.passed

    async def witness(self) -> float:
        return self.truth + self.database_error

    async def start(self) -> None:
        clock = Clock(lambda: self.truth + self.error, lambda: self.passed, self.witness)
        core = Core(database_url(), StillMarket(), clock=clock, fail=pytest.fail)
        await core.start(ticking=False)
        core.look_at_market()
        self.backend = Backend(
            core, create_app(core, ServerOptions("http://b", database_url(), requests_per_minute=10**6)), core.feed
        )
        self.user = self.backend.user("firm-1")

    async def stop(self) -> None:
        await self.backend.core.stop()
        await self.backend.app.state.service.database.close()

    async def later(self, seconds: float) -> None:
        """So many seconds pass, in looks at the market as the ticker takes them."""
        core = self.backend.core
        for _ in range(max(1, round(seconds / 0.25))):
            self.passed += min(seconds, 0.25)
            await core.clock.ask()
            core.look_at_market()
            await asyncio.sleep(0)
        await core.caught_up()

    async def send(self, age: float = 0.0, **changes: object) -> int:
        """The status of an external signal that its sender's clock, which is right, stamped so long ago."""
        self.signals += 1
        body = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "volume": 0.1, "time": iso(self.truth - age)}
        path = f"/users/current/strategies/{self.user.id('s')}/external-signals/sig{self.signals:05d}"
        answer = await self.user.http.put(path, json=body | changes)
        if answer.status_code == 503:
            assert_error(answer, 503)
            assert answer.headers["retry-after"] == "1"
        return answer.status_code

    async def reasons(self) -> list[str]:
        await self.backend.core.caught_up()
        page = await self.user.get("/users/current/decisions")
        return [each["reason"] for each in reversed(page["items"])]

    async def health(self) -> tuple[int, str]:
        answer = await self.user.http.get("/healthz")
        return answer.status_code, answer.json()["status"]


@pytest.fixture
async def world(django_db_setup) -> AsyncIterator[World]:
    empty()
    world = World()
    await world.start()
    await world.user.subscribe(await world.user.provide())
    yield world
    await world.stop()
    empty()


async def test_two_seconds_of_a_clock_that_is_ahead_cost_nothing(world: World) -> None:
    assert await world.send() == 204
    world.error = 300
    assert await world.send() == 503, "the first signal after the step already"
    await world.later(2)
    assert await world.send() == 503
    assert await world.health() == (503, "unavailable")
    world.error = 0
    assert [await world.send() for _ in range(3)] == [204] * 3
    assert await world.reasons() == ["copied"] * 4
    assert await world.health() == (200, "ok")


@pytest.mark.parametrize("step", [3_600, 90, -90, -3_600])
async def test_a_step_that_the_database_confirms_is_taken_over_within_five_seconds(world: World, step: float) -> None:
    assert await world.send() == 204
    world.error = world.database_error = step
    world.begun, world.error, world.database_error = world.begun + step, 0.0, 0.0
    assert await world.send() == 503
    await world.later(2)
    assert await world.send() == 204
    assert await world.reasons() == ["copied"] * 2
    assert await world.health() == ((200, "ok") if step > 0 else (200, "degraded"))


async def test_signals_are_copied_by_their_own_time_while_the_journal_is_ahead(world: World) -> None:
    world.error = world.database_error = 3_600  # both machines are wrong, and then right again
    await world.later(2)
    assert await world.send(-3_600) == 204
    world.error = world.database_error = 0
    await world.later(2)
    assert await world.health() == (200, "degraded")
    assert [await world.send(), await world.send(59), await world.send(61)] == [204] * 3
    assert await world.reasons() == ["copied", "copied", "copied", "too-late"]


async def test_a_delay_ends_while_the_journal_is_ahead(world: World) -> None:
    delay = {"minInSeconds": 4, "maxInSeconds": 4}
    await world.user.provide(signalDelay=delay)
    world.begun -= 600
    await world.later(2)
    assert await world.send() == 204
    await world.later(9)
    assert await world.reasons() == ["delayed", "copied"]


async def test_changes_closes_webhooks_and_settings_need_no_clock(world: World) -> None:
    strategy = world.user.id("s")
    assert await world.send() == 204
    webhook = await world.user.http.post(
        f"/users/current/configuration/strategies/{strategy}/webhooks", json={"symbolMapping": []}
    )
    world.error = 300
    world.signals -= 1
    assert await world.send(volume=0.05) == 204, "a change of a known signal"
    post = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "volume": 0.1, "time": iso(world.truth)}
    answer = await world.user.http.post(f"/webhooks/{webhook.json()['id']}", json=post)
    assert answer.status_code == 201, answer.text
    path = f"/users/current/strategies/{strategy}/external-signals/sig00001/remove"
    assert await world.user.status("POST", path, json={"time": iso(world.truth)}) == 204
    assert await world.reasons() == ["copied", "copied"]
    assert world.backend.core.book.time < world.truth + 1, "nothing went by the wrong clock"


@pytest.mark.parametrize("error", [3_600, -3_600])
async def test_a_start_with_a_wrong_clock_waits_for_the_right_one(world: World, error: float) -> None:
    assert await world.send() == 204
    await world.stop()
    world.error = error
    await world.start()
    assert await world.send() == 503
    await world.later(30)
    assert await world.send() == 503
    assert world.backend.core.book.time <= world.truth
    world.error = 0
    await world.later(2)
    assert [await world.send() for _ in range(3)] == [204] * 3
    assert await world.reasons() == ["copied"] * 4
    assert await world.health() == (200, "ok")


async def test_a_restart_an_hour_ahead_and_back_copies_what_follows(world: World) -> None:
    """With the database on the same machine, so that nothing contradicts the wrong clock."""
    await world.stop()
    world.error = world.database_error = 3_600
    await world.start()
    assert await world.send(-3_600) == 204
    await world.stop()
    world.error = world.database_error = 0
    await world.start()
    assert await world.health() == (200, "degraded")
    assert [await world.send() for _ in range(5)] == [204] * 5
    await world.stop()
    await world.start()
    assert await world.send(61) == 204
    assert await world.reasons() == ["copied"] * 6 + ["too-late"]


async def test_the_clock_at_receipt_is_journalled_only_where_it_is_not_the_entrys(world: World) -> None:
    await world.send()
    world.begun -= 600
    await world.later(2)
    await world.send()
    with psycopg.connect(database_url()) as connection:
        rows = connection.execute("SELECT payload FROM copying_journalentry ORDER BY sequence").fetchall()
    entries = [msgspec.msgpack.decode(payload) for (payload,) in rows]
    signals = [entry for entry in entries if entry["command"]["kind"] == "put-signal"]
    assert "received" not in signals[0]
    assert signals[1]["time"] - signals[1]["received"] == pytest.approx(599, abs=1)


async def test_health_names_a_journal_that_takes_no_write_and_old_prices(world: World) -> None:
    signs, passed = world.backend.core.signs, [time.monotonic()]
    signs._now = lambda: passed[0]
    signs.see_change()
    signs.begin_write()
    passed[0] += 301
    answer = await world.user.http.get("/healthz")
    assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
    assert answer.json()["troubles"] == ["journal", "prices"]
    assert "disk" in answer.json()["message"]
    signs.end_write()
    answer = await world.user.http.get("/healthz")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    signs.see_change()
    assert await world.health() == (200, "ok")
