"""The copy settings that strategies, portfolios, their members, subscriptions and subscribers share (contract, 3.1).

Each is defined once. A field that is None is absent on the wire: "not set at this level", never "set to nothing".
What the settings do to a signal is the engine's business.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, get_args

from msgspec import Struct, field

Side = Literal["buy", "sell"]
CloseOnly = Literal["by-position", "by-symbol", "immediately"]
RemovalMode = Literal["preserve", "close-gracefully-by-position", "close-gracefully-by-symbol", "close-immediately"]
Correlations = Literal["by-strategy", "by-account", "by-symbol"]
LimitType = Literal[
    "day",
    "date",
    "week",
    "week-to-date",
    "month",
    "month-to-date",
    "quarter",
    "quarter-to-date",
    "year",
    "year-to-date",
    "lifetime",
]
LimitBasis = Literal["balance-difference", "balance-minus-equity", "equity-difference"]
ScalingMode = Literal["none", "contractSize", "balance", "equity", "fixedVolume", "fixedRisk", "expression"]
CommissionType = Literal["flat-fee", "lots-traded", "lots-won", "amount-traded", "amount-won", "high-water-mark"]
BillingPeriod = Literal["week", "month", "quarter"]

STOPOUT_REASONS = tuple(f"{kind}-{basis}" for kind in get_args(LimitType) for basis in get_args(LimitBasis))


class Document(Struct, rename="camel", omit_defaults=True, kw_only=True):
    """Base of everything on the wire: camelCase names, absent fields omitted, unknown ones ignored when read."""


class SymbolMapping(Document, kw_only=True):
    """One exact rename of a symbol."""

    from_: str = field(name="from")
    to: str


class SymbolFilter(Document, kw_only=True):
    """Symbols that may or may not be copied; empty means no restriction (3.3)."""

    included: list[str] | None = None
    excluded: list[str] | None = None


class MagicFilter(Document, kw_only=True):
    """Expert ids, each "1000" or a range "1010-1019" (3.3)."""

    included: list[str] | None = None
    excluded: list[str] | None = None


class BreakingNewsFilter(Document, kw_only=True):
    """Gaps in minutes around breaking news (3.4)."""

    priorities: list[Literal["high", "medium", "low"]]
    close_position_time_gap_in_minutes: float | None = None
    open_position_following_time_gap_in_minutes: float | None = None


class CalendarNewsFilter(Document, kw_only=True):
    """Gaps in minutes around news of the economic calendar (3.4)."""

    priorities: list[Literal["election", "high", "medium", "low"]]
    close_position_time_gap_in_minutes: float | None = None
    open_position_preceding_time_gap_in_minutes: float | None = None
    open_position_following_time_gap_in_minutes: float | None = None


class NewsFilter(Document, kw_only=True):
    """When not to open, and when to close, because of news."""

    breaking_news_filter: BreakingNewsFilter | None = None
    calendar_news_filter: CalendarNewsFilter | None = None


class RiskLimit(Document, kw_only=True):
    """A drawdown in a period at which copying stops (3.5). Absolute in account currency, relative a fraction of 1."""

    type: LimitType
    apply_to: LimitBasis
    max_absolute_risk: float | None = None
    max_relative_risk: float | None = None
    close_positions: bool
    start_time: datetime | None = None

    @property
    def reason(self) -> str:
        """The name of the stopout it causes, one of the 33 of `STOPOUT_REASONS`."""
        return f"{self.type}-{self.apply_to}"


class MaxStopLoss(Document, kw_only=True):
    """The widest stop, in pips (3.6)."""

    value: float
    units: Literal["pips"]


class TradeSizeScaling(Document, kw_only=True):
    """How the volume follows the provider's (3.7). trade_volume in lots, risk_fraction of balance."""

    mode: ScalingMode
    trade_volume: float | None = None
    risk_fraction: float | None = None
    force_tiny_trades: bool | None = None
    max_risk_coefficient: float | None = None
    expression: str | None = None


class SignalDelay(Document, kw_only=True):
    """A fixed (equal bounds) or random delay of every signal (3.8)."""

    min_in_seconds: float
    max_in_seconds: float


class TimeSettings(Document, kw_only=True):
    """How long signals may open and positions may live (3.8). Defaults: 90 days, 1 minute."""

    lifetime_in_hours: float | None = None
    opening_interval_in_minutes: float | None = None
    expire_pending_order_signals: bool | None = None


class CommissionScheme(Document, kw_only=True):
    """What a provider charges (3.9)."""

    type: CommissionType
    billing_period: BillingPeriod
    commission_rate: float


class EquityCurveFilter(Document, kw_only=True):
    """Open only while equity is above its average over `period` times `timeframe`, such as 2h (3.10)."""

    period: float
    timeframe: str


class DrawdownFilter(Document, kw_only=True):
    """Open only below (exclude) or above (include) a drawdown of the provider (3.10). Three spellings are about."""

    action: Literal["include", "exclude"]
    max_drawdown: float | None = None
    max_relative_drawdown: float | None = None
    max_absolute_drawdown: float | None = None

    @property
    def relative(self) -> float | None:
        """The level as a fraction of 1, whichever way it was spelled."""
        return self.max_relative_drawdown if self.max_relative_drawdown is not None else self.max_drawdown


class TelegramPublishing(Document, kw_only=True):
    """Where and how signals are published (3.11)."""

    token: str | None = None
    chat_id: str | None = None
    template: str | None = None


class Telegram(Document, kw_only=True):
    """Messengers of a strategy."""

    publishing: TelegramPublishing | None = None


class AccountSettings(Document, kw_only=True):
    """The shared settings that a subscriber has too (U in 3.1)."""

    risk_limits: list[RiskLimit] | None = None
    max_leverage: float | None = None
    copy_stop_loss: bool | None = None
    copy_take_profit: bool | None = None
    allowed_sides: list[Side] | None = None
    min_trade_volume: float | None = None
    max_trade_volume: float | None = None
    signal_delay: SignalDelay | None = None


class CopySettings(AccountSettings, kw_only=True):
    """All shared settings: strategy, portfolio member, portfolio and subscription (S M P B in 3.1)."""

    skip_pending_orders: bool | None = None
    max_trade_risk: float | None = None
    reverse: bool | None = None
    reduce_correlations: Correlations | None = None
    symbol_filter: SymbolFilter | None = None
    news_filter: NewsFilter | None = None
    max_stop_loss: MaxStopLoss | None = None
    symbol_mapping: list[SymbolMapping] | None = None
    trade_size_scaling: TradeSizeScaling | None = None
