"""Prices of what was added to the twelve pairs: seeded paths, a pure function of symbol and moment.

Currencies have the ECB's reference rate at each close, as far as rates are shipped; everything else, and what comes
after, is a seeded walk that leans back to where it began. A path depends on its own name only, so a row added to the
table moves no price of another. New prices come every five seconds: a journal entry carries what changed.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from datetime import UTC, date, datetime

import numpy as np

from copying.symbols.instruments import ADDED, TABLE, THROUGH_EURO, spread

EPOCH = date(2024, 1, 1)  # a Monday; before it prices stand still
REFRESH_SECONDS = 5.0
STEP_SECONDS = 15.0
LEANING = 0.01  # of the distance to the first price, taken back each day
TRADING_DAYS = 252
KEPT_PATHS = 4
_CLOSE = 15 * 3600.0
_SEED = 20260301
_START = datetime(EPOCH.year, EPOCH.month, EPOCH.day, tzinfo=UTC).timestamp() + _CLOSE
Closes = Callable[[tuple[str, ...]], tuple[tuple[date, ...], np.ndarray]]


def weekday_number(day: date) -> int:
    """Weekdays since the epoch; of a day at the weekend: that of the Friday before."""
    weeks, rest = divmod((day - EPOCH).days, 7)
    return weeks * 5 + min(rest, 4)


def closing_moment(number: int) -> float:
    """When the weekday of a number closes, UTC seconds."""
    weeks, rest = divmod(number, 5)
    return _START + (weeks * 7 + rest) * 86_400.0


class SimulatedPaths:
    """Bid and ask of `ADDED`. read_closes: recorded units per euro by day, of the currencies asked for."""

    def __init__(self, read_closes: Closes, seed: int = _SEED) -> None:
        self._seed = seed
        assets = [symbol for symbol in ADDED if not TABLE[symbol].is_currency]
        self._names = (*THROUGH_EURO, *assets)
        self._columns = {name: place for place, name in enumerate(self._names)}
        days, closes = read_closes(THROUGH_EURO)
        self._recorded = np.log(closes)
        self._recorded_days = [weekday_number(day) for day in days]
        volatility = np.diff(self._recorded, axis=0).std(axis=0)
        yearly = np.array([TABLE[symbol].volatility for symbol in assets])
        self._volatility = np.concatenate([volatility, yearly / math.sqrt(TRADING_DAYS)])
        self._logs = np.empty((0, len(self._names)))
        self._paths: dict[int, np.ndarray] = {}

    def quotes(self, now: float, legs: dict[str, float]) -> dict[str, tuple[float, float]]:
        """Bid and ask at `now`. legs: logarithms of the main currencies' units per euro at the same moment."""
        at = self.logs_at(now).tolist()
        logs = legs | dict(zip(self._names, at, strict=True))
        quotes = {}
        for symbol in ADDED:
            row = TABLE[symbol]
            if row.is_currency:
                mid = math.exp(logs[row.profit_currency] - logs[row.base_currency])
            else:
                mid = math.exp(logs[symbol])
            bid = round(mid - spread(symbol) / 2, row.digits)
            quotes[symbol] = (bid, round(bid + spread(symbol), row.digits))
        return quotes

    def logs_at(self, now: float) -> np.ndarray:
        """(names,) logarithms of prices, of currencies of units per euro."""
        now = max(now, _START)
        number = weekday_number(datetime.fromtimestamp(now - _CLOSE, UTC).date())
        path = self._paths.get(number)
        if path is None:
            path = self._draw(number)
        place = (now - closing_moment(number)) / STEP_SECONDS
        left = min(int(place), len(path) - 2)
        return path[left] + (path[left + 1] - path[left]) * min(place - left, 1.0)

    def _draw(self, number: int) -> np.ndarray:
        """(steps + 1, names) Brownian bridges from one close to the next."""
        closes = self._closes(number + 2)
        steps = int((closing_moment(number + 1) - closing_moment(number)) / STEP_SECONDS)
        days = steps * STEP_SECONDS / 86_400
        path = np.zeros((steps + 1, len(self._names)))
        for place, name in enumerate(self._names):
            draws = self._random(1, name, number).standard_normal(steps)
            np.cumsum(draws * (self._volatility[place] * math.sqrt(days / steps)), out=path[1:, place])
        line = np.linspace(0.0, 1.0, steps + 1)[:, None]
        path += closes[number] + line * (closes[number + 1] - closes[number] - path[-1])
        while len(self._paths) >= KEPT_PATHS:
            self._paths.pop(next(iter(self._paths)))
        self._paths[number] = path
        return path

    def _random(self, use: int, name: str, number: int = 0) -> np.random.Generator:
        return np.random.Generator(np.random.Philox([self._seed + use, (zlib.crc32(name.encode()) << 20) + number]))

    def _closes(self, count: int) -> np.ndarray:
        """(at least count, names) logarithms at the closes of all weekdays since the epoch."""
        if len(self._logs) < count:
            count += TRADING_DAYS
            draws = np.stack([self._random(0, name).standard_normal(count) for name in self._names], axis=1)
            starts = [math.log(TABLE[name].price) for name in self._names[len(THROUGH_EURO) :]]
            first = anchor = np.concatenate([self._recorded[0], starts])
            self._logs = logs = np.empty((count, len(self._names)))
            logs[0] = first
            recorded = dict(zip(self._recorded_days, self._recorded, strict=True))
            for day in range(1, count):
                logs[day] = logs[day - 1] + self._volatility * draws[day] + LEANING * (anchor - logs[day - 1])
                known = recorded.get(day)
                if known is not None:
                    logs[day, : len(known)] = known
                    anchor = np.concatenate([known, starts])
                elif day <= self._recorded_days[-1]:  # a holiday, or before the first: the last known rate
                    logs[day, : len(THROUGH_EURO)] = logs[day - 1, : len(THROUGH_EURO)]
        return self._logs


def previous_refresh(now: float) -> float:
    """The newest moment at which these prices changed."""
    return math.floor(now / REFRESH_SECONDS) * REFRESH_SECONDS
