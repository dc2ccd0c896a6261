"""Whether the core does its work in time: it looks at prices, the journal takes writes, records follow, prices move.

Fed by the core as it goes, asked by /healthz. All times are monotonic seconds, so that a wrong wall clock, which
clock.py reports, changes nothing here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import NamedTuple

log = logging.getLogger(__name__)
STILL_SECONDS = 5.0  # between two looks at prices, which are a quarter of a second apart in health
WRITE_SECONDS = 5.0  # of one commit
LAG_SECONDS = 10.0  # of records behind the journal
PRICES_SECONDS = 300.0  # without any price that changed
REMEMBERED_SECONDS = 60.0  # a stop that is over is told for so long


class Trouble(NamedTuple):
    """kind: a word of its own. stops: new signals cannot be carried out. text: sentences for people."""

    kind: str
    stops: bool
    text: str


class VitalSigns:
    """What was seen last, and when."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._looked_at: float | None = None  # None: nobody looks regularly
        self._changed_at = now()
        self._writing_since: float | None = None
        self._still = 0.0, 0.0  # the longest of the latest stops in seconds, and when it was over
        self._mark = 0  # an entry whose records are waited for
        self._marked_at = now()
        self._reported: list[Trouble] = []

    def look(self, *, has_worked: bool) -> None:
        """Time and prices are looked at now. has_worked: False when that failed."""
        now = self._now()
        if not has_worked and self._looked_at is not None:
            return
        if self._looked_at is not None and (gap := now - self._looked_at) > STILL_SECONDS:
            self._still = gap, now
            log.warning("The backend stood still for %.0f seconds: nothing was copied and no limit was watched", gap)
        self._looked_at = now

    def see_change(self) -> None:
        """A price has changed."""
        self._changed_at = self._now()

    def begin_write(self) -> None:
        """The journal is given something to keep."""
        self._writing_since = self._now()

    def end_write(self) -> None:
        """The journal has kept it."""
        self._writing_since = None

    def follow(self, sequence: int, projected: int) -> None:
        """How far the journal is, and the records behind it."""
        if projected >= self._mark:
            self._mark, self._marked_at = sequence, self._now()

    def troubles(self, sequence: int, projected: int) -> list[Trouble]:
        """What is wrong now, the worst first; empty when nothing is."""
        self.follow(sequence, projected)
        now = self._now()
        troubles = []
        if self._writing_since is not None and (age := now - self._writing_since) > WRITE_SECONDS:
            text = f"The journal has taken no write for {age:.0f} seconds: is the database's disk full or overloaded?"
            troubles.append(Trouble("journal", True, text))
        if self._looked_at is not None and (age := now - self._looked_at) > STILL_SECONDS:
            text = f"Time and prices stand still: the backend could not look at them for {age:.0f} seconds."
            troubles.append(Trouble("looks", True, text))
        if projected < self._mark and (age := now - self._marked_at) > LAG_SECONDS:
            text = (
                f"Records are {age:.0f} seconds behind the journal: trades are carried out, but lists, logs and"
                " streams show them late."
            )
            troubles.append(Trouble("records", False, text))
        if (age := now - self._changed_at) > PRICES_SECONDS:
            text = f"No price has changed for {age:.0f} seconds: copies are opened and closed at old prices."
            troubles.append(Trouble("prices", False, text))
        seconds, at = self._still
        if seconds and now - at <= REMEMBERED_SECONDS:
            text = f"The backend stood still for {seconds:.0f} seconds and goes on again."
            troubles.append(Trouble("stop", False, text))
        return troubles

    def report(self, sequence: int, projected: int) -> None:
        """Log each kind of trouble once when it begins, and once that all are over."""
        troubles = self.troubles(sequence, projected)
        known = {"stop"} | {trouble.kind for trouble in self._reported}  # a stop is logged when it ends
        for trouble in troubles:
            if trouble.kind not in known:
                log.warning("%s", trouble.text)
        if self._reported and not troubles:
            log.warning("The backend is well again")
        self._reported = troubles
