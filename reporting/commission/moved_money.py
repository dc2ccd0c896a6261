"""Money that moved on clients' accounts without being a result: deposits, withdrawals, credits, fees paid from it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.db.models import Q

from reporting.commission.schemes import BilledSubscription
from reporting.flows import Flow, cash_flows
from reporting.models import EntryKind, EquityPoint, Payment, Transaction

PAID_WITHIN = timedelta(days=7)
BOOKED = ("DEAL_TYPE_BONUS", "DEAL_TYPE_CORRECTION")  # by the broker; a figure of net deposits has them already
CREDIT = "DEAL_TYPE_CREDIT"


def add_flows(connection_id: int, subscriptions: dict[str, BilledSubscription], since: datetime | None) -> None:
    """Deposits and withdrawals of whole accounts, whichever strategy the backend names on them; from `since` on."""
    for subscriber_id, flows in cash_flows(connection_id, list(subscriptions), since=since).items():
        subscriptions[subscriber_id].flows.extend(flows)
    _add_bookings(connection_id, subscriptions, since)
    for subscription in subscriptions.values():
        subscription.flows.sort()
    _find_fees(connection_id, subscriptions, since)


def _find_fees(connection_id: int, subscriptions: dict[str, BilledSubscription], since: datetime | None) -> None:
    """Which withdrawals paid fees. Those before `since` may have been paid by the same payments, so all are matched."""
    payments = _read_payments(connection_id, list(subscriptions))
    whole = {key: subscriptions[key] for key in payments}
    if since is not None and payments:
        whole = {key: replace(subscriptions[key], flows=[], credits=[]) for key in payments}
        for subscriber_id, flows in cash_flows(connection_id, list(whole)).items():
            whole[subscriber_id].flows.extend(flows)
        _add_bookings(connection_id, whole, None)
    for subscriber_id, subscription in whole.items():
        subscriptions[subscriber_id].fee_payments = fees_among(sorted(subscription.flows), payments[subscriber_id])


def _add_bookings(connection_id: int, subscriptions: dict[str, BilledSubscription], since: datetime | None) -> None:
    """Credits, and bonuses and corrections of accounts without a figure of net deposits."""
    measured = set(
        EquityPoint.objects.filter(
            connection_id=connection_id, account_id__in=subscriptions, net_deposits__isnull=False
        )
        .values_list("account_id", flat=True)
        .distinct()
    )
    rows = Transaction.objects.filter(
        connection_id=connection_id, subscriber_id__in=subscriptions, type__in=[*BOOKED, CREDIT]
    )
    if since is not None:  # all credits count: what is lent by now is a part of the equity
        rows = rows.filter(Q(time__gte=since) | Q(type=CREDIT))
    bookings = rows.order_by("time").values_list("subscriber_id", "backend_id", "type", "time", "profit")
    for subscriber_id, _, kind, time, amount in dict.fromkeys(
        bookings
    ):  # a deal that came with two strategies counts once
        if kind == CREDIT:
            subscriptions[subscriber_id].credits.append((time, amount))
        elif subscriber_id not in measured:
            subscriptions[subscriber_id].flows.append((time, amount))


def _read_payments(connection_id: int, subscriber_ids: list[str]) -> dict[str, list[tuple[date, Decimal]]]:
    """By account, (day, amount in its currency) of payments that were not taken back."""
    payments: dict[str, list[tuple[date, Decimal]]] = defaultdict(list)
    rows = Payment.objects.filter(connection_id=connection_id, subscriber_id__in=subscriber_ids)
    standing = rows.exclude(entries__kind=EntryKind.UNDO).order_by("received_on", "pk")
    for subscriber_id, day, amount in standing.values_list("subscriber_id", "received_on", "settled"):
        payments[subscriber_id].append((day, amount))
    return payments


def fees_among(flows: list[Flow], payments: list[tuple[date, Decimal]]) -> frozenset[datetime]:
    """Times of withdrawals that are payments of fees: of the same amount, recorded within a week; one for each."""
    left, times = list(payments), set()
    for at, amount in flows:
        same = [payment for payment in left if payment[1] == -amount and abs(payment[0] - at.date()) <= PAID_WITHIN]
        if same:
            left.remove(same[0])
            times.add(at)
    return frozenset(times)
