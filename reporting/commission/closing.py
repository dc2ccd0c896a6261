"""Closes billing periods: a person's decision after which their lines and marks stay what they are.

Closing takes everything up that is known at that moment, converts each line into the reporting currency by the rate of
the period's last day, and writes down what was incomplete. What arrives later becomes an adjustment in the open period.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from django.db import connection as database
from django.db import transaction
from django.db.models import Count, Sum

from reporting.commission import sources
from reporting.commission.charging import StrategyAccount, read_accounts
from reporting.commission.money import MINOR_DIGITS
from reporting.commission.open_periods import Run
from reporting.commission.services import Bounds, accrue_slice, accrue_strategy
from reporting.commission.zones import Zones, read_zones
from reporting.ledger import CommissionLineQuerySet
from reporting.models import (
    AccrualState,
    BillingPeriod,
    CommissionLine,
    DailyResult,
    PeriodState,
    QuarantinedPage,
    SyncKind,
    SyncState,
)
from reporting.rates import UnknownRate, rates_of
from subscribers.models import Subscriber
from users.models import Connection, User, Workspace
from users.services import record_audit

HISTORY = (SyncKind.PROVIDED, SyncKind.SUBSCRIBED)
_CONVERT = """
UPDATE reporting_commissionline line SET
    reporting_currency = %(quote)s, reporting_rate = given.rate, reporting_source = given.source,
    reporting_day = given.day, reporting_amount = round(line.amount * given.rate, %(digits)s)
FROM unnest(%(currencies)s::text[], %(rates)s::numeric[], %(sources)s::text[], %(days)s::date[])
     AS given (currency, rate, source, day)
WHERE line.workspace_id = %(workspace)s AND line.connection_id = %(connection)s AND line.strategy_id = %(strategy)s
  AND line.period_start = %(start)s AND line.period_end = %(end)s AND line.currency = given.currency
"""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is incomplete, as a sentence. blocks: the period cannot be closed at all."""

    text: str
    blocks: bool = False


@dataclass(slots=True)
class Closed:
    """What closing did: periods it closed, and periods that somebody had closed before."""

    periods: list[BillingPeriod] = field(default_factory=list)
    before: list[BillingPeriod] = field(default_factory=list)


def problems_of(workspace: Workspace, periods: Iterable[BillingPeriod], now: datetime) -> list[Problem]:
    """What a person should know before closing these periods: sync, currencies and rates that are missing."""
    periods = list(periods)
    if not periods:
        return []
    end = max(period.period_end for period in periods)
    problems = []
    if end > now:
        problems.append(Problem(f"A period that ends on {end:%Y-%m-%d %H:%M} UTC has not ended yet.", blocks=True))
    for backend in Connection.objects.filter(pk__in={period.connection_id for period in periods}).order_by("pk"):
        here = [period for period in periods if period.connection_id == backend.pk]
        problems += _sync_problems(backend, max(period.period_end for period in here))
        problems += _account_problems(backend, here)
    problems += _rate_problems(workspace, periods)
    return problems


def _sync_problems(backend: Connection, end: datetime) -> list[Problem]:
    problems = []
    for state in SyncState.objects.filter(connection=backend, kind__in=HISTORY).order_by("kind"):
        name = state.get_kind_display().lower()
        if state.complete_until is None:
            problems.append(Problem(f"{backend.name}: the {name} have never been mirrored completely."))
        elif state.complete_until < end:
            problems.append(
                Problem(
                    f"{backend.name}: the {name} are complete only until {state.complete_until:%Y-%m-%d %H:%M} UTC. "
                    "Later ones become adjustments of the next period."
                )
            )
        if state.failing_since is not None:
            problems.append(
                Problem(f"{backend.name}: mirroring the {name} fails since {state.failing_since:%Y-%m-%d}.")
            )
    unread = QuarantinedPage.objects.filter(connection=backend, kind__in=HISTORY, resolved_at=None).count()
    if unread:
        problems.append(Problem(f"{backend.name}: {_count(unread, 'answer')} with transactions could not be read."))
    return problems


def _account_problems(backend: Connection, periods: Sequence[BillingPeriod]) -> list[Problem]:
    days = [period.period_start.date() for period in periods], [period.period_end.date() for period in periods]
    traded = DailyResult.objects.filter(
        connection=backend,
        strategy_id__in={period.strategy_id for period in periods},
        day__gte=min(days[0]),
        day__lte=max(days[1]),
        is_accrued=False,
    )
    unknown = Subscriber.objects.filter(connection=backend, currency="", backend_id__in=traded.values("subscriber_id"))
    count = unknown.count()
    if not count:
        return []
    return [
        Problem(f"{backend.name}: the currency of {_count(count, 'account')} is not known, so nothing is booked yet.")
    ]


