"""Reads what lines are computed from: terms, days that changed, deals, cash flows, valuations and marks. Writes nothing
but the `is_accrued` mark of the days it hands out."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from django.db import connection as database
from django.db.models import Q, QuerySet, Sum

from reporting.commission.charging import StrategyAccount
from reporting.commission.deals_in_sql import (
    COPIED_DEALS,
    DEALS_OF_STRETCHES,
    EPOCH,
    MICROS,
    NEEDED_DEALS,
    NET,
    Stretch,
    of_stretches,
    read_sums,
)
from reporting.commission.highwater import Mark
from reporting.commission.moved_money import add_flows
from reporting.commission.policy import Basis, Scheme
from reporting.commission.schemes import BilledSubscription, Deal, Lifetime, Marked, Valuation, opens_position
from reporting.models import DailyResult, EquityPoint, SubscriptionLifetime, SyncKind, SyncState
from subscribers.models import Subscriber

DAY = timedelta(days=1)


def read_complete_until(connection_id: int, now: datetime) -> datetime | None:
    """Until when every deal is known; None while a history sync has never been complete."""
    kinds = [SyncKind.PROVIDED, SyncKind.SUBSCRIBED]
    states = SyncState.objects.filter(connection_id=connection_id, kind__in=kinds)
    known = [until for (until,) in states.values_list("complete_until")]
    times = [until for until in known if until is not None]
    return min([now, *times]) if len(times) == len(known) else None


def changed_strategies(connection_id: int) -> set[str]:
    """Strategies with days that the ledger has not seen."""
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT strategy_id FROM reporting_dailyresult WHERE connection_id = %s AND NOT is_accrued",
            [connection_id],
        )
        return {strategy_id for (strategy_id,) in cursor}


def changed_subscribers(account: StrategyAccount) -> set[str]:
    """Subscribers with days that the ledger has not seen and can take up."""
    with database.cursor() as cursor:
        cursor.execute(
            """
            SELECT DISTINCT day.subscriber_id FROM reporting_dailyresult day
            JOIN subscribers_subscriber subscriber
              ON subscriber.connection_id = day.connection_id AND subscriber.backend_id = day.subscriber_id
            WHERE day.connection_id = %s AND day.strategy_id = ANY(%s) AND NOT day.is_accrued
              AND subscriber.currency <> ''
            """,
            [account.connection_id, account.sources],
        )
        return {subscriber_id for (subscriber_id,) in cursor}


def count_deals(account: StrategyAccount, subscriber_ids: Collection[str], since: datetime | None) -> dict[str, int]:
    """How many deals each of these subscribers has from the day of `since` on (None: ever)."""
    days = _days_of(account, subscriber_ids)
    return _deals_by_subscriber(days if since is None else days.filter(day__gte=since.date()))


def count_changed_deals(
    account: StrategyAccount, subscriber_ids: Collection[str], since: datetime | None, *, whole: bool
) -> dict[str, int]:
    """How many deals of each are read after a change: of the days that changed, or, as a `whole`, from `since` on."""
    is_read = Q(is_accrued=False)
    if whole:
        is_read = is_read | Q(day__gte=since.date()) if since else Q()
    return _deals_by_subscriber(_days_of(account, subscriber_ids).filter(is_read)) if subscriber_ids else {}


def _days_of(account: StrategyAccount, subscriber_ids: Collection[str]) -> QuerySet[DailyResult]:
    return DailyResult.objects.filter(
        connection_id=account.connection_id, strategy_id__in=account.sources, subscriber_id__in=list(subscriber_ids)
    )


def _deals_by_subscriber(days: QuerySet[DailyResult]) -> dict[str, int]:
    return dict(days.order_by().values_list("subscriber_id").annotate(number=Sum("deals")))


def take_changed_days(account: StrategyAccount, subscriber_ids: Collection[str]) -> dict[str, set[date]]:
    """Days with new or changed deals of these subscribers, marked as seen in the caller's transaction.

    Days that a sync is writing at this moment, and accounts whose currency is not known yet, are left for the next run.
    """
    days: dict[str, set[date]] = defaultdict(set)
    with database.cursor() as cursor:
        cursor.execute(
            """
            WITH due AS (
                SELECT day.id FROM reporting_dailyresult day
                JOIN subscribers_subscriber subscriber
                  ON subscriber.connection_id = day.connection_id AND subscriber.backend_id = day.subscriber_id
                WHERE day.connection_id = %s AND day.strategy_id = ANY(%s) AND NOT day.is_accrued
                  AND day.subscriber_id = ANY(%s) AND subscriber.currency <> ''
                FOR UPDATE OF day SKIP LOCKED
            )
            UPDATE reporting_dailyresult day SET is_accrued = true FROM due WHERE day.id = due.id
            RETURNING day.subscriber_id, day.day
            """,
            [account.connection_id, account.sources, list(subscriber_ids)],
        )
        for subscriber_id, day in cursor:
            days[subscriber_id].add(day)
    return days


def all_subscribers(account: StrategyAccount) -> set[str]:
    """Everybody who ever copied the strategy or has a subscription to it."""
    return set(count_all_deals(account, None))


def count_all_deals(account: StrategyAccount, since: datetime | None) -> dict[str, int]:
    """Everybody who ever copied the strategy or has a subscription to it, with the number of deals from `since` on."""
    with database.cursor() as cursor:
        cursor.execute(
            """
            SELECT subscriber_id, coalesce(sum(deals) FILTER (WHERE day >= coalesce(%s::date, '-infinity')), 0)
            FROM reporting_dailyresult WHERE connection_id = %s AND strategy_id = ANY(%s) GROUP BY subscriber_id
            UNION ALL
            SELECT DISTINCT subscriber.backend_id, 0 FROM subscribers_subscription subscription
            JOIN subscribers_subscriber subscriber ON subscriber.id = subscription.subscriber_id
            WHERE subscriber.connection_id = %s AND subscription.strategy_backend_id = ANY(%s)
            """,
            [since and since.date(), account.connection_id, account.sources, account.connection_id, account.sources],
        )
        deals: dict[str, int] = defaultdict(int)
        for subscriber_id, number in cursor:
            deals[subscriber_id] += number
        return dict(deals)


def newest_line_currencies(account: StrategyAccount, subscriber_ids: Collection[str]) -> dict[str, str]:
    """Of those of these subscribers who have lines, the currency of the newest one."""
    with database.cursor() as cursor:
        cursor.execute(
            """
            SELECT asked.id, newest.currency FROM unnest(%s::text[]) asked(id) CROSS JOIN LATERAL (
                SELECT line.currency FROM reporting_commissionline line
                WHERE line.connection_id = %s AND line.strategy_id = %s AND line.subscriber_id = asked.id
                ORDER BY line.occurred_at DESC, line.id DESC LIMIT 1
            ) newest
            """,
            [list(subscriber_ids), account.connection_id, account.strategy_id],
        )
        return dict(cursor.fetchall())


def read_subscriptions(
    account: StrategyAccount,
    subscriber_ids: Collection[str],
    since: datetime | None,
    only: Collection[Scheme] = frozenset(Scheme),
    cuts: Collection[datetime] | None = None,
) -> dict[str, BilledSubscription]:
    """Subscriptions with their deals from `since` (None: all). Accounts without a known currency are left out.

    only: schemes that the subscriptions are charged by; deals on which none of these depends may be left out. cuts:
    where sums of the deals are enough, every moment that they must not go across.
    """
    subscriptions = without_deals(account, subscriber_ids)
    _add_lifetimes(account, subscriptions)
    _add_deals(account, subscriptions, since, only, cuts)
    if account.needs_valuations:
        _add_valuations(account, subscriptions, since)
    if account.needs_flows:
        measured = [subscription.valuations[0].at for subscription in subscriptions.values() if subscription.valuations]
        add_flows(account.connection_id, subscriptions, min([since, *measured]) if since else None)
    return subscriptions


def stretches_of_days(
    days: Mapping[str, Collection[date]], subscriber_ids: Iterable[str], since: datetime | None
) -> list[Stretch]:
    """The deals of some days of these subscribers, from `since` on."""
    return [
        (subscriber_id, max(start, since) if since else start, start + DAY)
        for subscriber_id in subscriber_ids
        for start in sorted(map(start_of, days[subscriber_id]))
    ]


def read_changed_days(
    account: StrategyAccount, subscriptions: dict[str, BilledSubscription], stretches: Sequence[Stretch]
) -> None:
    """Give subscriptions nothing but their deals of some stretches: enough where each deal is charged by itself."""
    _read_deals(account, subscriptions, stretches)


def start_of(day: date) -> datetime:
    """Where a UTC day of `DailyResult` begins."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def without_deals(account: StrategyAccount, subscriber_ids: Collection[str]) -> dict[str, BilledSubscription]:
    """Subscriptions of accounts whose currency is known, with neither deals nor lifetimes."""
    currencies = Subscriber.objects.filter(connection_id=account.connection_id, backend_id__in=subscriber_ids).exclude(
        currency=""
    )
    return {
        subscriber_id: BilledSubscription(currency, started_at, deals=[], flows=[], valuations=[])
        for subscriber_id, currency, started_at in currencies.values_list("backend_id", "currency", "first_seen_at")
    }


