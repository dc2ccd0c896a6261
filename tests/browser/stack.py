"""The real thing for the browser: embedded backend with a short demo, its mirror, and granian serving pages.

Everything runs in processes of its own, on a database of its own, with the production settings. Tests look at it
through the browser, through the copying client, and at single rows by SQL.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from django.conf import settings
from django.utils import timezone
from psycopg import sql

from copying.backend import tokens
from copying.client import Client
from copying.contract import wire
from copying.contract.accounts import AccountUpdate
from copyportal.services.portal import GRANIAN, answers
from copyportal.services.process import die_with_parent
from copyportal.services.servers import free_port

ROOT = Path(__file__).resolve().parents[2]
DEMO_DAYS = 33
START_SECONDS = 60.0
SYNC = """
from django.utils import timezone
from reporting.commission.services import accrue_workspace
from reporting.sync import run, states
from users.models import Connection
states.request_sync(Connection.objects.get())
while (lease := states.claim_due()) is not None:
    run.run_one(lease, open_client=run.client_for, now=timezone.now())
accrue_workspace(Connection.objects.get().workspace_id, timezone.now())
"""


@dataclass
class Stack:
    """One installation: a folder, a database, and the processes started in it. changes: of their environment."""

    folder: Path
    name: str
    static_root: Path
    processes: list[subprocess.Popen] = field(default_factory=list)
    backend_port: int = field(default_factory=free_port)
    port: int = field(default_factory=free_port)
    changes: dict[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Where the pages are."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def database_url(self) -> str:
        return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{self.name}").geturl()

    @cached_property
    def token(self) -> str:
        return tokens.issue("local")

    @property
    def environment(self) -> dict[str, str]:
        """What every process is started with."""
        own = {
            "DJANGO_SETTINGS_MODULE": "copyportal.settings",
            "DATABASE_URL": self.database_url,
            "REDIS_URL": settings.REDIS_URL,
            "CACHE_PREFIX": self.name,
            "SECRET_KEY": settings.SECRET_KEY,
            "FIELD_KEYS": ",".join(settings.FIELD_KEYS),
            "BACKEND_URL": f"http://127.0.0.1:{self.backend_port}",
            "BACKEND_TOKEN": self.token,
            "PORTAL_URL": self.address,
            "VAR": str(self.folder),
            "STATIC_ROOT": str(self.static_root),
            "LOG_LEVEL": "ERROR",
            "CONFIRMED_FOR_SECONDS": "86400",  # a run on a slow machine may take longer than people are believed
            "DEBUG": "0",
        }
        return {**os.environ, **own, **self.changes}

    # --- Processes ----------------------------------------------------------------------------------------------------
    def manage(self, *words: str) -> None:
        """Run a `manage.py` command to its end. Raises AssertionError with what it said."""
        command = [sys.executable, "manage.py", *words]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self, name: str, port: int, *command: str) -> None:
        """Start a process that ends with us, and wait until it answers."""
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*die_with_parent("KILL"), sys.executable, *command],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self.processes.append(process)
        until(lambda: answers("127.0.0.1", port) or process.poll() is not None, seconds=START_SECONDS)
        assert process.poll() is None, log.read_text()

    def start_backend(self) -> None:
        self.start("backend", self.backend_port, "manage.py", "runbackend", "--port", str(self.backend_port))

    def start_web(self) -> None:
        words = ["--interface", "asgi", "--port", str(self.port), *GRANIAN]
        self.start("web", self.port, "-m", "granian", *words, "copyportal.asgi:application")

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
        for process in reversed(self.processes):
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    # --- Looking inside -----------------------------------------------------------------------------------------------
    def client(self) -> Client:
        """A client of the backend, as any program outside would be."""
        return Client(self.token, base_url=f"http://127.0.0.1:{self.backend_port}")

    def rows(self, query: str, *values) -> list[tuple]:
        """Rows of the database."""
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(query, values).fetchall()

    def one(self, query: str, *values):
        """The first value of the first row."""
        return self.rows(query, *values)[0][0]

    def sync(self) -> None:
        """Bring over what happened at the backend, at once instead of within seconds."""
        self.manage("shell", "--command", SYNC)

    def sign_ins(self) -> dict[str, tuple[str, str]]:
        """E-mail address and password of the demo's manager and subscriber."""
        lines = (self.folder / "sign-in.txt").read_text().splitlines()[1:3]
        return {role: (email, password) for role, email, password in map(str.split, lines)}

    def invitation(self) -> tuple[str, str]:
        """Address and path of the demo's invitation."""
        _, email, path = (self.folder / "sign-in.txt").read_text().splitlines()[3].split()
        return email, path

    def stop_out(self, *account_ids: str) -> None:
        """Accounts whose endless limit fires with their first trade: the spread alone is more than they may lose."""
        limit = {"type": "lifetime", "applyTo": "balance-minus-equity", "maxAbsoluteRisk": 0.5, "closePositions": True}
        fixed = {"mode": "fixedVolume", "tradeVolume": 0.5}
        terms = {"strategyId": "Ext1", "tradeSizeScaling": fixed}
        with self.client() as client:
            for account in account_ids:
                document = {"name": f"Account {account}", "subscriptions": [terms], "riskLimits": [limit]}
                client.put_account(account, AccountUpdate(name=f"Account {account}", deposit=10_000, demo=True))
                client.put_subscriber(account, document)
        self.signal("sig00001")
        with self.client() as client:
            until(lambda: all(client.stopouts(account) for account in account_ids))

    def signal(self, signal_id: str, strategy_id: str = "Ext1") -> None:
        """A program outside sends an external signal."""
        body = {
            "symbol": "EURUSD",
            "type": "POSITION_TYPE_BUY",
            "time": wire.format_time(timezone.now()),
            "volume": 0.5,
        }
        with self.client() as client:
            client.put_external_signal(strategy_id, signal_id, body)


def until(condition: Callable[[], object], *, seconds: float = 20.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def make_database(name: str, *, template: str = "template1") -> None:
    """An empty database, or a copy of another; one of that name is dropped."""
    drop_database(name)
    with _administration() as connection:
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        connection.execute(create.format(sql.Identifier(name), sql.Identifier(template)))


def drop_database(name: str) -> None:
    with _administration() as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _administration() -> psycopg.Connection:
    address = urlsplit(os.environ["DATABASE_URL"])._replace(path="/postgres").geturl()
    return psycopg.connect(address, autocommit=True)
