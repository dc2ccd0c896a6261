"""Where the periods of risk limits begin and end, and what a limit counts from (contract, 4.5).

Limits of balances follow the UTC clock, equity-difference follows the broker's. Knows nothing of drawdowns: `limits.py`
judges and fires.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from copying.backend.state.book import Book
from copying.backend.state.commands import SetBrokerClock
from copying.backend.state.effects import Effects
from copying.backend.state.entities import FAR_FUTURE
from copying.backend.state.errors import invalid
from copying.backend.state.parts import parts_below
from copying.backend.state.tables import AccountTable, PartTable, SubscriptionTable
from copying.backend.state.valuation import value
from copying.engine import periods

KINDS = periods.TYPES
BASES = ("balance-difference", "balance-minus-equity", "equity-difference")
EQUITIES = BASES.index("equity-difference")
CALENDAR = {1: 0, 3: 1, 5: 2, 7: 3, 9: 4}  # kind -> column of period starts
KEPT_RESULTS = 100_000
DAY = 86_400.0


@dataclass
class PastSums:
    """The sums of results that were asked for last (`sums_since`), and what they are of."""

    key: tuple[float, ...] = ()
    sums: tuple[np.ndarray, np.ndarray, np.ndarray] = (np.zeros(0), np.zeros(0), np.zeros(0))


def calendar_start(kind: int, now: float, ahead: float = 0.0) -> datetime:
    """Start of the calendar period of a `…-to-date` or `date` limit that `now` lies in.

    ahead: by how many seconds the clock that counts is ahead of UTC.
    """
    local = datetime.fromtimestamp(now + ahead, UTC)
    return periods.calendar_period(KINDS[kind], local)[0] - timedelta(seconds=ahead)


def period_of(kind: int, start: float, now: float, ahead: float = 0.0) -> periods.RiskPeriod:
    """The period that `now` lies in, the one that begins at `start` before that; a lifetime ends in the far future."""
    begun, end = periods.period_at(KINDS[kind], start + ahead, now + ahead)
    return periods.RiskPeriod(begun - ahead, min(end - ahead, FAR_FUTURE))


def period_end(kind: int, start: float, now: float) -> float:
    """When the period that `now` lies in ends by the UTC clock."""
    return period_of(kind, start, now).end


def clock_of(book: Book, row: int) -> float:
    """By how many seconds the clock of a limit is ahead of UTC."""
    return book.broker_ahead if book.limits.basis[row] == EQUITIES else 0.0


def begin(book: Book, row: int) -> None:
    """A limit starts to count, or its next period begins: remember where from."""
    rows = book.limits
    kind, basis = int(rows.kind[row]), int(rows.basis[row])
    account, ahead = int(rows.account[row]), clock_of(book, row)
    column = CALENDAR.get(kind)
    if column is not None and rows.given_start[row] <= calendar_start(kind, book.time, ahead).timestamp():
        take_column(book, row, column)
    else:
        rows.base[row] = measured(book, row, balance=basis != EQUITIES)
        rows.base_balance[row] = book.accounts.balance[account]
    rows.period_end[row] = period_of(kind, float(rows.start[row]), book.time, ahead).end


def look_back(book: Book, row: int) -> None:
    """A limit that was just set has a startTime in the past: its period began then, as far as anything is known of it.

    Known are the results of deals that are still kept, the starts of the present calendar periods, and the start of the
    subscription or account. Of what lies before, the earliest known moment counts. At other moments than the calendar's
    nothing is known of equities: balances take their place.
    """
    rows = book.limits
    kind, account, subscription = int(rows.kind[row]), int(rows.account[row]), int(rows.subscription[row])
    ahead = clock_of(book, row)
    begun = period_of(kind, float(rows.start[row]), book.time, ahead).start
    if kind in CALENDAR and begun == calendar_start(kind, book.time, ahead).timestamp():
        return  # `begin` knows it
    opened = book.subscriptions.since[subscription] if subscription >= 0 else book.account_meta[account].created_at
    begun = max(begun, float(opened))
    columns = {
        calendar_start(calendar_kind, book.time, ahead).timestamp(): column
        for calendar_kind, column in CALENDAR.items()
    }
    moment = begun
    if begun <= book.results_since:
        moment = min(start for start in (*columns, np.nextafter(book.results_since, np.inf)) if start >= begun)
    if moment in columns:
        take_column(book, row, columns[moment])
    else:
        owner, index = owner_of(book, row)
        sums = sums_since(book, moment)
        own = sums[(book.accounts, book.subscriptions, book.parts).index(owner)]
        rows.base[row] = measured(book, row, balance=True) - own[index].sum()
        rows.base_balance[row] = book.accounts.balance[account] - sums[0][account]
    if begun == opened:
        rows.base[row] = 0.0 if subscription >= 0 else book.accounts.balance[account] - book.accounts.traded[account]


def take_column(book: Book, row: int, column: int) -> None:
    """The calendar period that the limit counts from."""
    rows = book.limits
    owner, index = owner_of(book, row)
    is_equity = rows.basis[row] == EQUITIES
    rows.base[row] = owner.starts("equity" if is_equity else "balance", column)[index].sum()
    clock = "broker_balance" if is_equity and book.broker_ahead else "balance"
    rows.base_balance[row] = book.accounts.starts(clock, column)[rows.account[row]]


def sums_since(book: Book, moment: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums of results from a moment on by account, by subscription and by part, in account currency."""
    results = book.results
    key = moment, book.sequence, results.size, book.accounts.size, book.subscriptions.size, book.parts.size
    past = book.cache(PastSums)
    if past.key != key:
        first = int(np.searchsorted(results.time, moment))
        amount = results.amount[first:]
        sums = []
        owners = (
            (results.account, book.accounts),
            (results.subscription, book.subscriptions),
            (results.part, book.parts),
        )
        for column, table in owners:
            numbers = column[first:]
            sums.append(np.bincount(numbers[numbers >= 0], amount[numbers >= 0], table.size))
        past.key, past.sums = key, (sums[0], sums[1], sums[2])
    return past.sums


