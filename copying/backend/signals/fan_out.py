"""One signal to all its subscribers: ask the engine once, place what it decided in bulk, tell it as columns."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import numpy as np

from copying.backend.state.book import Book
from copying.backend.state.broker_port import Orders
from copying.backend.state.effects import Decided, Effects
from copying.backend.state.entities import Signal
from copying.backend.state.parts import UNKNOWN
from copying.engine import model
from copying.engine.decide import decide
from copying.engine.model import Level, OrderKind, Outcome, Side
from copying.engine.reasons import Reason
from copying.engine.timing import DEFAULT_OPENING_MINUTES, close_after, opening_deadline

from .failures import tell_routes
from .plans import Plan, facts_for, parts_of, plan_for
from .recording import Noted, note_facts, record

MARKET = int(OrderKind.MARKET)
RETRY_SECONDS = 15.0
Placed = tuple[np.ndarray, Orders]  # with the routes that the orders are of


def engine_signal(signal: Signal) -> model.Signal:
    """The signal as the engine takes it."""
    return model.Signal(
        id=signal.id, strategy_id=signal.strategy_id, symbol=signal.symbol, side=Side(signal.side),
        kind=OrderKind(signal.kind), volume_lots=signal.volume, price=signal.price, time=signal.time,
        stop_loss=signal.stop_loss, take_profit=signal.take_profit, magic=signal.magic,
    )  # fmt: skip


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
    decisions: model.Decisions
    orders: Placed | None


def foresee(book: Book, signal: Signal) -> None:
    """Decide a new signal ahead of its entry, so that the first order need not wait for it.

    Decisions are pure: `fan_out` takes these if it asks the same of the same state, else it decides anew.
    """
    plan = plan_for(book, signal.strategy_id)
    if not len(plan.table) or is_too_old(book, signal):
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
    book.foreseen = Foreseen(book.sequence, book.time, plan, signal.row, asked, noted, decisions, orders)


def fan_out(
    book: Book,
    effects: Effects,
    signal: Signal,
    *,
    only: np.ndarray | None = None,
    after_delay: bool = False,
    late: bool = False,
    tries: dict[int, tuple[float, int]] | None = None,
) -> None:
    """Decide `signal` for its routes and carry it out.

    only: (n_routes,) bool, the routes asked; None: all. Routes that hold a copy of the signal already are never asked.
    after_delay: the wait of signalDelay is over. late: told as a repeated decision.
    tries: the routes that waited or failed (code -> end of the opening window, reason of the last failure or 0);
    None: the first try. A retry that fails for the same reason again is not told.
    """
    plan = plan_for(book, signal.strategy_id)
    ahead = foreseen(book, plan, signal) if only is None else None
    facts = facts_for(book, plan, signal) if ahead is None else None
    is_late = only is None and is_too_old(book, signal)
    if only is None:
        noted = note_facts(book, plan, signal, facts) if ahead is None else ahead.facts
        record(book, effects, signal, "open", None if is_late else noted)
        tell_routes(book, effects, signal)
    if not len(plan.table):
        return
    asked = np.ones(len(plan.table), dtype=bool) if only is None else only.copy()
    if only is not None:
        asked &= ~holders(book, plan, signal)
    rows = np.flatnonzero(asked)
    if not len(rows):
        return
    if only is not None:
        begin_anew(book, plan, signal, rows)
    decisions = decided(plan, signal, facts, after_delay) if ahead is None else ahead.decisions
    if signal.accounts:
        bar(decisions, rows[np.isin(plan.account[rows], signal.accounts)])
    if is_late:
        too_late(plan, decisions, rows)
    if tries is not None:
        give_up(book, plan, decisions, rows, tries)
    opens = asked & decisions.opens
    waits = opens & (decisions.outcome == Outcome.DELAYED)
    if waits.any():
        wait(book, plan, signal, decisions, np.flatnonzero(waits), 0.0 if only is not None else signal.age_s)
        opens &= ~waits
    if opens.any():
        execute(book, effects, plan, signal, decisions, np.flatnonzero(opens), ahead.orders if ahead else None)
        failed = np.flatnonzero(opens & (decisions.outcome == Outcome.FAILED))
        if len(failed):
            retry_later(book, plan, signal, decisions, failed, tries, 0.0 if only is not None else signal.age_s)
    if tries is not None:
        before = np.array([tries.get(each, (0.0, 0))[1] for each in codes_of(plan, rows).tolist()])
        rows = rows[decisions.reason[rows] != before]
    if len(rows):
        effects.told.append(Decided(book.time, copy(signal), decisions, rows, plan.subscription, plan.leaf, late))


def begin_anew(book: Book, plan: Plan, signal: Signal, rows: np.ndarray) -> None:
    """Routes that are asked again wait for nothing from before: else the signal could be opened a second time."""
    delayed = book.delayed
    if delayed.size:
        again = np.isin(route_codes(delayed.subscription, delayed.part), codes_of(plan, rows))
        delayed.keep(~((delayed.signal == signal.row) & again))


def foreseen(book: Book, plan: Plan, signal: Signal) -> Foreseen | None:
    """What was decided ahead, if it is about this signal at this moment in this state; it is used once.

    The book changes only by entries, so it is the same until the next one.
    """
    found: Foreseen | None = book.foreseen
    book.foreseen = None
    if (
        found is None
        or found.plan is not plan
        or (found.sequence + 1, found.time) != (book.sequence, book.time)
        or found.row != signal.row
        or signal.accounts
        or found.signal != engine_signal(signal)
    ):
        return None
    return found


def decided(plan: Plan, signal: Signal, facts: model.Facts, after_delay: bool) -> model.Decisions:
    """What the engine says now."""
    return decide(plan.table, engine_signal(signal), facts, is_after_delay=after_delay)


def retry_later(
    book: Book,
    plan: Plan,
    signal: Signal,
    decisions: model.Decisions,
    rows: np.ndarray,
    tries: dict[int, tuple[float, int]] | None,
    age: float,
) -> None:
    """Remember routes that the broker could not take: tried again inside the opening window.

    After a lack of margin every RETRY_SECONDS, without a connection as soon as it is back. age: what is over of the
    window of a first try, in seconds.
    """
    document = book.strategies_by_id[signal.strategy_id].document
    first = opening_deadline(document, book.time - age, 0.0, signal.kind != MARKET)
    parts = parts_of(book, plan, rows)
    codes = codes_of(plan, rows)
    deadlines = np.array([(tries or {}).get(each, (first, 0))[0] for each in codes.tolist()])
    reasons = decisions.reason[rows]
    soon = np.where(reasons == Reason.OFFLINE, deadlines, np.minimum(book.time + RETRY_SECONDS, deadlines))
    book.delayed.extend(
        len(rows), due=soon, signal=signal.row, subscription=plan.subscription[rows], part=parts, leaf=plan.leaf,
        deadline=deadlines, reason=reasons,
    )  # fmt: skip


def route_codes(subscription: np.ndarray, part: np.ndarray) -> np.ndarray:
    """(n,) one number for each route of a leaf strategy: its subscription and its part."""
    return subscription.astype(np.int64) * 2**32 + part


def codes_of(plan: Plan, rows: np.ndarray) -> np.ndarray:
    """(n,) the numbers of some routes."""
    return route_codes(plan.subscription[rows], plan.part[rows])


def give_up(
    book: Book, plan: Plan, decisions: model.Decisions, rows: np.ndarray, tries: dict[int, tuple[float, int]]
) -> None:
    """Routes whose opening window has ended are too late, whatever the engine says."""
    over = [tries.get(each, (np.inf, 0))[0] <= book.time for each in codes_of(plan, rows).tolist()]
    too_late(plan, decisions, rows[np.array(over, dtype=bool)])


def is_too_old(book: Book, signal: Signal) -> bool:
    """Whether an external signal was on its way for longer than its opening window."""
    if not signal.age_s:
        return False
    document = book.strategies_by_id[signal.strategy_id].document
    return opening_deadline(document, signal.time - signal.age_s, 0.0, signal.kind != MARKET) < book.time


def too_late(plan: Plan, decisions: model.Decisions, late: np.ndarray) -> None:
    """The opening window of these routes is over."""
    decisions.outcome[late] = Outcome.SKIPPED
    decisions.reason[late] = Reason.TOO_LATE
    decisions.level[late] = Level.STRATEGY
    minutes = (plan.table.strategy.get("timeSettings") or {}).get("openingIntervalInMinutes")
    decisions.limit_value[late] = DEFAULT_OPENING_MINUTES if minutes is None else minutes
    decisions.steps[late, 5] = 0.0


def bar(decisions: model.Decisions, barred: np.ndarray) -> None:
    """Routes to accounts on which the signal's trade stands already never get a copy of it: it would go in circles."""
    decisions.outcome[barred] = Outcome.SKIPPED
    decisions.reason[barred] = Reason.CIRCULAR
    decisions.level[barred] = Level.SUBSCRIBER
    decisions.limit_value[barred] = np.nan
    decisions.steps[barred, 1:] = 0.0


