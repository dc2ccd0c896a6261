"""The books of the demo: its past months closed, issued and mostly paid, so that a newcomer sees each state.

Older months are paid, some account is late, last month is paid in part; weeks of this month are closed but on no
statement yet, and the newest one waits to be closed. Everything is made by the services that the pages call, and may be
repeated.
"""

from __future__ import annotations

import uuid
from datetime import date, datetime, timedelta
from decimal import Decimal

from reporting.commission.accounts import ClientAccount
from reporting.commission.closing import close_periods
from reporting.commission.drafts import drafts_of
from reporting.commission.payments import record_payment
from reporting.commission.services import calendar_of
from reporting.commission.statements import issue_statements
from reporting.models import BillingPeriod, Payment, Statement
from users.models import User, Workspace

MONTHS = 4  # so many months have their own statements; what is older stands together on the first
DAYS_TO_PAY = 14
TOKENS = uuid.UUID("5e5c7bb5-9d1b-4f0b-9a5e-6f1f0f6c2d11")


def keep_books(workspace: Workspace, *, now: datetime, by: User | None = None) -> tuple[int, int]:
    """Close, issue and record payments up to `now`: (statements, payments) there are then."""
    calendar = calendar_of(workspace)
    today = calendar.day_of(now)
    for first in _months(today):
        closed_at = min(calendar.midnight(first) + timedelta(days=1, hours=9), now)
        _close(workspace, calendar.midnight(first), by=by, now=now, closed_at=closed_at)
        day, until = calendar.day_of(closed_at), calendar.midnight(first)
        due_on = day + timedelta(days=DAYS_TO_PAY)
        issue_statements(
            workspace,
            until=until,
            due_on=due_on,
            by=by,
            now=closed_at,
            only=_worth_a_statement(workspace, until),
            accepts_old_rates=True,
        )
    ended = BillingPeriod.objects.filter(workspace=workspace).to_close(now).order_by("-period_end").first()
    if ended is not None:
        _close(workspace, ended.period_end - timedelta(microseconds=1), by=by, now=now, closed_at=now)
    _pay(workspace, today.replace(day=1), by=by, now=now)
    own = {"workspace": workspace}
    return Statement.objects.filter(**own).count(), Payment.objects.filter(**own).count()


def _worth_a_statement(workspace: Workspace, until: datetime) -> set[str]:
    """Ids of the accounts that owe enough; what others owe waits for their next statement."""
    return {
        draft.account.subscriber_id
        for draft in drafts_of(workspace, until)
        if draft.amount >= (500 if draft.account.currency == "JPY" else 5)
    }


def _months(today: date) -> list[date]:
    """The first days of the last months, the oldest first."""
    days = [today.replace(day=1)]
    while len(days) < MONTHS:
        days.append((days[-1] - timedelta(days=1)).replace(day=1))
    return days[::-1]


def _close(workspace: Workspace, until: datetime, *, by: User | None, now: datetime, closed_at: datetime) -> None:
    open_periods = BillingPeriod.objects.filter(workspace=workspace, closed_at=None, period_end__lte=until)
    close_periods(workspace, open_periods, by=by, now=now, closed_at=closed_at)


def _pay(workspace: Workspace, this_month: date, *, by: User | None, now: datetime) -> None:
    """Most clients pay a week after they got a statement; some pay part of the last one, one forgot an older one."""
    statements = Statement.objects.filter(workspace=workspace, is_void=False).with_balance().order_by("number")
    newest = this_month - timedelta(days=1)
    for statement in statements.filter(balance__gt=0, paid=0):
        is_newest = statement.last_day >= newest
        received_on = calendar_of(workspace).day_of(statement.issued_at) + timedelta(days=7 if is_newest else 5)
        if received_on > calendar_of(workspace).day_of(now) or (is_newest and statement.number % 8 == 0):
            continue
        if not is_newest and statement.number % 37 == 5:
            continue
        share = Decimal("0.5") if is_newest and statement.number % 8 == 3 else Decimal(1)
        amount = (statement.total * share).quantize(Decimal(1) if statement.currency == "JPY" else Decimal("0.01"))
        record_payment(
            workspace,
            ClientAccount.of(statement),
            amount=amount,
            currency=statement.currency,
            received_on=received_on,
            reference=f"Transfer {statement.label}",
            statement=statement,
            by=by,
            now=now,
            token=uuid.uuid5(TOKENS, f"{workspace.pk}:{statement.number}"),
        )
