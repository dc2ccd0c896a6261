"""What can be issued now: closed periods that are on no statement, as the statements that they would become."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from django.db import connection as database

from reporting.commission.accounts import ZERO, ClientAccount
from reporting.commission.fee_terms import COMBINED, EXTRA_FEES
from reporting.commission.zones import read_zones
from reporting.models import BillingPeriod, PeriodState
from reporting.rates import SAME_CURRENCY, is_old
from strategies.models import Strategy
from subscribers.models import Subscriber
from users.models import Workspace

# what is closed and on no statement yet, by account, currency and period
_UNISSUED = """
SELECT line.connection_id, line.subscriber_id, line.currency, period.id, period.strategy_id, period.period_start,
       period.period_end,
       CASE WHEN count(DISTINCT line.scheme) > 1 AND bool_or(line.scheme = ANY(%(extra)s)) THEN %(combined)s
            ELSE max(line.scheme) END, count(*), sum(line.amount), sum(line.reporting_amount),
       count(line.reporting_amount) = count(*),
       min(line.reporting_day) FILTER (WHERE line.reporting_source <> %(same)s), period.reporting_currency
FROM reporting_billingperiod period
JOIN reporting_commissionline line
  ON line.workspace_id = period.workspace_id AND line.connection_id = period.connection_id
 AND line.strategy_id = period.strategy_id AND line.period_start = period.period_start
 AND line.period_end = period.period_end AND line.member_id = ''
WHERE period.workspace_id = %(workspace)s AND period.period_end <= %(until)s AND {chosen}
  AND NOT EXISTS (
      SELECT FROM reporting_statementitem item WHERE item.period_id = period.id AND NOT item.is_void
      AND item.subscriber_id = line.subscriber_id AND item.currency = line.currency)
GROUP BY line.connection_id, line.subscriber_id, line.currency, period.id
ORDER BY line.connection_id, line.subscriber_id, line.currency, period.period_start, period.strategy_id
"""


NAMES_OF_SUMS = {"extra": sorted(EXTRA_FEES), "combined": COMBINED}
CHOSEN_BY_STATE = "period.state = 'closed'"
CHOSEN_BY_NAME = """period.id = ANY(%(periods)s) AND (line.connection_id, line.subscriber_id) IN (
      SELECT * FROM unnest(%(connections)s::bigint[], %(subscribers)s::text[]))"""
# the accounts that those lines are of
_ACCOUNTS = """
SELECT DISTINCT line.connection_id, line.subscriber_id
FROM reporting_billingperiod period
JOIN reporting_commissionline line
  ON line.workspace_id = period.workspace_id AND line.connection_id = period.connection_id
 AND line.strategy_id = period.strategy_id AND line.period_start = period.period_start
 AND line.period_end = period.period_end AND line.member_id = ''
WHERE period.workspace_id = %(workspace)s AND period.id = ANY(%(periods)s)
  AND NOT EXISTS (
      SELECT FROM reporting_statementitem item WHERE item.period_id = period.id AND NOT item.is_void
      AND item.subscriber_id = line.subscriber_id AND item.currency = line.currency)
"""


@dataclass(slots=True)
class DraftItem:
    """One closed period of one strategy that goes on a statement. rate_day: of the oldest rate among its lines.

    is_rate_old: that was more than three business days before the period's last day.
    """

    period_id: int
    strategy_id: str
    strategy_name: str
    start: datetime
    end: datetime
    scheme: str
    lines: int
    amount: Decimal
    reporting_amount: Decimal | None
    rate_day: date | None = None
    is_rate_old: bool = False


@dataclass(slots=True)
class Draft:
    """A statement as it would be issued now. reporting_amount: None where a line has no rate."""

    account: ClientAccount
    subscriber_name: str
    subscriber_pk: int | None
    reporting_currency: str
    items: list[DraftItem] = field(default_factory=list)

    @property
    def amount(self) -> Decimal:
        return sum((item.amount for item in self.items), ZERO)

    @property
    def reporting_amount(self) -> Decimal | None:
        converted = [item.reporting_amount for item in self.items]
        amounts = [amount for amount in converted if amount is not None]
        return sum(amounts, ZERO) if len(amounts) == len(converted) else None

    def is_below(self, minimum: Decimal) -> bool:
        """Whether it waits for the account's next statement; what the client gets back never does."""
        return 0 < self.amount < minimum

    @property
    def lines(self) -> int:
        return sum(item.lines for item in self.items)

    @property
    def rate_day(self) -> date | None:
        """The day of the oldest rate that its lines were converted at."""
        return min((item.rate_day for item in self.items if item.rate_day), default=None)

    @property
    def is_rate_old(self) -> bool:
        """Whether a person has to accept its rates."""
        return any(item.is_rate_old for item in self.items)


