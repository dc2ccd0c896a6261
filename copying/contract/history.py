"""Transactions as the history calls and streams serve them (contract, 6.1 and 6.2).

Figures are Decimal, exactly as on the wire. Reading a page of a thousand is the busiest thing the portal does, so
the structs here are plain, untracked by the garbage collector and checked once per page (wire.check_figures).
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from msgspec import Meta, Struct

Milliseconds = Annotated[float, Meta(ge=-1e10, le=1e10)]
BasisPoints = Annotated[float, Meta(ge=-1e7, le=1e7)]
Amount = Annotated[float, Meta(gt=-1e14, lt=1e14)]


class HistoryRecord(Struct, rename="camel", omit_defaults=True, kw_only=True, gc=False):
    """Base of what is read by the thousand."""


class StrategyRef(HistoryRecord, kw_only=True):
    """Which strategy a transaction belongs to."""

    id: str
    name: str = ""


class UserRef(HistoryRecord, kw_only=True):
    """Who subscribes or provides."""

    id: str = ""
    name: str = ""
    strategies: list[StrategyRef] | None = None


class TransactionMetrics(HistoryRecord, kw_only=True):
    """How well a trade was copied. Latencies in ms, slippage negative where worse for the subscriber."""

    trade_copying_latency: Milliseconds | None = None
    trade_copying_slippage_in_basis_points: BasisPoints | None = None
    trade_copying_slippage_in_account_currency: Amount | None = None
    mt_and_broker_signal_latency: Milliseconds | None = None
    trade_algorithm_latency: Milliseconds | None = None
    mt_and_broker_trade_latency: Milliseconds | None = None


class TransactionDocument(HistoryRecord, kw_only=True):
    """One deal of a subscriber's account. quantity in signed lots, money in the subscriber account's currency.

    lot_price: value of one lot; tick_price: the quote. Commissions are positive when owed.
    source_strategy: the leaf strategy, where the subscription is to a portfolio (beyond the contract).
    """

    id: str
    type: str
    time: datetime
    subscriber_id: str
    strategy: StrategyRef
    symbol: str | None = None
    subscriber_user: UserRef | None = None
    provider_user: UserRef | None = None
    demo: bool = False
    position_id: str | None = None
    slave_position_id: str | None = None
    improvement: Decimal = Decimal(0)
    provider_commission: Decimal = Decimal(0)
    platform_commission: Decimal = Decimal(0)
    incoming_provider_commission: Decimal | None = None
    incoming_platform_commission: Decimal | None = None
    quantity: Decimal | None = None
    lot_price: Decimal | None = None
    tick_price: Decimal | None = None
    amount: Decimal | None = None
    commission: Decimal | None = None
    swap: Decimal = Decimal(0)
    profit: Decimal = Decimal(0)
    metrics: TransactionMetrics | None = None
    source_strategy: StrategyRef | None = None
