"""What a quote triggers, worked out one order and one position at a time: an oracle for `copying.backend.core.ticks`.

Prices are whole points, so that "exactly at" is a comparison of integers. A limit waits for a better price than now, a
stop for a worse one; what is bought opens at the ask and closes at the bid, what is sold the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Position:
    """side: 1 bought, -1 sold. stop_loss, take_profit: points, None for none."""

    ticket: int
    side: int
    stop_loss: int | None
    take_profit: int | None


@dataclass(frozen=True)
class Order:
    """kind: LIMIT or STOP."""

    ticket: int
    side: int
    kind: str
    price: int


@dataclass
class Triggered:
    """Tickets."""

    filled: set[int] = field(default_factory=set)
    stopped: set[int] = field(default_factory=set)
    taken: set[int] = field(default_factory=set)


def triggered(positions: list[Position], orders: list[Order], *, bid: int, ask: int) -> Triggered:
    """Everything that one quote reaches; a position at both of its levels counts as stopped."""
    outcome = Triggered()
    for order in orders:
        if is_reached(order, bid, ask):
            outcome.filled.add(order.ticket)
    for position in positions:
        if is_stopped(position, bid, ask):
            outcome.stopped.add(position.ticket)
        elif is_taken(position, bid, ask):
            outcome.taken.add(position.ticket)
    return outcome


def is_reached(order: Order, bid: int, ask: int) -> bool:
    if order.side == 1:
        return ask <= order.price if order.kind == "LIMIT" else ask >= order.price
    return bid >= order.price if order.kind == "LIMIT" else bid <= order.price


def is_stopped(position: Position, bid: int, ask: int) -> bool:
    if position.stop_loss is None:
        return False
    return bid <= position.stop_loss if position.side == 1 else ask >= position.stop_loss


def is_taken(position: Position, bid: int, ask: int) -> bool:
    if position.take_profit is None:
        return False
    return bid >= position.take_profit if position.side == 1 else ask <= position.take_profit
