"""Issues numbered statements of closed periods, credit notes that correct them, and voids what should not have been.

Numbers have no gap: they are given inside the transaction, under the lock of the workspace's books.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection as database
from django.db import transaction
from django.db.models import Max

from reporting.commission.accounts import (
    ZERO,
    Account,
    Posting,
    lock_books,
    post,
    post_settlement,
    refresh_periods,
)
from reporting.commission.money import round_money
from reporting.commission.services import calendar_of
from reporting.commission.zones import read_zones
from reporting.identity import parties_of
from reporting.models import (
    BillingIdentity,
    BillingPeriod,
    Books,
    ClientRecord,
    DocumentKind,
    EntryKind,
    PeriodState,
    Statement,
    StatementItem,
)
from reporting.rates import FRESH_BUSINESS_DAYS, SAME_CURRENCY, is_old
from strategies.models import Strategy
from subscribers.models import Subscriber
from users.models import User, Workspace
from users.services import record_audit

# what is closed and on no statement yet, by account, currency and period
_UNISSUED = """
SELECT line.connection_id, line.subscriber_id, line.currency, period.id, period.strategy_id, period.period_start,
       period.period_end, max(line.scheme), count(*), sum(line.amount), sum(line.reporting_amount),
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


class CannotBook(Exception):
    """The books do not allow it.

    text: a sentence for the user. transient: trying again does not help.
    """

    transient = False

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(text)


class NeedsConsent(CannotBook):
    """Something that a person has to agree to first. consent: the argument that says so; question: for the form."""

    consent = ""
    question = ""