def _add_lifetimes(account: StrategyAccount, subscriptions: dict[str, BilledSubscription]) -> None:
    """From when to when each was there; the first deal is the start where it is earlier than what was seen.

    Where nobody saw the end, the last deal stands for it.
    """
    rows = SubscriptionLifetime.objects.filter(
        connection_id=account.connection_id, subscriber_id__in=subscriptions, strategy_id__in=account.sources
    )
    seen: dict[str, list[Lifetime]] = defaultdict(list)
    for subscriber_id, started_at, ended_at in rows.order_by("started_at").values_list(
        "subscriber_id", "started_at", "ended_at"
    ):
        seen[subscriber_id].append(Lifetime(started_at, ended_at))
    for subscriber_id, first, last in _first_and_last_deals(account, list(subscriptions)):
        subscription, lifetimes = subscriptions[subscriber_id], seen[subscriber_id]
        if first is not None and (not lifetimes or first < lifetimes[0].started_at):
            ended_at = lifetimes[0].ended_at if lifetimes else None
            unseen_end = bool(lifetimes) and ended_at == lifetimes[0].started_at
            lifetimes[:1] = [Lifetime(first, first if unseen_end else ended_at)]
        if not lifetimes:
            continue
        following = [lifetime.started_at for lifetime in lifetimes[1:]] + [None]
        subscription.lifetimes = [
            _with_end(lifetime, last, until) for lifetime, until in zip(lifetimes, following, strict=True)
        ]
        subscription.started_at = subscription.lifetimes[0].started_at
        subscription.ended_at = subscription.lifetimes[-1].ended_at


