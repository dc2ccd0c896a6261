"""One signal to all its subscribers: ask the engine once, place what it decided in bulk, tell it as columns.

Routes are decided again after signalDelay, or because the broker could not take their orders.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from copying.backend.state.book import Book
from copying.backend.state.effects import Decided, Effects
from copying.backend.state.entities import OpenSignal
from copying.backend.state.parts import UNKNOWN
from copying.engine import model
from copying.engine.decide import decide
from copying.engine.model import Decisions, Facts, Level, OrderKind, Outcome, Side, Step
from copying.engine.reasons import Reason
from copying.engine.timing import DEFAULT_OPENING_MINUTES

from .orders import Placed, execute, orders_for
from .plans import Plan, facts_for, parts_of, plan_for
from .recording import Noted, note_facts, record, tell_routes

RETRY_SECONDS = 15.0


class Try(NamedTuple):
    """A route that waited or failed. deadline: the end of its opening window; reason: of its last failure, 0: none."""

    deadline: float
    reason: int


Tries = dict[int, Try]  # by the route's code (`route_codes`)


def publish(book: Book, effects: Effects, signal: OpenSignal) -> None:
    """A new signal: record it with what the decision knows, decide it for all its routes, carry that out."""
    plan = plan_for(book, signal.strategy_id)
    ahead = foreseen(book, plan, signal)
    is_late = is_too_old(book, plan, signal)
    if ahead is None:
        facts = facts_for(book, plan, signal)
        noted = note_facts(book, plan, signal, facts)
    else:
        noted = ahead.facts
    record(book, effects, signal, "open", None if is_late else noted)
    tell_routes(book, effects, signal)
    if not len(plan.table):
        return
    decisions = decided(plan, signal, facts) if ahead is None else ahead.decisions
    rows = np.arange(len(plan.table))
    if signal.accounts:
        bar(decisions, rows[np.isin(plan.account, signal.accounts)])
    if is_late:
        too_late(plan, decisions, rows)
    asked = np.ones(len(plan.table), dtype=bool)
    carry_out(book, effects, plan, signal, decisions, asked, age=signal.age_s, orders=ahead.orders if ahead else None)
    effects.events.append(Decided(book.time, copy(signal), decisions, rows, plan.subscription, plan.leaf, False))


def ask_again(
    book: Book, effects: Effects, signal: OpenSignal, routes: np.ndarray, *, tries: Tries | None = None
) -> None:
    """Decide an open signal again for some routes, but for those that hold a copy of it, and carry that out.

    routes: (n_routes,) bool. tries: those of them that waited or failed, whose delay is over; None: they are asked for
    another reason. A retry that fails for the same reason again is not told.
    """
    plan = plan_for(book, signal.strategy_id)
    facts = facts_for(book, plan, signal)
    if not len(plan.table):
        return
    asked = routes & ~holders(book, plan, signal)
    rows = np.flatnonzero(asked)
    if not len(rows):
        return
    decisions = decided(plan, signal, facts, is_after_delay=tries is not None)
    if signal.accounts:
        bar(decisions, rows[np.isin(plan.account[rows], signal.accounts)])
    if tries is not None:
        give_up(book, plan, decisions, rows, tries)
    begin_anew(book, plan, signal, rows)
    carry_out(book, effects, plan, signal, decisions, asked, age=0.0, tries=tries)
    if tries is not None:
        before = np.array([tries[code].reason if code in tries else 0 for code in codes_of(plan, rows).tolist()])
        rows = rows[decisions.reason[rows] != before]
    if len(rows):
        effects.events.append(Decided(book.time, copy(signal), decisions, rows, plan.subscription, plan.leaf, True))


def carry_out(
    book: Book,
    effects: Effects,
    plan: Plan,
    signal: OpenSignal,
    decisions: Decisions,
    asked: np.ndarray,
    *,
    age: float,
    orders: Placed | None = None,
    tries: Tries | None = None,
) -> None:
    """Let wait what is delayed, place the orders of what opens, and remember what the broker could not take.

    asked: (n_routes,) bool. age: how much of a first try's opening window is over, in seconds. orders: made ahead.
    """
    opens = asked & decisions.opens
    waits = opens & (decisions.outcome == Outcome.DELAYED)
    if waits.any():
        wait(book, plan, signal, decisions, np.flatnonzero(waits), age)
        opens &= ~waits
    if not opens.any():
        return
    execute(book, effects, plan, signal, decisions, np.flatnonzero(opens), orders)
    failed = np.flatnonzero(opens & (decisions.outcome == Outcome.FAILED))
    if len(failed):
        retry_later(book, plan, signal, decisions, failed, tries, age)


def decided(plan: Plan, signal: OpenSignal, facts: Facts, *, is_after_delay: bool = False) -> Decisions:
    """What the engine says now."""
    return decide(plan.table, engine_signal(signal), facts, is_after_delay=is_after_delay)


def is_too_old(book: Book, plan: Plan, signal: OpenSignal) -> bool:
    """Whether an external signal was on its way for longer than its opening window."""
    return signal.age_s > 0 and signal.time - signal.age_s + plan.opening_s[signal.kind] < book.time


def bar(decisions: Decisions, barred: np.ndarray) -> None:
    """Routes to accounts on which the signal's trade stands already never get a copy of it: it would go in circles."""
    decisions.refuse(barred, Outcome.SKIPPED, Reason.CIRCULAR, Level.SUBSCRIBER)
    decisions.limit_value[barred] = np.nan
    decisions.steps[barred, Step.SCALED :] = 0.0


