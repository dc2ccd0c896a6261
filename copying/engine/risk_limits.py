"""Risk limits and stopouts: which limits a chain has, how far they are used up, and when they fire (contract, 4.5).

Pure arithmetic: the caller keeps the balance at the start of each period and stores what fired.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from typing import NamedTuple

from copying.engine.fold import Document
from copying.engine.model import Level
from copying.engine.periods import Period, period_at

APPLY_TO = ("balance-difference", "balance-minus-equity", "equity-difference")
FAR_FUTURE = 253_402_214_400.0  # 9999-12-31, the end of a stopout that never ends by itself


@dataclass(slots=True, frozen=True)
class RiskLimit:
    """One limit in force. level: who set it.

    max_absolute: money, inf: none. max_relative: fraction of the balance at the start of the period, inf: none. start:
    seconds since the epoch, None: none given.
    """

    type: str
    apply_to: str
    closes_positions: bool
    max_absolute: float
    max_relative: float
    start: float | None
    level: Level

    @property
    def reason(self) -> str:
        """The word in stopouts and reset paths, one of 33."""
        return f"{self.type}-{self.apply_to}"

    def period(self, created_at: float, now: float) -> Period:
        """The period `now` falls into; created_at: when the limit was first set, the anchor without startTime."""
        return period_at(self.type, created_at if self.start is None else self.start, now)


class Measure(NamedTuple):
    """drawdown: money lost in the period, negative for a gain. used: 1 is the limit. headroom: money left until it
    fires.
    """

    drawdown: float
    used: float
    headroom: float
    fires: bool


def effective_limits(chain: Iterable[tuple[Level, Document]]) -> list[RiskLimit]:
    """The limits of a chain: all of them, but a later one with the same applyTo, type and closePositions replaces.

    chain: (level, document) from the strategy to the subscription; for a subscriber's own limits the subscriber alone,
    because those are measured on the whole account.  source: contract, 4.1 riskLimits, 4.5
    """
    found: dict[tuple[str, str, bool], RiskLimit] = {}
    for level, document in chain:
        for limit in document.get("riskLimits") or ():
            made = make_limit(limit, level)
            key = (made.apply_to, made.type, made.closes_positions)
            found.pop(key, None)
            found[key] = made
    return list(found.values())


def make_limit(limit: Document, level: Level) -> RiskLimit:
    """A limit from its document; `startTime` may be a number of seconds or a datetime."""
    absolute, relative = limit.get("maxAbsoluteRisk"), limit.get("maxRelativeRisk")
    return RiskLimit(
        type=limit["type"],
        apply_to=limit["applyTo"],
        closes_positions=bool(limit.get("closePositions")),
        max_absolute=inf if absolute is None else float(absolute),
        max_relative=inf if relative is None else float(relative),
        start=seconds(limit.get("startTime")),
        level=level,
    )


def seconds(time: object) -> float | None:
    """A time as seconds since the epoch: None, a number, a datetime or an ISO 8601 text."""
    if time is None or isinstance(time, int | float):
        return None if time is None else float(time)
    moment = datetime.fromisoformat(time.replace("Z", "+00:00")) if isinstance(time, str) else time
    assert isinstance(moment, datetime)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def measure(
    limit: RiskLimit, start_balance: float, balance: float, equity: float, start_equity: float | None = None
) -> Measure:
    """How far a limit is used.

    drawdown: `balance-difference` start balance - balance; `balance-minus-equity` start balance - equity;
    `equity-difference` start equity - equity (section 8, 30). Fires at or above the absolute limit or the relative
    limit times the start balance, whichever comes first. A relative limit on no balance fires with any loss.
    units: account currency.  source: contract, 4.5
    """
    if limit.apply_to == "balance-difference":
        drawdown = start_balance - balance
    elif limit.apply_to == "equity-difference":
        drawdown = (start_balance if start_equity is None else start_equity) - equity
    else:
        drawdown = start_balance - equity
    relative = inf if limit.max_relative == inf else limit.max_relative * max(start_balance, 0.0)
    allowed = min(limit.max_absolute, relative)
    if allowed == inf:
        return Measure(drawdown, 0.0, inf, False)
    used = drawdown / allowed if allowed > 0 else (inf if drawdown > 0 else 0.0)
    fires = drawdown >= allowed and drawdown > 0
    return Measure(drawdown, used, allowed - drawdown, fires)


def stopped_till(period: Period) -> float:
    """When a stopout of this period ends by itself.  units: seconds since the epoch"""
    return FAR_FUTURE if period.end == inf else period.end