def note_results(
    book: Book, account: np.ndarray, subscription: np.ndarray, part: np.ndarray, amount: np.ndarray
) -> None:
    """Keep the results of deals; the oldest go. Of the moment of the last one that went nothing is known any more."""
    results = book.results
    results.extend(len(amount), time=book.time, account=account, subscription=subscription, part=part, amount=amount)
    if results.size > 2 * KEPT_RESULTS:
        book.results_since = float(results.time[-KEPT_RESULTS - 1])
        results.keep(np.arange(results.size) >= results.size - KEPT_RESULTS)


def owner_of(book: Book, row: int) -> tuple[AccountTable | SubscriptionTable | PartTable, np.ndarray]:
    """The table and its rows whose sum a limit looks at: an account, a subscription, or parts of one."""
    rows = book.limits
    subscription, scope = int(rows.subscription[row]), int(rows.scope[row])
    if subscription < 0:
        return book.accounts, rows.account[row : row + 1]
    if scope < 0:
        return book.subscriptions, rows.subscription[row : row + 1]
    return book.parts, parts_below(book, subscription, scope)


def measured(book: Book, row: int, *, balance: bool) -> float:
    """Balance or equity now of what a limit looks at; of a subscription or a part: its result so far."""
    value(book)
    owner, index = owner_of(book, row)
    if isinstance(owner, AccountTable):
        return float((owner.balance if balance else owner.equity)[index].sum())
    realised = owner.realised[index]
    return float((realised if balance else realised + owner.floating[index]).sum())


def start_calendar_periods(book: Book, midnight: float) -> None:
    """Remember balances at the start of the calendar periods that begin at this midnight of UTC."""
    for kind, column in CALENDAR.items():
        if calendar_start(kind, midnight).timestamp() == midnight:
            book.accounts.starts("balance", column)[:] = book.accounts.balance
            for table in (book.subscriptions, book.parts):
                table.starts("balance", column)[:] = table.realised


def start_broker_periods(book: Book, midnight: float) -> None:
    """Remember equities at the start of the calendar periods that begin at this midnight of the broker's clock."""
    value(book)
    for kind, column in CALENDAR.items():
        if calendar_start(kind, midnight, book.broker_ahead).timestamp() == midnight:
            book.accounts.starts("broker_balance", column)[:] = book.accounts.balance
            book.accounts.starts("equity", column)[:] = book.accounts.equity
            for table in (book.subscriptions, book.parts):
                table.starts("equity", column)[:] = table.realised + table.floating


def next_midnight(now: float, ahead: float = 0.0) -> float:
    """The next midnight of a clock that is so many seconds ahead of UTC."""
    return ((now + ahead) // DAY + 1) * DAY - ahead


def check_broker_clock(book: Book, command: SetBrokerClock) -> None:
    """Any clock on earth."""
    if not -14 <= command.offset_hours <= 14:
        raise invalid("offsetHours", command.offset_hours, "must be between -14 and 14")


def set_broker_clock(book: Book, command: SetBrokerClock, effects: Effects) -> None:
    """The broker's days begin at another moment from now on. What limits count from until their period ends stays."""
    book.broker_ahead = command.offset_hours * 3600
    book.next_broker_midnight = next_midnight(book.time, book.broker_ahead)
    for column in CALENDAR.values():
        book.accounts.starts("broker_balance", column)[:] = book.accounts.starts("balance", column)
    rows = book.limits
    for row in np.flatnonzero(rows.basis == EQUITIES).tolist():
        period = period_of(int(rows.kind[row]), float(rows.start[row]), book.time, book.broker_ahead)
        rows.period_end[row] = period.end
