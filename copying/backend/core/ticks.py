"""What happens because prices or time moved, in this order: night, periods, pending orders, stops, stop out by
margin, risk limits, news, delayed and retried signals, lifetimes, removals, account snapshots. The order is documented
in docs/copying.md.
"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from copying.backend.broker import deferred
from copying.backend.broker.paper import STOP_OUT_LEVEL, swap_rollover
from copying.backend.risk import limits
from copying.backend.risk import periods as limit_periods
from copying.backend.settings import commission
from copying.backend.signals import deployment, news_closing
from copying.backend.signals.delays import apply_delayed, ready_delays
from copying.backend.signals.lifecycle import (
    close_signal,
    fill_orders,
    fill_signal,
    publish_position,
    signals_of_ticket,
)
from copying.backend.signals.removal import finish_removals
from copying.backend.state.accounts import take_snapshots
from copying.backend.state.book import Book
from copying.backend.state.effects import Effects, LogLine
from copying.backend.state.entities import ActiveStopout
from copying.backend.state.tables import TradeTable
from copying.backend.state.valuation import closing_prices, opening_prices, value
from copying.engine.model import OrderKind

DAY = 86_400.0
KEEP_CLOSED_SECONDS = 2 * DAY


def due(book: Book, now: float) -> bool:
    """Whether a tick at `now` with the prices the book has would change anything."""
    value(book)
    return bool(
        now >= min(book.next_midnight, book.next_broker_midnight)
        or ((book.limits.period_end <= now) & book.taking_part(book.limits.account)).any()
        or len(triggered_orders(book))
        or len(stopped_positions(book)[0])
        or len(called_accounts(book))
        or len(limits.passed(book))
        or ready_delays(book, now).any()
        or expired(book, book.positions, now).any()
        or expired(book, book.orders, now).any()
        or len(news_closing.closing_positions(book, now))
        or any(removal.remove_after <= now for removal in book.removals)
        or deferred.to_catch_up(book)
        or deployment.is_due(book, now)
    )


def tick(book: Book, effects: Effects, *, snapshots: bool = False) -> None:
    """Carry everything out that is due at the book's time and prices."""
    set_midnights(book)
    while (midnight := min(book.next_midnight, book.next_broker_midnight)) <= book.time:
        if midnight == book.next_midnight:
            night(book, effects, midnight)
            book.next_midnight += DAY
        if midnight == book.next_broker_midnight:
            limit_periods.start_broker_periods(book, midnight)
            book.next_broker_midnight += DAY
    over = np.flatnonzero((book.limits.period_end <= book.time) & book.taking_part(book.limits.account))
    if len(over):
        limits.roll(book, over)
    fill_pending(book, effects)
    stop_positions(book, effects)
    stop_out(book, effects)
    watch_limits(book, effects)
    book.broker.close(book, effects, news_closing.closing_positions(book, book.time), "news are near: newsFilter")
    deployment.finish(book, effects)
    apply_delayed(book, effects)
    expire(book, effects)
    if book.removals:
        finish_removals(book, effects)
    if snapshots:
        take_snapshots(book, effects, np.array([row for row, meta in enumerate(book.account_meta) if meta.tenant]))
        book.snapshots_at = book.time


def set_midnights(book: Book) -> None:
    """A new book learns when its days end."""
    if book.next_midnight == 0.0:
        book.next_midnight = limit_periods.next_midnight(book.time)
    if book.next_broker_midnight == 0.0:
        book.next_broker_midnight = limit_periods.next_midnight(book.time, book.broker_ahead)


def night(book: Book, effects: Effects, midnight: float) -> None:
    """Swap of the day that ended, commissions of periods that ended, starts of calendar periods."""
    swap_rollover(book, datetime.fromtimestamp(midnight - 1, UTC).weekday())
    periods = commission.ended_periods(midnight)
    if periods:
        commission.settle_periods(book, effects, periods)
    limit_periods.start_calendar_periods(book, midnight)
    oldest = midnight - KEEP_CLOSED_SECONDS
    book.closed_signals = {key: moment for key, moment in book.closed_signals.items() if moment > oldest}


