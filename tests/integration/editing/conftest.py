"""A firm whose connection leads over HTTP to a real embedded backend, so that what pages save can be asked for there.

One backend serves a whole module from a thread of its own; each test speaks as a tenant of its own. Prices move only
when a test moves them.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
import uvicorn
from django.utils import timezone

from copying.backend import tokens
from copying.backend.core.writer import Core
from copying.backend.http import create_app
from copying.backend.http.options import ServerOptions, database_url
from copying.backend.state.commands import RemoveSignal, ReserveStrategyId
from copying.backend.state.errors import Refused
from copying.client import Client
from copying.contract import wire
from copyportal.services.servers import free_port
from editing.models import Change
from strategies.mirror import keep_strategies
from strategies.models import Strategy
from subscribers.mirror import keep_subscribers
from subscribers.models import Subscriber, SubscriberAccess
from tests import builders
from tests.integration.copying.conftest import QUOTES, StillMarket, empty
from users.models import Connection

_numbers = itertools.count(1)
NONE = {"mode": "none"}


@dataclass
class Served:
    """A backend in a thread: its address, its market, and its own look at the prices."""

    url: str
    market: StillMarket
    core: Core
    loop: asyncio.AbstractEventLoop

    def move(self, **quotes: tuple[float, float]) -> None:
        """Prices change and the backend looks at them."""
        self.market.prices = {**self.market.prices, **quotes}
        done = asyncio.run_coroutine_threadsafe(self._look(), self.loop)
        done.result(30)

    def settle(self) -> None:
        """What was acknowledged is in the tables, so that emptying them meets no transaction of the backend's."""
        asyncio.run_coroutine_threadsafe(self.core.caught_up(), self.loop).result(30)

    def hand_out(self, tenant: str, strategy_id: str) -> None:
        """Have an id of the test's choice handed out, as C1 does with one of its own."""
        command = ReserveStrategyId(tenant=tenant, strategy_id=strategy_id)
        asyncio.run_coroutine_threadsafe(self.core.submit(command), self.loop).result(10)

    async def _look(self) -> None:
        self.core.look_at_market()
        # the look only queues what is due: a command that comes after it is answered when that is done
        with contextlib.suppress(Refused):
            await self.core.submit(
                RemoveSignal(tenant="nobody", strategy_id="none", signal_id="none", time=timezone.now())
            )


@pytest.fixture(scope="module")
def served(django_db_setup, django_db_blocker) -> Iterator[Served]:
    """The embedded backend on empty tables, over a real socket."""
    empty()
    port, made, ready = free_port(), [], threading.Event()

    async def serve() -> None:
        core = Core(database_url(), StillMarket(), fail=pytest.fail)
        await core.start(ticking=False)  # a tick of its own would write while tests empty the tables
        core.look_at_market()
        app = create_app(core, ServerOptions(f"http://127.0.0.1:{port}", database_url(), requests_per_minute=10**6))
        server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", lifespan="off"))
        made.extend([server, Served(f"http://127.0.0.1:{port}", core.feed, core, asyncio.get_running_loop())])
        ready.set()
        await server.serve()
        app.state.service.wakeups.close()
        await core.stop()
        await app.state.service.database.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(20)
    server, backend = made
    until = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < until
        time.sleep(0.02)
    yield backend
    server.should_exit = True
    thread.join(20)
    empty()