def _rate_problems(workspace: Workspace, periods: Sequence[BillingPeriod]) -> list[Problem]:
    problems: dict[str, Problem] = {}
    zones, rates = _zones_of(workspace, periods), rates_of(workspace)
    currencies = _currencies_of(workspace, periods)
    for period in periods:
        day = _last_day_of(period, zones)
        for currency in currencies.get(_place_of(period), ()):
            if currency == workspace.reporting_currency:
                continue
            try:
                rate = rates.on(day, currency, workspace.reporting_currency)
            except UnknownRate as error:
                text = f"{error.text} Its lines stay without an amount in {workspace.reporting_currency}."
                problems.setdefault(text, Problem(text))
            else:
                if rate.is_old:
                    text = (
                        f"The newest rate for {currency} on {day} is of {rate.day}, {rate.age} business days before."
                        " Closing keeps it for ever: look at Settings > Exchange rates first."
                    )
                    problems.setdefault(text, Problem(text))
    return list(problems.values())


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def lines_of_period(period: BillingPeriod) -> CommissionLineQuerySet:
    """Every line of a period, what is owed by a portfolio's owner included."""
    return CommissionLine.objects.filter(
        workspace_id=period.workspace_id,
        connection_id=period.connection_id,
        strategy_id=period.strategy_id,
        period_start=period.period_start,
        period_end=period.period_end,
    )


Place = tuple[int, str, datetime, datetime]


def _place_of(period: BillingPeriod) -> Place:
    return period.connection_id, period.strategy_id, period.period_start, period.period_end


def _currencies_of(workspace: Workspace, periods: Sequence[BillingPeriod]) -> dict[Place, list[str]]:
    """The currencies of the lines of these periods. One query, however many they are."""
    lines = CommissionLine.objects.filter(
        workspace=workspace,
        strategy_id__in={period.strategy_id for period in periods},
        period_end__in={period.period_end for period in periods},
    )
    currencies: dict[Place, list[str]] = {}
    by = ("connection_id", "strategy_id", "period_start", "period_end", "currency")
    for *place, currency in lines.order_by(*by).values_list(*by).distinct():
        currencies.setdefault(tuple(place), []).append(currency)
    return currencies


def _currencies(period: BillingPeriod) -> list[str]:
    return list(lines_of_period(period).order_by().values_list("currency", flat=True).distinct())


def _last_day_of(period: BillingPeriod, zones: Zones) -> date:
    return zones.last_day((period.connection_id, period.strategy_id), period.period_end)


def _zones_of(workspace: Workspace, periods: Iterable[BillingPeriod]) -> Zones:
    return read_zones(workspace, {(period.connection_id, period.strategy_id) for period in periods})


def close_periods(
    workspace: Workspace,
    periods: Iterable[BillingPeriod],
    *,
    by: User | None = None,
    now: datetime,
    closed_at: datetime | None = None,
) -> Closed:
    """Close these periods and every earlier open one of their strategies; each strategy is one transaction.

    Twice, in parallel or after a crash: each period is closed once, and who comes second is told so. A period that has
    not ended stays open. closed_at: when that counts as done, where the books of earlier months are made up; else now.
    """
    closed = Closed()
    ends: dict[tuple[int, str], datetime] = {}
    for period in periods:
        if period.period_end <= now:
            key = (period.connection_id, period.strategy_id)
            ends[key] = max(period.period_end, ends.get(key, period.period_end))
    for (connection_id, strategy_id), until in sorted(ends.items()):
        done = close_strategy(
            workspace, connection_id, strategy_id, until=until, by=by, now=now, closed_at=closed_at or now
        )
        closed.periods += done.periods
        closed.before += done.before
    return closed


@transaction.atomic
def close_strategy(
    workspace: Workspace,
    connection_id: int,
    strategy_id: str,
    *,
    until: datetime,
    by: User | None,
    now: datetime,
    closed_at: datetime,
) -> Closed:
    """Close one strategy's open periods that ended by `until`. Waits while its ledger is being written."""
    AccrualState.objects.get_or_create(connection_id=connection_id, strategy_id=strategy_id)
    AccrualState.objects.select_for_update().get(connection_id=connection_id, strategy_id=strategy_id)
    own = BillingPeriod.objects.filter(connection_id=connection_id, strategy_id=strategy_id)
    if not own.filter(closed_at=None, period_end__lte=until).exists():
        return Closed(before=list(own.filter(period_end=until)))
    problems = problems_of(workspace, own.filter(closed_at=None, period_end__lte=until), now)
    _settle(workspace, connection_id, strategy_id, until=until, now=now)
    periods = list(own.filter(closed_at=None, period_end__lte=until).select_for_update().order_by("period_end", "pk"))
    zones = _zones_of(workspace, periods)
    for period in periods:
        _convert(period, workspace, _last_day_of(period, zones))
        _freeze(period, workspace, by=by, closed_at=closed_at, problems=problems)
    state = AccrualState.objects.filter(connection_id=connection_id, strategy_id=strategy_id)
    state.exclude(closed_until__gte=until).update(closed_until=until)
    if by is not None and periods:
        span = f"{periods[0].period_start:%Y-%m-%d} to {until:%Y-%m-%d}"
        record_audit(
            workspace,
            user=by,
            action="periods closed",
            subject=f"{strategy_id}, {span}",
            now=now,
            details={"periods": [period.pk for period in periods], "incomplete": [gap.text for gap in problems]},
        )
    return Closed(periods=periods)


