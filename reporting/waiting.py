"""Deals that wait for a currency: they are mirrored and in no sum of money, and their commission accrues once the
currency of their account is known."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection as database

from users.models import Membership

# accounts first: those without a currency are few, or all of a connection's, and have one row a day and strategy
WAITING = """
SELECT count(*), coalesce(sum(told.deals), 0) FROM (
    SELECT u.id, (
        SELECT sum(r.deals) FROM reporting_dailyresult r
        WHERE r.connection_id = u.connection_id AND r.subscriber_id = u.backend_id AND NOT r.is_accrued
    ) AS deals
    FROM subscribers_subscriber u WHERE u.workspace_id = %s AND u.currency = ''
) told WHERE told.deals > 0
"""


@dataclass(frozen=True)
class WaitingDeals:
    """How many deals of how many accounts wait for a currency."""

    accounts: int
    deals: int

    def __bool__(self) -> bool:
        return self.accounts > 0

    @property
    def words(self) -> str:
        """ "412 deals of 3 accounts wait for a currency"."""
        deals = f"{self.deals:,} {'deal' if self.deals == 1 else 'deals'}".replace(",", "\u202f")
        accounts = f"{self.accounts:,} {'account' if self.accounts == 1 else 'accounts'}".replace(",", "\u202f")
        return f"{deals} of {accounts} {'waits' if self.deals == 1 else 'wait'} for a currency"


def waiting_deals(membership: Membership) -> WaitingDeals:
    """What staff see of the workspace; nothing for anybody else."""
    if not membership.is_staff_role:
        return WaitingDeals(0, 0)
    with database.cursor() as cursor:
        cursor.execute(WAITING, [membership.workspace_id])
        return WaitingDeals(*cursor.fetchone())