@dataclass
class Desk:
    """A firm at work: its connection, two strategies and a portfolio, two accounts that copy; all mirrored."""

    backend: Served
    connection: Connection
    tenant: str
    alpine: Strategy = field(init=False)
    boreal: Strategy = field(init=False)
    portfolio: Strategy = field(init=False)
    hers: Subscriber = field(init=False)
    other: Subscriber = field(init=False)

    def id(self, name: str) -> str:
        """An id that no other test uses."""
        return f"{self.tenant}{name}"

    def client(self) -> Client:
        return self.connection.client()

    def set_up(self) -> None:
        risk = [{"type": "day", "applyTo": "balance-difference", "maxRelativeRisk": 0.5, "closePositions": False}]
        provided = {"description": "d", "tradeSizeScaling": NONE}
        for name in ("alpine", "boreal", "both"):
            self.backend.hand_out(self.tenant, self.id(name))
        with self.client() as client:
            for name in ("alpine", "boreal"):
                document = {"name": name.title(), "accountId": self.id(f"p-{name}"), **provided, "riskLimits": risk}
                client.put_strategy(self.id(name), document)
            members = [{"strategyId": self.id("alpine"), "multiplier": 0.5}, {"strategyId": self.id("boreal")}]
            client.put_portfolio(self.id("both"), {"name": "Both", "description": "d", "members": members})
            terms = [{"strategyId": self.id("alpine"), "multiplier": 2}]
            client.put_subscriber(self.id("hers"), {"name": "Hers", "subscriptions": terms})
            client.put_subscriber(
                self.id("other"), {"name": "Other", "subscriptions": [{"strategyId": self.id("both")}]}
            )
        self.mirror()

    def mirror(self) -> None:
        """What the sync does within a minute."""
        now = timezone.now()
        with self.client() as client:
            keep_strategies(self.connection, list(client.strategies()), now=now)
            keep_strategies(self.connection, list(client.portfolios()), kind="portfolio", now=now)
            keep_subscribers(self.connection, list(client.subscribers()), now=now)
        mine = {one.backend_id: one for one in Strategy.objects.filter(connection=self.connection)}
        self.alpine, self.boreal, self.portfolio = (mine[self.id(name)] for name in ("alpine", "boreal", "both"))
        accounts = {one.backend_id: one for one in Subscriber.objects.filter(connection=self.connection)}
        self.hers, self.other = accounts[self.id("hers")], accounts[self.id("other")]

    def signal(self, strategy: Strategy, signal_id: str = "sig00001", **changes: Any) -> None:
        """An external signal at this moment."""
        body = {
            "symbol": "EURUSD",
            "type": "POSITION_TYPE_BUY",
            "time": wire.format_time(timezone.now()),
            "volume": 0.2,
        }
        with self.client() as client:
            client.put_external_signal(strategy.backend_id, signal_id, {**body, **changes})

    def end_signal(self, strategy: Strategy, signal_id: str = "sig00001") -> None:
        with self.client() as client:
            client.remove_external_signal(strategy.backend_id, signal_id, time=timezone.now() + timedelta(seconds=1))

    def at_backend(self, one: Strategy | Subscriber) -> dict:
        """The document as the backend has it."""
        with self.client() as client:
            if isinstance(one, Subscriber):
                return client.subscriber(one.backend_id)
            return (client.portfolio if one.kind == "portfolio" else client.strategy)(one.backend_id)


@pytest.fixture
def desk(served, workspace, alice, dora) -> Iterator[Desk]:
    """Alice's firm at the backend, at the prices that tests know; Dora may see her account."""
    served.move(**QUOTES)
    tenant = f"t{next(_numbers)}x"
    connection = builders.connection(workspace, base_url=served.url, token=tokens.issue(tenant))
    made = Desk(served, connection, tenant)
    made.set_up()
    SubscriberAccess.objects.create(membership=dora.memberships.get(), subscriber=made.hers)
    yield made
    served.settle()


@dataclass
class Person:
    """Somebody who fills in forms in a browser without scripts."""

    http: Any

    def form(self, path: str, **changes: str | list[str]) -> Any:
        """Open a page's form, change some inputs, and send it where it says; returns the answer."""
        page = self.http.get(path)
        assert page.status_code == 200, page.content.decode()[:500]
        return self.http.post(path, fields_of(page.content.decode()) | changes)

    def proposed(self, path: str, **changes: str | list[str]) -> Change:
        """The change that a form leads to."""
        answer = self.form(path, **changes)
        assert answer.status_code == 302, errors_of(answer.content.decode())
        return Change.objects.get(pk=int(answer.headers["Location"].split("/")[2]))

    def save(self, change: Change, **typed: str) -> Any:
        return self.http.post(f"/changes/{change.pk}/save/", typed)


def fields_of(html: str, form: str = "settings-form") -> dict[str, list[str]]:
    """What a browser would send of the form of this class, untouched."""
    from html.parser import HTMLParser

    class Reader(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.found: dict[str, list[str]] = {}
            self.inside = self.select = self.area = None

        def handle_starttag(self, tag, attributes):
            given = dict(attributes)
            if tag == "form":
                self.inside = form in (given.get("class") or "").split()
            if not self.inside or not (given.get("name") or tag == "option"):
                return
            if tag == "input" and (given.get("type") not in ("checkbox", "radio") or "checked" in given):
                self.found.setdefault(given["name"], []).append(given.get("value") or "")
            elif tag == "select":
                self.select = given["name"]
                self.found[self.select] = [""]
            elif tag == "option" and self.select and "selected" in given:
                self.found[self.select] = [given.get("value") or ""]
            elif tag == "textarea":
                self.area = given["name"]
                self.found[self.area] = [""]

        def handle_data(self, text):
            if self.area:
                self.found[self.area][0] += text.removeprefix("\n") if not self.found[self.area][0] else text

        def handle_endtag(self, tag):
            self.area = None if tag == "textarea" else self.area
            self.select = None if tag == "select" else self.select
            self.inside = False if tag == "form" else self.inside

    reader = Reader()
    reader.feed(html)
    return reader.found


def errors_of(html: str) -> str:
    """The notices of a page, for a failing assertion."""
    return " ".join(part.split("</div>")[0] for part in html.split('class="notice')[1:]) or html[:600]


@pytest.fixture
def person(sign_in):
    """A function that makes a signed-in person who fills in forms."""
    return lambda who: Person(sign_in(who))
