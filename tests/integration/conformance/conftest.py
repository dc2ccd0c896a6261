"""The black-box kit of the account APIs: plain HTTP over loopback into a backend that runs as its own process.

Nothing here uses our client or our structs: what is sent and expected is what the vendor's clients send and expect. An
API is reached as they do, by the name of its host, or by the prefix that stands for it on one origin.
"""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from psycopg.conninfo import conninfo_to_dict

from copying.backend import tokens
from copying.backend.http.options import database_url
from tests.integration.copying.conftest import empty
from tests.integration.copying.test_over_tls import address_of

ROOT = Path(__file__).resolve().parents[3]
PROVISIONING, TERMINAL = "mt-provisioning-api-v1", "mt-client-api-v1"
METASTATS, RISK_MANAGEMENT = "metastats-api-v1", "risk-management-api-v1"
ACCOUNTS = "/users/current/accounts"
DEMO_SERVER = "PaperBroker-Demo"
WAIT_SECONDS = 240  # machines may be slow
_numbers = itertools.count(1)


@dataclass
class Caller:
    """Somebody with a token. by: "host" or "prefix", how an API is named."""

    port: int
    tenant: str
    by: str = "host"

    def call(self, api: str, method: str, path: str, *, host: str = "", **request: Any) -> httpx.Response:
        """A request to an API of section 1.1."""
        headers = {"auth-token": tokens.issue(self.tenant), **request.pop("headers", {})}
        if host or self.by == "host":
            region = "" if api == PROVISIONING else "local."
            headers["host"] = host or f"{api}.{region}localhost:{self.port}"
        elif api:
            path = f"/{api}{path}"
        return httpx.request(method, f"http://127.0.0.1:{self.port}{path}", headers=headers, timeout=30, **request)

    def get(self, api: str, path: str, **request: Any) -> Any:
        """The JSON of a GET that succeeds."""
        answer = self.call(api, "GET", path, **request)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def refused(self, status: int, api: str, method: str, path: str, **request: Any) -> dict[str, Any]:
        """The error body (CF 1.6) of a request that fails."""
        answer = self.call(api, method, path, **request)
        assert answer.status_code == status, answer.text
        body = answer.json()
        assert body["error"]
        assert body["message"]
        return body

    def account(self, account_id: str) -> dict[str, Any]:
        """P4."""
        return self.get(PROVISIONING, f"{ACCOUNTS}/{account_id}")

    def create(self, **changes: Any) -> str:
        """An account that runs; its id."""
        body = {"name": "Paper", "server": DEMO_SERVER, "platform": "mt5", "magic": 0, "currency": "USD", **changes}
        answer = self.call(PROVISIONING, "POST", ACCOUNTS, json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def wait_for(self, account_id: str, state: str) -> list[str]:
        """The states seen until an account has one."""
        seen, until = [], time.monotonic() + WAIT_SECONDS
        while not seen or seen[-1] != state:
            seen.append(self.account(account_id)["state"])
            assert time.monotonic() < until, seen
            time.sleep(0.1)
        return seen


@pytest.fixture(scope="module")
def port(django_db_setup, django_db_blocker, tmp_path_factory):
    """`manage.py runbackend` on the tests' database."""
    with django_db_blocker.unblock():
        database = conninfo_to_dict(database_url())
        empty()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    environment = {**os.environ, "DATABASE_URL": address_of(database), "VAR": str(tmp_path_factory.mktemp("var"))}
    process = subprocess.Popen(
        [sys.executable, "manage.py", "runbackend", "--port", str(number)], cwd=ROOT, env=environment
    )
    try:
        wait_until_ready(number, process)
        yield number
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        with django_db_blocker.unblock():
            empty()


def wait_until_ready(port: int, process: subprocess.Popen) -> None:
    """Until it answers."""
    until = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            assert httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=10).status_code == 200
            return
        except httpx.HTTPError:
            assert process.poll() is None, "the backend does not start"
            assert time.monotonic() < until
            time.sleep(0.05)


@pytest.fixture(params=["host", "prefix"])
def alice(port, request) -> Caller:
    """Somebody new, who names APIs in either way."""
    return Caller(port, f"alice-{next(_numbers)}", request.param)


@pytest.fixture
def bob(port) -> Caller:
    """Another tenant."""
    return Caller(port, f"bob-{next(_numbers)}")
