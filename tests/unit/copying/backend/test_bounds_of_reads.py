"""How much is read at once: exactly the bound is answered, one more is refused."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from copying.backend.http import simulations, terminal_access
from copying.backend.state.errors import Refused
from tests.unit.copying.backend.desk import Desk
from tests.unit.copying.backend.test_simulation import recorded

NOW = datetime(2026, 3, 2, tzinfo=UTC)


class Records:
    """A database with so many signals and so many later events, which answers as many as are asked for."""

    def __init__(self, desk: Desk, signals: int, events: int) -> None:
        desk.strategy()
        desk.subscriber()
        desk.signal()
        self.document = msgspec.json.encode(recorded(desk)[0])
        self.count = {"most": signals, "all": events}

    async def rows(self, query: str, parameters: dict[str, Any]) -> list[tuple]:
        name = "most" if "what = 'open'" in query else "all"
        count = min(self.count[name], parameters[name])
        if name == "most":
            return [(self.document, None, number) for number in range(count)]
        return [(self.document, 100 + number) for number in range(count)]


@pytest.mark.parametrize(
    ("signals", "events", "at_fault"),
    [(2, 7, ""), (3, 8, ""), (4, 0, "more than 3 signals"), (3, 9, "too many events"), (0, 0, "")],
)
def test_a_simulation_reads_at_most_so_many_signals_and_events(
    desk: Desk, monkeypatch: Any, signals: int, events: int, at_fault: str
) -> None:
    monkeypatch.setattr(simulations, "MOST_SIGNALS", 3)
    monkeypatch.setattr(simulations, "MOST_EVENTS", 8)
    reading = simulations._events(Records(desk, signals, events), ["S"], NOW, NOW)
    if not at_fault:
        assert len(asyncio.run(reading)) == signals + events
        return
    with pytest.raises(Refused) as refused:
        asyncio.run(reading)
    assert at_fault in refused.value.details[0]["message"]


@pytest.mark.parametrize("state", ["DEPLOYED", "UNDEPLOYED", "DEPLOYING", "DRAFT", "CREATED"])
def test_an_account_runs_where_it_is_deployed(desk: Desk, state: str) -> None:
    for account in ("a", "b"):
        desk.account(account)
    desk.book.account_meta[desk.book.account_rows["a"]].state = state
    credits = SimpleNamespace(running=lambda tenant, now, count: count())
    here = SimpleNamespace(core=SimpleNamespace(book=desk.book), credits=credits)
    others = sum(meta.state == "DEPLOYED" for meta in desk.book.account_meta) - (state == "DEPLOYED")
    assert terminal_access.running(here, "t") == others + (state == "DEPLOYED")
    assert others == 1
