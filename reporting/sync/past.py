"""The past of accounts whose backend keeps no history of equity: of their equity charts, else of their deals.

Each account is asked once, a few in a run, and its trouble is its own. Only what is older than the first recorded point
is kept, apart from the recorded points (reporting/past.py).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import TypeVar

from django.db import transaction
from django.db.models import F, OuterRef, Q, Subquery

from copying.client import Client, ClientError, Forbidden, NotConnected, NotFound
from copying.client.credits import DEALS_READ, STATE_READ
from copying.contract import wire
from copying.contract.terminal import TerminalDeal
from reporting.models import EquityPoint, PastFilling, PastPoint, PastSource
from reporting.sync.states import Lease, SyncOutcome
from reporting.sync.turns import CONCERNS_ALL, claim_turn
from subscribers.models import Subscriber
from users.models import Connection

T = TypeVar("T")
MOST_FILLED = 5  # accounts in a run: each takes a few calls, of its account's credits
MOST_DEALS = 20_000
FILLING_COST = 3 * STATE_READ + DEALS_READ  # the balance twice, the clock, the deals
REACH = timedelta(days=730)
SOON, LATER = timedelta(hours=6), timedelta(days=7)
BUSY_S, IDLE_S = 60, 3600
UNSETTLED = "The account traded while its deals were read; they are read again later."
TOO_MANY = f"The account has more than {MOST_DEALS:,} deals in two years: its past is not rebuilt."


class PastUnreadable(Exception):
    """Why the past of one account cannot be filled now."""


@dataclass(frozen=True)
class PointOfPast:
    """A point of the past. paid: money paid in less money paid out since the beginning; None: not known."""

    time: datetime
    balance: Decimal
    equity: Decimal
    paid: Decimal | None


@dataclass(frozen=True)
class DealsOfAccount:
    """Deals that moved the balance, in the order of time, and the balance after the last of them."""

    currency: str
    balance: Decimal
    deals: list[TerminalDeal]


def fill_past(lease: Lease, *, client: Client, backend: Connection, now: datetime) -> SyncOutcome:
    """Fill the past of a few accounts. Raises what concerns all, after the others' past is stored."""
    accounts = due_accounts(backend, now)
    claimed = claim_turn(backend, lease.kind, len(accounts), cost=FILLING_COST, now=now)
    if accounts and not claimed.count:
        return SyncOutcome(next_in_s=max(claimed.wait_s, 1.0))
    more_wait = len(accounts) == MOST_FILLED or len(accounts) > claimed.count
    accounts = accounts[: claimed.count]
    troubles: list[str] = []
    filled = 0
    for account in accounts:
        try:
            source, points, currency = read_past(client, account, now)
        except CONCERNS_ALL:
            raise
        except (ClientError, PastUnreadable) as trouble:
            text = trouble.text if isinstance(trouble, ClientError) else str(trouble)
            troubles.append(text)
            keep(lease, account, now, PastSource.NONE, [], error=text)
            continue
        filled += source != PastSource.NONE
        keep(lease, account, now, source, points, currency=currency)
    error = f"The past of {len(troubles)} of {len(accounts)} accounts cannot be read: {troubles[0]}" if troubles else ""
    goes_on = more_wait and (filled or troubles)
    return SyncOutcome(complete_until=now, next_in_s=BUSY_S if goes_on else IDLE_S, error=error)


def due_accounts(backend: Connection, now: datetime) -> list[Subscriber]:
    """Accounts to ask now, those that never were first."""
    fillings = PastFilling.objects.filter(connection_id=OuterRef("connection_id"), account_id=OuterRef("backend_id"))
    waiting = Subscriber.objects.filter(connection=backend, is_removed=False).annotate(
        last_asked=Subquery(fillings.values("asked_at")[:1]), next_asked=Subquery(fillings.values("next_at")[:1])
    )
    is_due = Q(last_asked=None) | Q(next_asked__lte=now)
    return list(waiting.filter(is_due).order_by(F("last_asked").asc(nulls_first=True), "pk")[:MOST_FILLED])


def keep(
    lease: Lease,
    account: Subscriber,
    now: datetime,
    source: PastSource,
    points: list[PointOfPast],
    *,
    currency: str = "",
    error: str = "",
) -> None:
    """Store what was answered; answered again, it is the same rows."""
    own = {"connection_id": account.connection_id, "account_id": account.backend_id}
    next_at = None if source != PastSource.NONE else now + (SOON if error else LATER)
    answer = {"source": source, "asked_at": now, "next_at": next_at, "error": error}
    with transaction.atomic():
        rows = PastPoint.objects.bulk_create(
            [
                PastPoint(
                    **own,
                    time=point.time,
                    balance=point.balance,
                    equity=point.equity,
                    net_deposits=point.paid,
                    currency=currency if len(currency) == 3 else "",
                )
                for point in points
            ],
            ignore_conflicts=True,
            batch_size=1_000,
        )
        PastFilling.objects.update_or_create(
            connection_id=account.connection_id, account_id=account.backend_id, defaults=answer
        )
        lease.save(rows=len(rows))


