"""What goes into a decision and what comes out: the seam between the engine and whoever executes.

Volumes are lots, prices are quotes of the symbol, money is in the currency that a name says, times are UTC seconds
since the epoch. Arrays are indexed by route unless they say otherwise; a route is one path
strategy -> (member -> portfolio)* -> subscription -> subscriber.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

import numpy as np


class Side(IntEnum):
    """Direction of a trade; the value is the sign of its volume."""

    BUY = 1
    SELL = -1


class OrderKind(IntEnum):
    """How a trade is entered."""

    MARKET = 0
    LIMIT = 1
    STOP = 2


class Outcome(IntEnum):
    """What became of a signal on one route."""

    COPIED = 0
    RESIZED = 1
    DELAYED = 2
    SKIPPED = 3
    FAILED = 4


class Level(IntEnum):
    """Where on the chain a decision was made."""

    NONE = 0
    STRATEGY = 1
    MEMBER = 2
    PORTFOLIO = 3
    SUBSCRIPTION = 4
    SUBSCRIBER = 5
    BROKER = 6


@dataclass(slots=True, frozen=True)
class Signal:
    """A provider's wish to open: a position (MARKET) or a pending order.

    price: the provider's open price (market: what it was filled at) or the order price.
    """

    id: str
    strategy_id: str
    symbol: str
    side: Side
    kind: OrderKind
    volume_lots: float
    price: float
    time: float
    stop_loss: float | None = None
    take_profit: float | None = None
    magic: int = 0


@dataclass(slots=True, frozen=True)
class Instrument:
    """Contract specification of a symbol as one broker offers it.

    tick_value: of one lot and one tick, in `profit_currency`.
    """

    symbol: str
    base_currency: str
    profit_currency: str
    contract_size: float
    digits: int
    tick_size: float
    tick_value: float
    min_volume: float
    max_volume: float
    volume_step: float


class Market(Protocol):
    """What the engine asks about the world outside the accounts. All answers are of the same moment."""

    def instrument(self, symbol: str) -> Instrument | None:
        """The specification, or None for an unknown symbol."""

    def quote(self, symbol: str) -> tuple[float, float] | None:
        """Bid and ask, or None when there is no price."""

    def rate(self, currency: str, target: str) -> float | None:
        """What one unit of `currency` is worth in `target`, or None when unknown."""

    def rates(self, currencies: Sequence[str], target: str) -> list[float]:
        """`rate` of many at once, nan when unknown."""


@dataclass(slots=True)
class Accounts:
    """Every trading account as columns, indexed by account row. Money in the account's own currency."""

    ids: list[str]
    currency: np.ndarray  # (n,) int32 index into `currencies`
    currencies: list[str]
    balance: np.ndarray  # (n,) float64
    equity: np.ndarray
    margin: np.ndarray  # used
    leverage: np.ndarray
    position_value: np.ndarray  # sum of absolute values of open positions

    def __post_init__(self) -> None:
        """Columns of another type or with gaps are copied: the rules' machine code reads them as they stand here."""
        self.currency = np.ascontiguousarray(self.currency, np.int32)
        for name in ("balance", "equity", "margin", "leverage", "position_value"):
            setattr(self, name, np.ascontiguousarray(getattr(self, name), float))


@dataclass(slots=True, frozen=True)
class NewsEvent:
    """One entry of the economic calendar. Concerns symbols that contain `currency`."""

    time: float
    currency: str
    priority: str  # election, high, medium, low
    is_breaking: bool = False


@dataclass(slots=True)
class Facts:
    """The state of the world at the moment of a decision, beyond the route table.

    stopped: (n_routes,) bool, a stopout refuses new trades; stopped_level: (n_routes,) Level.
    has_position: (n_routes,) bool per subscriber symbol asked through `open_symbols`.
    """

    now: float
    market: Market
    accounts: Accounts
    provider_account: int | None  # row in accounts; None: external signals without an account
    provider_balance_base: float  # in the copier's base currency (USD unless configured)
    provider_equity_base: float
    base_currency: str = "USD"
    stopped: np.ndarray | None = None
    stopped_level: np.ndarray | None = None
    open_symbols: dict[str, np.ndarray] = field(default_factory=dict)  # symbol -> (n_routes,) bool: open on the route
    strategy_exposure: dict[str, np.ndarray] = field(default_factory=dict)  # asset -> (n_routes,) signed lots
    account_exposure: dict[str, np.ndarray] = field(default_factory=dict)  # asset -> (n_accounts,) signed lots
    news: tuple[NewsEvent, ...] = ()
    provider_equity: float = 0.0  # provider account currency, for the strategy's own filters
    provider_balance: float = 0.0
    checks_levels: bool = True  # False: journalled before prices on the wrong side were refused
    provider_balance_average: float | None = None  # moving average for equityCurveFilter; None: too little history


class Step(IntEnum):
    """Columns of `Decisions.steps`."""

    PROVIDER = 0
    SCALED = 1  # by the mode
    MULTIPLIED = 2
    LIMITED = 3
    ROUNDED = 4
    FINAL = 5


@dataclass(slots=True)
class Decisions:
    """One verdict per route. `steps` is the chain of volumes in lots, in the order of `Step`.

    steps: (n_routes, len(Step)) float64, lots.
    limit_value: (n_routes,) the number of the rule that changed or stopped it (nan: none), unit given by the reason.
    symbol: (n_routes,) index into `symbols` (subscriber-side names), -1 where the symbol was filtered away.
    """

    outcome: np.ndarray  # (n,) uint8 Outcome
    reason: np.ndarray  # (n,) uint8 Reason
    level: np.ndarray  # (n,) uint8 Level
    steps: np.ndarray
    limit_value: np.ndarray
    symbols: list[str]
    symbol: np.ndarray
    side: np.ndarray  # (n,) int8
    kind: np.ndarray  # (n,) uint8 OrderKind
    stop_loss: np.ndarray  # (n,) nan: none
    take_profit: np.ndarray
    delay_s: np.ndarray
    notes: np.ndarray  # (n,) uint8, bits of reasons.Note

    @property
    def volume_lots(self) -> np.ndarray:
        """What is to be traded; 0 where nothing is."""
        return self.steps[:, Step.FINAL]

    @property
    def opens(self) -> np.ndarray:
        """(n,) bool: routes on which an order is to be placed now or after the delay."""
        return self.outcome <= Outcome.DELAYED

    def refuse(self, rows: np.ndarray, outcome: Outcome, reason: int, level: Level) -> None:
        """Nothing is traded on some routes after all, for a reason beyond the rules."""
        self.outcome[rows] = outcome
        self.reason[rows] = reason
        self.level[rows] = level
        self.steps[rows, Step.FINAL] = 0.0
