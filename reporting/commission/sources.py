"""Reads what lines are computed from: terms, days that changed, deals, cash flows, valuations and marks. Writes nothing
but the `is_accrued` mark of the days it hands out."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta

from django.db import connection as database
from django.db.models import Sum

from reporting.commission.charging import StrategyAccount
from reporting.commission.highwater import Mark
from reporting.commission.moved_money import add_flows
from reporting.commission.policy import Basis
from reporting.commission.schemes import BilledSubscription, Deal, Lifetime, Marked, Valuation, opens_position
from reporting.models import DailyResult, EquityPoint, SubscriptionLifetime, SyncKind, SyncState
from subscribers.models import Subscriber

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
COPIED_DEALS = ["DEAL_TYPE_BUY", "DEAL_TYPE_SELL"]


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
    days = DailyResult.objects.filter(
        connection_id=account.connection_id, strategy_id__in=account.sources, subscriber_id__in=subscriber_ids
    )
    days = days if since is None else days.filter(day__gte=since.date())
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
    with database.cursor() as cursor:
        cursor.execute(
            """
            SELECT DISTINCT subscriber_id FROM reporting_dailyresult WHERE connection_id = %s AND strategy_id = ANY(%s)
            UNION
            SELECT subscriber.backend_id FROM subscribers_subscription subscription
            JOIN subscribers_subscriber subscriber ON subscriber.id = subscription.subscriber_id
            WHERE subscriber.connection_id = %s AND subscription.strategy_backend_id = ANY(%s)
            """,
            [account.connection_id, account.sources, account.connection_id, account.sources],
        )
        return {subscriber_id for (subscriber_id,) in cursor}


def read_subscriptions(
    account: StrategyAccount, subscriber_ids: Collection[str], since: datetime | None
) -> dict[str, BilledSubscription]:
    """Subscriptions with their deals from `since` (None: all). Accounts without a known currency are left out."""
    currencies = Subscriber.objects.filter(connection_id=account.connection_id, backend_id__in=subscriber_ids).exclude(
        currency=""
    )
    subscriptions = {
        subscriber_id: BilledSubscription(currency, started_at, deals=[], flows=[], valuations=[])
        for subscriber_id, currency, started_at in currencies.values_list("backend_id", "currency", "first_seen_at")
    }
    _add_lifetimes(account, subscriptions)
    _add_deals(account, subscriptions, since)
    if account.needs_valuations:
        _add_valuations(account, subscriptions, since)
    if account.needs_flows:
        measured = [subscription.valuations[0].at for subscription in subscriptions.values() if subscription.valuations]
        add_flows(account.connection_id, subscriptions, min([since, *measured]) if since else None)
    return subscriptions


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
    newest = """
        SELECT deal.time FROM reporting_transaction deal
        WHERE deal.workspace_id = connection.workspace_id AND deal.connection_id = connection.id
          AND deal.subscriber_id = asked.id AND deal.strategy_id = ANY(%s) AND deal.type = ANY(%s)
        ORDER BY deal.time"""
    bound = [account.sources, COPIED_DEALS]
    with database.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT asked.id, ({newest} LIMIT 1), ({newest} DESC LIMIT 1)
            FROM unnest(%s::text[]) asked(id), users_connection connection WHERE connection.id = %s
            """,
            [*bound, *bound, subscriber_ids, account.connection_id],
        )
        rows: list[tuple[str, datetime, datetime]] = cursor.fetchall()
        return rows


def _add_deals(account: StrategyAccount, subscriptions: dict[str, BilledSubscription], since: datetime | None) -> None:
    source = "coalesce(extra #>> '{sourceStrategy,id}', '')" if account.members else "''"
    with database.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT subscriber_id, backend_id, (extract(epoch FROM time) * 1000000)::bigint, profit,
                   coalesce(volume_lots, 0), coalesce(amount, 0), profit + swap + coalesce(commission, 0), {source}
            FROM reporting_transaction
            WHERE workspace_id = (SELECT workspace_id FROM users_connection WHERE id = %s) AND connection_id = %s
              AND subscriber_id = ANY(%s) AND strategy_id = ANY(%s) AND type = ANY(%s) AND position_id <> ''
              AND time >= coalesce(%s, '-infinity'::timestamptz)
            ORDER BY time, backend_id
            """,
            [account.connection_id, account.connection_id, list(subscriptions), account.sources, COPIED_DEALS, since],
        )
        # a moment is read as a number, and all rows at once: parsing its text took a third of the accrual
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
    account: StrategyAccount, subscriber_ids: Collection[str], settled_until: datetime, member: str = ""
) -> dict[str, dict[Basis, Marked]]:
    """By subscriber and what is measured, the mark after the last settled crystallisation, as adjustments corrected it.

    member: marks of a portfolio's member.
    """
    with database.cursor() as cursor:
        cursor.execute(
            """
            SELECT DISTINCT ON (subscriber_id, policy->>'basis') subscriber_id, policy->>'basis',
                   coalesce(inputs#>>'{corrects,inputs,at}', inputs->>'at'),
                   coalesce(inputs#>'{corrects,inputs,after}', inputs->'after')::text
            FROM reporting_commissionline
            WHERE connection_id = %s AND strategy_id = %s AND subscriber_id = ANY(%s) AND scheme = 'high-water-mark'
              AND member_id = %s
              AND coalesce(inputs#>>'{corrects,inputs,at}', inputs->>'at')::timestamptz <= %s
            ORDER BY subscriber_id, policy->>'basis',
                     coalesce(inputs#>>'{corrects,inputs,at}', inputs->>'at')::timestamptz DESC, period_start DESC
            """,
            [account.connection_id, account.strategy_id, list(subscriber_ids), member, settled_until],
        )
        rows = cursor.fetchall()
    marks: dict[str, dict[Basis, Marked]] = defaultdict(dict)
    for subscriber_id, basis, at, stored in rows:
        mark = Mark.parse(json.loads(stored))
        marks[subscriber_id][Basis(basis)] = Marked(mark, datetime.fromisoformat(at))
    return marks
