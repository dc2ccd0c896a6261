"""Statistics of an account as MetaStats makes them of its trades (account APIs, 4). Percentages are in percent.

Times are the broker's own clock, without a zone.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from .history import HistoryRecord


class AccountMetrics(HistoryRecord, kw_only=True):
    """M1 (4.2), of the many fields those that are used. max_drawdown: of the balance.

    profit_factor: won amount by lost amount; None: nothing was lost.
    """

    balance: Decimal
    equity: Decimal
    margin: Decimal
    free_margin: Decimal
    trades: int
    profit: Decimal
    deposits: Decimal
    withdrawals: Decimal = Decimal(0)
    absolute_gain: float | None = None
    gain: float | None = None
    daily_gain: float | None = None
    monthly_gain: float | None = None
    max_drawdown: float | None = None
    lots: float | None = None
    won_trades_percent: float | None = None
    lost_trades_percent: float | None = None
    profit_factor: float | str | None = None
    expectancy: float | None = None
    sharpe_ratio: float | None = None
    daily_growth: list[dict[str, Any]] = []


class AccountTrade(HistoryRecord, kw_only=True):
    """M2, M3 (4.3): one round trip of a position, or a balance operation. close_time: None while it is open."""

    id: str = ""
    account_id: str = ""
    type: str
    symbol: str | None = None
    volume: float = 0.0
    open_time: str
    close_time: str | None = None
    open_price: float | None = None
    close_price: float | None = None
    profit: Decimal = Decimal(0)
    gain: float = 0.0
    pips: float | None = None
    success: str = ""
    duration_in_minutes: float = 0.0


class MetricsAnswer(HistoryRecord, kw_only=True):
    metrics: AccountMetrics


class TradesAnswer(HistoryRecord, kw_only=True):
    trades: list[AccountTrade]


class OpenTradesAnswer(HistoryRecord, kw_only=True):
    open_trades: list[AccountTrade]
