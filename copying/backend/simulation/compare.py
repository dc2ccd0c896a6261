"""What a changed configuration would have done: recorded signals through the same engine, beside the configuration of
now. Pure: it reads copies of the book's state (`Scene`) and recorded events, so it can run in a thread of its own.

The method is `METHOD`, in words that are part of the answer; docs/copying.md tells the same at more length.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from copying.backend.state.times import iso
from copying.engine.routes import Configuration, RouteKey

from .past import Event, PastMoney, Scene
from .run import OUTCOMES, SimulationRun, Tally

MOST_SIGNALS = 5_000
MOST_DECISIONS = 20_000_000
MOST_SECONDS = 20.0
METHOD = (
    "Every recorded signal of the period is decided twice by the engine that copies live: with the configuration "
    "of now and with the changed one. Both are told what was known then: prices, the provider's money, balances "
    "and equities of accounts, stopouts and news. Balances are the recorded ones and do not compound; an account "
    "that was not asked then counts with what it had when it was last asked, else with what it has now. Delays "
    "are taken as waited. Exposure and open symbols start empty and follow from what was decided in the period. "
    "Profit is estimated for every lot from the prices when the provider opened (or the order filled), partly "
    "closed and closed, less the broker's commission, in US dollars at the rates of those moments; swap, "
    "slippage, stopouts by changed limits, stops of the copies' own and closes by hand, and refusals by the "
    "broker are left out. Drawdown is the largest fall of the sum of these profits, in the order of the closes."
)


class TooManyDecisions(Exception):
    """The simulation would take too long; `str()` is a sentence for the user. Never transient."""

    transient = False


@dataclass(slots=True)
class SignalAnswer:
    """A signal as both configurations decided it. differs: routes whose outcome or volume is another."""

    event: Event
    tallies: list[Tally]
    differs: int
    closed_at: float | None = None

    def served(self) -> dict[str, Any]:
        event = self.event
        return {
            "signalId": event.signal_id,
            "strategyId": event.strategy_id,
            "time": iso(event.time),
            "symbol": event.symbol,
            "side": "buy" if event.side > 0 else "sell",
            "type": ("market", "limit", "stop")[event.kind],
            "volume": event.volume,
            "closedAt": iso(self.closed_at) if self.closed_at else None,
            "differs": self.differs,
            "baseline": self.tallies[0].served(),
            "changed": self.tallies[1].served(),
            "profitDifference": round(self.tallies[1].profit - self.tallies[0].profit, 2),
        }


@dataclass(slots=True)
class Comparison:
    """Both runs and their answers per signal, oldest first."""

    runs: list[SimulationRun]
    answers: list[SignalAnswer] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """Totals and figures per subscriber."""
        before, after = (run.totals() for run in self.runs)
        rows = self.runs[0].money.rows
        return {
            "method": METHOD,
            "currency": "USD",
            "totals": {
                "signals": len(self.answers),
                "differs": sum(answer.differs for answer in self.answers),
                "baseline": before,
                "changed": after,
                "difference": difference(before, after),
            },
            "subscribers": [
                {
                    "subscriberId": subscriber_id,
                    "baseline": baseline,
                    "changed": other,
                    "difference": difference(baseline, other),
                }
                for subscriber_id, row in rows.items()
                for baseline, other in [[run.of_subscriber(row) for run in self.runs]]
                if any(baseline[name] or other[name] for name in OUTCOMES)
            ],
        }


def difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What changed, figure by figure."""
    return {name: round(after[name] - before[name], 2) for name in before}


def simulate(
    scene: Scene,
    changed: Configuration,
    events: Iterable[Event],
    wanted: Callable[[str, RouteKey], bool] = lambda strategy_id, key: True,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Comparison:
    """Decide `events` (ascending) with the scene's configuration and with `changed`. Raises TooMuch."""
    money = PastMoney(scene, [*scene.configuration.subscribers, *changed.subscribers])
    runs = [SimulationRun(configuration, scene, money, wanted) for configuration in (scene.configuration, changed)]
    result = Comparison(runs)
    by_row: dict[int, SignalAnswer] = {}
    alignments: dict[str, np.ndarray] = {}
    begun, decided = clock(), 0
    for event in events:
        if event.what != "open":
            for run in runs:
                run.follow(event)
            if event.what == "close" and event.row in by_row:
                by_row[event.row].closed_at = event.time
            continue
        if event.facts is None:
            continue
        money.set(event.facts)
        (first, kinds, lots), (second, other_kinds, other_lots) = (run.decide(event) for run in runs)
        differs = count_differences(runs, event.strategy_id, alignments, (kinds, lots), (other_kinds, other_lots))
        answer = by_row[event.row] = SignalAnswer(event, [first, second], differs)
        result.answers.append(answer)
        decided += len(kinds) + len(other_kinds)
        if decided > MOST_DECISIONS or clock() - begun > MOST_SECONDS:
            raise TooManyDecisions(
                "There are too many signals and subscribers: choose a shorter period or one subscriber."
            )
    for run in runs:
        run.value_open()
    return result


def count_differences(
    runs: list[SimulationRun],
    strategy_id: str,
    alignments: dict[str, np.ndarray],
    before: tuple[np.ndarray, np.ndarray],
    after: tuple[np.ndarray, np.ndarray],
) -> int:
    """Routes with another outcome or volume; a route that only one configuration has counts when it trades there."""
    if not len(before[0]) or not len(after[0]):
        return int(np.count_nonzero(before[1])) + int(np.count_nonzero(after[1]))
    place = alignments.get(strategy_id)
    if place is None:
        table, other = (run.table(strategy_id)[0] for run in runs)
        place = alignments[strategy_id] = np.array([other.index.get(key, -1) for key in table.keys], dtype=np.intp)
    both = place >= 0
    same = (before[0][both] == after[0][place[both]]) & np.isclose(before[1][both], after[1][place[both]])
    unmatched = np.ones(len(after[0]), dtype=bool)
    unmatched[place[both]] = False
    alone = np.count_nonzero(before[1][~both]) + np.count_nonzero(after[1][unmatched])
    return int(np.count_nonzero(~same)) + int(alone)
