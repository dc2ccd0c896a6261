"""One decision in the making: the prices of the moment, the volumes so far, and who has been refused or limited why.

Rules (`decide.py`, `sizing.py`, `limits.py`) write through `refuse`, `refuse_all` and `cap`; the first refusal of a
route stays, the smallest cap counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nan

import numpy as np

from copying.engine.model import Accounts, Facts, Instrument, Level, OrderKind, Side, Signal
from copying.engine.reasons import Reason, refusal
from copying.engine.routes import RouteTable, Where
from copying.engine.views import View

EPSILON = 1e-9  # relative slack of comparisons: results of float64 arithmetic that mean the same number


@dataclass(slots=True)
class Prices:
    """Numbers per combo (2 * symbol + reversed), plus one last slot that stands for "stripped" in the stop columns.

    entry: expected open price. lot_value: of one lot, base currency. move_value: of one lot per 1.0 of price, base
    currency. stop_distance: to the stop loss, nan without. problem: refusal word, 0: none. step = numerator /
    denominator.
    """

    entry: np.ndarray
    lot_value: np.ndarray
    move_value: np.ndarray
    stop_loss: np.ndarray
    take_profit: np.ndarray
    stop_distance: np.ndarray
    min_volume: np.ndarray
    max_volume: np.ndarray
    numerator: np.ndarray
    denominator: np.ndarray
    contract_size: np.ndarray
    point: np.ndarray
    digits: np.ndarray
    problem: np.ndarray
    instruments: list[Instrument | None]


class Case:
    """The working state of `decide`. Arrays are over routes."""

    __slots__ = (
        "accounts",
        "balance",
        "cap",
        "cap_code",
        "cap_value",
        "changed",
        "equity",
        "facts",
        "final",
        "finished",
        "is_after_delay",
        "limit_value",
        "limited",
        "multiplied",
        "placed_stop",
        "prices",
        "rate",
        "refused",
        "rounded",
        "scaled",
        "signal",
        "steps",
        "table",
        "view",
    )  # fmt: skip

    def __init__(self, table: RouteTable, view: View, signal: Signal, facts: Facts, is_after_delay: bool) -> None:
        n = len(table)
        self.table, self.view, self.signal, self.facts = table, view, signal, facts
        self.accounts: Accounts = facts.accounts
        self.is_after_delay = is_after_delay
        self.finished = False
        self.refused = view.verdict.copy()
        self.changed = np.zeros(n, np.uint16)
        self.limit_value = np.full(n, nan)
        self.steps = np.zeros((6, n))
        self.steps[0] = signal.volume_lots
        _, self.scaled, self.multiplied, self.limited, self.rounded, self.final = self.steps
        self.prices: Prices
        self.placed_stop: tuple[np.ndarray, np.ndarray] | None = None

    def refuse_all(self, reason: Reason, level: Level, value: float = nan) -> None:
        """Every route is refused and no later rule is asked."""
        self.refused[:] = refusal(reason, level)
        self.limit_value[:] = value
        self.finished = True

    def refuse(self, where: Where, mask: np.ndarray, code: np.ndarray | int, value: np.ndarray | float = nan) -> None:
        """Refuse the routes `where` (slice or indices) on which `mask` holds, unless an earlier rule has."""
        hit = np.flatnonzero(mask)
        if not hit.size:
            return
        routes = hit if isinstance(where, slice) else where[hit]
        fresh = self.refused[routes] == 0
        if not fresh.all():
            hit, routes = hit[fresh], routes[fresh]
        self.refused[routes] = code[hit] if isinstance(code, np.ndarray) else code
        self.limit_value[routes] = value[hit] if isinstance(value, np.ndarray) else value

    def limit(
        self,
        where: Where,
        lots: np.ndarray,
        code: np.ndarray | int,
        value: np.ndarray | float,
        *,
        wins_ties: bool = False,
    ) -> None:
        """Allow at most `lots` on the routes `where`; nan or inf: no limit. wins_ties: also when equal to a smaller
        cap.
        """
        present = self.cap[where]
        hit = np.flatnonzero(lots <= present if wins_ties else lots < present)
        if not hit.size:
            return
        routes = hit if isinstance(where, slice) else where[hit]
        self.cap[routes] = np.maximum(lots[hit], 0.0)
        self.cap_code[routes] = code[hit] if isinstance(code, np.ndarray) else code
        self.cap_value[routes] = value[hit] if isinstance(value, np.ndarray) else value


def make_prices(view: View, signal: Signal, facts: Facts) -> Prices:
    """What the signal's order costs and risks in each of the subscribers' symbols, for both directions.

    Market orders enter at ask (buy) or bid (sell) of the subscriber's symbol, pending ones at the signal's price. A
    reversed route exchanges stop loss and take profit. Source: contract, 3.7 and 4.4 reverse
    """
    rows = []
    instruments: list[Instrument | None] = []
    for symbol in view.symbols or [""]:
        instrument = facts.market.instrument(symbol)
        instruments.append(instrument)
        rows.extend(combo_row(instrument, signal, facts, is_reversed) for is_reversed in (False, True))
    columns = np.array([*rows, STRIPPED]).T
    return Prices(*columns[:13], problem=columns[13].astype(np.uint16), instruments=instruments)


STRIPPED = (1.0, 1.0, 1.0, nan, nan, nan, 1.0, inf, 1.0, 100.0, 1.0, 1.0, 0.0, 0.0)


def combo_row(instrument: Instrument | None, signal: Signal, facts: Facts, is_reversed: bool) -> tuple[float, ...]:
    """The fields of `Prices` for one symbol and direction; on a problem harmless numbers and its refusal word."""
    if instrument is None:
        return (*STRIPPED[:-1], refusal(Reason.UNKNOWN_SYMBOL, Level.BROKER))
    side = -signal.side if is_reversed else signal.side
    entry = signal.price
    if signal.kind is OrderKind.MARKET:
        quote = facts.market.quote(instrument.symbol)
        if quote is None:
            return (*STRIPPED[:-1], refusal(Reason.NO_PRICE, Level.BROKER))
        entry = quote[1] if side == Side.BUY else quote[0]
    if not entry > 0:
        return (*STRIPPED[:-1], refusal(Reason.NO_PRICE, Level.BROKER))
    rate = facts.market.rate(instrument.profit_currency, facts.base_currency)
    if rate is None:
        return (*STRIPPED[:-1], refusal(Reason.NO_EXCHANGE_RATE, Level.BROKER))
    move_value = instrument.tick_value / instrument.tick_size * rate
    stop, target = signal.stop_loss, signal.take_profit
    if is_reversed:
        stop, target = target, stop
    stop = nan if stop is None else stop
    distance = abs(entry - stop) or nan
    numerator, denominator = step_fraction(instrument.volume_step)
    return (
        entry,
        entry * move_value,
        move_value,
        stop,
        nan if target is None else target,
        distance,
        instrument.min_volume,
        instrument.max_volume,
        numerator,
        denominator,
        instrument.contract_size,
        10.0**-instrument.digits,
        float(instrument.digits),
        0.0,
    )


def step_fraction(step: float) -> tuple[float, float]:
    """A volume step as integers numerator / denominator, so that multiples of it are the nearest float64.

    >>> step_fraction(0.01), step_fraction(0.25), step_fraction(5)
    ((1.0, 100.0), (25.0, 100.0), (5.0, 1.0))
    """
    denominator = 1.0
    while denominator < 1e8 and abs(step * denominator - round(step * denominator)) > 1e-9 * denominator:
        denominator *= 10
    return float(round(step * denominator)), denominator
