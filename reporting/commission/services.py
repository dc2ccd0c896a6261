"""Keeps the commission ledger of a workspace up to date: called after each history sync, as often as one likes.

Only subscriptions with days that the ledger has not seen are computed; when a period ends, terms change or a fee grows
by days, all of that strategy. Some subscribers at a time are one database transaction under the lock of the strategy's
AccrualState: a crash or a second run in parallel changes nothing, and the next run goes on behind the last slice. Who
runs when: runs.py.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction

from reporting.commission import sources
from reporting.commission.adjustments import adjust_settled_periods
from reporting.commission.charging import Passing, StrategyAccount, read_accounts
from reporting.commission.fee_books import SettledBooks, add_standings, correct_limits, own_history
from reporting.commission.fee_lines import Charging, lines_with_fees
from reporting.commission.history import BEGINNING, SpannedCalendar
from reporting.commission.incoming import incoming_lines, part_of
from reporting.commission.ledger import (
    ReplacedDays,
    ReplacedSubscribers,
    move_adjustments,
    store_adjustments,
    store_lines,
)
from reporting.commission.periods import Calendar
from reporting.commission.policy import Basis, Scheme, digest_of
from reporting.commission.schemes import BilledSubscription, Line, Marked
from reporting.models import AccrualState, CommissionLine
from users.models import Connection, Workspace

VALUES_TAKEN_UP_EVERY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Accrued:
    """What an accrual changed. Running it again changes nothing: all zero but `strategies` where time passed."""

    strategies: int = 0
    subscriptions: int = 0
    lines_written: int = 0
    lines_removed: int = 0

    def __add__(self, other: Accrued) -> Accrued:
        return Accrued(
            self.strategies + other.strategies,
            self.subscriptions + other.subscriptions,
            self.lines_written + other.lines_written,
            self.lines_removed + other.lines_removed,
        )


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much one slice computes at most, in one database transaction: one subscriber in any case."""

    subscribers: int = 1_000
    deals: int = 20_000


@dataclass(frozen=True, slots=True)
class Run:
    """What all strategies of one connection share in one accrual. closes_until: settle so far, whatever is missing."""

    workspace_id: int
    now: datetime
    complete_until: datetime | None
    closes_until: datetime | None = None

    def settles(self, calendar: SpannedCalendar, before: datetime | None) -> datetime | None:
        """End of the last period whose deals are all known, or that a person closes; it never moves back."""
        known = [moment for moment in (before, self.closes_until) if moment is not None]
        if self.complete_until is not None:
            known.append(calendar.containing(self.complete_until).start)
        return max(known, default=None)


@dataclass(frozen=True, slots=True)
class Open:
    """The open end of one account's ledger: what begins at `since` (None: everything) is computed, and is final as far
    as `settled_until`."""

    account: StrategyAccount
    run: Run
    calendar: SpannedCalendar
    since: datetime | None
    settled_until: datetime | None

    def lines_of(
        self, subscriber_id: str, subscription: BilledSubscription, marks: dict[str, dict[Basis, Marked]]
    ) -> Iterator[Line]:
        """What one subscriber owes, and what is owed to the members' providers for it. marks: of the members."""
        now, since, settled_until = self.run.now, self.since, self.settled_until
        history = self.account.history_of(subscriber_id)
        yield from lines_with_fees(Charging(history, subscription, self.calendar, now, since, settled_until))
        yield from incoming_lines(
            self.account.members, subscription, self.calendar, marks, now=now, since=since, settled_until=settled_until
        )


def open_end(account: StrategyAccount, run: Run) -> Open:
    """The open end of an account's ledger as it stands; nothing is written."""
    named = {"connection_id": account.connection_id, "strategy_id": account.strategy_id}
    state = AccrualState.objects.filter(**named).first() or AccrualState(**named)
    return Open(account, run, _calendar(account, state, run), state.settled_until, state.settled_until)


def calendar_of(workspace: Workspace) -> Calendar:
    """The billing calendar of a workspace."""
    return Calendar(workspace.timezone, workspace.week_starts_monday)


def accrue_workspace(workspace_id: int, now: datetime, bounds: Bounds | None = None) -> Accrued:
    """Bring the ledger of every connection of a workspace up to `now`; may be repeated, lost, run in parallel."""
    accrued = Accrued()
    for account, run in due_accounts(workspace_id, now):
        more = True
        while more:
            done, more = accrue_slice(account, run, bounds or Bounds())
            accrued += done
    return accrued


def due_accounts(workspace_id: int, now: datetime) -> Iterator[tuple[StrategyAccount, Run]]:
    """Every ledger account of a workspace with something to do."""
    for connection_id in Connection.objects.filter(workspace_id=workspace_id).values_list("pk", flat=True):
        complete_until = sources.read_complete_until(connection_id, now)
        run = Run(workspace_id, now, complete_until)
        for account in _due_accounts(connection_id, run):
            yield account, run


