"""Money that clients paid in or out, told apart from results: one rule for curves and for commissions.

A backend that gives net deposits with its account snapshots is believed: a flow is a step between two of them. For
accounts without them, balance transactions of the history are the flows; a deal that came with two strategies counts
once. Money paid in before the first snapshot is what the account begins with, no flow.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from django.db import connection as database

Flow = tuple[datetime, Decimal]

FLOWS = """
WITH measured AS (
    SELECT account_id, time,
           CASE WHEN '' IN (currency, lag(currency) OVER account) OR currency = lag(currency) OVER account
                THEN net_deposits - lag(net_deposits) OVER account END AS amount
    FROM reporting_equitypoint
    WHERE connection_id = %(connection)s AND account_id = ANY(%(accounts)s) AND net_deposits IS NOT NULL
    WINDOW account AS (PARTITION BY account_id ORDER BY time)
), told AS (
    SELECT DISTINCT subscriber_id AS account_id, time, backend_id, profit AS amount
    FROM reporting_transaction
    WHERE workspace_id = (SELECT workspace_id FROM users_connection WHERE id = %(connection)s)
      AND connection_id = %(connection)s AND subscriber_id = ANY(%(accounts)s) AND type = 'DEAL_TYPE_BALANCE'
      AND subscriber_id NOT IN (SELECT account_id FROM measured)
)
SELECT account_id, time, amount FROM (
    SELECT account_id, time, amount FROM measured UNION ALL SELECT account_id, time, amount FROM told
) flows
WHERE amount <> 0 AND time >= coalesce(%(since)s, '-infinity'::timestamptz)
ORDER BY account_id, time
"""


def cash_flows(
    connection_id: int, account_ids: Sequence[str], *, since: datetime | None = None
) -> dict[str, list[Flow]]:
    """Per account, in order of time: (when, amount in the account's currency, positive for money paid in)."""
    flows: dict[str, list[Flow]] = {}
    with database.cursor() as cursor:
        cursor.execute(FLOWS, {"connection": connection_id, "accounts": list(account_ids), "since": since})
        for account_id, time, amount in cursor:
            flows.setdefault(account_id, []).append((time, amount))
    return flows
