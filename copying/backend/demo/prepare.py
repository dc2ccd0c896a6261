"""The demo: twelve months of copying on the ECB market, made by the real backend in accelerated time.

Providers are the rule-based robots; their results are what the rules earned, nothing is painted. Accounts are
numbered, nobody is invented. Once made, the same robots go on trading live.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime
from typing import Any

import psycopg

from copying.backend.market.ecb import EcbMarket
from copying.backend.state.commands import (
    AnyCommand,
    Deposit,
    OpenAccount,
    PutPortfolio,
    PutStrategy,
    PutSubscriber,
)

from .history import (
    HourlyMarket,
    Recorder,
    recover,
    run,
    store,
)
from .robots import HOUR

DAYS = 365
SUBSCRIBERS = 46
# (type, billing period, rate): what managers ask for. A fixed fee or one per lot is the same figure in every account's
# currency (the contract has one for all), so accounts in yen subscribe to shares of profit only
SCHEMES = {
    "Trd1": ("high-water-mark", "month", 0.2),
    "Rev1": ("lots-traded", "month", 8.0),
    "Brk1": ("amount-won", "month", 0.15),
    "Swg1": ("flat-fee", "month", 20.0),
    "Ext1": ("lots-won", "month", 15.0),
    "Mix1": ("high-water-mark", "quarter", 0.25),
    "Min1": ("amount-traded", "week", 0.00001),
}
FOR_EVERY_CURRENCY = ("Trd1", "Brk1", "Mix1")
STRATEGIES = (
    ("Trd1", "Trend majors", "Buys the dips of rising pairs and sells the rallies of falling ones.", "P-1001", "trend"),
    ("Rev1", "Reversion crosses", "Trades back towards the average on four-hour bars.", "P-1002", "reversion"),
    ("Brk1", "Range yen", "Trades against breaks of the last four days' range.", "P-1003", "breakout"),
    ("Swg1", "Swing reversion", "Reversion on twelve-hour bars, few trades.", "P-1004", "swing"),
    ("Ext1", "External signals", "Signals of a program outside, sent over the API.", "P-1005", "external:Ext1"),
)
# begins where the twelve months end, so that something happens every few minutes while a newcomer looks
LIVE = ("Min1", "Minute reversion", "Reversion on one-minute bars, live only.", "P-1006", "minute")
# many small trades: a fixed size keeps what they cost in spread small beside every account
LIVE_TERMS = {"strategyId": LIVE[0], "tradeSizeScaling": {"mode": "fixedVolume", "tradeVolume": 0.01}}
LIVE_LEAST = 25_000  # US dollars
MIX = (("Trd1", 0.5), ("Rev1", 0.4), ("Brk1", 0.4))
CURRENCIES = {"USD": 1.0, "EUR": 0.9, "GBP": 0.8, "JPY": 150.0}


async def prepare_demo(tenant: str, now: datetime, progress: Callable[[str], None], *, days: int = DAYS) -> None:
    """Make the demo of a tenant; does nothing when the tenant has strategies. Raises AlreadyRunning.

    progress: called with a line now and then.
    """
    from copying.backend.http.options import database_url

    with psycopg.connect(database_url()) as connection:
        book = recover(connection)
        if any(strategy.tenant == tenant for strategy in book.strategies_by_id.values()):
            return
        connection.execute(
            "INSERT INTO copying_tenant (id, name, created_at) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            [tenant, "Demo", now],
        )
        book.tenant_names.setdefault(tenant, "Demo")
        end = now.timestamp() // HOUR * HOUR
        start = end - days * 24 * HOUR
        progress(f"Making the market of {days} days")
        market = HourlyMarket(EcbMarket(), start, end)
        recorder = Recorder(book)
        run(recorder, market, start, end, schedule(tenant, start, days), progress)
        progress(f"Writing {len(recorder.tables['transactions'])} transactions")
        store(connection, recorder)
    progress("The demo history is ready")


def schedule(tenant: str, start: float, days: int) -> list[tuple[float, AnyCommand]]:
    """Everything that people do in the demo, with the moment it happens."""
    draw = random.Random(41)
    planned: list[tuple[float, AnyCommand]] = []
    offers = [(start, offer) for offer in STRATEGIES] + [(start + days * 24 * HOUR, LIVE)]
    for moment, (strategy_id, name, description, account, robot) in offers:
        planned.append(
            (
                moment,
                OpenAccount(
                    tenant=tenant,
                    account_id=account,
                    name=f"Provider {account}",
                    deposit=100_000,
                    robot=robot,
                ),
            )
        )
        document = {"name": name, "description": description, "accountId": account, **scheme(strategy_id)}
        planned.append((moment, PutStrategy(tenant=tenant, strategy_id=strategy_id, document=document)))
    members = [{"strategyId": leaf, "multiplier": weight} for leaf, weight in MIX]
    document = {"name": "Balanced mix", "description": "Three strategies in one.", "members": members, **scheme("Mix1")}
    planned.append((start, PutPortfolio(tenant=tenant, strategy_id="Mix1", document=document)))
    for number in range(SUBSCRIBERS):
        planned += subscriber(tenant, number, start, days, draw)
    return planned


def scheme(strategy_id: str) -> dict[str, Any]:
    """The commission scheme of a strategy."""
    kind, period, rate = SCHEMES[strategy_id]
    return {"commissionScheme": {"type": kind, "billingPeriod": period, "commissionRate": rate}}


def subscriber(
    tenant: str, number: int, start: float, days: int, draw: random.Random
) -> list[tuple[float, AnyCommand]]:
    """One account: opened, subscribed, now and then paid in or out."""
    account = f"A-{2001 + number}"
    currency = tuple(CURRENCIES)[number % 4] if number % 7 else "USD"
    size = CURRENCIES[currency]
    deposit = round(draw.choice((10_000, 15_000, 20_000, 30_000, 50_000, 80_000)) * size, -2)
    joined = start + HOUR * (draw.randrange(0, 24 * max(days // 3, 1)) if number % 3 == 2 else draw.randrange(1, 48))
    document = settings(number, currency, draw)
    planned: list[tuple[float, AnyCommand]] = [
        (
            joined,
            OpenAccount(
                tenant=tenant,
                account_id=account,
                name=f"Account {account}",
                currency=currency,
                deposit=deposit,
                leverage=draw.choice((30, 50, 100, 200)),
                demo=number % 5 != 0,
            ),
        ),
        (joined, PutSubscriber(tenant=tenant, subscriber_id=account, document=document)),
    ]
    if number % 6 == 1 and currency != "JPY" and deposit >= LIVE_LEAST * size:
        live = {**document, "subscriptions": [*document["subscriptions"], dict(LIVE_TERMS)]}
        command = PutSubscriber(tenant=tenant, subscriber_id=account, document=live)
        planned.append((start + days * 24 * HOUR, command))
    for _ in range(draw.randrange(0, 3)):
        moment = joined + HOUR * draw.randrange(24 * 20, 24 * max(days - 10, 30))
        amount = round(deposit * draw.choice((0.1, 0.2, -0.05, -0.1)), -1)
        planned.append((moment, Deposit(tenant=tenant, account_id=account, amount=amount)))
    return planned


def settings(number: int, currency: str, draw: random.Random) -> dict[str, Any]:
    """A subscriber's document: one to three subscriptions, some with overrides and limits."""
    size = CURRENCIES[currency]
    offered = FOR_EVERY_CURRENCY if currency == "JPY" else tuple(strategy_id for strategy_id, *_ in STRATEGIES)
    count = len(offered)
    if number % 6 == 0:
        chosen = ["Mix1"]
    else:
        chosen = [offered[number % count], *([offered[(number + 2) % count]] if number % 4 == 1 else [])]
        chosen += ["Mix1"] if number % 11 == 0 and "Mix1" not in chosen else []
    subscriptions = [
        {"strategyId": strategy_id, **override(number + place, draw)} for place, strategy_id in enumerate(chosen)
    ]
    document: dict[str, Any] = {"name": f"Account A-{2001 + number}", "subscriptions": subscriptions}
    for limit in LIMITS.get(number % 23, ()):
        document.setdefault("riskLimits", []).append(dict(limit))
    if number % 9 == 4:
        document["maxLeverage"] = 15
    if number % 13 == 6:
        document["minTradeAmount"] = 1000 * size
    return document


