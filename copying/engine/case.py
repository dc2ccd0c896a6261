"""One decision in the making: the prices of the moment, the volumes so far, and who has been refused or limited why.

Rules (`decide.py`, `sizing.py`, `limits.py`) write through `refuse`, `refuse_all` and `cap`; the first refusal of a
route stays, the smallest cap counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, nan

import numpy as np

from copying.engine.model import Accounts, Facts, Instrument, Level, OrderKind, Outcome, Side, Signal
from copying.engine.reasons import Reason, pack, refusal
from copying.engine.routes import RouteTable
from copying.engine.views import Group, View

Codes = np.ndarray | int
COPIED = pack(Outcome.COPIED, Reason.COPIED, Level.NONE)
EPSILON = 1e-9  # relative slack of comparisons: results of float64 arithmetic that mean the same number


@dataclass(slots=True)
class Prices:
    """Numbers per combo (2 * symbol + reversed), plus one last slot that stands for "stripped" in the stop columns.

    stops, stop_distances, widest: per stop class and combo, flat: the stop loss tightened by maxStopLoss, its distance,
    and maxStopLoss as a distance. per_lot: steps in a lot. tiny: below it a volume cannot be rounded to a tradable one.

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
    stops: np.ndarray
    stop_distances: np.ndarray
    widest: np.ndarray
    has_missing_stop: bool
    step: np.ndarray
    per_lot: np.ndarray
    tiny: np.ndarray
    numerator_matters: bool
    minimum_matters: bool


class Case:
    """The working state of `decide`. Arrays are over routes."""

    __slots__ = (
        "accounts", "balance", "cap", "cap_code", "cap_value", "changed", "equity", "facts", "final", "finished",
        "gated", "is_after_delay", "limit_value", "limited", "multiplied", "prices", "rate", "refused", "rounded",
        "scaled", "signal", "steps", "stop_loss", "table", "take_profit", "view",
    )  # fmt: skip

    def __init__(self, table: RouteTable, view: View, signal: Signal, facts: Facts, is_after_delay: bool) -> None:
        n = len(table)
        self.table, self.view, self.signal, self.facts = table, view, signal, facts
        self.accounts: Accounts = facts.accounts
        self.is_after_delay = is_after_delay
        self.finished = False
        self.refused = view.verdict.copy()
        self.changed = np.full(n, COPIED, np.uint16)
        self.limit_value = np.full(n, nan)
        self.steps = np.empty((6, n))
        self.steps[0] = signal.volume_lots
        _, self.scaled, self.multiplied, self.limited, self.rounded, self.final = self.steps
        self.gated: list[np.ndarray] | None = []  # who was refused before there were volumes
        self.prices: Prices
        self.stop_loss: np.ndarray | None = None
        self.take_profit: np.ndarray | None = None

    def refuse_all(self, reason: Reason, level: Level, value: float = nan) -> None:
        """Every route is refused and no later rule is asked."""
        self.refused[:] = refusal(reason, level)
        self.limit_value[:] = value
        self.finished = True

    def group(self, name: str, choose: Callable[[RouteTable], np.ndarray]) -> Group:
        """The routes a rule concerns; see `View.group`."""
        return self.view.groups.get(name) or self.view.group(self.table, name, choose)

    def refuse(self, routes: np.ndarray | None, mask: np.ndarray, code: Codes, value: np.ndarray | float = nan) -> None:
        """Refuse those of `routes` (None: all) on which `mask` holds, unless an earlier rule has."""
        hit = mask.nonzero()[0]
        if not hit.size:
            return
        chosen = hit if routes is None else routes[hit]
        if self.gated is not None:
            self.gated.append(chosen)
        fresh = self.refused[chosen] == 0
        if not fresh.all():
            hit, chosen = hit[fresh], chosen[fresh]
        self.refused[chosen] = code[hit] if isinstance(code, np.ndarray) else code
        self.limit_value[chosen] = value[hit] if isinstance(value, np.ndarray) else value

    def limit(
        self,
        routes: np.ndarray,
        lots: np.ndarray,
        code: Codes,
        value: np.ndarray | float,
        *,
        wins_ties: bool = False,
    ) -> None:
        """Allow at most `lots` on `routes`; nan or inf: no limit. wins_ties: also when equal to the smallest so far."""
        present = self.cap[routes]
        hit = (lots <= present if wins_ties else lots < present).nonzero()[0]
        if not hit.size:
            return
        chosen = routes[hit]
        self.cap[chosen] = np.maximum(lots[hit], 0.0)
        self.cap_code[chosen] = code[hit] if isinstance(code, np.ndarray) else code
        self.cap_value[chosen] = value[hit] if isinstance(value, np.ndarray) else value


def make_prices(table: RouteTable, view: View, signal: Signal, facts: Facts) -> Prices:
    """What the signal's order costs and risks in each of the subscribers' symbols, for both directions.

    Market orders enter at ask (buy) or bid (sell) of the subscriber's symbol, pending ones at the signal's price. A
    reversed route exchanges stop loss and take profit. maxStopLoss in pips is a distance of whole points, at least
    one; a pip is 10 points on symbols quoted with 3 or 5 digits, else 1.  source: contract, 3.7, 4.4 reverse,
    maxStopLoss
    """
    rows = []
    instruments: list[Instrument | None] = []
    for symbol in view.symbols or [""]:
        instrument = facts.market.instrument(symbol)
        instruments.append(instrument)
        rows.extend(combo_row(instrument, signal, facts, is_reversed) for is_reversed in (False, True))
    columns = np.array([*rows, STRIPPED]).T
    entry, stop, distance, point, digits = (columns[number] for number in (0, 3, 5, 11, 12))
    smallest, numerator, denominator = columns[6], columns[8], columns[9]
    step = numerator / denominator
    per_pip = np.array([10.0 if each in (3.0, 5.0) else 1.0 for each in digits.tolist()])
    widest = np.maximum(np.floor(table.stop_limits[:, None] * per_pip + 1e-6), 1.0) * point
    stops = np.broadcast_to(stop, widest.shape)
    if len(table.stop_limits) > 1 or table.stop_limits[0] != inf:
        side = np.array([signal.side, -signal.side] * len(instruments) + [1.0])
        scale = 10.0**digits
        tightened = np.floor((entry - side * widest) * scale + 0.5) / scale
        stops = np.where(distance > widest * (1 + EPSILON), tightened, stop)
    return Prices(
        *columns[:13],
        problem=columns[13].astype(np.uint16),
        instruments=instruments,
        stops=stops.ravel(),
        stop_distances=np.where(distance > widest, widest, distance).ravel(),
        widest=widest.ravel(),
        has_missing_stop=bool(np.isnan(distance[:-1]).any()),
        step=step,
        per_lot=denominator / numerator,
        tiny=(smallest - 0.5 * step) * (1 - EPSILON),
        numerator_matters=bool((numerator != 1.0).any()),
        minimum_matters=bool((np.abs(np.rint(smallest / step) - smallest / step) > EPSILON).any()),
    )


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
