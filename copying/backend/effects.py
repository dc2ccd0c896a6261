"""What an applied entry leaves to be told: compact columns that the projector turns into records later.

Nothing here is rendered while a command is being carried out; a signal to 10,000 subscribers is a handful of arrays.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from copying.engine.model import Decisions

from .state import Signal

SEVERITIES = ("DEBUG", "INFO", "WARN", "ERROR")


@dataclass(slots=True)
class Deals:
    """Copied deals of one kind, as columns; money in each account's currency, owed commissions positive.

    kind: "open", "close" or "commission" (the suffix of the transaction id). cause: why, in words.
    provider_price: what the provider's side of it was done at; nan when there is none.
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


@dataclass(slots=True)
class Decided:
    """The decisions of one signal (as it was then) on some routes. `rows`: the routes told, the rest was not asked."""

    time: float
    signal: Signal
    decisions: Decisions
    rows: np.ndarray
    subscription: np.ndarray  # by route
    leaf: int
    late: bool  # a delayed, resynchronised or otherwise repeated decision


@dataclass(slots=True)
class SignalEvent:
    """What happened to a signal: recorded for simulations, published to messengers. The values are of that moment.

    what: "open", "change", "fill", "part" or "close". volume: lots left. facts: of an open, what it was decided with.
    """

    time: float
    tenant: str
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
    facts: Any = None


@dataclass(slots=True)
class Line:
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

    answer: what the caller is told. refused: the entry turned out to change nothing. latency_ms: measured by the core
    (signal side, copier, trade side), None on replay.
    """

    sequence: int
    time: float
    told: list[Deals | Decided | SignalEvent | Line | StopoutEvent | AccountSnapshots] = field(default_factory=list)
    answer: Any = None
    refused: Exception | None = None
    latency_ms: tuple[float, float, float] | None = None
    modelled_latency: bool = False
