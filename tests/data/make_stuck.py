"""Makes stuck_held.sql.gz and stuck_flat.sql.gz: what an unknown symbol on one route left behind (README.md).

held: a pending order brings the name into the book while somebody has a position: every start fails. flat: without
positions the start works, every market order ends the process and its entry is set aside at the next start; the last
one was journalled and not carried out yet.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from datetime import UTC, datetime

import django

django.setup()

import psycopg  # noqa: E402
from django.core.management import call_command  # noqa: E402

from copying.backend.core.writer import Core  # noqa: E402
from copying.backend.http.options import database_url  # noqa: E402
from copying.backend.state.commands import (  # noqa: E402
    Command,
    OpenAccount,
    PutSignal,
    PutStrategy,
    PutSubscriber,
)
from tests.data import store  # noqa: E402

NOW = 1_772_452_800.0  # 2026-03-02 12:00 UTC
BACKEND_TABLES = "-t", "copying_*", "--data-only"
EMPTY = "tenant journalentry snapshot progress transactionrecord userlogrecord stopoutrecord decisionrecord " + (
    "accountsnapshotrecord signalrecord"
)


class Moving:
    """Prices that a test moves."""

    simulated = True

    def __init__(self) -> None:
        self.prices = {"EURUSD": (1.1, 1.10008), "USDJPY": (150.0, 150.009)}

    def quotes(self, now: float) -> dict[str, tuple[float, float]]:
        return self.prices


def signal(tenant: str, signal_id: str, word: str = "POSITION_TYPE_BUY", **more: object) -> Command:
    document = {"symbol": "EURUSD", "type": word, "volume": 0.1, **more}
    document["time"] = datetime.fromtimestamp(NOW, UTC).isoformat(timespec="milliseconds")
    return PutSignal(tenant=tenant, strategy_id=f"S{tenant}", signal_id=signal_id, document=document)


def firms() -> list[Command]:
    """Two users with nothing in common; one route of the first leads to a name that the broker does not know."""
    made: list[Command] = []
    unknown = [{"from": "EURUSD", "to": "XAUUSD"}]
    for tenant in ("one", "two"):
        own = {"tenant": tenant}
        document = {"name": "S", "description": "", "accountId": f"{tenant}prov"}
        made.append(OpenAccount(**own, account_id=f"{tenant}prov", name="provider", deposit=100_000))
        made.append(PutStrategy(**own, strategy_id=f"S{tenant}", document=document))
        for name in ("a", "b"):
            subscription: dict = {"strategyId": f"S{tenant}"}
            if (tenant, name) == ("one", "b"):
                subscription["symbolMapping"] = unknown
            document = {"name": name, "subscriptions": [subscription]}
            made.append(PutSubscriber(**own, subscriber_id=f"{tenant}{name}", document=document))
    return made


async def run(*steps: list[Command]) -> None:
    """Each step is a life of the backend; one that ends before the answer of the last command ends by its fault."""
    for commands in steps:
        died: list[str] = []
        market = Moving()
        core = Core(database_url(), market, clock=lambda: NOW, fail=died.append)
        with contextlib.suppress(AttributeError):  # a start that fails
            await core.start(ticking=False)
            core.look_at_market()
            for command in commands:
                asked = asyncio.ensure_future(core.submit(command))
                while not asked.done() and not died:
                    await asyncio.sleep(0.01)
                asked.cancel()
                if not died:
                    await core.caught_up()
        for task in core._tasks:
            task.cancel()
        await core._journal.close()
        if core._tasks:
            await core._projector._connection.close()


def kept(name: str) -> None:
    store.write(name, database_url(), *BACKEND_TABLES)
    with psycopg.connect(database_url(), autocommit=True) as connection:
        connection.execute("TRUNCATE " + ", ".join(f"copying_{table}" for table in EMPTY.split()))


def main() -> None:
    call_command("migrate", interactive=False, verbosity=0)
    limit = {"word": "ORDER_TYPE_BUY_LIMIT", "openPrice": 1.05}
    limited = signal("one", "onelimit", **limit)
    lives = [[*firms(), signal("two", "twoheld1"), limited, signal("two", "twolast1")], []]
    asyncio.run(run(*lives))
    kept("stuck_held.sql.gz")
    lives = [[*firms(), signal("one", "onelost1")], [limited, signal("two", "twolost1")], [signal("two", "twolast1")]]
    asyncio.run(run(*lives))
    kept("stuck_flat.sql.gz")
    expected = {
        "held": {"signals": ["onelimit", "twoheld1"], "set aside": ["twolast1"]},
        "flat": {"signals": ["onelimit", "twolast1"], "set aside": ["onelost1", "twolost1"]},
    }
    (store.FOLDER / "stuck.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
