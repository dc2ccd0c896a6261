"""Issues numbered statements of closed periods, credit notes that correct them, and voids what should not have been.

Numbers have no gap: they are given inside the transaction, under the lock of the workspace's books.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db import connection as database
from django.db import transaction
from django.db.models import Sum

from reporting.commission.accounts import (
    ZERO,
    Account,
    Posting,
    balance_of,
    lock_books,
    post,
    post_missing_credit,
    post_settlement,
    refresh_periods,
)
from reporting.commission.money import money_text, round_money
from reporting.commission.services import calendar_of
from reporting.commission.zones import read_zones
from reporting.models import BillingPeriod, DocumentKind, EntryKind, PeriodState, Statement, StatementItem
from reporting.rates import FRESH_BUSINESS_DAYS, SAME_CURRENCY, UnknownRate, is_old, rates_of
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


class OldRate(CannotBook):
    """A rate older than three business days: a person has to accept it first."""

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
) -> list[Statement]:
    """Issue a statement to each account with closed periods on none yet; twice or in parallel issues nothing twice.

    only: ids of subscribers. Credit that an account has pays its statement at once. Nobody is sent a statement of
    nothing: lines of zero need none, lines that come to zero together go on the account's next statement. Amounts
    converted at rates older than three business days wait, unless `by` accepts them: once for all that is issued here.
    """
    books = lock_books(workspace)
    issued, nothing_owed = [], []
    for draft in drafts_of(workspace, until, among):
        if only is not None and draft.account.subscriber_id not in only:
            continue
        if not draft.amount:
            nothing_owed += draft.items
            continue
        if draft.is_rate_old and not accepts_old_rates:
            continue
        books.statements += 1
        issued.append(_issue(workspace, draft, books.statements, due_on=due_on, by=by, now=now))
    books.save(update_fields=["statements"])
    refresh_periods(issued, also=[item.period_id for item in nothing_owed])
    if issued and by is not None:
        subject = f"{issued[0].label} to {issued[-1].label}" if len(issued) > 1 else issued[0].label
        record_audit(workspace, user=by, action="statements issued", subject=subject, now=now)
    return issued


def _issue(
    workspace: Workspace, draft: Draft, number: int, *, due_on: date, by: User | None, now: datetime
) -> Statement:
    account = draft.account
    zones = read_zones(workspace, {(account.connection_id, item.strategy_id) for item in draft.items})
    strategy_of = {item.period_id: (account.connection_id, item.strategy_id) for item in draft.items}
    statement = Statement.objects.create(
        workspace=workspace,
        connection_id=account.connection_id,
        subscriber_id=account.subscriber_id,
        kind=DocumentKind.STATEMENT,
        number=number,
        workspace_name=workspace.name,
        subscriber_name=draft.subscriber_name,
        first_day=min(zones.first_day(strategy_of[item.period_id], item.start) for item in draft.items),
        last_day=max(zones.last_day(strategy_of[item.period_id], item.end) for item in draft.items),
        currency=account.currency,
        amount=draft.amount,
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
    post(account, EntryKind.STATEMENT, draft.amount, posting, statement=statement)
    post_settlement(account, statement, posting)
    return statement


def creditable(statement: Statement) -> Decimal:
    """How much of a statement credit notes may still take off."""
    credited = statement.credit_notes.aggregate(total=Sum("amount"))["total"] or ZERO
    return max(statement.amount + credited, ZERO)


@transaction.atomic
def issue_credit_note(
    statement: Statement,
    *,
    amount: Decimal,
    reason: str,
    accepts_old_rate: bool = False,
    by: User | None = None,
    now: datetime,
) -> Statement:
    """Correct a statement by a document of its own. What was paid too much then becomes credit.

    Raises CannotBook, and OldRate where the day's rate is old and nobody has accepted it.
    """
    workspace = statement.workspace
    books = lock_books(workspace)
    statement.refresh_from_db()
    amount = round_money(amount, statement.currency)
    if statement.kind != DocumentKind.STATEMENT or statement.is_void:
        raise CannotBook(f"{statement.label} cannot be corrected: it is void or a credit note itself.")
    if not 0 < amount <= creditable(statement):
        most = money_text(creditable(statement), statement.currency)
        raise CannotBook(f"At most {most} of {statement.label} can be credited.")
    day = calendar_of(workspace).day_of(now)
    converted = _converted(workspace, -amount, statement.currency, day, accepts_old_rate=accepts_old_rate)
    books.credit_notes += 1
    books.save(update_fields=["credit_notes"])
    note = Statement.objects.create(
        workspace=workspace,
        connection_id=statement.connection_id,
        subscriber_id=statement.subscriber_id,
        kind=DocumentKind.CREDIT_NOTE,
        number=books.credit_notes,
        workspace_name=workspace.name,
        subscriber_name=statement.subscriber_name,
        first_day=statement.first_day,
        last_day=statement.last_day,
        currency=statement.currency,
        amount=-amount,
        reporting_currency=workspace.reporting_currency,
        reporting_amount=converted[0],
        rate_day=converted[1],
        rates_accepted_at=now if converted[2] else None,
        rates_accepted_by=by if converted[2] else None,
        corrects=statement,
        reason=reason,
        issued_at=now,
        issued_by=by,
    )
    posting, account = Posting(day, now, by, reason), Account.of(statement)
    post(account, EntryKind.CREDIT_NOTE, -amount, posting, statement=statement)
    if balance_of(statement) < 0:
        post_settlement(account, statement, posting)
    refresh_periods([statement])
    record_audit(
        workspace, user=by, action="credit note issued", subject=f"{note.label} for {statement.label}", now=now
    )
    return note


def _converted(
    workspace: Workspace, amount: Decimal, base: str, day: date, *, accepts_old_rate: bool
) -> tuple[Decimal | None, date | None, bool]:
    """(amount in the reporting currency, day of the rate, whether an old rate was accepted). Raises OldRate."""
    quote = workspace.reporting_currency
    try:
        rate = rates_of(workspace).on(day, base, quote)
    except UnknownRate:
        return None, None, False
    if rate.is_old and not accepts_old_rate:
        raise OldRate(base, rate.day)
    return round_money(amount * rate.value, quote), rate.day if base != quote else None, rate.is_old


@transaction.atomic
def void_statement(statement: Statement, *, reason: str, by: User | None = None, now: datetime) -> Statement:
    """Take a statement back as a whole: its periods can be issued again, what was paid becomes credit.

    The document and its number stay. Raises CannotBook for one that is void already or a credit note.
    """
    workspace = statement.workspace
    lock_books(workspace)
    statement.refresh_from_db()
    if statement.kind != DocumentKind.STATEMENT:
        raise CannotBook("A credit note is not voided: issue a new statement instead.")
    if statement.is_void:
        raise CannotBook(f"{statement.label} is void already.")
    posting = Posting(calendar_of(workspace).day_of(now), now, by, reason)
    account = Account.of(statement)
    charged = statement.entries.filter(kind__in=[EntryKind.STATEMENT, EntryKind.CREDIT_NOTE])
    post(account, EntryKind.VOID, -(charged.aggregate(t=Sum("amount"))["t"] or ZERO), posting, statement=statement)
    left = balance_of(statement)
    post(account, EntryKind.CREDIT, -left, posting, statement=statement)
    post(account, EntryKind.CREDIT, left, posting)
    Statement.objects.filter(pk=statement.pk).update(is_void=True)
    StatementItem.objects.filter(statement=statement).update(is_void=True)
    statement.is_void = True
    touched = post_missing_credit(account, posting)
    refresh_periods([statement, *touched])
    record_audit(
        workspace, user=by, action="statement voided", subject=statement.label, details={"reason": reason}, now=now
    )
    return statement


def periods_to_issue(workspace: Workspace) -> datetime | None:
    """When the newest closed period ended of which something is on no statement; None: there is none."""
    closed = BillingPeriod.objects.filter(workspace=workspace, state="closed").order_by("-period_end")
    return closed.values_list("period_end", flat=True).first()