def holders(book: Book, plan: Plan, signal: Signal) -> np.ndarray:
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


def wait(book: Book, plan: Plan, signal: Signal, decisions: model.Decisions, rows: np.ndarray, age: float) -> None:
    """Remember delayed routes. Their opening window begins when the delay ends, whenever anybody looks.

    age: what is over of the window of a first try, in seconds.
    """
    due = book.time + decisions.delay_s[rows]
    document = book.strategies_by_id[signal.strategy_id].document
    book.delayed.extend(
        len(rows), due=due, signal=signal.row, subscription=plan.subscription[rows], part=parts_of(book, plan, rows),
        leaf=plan.leaf, deadline=opening_deadline(document, due - age, 0.0, signal.kind != MARKET),
    )  # fmt: skip


def execute(
    book: Book,
    effects: Effects,
    plan: Plan,
    signal: Signal,
    decisions: model.Decisions,
    rows: np.ndarray,
    orders: Placed | None,
) -> None:
    """Place the orders of some routes (None: make them now); routes that the broker refuses become failed decisions."""
    if orders is None:
        orders = orders_for(book, plan, signal, decisions, without_offline(book, plan, decisions, rows))
    rows, placed = orders
    if not len(rows):
        return
    if placed.is_pending:
        book.broker.place(book, effects, placed)
        return
    refused = rows[book.broker.open(book, effects, placed) == 0]
    if len(refused):
        fail(decisions, refused, Reason.NOT_ENOUGH_MARGIN)


