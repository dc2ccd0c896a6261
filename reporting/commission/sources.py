"""Reads what lines are computed from: terms, days that changed, deals, cash flows, valuations and marks. Writes nothing
but the `is_accrued` mark of the days it hands out."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db import connection as database
from django.db.models import Sum

from reporting.commission.highwater import Mark
from reporting.commission.periods import BillingPeriod
from reporting.commission.policy import Basis, Floating, Policy, Scheme, Scope, Terms, read_terms
from reporting.commission.schemes import Deal, Subscription, Valuation, opens_position
from reporting.flows import cash_flows
from reporting.models import CommissionPolicy, DailyResult, EquityPoint, SyncKind, SyncState
from strategies.models import Strategy
from subscribers.models import Subscriber
from subscribers.models import Subscription as MirroredSubscription

COPIED_DEALS = ["DEAL_TYPE_BUY", "DEAL_TYPE_SELL"]

Document = dict[str, Any]  # as the backend sent it


@dataclass(slots=True)
class Account:
    """One strategy's side of the ledger: whose deals count for it and on which terms.

    sources: ids of the strategies whose deals are measured; more than one where a client's mark spans strategies.
    overrides: policies of single subscriptions. members: of a portfolio, terms by which its owner owes its members'
    providers; booked in the portfolio's periods, a fixed fee is counted by the member's own. member_of: which
    member a leaf strategy's deals come through, the leaf itself or a portfolio around it.
    """

    connection_id: int
    strategy_id: str
    terms: Terms | None
    sources: list[str]
    overrides: dict[str, Policy] = field(default_factory=dict)
    members: dict[str, Terms] = field(default_factory=dict)
    member_of: dict[str, str] = field(default_factory=dict)

    def terms_of(self, subscriber_id: str) -> Terms | None:
        """The terms of one subscriber: the strategy's, with the subscription's own policy where it has one."""
        override = self.overrides.get(subscriber_id)
        if self.terms is None or override is None:
            return self.terms
        return Terms(self.terms.scheme, self.terms.rate, self.terms.billing_period, override)

    @property
    def policies(self) -> list[Policy]:
        return [self.terms.policy, *self.overrides.values()] if self.terms else []

    @property
    def needs_valuations(self) -> bool:
        """Whether lines depend on the account's balance or equity."""
        if self.terms is None or self.terms.scheme is not Scheme.HIGH_WATER_MARK:
            return False
        return any(
            policy.basis is Basis.EQUITY or policy.floating is not Floating.REALISED or policy.hurdle_rate
            for policy in self.policies
        )

    @property
    def grows_with_time(self) -> bool:
        """Whether an accrual changes although no deal was made."""
        if self.terms is None:
            return False
        charged = [self.terms, *self.members.values()]
        return self.needs_valuations or any(terms.scheme is Scheme.FLAT_FEE for terms in charged)


def read_accounts(connection_id: int) -> list[Account]:
    """The ledger accounts of a connection's strategies, those without a commission included."""
    policies: dict[str, dict[str, Policy]] = defaultdict(dict)
    for row in CommissionPolicy.objects.filter(connection_id=connection_id).order_by("version"):
        stored = row.choices | {"name": row.name, "version": row.version}
        policies[row.strategy_id][row.subscriber_id] = Policy.parse(stored)
    strategies = Strategy.objects.filter(connection_id=connection_id).order_by("backend_id")
    stated = strategies.values_list("backend_id", "document__commissionScheme", "document__members")
    documents = {strategy_id: (scheme or {}, members or []) for strategy_id, scheme, members in stated}
    accounts = []
    for strategy_id, (scheme, _) in documents.items():
        own = policies.get(strategy_id, {})
        terms = read_terms({"commissionScheme": scheme}, own.get("", Policy()))
        members, member_of = read_members(strategy_id, documents)
        if members and terms is None:
            terms = charging_nothing(scheme)
        length = terms.billing_period if terms else None
        members = {
            member: each if each.scheme is Scheme.FLAT_FEE or not length else replace(each, billing_period=length)
            for member, each in members.items()
        }
        overrides = {subscriber: policy for subscriber, policy in own.items() if subscriber}
        accounts.append(Account(connection_id, strategy_id, terms, [strategy_id], overrides, members, member_of))
    _net_over_client(accounts)
    return accounts


