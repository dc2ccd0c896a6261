"""The backend as a process for bench_signal.py: real HTTP on a unix socket, with a stamp at every stage of a signal.

    python -m tests.benchmarks.signal_server SOCKET ROUTES STAMPS

Stamps are seconds of the monotonic clock that all processes of a machine share: commit begun, committed, decided,
first order handed to the broker, all filled, answered. On SIGTERM they are written to the file STAMPS as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from time import monotonic

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "copyportal.settings")
import django

django.setup()

import psycopg
import uvicorn
import uvloop

from copying.backend.core.journal import Journal
from copying.backend.core.writer import Core
from copying.backend.http import create_app
from copying.backend.http.options import ServerOptions, database_url
from copying.backend.service import settle_memory
from copying.backend.signals import fan_out
from copying.backend.state.commands import OpenAccount, PutSignal, PutStrategy, PutSubscriber
from tests.faults.signal_writer import Drifting

LIMIT = {"type": "date", "applyTo": "balance-minus-equity", "maxRelativeRisk": 0.5, "closePositions": True}


def empty() -> None:
    """No rows from before."""
    with psycopg.connect(database_url(), autocommit=True) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE tablename LIKE 'copying\\_%'").fetchall()
        connection.execute("TRUNCATE " + ", ".join(name for (name,) in rows))


async def subscribers(core: Core, routes: int) -> None:
    """A provider and those who copy it in proportion to balances, each with a risk limit."""
    await core.submit(OpenAccount(tenant="t", account_id="prov", name="prov", deposit=100_000))
    document = {"name": "S", "description": "", "accountId": "prov"}
    await core.submit(PutStrategy(tenant="t", strategy_id="S", document=document))
    document = {"name": "a", "subscriptions": [{"strategyId": "S"}], "riskLimits": [LIMIT]}
    commands = [PutSubscriber(tenant="t", subscriber_id=f"a{number}", document=document) for number in range(routes)]
    await asyncio.gather(*(core.submit(command) for command in commands))
    await core.caught_up()


class Stamps:
    """Times of the present signal; `kept` has those of all."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, float]] = {}
        self.current: dict[str, float] = {}

    def watch(self, core: Core) -> None:
        """Put a stamp at every stage by wrapping what is called there."""
        append, execute, open_, apply_ = Journal.append, fan_out.execute, core.broker.open, core._apply
        stamps = self

        async def append_stamped(journal: Journal, first: int, entries: list) -> None:
            begun = monotonic()
            await append(journal, first, entries)
            stamps.current = {"begun": begun, "committed": monotonic()}

        def execute_stamped(*args):
            stamps.current["decided"] = monotonic()
            execute(*args)

        def open_stamped(*args):
            stamps.current.setdefault("ordered", monotonic())
            return open_(*args)

        def applied_stamped(entry, *args):
            stamps.current = {key: stamps.current[key] for key in ("begun", "committed") if key in stamps.current}
            apply_(entry, *args)
            if isinstance(entry.command, PutSignal):
                stamps.kept[entry.command.signal_id] = {**stamps.current, "applied": monotonic()}

        Journal.append, fan_out.execute, core._apply = append_stamped, execute_stamped, applied_stamped
        core.broker.open = open_stamped


async def main(socket: str, routes: int, target: Path) -> None:
    empty()
    core = Core(database_url(), Drifting())
    await core.start()
    await subscribers(core, routes)
    stamps = Stamps()
    stamps.watch(core)
    app = create_app(core, ServerOptions("http://backend", database_url(), requests_per_minute=10**9))
    config = uvicorn.Config(
        app, uds=socket, http="httptools", log_level="warning", access_log=False, lifespan="off", timeout_keep_alive=75
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: setattr(server, "should_exit", True))
    settle_memory()
    await server.serve()
    target.write_text(json.dumps(stamps.kept))
    await core.stop()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