def settle_slice(
    workspace: Workspace, connection_id: int, strategy_id: str, *, until: datetime, now: datetime, bounds: Bounds
) -> bool:
    """Make the lines of the next few subscribers final, ahead of `close_strategy`; whether more of them wait.

    Nothing is closed by it: without the closing that follows, the next accrual takes these subscribers up as before.
    """
    run = _closing_run(workspace, connection_id, until=until, now=now)
    return any(accrue_slice(account, run, bounds)[1] for account in _charging_accounts(connection_id, strategy_id, now))


def _closing_run(workspace: Workspace, connection_id: int, *, until: datetime, now: datetime) -> Run:
    complete_until = sources.read_complete_until(connection_id, now)
    return Run(workspace.pk, now, complete_until, closes_until=until)


def _charging_accounts(connection_id: int, strategy_id: str, now: datetime) -> list[StrategyAccount]:
    return [
        account
        for account in read_accounts(connection_id, now)
        if account.strategy_id == strategy_id and account.charges
    ]


def _settle(workspace: Workspace, connection_id: int, strategy_id: str, *, until: datetime, now: datetime) -> None:
    """Take up what is known, and make every line until then final."""
    run = _closing_run(workspace, connection_id, until=until, now=now)
    for account in _charging_accounts(connection_id, strategy_id, now):
        accrue_strategy(account, run)
    states = AccrualState.objects.filter(connection_id=connection_id, strategy_id=strategy_id)
    states.exclude(settled_until__gte=until).update(settled_until=until)
    own = CommissionLine.objects.filter(connection_id=connection_id, strategy_id=strategy_id)
    own.filter(period_end__lte=until, is_provisional=True).update(is_provisional=False)


def _convert(period: BillingPeriod, workspace: Workspace, day: date) -> None:
    """Write each line's amount in the reporting currency, with the rate of `day`, its source and its day; never again.

    day: the last one of the period.
    """
    quote, rates_now = workspace.reporting_currency, rates_of(workspace)
    known_rates = []
    for currency in _currencies(period):
        try:
            rate = rates_now.on(day, currency, quote)
        except UnknownRate:
            continue
        known_rates.append((currency, rate.value, rate.source, rate.day))
    currencies, rates, names, days = (
        (list(column) for column in zip(*known_rates, strict=True)) if known_rates else ([],) * 4
    )
    with database.cursor() as cursor:
        cursor.execute(
            _CONVERT,
            {
                "quote": quote,
                "digits": MINOR_DIGITS.get(quote, 2),
                "currencies": currencies,
                "rates": rates,
                "sources": names,
                "days": days,
                "workspace": period.workspace_id,
                "connection": period.connection_id,
                "strategy": period.strategy_id,
                "start": period.period_start,
                "end": period.period_end,
            },
        )


def _freeze(
    period: BillingPeriod, workspace: Workspace, *, by: User | None, closed_at: datetime, problems: list[Problem]
) -> None:
    """Write the sums of the period down, and close it: from the commit on its lines cannot be changed."""
    owed = lines_of_period(period).filter(member_id="")
    totals = list(owed.totals().annotate(converted=Sum("reporting_amount"), known=Count("reporting_amount")))
    period.subscribers = owed.order_by().values("subscriber_id").distinct().count()
    period.lines = sum(row["lines"] for row in totals)
    period.amounts = {row["currency"]: str(row["total"]) for row in totals}
    period.reporting_currency = workspace.reporting_currency
    is_converted = all(row["known"] == row["lines"] for row in totals)
    period.reporting_amount = sum((row["converted"] for row in totals), Decimal(0)) if is_converted else None
    period.problems = [problem.text for problem in problems]
    period.state, period.closed_at, period.closed_by = PeriodState.CLOSED, closed_at, by
    if not period.lines:  # only what a portfolio's owner owes: there is nothing to issue
        period.state = PeriodState.PAID
    period.save()
