"""Signals whose delay is over, and failed copies whose next try is due: they are decided again for their routes."""

from __future__ import annotations

import numpy as np

from copying.backend.state.book import Book
from copying.backend.state.effects import Effects

from .fan_out import Try, ask_again, route_codes
from .plans import plan_for


def ready_delays(book: Book, now: float) -> np.ndarray:
    """(n_delayed,) True where a wait is over."""
    delayed = book.delayed
    if not delayed.size:
        return np.empty(0, dtype=bool)
    return (delayed.due <= now) & book.taking_part(book.subscriptions.account[delayed.subscription])


def apply_delayed(book: Book, effects: Effects) -> None:
    """Signals whose delay is over are decided again for the routes that waited, and failed ones tried again."""
    delayed = book.delayed
    ready = ready_delays(book, book.time)
    if not ready.any():
        return
    taken = delayed.take(np.flatnonzero(ready))
    delayed.keep(~ready)
    for row in np.unique(taken["signal"]).tolist():
        signal = book.signals.get(row)
        if signal is None:
            continue
        plan = plan_for(book, signal.strategy_id)
        mine = taken["signal"] == row
        codes = route_codes(taken["subscription"][mine], taken["part"][mine])
        known = map(Try, taken["deadline"][mine].tolist(), taken["reason"][mine].tolist())
        tries = dict(zip(codes.tolist(), known, strict=True))
        waiting = np.isin(route_codes(plan.subscription, plan.part), codes)
        if effects.watch is not None:
            effects.watch.waited = book.time - signal.time
        ask_again(book, effects, signal, waiting, tries=tries)
    if effects.watch is not None:
        effects.watch.waited = 0.0