def _due_accounts(connection_id: int, run: Run) -> Iterator[StrategyAccount]:
    """Accounts with something to do, found by a handful of small queries whatever the length of the history."""
    changed = sources.changed_strategies(connection_id)
    states = {state.strategy_id: state for state in AccrualState.objects.filter(connection_id=connection_id)}
    for account in read_accounts(connection_id, run.now):
        state = states.get(account.strategy_id)
        if state is None or not changed.isdisjoint(account.sources) or _all_are_due(account, state, run):
            yield account


def _all_are_due(account: StrategyAccount, state: AccrualState, run: Run) -> bool:
    """Whether every subscription of the strategy has to be computed, not only those with new deals."""
    if state.terms != _digest(account, run):
        return True
    if state.pass_key:  # a pass that did not end, such as a closing's that was cancelled: some are ahead of the others
        return True
    if not account.charges:
        return False
    if run.settles(_calendar(account, state, run), state.settled_until) != state.settled_until:
        return True
    if not account.grows_with_time(state.settled_until, run.now):
        return False
    return state.accrued_at is None or run.now - state.accrued_at >= VALUES_TAKEN_UP_EVERY


def _calendar(account: StrategyAccount, state: AccrualState, run: Run) -> SpannedCalendar:
    """How the periods of each time are cut; none goes across what was settled, or is being closed now."""
    return SpannedCalendar.of(account.calendar, (state.closed_until, state.settled_until, run.closes_until))


def _digest(account: StrategyAccount, run: Run) -> str:
    """Of all spans of terms, and how many of them have begun: where one begins, everybody is computed."""
    histories = account.offered
    begun = sum((span.since or BEGINNING) <= run.now for history in histories for span in history.spans)
    fees = account.fee_digest(run.now)
    return digest_of(*histories, *account.calendar, *account.sources, begun, *fees) if account.charges else ""


@transaction.atomic
def accrue_strategy(account: StrategyAccount, run: Run) -> Accrued:
    """Bring all of one strategy's lines up to date. Blocks while another accrual of the same strategy is running."""
    state = _lock(account)
    if state is None:
        raise RuntimeError(f"The state of {account.strategy_id} is gone although it was waited for.")
    return _take_up(account, run, state, None)[0]


@transaction.atomic
def accrue_slice(account: StrategyAccount, run: Run, bounds: Bounds, *, waits: bool = True) -> tuple[Accrued, bool]:
    """Bring the next few subscribers of one strategy up to date: (what changed, whether more wait).

    waits: whether to wait for another accrual of the strategy, or to leave it to that one.
    """
    state = _lock(account, waits=waits)
    return (Accrued(), False) if state is None else _take_up(account, run, state, bounds)


def _lock(account: StrategyAccount, *, waits: bool = True) -> AccrualState | None:
    """The strategy's state under a row lock; None where somebody else has it and nobody wants to wait."""
    named: dict[str, Any] = {"connection_id": account.connection_id, "strategy_id": account.strategy_id}
    states = AccrualState.objects.filter(**named)
    state = states.select_for_update(skip_locked=not waits).first()
    if state is None:
        _, is_new = AccrualState.objects.get_or_create(**named)
        if is_new or waits:
            state = states.select_for_update(skip_locked=not waits).first()
    return state


def _take_up(account: StrategyAccount, run: Run, state: AccrualState, bounds: Bounds | None) -> tuple[Accrued, bool]:
    """Compute the subscribers that are due, without bounds all of them: (what changed, whether more wait)."""
    everybody, digest = _all_are_due(account, state, run), _digest(account, run)
    calendar = _calendar(account, state, run)
    settles = run.settles(calendar, state.settled_until) if account.charges else state.settled_until
    key = _pass_key(digest, state, settles) if everybody else ""
    due, more = _next_subscribers(account, state, bounds, pass_key=key)
    changed = sources.take_changed_days(account, due)
    if not everybody:
        due = set(changed)
        more = more and bool(due)  # the days that wait are being written by a sync at this moment
    elif account.charges:
        named = run.workspace_id, account.connection_id, account.strategy_id
        move_adjustments(*named, calendar, state.settled_until)
    known = sources.newest_line_currencies(account, due)
    # a subscription without a line is booked where its deals belong, as far as nobody has closed these periods
    accrued = Accrued()
    for is_known, since in ((True, state.settled_until), (False, state.closed_until)):
        subscribers = {subscriber for subscriber in due if (subscriber in known) is is_known}
        ledger = Open(account, run, calendar, since, settles)
        accrued += _adjust(ledger, {subscriber: changed[subscriber] for subscriber in subscribers & changed.keys()})
        whole = subscribers
        if not everybody:
            days = {subscriber: changed[subscriber] for subscriber in account.charged_by_deal(subscribers, since)}
            done, computed = _accrue_days(ledger, days, known)
            accrued, whole = accrued + done, subscribers - computed
        accrued += _accrue(ledger, whole, has_lines=is_known)
        if account.has_fees and since is not None:
            books = SettledBooks(account, run.workspace_id, calendar, since, run.now)
            accrued += Accrued(0, 0, *correct_limits(books, subscribers))
    if everybody and more:
        state.pass_after = max(due)
    else:
        state.pass_key = state.pass_after = ""
        state.settled_until = settles
        state.terms = digest
        state.accrued_at = run.now if everybody else state.accrued_at
        accrued += Accrued(strategies=1)
    state.save()
    return accrued, more


