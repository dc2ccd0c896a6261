"""Accounts whose open copies are not what their provider has: some are gone, or are open that the provider has closed.

An account that never got a copy is none of these: what was decided about it says why. Nor is one that takes no trades
at the moment, because a limit stopped it or somebody did. Of a backend whose positions are not heard nothing is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from reporting.watching import BY_ACCOUNT
from users.models import Workspace


@dataclass(frozen=True)
class AccountDrift:
    """missing: trades that it had copies of and has not any more; extra: open copies of trades that are closed."""

    account: int
    name: str
    missing: int
    extra: int
    symbol: str


# A copy is missing where it was made, the provider's trade is open, and the account was read since without it.
_DRIFT = """
    WITH gone AS (
        SELECT DISTINCT u.id, o.id AS trade, o.symbol
        FROM reporting_opentrade o
        JOIN reporting_syncstate s ON s.connection_id = o.connection_id AND s.kind = 'positions'
        JOIN reporting_decision d ON d.workspace_id = o.workspace_id AND d.signal_id = o.signal_id
            AND d.connection_id = o.connection_id AND d.source_strategy_id = o.strategy_id
            AND d.outcome IN ('copied', 'resized')
        JOIN subscribers_subscriber u ON u.connection_id = o.connection_id AND u.backend_id = d.subscriber_id
            AND u.workspace_id = o.workspace_id AND NOT u.is_removed AND u.close_only = ''
        WHERE o.workspace_id = %(workspace)s AND o.state = 'open' AND o.missing > 0 AND s.failing_since IS NULL
            AND EXISTS (SELECT 1 FROM subscribers_subscription b WHERE b.subscriber_id = u.id AND NOT b.is_removed
                AND b.strategy_backend_id = d.strategy_id)
            AND NOT EXISTS (SELECT 1 FROM reporting_openposition p WHERE p.connection_id = o.connection_id
                AND p.subscriber_id = u.backend_id AND p.source_strategy_id = o.strategy_id
                AND p.signal_id = o.signal_id)
            AND NOT EXISTS (SELECT 1 FROM subscribers_stopout t WHERE t.subscriber_id = u.id AND t.ended_at IS NULL
                AND t.stopped_till > %(now)s)
            AND (NOT jsonb_exists(s.cursor, %(by_account)s) OR EXISTS (SELECT 1 FROM reporting_positionreading r
                WHERE r.connection_id = o.connection_id AND NOT r.is_strategy AND r.backend_id = u.backend_id
                AND r.read_at > d.time))
    ), left_over AS (
        SELECT u.id, p.id AS position, p.symbol
        FROM reporting_opentrade o
        JOIN reporting_openposition p ON p.connection_id = o.connection_id AND p.source_strategy_id = o.strategy_id
            AND p.signal_id = o.signal_id
        JOIN subscribers_subscriber u ON u.connection_id = p.connection_id AND u.backend_id = p.subscriber_id
            AND u.workspace_id = o.workspace_id AND NOT u.is_removed
        WHERE o.workspace_id = %(workspace)s AND o.state = 'closed' AND NOT EXISTS (SELECT 1 FROM reporting_syncstate s
            WHERE s.connection_id = o.connection_id AND s.kind = 'positions' AND s.failing_since IS NOT NULL)
    ), differing AS (
        SELECT id, count(*) AS missing, 0 AS extra, max(symbol) AS symbol FROM gone GROUP BY 1
        UNION ALL SELECT id, 0, count(*), max(symbol) FROM left_over GROUP BY 1
    )
    SELECT u.id, u.name, sum(d.missing)::int, sum(d.extra)::int, max(d.symbol)
    FROM differing d JOIN subscribers_subscriber u ON u.id = d.id
    GROUP BY 1, 2 ORDER BY 1 LIMIT %(most)s
"""


def drifting(workspace: Workspace, now: datetime, *, most: int) -> list[AccountDrift]:
    """The accounts of a workspace that differ now, at most so many."""
    values: dict[str, Any] = {"workspace": workspace.pk, "now": now, "by_account": BY_ACCOUNT, "most": most}
    with connection.cursor() as database:
        database.execute(_DRIFT, values)
        return [AccountDrift(*row) for row in database.fetchall()]