def read_members(
    portfolio_id: str, documents: dict[str, tuple[Document, list[Document]]]
) -> tuple[dict[str, Terms], dict[str, str]]:
    """Terms of a portfolio's members that charge something, and the member through which each leaf strategy comes.

    A portfolio in the portfolio is a member like any other: its owner is owed by its scheme, whatever it owes in turn
    (docs/copying.md, "Commissions on transactions"). A leaf that comes through several members counts for the first.
    """
    found: dict[str, Terms] = {}
    member_of: dict[str, str] = {}
    for member in members_of(portfolio_id, documents):
        terms = read_terms({"commissionScheme": documents[member][0]})
        if terms is not None:
            found[member] = terms
        asked, seen = [member], {portfolio_id}
        while asked:
            below = asked.pop()
            if below not in seen:
                seen.add(below)
                asked += members_of(below, documents)
                member_of.setdefault(below, member)
    return found, member_of


def members_of(strategy_id: str, documents: dict[str, tuple[Document, list[Document]]]) -> list[str]:
    """Ids of a portfolio's members that are known; none of a single strategy."""
    asked = [member.get("strategyId", "") for member in documents[strategy_id][1]]
    return [member for member in asked if member in documents and member != strategy_id]


def charging_nothing(scheme: Document) -> Terms:
    """Terms of a portfolio without a commission of its own, whose owner still owes its members' providers."""
    try:
        period = BillingPeriod(scheme.get("billingPeriod", BillingPeriod.MONTH))
    except ValueError:
        period = BillingPeriod.MONTH
    return Terms(Scheme.AMOUNT_WON, Decimal(0), period)


def _net_over_client(accounts: list[Account]) -> None:
    """Strategies whose policy nets over the client are booked together, on the first of them by id."""
    netted = [
        account
        for account in accounts
        if account.terms
        and account.terms.scheme is Scheme.HIGH_WATER_MARK
        and account.terms.policy.scope is Scope.CLIENT
    ]
    for account in netted[1:]:
        netted[0].sources.append(account.strategy_id)
        account.terms = None


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


def changed_subscribers(account: Account) -> set[str]:
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


def count_deals(account: Account, subscriber_ids: Collection[str], since: datetime | None) -> dict[str, int]:
    """How many deals each of these subscribers has from the day of `since` on (None: ever)."""
    days = DailyResult.objects.filter(
        connection_id=account.connection_id, strategy_id__in=account.sources, subscriber_id__in=subscriber_ids
    )
    days = days if since is None else days.filter(day__gte=since.date())
    return dict(days.order_by().values_list("subscriber_id").annotate(number=Sum("deals")))


def take_changed_days(account: Account, subscriber_ids: Collection[str]) -> dict[str, set[date]]:
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


def all_subscribers(account: Account) -> set[str]:
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
    account: Account, subscriber_ids: Collection[str], since: datetime | None
) -> dict[str, Subscription]:
    """Subscriptions with their deals from `since` (None: all). Accounts without a known currency are left out."""
    currencies = Subscriber.objects.filter(connection_id=account.connection_id, backend_id__in=subscriber_ids).exclude(
        currency=""
    )
    found = {
        subscriber_id: Subscription(currency, started_at, deals=[], flows=[], valuations=[])
        for subscriber_id, currency, started_at in currencies.values_list("backend_id", "currency", "first_seen_at")
    }
    _add_lifetimes(account, found)
    _add_deals(account, found, since)
    if account.needs_valuations:
        _add_flows(account, found, since)
        _add_valuations(account, found, since)
    return found