def _pass_key(digest: str, state: AccrualState, settles: datetime | None) -> str:
    """What one pass makes final must be the same for all: with other terms or another end it begins again."""
    return hashlib.sha256(f"{digest} {state.settled_until} {settles}".encode()).hexdigest()


def _next_subscribers(
    account: StrategyAccount, state: AccrualState, bounds: Bounds | None, *, pass_key: str
) -> tuple[set[str], bool]:
    """Who is computed now, and whether others wait. pass_key: of a pass over everybody, which goes on where it was."""
    if bounds is None:
        return sources.all_subscribers(account) if pass_key else sources.changed_subscribers(account), False
    if pass_key:
        if state.pass_key != pass_key:
            state.pass_key, state.pass_after = pass_key, ""
        passing = _passing(account, state)
        waiting = passing.subscribers[bisect_right(passing.subscribers, state.pass_after) :]
        following, deals = waiting[: bounds.subscribers], passing.deals
    else:
        waiting = sorted(sources.changed_subscribers(account))
        following = waiting[: bounds.subscribers]
        deals = _deals_to_read(account, state, following)
    due: set[str] = set()
    number = 0
    for subscriber in following:
        number += deals.get(subscriber, 0)
        if due and number > bounds.deals:
            break
        due.add(subscriber)
    return due, len(due) < len(waiting)


def _passing(account: StrategyAccount, state: AccrualState) -> Passing:
    """The pass that is under way; whoever comes while it lasts is taken up behind it."""
    if account.passing is None or account.passing.key != state.pass_key:
        deals = sources.count_all_deals(account, state.closed_until)
        account.passing = Passing(state.pass_key, sorted(deals), deals)
    return account.passing


def _deals_to_read(account: StrategyAccount, state: AccrualState, subscriber_ids: list[str]) -> dict[str, int]:
    """How many deals of each have to be read after some of them changed."""
    if len(subscriber_ids) < 2:
        return {}
    by_deal = account.charged_by_deal(subscriber_ids, state.closed_until)
    whole = [subscriber for subscriber in subscriber_ids if subscriber not in by_deal]
    return sources.count_changed_deals(account, by_deal, None, whole=False) | sources.count_changed_deals(
        account, whole, state.settled_until, whole=True
    )


def _accrue_days(ledger: Open, days: dict[str, set[date]], known: dict[str, str]) -> tuple[Accrued, set[str]]:
    """Write the lines of deals of some days, where each follows from its deal alone: (what changed, whose).

    known: by subscriber with lines, the currency of the newest: where the account has another one now, its open lines
    have to be computed as a whole.
    """
    account = ledger.account
    if not days:
        return Accrued(), set()
    subscriptions = sources.read_changed_days(account, days, ledger.since) if account.charges else {}
    subscriptions = {
        subscriber_id: subscription
        for subscriber_id, subscription in subscriptions.items()
        if known.get(subscriber_id, subscription.currency) == subscription.currency
    }
    open_days = [
        (subscriber_id, start)
        for subscriber_id in subscriptions
        for start in sorted(map(sources.start_of, days[subscriber_id]))
    ]
    written, removed = store_lines(
        ledger.run.workspace_id,
        account.connection_id,
        account.strategy_id,
        lines=_lines_of(ledger, subscriptions, {}),
        replaced=ReplacedDays(open_days, ledger.since) if known.keys() & subscriptions.keys() else None,
    )
    done = Accrued(subscriptions=len(subscriptions), lines_written=written, lines_removed=removed)
    return done, set(subscriptions)


def _accrue(ledger: Open, subscriber_ids: set[str], *, has_lines: bool) -> Accrued:
    """Write the lines of these subscribers' periods that were open until now. has_lines: whether they have any."""
    account, since = ledger.account, ledger.since
    if not subscriber_ids:
        return Accrued()
    subscriptions = {}
    if account.charges:
        subscriptions = read_open_subscriptions(ledger, subscriber_ids, account.schemes_since(since), account.bases)
    marks = _marks_of_members(ledger, subscriptions)
    written, removed = store_lines(
        ledger.run.workspace_id,
        account.connection_id,
        account.strategy_id,
        lines=_lines_of(ledger, subscriptions, marks),
        replaced=ReplacedSubscribers(subscriber_ids, since) if has_lines else None,
    )
    return Accrued(subscriptions=len(subscriptions), lines_written=written, lines_removed=removed)


