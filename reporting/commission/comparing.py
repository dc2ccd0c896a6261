"""What other rules of a high-water mark would charge, in a strategy's own figures. Writes nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Sum

from reporting.commission.charging import StrategyAccount, read_accounts
from reporting.commission.history import History, SpannedCalendar
from reporting.commission.open_periods import Run, read_open_subscriptions
from reporting.commission.parts import lines_of
from reporting.commission.policy import (
    Basis,
    Crystallised,
    Floating,
    Hurdle,
    NewMark,
    Policy,
    Scheme,
    Scope,
    Withdrawal,
)
from reporting.commission.schemes import BilledSubscription
from reporting.commission.services import open_end
from reporting.commission.sources import all_subscribers, count_deals, read_complete_until, read_subscriptions
from reporting.models import DailyResult
from strategies.models import Strategy
from subscribers.models import Subscriber

MOST_DEALS = 20_000
MOST_CLIENTS = 100
CHOICES: dict[str, Iterable[Any]] = {
    "basis": Basis,
    "floating": Floating,
    "new_mark": NewMark,
    "withdrawal": Withdrawal,
    "crystallised": Crystallised,
    "hurdle": Hurdle,
    "scope": Scope,
}
EVERYTHING = Policy(basis=Basis.EQUITY, floating=Floating.REALISED_AND_FLOATING, crystallised=Crystallised.WITHDRAWAL)


@dataclass(frozen=True, slots=True)
class Example:
    """What one client would have paid in all, by field and value of the rules, everything else being as chosen."""

    client: str
    currency: str
    deals: int
    fees: dict[str, dict[str, Decimal]]
    memory: dict[str, Decimal]


def account_of(strategy: Strategy, now: datetime) -> StrategyAccount | None:
    """The ledger account of a strategy."""
    accounts = read_accounts(strategy.connection_id, now)
    return next((account for account in accounts if account.strategy_id == strategy.backend_id), None)


def example_of(account: StrategyAccount, policy: Policy, now: datetime, client: str = "") -> Example | None:
    """The client with the most deals (or the one asked for) under each choice; None where nobody has any."""
    chosen = client or _busiest(account)
    if not chosen:
        return None
    wide = replace(account, history=_by(account.history, EVERYTHING), overrides={}, agreed={})
    subscription = read_subscriptions(wide, [chosen], None).get(chosen)
    if subscription is None or not subscription.deals:
        return None
    fees: dict[str, dict[str, Decimal]] = defaultdict(dict)
    for name, values in CHOICES.items():
        for value in values:
            changed = {name: value}
            if name == "hurdle" and value is not Hurdle.NONE and not policy.hurdle_rate:
                changed["hurdle_rate"] = Decimal("0.05")
            fees[name][str(value)] = _total(account, replace(policy, **changed), subscription, now)
    memories = {None, 1, 3, policy.loss_memory_periods}
    memory = {
        str(periods or ""): _total(account, replace(policy, loss_memory_periods=periods), subscription, now)
        for periods in sorted(memories, key=lambda length: length or 0)
    }
    row = Subscriber.objects.filter(connection_id=account.connection_id, backend_id=chosen).only("name").first()
    return Example(row.name if row else chosen, subscription.currency, len(subscription.deals), dict(fees), memory)


def _busiest(account: StrategyAccount) -> str:
    days = DailyResult.objects.filter(connection_id=account.connection_id, strategy_id__in=account.sources)
    counted = days.order_by().values("subscriber_id").annotate(number=Sum("deals")).filter(number__lte=MOST_DEALS)
    row = counted.order_by("-number", "subscriber_id").first()
    return row["subscriber_id"] if row else ""


def _by(history: History, policy: Policy) -> History:
    """The same terms by other rules, from the beginning."""
    spans = (replace(span, terms=replace(span.terms, policy=policy) if span.terms else None) for span in history.spans)
    return History(tuple(spans))


def _total(account: StrategyAccount, policy: Policy, subscription: BilledSubscription, now: datetime) -> Decimal:
    """All fees on new profit from the client's start to now, as if the rules had held all the time."""
    own = replace(subscription, marks={})
    lines = lines_of(
        _by(account.history, policy),
        own,
        SpannedCalendar.of(account.calendar),
        now=now,
        since=None,
        settled_until=None,
        only=frozenset({Scheme.HIGH_WATER_MARK}),
    )
    return sum((line.amount for line in lines), Decimal(0))


@dataclass(frozen=True, slots=True)
class OpenPeriod:
    """Fees of the open periods on new profit by currency, as they stand and by other rules, of so many clients."""

    before: Mapping[str, Decimal]
    after: Mapping[str, Decimal]
    clients: int
    is_whole: bool


def compare_open_periods(
    account: StrategyAccount, policy: Policy, begins: datetime, now: datetime, client: str = ""
) -> OpenPeriod:
    """What the open periods come to if the rules hold from `begins` on; of at most `MOST_CLIENTS` clients."""
    run = Run(0, now, read_complete_until(account.connection_id, now))
    ledger = open_end(account, run)
    everybody = [client] if client else sorted(all_subscribers(account))
    counted = set(everybody[:MOST_CLIENTS])
    if sum(count_deals(account, counted, ledger.since).values()) > MOST_DEALS:
        counted = set(sorted(counted)[:1])
    wide = replace(ledger, account=replace(account, overrides={}, agreed={}, history=_by(account.history, EVERYTHING)))
    subscriptions = read_open_subscriptions(wide, counted)
    sums = []
    for history in (None, policy):
        totals: dict[str, Decimal] = defaultdict(Decimal)
        for subscriber_id, subscription in subscriptions.items():
            own = account.history_of(subscriber_id)
            terms = own if history is None else own.with_policies([*_policies_of(own), (begins, policy)])
            lines = lines_of(
                terms,
                replace(subscription, marks=dict(subscription.marks)),
                ledger.calendar,
                now=now,
                since=ledger.since,
                settled_until=ledger.settled_until,
                only=frozenset({Scheme.HIGH_WATER_MARK}),
            )
            for line in lines:
                totals[line.currency] += line.amount
        sums.append(totals)
    return OpenPeriod(sums[0], sums[1], len(counted), len(counted) == len(everybody))


def _policies_of(history: History) -> Iterator[tuple[datetime | None, Policy]]:
    return ((span.since, span.terms.policy if span.terms else Policy()) for span in history.spans)
