"""A fault of the program that concerns one account leaves everybody else's signals, prices and answers alone.

The faults are planted: a function fails as soon as it is asked about a certain account.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import psycopg
import pytest

from copying.backend.broker.paper import PaperBroker
from copying.backend.core import ticks
from copying.backend.core.writer import Core
from copying.backend.http import reads
from copying.backend.signals import fan_out
from copying.backend.state.book import Book
from copying.backend.state.commands import Command, PutSubscriber, RemoveSignal, Trade
from copying.backend.state.valuation import value
from tests.data.make_stuck import NOW, Moving, firms, signal

pytestmark = pytest.mark.django_db
BAD = "oneb"


def plant(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, accounts: Callable[..., np.ndarray]) -> None:
    """Let a function fail when `accounts` of its arguments, rows of the book, hold the bad one."""
    original = getattr(owner, name)

    def fails(*arguments, **named):
        book = next(each for each in arguments if isinstance(each, Book))
        if book.account_rows.get(BAD, -1) in accounts(*arguments, **named):
            raise ZeroDivisionError("planted")
        return original(*arguments, **named)

    monkeypatch.setattr(owner, name, fails)


PLACES: dict[str, tuple[object, str, Callable[..., np.ndarray]]] = {
    "decisions": (fan_out, "facts_for", lambda book, plan, asked: plan.account),
    "orders": (PaperBroker, "open", lambda broker, book, effects, orders: orders.account),
    "pending orders": (PaperBroker, "place", lambda broker, book, effects, orders: orders.account),
    "half way": (PaperBroker, "_settle", lambda broker, book, account, *more: account),
}


class World:
    """A backend of two firms, its market and its records."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.now = NOW
        self.market = Moving()
        self.core = Core(url, self.market, clock=lambda: self.now, fail=pytest.fail)

    async def begin(self, *, is_set_up: bool = False) -> None:
        await self.core.start(ticking=False)
        self.core.look_at_market()
        for command in [] if is_set_up else firms():
            if isinstance(command, PutSubscriber):  # none of them has a name that nobody knows
                document = {**command.document, "subscriptions": [{"strategyId": f"S{command.tenant}"}]}
                command = PutSubscriber(tenant=command.tenant, subscriber_id=command.subscriber_id, document=document)
            await self.core.submit(command)

    async def send(self, *commands: Command) -> list:
        return await asyncio.gather(*map(self.core.submit, commands), return_exceptions=True)

    async def look(self, seconds: float = 1, **quotes: tuple[float, float]) -> None:
        self.now += seconds
        self.market.prices = {**self.market.prices, **quotes}
        self.core.look_at_market()
        await asyncio.sleep(0.05)
        await self.core.caught_up()

    def state(self) -> dict:
        book = self.core.book
        value(book)
        return {
            meta.id: (
                reads.account_positions(book, meta.tenant, meta.id),
                reads.account_orders(book, meta.tenant, meta.id),
                reads.account(book, meta.tenant, meta.id)["balance"],
            )
            for meta in book.account_meta
        }

    def held(self, account_id: str) -> int:
        positions, orders, _ = self.state()[account_id]
        return len(positions) + len(orders)

    def records(self, sql: str) -> list[tuple]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(sql).fetchall()

    async def is_the_same_again(self) -> None:
        """The journal alone gives the same state, in a version without the fault as well."""
        before = self.state()
        await self.core.stop()
        self.records("DELETE FROM copying_snapshot RETURNING 1")
        self.core = Core(self.url, self.market, clock=lambda: self.now, fail=pytest.fail)
        await self.begin(is_set_up=True)
        assert self.state() == before
        await self.core.stop()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ["market", "pending", "provider"])
