"""In which order a simulation is told what was recorded."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import msgspec

from copying.backend.http.simulations import _events

MOMENT = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Table:
    """Answers as the database: the opens, then what happened to them."""

    def __init__(self, records: list[tuple[str, int]]) -> None:
        self.records = records

    async def rows(self, sql: str, parameters: dict[str, Any]) -> list[tuple]:
        opens = "what = 'open'" in sql
        return [
            (document(what, row), None, number) if opens else (document(what, row), number)
            for number, (what, row) in enumerate(self.records)
            if (what == "open") == opens
        ]


def document(what: str, row: int) -> bytes:
    fields: dict[str, Any] = {"what": what, "row": row, "signalId": str(row), "strategyId": "S", "symbol": "EURUSD"}
    fields |= {"side": 1, "kind": 0, "volume": 0.1, "price": 1.1, "stopLoss": None, "takeProfit": None, "magic": 0}
    return msgspec.json.encode({**fields, "time": MOMENT.timestamp(), "quotes": {}})


def test_what_happened_at_one_time_keeps_its_order() -> None:
    """A signal that closes makes room (reduceCorrelations) for the one that opens at the same moment."""
    happened = [("open", 1), ("part", 1), ("close", 1), ("open", 2), ("close", 2), ("open", 3)]
    events = asyncio.run(_events(Table(happened), ["S"], MOMENT, MOMENT))
    assert [(event.what, event.row) for event in events] == happened
