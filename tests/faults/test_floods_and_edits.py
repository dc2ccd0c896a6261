"""Many signals at once, and settings that change under them: each is copied once, by one version, or refused aloud."""

from __future__ import annotations

import asyncio
import resource
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable

import httpx
import psycopg
import pytest

from copying.backend import tokens
from copying.backend.core.journal import decode_entry
from copying.backend.core.writer import Core
from copying.backend.http import create_app
from copying.backend.http.options import ServerOptions
from copying.backend.state.commands import (
    OpenAccount,
    PutPortfolio,
    PutSignal,
    PutStrategy,
    PutSubscriber,
)
from tests.faults.signal_writer import Drifting

pytestmark = pytest.mark.django_db  # without it the tests' database would not be made, and another one emptied
STRATEGIES, SIGNALS, LIMIT = 20, 25, 300
MEGABYTES = 64  # that a flood may cost for good
BODY = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "time": "2100-01-01T00:00:00.000Z", "volume": 0.1}


async def with_core(url: str, work: Callable[[Core], Awaitable]) -> None:
    """A core with strategies S0, S1, … for as long as `work` runs."""
    core = Core(url, Drifting(), fail=pytest.fail)
    await core.start()
    try:
        await core.submit(OpenAccount(tenant="t", account_id="prov", name="prov", deposit=1_000_000))
        for number in range(STRATEGIES):
            document = {"name": "S", "description": "", "accountId": "prov"}
            await core.submit(PutStrategy(tenant="t", strategy_id=f"S{number}", document=document))
        await work(core)
        await core.caught_up()
    finally:
        await core.stop()


async def subscribe(core: Core, subscriber_id: str, *subscriptions: dict, **more) -> None:
    document = {"name": subscriber_id, "subscriptions": list(subscriptions), **more}
    await core.submit(PutSubscriber(tenant="t", subscriber_id=subscriber_id, document=document))


def fixed(strategy_id: str, **more) -> dict:
    return {"strategyId": strategy_id, "tradeSizeScaling": {"mode": "fixedVolume", "tradeVolume": 0.01}, **more}


def opened(url: str) -> list[tuple[str, str, float]]:
    """(signal, subscriber, lots) of all copies, in the order they were told."""
    with psycopg.connect(url) as connection:
        return connection.execute(
            "SELECT document::json->>'positionId', subscriber_id, (document::json->>'quantity')::float8"
            " FROM copying_transactionrecord WHERE document::json->>'id' LIKE '%:open' ORDER BY id"
        ).fetchall()


def test_a_flood_is_copied_once_and_in_order_or_refused_with_429(tables: str) -> None:
    answers: dict[str, int] = {}

    async def flood(core: Core) -> None:
        for number in range(5):
            await subscribe(core, f"a{number}", *(fixed(f"S{each}") for each in range(STRATEGIES)))
        app = create_app(core, ServerOptions("http://backend", tables, requests_per_minute=LIMIT))
        headers = {"auth-token": tokens.issue("t")}
        transport = httpx.ASGITransport(app)

        async def send(http: httpx.AsyncClient, strategy: int, number: int) -> None:
            signal_id = f"s{strategy:02d}n{number:02d}"
            answer = await http.put(f"/users/current/strategies/S{strategy}/external-signals/{signal_id}", json=BODY)
            answers[signal_id] = answer.status_code
            assert answer.status_code == 204 or "retry-after" in answer.headers

        async with httpx.AsyncClient(transport=transport, base_url="http://backend", headers=headers) as http:
            everything = [(strategy, number) for number in range(SIGNALS) for strategy in range(STRATEGIES)]
            await asyncio.gather(*(send(http, *each) for each in everything))
        assert not core._waiting

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    asyncio.run(with_core(tables, flood))
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < MEGABYTES
    assert set(answers.values()) == {204, 429}
    accepted = {signal_id for signal_id, status in answers.items() if status == 204}
    assert len(accepted) >= LIMIT
    copies = opened(tables)
    assert Counter((signal_id, who) for signal_id, who, _ in copies) == Counter(
        {(signal_id, f"a{number}"): 1 for signal_id in accepted for number in range(5)}
    )
    in_order = defaultdict(list)
    for signal_id, _, _ in copies:
        in_order[signal_id[:3]].append(signal_id)
    assert len(in_order) == STRATEGIES
    assert all(told == sorted(told) for told in in_order.values())


def test_an_edit_during_the_fan_out_is_taken_whole_or_not_at_all(tables: str) -> None:
    versions = {1: False, 3: True}  # multiplier and direction belong together: 0.1 lots bought or 0.3 sold
    members = [{"strategyId": "S0"}, {"strategyId": "S1"}]

    def proportional(**terms) -> dict:
        return {"strategyId": "P", "tradeSizeScaling": {"mode": "none"}, **terms}

    async def edit(core: Core) -> None:
        document = {"name": "P", "description": "", "members": members}
        await core.submit(PutPortfolio(tenant="t", strategy_id="P", document=document))

        async def edits() -> None:
            for number in range(40):
                multiplier = (1, 3)[number % 2]
                terms = proportional(multiplier=multiplier, reverse=versions[multiplier])
                await asyncio.gather(*(subscribe(core, f"a{each}", terms) for each in range(5)))

        async def signals() -> None:
            for number in range(60):
                signal_id = f"sig{number:05d}"
                await core.submit(PutSignal(tenant="t", strategy_id="S0", signal_id=signal_id, document=BODY))

        await subscribe(core, "a0", proportional(multiplier=1))
        await asyncio.gather(edits(), signals())

    asyncio.run(with_core(tables, edit))
    assert {round(lots, 2) for _, _, lots in opened(tables)} == {0.1, -0.3}


@pytest.mark.parametrize("level", ["subscription", "subscriber"])
def test_nothing_is_opened_once_close_only_is_acknowledged(tables: str, level: str) -> None:
    async def stop_opening(core: Core) -> None:
        await subscribe(core, "a0", fixed("S0"))
        await subscribe(core, "a1", fixed("S0"))

        async def signals() -> None:
            for number in range(60):
                signal_id = f"sig{number:05d}"
                await core.submit(PutSignal(tenant="t", strategy_id="S0", signal_id=signal_id, document=BODY))

        sending = asyncio.ensure_future(signals())
        while len(core.book.signals) < 20:
            await asyncio.sleep(0)
        only = {"closeOnly": "by-position"}
        terms, more = (only, {}) if level == "subscription" else ({}, only)
        await subscribe(core, "a0", fixed("S0", **terms), **more)
        await sending

    asyncio.run(with_core(tables, stop_opening))
    with psycopg.connect(tables) as connection:
        payloads = connection.execute("SELECT payload FROM copying_journalentry ORDER BY sequence").fetchall()
    commands = [decode_entry(bytes(payload)).command for (payload,) in payloads]
    edited = max(place for place, each in enumerate(commands) if isinstance(each, PutSubscriber))
    before = {each.signal_id for each in commands[:edited] if isinstance(each, PutSignal)}
    after = {each.signal_id for each in commands[edited:] if isinstance(each, PutSignal)}
    assert len(before) >= 20
    assert after
    copied = {who: {signal_id for signal_id, each, _ in opened(tables) if each == who} for who in ("a0", "a1")}
    assert copied["a0"] == before
    assert copied["a1"] == before | after
