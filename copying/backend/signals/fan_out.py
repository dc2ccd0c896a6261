"""One signal to all its subscribers: ask the engine once, place what it decided in bulk, tell it as columns."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import numpy as np

from copying.backend.state.book import Book
from copying.backend.state.effects import Decided, Effects
from copying.backend.state.entities import OpenSignal
from copying.backend.state.parts import UNKNOWN
from copying.engine import model
from copying.engine.decide import decide
from copying.engine.model import Decisions, Facts, Level, OrderKind, Outcome, Side, Step
from copying.engine.reasons import Reason

from .failures import tell_routes
from .orders import Placed, execute, orders_for
from .plans import Plan, facts_for, plan_for
from .recording import Noted, note_facts, record
from .retries import Tries, begin_anew, codes_of, give_up, retry_later, too_late, wait


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
    begin_anew(book, plan, signal, rows)
    decisions = decided(plan, signal, facts, is_after_delay=tries is not None)
    if signal.accounts:
        bar(decisions, rows[np.isin(plan.account[rows], signal.accounts)])
    if tries is not None:
        give_up(book, plan, decisions, rows, tries)
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