def _lines_of(
    ledger: Open,
    subscriptions: dict[str, BilledSubscription],
    marks: dict[str, dict[str, dict[Basis, Marked]]],
) -> Iterator[tuple[str, Line]]:
    for subscriber_id, subscription in subscriptions.items():
        for line in ledger.lines_of(subscriber_id, subscription, marks.get(subscriber_id, {})):
            yield subscriber_id, line


def read_open_subscriptions(
    ledger: Open,
    subscriber_ids: set[str],
    only: Collection[Scheme] = frozenset(Scheme),
    bases: Collection[Basis] = frozenset(Basis),
) -> dict[str, BilledSubscription]:
    """With the deals from where the oldest mark stands, if one is in force that has to be continued.

    only, bases: what the subscriptions are charged by; deals and marks that do not matter to these may be left out.
    """
    account, since = ledger.account, ledger.since
    subscriptions = _read_from_marks(ledger, subscriber_ids, only, bases)
    if since is not None and account.has_fees:
        add_standings(account, subscriptions, ledger.calendar, since)
    return subscriptions


def _read_from_marks(
    ledger: Open, subscriber_ids: set[str], only: Collection[Scheme], bases: Collection[Basis]
) -> dict[str, BilledSubscription]:
    account, since = ledger.account, ledger.since
    if since is None or not account.has_mark(since, ledger.run.now):
        return sources.read_subscriptions(account, subscriber_ids, since, only)
    marks = sources.read_marks(account, subscriber_ids, since, bases=sorted(bases))
    oldest = min([since, *(marked.at for standing in marks.values() for marked in standing.values())])
    subscriptions = sources.read_subscriptions(account, subscriber_ids, oldest, only)
    for subscriber_id, subscription in subscriptions.items():
        subscription.marks = marks.get(subscriber_id, {})
    return subscriptions


def _marks_of_members(ledger: Open, subscriber_ids: Collection[str]) -> dict[str, dict[str, dict[Basis, Marked]]]:
    """By subscriber and member, where the marks were left by the last settled period."""
    marks: dict[str, dict[str, dict[Basis, Marked]]] = {}
    for member in ledger.account.members:
        if ledger.since is not None:
            standing_by_subscriber = sources.read_marks(ledger.account, subscriber_ids, ledger.since, member)
            for subscriber_id, standing in standing_by_subscriber.items():
                marks.setdefault(subscriber_id, {})[member] = standing
    return marks


def _adjust(ledger: Open, changed: dict[str, set[date]]) -> Accrued:
    """Book what arrived late for settled periods into the open one."""
    account, settled_until = ledger.account, ledger.since
    if settled_until is None or not account.charges:
        return Accrued()
    late = {
        subscriber_id: {day for day in days if sources.start_of(day) < settled_until}
        for subscriber_id, days in changed.items()
    }
    lines, stale_ids = [], []
    for subscriber_id, days in late.items():
        if not days:
            continue
        stored = CommissionLine.objects.of_subscription(account.connection_id, account.strategy_id, subscriber_id)
        members = {member: terms.history for member, terms in account.members.items()}
        own = own_history(account, subscriber_id, ledger.calendar, ledger.run.now)
        for member, history in {"": own, **members}.items():
            adjustments = adjust_settled_periods(
                stored.filter(member_id=member),
                days,
                history=history,
                calendar=ledger.calendar,
                settled_until=settled_until,
                now=ledger.run.now,
                read_subscription=partial(_read_one, ledger, subscriber_id, member),
                member=member,
            )
            lines += [(subscriber_id, line) for line in adjustments.lines]
            stale_ids += adjustments.stale_ids
    if not lines and not stale_ids:
        return Accrued()
    written, removed = store_adjustments(
        ledger.run.workspace_id, account.connection_id, account.strategy_id, lines=lines, stale_ids=stale_ids
    )
    return Accrued(lines_written=written, lines_removed=removed)


def _read_one(ledger: Open, subscriber_id: str, member: str, since: datetime) -> BilledSubscription:
    account = ledger.account
    subscription = sources.read_subscriptions(account, [subscriber_id], since)[subscriber_id]
    if member:
        return part_of(subscription, member)
    if account.has_fees and ledger.since is not None:
        add_standings(account, {subscriber_id: subscription}, ledger.calendar, ledger.since)
        subscription.costs = sorted(subscription.standing.costs)
    return subscription