def read_past(client: Client, account: Subscriber, now: datetime) -> tuple[PastSource, list[PointOfPast], str]:
    """Where from, the points before the first recorded one, their currency. Raises ClientError, PastUnreadable."""
    own = EquityPoint.objects.filter(connection_id=account.connection_id, account_id=account.backend_id)
    until = own.order_by("time").values_list("time", flat=True).first() or now
    history = read_deals(client, account.backend_id, until - REACH, now)
    currency = account.currency if history is None else history.currency
    points = read_chart(client, account.backend_id, until, history)
    if points:
        return PastSource.CHART, points, currency
    if history is None:
        return PastSource.NONE, [], currency
    return PastSource.DEALS, balances_of(history, until), currency


def offered(call: Callable[[], T]) -> T | None:
    """What a call answers, None where the backend does not offer it to the token."""
    try:
        return call()
    except NotConnected:
        raise
    except (NotFound, Forbidden):
        return None


def read_deals(client: Client, account_id: str, start: datetime, now: datetime) -> DealsOfAccount | None:
    """The deals since `start` with the balance that they lead to, None where they are not offered."""
    before = offered(lambda: client.terminal_information(account_id))
    deals = None if before is None else offered(lambda: all_deals(client, account_id, start, now + timedelta(days=1)))
    if before is None or deals is None:
        return None
    if client.terminal_information(account_id).balance != before.balance:
        raise PastUnreadable(UNSETTLED)
    deals = [deal for deal in deals if deal.type != "DEAL_TYPE_CREDIT"]
    return DealsOfAccount(before.currency, before.balance, sorted(deals, key=lambda deal: (deal.time, str(deal.id))))


def all_deals(client: Client, account_id: str, start: datetime, end: datetime) -> list[TerminalDeal]:
    """Deals of a period, if they are not too many."""
    deals: list[TerminalDeal] = []
    for page in client.terminal_deals(account_id, start, end):
        deals += page
        if len(deals) > MOST_DEALS:
            raise PastUnreadable(TOO_MANY)
    return deals


def net_of(deal: TerminalDeal) -> Decimal:
    """What a deal did to the balance."""
    return deal.profit + deal.commission + deal.swap


def balances_of(history: DealsOfAccount, until: datetime) -> list[PointOfPast]:
    """The balance at the end of each UTC day with a deal before `until`, and what there was before the first."""
    balance = history.balance - sum(map(net_of, history.deals), Decimal(0))
    paid = Decimal(0)
    days: dict[datetime, PointOfPast] = {}
    if history.deals and balance:
        begin = history.deals[0].time - timedelta(seconds=1)
        days[begin] = PointOfPast(begin, balance, balance, paid)
    for deal in history.deals:
        balance += net_of(deal)
        paid += net_of(deal) if deal.type == "DEAL_TYPE_BALANCE" else 0
        if deal.time < until:
            midnight = deal.time.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
            time = min(midnight + timedelta(days=1), until) - timedelta(seconds=1)
            days[midnight] = PointOfPast(max(time, deal.time), balance, balance, paid)
    return list(days.values())


def read_chart(client: Client, account_id: str, until: datetime, history: DealsOfAccount | None) -> list[PointOfPast]:
    """The elements of the equity chart that end before `until`; none where it is not offered."""
    ahead = broker_ahead(client, account_id)
    start, end = (broker_text(moment + ahead) for moment in (until - REACH, until))
    items = offered(lambda: client.equity_chart(account_id, start=start, end=end)) or []
    payments = [deal for deal in history.deals if deal.type == "DEAL_TYPE_BALANCE"] if history else []
    moments = [deal.time for deal in payments]
    sums = [Decimal(0), *accumulate(map(net_of, payments))]
    points = []
    for item in items:
        time = wire.parse_time(item.end_broker_time) - ahead
        if time < until:
            paid = None if history is None else sums[bisect_right(moments, time)]
            points.append(PointOfPast(time, item.last_balance, item.last_equity, paid))
    return points


def broker_ahead(client: Client, account_id: str) -> timedelta:
    """How far the broker's clock is ahead of UTC, in quarters of an hour; nothing where it is not told."""
    clock = offered(lambda: client.server_time(account_id))
    if clock is None:
        return timedelta(0)
    quarter = timedelta(minutes=15)
    return round((wire.parse_time(clock.broker_time) - clock.time) / quarter) * quarter


def broker_text(moment: datetime) -> str:
    """A time as the broker's clock writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.") + f"{moment.microsecond // 1000:03}"
