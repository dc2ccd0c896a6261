"""A feed that repeats recorded quotes: a CSV of time, symbol, bid, ask (also gzipped).

Real recordings are untidy. Rows out of order are sorted by time (equal times keep the file's order), repeated rows
change nothing, a gap leaves the last price standing, crossed quotes (bid above ask) and rows that cannot be read are
left out and counted in `rejected`.
"""

from __future__ import annotations

import csv
import gzip
import logging
import math
import zlib
from bisect import bisect_right
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

log = logging.getLogger(__name__)


class NoQuotes(Exception):
    """The file has no usable row, or cannot be read; `str()` is a sentence for the operator."""


class ReplayFeed:
    """Quotes of a file; `start` moves the first quote to that moment, None keeps the recorded times."""

    simulated = False

    def __init__(self, path: Path | str, *, start: float | None = None) -> None:
        self.rejected = 0
        rows = sorted(self._read(Path(path)), key=lambda row: row[0])
        if not rows:
            raise NoQuotes(f"{path} has no usable quote (expected the columns time,symbol,bid,ask)")
        shift = 0.0 if start is None else start - rows[0][0]
        self._times: dict[str, list[float]] = {}
        self._prices: dict[str, list[tuple[float, float]]] = {}
        for moment, symbol, bid, ask in rows:
            self._times.setdefault(symbol, []).append(moment + shift)
            self._prices.setdefault(symbol, []).append((bid, ask))
        self.first_time, self.last_time = rows[0][0] + shift, rows[-1][0] + shift

    def quotes(self, now: float) -> dict[str, tuple[float, float]]:
        """The newest recorded quote of every symbol at or before `now`."""
        quotes = {}
        for symbol, times in self._times.items():
            place = bisect_right(times, now)
            if place:
                quotes[symbol] = self._prices[symbol][place - 1]
        return quotes

    def mids(self, symbol: str, times: np.ndarray) -> np.ndarray:
        """(n,) mid prices standing at `times`, nan before the first quote."""
        recorded = self._times.get(symbol)
        if recorded is None:
            return np.full(len(times), np.nan)
        prices = np.array(self._prices[symbol]).mean(axis=1)
        places = np.searchsorted(recorded, times, side="right") - 1
        return np.where(places < 0, np.nan, prices[np.maximum(places, 0)])

    def _read(self, path: Path) -> list[tuple[float, str, float, float]]:
        rows = []
        opener = gzip.open if path.suffix == ".gz" else open
        try:
            with opener(path, "rt", encoding="utf-8-sig", newline="") as handle:
                for line in csv.reader(
                    handle, quoting=csv.QUOTE_NONE
                ):  # an open quote would swallow the rows behind it
                    row = _parse(line)
                    if row is not None:
                        rows.append(row)
                    elif line and line[0].strip().strip('"').lower() != "time":
                        self.rejected += 1
        except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
            raise NoQuotes(f"{path} cannot be read: {error}") from error
        if rows and self.rejected:
            log.warning("%s: %s rows cannot be used and are left out", path, self.rejected)
        return rows


def _parse(line: list[str]) -> tuple[float, str, float, float] | None:
    """One row, or None when it cannot be used; no cell of it needs quotes."""
    line = [cell.strip().strip('"') for cell in line]
    if len(line) < 4:
        return None
    try:
        bid, ask, moment = float(line[2]), float(line[3]), _moment(line[0].strip())
    except ValueError:
        return None
    symbol = line[1].strip()
    usable = symbol and math.isfinite(bid) and math.isfinite(ask) and math.isfinite(moment) and 0 < bid <= ask
    return (moment, symbol, bid, ask) if usable else None


def _moment(text: str) -> float:
    """Seconds since the epoch from a number (milliseconds above 1e11) or an ISO 8601 time (UTC if silent)."""
    try:
        number = float(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return number / 1000 if number > 1e11 else number