def _with_end(lifetime: Lifetime, last_deal: datetime | None, following: datetime | None) -> Lifetime:
    """A lifetime whose end nobody saw (it ends where it starts) lasts to the last deal before the next one."""
    if lifetime.ended_at != lifetime.started_at or last_deal is None:
        return lifetime
    ended_at = max(last_deal, lifetime.started_at)
    return lifetime._replace(ended_at=min(ended_at, following) if following else ended_at)


def _first_and_last_deals(account: StrategyAccount, subscriber_ids: list[str]) -> list[tuple[str, datetime, datetime]]:
    """The days with deals, which are few, say where to look among all deals of an account."""
    deals = """
        SELECT deal.time FROM reporting_transaction deal
        WHERE deal.workspace_id = connection.workspace_id AND deal.connection_id = connection.id
          AND deal.subscriber_id = asked.id AND deal.strategy_id || '' = ANY(%s) AND deal.type = ANY(%s)"""
    days = """
        FROM unnest(%s::text[]) source(id) CROSS JOIN LATERAL (
            SELECT result.day::timestamp AT TIME ZONE 'UTC' AS start FROM reporting_dailyresult result
            WHERE result.connection_id = connection.id AND result.subscriber_id = asked.id
              AND result.strategy_id = source.id ORDER BY result.day"""
    first = f"{deals} AND deal.time >= coalesce((SELECT min(day.start) {days} LIMIT 1) day), '-infinity')"
    until = f"(SELECT max(day.start) + interval '24 hours' {days} DESC LIMIT 1) day)"
    last = f"{deals} AND deal.time < coalesce({until}, 'infinity')"
    bound = [account.sources, COPIED_DEALS, account.sources]
    with database.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT asked.id, ({first} ORDER BY deal.time LIMIT 1), ({last} ORDER BY deal.time DESC LIMIT 1)
            FROM unnest(%s::text[]) asked(id), users_connection connection WHERE connection.id = %s
            """,
            [*bound, *bound, subscriber_ids, account.connection_id],
        )
        rows: list[tuple[str, datetime, datetime]] = cursor.fetchall()
        return rows


def _add_deals(
    account: StrategyAccount,
    subscriptions: dict[str, BilledSubscription],
    since: datetime | None,
    only: Collection[Scheme],
    cuts: Collection[datetime] | None,
) -> None:
    needed = {"true"} if account.members else {NEEDED_DEALS.get(scheme, "true") for scheme in only}
    if needed <= {"false"}:
        return
    stretches: list[Stretch] = [(subscriber_id, since or "-infinity", "infinity") for subscriber_id in subscriptions]
    if cuts is not None:
        for subscriber_id, deal in read_sums(account, stretches, cuts):
            subscriptions[subscriber_id].deals.append(deal)
        return
    _read_deals(account, subscriptions, stretches, " OR ".join(sorted(needed)))


def _read_deals(
    account: StrategyAccount,
    subscriptions: dict[str, BilledSubscription],
    stretches: Sequence[Stretch],
    needed: str = "true",
) -> None:
    source = "coalesce(deal.extra #>> '{sourceStrategy,id}', '')" if account.members else "''"
    with database.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT deal.subscriber_id, deal.backend_id, {MICROS}, deal.profit, coalesce(deal.volume_lots, 0),
                   coalesce(deal.amount, 0), {NET}, {source}
            {DEALS_OF_STRETCHES} AND ({needed})
            ORDER BY deal.time, deal.backend_id
            """,
            of_stretches(account, stretches),
        )
        # all rows at once, and moments as numbers: parsing their text took a third of the accrual
        for subscriber_id, backend_id, micros, profit, lots, amount, net, source in cursor.fetchall():
            time = EPOCH + timedelta(microseconds=micros)
            member = account.member_at(source, time) if source else ""
            deal = Deal(backend_id, time, opens_position(backend_id, profit), lots, amount, net, member)
            subscriptions[subscriber_id].deals.append(deal)


