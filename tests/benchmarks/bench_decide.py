"""Deciding one signal for 1,000 / 10,000 / 50,000 routes: the engine beside a loop over subscribers, in the same run.

    python -m tests.benchmarks.bench_decide [routes ...]

Every rule is set on some of the routes and every route gets a reason. The loop is the oracle of the unit tests with its
settings combined beforehand, so both sides do only what depends on the signal. Both are asked the same signal and must
agree on reasons and volumes. "Cold": 64 MB of other memory have been read and written since the last decision; "hot":
the same decision again. The same for the loop. The best of many tells what the work costs when nothing else runs.
"Least" is what this machine needs for the bare arithmetic of copying: a gate, a coefficient, a cap and the volume step
on columns, no reasons, no prices, no other rule. Times of different machines compare by their ratio to it.
Compiling the table, compiling it again after one subscriber was saved, and the first signal of a symbol (its view) are
shown apart.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from random import Random
from time import perf_counter

import numpy as np

from copying.engine.decide import decide
from copying.engine.model import Decisions, Facts, Level, NewsEvent, OrderKind, Side
from copying.engine.routes import Configuration, RouteTable, compile_routes
from tests.unit.copying.engine import oracle
from tests.unit.copying.engine.worlds import accounts, facts, signal

NOW = 1_700_049_600.0
OTHER_MEMORY = np.ones(8_000_000)


def subscriber(r: Random) -> dict:
    """Terms as a manager would set them; every setting of the contract stands on some subscribers."""
    chance = r.random
    terms: dict = {"strategyId": r.choice(["s", "p"]), "multiplier": r.choice([0.25, 0.5, 1, 2])}
    optional = {
        "tradeSizeScaling": (0.6, lambda: scaling(r)),
        "reverse": (0.05, lambda: True),
        "skipPendingOrders": (0.2, lambda: True),
        "allowedSides": (0.1, lambda: r.choice([["buy"], ["sell"]])),
        "symbolFilter": (0.1, lambda: {"included": ["EURUSD", r.choice(["USDJPY", "XAUUSD"])]}),
        "symbolMapping": (0.1, lambda: [{"from": "EURUSD", "to": "EURUSDm"}]),
        "newsFilter": (0.1, lambda: {"calendarNewsFilter": {"priorities": [r.choice(["high", "low"])]}}),
        "maxTradeRisk": (0.1, lambda: r.choice([0.01, 0.02])),
        "maxStopLoss": (0.1, lambda: {"value": 40, "units": "pips"}),
        "reduceCorrelations": (0.1, lambda: r.choice(["by-strategy", "by-account"])),
        "maxLeverage": (0.2, lambda: r.choice([5, 20])),
        "minTradeVolume": (0.2, lambda: 0.01),
        "maxTradeVolume": (0.4, lambda: r.choice([0.2, 1, 5])),
        "signalDelay": (0.05, lambda: {"minInSeconds": 1, "maxInSeconds": 5}),
        "copyStopLoss": (0.1, lambda: False),
        "copyTakeProfit": (0.1, lambda: False),
        "closeOnly": (0.05, lambda: r.choice(["by-position", "by-symbol"])),
    }
    terms |= {name: make() for name, (share, make) in optional.items() if chance() < share}
    if chance() < 0.02:
        terms |= {"removed": True, "closeOnRemovalMode": r.choice(["preserve", "close-gracefully-by-symbol"])}
    made: dict = {"subscriptions": [terms]}
    if chance() < 0.1:
        made["reservedMarginFraction"] = r.choice([5, 20])
    if chance() < 0.1:
        made["minTradeAmount"] = 1_000
    return made


def scaling(r: Random) -> dict:
    """All modes but expressions, which the loop would have to parse."""
    made: dict = {"mode": r.choice(["none", "contractSize", "balance", "equity", "fixedVolume", "fixedRisk"])}
    made |= {"tradeVolume": 0.1, "riskFraction": 0.01, "forceTinyTrades": r.random() < 0.5}
    return made


def scene(routes: int) -> tuple[Configuration, RouteTable, Facts, dict[str, int]]:
    """A strategy, a portfolio and as many subscribers as routes."""
    r = Random(routes)
    made = Configuration(
        strategies={"s": {"maxTradeVolume": 20, "magicFilter": {"excluded": ["99"]}, "maxStopLoss": {"value": 200}}},
        portfolios={"p": {"members": [{"strategyId": "s", "multiplier": 0.5, "minTradeVolume": 0.01}]}},
        subscribers={f"account{number}": subscriber(r) for number in range(routes)},
    )
    rows = {name: row for row, name in enumerate(made.subscribers)}
    random = np.random.default_rng(routes)
    of = accounts(*[{"currency": r.choice(["USD", "EUR", "GBP", "JPY"])} for _ in range(routes)])
    of.balance = random.uniform(2_000, 200_000, routes)
    of.equity = of.balance * random.uniform(0.8, 1.2, routes)
    of.margin = of.balance * random.choice([0.0, 0.05], routes)
    table = compile_routes("s", made, rows)
    n = len(table)
    lots = np.array([0.0, 0.0, 0.02, -0.1])
    world = facts(
        of,
        now=NOW,
        stopped=random.random(n) < 0.02,
        stopped_level=np.full(n, Level.SUBSCRIPTION, np.uint8),
        open_symbols={"EURUSD": random.random(n) < 0.3},
        strategy_exposure={asset: random.choice(lots, n) for asset in ("EUR", "USD")},
        account_exposure={asset: random.choice(lots, routes) for asset in ("EUR", "USD")},
        news=(NewsEvent(NOW + 600, "EUR", "high"),),
        provider_balance_average=9_000.0,
    )
    return made, table, world, rows


def edited(made: Configuration, rows: dict[str, int], table: RouteTable) -> RouteTable:
    """The table after one subscriber was saved."""
    subscribers = dict(made.subscribers) | {"account7": dict(made.subscribers["account7"])}
    return compile_routes("s", Configuration(made.strategies, made.portfolios, subscribers), rows, table)


def milliseconds(run, times: int, *, cold: bool) -> tuple[float, float, float]:
    """The best, the median and the 99th percentile."""
    took = []
    for _ in range(times):
        if cold:
            OTHER_MEMORY.__iadd__(1.0)
        start = perf_counter()
        run()
        took.append((perf_counter() - start) * 1000)
    return min(took), float(np.median(took)), float(np.percentile(took, 99))


def least(routes: int) -> Callable[[], np.ndarray]:
    """The volumes of routes whose terms are folded into a gate and two coefficients, by numpy."""
    random = np.random.default_rng(routes)
    gate, coefficient = random.random(routes) < 0.7, random.uniform(1e-6, 1e-5, routes)
    cap, smallest = random.choice([0.2, 1.0, 5.0], routes), np.full(routes, 0.01)
    balance = random.uniform(2_000, 200_000, routes)

    def size() -> np.ndarray:
        lots = np.floor(np.minimum(coefficient * balance, cap) * 100 + 0.5) / 100
        return np.where(gate & (lots >= smallest), lots, 0.0)

    return size


def agrees(decisions: Decisions, verdicts: list) -> bool:
    """Whether both sides give every route the same reason and volume."""
    return all(
        verdict.reason == decisions.reason[row] and decisions.volume_lots[row] in (0, verdict.rounded)
        for row, verdict in enumerate(verdicts)
    )


def compare(routes: int) -> None:
    """Print one size: the table's own times, then ours and the loop's."""
    of = signal(side=Side.BUY, kind=OrderKind.MARKET, stop_loss=1.0952, take_profit=1.11)
    made, table, world, rows = scene(routes)
    start = perf_counter()
    table = compile_routes("s", made, rows)
    compiling = (perf_counter() - start) * 1000
    edit = milliseconds(lambda: edited(made, rows, table), 15, cold=False)[1]
    start = perf_counter()
    decisions = decide(table, of, world)
    first = (perf_counter() - start) * 1000
    found, bare = oracle.routes("s", made), least(routes)
    agree = agrees(decisions, oracle.decide_all(found, of, world, rows))
    print(f"\n{len(table)} routes: compiled in {compiling:.1f} ms, after an edit in {edit:.1f} ms")
    print(f"  the symbol's first signal {first:.2f} ms; same reasons and volumes as the loop: {agree}")
    for name, cold, times in (("cold", True, 150), ("hot", False, 400)):
        ours = milliseconds(lambda: decide(table, of, world), times, cold=cold)
        loop = milliseconds(lambda: oracle.decide_all(found, of, world, rows), 5, cold=cold)
        floor = milliseconds(bare, times, cold=cold)
        print(
            f"  {name:4} best {ours[0]:6.3f}  p50 {ours[1]:6.3f}  p99 {ours[2]:6.3f} ms   loop best {loop[0]:7.1f}"
            f"  p50 {loop[1]:7.1f} ms   ratio of the best {loop[0] / ours[0]:4.0f}  of p50 {loop[1] / ours[1]:4.0f}"
            f"   least best {floor[0]:.3f} ms, ours {ours[0] / floor[0]:.1f} times that"
        )


def main(sizes: list[int]) -> None:
    """All sizes."""
    for routes in sizes:
        compare(routes)


if __name__ == "__main__":
    main([int(each) for each in sys.argv[1:]] or [1_000, 10_000, 50_000])
