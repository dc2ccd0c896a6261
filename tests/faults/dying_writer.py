"""The signal writer, which kills itself at a point between a signal's durable entry and the last of its orders.

Started by test_backend_dies_inside.py: `dying_writer.py DATABASE_URL FIRST POINT VISITS`; it dies at that visit.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from copying.backend.broker.paper import PaperBroker
from copying.backend.core.journal import Journal
from copying.backend.core.projector import Projector
from copying.backend.core.render import Rows
from copying.backend.state.commands import CommandEntry, PutSignal
from tests.faults.signal_writer import main

POINTS = ("before the commit", "committed", "between orders", "half told", "told")


class Death:
    """Counts the visits to one point; the last one is the end."""

    def __init__(self, point: str, visits: int) -> None:
        self.point, self.visits = point, visits

    def visit(self, point: str) -> None:
        if point == self.point:
            self.visits -= 1
            if not self.visits:
                sys.stdout.flush()
                os.kill(os.getpid(), signal.SIGKILL)


def mortal(death: Death) -> dict[str, type]:
    """A journal and a projector that pass the points; the broker is the real one with a point in its middle."""
    settle = PaperBroker._settle

    def settle_and_die(self, *arguments) -> None:
        death.visit("between orders")  # positions are taken, balances are not
        settle(self, *arguments)

    PaperBroker._settle = settle_and_die

    class MortalJournal(Journal):
        async def append(self, first: int, entries: list[CommandEntry]) -> None:
            is_signal = isinstance(entries[0].command, PutSignal)
            if is_signal:
                death.visit("before the commit")
            await super().append(first, entries)
            if is_signal:
                death.visit("committed")

    class MortalProjector(Projector):
        async def _store(self, written: list[tuple[int, Rows]], sequence: int) -> None:
            has_deals = any(rows.transactions for _, rows in written)
            if has_deals and death.point == "half told":
                asyncio.get_running_loop().call_later(0.001, death.visit, "half told")
            await super()._store(written, sequence)
            if has_deals:
                death.visit("told")

    return {"journal": MortalJournal, "projector": MortalProjector}


if __name__ == "__main__":
    url, first, point, visits = sys.argv[1:]
    asyncio.run(main(url, int(first), **mortal(Death(point, int(visits)))))