LIMITS: dict[int, tuple[dict[str, Any], ...]] = {
    1: ({"type": "date", "applyTo": "balance-minus-equity", "maxRelativeRisk": 0.007, "closePositions": True},),
    4: ({"type": "week-to-date", "applyTo": "balance-minus-equity", "maxRelativeRisk": 0.013, "closePositions": True},),
    7: ({"type": "lifetime", "applyTo": "balance-minus-equity", "maxRelativeRisk": 0.06, "closePositions": True},),
    9: ({"type": "month-to-date", "applyTo": "balance-difference", "maxRelativeRisk": 0.02, "closePositions": False},),
    15: ({"type": "year-to-date", "applyTo": "equity-difference", "maxRelativeRisk": 0.05, "closePositions": True},),
    18: (
        {"type": "quarter-to-date", "applyTo": "balance-minus-equity", "maxRelativeRisk": 0.05, "closePositions": True},
    ),
}
OVERRIDES: tuple[Callable[[random.Random], dict[str, Any]], ...] = (
    lambda draw: {},
    lambda draw: {"multiplier": draw.choice((0.5, 1.5, 2.0))},
    lambda draw: {"maxTradeVolume": draw.choice((0.1, 0.2, 0.3))},
    lambda draw: {"tradeSizeScaling": {"mode": "equity"}},
    lambda draw: {"tradeSizeScaling": {"mode": "fixedVolume", "tradeVolume": 0.05}},
    lambda draw: {"allowedSides": ["buy"]},
    lambda draw: {"symbolFilter": {"excluded": ["GBPJPY", "AUDUSD"]}},
    lambda draw: {"reverse": True, "multiplier": 0.5},
    lambda draw: {"copyTakeProfit": False, "minTradeVolume": 0.03},
    lambda draw: {"symbolMapping": [{"from": "EURUSD", "to": "EURUSDm"}, {"from": "GBPUSD", "to": "GBPUSDm"}]},
    lambda draw: {"multiplier": draw.choice((0.8, 1.2))},
)


def override(number: int, draw: random.Random) -> dict[str, Any]:
    """What a subscription changes of the strategy's terms; every other one changes nothing."""
    return OVERRIDES[number * 5 % len(OVERRIDES)](draw) if number % 2 else {}
