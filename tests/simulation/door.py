"""The backend's own API in front of the simulated core: for what has no command, posts to webhooks and simulations."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import Any

import httpx
import msgspec

from copying.backend.core.writer import Core
from copying.backend.http import create_app
from copying.backend.http.options import ServerOptions
from copying.backend.state.times import iso
from tests.simulation.disk import Disk

OUTCOMES = ("copied", "resized", "skipped", "failed")
HOUR = 3600.0


class Inline(ThreadPoolExecutor):
    """Runs at once what is given to a thread, so that a seed repeats."""

    def submit(self, work, /, *arguments: Any, **named: Any) -> Future:
        future: Future = Future()
        try:
            future.set_result(work(*arguments, **named))
        except Exception as error:
            future.set_exception(error)
        return future


class Records:
    """The table of recorded signals, as the API asks it."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk

    async def rows(self, sql: str, parameters: dict[str, Any]) -> list[tuple]:
        await self.disk.pause()
        assert "copying_signalrecord" in sql
        found, records = [], self.disk.records["signals"]
        for number in reversed(range(len(records))):
            moment, document, _, strategy_id, row, what, facts, *_ = records[number]
            time = datetime.fromisoformat(moment)
            if time < parameters["start"]:
                break
            if strategy_id not in parameters["leaves"]:
                continue
            if "what = 'open'" in sql:
                if what == "open" and time < parameters["end"]:
                    found.append((document, facts, number))
            elif what in ("fill", "part", "close") and row in parameters["rows"]:
                found.append((document, number))
        return found[::-1]


class Door:
    """A client of one started core."""

    def __init__(self, core: Core, disk: Disk) -> None:
        asyncio.get_running_loop().set_default_executor(Inline())
        app = create_app(core, ServerOptions("http://backend", "", requests_per_minute=10**9))
        app.state.service = replace(app.state.service, database=Records(disk))
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://backend")

    async def post(self, webhook_id: str, document: dict[str, Any]) -> str | None:
        """Post to a webhook; the id of the signal it made, None when it was refused."""
        answer = await self.http.post(f"/webhooks/{webhook_id}", json=document)
        assert answer.status_code in (201, 400, 404), answer.text
        return answer.json()["signalId"] if answer.status_code == 201 else None

    async def simulate(self, token: str, now: float, changes: dict[str, Any]) -> None:
        """Ask what changes would have done in the last hours; no changes make no difference."""
        asked = {"startTime": iso(now - 6 * HOUR), "endTime": iso(now + HOUR), "changes": changes, "limit": 1000}
        body = msgspec.json.encode(asked)
        answer = await self.http.post("/users/current/simulations", content=body, headers={"auth-token": token})
        assert answer.status_code in (200, 400), answer.text
        if answer.status_code == 200:
            check_sums(answer.json())
        if not changes:
            assert answer.status_code == 200, answer.text
            totals = answer.json()["totals"]
            assert totals["differs"] == 0
            assert totals["baseline"] == totals["changed"]


def check_sums(told: dict[str, Any]) -> None:
    """What is told in total, per subscriber and per signal is the same, and every outcome has a reason."""
    signals = told["signals"]["items"]
    assert told["signals"]["next"] is None
    assert told["totals"]["signals"] == len(signals)
    assert told["totals"]["differs"] == sum(each["differs"] for each in signals)
    for run in ("baseline", "changed"):
        totals = told["totals"][run]
        for parts in ([each[run] for each in signals], [each[run] for each in told["subscribers"]]):
            for name in OUTCOMES:
                assert totals[name] == sum(part[name] for part in parts), name
            for name in ("volume", "profit", "floatingProfit"):  # rounded to the hundredth, each for itself
                assert abs(totals[name] - sum(part[name] for part in parts)) <= 0.005 * (len(parts) + 1) + 1e-6, name
        for each in signals:
            assert sum(each[run]["reasons"].values()) == sum(each[run][name] for name in OUTCOMES)
