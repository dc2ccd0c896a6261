"""What an applied entry leaves to be told: compact columns that the projector turns into records later.

Nothing here is rendered while a command is being carried out; a signal to 10,000 subscribers is a handful of arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import numpy as np

from copying.engine.model import Decisions

from .entities import OpenSignal

SEVERITIES = ("DEBUG", "INFO", "WARN", "ERROR")


@dataclass(slots=True)
class Watch:
    """Where the time of a command goes, on a monotonic clock, in seconds: from its receipt to each fill.

    Signal side: until its entry is durable. Copier: until the broker is handed the orders, deliberate waits included.
    Trade side: until they are filled. In a chain every hop starts at the fill that it follows.
    """

    clock: Callable[[], float]
    received: float
    begun: float  # when the entry was durable
    handed: float = 0.0
    filled: float = 0.0
    waited: float = 0.0  # signalDelay and retries, by the times of the entries

    def hand_over(self) -> None:
        """The broker is given orders."""
        self.handed = self.clock()

    def fill(self) -> tuple[float, float, float]:
        """The orders are filled: (signal side, copier, trade side) in ms."""
        self.filled = self.clock()
        copier = self.handed - self.begun + self.waited
        return (self.begun - self.received) * 1e3, copier * 1e3, (self.filled - self.handed) * 1e3

    def next_hop(self) -> None:
        """What was filled last is a signal itself."""
        self.received, self.begun, self.waited = self.filled, self.clock(), 0.0


class DealRow(NamedTuple):
    """One deal of `effects.Deals`, column by column."""

    number: int
    subscription: int
    leaf: int
    signal: int
    position: int
    symbol: int
    side: int
    volume: float
    price: float
    lot_value: float
    profit: float
    swap: float
    commission: float
    improvement: float
    provider_commission: float
    platform_commission: float
    incoming_provider: float
    incoming_platform: float
    slippage: float
    slippage_money: float


@dataclass(slots=True)
class Deals:
    """Copied deals of one kind, as columns; money in each account's currency, owed commissions positive.

    kind: "open", "close" or "commission" (the suffix of the transaction id). cause: why, in words.
    provider_price: what the provider's side of it was done at; nan when there is none. slippage: nan where it cannot be
    compared. latency_ms: of copies of what the provider did (Watch.fill); None: not one, or not measured (replay).
    """

    kind: str
    cause: str
    time: float
    number: np.ndarray
    account: np.ndarray
    subscription: np.ndarray
    leaf: np.ndarray
    signal: np.ndarray  # Signal.row
    signal_ids: dict[int, str]
    position: np.ndarray
    symbol: np.ndarray
    side: np.ndarray
    volume: np.ndarray
    price: np.ndarray
    lot_value: np.ndarray
    profit: np.ndarray
    swap: np.ndarray
    commission: np.ndarray
    improvement: np.ndarray
    provider_commission: np.ndarray
    platform_commission: np.ndarray
    incoming_provider: np.ndarray
    incoming_platform: np.ndarray
    slippage: np.ndarray  # in price, negative = worse for the subscriber
    slippage_money: np.ndarray
    latency_ms: tuple[float, float, float] | None = None
    part: np.ndarray | None = None  # rows of the book's parts, -1 for none; None: of no copy


@dataclass(slots=True)
class AccountDeals:
    """Deals that are no copies, as columns (account_deals.py); money in each account's currency.

    kind: "DEAL_TYPE_BALANCE" and the like, "" for trades. entry: "IN" or "OUT" of trades. cause: why, in words.
    """

    kind: str
    entry: str
    cause: str
    time: float
    number: np.ndarray
    account: np.ndarray
    position: np.ndarray
    symbol: np.ndarray
    side: np.ndarray
    volume: np.ndarray
    price: np.ndarray
    profit: np.ndarray
    swap: np.ndarray
    commission: np.ndarray
    magic: np.ndarray


@dataclass(slots=True)
class Decided:
    """The decisions of one signal (as it was then) on some routes. `rows`: the routes told, the rest was not asked."""

    time: float
    signal: OpenSignal
    decisions: Decisions
    rows: np.ndarray
    subscription: np.ndarray  # by route
    leaf: int
    late: bool  # a delayed, resynchronised or otherwise repeated decision


@dataclass(slots=True)
class Withheld:
    """A subscription (row) leads to a strategy that is not offered to its owner (any more)."""

    time: float
    subscription: int


class SignalValues(msgspec.Struct, rename="camel"):
    """What happened to a signal, and its values of that moment: what is recorded for simulations.

    what: "open", "change", "fill", "part" or "close". volume: lots left.
    """

    time: float
    what: str
    row: int
    signal_id: str
    strategy_id: str
    symbol: str
    side: int
    kind: int
    volume: float
    price: float
    stop_loss: float | None
    take_profit: float | None
    magic: int
    quotes: dict[str, tuple[float, float]]


class SignalEvent(SignalValues):
    """As it is told, also to messengers. facts: of an open, what it was decided with (recording.Noted)."""

    tenant: str
    facts: Any = None


@dataclass(slots=True)
class LogLine:
    """One log line. `tenant` owns the log it stands in."""

    time: float
    tenant: str
    severity: int
    message: str
    strategy_id: str = ""
    subscriber_id: str = ""
    position_id: str = ""
    symbol: str = ""
    side: str = ""
    type: str = ""
    open_price: float | None = None


@dataclass(slots=True)
class StopoutEvent:
    """A stopout as it is served (contract, 3.13)."""

    time: float
    tenant: str
    number: int
    strategy_id: str
    subscriber_id: str
    document: dict[str, Any]


@dataclass(slots=True)
class AccountSnapshots:
    """Balance, equity and net deposits since the opening of accounts at one moment; `number` counts per tenant."""

    time: float
    account: np.ndarray
    number: np.ndarray
    balance: np.ndarray
    equity: np.ndarray
    deposits: np.ndarray


@dataclass(slots=True)
class Effects:
    """All that one entry caused, in the order it happened.

    answer: what the caller is told. refused: the entry turned out to change nothing. watch: None on replay. secret: of
    the ids that its records get (numbers.py).
    """

    sequence: int
    time: float
    events: list[
        Deals | AccountDeals | Decided | Withheld | SignalEvent | LogLine | StopoutEvent | AccountSnapshots
    ] = field(default_factory=list)
    answer: Any = None
    refused: Exception | None = None
    watch: Watch | None = None
    modelled_latency: bool = False
    secret: bytes = b""
