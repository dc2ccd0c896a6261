"""What our backend serves beyond the contract: accounts, snapshots, decisions and trades by hand (docs/copying.md).

A backend that answers 404 to these calls does not offer them; nothing in the contract depends on them.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Literal

from .history import HistoryRecord
from .settings import Document
from .terminal import TerminalPosition

ActionType = Literal[
    "ORDER_TYPE_BUY",
    "ORDER_TYPE_SELL",
    "ORDER_TYPE_BUY_LIMIT",
    "ORDER_TYPE_SELL_LIMIT",
    "ORDER_TYPE_BUY_STOP",
    "ORDER_TYPE_SELL_STOP",
    "POSITION_MODIFY",
    "POSITION_PARTIAL",
    "POSITION_CLOSE_ID",
    "POSITIONS_CLOSE_SYMBOL",
    "ORDER_MODIFY",
    "ORDER_CANCEL",
]


MOST_LEVERAGE = Decimal("99999999")


def plausible_leverage(leverage: Decimal | None) -> Decimal | None:
    """What an account can have; anything else is not known, and no reason to refuse what is said of other accounts."""
    return leverage if leverage is not None and 0 <= leverage <= MOST_LEVERAGE else None


class AccountInformation(HistoryRecord, kw_only=True):
    """The state of one trading account, in its own currency."""

    account_id: str
    name: str = ""
    currency: str = ""
    balance: Decimal
    equity: Decimal
    margin: Decimal = Decimal(0)
    free_margin: Decimal | None = None
    leverage: Decimal | None = None
    positions: int = 0
    demo: bool = False
    simulated: bool | None = None
    time: datetime | None = None


class AccountSnapshot(HistoryRecord, kw_only=True):
    """Balance and equity of one account at one moment, in its own currency.

    net_deposits: money paid in less money paid out since the account was opened; None: the backend does not say.
    """

    sequence_number: int
    account_id: str
    time: datetime
    balance: Decimal
    equity: Decimal
    net_deposits: Decimal | None = None


class MeasuredLimit(HistoryRecord, kw_only=True):
    """How far one risk limit is used up. Amounts in account currency; max_relative_risk is a fraction of start_balance.

    strategy_id: the subscription whose result is watched; None: the whole account. source_strategy_id: only what
    came through this member of the portfolio. drawdown: negative for a gain.
    """

    strategy_id: str | None = None
    source_strategy_id: str | None = None
    level: str = ""
    type: str
    apply_to: str
    close_positions: bool = False
    max_absolute_risk: Decimal | None = None
    max_relative_risk: Decimal | None = None
    start_balance: Decimal = Decimal(0)
    drawdown: Decimal
    start_time: datetime | None = None
    end_time: datetime | None = None
    stopped: bool = False


class AccountLimits(HistoryRecord, kw_only=True):
    """Every risk limit of one account and of its subscriptions at one moment."""

    account_id: str
    currency: str = ""
    time: datetime | None = None
    limits: list[MeasuredLimit] = []


class DecisionVolumes(Document, kw_only=True):
    """The chain of volumes, in lots."""

    provider: float | None = None
    scaled: float | None = None
    multiplied: float | None = None
    limited: float | None = None
    rounded: float | None = None
    final: float | None = None


class DecisionDocument(Document, kw_only=True):
    """What became of a signal at one subscriber, and why. `limit_value` is the number of the deciding rule."""

    id: str | int
    time: datetime
    signal_id: str = ""
    strategy_id: str = ""
    subscriber_id: str = ""
    source_strategy_id: str | None = None
    symbol: str = ""
    subscriber_symbol: str | None = None
    side: str | None = None
    outcome: str
    reason: str = ""
    reason_text: str = ""
    level: str | None = None
    volumes: DecisionVolumes | None = None
    limit_value: float | None = None
    text: str = ""


class DecisionPage(Document, kw_only=True):
    """Decisions, newest first; `next` is the cursor of the following page, None at the end."""

    items: list[DecisionDocument]
    next: str | int | None = None


class TradeRequest(Document, kw_only=True):
    """A trade by hand. volume in lots; which fields an action needs is told by validation."""

    action_type: ActionType
    symbol: str | None = None
    volume: float | None = None
    open_price: float | None = None
    stop_loss: float | None = None
    take_profit: float | None = None
    position_id: str | None = None
    order_id: str | None = None
    magic: int | None = None


class TradeResult(Document, kw_only=True):
    """What the account answered: numeric_code 10009 is done."""

    numeric_code: int
    string_code: str
    message: str = ""
    order_id: str | None = None
    position_id: str | None = None


class AccountUpdate(Document, kw_only=True):
    """A paper account as it is opened or changed."""

    name: str
    currency: str | None = None
    leverage: float | None = None
    deposit: float | None = None
    demo: bool | None = None
    margin_mode: str | None = None


class DepositRequest(Document, kw_only=True):
    """Money in (positive) or out (negative), in account currency."""

    amount: float
    comment: str | None = None


class AccountPosition(TerminalPosition, kw_only=True):
    """An open position among those of all accounts."""

    account_id: str


class OpenSignalRecord(HistoryRecord, kw_only=True):
    """An open signal of a strategy, as its provider trades it. volume in lots; type: market, limit or stop.

    number: what a page of them is continued after. external: it was given to the strategy, no account has it.
    """

    number: int
    id: str
    strategy_id: str
    symbol: str
    side: str
    type: str = "market"
    volume: Decimal
    open_price: Decimal | None = None
    time: datetime
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    external: bool = False