def _add_lifetimes(account: Account, found: dict[str, Subscription]) -> None:
    """From the first deal or the day the subscription was first seen, to the last deal of a removed subscription."""
    mirrored = MirroredSubscription.objects.filter(
        subscriber__connection_id=account.connection_id,
        subscriber__backend_id__in=found,
        strategy_backend_id__in=account.sources,
    )
    seen, removed = set(), set()
    for subscriber_id, first_seen_at, is_removed in mirrored.values_list(
        "subscriber__backend_id", "first_seen_at", "is_removed"
    ):
        found[subscriber_id].started_at = first_seen_at
        seen.add(subscriber_id)
        if is_removed:
            removed.add(subscriber_id)
    for subscriber_id, first, last in _first_and_last_deals(account, list(found)):
        subscription = found[subscriber_id]
        if first is not None:
            subscription.started_at = min(first, subscription.started_at) if subscriber_id in seen else first
        if subscriber_id in removed:
            subscription.ended_at = last or subscription.started_at


def _first_and_last_deals(account: Account, subscriber_ids: list[str]) -> list[tuple[str, datetime, datetime]]:
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


def _add_deals(account: Account, found: dict[str, Subscription], since: datetime | None) -> None:
    source = "coalesce(extra #>> '{sourceStrategy,id}', '')" if account.members else "''"
    with database.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT subscriber_id, backend_id, time, profit, coalesce(volume_lots, 0), coalesce(amount, 0),
                   profit + swap + coalesce(commission, 0), {source}
            FROM reporting_transaction
            WHERE workspace_id = (SELECT workspace_id FROM users_connection WHERE id = %s) AND connection_id = %s
              AND subscriber_id = ANY(%s) AND strategy_id = ANY(%s) AND type = ANY(%s) AND position_id <> ''
              AND time >= coalesce(%s, '-infinity'::timestamptz)
            ORDER BY time, backend_id
            """,
            [account.connection_id, account.connection_id, list(found), account.sources, COPIED_DEALS, since],
        )
        for subscriber_id, backend_id, time, profit, lots, amount, net, source in cursor:
            member = account.member_of.get(source, "")
            deal = Deal(backend_id, time, opens_position(backend_id, profit), lots, amount, net, member)
            found[subscriber_id].deals.append(deal)


def _add_flows(account: Account, found: dict[str, Subscription], since: datetime | None) -> None:
    """Deposits and withdrawals of the whole account, whichever strategy the backend names on them."""
    for subscriber_id, flows in cash_flows(account.connection_id, list(found), since=since).items():
        found[subscriber_id].flows.extend(flows)


def _add_valuations(account: Account, found: dict[str, Subscription], since: datetime | None) -> None:
    points = EquityPoint.objects.filter(connection_id=account.connection_id, account_id__in=found)
    rows = points.order_by("account_id", "time").values_list("account_id", "time", "balance", "equity")
    for account_id, time, balance, equity in rows.iterator(chunk_size=5_000):
        valuations = found[account_id].valuations
        if since is not None and time <= since:
            valuations.clear()  # of what is older than `since` only the newest counts
        valuations.append(Valuation(time, balance, equity))


def read_marks(
    account: Account, subscriber_ids: Collection[str], settled_until: datetime, member: str = ""
) -> dict[str, Mark]:
    """The mark after the last settled crystallisation, as adjustments corrected it since.

    A mark of another basis measures something else and does not count. member: marks of a portfolio's member.
    """
    with database.cursor() as cursor:
        cursor.execute(
            """
            SELECT DISTINCT ON (subscriber_id) subscriber_id, policy->>'basis',
                   coalesce(inputs#>'{corrects,inputs,after}', inputs->'after')::text
            FROM reporting_commissionline
            WHERE connection_id = %s AND strategy_id = %s AND subscriber_id = ANY(%s) AND scheme = 'high-water-mark'
              AND member_id = %s
              AND coalesce(inputs#>>'{corrects,inputs,at}', inputs->>'at')::timestamptz <= %s
            ORDER BY subscriber_id, coalesce(inputs#>>'{corrects,inputs,at}', inputs->>'at')::timestamptz DESC,
                     period_start DESC
            """,
            [account.connection_id, account.strategy_id, list(subscriber_ids), member, settled_until],
        )
        rows = cursor.fetchall()
    marks = {}
    for subscriber_id, basis, stored in rows:
        terms = account.members.get(member) if member else account.terms_of(subscriber_id)
        if terms is not None and basis == terms.policy.basis:
            marks[subscriber_id] = Mark.parse(json.loads(stored))
    return marks
