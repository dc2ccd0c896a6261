"""The past of an account's equity (account APIs, 5.2): an element for each hour, by the broker's own clock."""

from __future__ import annotations

from decimal import Decimal

from .history import HistoryRecord


class EquityChartItem(HistoryRecord, kw_only=True):
    """R1. The last four: of the last element, if it was asked for in real time; sums are of milliseconds x currency."""

    start_broker_time: str
    end_broker_time: str
    average_balance: Decimal
    min_balance: Decimal
    max_balance: Decimal
    start_balance: Decimal
    last_balance: Decimal
    average_equity: Decimal
    min_equity: Decimal
    max_equity: Decimal
    start_equity: Decimal
    last_equity: Decimal
    broker_time: str | None = None
    duration: float | None = None
    balance_sum: Decimal | None = None
    equity_sum: Decimal | None = None
