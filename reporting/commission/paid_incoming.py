"""What of a portfolio's incoming commission was paid to the providers of its members, by closed billing period."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from django.db import transaction
from django.db.models import Q

from reporting.commission.accounts import lock_books
from reporting.commission.money import money_text
from reporting.commission.refusals import CannotBook
from reporting.models import BillingPeriod, CommissionLine, Payout
from users.models import Membership, User
from users.services import record_audit

BY = ("connection_id", "strategy_id", "member_id", "period_start", "period_end")


def closed_incoming(membership: Membership, span: Any, now: datetime) -> list[dict[str, Any]]:
    """What is owed to each member's provider for each closed period in a span, with `payout`: the newest note, or None.

    Rows of (connection_id, strategy_id, member_id, period_start, period_end, currency, total, period, payout).
    """
    rows = list(span.narrow(CommissionLine.objects.incoming(membership), now).totals(*BY))
    closed = BillingPeriod.objects.visible_to(membership).filter(
        closed_at__isnull=False, strategy_id__in={row["strategy_id"] for row in rows}
    )
    periods = {
        (period.connection_id, period.strategy_id, period.period_start, period.period_end): period for period in closed
    }
    payouts: dict[tuple[int | None, str, str], Payout] = {}
    notes = Payout.objects.filter(workspace_id=membership.workspace_id, period__in=periods.values()).order_by("pk")
    for payout in notes.select_related("recorded_by"):
        payouts[payout.period_id, payout.member_id, payout.currency] = payout
    sums = []
    for row in rows:
        period = periods.get((row["connection_id"], row["strategy_id"], row["period_start"], row["period_end"]))
        if period is not None and row["total"]:
            key = (period.pk, row["member_id"], row["currency"])
            sums.append(row | {"period": period, "payout": payouts.get(key)})
    return sorted(
        sums, key=lambda row: (-row["period_end"].timestamp(), row["strategy_id"], row["member_id"], row["currency"])
    )


@transaction.atomic
def record_incoming_payout(
    period: BillingPeriod,
    member_id: str,
    currency: str,
    *,
    is_paid: bool,
    paid_on: date | None,
    note: str,
    by: User | None,
    now: datetime,
) -> Payout | None:
    """Note that it was paid, or not after all; None: nothing is owed to this member in this currency."""
    lock_books(period.workspace)
    owed = CommissionLine.objects.filter(
        Q(workspace_id=period.workspace_id, connection_id=period.connection_id, strategy_id=period.strategy_id),
        period_start=period.period_start,
        period_end=period.period_end,
        member_id=member_id,
        currency=currency,
    )
    total = next((row["total"] for row in owed.totals("member_id")), None)
    if not member_id or not total:
        return None
    named = {"period": period, "member_id": member_id, "currency": currency}
    newest = Payout.objects.filter(workspace_id=period.workspace_id, **named).order_by("-pk").first()
    if (newest is not None and newest.is_paid) == is_paid:
        raise CannotBook(f"It is {'paid' if is_paid else 'not paid'} already.")
    payout = Payout.objects.create(
        workspace_id=period.workspace_id,
        **named,
        amount=total,
        is_paid=is_paid,
        paid_on=paid_on,
        note=note,
        recorded_at=now,
        recorded_by=by,
    )
    record_audit(
        period.workspace,
        user=by,
        action="provider paid" if is_paid else "provider payment taken back",
        subject=f"{period.strategy_id}: {member_id}",
        details={"amount": money_text(total, currency), "until": str(period.period_end), "paid_on": str(paid_on or "")},
    )
    return payout
