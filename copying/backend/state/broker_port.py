"""The port to a broker, as the core uses it: everything in bulk, by columns.

An order is accepted or refused at once; what a live broker would tell later comes back as a Trade command of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np

from .effects import Effects
from .entities import OpenSignal

BookT = TypeVar("BookT", contravariant=True)


@dataclass(slots=True)
class Orders:
    """Market or pending orders to place, as columns of one length (scalars are repeated).

    price: of pending orders; provider_price: to measure slippage against, nan for none. expires: UTC seconds.
    """

    account: np.ndarray
    symbol: np.ndarray
    side: np.ndarray
    volume: np.ndarray
    kind: np.ndarray | int = 0
    price: np.ndarray | float = np.nan
    stop_loss: np.ndarray | float = np.nan
    take_profit: np.ndarray | float = np.nan
    magic: int = 0
    subscription: np.ndarray | int = -1
    part: np.ndarray | int = -1
    signal: int = -1
    leaf: np.ndarray | int = -1
    flags: np.ndarray | int = 0
    expires: np.ndarray | float = np.inf
    provider_price: np.ndarray | float = np.nan
    cause: str = ""
    signal_id: str = field(default="")
    is_pending: bool = False


class Broker(Protocol[BookT]):
    """What executes. Changes the book and tells the effects.

    BookT: `state.book.Book`, which has its broker and is therefore not imported here.
    """

    def open(self, book: BookT, effects: Effects, orders: Orders) -> np.ndarray:
        """(n,) position tickets of market orders, 0 where the margin does not suffice or there is no price."""

    def place(self, book: BookT, effects: Effects, orders: Orders) -> np.ndarray:
        """(n,) order tickets of pending orders."""

    def close(
        self,
        book: BookT,
        effects: Effects,
        rows: np.ndarray,
        cause: str,
        volumes: np.ndarray | None = None,
        *,
        by_broker: bool = False,
        copy_of: OpenSignal | None = None,
    ) -> None:
        """Close positions by row, wholly or by `volumes` lots.

        by_broker: the broker does it by itself. Else what an account without connection cannot be told is kept in
        book.missed. copy_of: the provider closed (a part) as well, so it is measured how well that is copied.
        """

    def cancel(self, book: BookT, rows: np.ndarray, *, by_broker: bool = False) -> None:
        """Withdraw pending orders by row; by_broker as above."""
