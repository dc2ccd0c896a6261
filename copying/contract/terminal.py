"""What an account's terminal tells: account information, positions, orders, deals, symbols, prices (account APIs, 3).

Figures of money are Decimal, in the currency of the account. Ids are texts, whatever the wire has; times are UTC, and
`broker_time` is the broker's own clock as it writes it.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from .history import HistoryRecord
from .settings import Document

HEDGING = "ACCOUNT_MARGIN_MODE_RETAIL_HEDGING"
DEMO, CONTEST, REAL = "ACCOUNT_TRADE_MODE_DEMO", "ACCOUNT_TRADE_MODE_CONTEST", "ACCOUNT_TRADE_MODE_REAL"
BALANCE_TYPES = ("DEAL_TYPE_BALANCE", "DEAL_TYPE_CREDIT")
TRADE_SUCCESSES = {
    0: "ERR_NO_ERROR",
    10008: "TRADE_RETCODE_PLACED",
    10009: "TRADE_RETCODE_DONE",
    10010: "TRADE_RETCODE_DONE_PARTIAL",
    10025: "TRADE_RETCODE_NO_CHANGES",
}


class TerminalInformation(HistoryRecord, kw_only=True):
    """A1 (3.2). margin_level: percent, absent without margin. currency: the deposit currency of the account."""

    platform: str = ""
    broker: str = ""
    currency: str
    server: str = ""
    balance: Decimal
    equity: Decimal
    margin: Decimal = Decimal(0)
    free_margin: Decimal = Decimal(0)
    leverage: Decimal | None = None
    margin_level: Decimal | None = None
    trade_allowed: bool = True
    investor_mode: bool | None = None
    margin_mode: str | None = None
    name: str = ""
    login: int | None = None
    credit: Decimal = Decimal(0)
    type: str | None = None
    account_currency_exchange_rate: Decimal | None = None
    currency_digits: int | None = None


class TerminalPosition(HistoryRecord, kw_only=True):
    """A2, A3 (3.3). What is open now is unrealized_profit + unrealized_swap + unrealized_commission.

    strategy_id, source_strategy_id, source_position_id: of a copy, as our backend tells of it; the vendor does not.
    """

    id: str | int
    type: str
    symbol: str
    magic: int = 0
    time: datetime
    broker_time: str = ""
    update_time: datetime | None = None
    open_price: Decimal
    current_price: Decimal | None = None
    current_tick_value: Decimal | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    volume: Decimal
    swap: Decimal = Decimal(0)
    commission: Decimal = Decimal(0)
    profit: Decimal = Decimal(0)
    unrealized_profit: Decimal | None = None
    realized_profit: Decimal | None = None
    unrealized_swap: Decimal | None = None
    realized_swap: Decimal | None = None
    unrealized_commission: Decimal | None = None
    realized_commission: Decimal | None = None
    comment: str | None = None
    client_id: str | None = None
    reason: str = ""
    strategy_id: str | None = None
    source_strategy_id: str | None = None
    source_position_id: str | None = None

    @property
    def is_bought(self) -> bool:
        return self.type == "POSITION_TYPE_BUY"

    @property
    def floating(self) -> Decimal | None:
        """What closing it would bring now, in account currency; None: the terminal does not say."""
        if self.unrealized_profit is None:
            return None
        return self.unrealized_profit + (self.unrealized_swap or 0) + (self.unrealized_commission or 0)


class TerminalOrder(HistoryRecord, kw_only=True):
    """A4, A5 (3.4). done_time: of completed ones only."""

    id: str | int
    type: str
    state: str = ""
    magic: int = 0
    time: datetime
    broker_time: str = ""
    done_time: datetime | None = None
    done_broker_time: str | None = None
    symbol: str = ""
    open_price: Decimal | None = None
    stop_limit_price: Decimal | None = None
    current_price: Decimal | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    volume: Decimal
    current_volume: Decimal = Decimal(0)
    position_id: str | int | None = None
    comment: str | None = None
    client_id: str | None = None
    platform: str = ""
    reason: str = ""


class TerminalDeal(HistoryRecord, kw_only=True):
    """A6 (3.5). The balance is the sum of profit, commission and swap over all deals but those of credit."""

    id: str | int
    type: str
    entry_type: str | None = None
    time: datetime
    broker_time: str = ""
    symbol: str | None = None
    magic: int | None = None
    volume: Decimal | None = None
    price: Decimal | None = None
    profit: Decimal = Decimal(0)
    commission: Decimal = Decimal(0)
    swap: Decimal = Decimal(0)
    position_id: str | int | None = None
    order_id: str | int | None = None
    comment: str | None = None
    client_id: str | None = None
    platform: str = ""
    reason: str | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None


class SymbolSpecification(Document, kw_only=True):
    """A8 (3.6): what is needed for sizing. There is no tick value in it: it comes with the price."""

    symbol: str
    description: str = ""
    path: str | None = None
    contract_size: float
    tick_size: float
    point: float | None = None
    digits: int
    min_volume: float
    max_volume: float
    volume_step: float
    stops_level: int = 0
    freeze_level: int = 0
    margin_currency: str | None = None
    base_currency: str | None = None
    profit_currency: str | None = None
    trade_mode: str | None = None


class SymbolPrice(Document, kw_only=True):
    """A9 (3.7). Tick values: of one tick of one lot in account currency, of a winning and of a losing position."""

    symbol: str
    bid: float
    ask: float
    time: datetime
    broker_time: str = ""
    profit_tick_value: float | None = None
    loss_tick_value: float | None = None
    account_currency_exchange_rate: float | None = None
    equity: float | None = None


class ServerTime(Document, kw_only=True):
    """A13: the broker's clock is ahead of UTC by broker_time less time."""

    time: datetime
    broker_time: str
    last_quote_time: datetime | None = None
    last_quote_broker_time: str | None = None


class CreditLimit(Document, kw_only=True):
    """Credits of one period: "1s", "10s", "1m", "1h", "6h"."""

    period: str
    total: float
    available: float


class CreditUsage(Document, kw_only=True):
    """A14: what may be asked now, by scope."""

    per_user: list[CreditLimit] = []
    per_account: list[CreditLimit] = []
    per_server: list[CreditLimit] = []


class MarginRequest(Document, kw_only=True):
    """A12: an order whose margin is asked for."""

    symbol: str
    type: str
    volume: float
    open_price: float


class CalculatedMargin(Document, kw_only=True):
    """What A12 answers; None: the terminal cannot say."""

    margin: float | None = None