class Fate(StrEnum):
    """What issuing does with a draft."""

    ISSUED = "issued"
    NOTHING_OWED = "nothing"
    OLD_RATE = "old-rate"
    SMALL = "small"


def fate_of(draft: Draft, minimum: Decimal, *, accepts_old_rates: bool = False, with_small: bool = False) -> Fate:
    """What issuing does with it. minimum: of the firm in its currency; the others: what whoever issues agreed to."""
    if not draft.amount:
        return Fate.NOTHING_OWED
    if draft.is_rate_old and not accepts_old_rates:
        return Fate.OLD_RATE
    if draft.is_below(minimum) and not with_small:
        return Fate.SMALL
    return Fate.ISSUED


@dataclass(frozen=True, slots=True)
class Among:
    """A part of what is issued: accounts as (connection's id, subscriber's id), and ids of closed periods."""

    accounts: Sequence[tuple[int, str]]
    periods: Sequence[int]

    def parameters(self) -> dict[str, Any]:
        connections, subscribers = [pair[0] for pair in self.accounts], [pair[1] for pair in self.accounts]
        return {"connections": connections, "subscribers": subscribers, "periods": list(self.periods)}


def closed_periods(workspace: Workspace, until: datetime) -> list[int]:
    """Ids of the periods that ended by `until` and have something on no statement."""
    own = BillingPeriod.objects.filter(workspace=workspace, state=PeriodState.CLOSED, period_end__lte=until)
    return list(own.order_by("pk").values_list("pk", flat=True))


def accounts_to_issue(workspace: Workspace, periods: Sequence[int]) -> list[tuple[str, str, int]]:
    """(subscriber's name in lower case, subscriber's id, connection's) with a line of these periods on no statement.

    In the order of `drafts_of`, which gives their statements their numbers.
    """
    with database.cursor() as cursor:
        cursor.execute(_ACCOUNTS, {"workspace": workspace.pk, "periods": list(periods)})
        pairs = cursor.fetchall()
    people = Subscriber.objects.filter(workspace=workspace).values_list("connection_id", "backend_id", "name")
    names = {(connection_id, backend_id): name for connection_id, backend_id, name in people}
    return sorted((names.get(pair, pair[1]).lower(), pair[1], pair[0]) for pair in pairs)


def drafts_of(workspace: Workspace, until: datetime, among: Among | None = None) -> list[Draft]:
    """The statements that can be issued of every closed period that ended by `until`, by subscriber's name."""
    chosen = CHOSEN_BY_STATE if among is None else CHOSEN_BY_NAME
    wanted: dict[str, Any] = {"workspace": workspace.pk, "until": until, "same": SAME_CURRENCY, **NAMES_OF_SUMS} | (
        among.parameters() if among else {}
    )
    with database.cursor() as cursor:
        cursor.execute(_UNISSUED.format(chosen=chosen), wanted)
        rows = cursor.fetchall()
    strategies = {
        (connection_id, backend_id): name
        for connection_id, backend_id, name in Strategy.objects.filter(workspace=workspace).values_list(
            "connection_id", "backend_id", "name"
        )
    }
    people = Subscriber.objects.filter(workspace=workspace, backend_id__in={row[1] for row in rows})
    named = {
        (connection_id, backend_id): (name, pk)
        for connection_id, backend_id, name, pk in people.values_list("connection_id", "backend_id", "name", "pk")
    }
    drafts: dict[tuple[Any, ...], Draft] = {}
    zones = read_zones(workspace, {(row[0], row[4]) for row in rows})
    for connection_id, subscriber_id, currency, period_id, strategy_id, start, end, *rest, quote in rows:
        scheme, lines, amount, converted, is_converted, rate_day = rest
        account = ClientAccount(workspace.pk, connection_id, subscriber_id, currency)
        # periods closed while another reporting currency was in use are not added up with the others
        name, pk = named.get((connection_id, subscriber_id), (subscriber_id, None))
        draft = drafts.setdefault((account, quote), Draft(account, name, pk, quote))
        strategy_name = strategies.get((connection_id, strategy_id), strategy_id)
        reporting = converted if is_converted else None
        last_day = zones.last_day((connection_id, strategy_id), end)
        is_rate_old = rate_day is not None and is_old(rate_day, last_day)
        draft.items.append(
            DraftItem(
                period_id,
                strategy_id,
                strategy_name,
                start,
                end,
                scheme,
                lines,
                amount,
                reporting,
                rate_day,
                is_rate_old,
            )
        )
    return sorted(drafts.values(), key=lambda draft: (draft.subscriber_name.lower(), draft.account.subscriber_id))


def periods_to_issue(workspace: Workspace) -> datetime | None:
    """When the newest closed period ended of which something is on no statement; None: there is none."""
    closed = BillingPeriod.objects.filter(workspace=workspace, state="closed").order_by("-period_end")
    return closed.values_list("period_end", flat=True).first()
