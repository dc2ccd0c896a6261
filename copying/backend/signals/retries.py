"""Routes that are to be decided again: after signalDelay, or because the broker could not take their orders."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from copying.backend.state.book import Book
from copying.backend.state.entities import OpenSignal
from copying.engine.model import Decisions, Level, Outcome
from copying.engine.reasons import Reason
from copying.engine.timing import DEFAULT_OPENING_MINUTES

from .plans import Plan, parts_of

RETRY_SECONDS = 15.0


class Try(NamedTuple):
    """A route that waited or failed. deadline: the end of its opening window; reason: of its last failure, 0: none."""

    deadline: float
    reason: int


Tries = dict[int, Try]  # by the route's code (`route_codes`)


def route_codes(subscription: np.ndarray, part: np.ndarray) -> np.ndarray:
    """(n,) one number for each route of a leaf strategy: its subscription and its part."""
    return subscription.astype(np.int64) * 2**32 + part


def codes_of(plan: Plan, rows: np.ndarray) -> np.ndarray:
    """(n,) the numbers of some routes."""
    return route_codes(plan.subscription[rows], plan.part[rows])


def wait(book: Book, plan: Plan, signal: OpenSignal, decisions: Decisions, rows: np.ndarray, age: float) -> None:
    """Remember delayed routes. Their opening window begins when the delay ends, whenever anybody looks.

    age: what is over of the window of a first try, in seconds.
    """
    due = book.time + decisions.delay_s[rows]
    book.delayed.extend(
        len(rows),
        due=due,
        signal=signal.row,
        subscription=plan.subscription[rows],
        part=parts_of(book, plan, rows),
        leaf=plan.leaf,
        deadline=due - age + plan.opening_s[signal.kind],
    )


def retry_later(
    book: Book,
    plan: Plan,
    signal: OpenSignal,
    decisions: Decisions,
    rows: np.ndarray,
    tries: Tries | None,
    age: float,
) -> None:
    """Remember routes that the broker could not take: tried again inside the opening window.

    After a lack of margin every RETRY_SECONDS, without a connection as soon as it is back. age: what is over of the
    window of a first try, in seconds.
    """
    first = book.time - age + plan.opening_s[signal.kind]
    parts = parts_of(book, plan, rows)
    codes = codes_of(plan, rows)
    deadlines = np.array([tries[code].deadline if tries and code in tries else first for code in codes.tolist()])
    reasons = decisions.reason[rows]
    soon = np.where(reasons == Reason.OFFLINE, deadlines, np.minimum(book.time + RETRY_SECONDS, deadlines))
    book.delayed.extend(
        len(rows),
        due=soon,
        signal=signal.row,
        subscription=plan.subscription[rows],
        part=parts,
        leaf=plan.leaf,
        deadline=deadlines,
        reason=reasons,
    )


def begin_anew(book: Book, plan: Plan, signal: OpenSignal, rows: np.ndarray) -> None:
    """Routes that are asked again wait for nothing from before: else the signal could be opened a second time."""
    delayed = book.delayed
    if delayed.size:
        again = np.isin(route_codes(delayed.subscription, delayed.part), codes_of(plan, rows))
        delayed.keep(~((delayed.signal == signal.row) & again))


def give_up(book: Book, plan: Plan, decisions: Decisions, rows: np.ndarray, tries: Tries) -> None:
    """Routes whose opening window has ended are too late, whatever the engine says."""
    over = [code in tries and tries[code].deadline <= book.time for code in codes_of(plan, rows).tolist()]
    too_late(plan, decisions, rows[np.array(over, dtype=bool)])


def too_late(plan: Plan, decisions: Decisions, late: np.ndarray) -> None:
    """The opening window of these routes is over."""
    decisions.refuse(late, Outcome.SKIPPED, Reason.TOO_LATE, Level.STRATEGY)
    minutes = (plan.table.strategy.get("timeSettings") or {}).get("openingIntervalInMinutes")
    decisions.limit_value[late] = DEFAULT_OPENING_MINUTES if minutes is None else minutes