def holders(book: Book, plan: Plan, signal: OpenSignal) -> np.ndarray:
    """(n_routes,) True for routes that have a position or order of the signal.

    What was copied on a way that no longer exists stands for all ways of its subscription.
    """
    by_subscription = np.zeros(book.subscriptions.size + 1, dtype=bool)  # the last is for -1
    by_part = np.zeros(book.parts.size + 2, dtype=bool)  # the last two are for -1 and UNKNOWN
    for table in (book.positions, book.orders):
        mine = (table.signal == signal.row) & (table.subscription >= 0)
        part, subscription = table.part[mine], table.subscription[mine]
        is_present = (part >= 0) & np.isin(part, plan.part)
        by_subscription[subscription[~is_present]] = True
        by_part[part[is_present]] = True
    return by_subscription[plan.subscription] | by_part[plan.part]


# -------------------------------------------------------------------------------------------- waiting and trying again
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


# ------------------------------------------------------------------------------------------------------- looking ahead


def engine_signal(signal: OpenSignal) -> model.Signal:
    """The signal as the engine takes it."""
    return model.Signal(
        id=signal.id,
        strategy_id=signal.strategy_id,
        symbol=signal.symbol,
        side=Side(signal.side),
        kind=OrderKind(signal.kind),
        volume_lots=signal.volume,
        price=signal.price,
        time=signal.time,
        stop_loss=signal.stop_loss,
        take_profit=signal.take_profit,
        magic=signal.magic,
    )


@dataclass(slots=True)
class Foreseen:
    """What was decided about a signal while its entry was being written: true as long as nothing it rests on changed.

    sequence: the entry that the book had reached. row: of the signal. orders: None where they are made afterwards.
    """

    sequence: int
    time: float
    plan: Plan
    row: int
    signal: model.Signal
    facts: Noted
    decisions: Decisions
    orders: Placed | None


@dataclass
class LookAhead:
    """What was decided ahead of the next entry, if anything was."""

    foreseen: Foreseen | None = None


def foresee(book: Book, signal: OpenSignal) -> None:
    """Decide a new signal ahead of its entry, so that the first order need not wait for it.

    Decisions are pure: `publish` takes these if it asks the same of the same state, else it decides anew.
    """
    plan = plan_for(book, signal.strategy_id)
    if not len(plan.table) or is_too_old(book, plan, signal):
        return
    asked, facts = engine_signal(signal), facts_for(book, plan, signal)
    decisions = decide(plan.table, asked, facts)
    noted = note_facts(book, plan, signal, facts)
    rows = np.flatnonzero(decisions.outcome < Outcome.DELAYED)
    # only an entry itself may give out numbers
    placed = np.unique(decisions.symbol[rows]).tolist()
    is_known = all(book.symbols.find(decisions.symbols[number]) >= 0 for number in placed)
    is_known = is_known and not (plan.part[rows] == UNKNOWN).any()
    orders = None
    if is_known and book.accounts.connected[plan.account[rows]].all():
        orders = orders_for(book, plan, signal, decisions, rows)
    book.cache(LookAhead).foreseen = Foreseen(
        book.sequence, book.time, plan, signal.row, asked, noted, decisions, orders
    )


def foreseen(book: Book, plan: Plan, signal: OpenSignal) -> Foreseen | None:
    """What was decided ahead, if it is about this signal at this moment in this state; it is used once.

    The book changes only by entries, so it is the same until the next one.
    """
    cache = book.cache(LookAhead)
    ahead, cache.foreseen = cache.foreseen, None
    if (
        ahead is None
        or ahead.plan is not plan
        or (ahead.sequence + 1, ahead.time) != (book.sequence, book.time)
        or ahead.row != signal.row
        or signal.accounts
        or ahead.signal != engine_signal(signal)
    ):
        return None
    return ahead
