"""A client's account in the books: what moves its balance, how credit is used, and what that does to billing periods.

Every writer takes the lock of the workspace's books first (`lock_books`), so sums that it reads stay what they are
until it commits. Functions that begin with `post` add entries; nothing changes or deletes one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db import connection as database
from django.db.models import QuerySet, Sum

from reporting.models import BillingPeriod, Books, Entry, EntryKind, Statement
from users.models import User, Workspace

ZERO = Decimal(0)
_REFRESH = """
UPDATE reporting_billingperiod period SET state = fresh.state
FROM (
    SELECT p.id, CASE
        WHEN EXISTS (
            SELECT FROM reporting_commissionline line
            WHERE line.workspace_id = p.workspace_id AND line.connection_id = p.connection_id
              AND line.strategy_id = p.strategy_id AND line.period_start = p.period_start
              AND line.period_end = p.period_end AND line.member_id = '' AND line.amount <> 0
              AND NOT EXISTS (
                  SELECT FROM reporting_statementitem item WHERE item.period_id = p.id AND NOT item.is_void
                  AND item.subscriber_id = line.subscriber_id AND item.currency = line.currency)
        ) THEN 'closed'
        WHEN EXISTS (
            SELECT FROM reporting_statementitem item
            WHERE item.period_id = p.id AND NOT item.is_void AND (
                SELECT coalesce(sum(entry.amount), 0) FROM reporting_entry entry
                WHERE entry.statement_id = item.statement_id) <> 0
        ) THEN 'issued'
        ELSE 'paid' END AS state
    FROM reporting_billingperiod p WHERE p.id = ANY(%s) AND p.closed_at IS NOT NULL
) fresh
WHERE period.id = fresh.id AND period.state <> fresh.state
"""


@dataclass(frozen=True, slots=True)
class ClientAccount:
    """Whose balance it is: a trading account and the currency of its statements."""

    workspace_id: int
    connection_id: int
    subscriber_id: str
    currency: str

    @classmethod
    def of(cls, document: Statement) -> ClientAccount:
        return cls(document.workspace_id, document.connection_id, document.subscriber_id, document.currency)

    @property
    def entries(self) -> QuerySet[Entry]:
        return Entry.objects.filter(
            workspace_id=self.workspace_id,
            connection_id=self.connection_id,
            subscriber_id=self.subscriber_id,
            currency=self.currency,
        )


@dataclass(frozen=True, slots=True)
class Posting:
    """Who adds entries, when, and for which day of the books."""

    day: date
    now: datetime
    by: User | None = None
    reason: str = ""


def lock_books(workspace: Workspace) -> Books:
    """The workspace's books, locked until the caller's transaction ends."""
    Books.objects.get_or_create(workspace=workspace)
    return Books.objects.select_for_update().get(workspace=workspace)


def balance_of(statement: Statement) -> Decimal:
    """What is left to pay of a statement: the sum of its entries."""
    return Entry.objects.filter(statement=statement).aggregate(total=Sum("amount"))["total"] or ZERO


def credit_of(account: ClientAccount) -> Decimal:
    """What a client has paid or been credited that no statement has used yet."""
    return -(account.entries.filter(statement=None).aggregate(total=Sum("amount"))["total"] or ZERO)


def post(
    account: ClientAccount,
    kind: str,
    amount: Decimal,
    posting: Posting,
    *,
    statement: Statement | None = None,
    **fields: Any,
) -> Entry | None:
    """Add an entry; nothing for nothing."""
    if not amount:
        return None
    return Entry.objects.create(
        workspace_id=account.workspace_id,
        connection_id=account.connection_id,
        subscriber_id=account.subscriber_id,
        currency=account.currency,
        kind=kind,
        amount=amount,
        statement=statement,
        day=posting.day,
        reason=posting.reason,
        made_at=posting.now,
        made_by=posting.by,
        **fields,
    )


def post_credit_use(account: ClientAccount, statement: Statement, amount: Decimal, posting: Posting) -> None:
    """Move credit from the account to a statement; a negative amount moves it back."""
    post(account, EntryKind.CREDIT, -amount, posting, statement=statement)
    post(account, EntryKind.CREDIT, amount, posting)


def post_settlement(account: ClientAccount, statement: Statement, posting: Posting) -> Decimal:
    """Let credit pay what is left of a statement, or keep what was paid too much as credit; returns what it used."""
    left = balance_of(statement)
    used = left if left < 0 else min(left, max(credit_of(account), ZERO))
    post_credit_use(account, statement, used, posting)
    return used


def written_off(statement: Statement) -> Decimal:
    """How much of a statement was given up, less what was taken back of that."""
    own = Entry.objects.filter(statement=statement, kind=EntryKind.WRITE_OFF)
    return -(own.aggregate(total=Sum("amount"))["total"] or ZERO)


def post_written_off_back(account: ClientAccount, statement: Statement, most: Decimal, posting: Posting) -> None:
    """Take so much of what was written off back: nobody paid it, so it must not become credit."""
    post(account, EntryKind.WRITE_OFF, min(written_off(statement), most), posting, statement=statement)


def post_missing_credit(account: ClientAccount, posting: Posting) -> list[Statement]:
    """Take credit back from the statements that used it last, where a counter-entry left less than nothing of it."""
    missing = -credit_of(account)
    touched = []
    used = account.entries.filter(kind=EntryKind.CREDIT, statement__isnull=False, statement__is_void=False)
    for statement_id, amount in used.values_list("statement").annotate(total=Sum("amount")).order_by("-statement"):
        returned = min(missing, -amount)
        if returned > 0:
            statement = Statement.objects.get(pk=statement_id)
            post_credit_use(account, statement, -returned, posting)
            missing -= returned
            touched.append(statement)
    return touched


def refresh_periods(statements: Iterable[Statement], *, also: Iterable[int] = ()) -> None:
    """Write anew how far the billing periods of these statements (and others by id) are: closed, issued or paid."""
    ids = BillingPeriod.objects.filter(items__statement__in=[statement.pk for statement in statements])
    with database.cursor() as cursor:
        cursor.execute(_REFRESH, [sorted({*ids.values_list("pk", flat=True), *also})])
