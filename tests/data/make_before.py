"""Makes before.sql.gz and before.json: a small firm whose data later versions must start on (README.md)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import django

django.setup()

import psycopg  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.utils import timezone  # noqa: E402

from copying.backend import tokens  # noqa: E402
from copying.backend.core.writer import Core  # noqa: E402
from copying.backend.demo import prepare as demo_history  # noqa: E402
from copying.backend.http.options import database_url  # noqa: E402
from copying.backend.market.ecb import EcbMarket  # noqa: E402
from copying.backend.settings.sealing import seal  # noqa: E402
from copying.backend.state.commands import (  # noqa: E402
    Command,
    OpenAccount,
    PutNews,
    PutSignal,
    PutStrategy,
    PutSubscriber,
    PutWebhook,
    RemoveSignal,
    SetConnection,
    Trade,
)
from copying.models import Tenant  # noqa: E402
from copyportal import demo  # noqa: E402
from tests.data import figures, store  # noqa: E402

TENANT, OTHER = "local", "second"
SUBSCRIBERS, DAYS = 8, 75


def external(signal_id: str, symbol: str, word: str, now: float, **more: object) -> Command:
    document = {"symbol": symbol, "type": word, "volume": 0.4, **more}
    document["time"] = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
    return PutSignal(tenant=OTHER, strategy_id="Sig2", signal_id=signal_id, document=document)


def second_firm(now: float) -> list[Command]:
    """Another user of the same backend: routes that differ, what waits, what is offline, what is secret."""
    telegram = {"publishing": {"token": "1:made-up", "chatId": "@chat", "template": "${operation}"}}
    strategy = seal({"name": "Signals", "description": "", "accountId": "Q-1", "telegram": telegram})
    mapped = [{"from": "EURUSD", "to": "EURUSDm"}]
    documents = {
        "Q-2": {"subscriptions": [{"strategyId": "Sig2"}]},
        "Q-3": {"subscriptions": [{"strategyId": "Sig2", "multiplier": 2, "symbolMapping": mapped}]},
        "Q-4": {"subscriptions": [{"strategyId": "Sig2", "signalDelay": {"minInSeconds": 3600, "maxInSeconds": 7200}}]},
        "Q-5": {"subscriptions": [{"strategyId": "Sig2", "reverse": True}]},
        "Q-6": {"subscriptions": [{"strategyId": "Sig2", "symbolFilter": {"excluded": ["USDJPY"]}}]},
    }
    currencies = {"Q-1": "USD", "Q-2": "EUR", "Q-3": "USD", "Q-4": "GBP", "Q-5": "JPY", "Q-6": "USD"}
    news = {"time": "2030-01-01T00:00:00+00:00", "currency": "USD", "priority": "high", "breaking": False, "title": ""}
    own = {"tenant": OTHER}
    return [
        *(
            OpenAccount(**own, account_id=each, name=each, currency=currency, deposit=3e6 if currency == "JPY" else 2e4)
            for each, currency in currencies.items()
        ),
        PutStrategy(**own, strategy_id="Sig2", document=strategy),
        *(
            PutSubscriber(**own, subscriber_id=each, document={"name": each, **document})
            for each, document in documents.items()
        ),
        PutWebhook(**own, strategy_id="Sig2", webhook_id="made-up-webhook-id-0001", document={"magic": 7}),
        PutNews(**own, events=[news]),
        Trade(**own, account_id="Q-1", action_type="ORDER_TYPE_BUY", symbol="GBPUSD", volume_lots=0.3),
        Trade(**own, account_id="Q-2", action_type="ORDER_TYPE_SELL", symbol="EURUSD", volume_lots=0.1),
        external("market01", "EURUSD", "POSITION_TYPE_BUY", now),
        external("market02", "USDJPY", "POSITION_TYPE_SELL", now),
        external("pending1", "EURUSD", "ORDER_TYPE_BUY_LIMIT", now, openPrice=0.5),
        SetConnection(**own, account_id="Q-5", is_connected=False),
        external("market03", "EURUSD", "POSITION_TYPE_BUY", now),
        RemoveSignal(**own, strategy_id="Sig2", signal_id="market01", time=datetime.fromtimestamp(now, UTC)),
    ]


async def trade() -> None:
    """The second firm's day; the end of it stands in the journal alone."""
    core = Core(database_url(), EcbMarket())
    await core.start(ticking=False)
    core.look_at_market()
    for command in second_firm(core.clock()):
        await core.submit(command)
    await core.caught_up()
    await core.stop()
    with psycopg.connect(database_url(), autocommit=True) as connection:
        connection.execute("DELETE FROM copying_snapshot WHERE sequence = (SELECT max(sequence) FROM copying_snapshot)")


async def state() -> dict:
    core = Core(database_url(), figures.StoredPrices())
    await core.start(ticking=False)
    await core.caught_up()
    found = {"time": core.book.time, "state": figures.of_state(core)}
    for task in core._tasks:  # no snapshot: the next start replays as this one did
        task.cancel()
    await core._journal.close()
    await core._projector._connection.close()
    return found


@contextlib.contextmanager
def backend():
    """The version's own backend process, for the first mirror."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "manage.py", "runbackend", "--port", str(port)])
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    from django.conf import settings

    settings.VAR = Path(os.environ["VAR"]) if "VAR" in os.environ else Path("/tmp")
    call_command("migrate", interactive=False, verbosity=0)
    demo_history.SUBSCRIBERS = SUBSCRIBERS
    asyncio.run(demo_history.prepare_demo(TENANT, timezone.now(), print, days=DAYS))
    Tenant.objects.get_or_create(pk=OTHER, defaults={"name": "Second firm"})
    asyncio.run(trade())
    with backend() as address:
        settings.BACKEND_URL, settings.BACKEND_TOKEN = address, tokens.issue(TENANT)
        workspace = demo.make_people()
        demo.invite_people(print, now=timezone.now())
        demo._run_due(workspace.connections.get(), print)
    with psycopg.connect(database_url(), autocommit=True) as connection:
        connection.execute("DELETE FROM copying_snapshot WHERE sequence = (SELECT max(sequence) FROM copying_snapshot)")
        connection.execute("DELETE FROM django_session")
    expected = asyncio.run(state())
    expected |= {"records": figures.of_records(database_url()), "portal": figures.of_portal(database_url())}
    (store.FOLDER / "before.json").write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n")
    store.write("before.sql.gz", database_url())


if __name__ == "__main__":
    main()
