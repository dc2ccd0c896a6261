"""The port behind which every source of prices stands. A feed is asked; it never pushes and knows no accounts."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Feed(Protocol):
    """Prices as a function of time."""

    simulated: bool

    def quotes(self, now: float) -> dict[str, tuple[float, float]]:
        """Newest bid and ask of every symbol at `now` (UTC seconds); symbols without a price are absent."""

    def mids(self, symbol: str, times: np.ndarray) -> np.ndarray:
        """(n,) mid prices at past times, nan where unknown; for those who look at bars."""
