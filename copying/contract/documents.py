"""Configuration objects and what the trading and signal calls carry (contract, 3.2, 3.12 to 3.14, 6.3 to 6.5).

`…Update` is what may be written; the full object adds what only the backend sets. Values that only the backend
chooses are plain texts, so that a new word of theirs never stops a reader.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from msgspec import field

from .settings import (
    AccountSettings,
    CloseOnly,
    CommissionScheme,
    CopySettings,
    Document,
    DrawdownFilter,
    EquityCurveFilter,
    MagicFilter,
    RemovalMode,
    SymbolMapping,
    Telegram,
    TimeSettings,
)

T = TypeVar("T")

SignalType = Literal[
    "POSITION_TYPE_BUY",
    "POSITION_TYPE_SELL",
    "ORDER_TYPE_BUY_LIMIT",
    "ORDER_TYPE_SELL_LIMIT",
    "ORDER_TYPE_BUY_STOP",
    "ORDER_TYPE_SELL_STOP",
]
OfferedTo = Literal["nobody", "everybody", "tenants"]
LogLevel = Literal["DEBUG", "INFO", "WARN", "ERROR"]
LOG_LEVELS = ("DEBUG", "INFO", "WARN", "ERROR")  # ascending severity


# ------------------------------------------------------------------------------------------------------ strategies


class Offer(Document, kw_only=True):
    """Whom a strategy or portfolio is offered to (beyond the contract). tenants: ids of users, for `tenants` only."""

    to: OfferedTo
    tenants: list[str] | None = None


class StrategyUpdate(CopySettings, kw_only=True):
    """What a provider offers for copying, as it is written (C4). Without `offer`: to nobody but its owner."""

    name: str
    description: str
    account_id: str
    commission_scheme: CommissionScheme | None = None
    magic_filter: MagicFilter | None = None
    equity_curve_filter: EquityCurveFilter | None = None
    drawdown_filter: DrawdownFilter | None = None
    symbols_traded: list[str] | None = None
    telegram: Telegram | None = None
    time_settings: TimeSettings | None = None
    offer: Offer | None = None


class StrategyDocument(StrategyUpdate, kw_only=True):
    """A strategy as it is read (C2, C3)."""

    id: str = field(name="_id")
    platform_commission_rate: float = 0.0
    close_on_removal_mode: str | None = None
    removed: bool | None = None


class PortfolioMemberUpdate(CopySettings, kw_only=True):
    """One part of a portfolio: a strategy or another portfolio, with a weight (1 when absent)."""

    strategy_id: str
    multiplier: float | None = None


class PortfolioMember(PortfolioMemberUpdate, kw_only=True):
    """A member as it is read."""

    close_on_removal_mode: str | None = None


class PortfolioUpdate(CopySettings, kw_only=True):
    """A portfolio strategy, as it is written (C8)."""

    name: str
    description: str
    members: list[PortfolioMemberUpdate] = field(default_factory=list)
    commission_scheme: CommissionScheme | None = None
    offer: Offer | None = None


class Portfolio(PortfolioUpdate, kw_only=True):
    """A portfolio strategy as it is read (C6, C7)."""

    id: str = field(name="_id")
    members: list[PortfolioMember] = field(default_factory=list)  # type: ignore[assignment]  # read: more fields
    platform_commission_rate: float = 0.0
    close_on_removal_mode: str | None = None
    removed: bool | None = None


# ----------------------------------------------------------------------------------------------------- subscribers


class SubscriptionUpdate(CopySettings, kw_only=True):
    """Which strategy or portfolio an account copies, and how (multiplier 1 when absent)."""

    strategy_id: str
    multiplier: float | None = None
    close_only: CloseOnly | None = None


class SubscriptionDocument(SubscriptionUpdate, kw_only=True):
    """A subscription as it is read; `removed`: waiting for its positions to close.

    offered: our backend's, False where the strategy is not offered (any more).
    """

    removed: bool | None = None
    offered: bool | None = None
    close_on_removal_mode: str | None = None


class SubscriberUpdate(AccountSettings, kw_only=True):
    """An account that copies, as it is written (C13). min_trade_amount in account currency."""

    name: str
    subscriptions: list[SubscriptionUpdate] = field(default_factory=list)
    reserved_margin_fraction: float | None = None
    phone_numbers: list[str] | None = None
    min_trade_amount: float | None = None
    close_only: CloseOnly | None = None


class SubscriberDocument(SubscriberUpdate, kw_only=True):
    """A subscriber as it is read (C11, C12); the id is the trading account's."""

    id: str = field(name="_id")
    subscriptions: list[SubscriptionDocument] = field(default_factory=list)  # type: ignore[assignment]  # read: more fields
    close_on_removal_mode: str | None = None
    removed: bool | None = None


