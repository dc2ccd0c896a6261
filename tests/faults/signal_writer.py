"""A process that sends signals to a backend core as fast as it can and prints each one that was acknowledged.

Started and killed by test_backend_kills.py: `signal_writer.py DATABASE_URL FIRST`.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime

import numpy as np

from copying.backend.core.writer import Core
from copying.backend.state.commands import (
    OpenAccount,
    PutSignal,
    PutStrategy,
    PutSubscriber,
    RemoveSignal,
)

SUBSCRIBERS = 20
DEPOSIT = 1_000_000_000  # enough for every signal that a fast machine may send before the end comes


class Drifting:
    """A market that moves a little with every look."""

    simulated = True

    def __init__(self) -> None:
        self.looks = 0

    def quotes(self, now: float) -> dict[str, tuple[float, float]]:
        self.looks += 1
        bid = round(1.1 + self.looks % 50 * 1e-5, 5)
        return {"EURUSD": (bid, round(bid + 1e-4, 5))}

    def mids(self, symbol: str, times: np.ndarray) -> np.ndarray:
        return np.full(len(times), 1.1)


async def main(database_url: str, first: int, **ways_to_write: type) -> None:
    core = Core(database_url, Drifting(), **ways_to_write)
    await core.start()
    if "S" not in core.book.strategies_by_id:
        await core.submit(OpenAccount(tenant="t", account_id="prov", name="prov", deposit=100_000))
        document = {"name": "S", "description": "", "accountId": "prov"}
        await core.submit(PutStrategy(tenant="t", strategy_id="S", document=document))
        for number in range(SUBSCRIBERS):
            await core.submit(OpenAccount(tenant="t", account_id=f"a{number}", name="a", deposit=DEPOSIT))
            subscription = {"strategyId": "S", "tradeSizeScaling": {"mode": "fixedVolume", "tradeVolume": 0.01}}
            await core.submit(
                PutSubscriber(
                    tenant="t", subscriber_id=f"a{number}", document={"name": "a", "subscriptions": [subscription]}
                )
            )
    print("ready", flush=True)  # noqa: T201
    for number in range(first, first + 100_000):
        signal_id = f"{number:08d}"
        document = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "time": "2100-01-01T00:00:00Z", "volume": 0.1}
        await core.submit(PutSignal(tenant="t", strategy_id="S", signal_id=signal_id, document=document))
        print(signal_id, "open", flush=True)  # noqa: T201
        if number % 2:
            now = datetime.now(UTC)
            await core.submit(RemoveSignal(tenant="t", strategy_id="S", signal_id=signal_id, time=now))
            print(signal_id, "close", flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
