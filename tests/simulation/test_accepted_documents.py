"""Whatever document is accepted, signals, prices, nights and reads that follow work: no fault, no 500, no end."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st

from copying.backend import tokens
from copying.backend.core.writer import Core
from copying.backend.http import reads
from copying.backend.risk.limits import BASES, KINDS
from copying.backend.state.commands import ReserveStrategyId
from copying.backend.state.times import iso
from tests.simulation.disk import Disk
from tests.simulation.door import Door
from tests.simulation.simulation import MONDAY, Market

PRICES = {"EURUSD": (1.1, 1.10008), "GBPUSD": (1.25, 1.25011), "USDJPY": (150.0, 150.009)}
CONFIGURATION = "/users/current/configuration"
names = st.sampled_from(["EURUSD", "EURUSDm", "EURUSD.proECN7", "XAUUSD", "GBPJPY", "USDJPY", "GOLD", "€", "a" * 60])
numbers = st.sampled_from([0, -1, 0.01, 0.5, 1, 3, 60, 1e6, 1e12, 1e-9, 1e-320, 1e308, 2**53, 2**63])
formulas = st.sampled_from(
    ["providerVolume", "1/0", "log(0)", "1e308*1e308", "balance^balance", "sqrt(0-1)", "min(1)", "tickValue", "9^9^9"]
)
booleans = st.booleans()
scaling = st.fixed_dictionaries(
    {"mode": st.sampled_from(["none", "contractSize", "balance", "equity", "fixedVolume", "fixedRisk", "expression"])},
    optional={
        "tradeVolume": numbers,
        "riskFraction": numbers,
        "expression": formulas,
        "baseCurrency": names,
        "forceTinyTrades": booleans,
        "maxRiskCoefficient": numbers,
    },
)
limits = st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS), "applyTo": st.sampled_from(BASES), "closePositions": booleans},
    optional={
        "maxAbsoluteRisk": numbers,
        "maxRelativeRisk": numbers,
        "startTime": st.sampled_from(["0001-01-01T00:00:00Z", "2026-03-01T00:00:00Z", "9999-12-31T23:59:59Z"]),
    },
)
priorities = st.lists(st.sampled_from(["election", "high", "medium", "low"]), max_size=4)
gaps = st.fixed_dictionaries(
    {"priorities": priorities},
    optional={
        "closePositionTimeGapInMinutes": numbers,
        "openPositionPrecedingTimeGapInMinutes": numbers,
        "openPositionFollowingTimeGapInMinutes": numbers,
    },
)
SETTINGS: dict[str, st.SearchStrategy] = {
    "symbolMapping": st.lists(st.fixed_dictionaries({"from": names, "to": names}), max_size=3),
    "symbolFilter": st.fixed_dictionaries({}, optional={"included": st.lists(names), "excluded": st.lists(names)}),
    "tradeSizeScaling": scaling,
    "multiplier": numbers,
    "reverse": booleans,
    "skipPendingOrders": booleans,
    "maxTradeVolume": numbers,
    "minTradeVolume": numbers,
    "maxTradeRisk": numbers,
    "maxLeverage": numbers,
    "copyStopLoss": booleans,
    "copyTakeProfit": booleans,
    "allowedSides": st.lists(st.sampled_from(["buy", "sell"])),
    "reduceCorrelations": st.sampled_from(["by-strategy", "by-account", "by-symbol"]),
    "closeOnly": st.sampled_from(["by-position", "by-symbol", "immediately"]),
    "signalDelay": st.fixed_dictionaries({"minInSeconds": numbers, "maxInSeconds": numbers}),
    "maxStopLoss": st.fixed_dictionaries({"value": numbers, "units": st.sampled_from(["pips", "points"])}),
    "riskLimits": st.lists(limits, max_size=3),
    "newsFilter": st.fixed_dictionaries({}, optional={"calendarNewsFilter": gaps, "breakingNewsFilter": gaps}),
    "reservedMarginFraction": numbers,
    "minTradeAmount": numbers,
}
SCHEMES = ("flat-fee", "lots-traded", "amount-won", "high-water-mark")
OWN: dict[str, st.SearchStrategy] = {
    "timeSettings": st.fixed_dictionaries(
        {},
        optional={
            "lifetimeInHours": numbers,
            "openingIntervalInMinutes": numbers,
            "expirePendingOrderSignals": booleans,
        },
    ),
    "magicFilter": st.fixed_dictionaries(
        {}, optional={"included": st.lists(st.sampled_from(["0-1", "7", "5-1", "-3"]))}
    ),
    "equityCurveFilter": st.fixed_dictionaries(
        {"period": numbers, "timeframe": st.sampled_from(["1m", "4h", "1w", "1h"])}
    ),
    "drawdownFilter": st.fixed_dictionaries(
        {"maxDrawdown": numbers, "action": st.sampled_from(["include", "exclude"])}
    ),
    "commissionScheme": st.fixed_dictionaries(
        {
            "type": st.sampled_from(SCHEMES),
            "commissionRate": numbers,
            "billingPeriod": st.sampled_from(["week", "month", "quarter"]),
        }
    ),
}
PLAIN = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "volume": 1}


def some(possible: dict[str, st.SearchStrategy]) -> st.SearchStrategy[dict[str, Any]]:
    """A few of the settings."""
    chosen = st.lists(st.sampled_from(sorted(possible)), max_size=4, unique=True)
    return chosen.flatmap(lambda keys: st.fixed_dictionaries({key: possible[key] for key in keys}))


kinds = st.sampled_from(["POSITION_TYPE_BUY", "POSITION_TYPE_SELL", "ORDER_TYPE_BUY_LIMIT", "ORDER_TYPE_SELL_STOP"])
prices = st.sampled_from([1e-320, 1e-9, 1.05, 1.0999, 1.101, 1.2, 150.0, 1e9, 1e308])
signals = st.fixed_dictionaries(
    {"symbol": names, "type": kinds, "volume": st.sampled_from([0.01, 0.1, 2.5, 1e6, 1e-9])},
    optional={"openPrice": prices, "stopLoss": prices, "takeProfit": prices, "magic": st.integers(-(2**63), 2**63)},
)
moves = st.fixed_dictionaries(
    {},
    optional={
        "EURUSD": st.sampled_from([(1.04, 1.0401), (1.2, 1.2001), (0.01, 0.02)]),
        "USDJPY": st.just((200.0, 200.01)),
        "GBPJPY": st.just((187.0, 187.02)),
    },
)


class Office:
    """A backend with two users who have nothing in common, spoken to over HTTP; everything must be answered."""

    def __init__(self, core: Core, disk: Disk) -> None:
        self.core = core
        self.http: httpx.AsyncClient = Door(core, disk).http
        self.tokens = {tenant: tokens.issue(tenant) for tenant in ("one", "two")}

    async def ask(self, tenant: str, method: str, path: str, body: Any = None) -> int:
        headers = {"auth-token": self.tokens[tenant]}
        answer = await self.http.request(method, path, json=body, headers=headers)
        assert answer.status_code < 500, (method, path, body, answer.text)
        return answer.status_code

    async def settle(self, tenant: str, strategy: dict[str, Any], followers: list[dict[str, Any]]) -> None:
        """A strategy with followers; what is refused is not there, a plain follower always is."""
        await self.ask(tenant, "PUT", f"/users/current/accounts/{tenant}p", {"name": "p", "deposit": 1e5})
        await self.core.submit(ReserveStrategyId(tenant=tenant, strategy_id=f"{tenant}S"))
        document = {"name": "S", "description": "d", "accountId": f"{tenant}p"}
        for each in ({}, strategy):
            await self.ask(tenant, "PUT", f"{CONFIGURATION}/strategies/{tenant}S", {**document, **each})
        for number, terms in enumerate([{}, *followers]):
            document = {"name": "a", "subscriptions": [{"strategyId": f"{tenant}S", **terms}]}
            await self.ask(tenant, "PUT", f"{CONFIGURATION}/subscribers/{tenant}a{number}", document)

    async def read(self, tenant: str) -> None:
        account = f"/users/current/accounts/{tenant}a0"
        for path in (
            f"{account}/positions",
            f"{account}/orders",
            f"/users/current/subscribers/{tenant}a0/signals",
            "/users/current/risk-limits",
            "/users/current/account-information",
        ):
            await self.ask(tenant, "GET", path)


async def live(strategy: dict, followers: list[dict], sent: list[dict], steps: list[dict]) -> None:
    now, market, disk, died = [MONDAY], Market(), Disk(Random(1)), []
    market.prices = dict(PRICES)
    core = Core("", market, clock=lambda: now[0], fail=died.append, journal=disk.journal(), projector=disk.projector())
    await core.start(ticking=False)
    core.look_at_market()
    office = Office(core, disk)
    await office.settle("one", strategy, followers)
    # so little that the wildest prices leave money for more
    await office.settle("two", {"tradeSizeScaling": {"mode": "fixedVolume", "tradeVolume": 0.01}}, [])
    await office.ask(
        "one",
        "PUT",
        "/users/current/news-calendar",
        {"events": [{"time": iso(now[0] + 600), "currency": "USD", "priority": "high"}]},
    )
    for number, signal in enumerate(sent):
        now[0] += 1
        for tenant, document in (
            ("one", signal),
            ("two", {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "volume": 1}),
        ):
            path = f"/users/current/strategies/{tenant}S/external-signals/signal{number}"
            await office.ask(tenant, "PUT", path, {**document, "time": iso(now[0])})
    for number, step in enumerate(steps):
        now[0] += (1, 90, 7200, 86_400)[number % 4]
        market.prices = {**market.prices, **step}
        core.look_at_market()
        await core.caught_up()
        await office.read("one")
    for number in range(len(sent)):
        path = f"/users/current/strategies/oneS/external-signals/signal{number}/remove"
        await office.ask("one", "POST", path, {"time": iso(now[0])})
    await office.ask(
        "two",
        "PUT",
        "/users/current/strategies/twoS/external-signals/lastone1",
        {**PLAIN, "volume": 0.1, "time": iso(now[0])},
    )
    copied = reads.account_positions(core.book, "two", "twoa0")
    await core.caught_up()
    await core.stop()
    assert not died
    assert not disk.replaced, "an entry had to be mended"
    told = [row[1] for row in disk.records["decisions"] if row[2] == "two" and row[5] == "lastone1"]
    assert any(each.get("sourcePositionId") == "lastone1" for each in copied), (
        f"another user's copying suffered: {told}"
    )
    text = "".join(row[1] for rows in disk.records.values() for row in rows)
    assert "NaN" not in text
    assert "Infinity" not in text


@settings(max_examples=40, deadline=None)
@given(
    some({**SETTINGS, **OWN}),
    st.lists(some(SETTINGS), max_size=3),
    st.lists(signals, min_size=1, max_size=3),
    st.lists(moves, max_size=5),
)
def test_accepted_documents_never_harm(
    strategy: dict[str, Any], followers: list[dict[str, Any]], sent: list[dict[str, Any]], steps: list[dict[str, Any]]
) -> None:
    asyncio.run(live(strategy, followers, sent, steps))
