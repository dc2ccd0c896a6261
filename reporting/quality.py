"""How well trades are copied: latency and slippage as percentiles, each with how it was measured.

Latency is the time from the provider's fill to the copy's, ms. Slippage is told as what it cost: basis points by which
the copy was filled worse than the provider (negative: better).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection as database

from strategies.models import Strategy
from subscribers.models import Subscriber

DAYS = 90
MOST_DEALS = 5_000
METHOD = (
    f"From the newest copied deals of the last {DAYS} days, at most {MOST_DEALS:,}, interpolated between ranks. "
    "Latency is the time from the provider's fill to the copy's. Slippage is how much worse than the provider the copy "
    "was filled, in basis points of the price; negative is better."
).replace(",000", "\u202f000")
PERCENTILES = """
SELECT count(*), min(time), percentile_cont(%(ranks)s) WITHIN GROUP (ORDER BY latency_ms),
       percentile_cont(%(ranks)s) WITHIN GROUP (ORDER BY -slippage_bp)
FROM (
    SELECT time, latency_ms, slippage_bp FROM reporting_transaction
    WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND {} = %(id)s AND time >= %(since)s
        AND (latency_ms IS NOT NULL OR slippage_bp IS NOT NULL)
    ORDER BY time DESC, id DESC LIMIT %(most)s
) newest
"""


@dataclass(frozen=True)
class Quality:
    """p50, p95 and p99 over `deals` measured deals since `since`; empty where nothing was measured."""

    deals: int
    since: datetime | None
    latency_ms: list[float]
    slippage_bp: list[float]


def quality_of(measured: Strategy | Subscriber, *, now: datetime) -> Quality:
    """The measured copying of one strategy, or to one account."""
    column = "strategy_id" if isinstance(measured, Strategy) else "subscriber_id"
    parameters: dict[str, Any] = {
        "ranks": [0.5, 0.95, 0.99],
        "workspace": measured.workspace_id,
        "connection": measured.connection_id,
        "id": measured.backend_id,
        "since": now - timedelta(days=DAYS),
        "most": MOST_DEALS,
    }
    with database.cursor() as cursor:
        cursor.execute(PERCENTILES.format(column), parameters)
        deals, since, latency, slippage = cursor.fetchone()
    return Quality(deals, since, _known(latency), _known(slippage))


def _known(percentiles: list | None) -> list[float]:
    """The percentiles, or none where nothing was measured."""
    return [] if not percentiles or percentiles[0] is None else [float(value) for value in percentiles]