# ---------------------------------------------------------------------------------------------------- orders and stops


def triggered_orders(book: Book) -> np.ndarray:
    """Rows of pending orders whose price is reached: limits by a better, stops by a worse price."""
    orders = book.orders
    if not orders.size:
        return np.empty(0, dtype=np.intp)
    price = opening_prices(book, orders.symbol, orders.side)
    better = (price - orders.price) * orders.side <= 0
    worse = (price - orders.price) * orders.side >= 0
    reached = np.where(orders.kind == OrderKind.LIMIT, better, worse) & ~np.isnan(price)
    return np.flatnonzero(reached & book.taking_part(orders.account))


def fill_pending(book: Book, effects: Effects) -> None:
    """Providers' orders first, so that what was triggered by the same price is filled as a copy."""
    rows = triggered_orders(book)
    if not len(rows):
        return
    tickets = book.orders.id[rows][np.argsort(book.orders.subscription[rows] >= 0, kind="stable")].tolist()
    for ticket in tickets:
        rows_of_ticket = np.flatnonzero(book.orders.id == ticket)
        if len(rows_of_ticket):
            fill_one(book, effects, int(rows_of_ticket[0]))


def fill_one(book: Book, effects: Effects, row: int) -> None:
    """One order; all copies of its signal that the same price triggered go with it."""
    orders = book.orders
    if orders.subscription[row] >= 0:
        signal = book.signals.get(int(orders.signal[row]))
        same = np.intersect1d(np.flatnonzero(orders.signal == orders.signal[row]), triggered_orders(book))
        fill_orders(book, effects, same, signal.id if signal else "")
        return
    ticket, account = int(orders.id[row]), int(orders.account[row])
    known = signals_of_ticket(book, ticket)
    position = int(fill_orders(book, effects, np.array([row]), "")[0])
    if known and not book.accounts.connected[account]:
        deferred.hold_event(book, account, position, "provider-filled", ticket)
    elif not position:
        for signal in known:
            close_signal(book, effects, signal, "the provider's order could not be filled")
    elif known:
        price = float(book.positions.price[-1])
        for signal in known:
            fill_signal(book, effects, signal, price, position)
    else:
        publish_position(book, effects, book.positions.size - 1)


def stopped_positions(book: Book) -> tuple[np.ndarray, np.ndarray]:
    """Rows of positions at their stop loss and (of the rest) at their take profit."""
    positions = book.positions
    if not positions.size:
        return np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp)
    price = closing_prices(book, positions.symbol, positions.side)
    with np.errstate(invalid="ignore"):
        stopped = (price - positions.stop_loss) * positions.side <= 0
        taken = ((price - positions.take_profit) * positions.side >= 0) & ~stopped
    both = np.flatnonzero((stopped | taken) & book.taking_part(positions.account))
    return both, stopped[both]


def stop_positions(book: Book, effects: Effects) -> None:
    """Close what reached a stop; where both are reached the stop loss counts."""
    rows, is_stop = stopped_positions(book)
    if not len(rows):
        return
    tickets = book.positions.id[rows]
    for mask, cause in ((is_stop, "stop loss"), (~is_stop, "take profit")):
        some = np.flatnonzero(np.isin(book.positions.id, tickets[mask]))
        close_with_signals(book, effects, some, cause)


def close_with_signals(book: Book, effects: Effects, rows: np.ndarray, cause: str) -> None:
    """Close positions; where they are a provider's, its signals too."""
    if not len(rows):
        return
    own = set(book.positions.id[rows[book.positions.subscription[rows] < 0]].tolist())
    if own and not deferred.all_reached(book):
        own -= unnoticed(book, rows)
    book.broker.close(book, effects, rows, cause, by_broker=True)
    if own:
        for signal in [signal for signal in book.signals.values() if signal.ticket in own]:
            close_signal(book, effects, signal, f"the provider's position closed: {cause}")


