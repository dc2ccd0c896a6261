"""Keeps the commission ledger of a workspace up to date: called after each history sync, as often as one likes.

Only subscriptions with days that the ledger has not seen are computed; when a period ends, terms change or a fee grows
by days, all of that strategy. Some subscribers at a time are one database transaction under the lock of the strategy's
AccrualState: a crash or a second run in parallel changes nothing, and the next run goes on behind the last slice. Who
runs when: runs.py.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from reporting.commission import sources
from reporting.commission.charging import Passing, StrategyAccount, read_accounts
from reporting.commission.fee_books import SettledBooks, correct_limits
from reporting.commission.history import BEGINNING, SpannedCalendar
from reporting.commission.ledger import move_adjustments
from reporting.commission.open_periods import Accrued, Open, Run, accrue, accrue_days, adjust
from reporting.commission.periods import Calendar
from reporting.commission.policy import digest_of
from reporting.models import AccrualState
from users.models import Connection, Workspace

VALUES_TAKEN_UP_EVERY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much one slice computes at most, in one database transaction: one subscriber in any case."""

    subscribers: int = 1_000
    deals: int = 20_000


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
        accrued += adjust(ledger, {subscriber: changed[subscriber] for subscriber in subscribers & changed.keys()})
        whole = subscribers
        if not everybody:
            days = {subscriber: changed[subscriber] for subscriber in account.charged_by_deal(subscribers, since)}
            done, computed = accrue_days(ledger, days, known)
            accrued, whole = accrued + done, subscribers - computed
        accrued += accrue(ledger, whole, has_lines=is_known)
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