class CloseInstructions(Document, kw_only=True):
    """What becomes of open positions on removal (2.1)."""

    mode: RemovalMode | None = None
    remove_after: datetime | None = None


class Counted(Document, Generic[T], kw_only=True):
    """A page of the classic pagination: `count` is of all pages."""

    count: int
    items: list[T]


class NewId(Document, kw_only=True):
    """The answer of C1."""

    id: str


# -------------------------------------------------------------------------------------------------------- webhooks


class WebhookUpdate(Document, kw_only=True):
    """A webhook as it is written (C17, C18). ignore_repeats_in_seconds: our extension, a guard against the same alert
    twice.
    """

    magic: int | None = None
    symbol_mapping: list[SymbolMapping] | None = None
    ignore_repeats_in_seconds: float | None = None


class WebhookAddress(Document, kw_only=True):
    """The answer of C17."""

    id: str
    url: str


class Webhook(WebhookUpdate, kw_only=True):
    """A webhook as it is read (C16)."""

    id: str = field(name="_id")
    created_at: datetime
    url: str
    last_accepted_at: datetime | None = None  # ours: since the backend started
    last_refused_at: datetime | None = None


class OfferedStrategy(Document, kw_only=True):
    """What somebody else offers to the caller (beyond the contract). portfolio: whether it is one."""

    strategy_id: str
    name: str = ""
    description: str = ""
    portfolio: bool = False
    provider: UserName


class WebhookSignal(Document, kw_only=True):
    """What is posted to a webhook (S5)."""

    symbol: str
    type: SignalType
    time: datetime
    volume: float
    stop_loss: float | None = None
    take_profit: float | None = None
    open_price: float | None = None


class WebhookSignalId(Document, kw_only=True):
    """The answer of S5."""

    signal_id: str


# --------------------------------------------------------------------------------------------------------- signals


class ExternalSignalUpdate(WebhookSignal, kw_only=True):
    """A signal given to a strategy by hand or by a program, as it is written (S3). volume in lots."""

    update_time: datetime | None = None
    magic: int | None = None


class ExternalSignal(ExternalSignalUpdate, kw_only=True):
    """An active external signal as it is read (S2)."""

    id: str


class SignalRemoval(Document, kw_only=True):
    """The moment of closing (S4)."""

    time: datetime


class StrategyName(Document, kw_only=True):
    """A strategy in passing (3.14)."""

    id: str
    name: str = ""


class UserName(Document, kw_only=True):
    """A provider or subscriber in passing (3.14)."""

    id: str
    name: str = ""
    strategies: list[StrategyName] | None = None


class TradingSignal(Document, kw_only=True):
    """What a subscriber is told to trade (S1)."""

    strategy: StrategyName
    position_id: str
    time: datetime
    symbol: str
    type: str
    side: str
    open_price: float | None = None
    stop_loss: float | None = None
    take_profit: float | None = None
    signal_volume: float
    subscriber_volume: float
    subscriber_profit: float
    close_after: datetime
    close_only: bool | None = None


# ---------------------------------------------------------------------------------------------- stopouts and the log


class StopoutDocument(Document, kw_only=True):
    """A risk limit that fired (3.13). Without `strategy` it stops the whole subscriber."""

    strategy: StrategyName | None = None
    partial: bool = False
    reason: str
    reason_description: str = ""
    close_positions: bool | None = None
    stopped_at: datetime
    stopped_till: datetime
    subscriber_id: str | None = None
    sequence_number: int | None = None


class LogDocument(Document, kw_only=True):
    """One line of a trading log (6.3). Our backend adds `subscriber_id`."""

    time: datetime
    level: str
    message: str
    symbol: str | None = None
    strategy_id: str | None = None
    strategy_name: str | None = None
    position_id: str | None = None
    side: str | None = None
    type: str | None = None
    open_price: float | None = None
    subscriber_id: str | None = None


RawDocument = dict[str, Any]