def unnoticed(book: Book, rows: np.ndarray) -> set[int]:
    """Tickets of closing positions of accounts without connection: their signals end when it is back."""
    out = rows[deferred.away(book, book.positions, rows) & (book.positions.subscription[rows] < 0)]
    tickets = book.positions.id[out].tolist()
    for account, ticket in zip(book.positions.account[out].tolist(), tickets, strict=True):
        deferred.hold_event(book, account, ticket, "provider-closed")
    return set(tickets)


def called_accounts(book: Book) -> np.ndarray:
    """Rows of accounts whose margin level is at or below the stop out level."""
    value(book)
    accounts = book.accounts
    least = STOP_OUT_LEVEL * accounts.margin
    reaches = accounts.equity - limits.NO_MONEY <= least if is_level_enough(book) else accounts.equity < least
    called = np.flatnonzero((accounts.margin > 0) & reaches)
    return called[book.taking_part(called)]


def is_level_enough(book: Book) -> bool:
    """Whether the stop out level itself is low enough, as at brokers with MetaTrader; entries from before say no."""
    return book.rules >= limits.REACHED_COUNTS


def stop_out(book: Book, effects: Effects) -> None:
    """Close the position with the largest loss, one after another, until the margin level is in order."""
    for account in called_accounts(book).tolist():
        while account in called_accounts(book).tolist():
            rows = np.flatnonzero(book.positions.account == account)
            if not len(rows):
                break
            meta = book.account_meta[account]
            side = "not above" if is_level_enough(book) else "below"
            text = f"Stop out: equity {book.accounts.equity[account]:.2f} is {side} half of the margin used."
            effects.events.append(LogLine(book.time, meta.tenant, 2, text, subscriber_id=meta.id))
            worst = rows[np.argmin(book.positions.profit[rows])]
            close_with_signals(book, effects, np.array([worst]), "stop out by margin")


# ------------------------------------------------------------------------------------------------ limits, delays, ends


def watch_limits(book: Book, effects: Effects) -> None:
    """Fire exceeded limits and close what they say."""
    for row in limits.passed(book).tolist():
        stopout = limits.fire(book, effects, row)
        meta = book.account_meta[stopout.account]
        subscriber = book.subscribers_by_id.get(meta.id)
        strategy_id = book.subscription_keys[stopout.subscription][1] if stopout.subscription >= 0 else ""
        tenant = subscriber.tenant if subscriber else meta.tenant
        effects.events.append(
            LogLine(book.time, tenant, 2, f"Trading stopped. {stopout.description}", strategy_id, meta.id)
        )
        close_stopped(book, effects, stopout)


def close_stopped(book: Book, effects: Effects, stopout: ActiveStopout) -> None:
    """Copied orders under a stopout, and positions if it closes them; trades by hand are never touched.

    An order that stayed would be a new trade when it fills.
    """
    for table in (book.orders, book.positions):
        rows = np.flatnonzero(limits.under(book, table, stopout.account, stopout.subscription, stopout.scope))
        if not len(rows):
            continue
        if table is book.orders:
            book.broker.cancel(book, rows)
        elif stopout.closes:
            book.broker.close(book, effects, rows, "risk limit")


def expired(book: Book, table: TradeTable, now: float) -> np.ndarray:
    """(n,) True for positions or orders whose time is over."""
    return (table.expires <= now) & book.taking_part(table.account)


def expire(book: Book, effects: Effects) -> None:
    """Lifetime of copied positions and opening window of copied pending orders."""
    old = np.flatnonzero(expired(book, book.orders, book.time))
    if len(old):
        book.broker.cancel(book, old, by_broker=True)
    book.broker.close(book, effects, np.flatnonzero(expired(book, book.positions, book.time)), "its lifetime ended")
