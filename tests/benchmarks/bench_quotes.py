"""A quote that moves 10,000 open positions: equity, margin, stops, margin calls and risk limits, beside a loop.

    python -m tests.benchmarks.bench_quotes [--positions 10000 20000]

Ours is what the backend does per look at the market when one price has changed: value every position, every account
and every subscription, then look for stops reached, accounts below the stop out level and limits passed. Naive: a loop
over the same positions and accounts as Python objects. Both must find the same equity. No database, one core.
"""

from __future__ import annotations

import argparse
import os
import statistics
from dataclasses import dataclass
from time import perf_counter

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "copyportal.settings")
import django

django.setup()

from copying.backend.broker.paper import PaperBroker
from copying.backend.core import ticks
from copying.backend.core.apply import apply
from copying.backend.state.book import Book
from copying.backend.state.commands import (
    Command,
    CommandEntry,
    OpenAccount,
    PutSignal,
    PutStrategy,
    PutSubscriber,
)
from copying.backend.state.valuation import value

LIMITS = [
    {"type": "date", "applyTo": "balance-minus-equity", "maxRelativeRisk": 0.5, "closePositions": True},
    {"type": "week", "applyTo": "equity-difference", "maxAbsoluteRisk": 5000, "closePositions": False},
]
MONDAY = 1_772_452_800.0


@dataclass(slots=True)
class Position:
    """One of the loop's positions."""

    account: int
    side: int
    volume: float
    price: float
    stop_loss: float
    leverage: float


def filled(positions: int) -> Book:
    """A book in which every subscriber holds a copy of one signal."""
    book = Book(PaperBroker())
    prices = {"EURUSD": (1.1, 1.1001), "GBPUSD": (1.25, 1.2501), "USDJPY": (150.0, 150.01)}

    def do(command: Command, quotes: dict | None = None) -> None:
        effects = apply(book, CommandEntry(time=MONDAY, quotes=quotes or {}, command=command), book.sequence + 1)
        assert effects.refused is None

    do(OpenAccount(tenant="t", account_id="prov", name="prov", deposit=100_000), prices)
    document = {"name": "S", "description": "", "accountId": "prov"}
    do(PutStrategy(tenant="t", strategy_id="S", document=document))
    document = {"name": "a", "subscriptions": [{"strategyId": "S"}], "riskLimits": LIMITS}
    for number in range(positions):
        do(PutSubscriber(tenant="t", subscriber_id=f"a{number}", document=document))
    document = {
        "symbol": "EURUSD",
        "type": "POSITION_TYPE_BUY",
        "time": "2100-01-01T00:00:00Z",
        "volume": 0.2,
        "stopLoss": 0.9,
    }
    do(PutSignal(tenant="t", strategy_id="S", signal_id="sig00001", document=document))
    assert book.positions.size == positions
    return book


def looped(positions: list[Position], balances: list[float], base: list[float], bid: float) -> list[float]:
    """Equity by account, and (not used further) margin, stops and limits, one after another."""
    equity, margin, stopped, passed = list(balances), [0.0] * len(balances), [], []
    for each in positions:
        profit = each.volume * 100_000 * each.side * (bid - each.price)
        equity[each.account] += profit
        margin[each.account] += each.volume * 100_000 * bid / each.leverage
        if each.stop_loss and (bid - each.stop_loss) * each.side <= 0:
            stopped.append(each)
    for account, (now, held) in enumerate(zip(equity, margin, strict=True)):
        called = held and now < 0.5 * held
        for limit in LIMITS:
            most = limit.get("maxAbsoluteRisk", base[account] * limit.get("maxRelativeRisk", 0))
            if called or base[account] - now >= most:
                passed.append((account, limit["type"]))
    return equity


def measure(size: int, rounds: int = 200) -> float:
    """Print one size; the median in ms."""
    book = filled(size)
    columns = book.positions
    positions = [
        Position(account, side, volume, price, stop, 100.0)
        for account, side, volume, price, stop in zip(
            columns.account.tolist(),
            columns.side.tolist(),
            columns.volume.tolist(),
            columns.price.tolist(),
            columns.stop_loss.tolist(),
            strict=True,
        )
    ]
    balances = book.accounts.balance.tolist()
    taken = []
    for number in range(rounds):
        bid = round(1.1 + number % 50 * 1e-5, 5)
        begun = perf_counter()
        book.set_quotes({"EURUSD": (bid, round(bid + 1e-4, 5))})
        is_due = ticks.due(book, MONDAY + 1)
        taken.append((perf_counter() - begun) * 1e3)
        assert not is_due
    loops = []
    for _ in range(5):
        begun = perf_counter()
        equity = looped(positions, balances, balances, bid)
        loops.append((perf_counter() - begun) * 1e3)
    value(book)
    assert max(abs(one - other) for one, other in zip(equity, book.accounts.equity.tolist(), strict=True)) < 1e-6
    median, loop = statistics.median(taken), statistics.median(loops)
    worst = sorted(taken)[int(rounds * 0.99)]
    print(f"{size:9} | {median:9.2f} {worst:9.2f} | {loop:10.2f} | {loop / median:5.0f}")
    return median


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--positions", type=int, nargs="+", default=[1000, 10_000, 20_000])
    print("positions |  p50 ms    p99 ms |    loop ms | ratio")
    medians = {size: measure(size) for size in options.parse_args().positions}
    for size, median in medians.items():
        if size * 2 in medians:
            print(f"from {size} to {size * 2} positions: {medians[size * 2] / median:.2f} times the time")


if __name__ == "__main__":
    main()