def test_a_fault_on_one_route_fails_that_route_alone(tables: str, monkeypatch, place: str, kind: str) -> None:
    if (place == "pending orders") != (kind == "pending") and place != "decisions":
        pytest.skip("not on the way of these orders")

    async def run() -> None:
        world = World(tables)
        await world.begin()
        with monkeypatch.context() as patched:
            plant(patched, *PLACES[place])
            first = {
                "market": signal("one", "onefirst"),
                "pending": signal("one", "onefirst", "ORDER_TYPE_BUY_LIMIT", openPrice=1.05),
                "provider": Trade(
                    tenant="one", account_id="oneprov", action_type="ORDER_TYPE_BUY", symbol="EURUSD", volume_lots=0.1
                ),
            }[kind]
            answers = await world.send(first, signal("two", "twofirst"))
            assert not any(isinstance(each, Exception) for each in answers)
            assert [world.held(each) for each in ("onea", "oneb", "twoa", "twob")] == [1, 0, 1, 1]
            await world.send(signal("one", "onenext1"))  # is not tried on the account again
            await world.look(EURUSD=(1.101, 1.10108))
            assert [world.held(each) for each in ("onea", "oneb")] == [2, 0]
        decisions = world.records(
            "SELECT subscriber_id, outcome, reason FROM copying_decisionrecord WHERE tenant = 'one' ORDER BY id LIMIT 2"
        )
        assert sorted(decisions) == [("onea", "copied", "copied"), ("oneb", "failed", "program-fault")]
        lines = world.records("SELECT subscriber_id FROM copying_userlogrecord WHERE severity = 3")
        assert set(lines) == {(BAD,)}
        await world.is_the_same_again()

    asyncio.run(run())


def test_settings_that_are_saved_anew_are_tried_at_once(tables: str, monkeypatch) -> None:
    async def run() -> None:
        world = World(tables)
        await world.begin()
        with monkeypatch.context() as patched:
            plant(patched, *PLACES["decisions"])
            await world.send(signal("one", "onefirst"))
        await world.send(signal("one", "onenext1"))
        assert world.held(BAD) == 0
        document = {"name": "b", "subscriptions": [{"strategyId": "Sone"}]}
        await world.send(PutSubscriber(tenant="one", subscriber_id=BAD, document=document))
        await world.send(signal("one", "onelast1"))
        assert world.held(BAD) == 1
        await world.is_the_same_again()

    asyncio.run(run())


@pytest.mark.parametrize("place", ["before the tick", "in the tick"])
def test_prices_go_on_for_the_others(tables: str, monkeypatch, place: str) -> None:
    """A limit order of each account is reached; to look at, or to fill, that of one account fails."""

    async def run() -> None:
        world = World(tables)
        await world.begin()
        limit = {"word": "ORDER_TYPE_BUY_LIMIT", "openPrice": 1.05}
        await world.send(signal("one", "onelimit", **limit), signal("two", "twolimit", **limit))
        with monkeypatch.context() as patched:
            if place == "in the tick":
                plant(patched, PaperBroker, "open", PLACES["orders"][2])
            else:
                reached = ticks.triggered_orders
                plant(patched, ticks, "triggered_orders", lambda book: book.orders.account[reached(book)])
            await world.look(EURUSD=(1.04, 1.04008))
            await world.look(EURUSD=(1.0401, 1.04018))
            for account, expected in {"onea": 1, "oneb": 0, "twoa": 1, "twob": 1}.items():
                assert len(reads.account_positions(world.core.book, account[:3], account)) == expected, account
        lines = world.records("SELECT DISTINCT subscriber_id FROM copying_userlogrecord WHERE severity = 3")
        assert lines == [(BAD,)]
        await world.look(61, EURUSD=(1.0402, 1.04028))  # is tried again, and repaired meanwhile
        assert len(reads.account_positions(world.core.book, "one", BAD)) == 1
        await world.is_the_same_again()

    asyncio.run(run())


def test_what_a_fault_kept_from_closing_is_found_later(tables: str, monkeypatch) -> None:
    async def run() -> None:
        world = World(tables)
        await world.begin()
        await world.send(signal("one", "onefirst"))
        with monkeypatch.context() as patched:
            plant(patched, PaperBroker, "_closing", lambda broker, book, held, *more: held["account"])
            moment = datetime.fromtimestamp(NOW, UTC)
            await world.send(RemoveSignal(tenant="one", strategy_id="Sone", signal_id="onefirst", time=moment))
            assert [world.held(each) for each in ("onea", BAD)] == [0, 1]
        await world.core.stop()
        world.core = Core(tables, world.market, clock=lambda: world.now, fail=pytest.fail)
        await world.begin(is_set_up=True)
        await world.look(1)
        assert world.held(BAD) == 0, "an orphan, closed at the next start"
        await world.core.stop()

    asyncio.run(run())
