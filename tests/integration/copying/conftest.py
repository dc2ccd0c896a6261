"""The black-box kit of the contract: raw HTTP into the embedded backend, in process, on a real database.

One backend serves a whole module; every test speaks as a user of its own, so tests share no rows and need no emptying.
Nothing here uses our client or our structs: what is sent and expected is what the vendor's clients send and expect.
"""

from __future__ import annotations

import itertools
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import psycopg
import pytest

from copying.backend import tokens
from copying.backend.core.writer import Core
from copying.backend.http import create_app
from copying.backend.http.options import ServerOptions, database_url
from copying.backend.state.commands import ReserveStrategyId
from copying.backend.state.errors import Refused

STRATEGIES = "/users/current/configuration/strategies"
PORTFOLIOS = "/users/current/configuration/portfolio-strategies"
SUBSCRIBERS = "/users/current/configuration/subscribers"
QUOTES = {"EURUSD": (1.1, 1.10008), "GBPUSD": (1.25, 1.25011), "USDJPY": (150.0, 150.009)}
TABLES = (
    "tenant",
    "journalentry",
    "snapshot",
    "progress",
    "transactionrecord",
    "userlogrecord",
    "stopoutrecord",
    "decisionrecord",
    "accountsnapshotrecord",
    "accountdealrecord",
    "signalrecord",
)
_numbers = itertools.count(1)


class StillMarket:
    """Prices that move only when a test moves them."""

    simulated = True

    def __init__(self) -> None:
        self.prices = dict(QUOTES)

    def quotes(self, now: float) -> dict[str, tuple[float, float]]:
        return self.prices

    def mids(self, symbol: str, times: np.ndarray) -> np.ndarray:
        return np.full(len(times), sum(self.prices[symbol]) / 2)


@dataclass
class Backend:
    """A running backend and its application."""

    core: Core
    app: Any
    market: StillMarket

    def user(self, tenant: str = "") -> User:
        """A user nobody else is; or the same one again."""
        return User(self, tenant or f"user-{next(_numbers)}")


class User:
    """Somebody with a token who speaks HTTP."""

    def __init__(self, backend: Backend, tenant: str) -> None:
        self.backend = backend
        self.tenant = tenant
        self.token = tokens.issue(tenant)
        self.prefix = f"{tenant.rpartition('-')[2]}x"
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(backend.app),
            base_url="http://backend",
            headers={"auth-token": self.token},
            event_hooks={"request": [self._reserve]},
        )
        self.reserves = True  # what is put is handed out first; False: as anybody on the network

    def id(self, name: str) -> str:
        """An id that no other test uses."""
        return f"{self.prefix}{name}"

    async def _reserve(self, request: httpx.Request) -> None:
        kind, _, strategy_id = request.url.path.removeprefix("/users/current/configuration/").partition("/")
        if self.reserves and request.method == "PUT" and kind in ("strategies", "portfolio-strategies"):
            await self.hand_out(strategy_id)

    async def hand_out(self, strategy_id: str) -> None:
        """Have an id of the test's choice handed out, as C1 does with one of its own."""
        with suppress(Refused):  # it is taken: what a PUT then says is the test's business
            await self.backend.core.submit(ReserveStrategyId(tenant=self.tenant, strategy_id=strategy_id))

    async def get(self, path: str, **parameters: Any) -> Any:
        """The JSON of a GET that succeeds."""
        answer = await self.http.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/json"
        return answer.json()

    async def status(self, method: str, path: str, **request: Any) -> int:
        """Only the status of a request; a failure must carry a proper error body."""
        answer = await self.http.request(method, path, **request)
        if answer.status_code >= 400:
            assert_error(answer, answer.status_code)
        return answer.status_code

    async def put(self, path: str, body: Any) -> None:
        """A PUT that succeeds."""
        answer = await self.http.put(path, json=body)
        assert answer.status_code == 204, answer.text
        assert answer.content == b""

    async def provide(self, name: str = "s", **settings: Any) -> str:
        """A strategy on an account of its own; returns its id."""
        strategy_id = self.id(name)
        account = {"accountId": self.id(f"provider-{name}")}
        await self.put(f"{STRATEGIES}/{strategy_id}", {"name": name, "description": "d", **account, **settings})
        return strategy_id

    async def subscribe(self, *strategy_ids: str, name: str = "a", **settings: Any) -> str:
        """A subscriber to strategies at fixed volume; returns its id."""
        subscriber_id = self.id(name)
        scaling = {"mode": "none"}
        subscriptions = [{"strategyId": each, "tradeSizeScaling": scaling} for each in strategy_ids]
        await self.put(f"{SUBSCRIBERS}/{subscriber_id}", {"name": name, "subscriptions": subscriptions, **settings})
        return subscriber_id

    async def signal(self, strategy_id: str, signal_id: str = "abcd1234", **changes: Any) -> str:
        """An external signal; returns its id."""
        body = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "time": iso(time.time()), "volume": 0.1, **changes}
        await self.put(f"/users/current/strategies/{strategy_id}/external-signals/{signal_id}", body)
        return signal_id


def iso(moment: float) -> str:
    """A time as the vendor's clients write it."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))
    return f"{whole}.{int(moment % 1 * 1000):03}Z"


def assert_error(answer: httpx.Response, status: int, *parameters: str) -> dict[str, Any]:
    """The error body of the contract (1.6); `parameters` are those that its details name."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert isinstance(body["id"], int)
    assert body["error"]
    assert body["message"]
    assert [each["parameter"] for each in body.get("details", [])] == list(parameters) or not parameters
    return body


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def backend(django_db_setup, anyio_backend):
    """A started backend on empty tables, without its ticker: time moves by requests."""
    empty()
    market = StillMarket()
    core = Core(database_url(), market, fail=pytest.fail)
    await core.start()
    options = ServerOptions("http://127.0.0.1:8001", database_url(), requests_per_minute=10**6)
    app = create_app(core, options)
    yield Backend(core, app, market)
    app.state.service.wakeups.close()
    await core.stop()
    await app.state.service.database.close()
    empty()


@pytest.fixture
async def user(backend) -> User:
    """Somebody new, at the prices that the tests know."""
    backend.market.prices = dict(QUOTES)
    backend.core.look_at_market()
    return backend.user()


@pytest.fixture
def stranger(backend) -> User:
    return backend.user()


def empty() -> None:
    """Leave nothing to other tests, whose transactions would not take it back."""
    with psycopg.connect(database_url(), autocommit=True) as connection:
        connection.execute("TRUNCATE " + ", ".join(f"copying_{table}" for table in TABLES))
