"""Issues numbered statements of closed periods.

Numbers have no gap: they are given inside the transaction, under the lock of the workspace's books.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Max

from reporting.commission.accounts import Posting, lock_books, post, post_settlement, refresh_periods
from reporting.commission.drafts import Among, Draft, Fate, drafts_of, fate_of
from reporting.commission.event_data import statement_data
from reporting.commission.money import round_money
from reporting.commission.services import calendar_of
from reporting.commission.zones import Zones, read_zones
from reporting.identity import parties_of
from reporting.models import (
    BillingIdentity,
    Books,
    ClientRecord,
    DocumentKind,
    EntryKind,
    Statement,
    StatementItem,
)
from users.events import emit
from users.models import User, Workspace
from users.services import record_audit


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
    identity, clients = BillingIdentity.of(workspace), clients_of(workspace)
    series = identity.series(identity.statement_prefix, calendar_of(workspace).day_of(now).year)
    number = last_number(workspace, DocumentKind.STATEMENT, series)
    issued, nothing_owed = [], []
    for draft in drafts_of(workspace, until, among):
        if only is not None and draft.account.subscriber_id not in only:
            continue
        minimum = identity.minimum(draft.account.currency)
        fate = fate_of(draft, minimum, accepts_old_rates=accepts_old_rates, with_small=with_small)
        if fate == Fate.NOTHING_OWED:
            nothing_owed += draft.items
        if fate != Fate.ISSUED:
            continue
        number += 1
        client = clients.get((draft.account.connection_id, draft.account.subscriber_id))
        parties = parties_of(identity, client, account_name=draft.subscriber_name)
        name = DocumentName(stored_series(DocumentKind.STATEMENT, series), number)
        issued.append(_issue(workspace, draft, name, parties, due_on=due_on, by=by, now=now))
    note_numbers(workspace, statements=number)
    for document in issued:
        emit(workspace.pk, "statement.issued", statement_data(document), now=now)
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


def clients_of(workspace: Workspace) -> dict[tuple[int, str], ClientRecord]:
    """Clients' records by account."""
    records = ClientRecord.objects.filter(subscriber__workspace=workspace).select_related("subscriber")
    return {(record.subscriber.connection_id, record.subscriber.backend_id): record for record in records}


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
    """Store one statement, charge its account, and let the account's credit pay it."""
    account = draft.account
    zones = read_zones(workspace, {(account.connection_id, item.strategy_id) for item in draft.items})
    statement = draft_document(workspace, draft, parties, zones, due_on=due_on, by=by, now=now)
    statement.series, statement.number = name
    statement.save(force_insert=True)
    _add_items(statement, draft)
    posting = Posting(zones.today.day_of(now), now, by)
    post(account, EntryKind.STATEMENT, statement.total, posting, statement=statement)
    post_settlement(account, statement, posting)
    return statement


def draft_document(
    workspace: Workspace,
    draft: Draft,
    parties: dict[str, Any],
    zones: Zones,
    *,
    due_on: date,
    by: User | None,
    now: datetime,
) -> Statement:
    """The document of a draft, not stored and without a number."""
    return Statement(
        workspace=workspace,
        connection_id=draft.account.connection_id,
        subscriber_id=draft.account.subscriber_id,
        kind=DocumentKind.STATEMENT,
        workspace_name=workspace.name,
        subscriber_name=draft.subscriber_name,
        parties=parties,
        due_on=due_on,
        issued_at=now,
        issued_by=by,
        rates_accepted_at=now if draft.is_rate_old else None,
        rates_accepted_by=by if draft.is_rate_old else None,
        **_days_of(draft, zones),
        **_sums_of(draft, Decimal(parties["tax"]["rate"])),
    )


def _days_of(draft: Draft, zones: Zones) -> dict[str, date]:
    """The first and the last day of its periods, each in the zone of its time."""
    keys = [(draft.account.connection_id, item.strategy_id) for item in draft.items]
    spans = list(zip(keys, draft.items, strict=True))
    return {
        "first_day": min(zones.first_day(key, item.start) for key, item in spans),
        "last_day": max(zones.last_day(key, item.end) for key, item in spans),
    }


def _sums_of(draft: Draft, tax_rate: Decimal) -> dict[str, Any]:
    """Amounts with the tax, which is rounded once on the sum, and the sum in the reporting currency."""
    currency = draft.account.currency
    return {
        "currency": currency,
        "amount": draft.amount,
        "tax": round_money(draft.amount * tax_rate, currency),
        "tax_rate": tax_rate,
        "reporting_currency": draft.reporting_currency,
        "reporting_amount": draft.reporting_amount,
        "rate_day": draft.rate_day,
    }


def _add_items(statement: Statement, draft: Draft) -> None:
    StatementItem.objects.bulk_create(
        StatementItem(
            statement=statement,
            period_id=item.period_id,
            subscriber_id=draft.account.subscriber_id,
            currency=draft.account.currency,
            strategy_name=item.strategy_name,
            scheme=item.scheme,
            lines=item.lines,
            amount=item.amount,
        )
        for item in draft.items
    )
