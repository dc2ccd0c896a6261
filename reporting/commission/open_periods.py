"""Computes and writes what subscribers owe in the periods that are open, and what arrived late for settled ones."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial

from reporting.commission import sources
from reporting.commission.adjustments import adjust_settled_periods
from reporting.commission.charging import StrategyAccount
from reporting.commission.deals_in_sql import ChargedDeals, Stretch, cuts_between, has_storable_rates
from reporting.commission.fee_books import add_standings, own_history
from reporting.commission.fee_lines import Charging, lines_with_fees
from reporting.commission.history import SpannedCalendar
from reporting.commission.incoming import incoming_lines, part_of
from reporting.commission.ledger import Lines, ReplacedDays, ReplacedSubscribers, store_adjustments, store_lines
from reporting.commission.policy import Basis, Scheme
from reporting.commission.schemes import BilledSubscription, Line, Marked
from reporting.models import CommissionLine


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


def accrue_days(ledger: Open, days: dict[str, set[date]], known: dict[str, str]) -> tuple[Accrued, set[str]]:
    """Write the lines of deals of some days, where each follows from its deal alone: (what changed, whose).

    known: by subscriber with lines, the currency of the newest: where the account has another one now, its open lines
    have to be computed as a whole.
    """
    account = ledger.account
    if not days:
        return Accrued(), set()
    everybody = sources.without_deals(account, days) if account.charges else {}
    subscriptions = {
        subscriber_id: subscription
        for subscriber_id, subscription in everybody.items()
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
        lines=_lines_of_deals(ledger, subscriptions, sources.stretches_of_days(days, subscriptions, ledger.since)),
        replaced=ReplacedDays(open_days, ledger.since) if known.keys() & subscriptions.keys() else None,
    )
    done = Accrued(subscriptions=len(subscriptions), lines_written=written, lines_removed=removed)
    return done, set(subscriptions)


def accrue(ledger: Open, subscriber_ids: set[str], *, has_lines: bool) -> Accrued:
    """Write the lines of these subscribers' periods that were open until now. has_lines: whether they have any."""
    account, since = ledger.account, ledger.since
    if not subscriber_ids:
        return Accrued()
    by_deal = account.charged_by_deal(subscriber_ids, since) if account.charges else set()
    if by_deal and by_deal != subscriber_ids:
        parts = (by_deal, subscriber_ids - by_deal)
        return sum((accrue(ledger, part, has_lines=has_lines) for part in parts), Accrued())
    subscriptions: dict[str, BilledSubscription] = {}
    lines: Lines = ()
    if by_deal:
        subscriptions = sources.without_deals(account, subscriber_ids)
        stretches = [(subscriber_id, since or "-infinity", "infinity") for subscriber_id in subscriptions]
        lines = _lines_of_deals(ledger, subscriptions, stretches)
    elif account.charges:
        only = account.schemes_since(since)
        subscriptions = read_open_subscriptions(
            ledger, subscriber_ids, only, account.bases, by_sums=not account.needs_single_deals(since)
        )
        lines = _lines_of(ledger, subscriptions, _marks_of_members(ledger, subscriptions))
    written, removed = store_lines(
        ledger.run.workspace_id,
        account.connection_id,
        account.strategy_id,
        lines=lines,
        replaced=ReplacedSubscribers(subscriber_ids, since) if has_lines else None,
    )
    return Accrued(subscriptions=len(subscriptions), lines_written=written, lines_removed=removed)


def _lines_of_deals(ledger: Open, subscriptions: dict[str, BilledSubscription], stretches: Sequence[Stretch]) -> Lines:
    """Lines that follow each from a deal alone, made by the database where no digit is cut."""
    account = ledger.account
    if has_storable_rates(account.history):
        currencies = {subscriber_id: subscription.currency for subscriber_id, subscription in subscriptions.items()}
        return ChargedDeals(account, ledger.calendar, ledger.since, currencies, stretches)
    sources.read_changed_days(account, subscriptions, stretches)
    return _lines_of(ledger, subscriptions, {})


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
    *,
    by_sums: bool = False,
) -> dict[str, BilledSubscription]:
    """With the deals from where the oldest mark stands, if one is in force that has to be continued.

    only, bases: what the subscriptions are charged by; deals and marks that do not matter to these may be left out.
    by_sums: whether sums of deals are enough.
    """
    account, since = ledger.account, ledger.since
    subscriptions = _read_from_marks(ledger, subscriber_ids, only, bases, by_sums=by_sums)
    if since is not None and account.has_fees:
        add_standings(account, subscriptions, ledger.calendar, since)
    return subscriptions


def _read_from_marks(
    ledger: Open, subscriber_ids: set[str], only: Collection[Scheme], bases: Collection[Basis], *, by_sums: bool
) -> dict[str, BilledSubscription]:
    account, since = ledger.account, ledger.since
    cuts = cuts_between(account, ledger.calendar, since) if by_sums else None
    if since is None or not account.has_mark(since, ledger.run.now):
        return sources.read_subscriptions(account, subscriber_ids, since, only, cuts)
    marks = sources.read_marks(account, subscriber_ids, since, bases=sorted(bases))
    moments = {since, *(marked.at for standing in marks.values() for marked in standing.values())}
    if cuts is not None:
        cuts |= moments
    subscriptions = sources.read_subscriptions(account, subscriber_ids, min(moments), only, cuts)
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


def adjust(ledger: Open, changed: dict[str, set[date]]) -> Accrued:
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