class OldRate(NeedsConsent):
    """A rate older than three business days."""

    consent = "accepts_old_rate"
    question = "Use that rate all the same"

    def __init__(self, currency: str, day: date) -> None:
        super().__init__(
            f"The newest rate for {currency} is of {day}: older than {FRESH_BUSINESS_DAYS} business days."
            " Accept it, or enter or fetch newer ones in Settings > Exchange rates."
        )


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

    account: Account
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
    wanted: dict[str, Any] = {"workspace": workspace.pk, "until": until, "same": SAME_CURRENCY} | (
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
        account = Account(workspace.pk, connection_id, subscriber_id, currency)
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


@transaction.atomic
def issue_statements(
    workspace: Workspace,
    *,
    until: datetime,
    due_on: date,
    by: User | None = None,
    now: datetime,
    only: Collection[str] | None = None,
    among: Among | None = None,
    accepts_old_rates: bool = False,
    with_small: bool = False,
) -> list[Statement]:
    """Issue a statement to each account with closed periods on none yet; twice or in parallel issues nothing twice.

    only: ids of subscribers. Credit that an account has pays its statement at once. Nobody is sent a statement of
    nothing: lines of zero need none, lines that come to zero together go on the account's next statement. Amounts
    converted at rates older than three business days wait, unless `by` accepts them: once for all that is issued here.
    Sums below the firm's minimum wait for the account's next statement, unless `with_small`.
    """
    lock_books(workspace)
    identity, clients = BillingIdentity.of(workspace), _clients_of(workspace)
    series = identity.series(identity.statement_prefix, calendar_of(workspace).day_of(now).year)
    number = last_number(workspace, DocumentKind.STATEMENT, series)
    issued, nothing_owed = [], []
    for draft in drafts_of(workspace, until, among):
        if only is not None and draft.account.subscriber_id not in only:
            continue
        if not draft.amount:
            nothing_owed += draft.items
            continue
        if draft.is_rate_old and not accepts_old_rates:
            continue
        if draft.is_below(identity.minimum(draft.account.currency)) and not with_small:
            continue
        number += 1
        client = clients.get((draft.account.connection_id, draft.account.subscriber_id))
        parties = parties_of(identity, client, account_name=draft.subscriber_name)
        name = DocumentName(stored_series(DocumentKind.STATEMENT, series), number)
        issued.append(_issue(workspace, draft, name, parties, due_on=due_on, by=by, now=now))
    note_numbers(workspace, statements=number)
    refresh_periods(issued, also=[item.period_id for item in nothing_owed])
    if issued and by is not None:
        subject = f"{issued[0].label} to {issued[-1].label}" if len(issued) > 1 else issued[0].label
        record_audit(workspace, user=by, action="statements issued", subject=subject, now=now)
    return issued


class DocumentName(NamedTuple):
    """What a document is called: series (empty: the usual one) and number."""

    series: str
    number: int


def stored_series(kind: str, series: str) -> str:
    """The usual series, S- and C-, is stored as none: documents of before there were others have none."""
    return "" if series == ("S-" if kind == DocumentKind.STATEMENT else "C-") else series


def last_number(workspace: Workspace, kind: str, series: str) -> int:
    """The last number of a series; under the lock of the books nobody takes the next one meanwhile."""
    own = Statement.objects.filter(workspace=workspace, kind=kind, series=stored_series(kind, series))
    return own.aggregate(last=Max("number"))["last"] or 0


def note_numbers(workspace: Workspace, **numbers: int) -> None:
    Books.objects.filter(workspace=workspace).update(**numbers)


def _clients_of(workspace: Workspace) -> dict[tuple[int, str], ClientRecord]:
    """Clients' records by account."""
    records = ClientRecord.objects.filter(subscriber__workspace=workspace).select_related("subscriber")
    return {(each.subscriber.connection_id, each.subscriber.backend_id): each for each in records}


def _issue(
    workspace: Workspace,
    draft: Draft,
    name: DocumentName,
    parties: dict[str, Any],
    *,
    due_on: date,
    by: User | None,
    now: datetime,
) -> Statement:
    account, tax_rate = draft.account, Decimal(parties["tax"]["rate"])
    zones = read_zones(workspace, {(account.connection_id, item.strategy_id) for item in draft.items})
    strategy_of = {item.period_id: (account.connection_id, item.strategy_id) for item in draft.items}
    statement = Statement.objects.create(
        workspace=workspace,
        connection_id=account.connection_id,
        subscriber_id=account.subscriber_id,
        kind=DocumentKind.STATEMENT,
        series=name.series,
        number=name.number,
        workspace_name=workspace.name,
        subscriber_name=draft.subscriber_name,
        first_day=min(zones.first_day(strategy_of[item.period_id], item.start) for item in draft.items),
        last_day=max(zones.last_day(strategy_of[item.period_id], item.end) for item in draft.items),
        currency=account.currency,
        amount=draft.amount,
        tax=round_money(draft.amount * tax_rate, account.currency),
        tax_rate=tax_rate,
        parties=parties,
        reporting_currency=draft.reporting_currency,
        reporting_amount=draft.reporting_amount,
        due_on=due_on,
        issued_at=now,
        issued_by=by,
        rate_day=draft.rate_day,
        rates_accepted_at=now if draft.is_rate_old else None,
        rates_accepted_by=by if draft.is_rate_old else None,
    )
    StatementItem.objects.bulk_create(
        StatementItem(
            statement=statement,
            period_id=item.period_id,
            subscriber_id=account.subscriber_id,
            currency=account.currency,
            strategy_name=item.strategy_name,
            scheme=item.scheme,
            lines=item.lines,
            amount=item.amount,
        )
        for item in draft.items
    )
    posting = Posting(zones.today.day_of(now), now, by)
    post(account, EntryKind.STATEMENT, statement.total, posting, statement=statement)
    post_settlement(account, statement, posting)
    return statement


def periods_to_issue(workspace: Workspace) -> datetime | None:
    """When the newest closed period ended of which something is on no statement; None: there is none."""
    closed = BillingPeriod.objects.filter(workspace=workspace, state="closed").order_by("-period_end")
    return closed.values_list("period_end", flat=True).first()