def _add_valuations(
    account: StrategyAccount, subscriptions: dict[str, BilledSubscription], since: datetime | None
) -> None:
    points = EquityPoint.objects.filter(connection_id=account.connection_id, account_id__in=subscriptions)
    accounts = Subscriber.objects.filter(connection_id=account.connection_id, backend_id__in=subscriptions)
    currencies = dict(accounts.values_list("backend_id", "currency"))
    rows = points.order_by("account_id", "time").values_list("account_id", "currency", "time", "balance", "equity")
    for account_id, currency, time, balance, equity in rows.iterator(chunk_size=5_000):
        if currency not in ("", currencies.get(account_id) or currency):
            continue  # from before the account had its present currency
        valuations = subscriptions[account_id].valuations
        if since is not None and time <= since:
            valuations.clear()  # of what is older than `since` only the newest counts
        valuations.append(Valuation(time, balance, equity))


def read_marks(
    account: StrategyAccount,
    subscriber_ids: Collection[str],
    settled_until: datetime,
    member: str = "",
    bases: Iterable[Basis] = Basis,
) -> dict[str, dict[Basis, Marked]]:
    """By subscriber and what is measured, the mark after the last settled crystallisation, as adjustments corrected it.

    member: marks of a portfolio's member. Adjustments stand in periods after the one that they correct, so nothing from
    before the newest settled period with a mark is looked at: a long history costs no more than a short one.
    """
    own = """
        line.connection_id = %(connection)s AND line.strategy_id = %(strategy)s AND line.subscriber_id = asked.id
        AND line.scheme = 'high-water-mark' AND line.member_id = %(member)s AND line.policy->>'basis' = wanted.basis"""
    at = "coalesce(line.inputs#>>'{corrects,inputs,at}', line.inputs->>'at')::timestamptz"
    with database.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT asked.id, wanted.basis, mark.at, mark.after
            FROM unnest(%(subscribers)s::text[]) asked(id) CROSS JOIN unnest(%(bases)s::text[]) wanted(basis)
            LEFT JOIN LATERAL (
                SELECT line.period_start FROM reporting_commissionline line
                WHERE {own} AND NOT line.inputs ? 'corrects' AND {at} <= %(until)s
                ORDER BY line.period_start DESC LIMIT 1
            ) newest ON true
            CROSS JOIN LATERAL (
                SELECT coalesce(line.inputs#>>'{{corrects,inputs,at}}', line.inputs->>'at') AS at,
                       coalesce(line.inputs#>'{{corrects,inputs,after}}', line.inputs->'after')::text AS after
                FROM reporting_commissionline line
                WHERE {own} AND line.period_start >= coalesce(newest.period_start, '-infinity') AND {at} <= %(until)s
                ORDER BY {at} DESC, line.period_start DESC LIMIT 1
            ) mark
            """,
            {
                "subscribers": list(subscriber_ids),
                "bases": list(map(str, bases)),
                "connection": account.connection_id,
                "strategy": account.strategy_id,
                "member": member,
                "until": settled_until,
            },
        )
        rows = cursor.fetchall()
    marks: dict[str, dict[Basis, Marked]] = defaultdict(dict)
    for subscriber_id, basis, at, stored in rows:
        mark = Mark.parse(json.loads(stored))
        marks[subscriber_id][Basis(basis)] = Marked(mark, datetime.fromisoformat(at))
    return marks