def orders_for(book: Book, plan: Plan, signal: Signal, decisions: model.Decisions, rows: np.ndarray) -> Placed:
    """The orders of some routes, at the market or pending as the signal is, with their routes; nothing is placed."""
    document = book.strategies_by_id[signal.strategy_id].document
    numbers = symbol_numbers(book, decisions, rows)
    is_market = signal.kind == MARKET
    pick = slice(None) if len(rows) == len(plan.table) else rows  # all of them: nothing is copied
    part = plan.part[pick]
    if (part == UNKNOWN).any():
        part = parts_of(book, plan, rows)
    orders = Orders(
        account=plan.account[pick], symbol=numbers[decisions.symbol[pick]], side=decisions.side[pick],
        volume=decisions.volume_lots[pick], kind=decisions.kind[pick], price=signal.price,
        stop_loss=decisions.stop_loss[pick], take_profit=decisions.take_profit[pick], magic=signal.magic,
        subscription=plan.subscription[pick], part=part, signal=signal.row, leaf=plan.leaf, flags=plan.flags[pick],
        expires=close_after(document, signal.time), signal_id=signal.id, is_pending=not is_market,
        provider_price=provider_prices(book, signal, decisions, rows) if is_market else np.nan,
    )  # fmt: skip
    if not is_market:
        orders.expires = min(opening_deadline(document, signal.time - signal.age_s, 0.0, True), orders.expires)
    return rows, orders


def symbol_numbers(book: Book, decisions: model.Decisions, rows: np.ndarray) -> np.ndarray:
    """Numbers in the book of `decisions.symbols`; -1 for names that none of `rows` places an order in.

    A name that only refused routes wanted never enters the book: the broker may not know it.
    """
    numbers = np.full(len(decisions.symbols), -1, dtype=np.intp)
    for place in np.unique(decisions.symbol[rows]).tolist():
        numbers[place] = book.symbols.number(decisions.symbols[place])
    return numbers


def without_offline(book: Book, plan: Plan, decisions: model.Decisions, rows: np.ndarray) -> np.ndarray:
    """The routes whose accounts can be reached; the others fail."""
    connected = book.accounts.connected[plan.account[rows]]
    if not connected.all():
        fail(decisions, rows[~connected], Reason.OFFLINE)
    return rows[connected]


def fail(decisions: model.Decisions, rows: np.ndarray, reason: Reason) -> None:
    """The broker does not take what was decided."""
    decisions.outcome[rows] = Outcome.FAILED
    decisions.reason[rows] = reason
    decisions.level[rows] = Level.BROKER
    decisions.steps[rows, 5] = 0.0


def provider_prices(book: Book, signal: Signal, decisions: model.Decisions, rows: np.ndarray) -> np.ndarray | float:
    """What slippage is measured against: the provider's fill, where the copy is on the same side and pair."""
    if signal.price <= 0:
        return np.nan
    same = decisions.side[rows] == signal.side
    quote = book.quote(signal.symbol)
    by_symbol = np.array([quote is not None and book.quote(symbol) == quote for symbol in decisions.symbols])
    if by_symbol.all() and same.all():
        return signal.price
    return np.where(same & by_symbol[decisions.symbol[rows]], signal.price, np.nan)
