"""The things the book holds that are few enough to be objects, and the columns of those that are many.

Everything here is plain and serialisable. Times are UTC seconds since the epoch, money is in the account's currency.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

NEVER = math.inf
ACCOUNT_CURRENCIES = ("USD", "EUR", "GBP", "JPY")
FAR_FUTURE = 4_102_444_800.0  # 2100-01-01: `stoppedTill` of what never ends by itself

_TRADE = {
    "id": ("i8", 0),
    "account": ("i4", 0),
    "symbol": ("i4", 0),  # number in book.symbols
    "side": ("i1", 1),
    "kind": ("u1", 0),  # OrderKind; positions are MARKET
    "volume": ("f8", 0.0),
    "open_volume": ("f8", 0.0),
    "price": ("f8", 0.0),
    "stop_loss": ("f8", math.nan),
    "take_profit": ("f8", math.nan),
    "time": ("f8", 0.0),
    "magic": ("i8", 0),
    "subscription": ("i4", -1),  # row in subscriptions; -1: by hand, or a provider's own
    "signal": ("i8", -1),  # Signal.row that is copied
    "leaf": ("i4", -1),  # number in book.strategy_names of the strategy that gave the signal
    "part": ("i4", -1),  # row in parts of a copy that came through a portfolio
    "flags": ("u1", 0),  # what follows the provider: COPIES_STOP_LOSS, COPIES_TAKE_PROFIT
    "expires": ("f8", NEVER),
    "swap": ("f8", 0.0),
    "commission": ("f8", 0.0),
    "slippage": ("f8", 0.0),  # price difference to the provider's fill, negative = worse
}
COPIES_STOP_LOSS = 1
COPIES_TAKE_PROFIT = 2

POSITIONS = {**_TRADE, "profit": ("f8", 0.0), "margin": ("f8", 0.0), "value": ("f8", 0.0)}
ORDERS = _TRADE

ACCOUNTS = {
    "currency": ("i4", 0),
    "balance": ("f8", 0.0),
    "equity": ("f8", 0.0),
    "margin": ("f8", 0.0),
    "leverage": ("f8", 100.0),
    "connected": ("?", True),  # False: orders do not reach the broker (signals/reconnection.py)
    "position_value": ("f8", 0.0),
    "deposits": ("f8", 0.0),  # all balance operations
    "traded": ("f8", 0.0),  # all results of deals; balance = deposits + traded
    # at the start of the calendar periods of limit_periods.CALENDAR: balance by UTC, equity and balance by the broker
    **{f"{what}_{period}": ("f8", 0.0) for what in ("balance", "equity", "broker_balance") for period in range(5)},
}

SUBSCRIPTIONS = {
    "account": ("i4", 0),
    "strategy": ("i4", 0),  # number in book.strategy_names, as subscribed
    "active": ("?", True),
    "since": ("f8", 0.0),
    "realised": ("f8", 0.0),  # sum of net results of copied deals
    "floating": ("f8", 0.0),
    "mark": ("f8", 0.0),  # high-water mark of `realised`
    "scheme": ("u1", 0),  # commission.SCHEMES
    "period": ("u1", 0),  # commission.PERIODS
    "rate": ("f8", 0.0),
    "platform_rate": ("f8", 0.0),
    **{f"{what}_{period}": ("f8", 0.0) for what in ("balance", "equity") for period in range(5)},
}

PARTS = {
    "subscription": ("i4", 0),
    "path": ("i4", 0),  # number in book.paths
    "leaf": ("i4", 0),  # number in book.strategy_names
    "member": ("i4", -1),  # the same of the member of the subscribed portfolio that the way leads through
    "realised": ("f8", 0.0),
    "floating": ("f8", 0.0),
    "mark": ("f8", 0.0),  # high-water mark of `realised`, for what the portfolio's owner owes to the member
    **{f"{what}_{period}": ("f8", 0.0) for what in ("balance", "equity") for period in range(5)},
}

LIMITS = {
    "account": ("i4", 0),
    "subscription": ("i4", -1),  # -1: the whole account
    "scope": ("i4", -1),  # number in book.paths of the member it watches; -1: the whole subscription
    "level": ("u1", 0),
    "kind": ("u1", 0),  # limit_periods.KINDS
    "basis": ("u1", 0),  # limit_periods.BASES
    "absolute": ("f8", math.inf),
    "relative": ("f8", math.inf),
    "closes": ("?", False),
    "start": ("f8", 0.0),
    "given_start": ("f8", 0.0),  # startTime of the document, 0 when absent
    "period_end": ("f8", 0.0),
    "base": ("f8", 0.0),  # result (subscription) or balance/equity (account) at the start of the period
    "base_balance": ("f8", 0.0),  # account balance at the start of the period, for relative values
    "stopped": ("?", False),  # an active stopout of this limit
}

RESULTS = {
    "time": ("f8", 0.0),
    "account": ("i4", 0),
    "subscription": ("i4", -1),
    "part": ("i4", -1),
    "amount": ("f8", 0.0),  # what the deal did to the balance
}

DELAYED = {
    "due": ("f8", 0.0),
    "signal": ("i8", 0),
    "subscription": ("i4", 0),
    "part": ("i4", -1),  # row in parts, as of positions
    "leaf": ("i4", 0),
    "deadline": ("f8", NEVER),  # when the opening window ends
    "reason": ("u1", 0),  # of a retry: why it failed last (engine.reasons.Reason); 0: the wait of signalDelay
}


class Strategy(msgspec.Struct):
    """A strategy or portfolio with what only the backend sets."""

    id: str
    tenant: str
    is_portfolio: bool
    document: dict[str, Any]
    created_at: float
    removal_mode: str = ""
    remove_after: float = NEVER
    members_removed: dict[str, str] = {}  # member strategy id -> mode

    @property
    def name(self) -> str:
        return self.document.get("name", "")

    @property
    def takes_signals(self) -> bool:
        """Not while it is being removed, unless symbols that are open are still copied (contract, 2.1)."""
        return self.removal_mode in ("", "close-gracefully-by-symbol")


class Subscriber(msgspec.Struct):
    """An account that copies."""

    id: str
    tenant: str
    document: dict[str, Any]
    created_at: float
    removal_mode: str = ""
    remove_after: float = NEVER
    subscriptions_removed: dict[str, str] = {}  # strategy id -> mode

    @property
    def name(self) -> str:
        return self.document.get("name", "")


class Webhook(msgspec.Struct):
    id: str
    tenant: str
    strategy_id: str
    document: dict[str, Any]
    created_at: float


class Account(msgspec.Struct):
    """What an account is besides its numbers."""

    id: str
    tenant: str
    name: str
    demo: bool
    robot: str
    created_at: float


class Signal(msgspec.Struct):
    """An open wish of a provider. `ticket`: the provider's position or order, 0 for external signals.

    accounts: rows of the accounts on which its trade stands already, the provider's first. Of a signal that is itself
    a copy (signals/relays.py): source: Signal.row of what was copied, subscription: by which subscription, strategies:
    those it came through.
    """

    row: int
    id: str
    strategy_id: str
    symbol: str
    side: int
    kind: int
    volume: float
    open_volume: float
    price: float
    time: float
    stop_loss: float | None = None
    take_profit: float | None = None
    magic: int = 0
    ticket: int = 0
    update_time: float = 0.0
    age_s: float = 0.0  # how long it had been on its way when it was published
    document: dict[str, Any] = {}  # of an external signal, as it was put
    accounts: list[int] = []
    source: int = -1
    subscription: int = -1
    strategies: list[str] = []


class Missed(msgspec.Struct):
    """What an account without connection could not be told about a copy; carried out when it is back.

    what: "close" (volume_lots of the position), "levels" or "cancel".
    """

    account: int
    ticket: int
    what: str
    cause: str = ""
    volume_lots: float = 0.0
    price: float = 0.0
    stop_loss: float | None = None
    take_profit: float | None = None


class Kept(msgspec.Struct):
    """What a request with a key was answered (core/idempotency.py). answer: JSON."""

    time: float
    digest: bytes
    status: int
    answer: Any = None


class News(msgspec.Struct):
    """An event of a tenant's economic calendar."""

    time: float
    currency: str
    priority: str
    is_breaking: bool = False
    title: str = ""


class Stopout(msgspec.Struct):
    """A limit that fired and has not ended."""

    tenant: str
    number: int
    account: int
    subscription: int
    level: int
    reason: str
    description: str
    closes: bool
    stopped_at: float
    stopped_till: float
    scope: int = -1


class Removal(msgspec.Struct):
    """Something that is being wound down: dropped when its last copied position is gone, or at `remove_after`."""

    what: str  # as commands.Remove
    id: str
    part: str
    mode: str
    remove_after: float
