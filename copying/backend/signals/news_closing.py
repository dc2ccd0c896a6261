"""Which copies are closed because of news: only where a filter names closePositionTimeGapInMinutes (contract, section
8, 31), before an event of the calendar and after a breaking one.
"""

from __future__ import annotations

import numpy as np

from copying.backend.broker.deferred import ending_copies
from copying.backend.settings.news import events_near
from copying.backend.state.book import Book
from copying.backend.state.entities import NEVER
from copying.engine.filters import news_closes
from copying.engine.model import Level, NewsEvent

from .plans import plan_for

KEPT_CLOSES = 2  # entries of these rules and later ask what is kept, not when it ends (commands.NEWEST_RULES)


def closing_positions(book: Book, now: float) -> np.ndarray:
    """Rows of copied positions that a newsFilter wants closed at `now`."""
    closing = [np.empty(0, dtype=np.intp)]
    positions = book.positions
    if not book.news or not positions.size:
        return closing[0]
    for leaf in np.unique(positions.leaf[positions.subscription >= 0]).tolist():
        strategy = book.strategies_by_id.get(book.strategy_names.texts[leaf])
        events = events_near(book, strategy.tenant, now) if strategy else ()
        if events:
            closing.append(_closing_of(book, leaf, events, now))
    return np.concatenate(closing)


def _closing_of(book: Book, leaf: int, events: tuple[NewsEvent, ...], now: float) -> np.ndarray:
    """Rows of one leaf strategy's copies, each judged by the filters of its own route."""
    plan = plan_for(book, book.strategy_names.texts[leaf])
    chains = plan.table.news_chains
    closing = [any(b"closePositionTimeGapInMinutes" in raw for _, raw in chain) for chain in chains]
    if not any(closing):
        return np.empty(0, dtype=np.intp)
    of_subscription, of_part = np.full(book.subscriptions.size + 1, -1), np.full(book.parts.size + 2, -1)
    of_subscription[plan.subscription[::-1]] = plan.table.columns["news_chain"][::-1]
    of_part[plan.part] = plan.table.columns["news_chain"]
    positions = book.positions
    if book.rules >= KEPT_CLOSES:
        awaits_close = ending_copies(book)
    else:
        awaits_close = ~book.accounts.connected[positions.account] & (positions.expires == NEVER)
    rows = np.flatnonzero((positions.leaf == leaf) & (positions.subscription >= 0) & ~awaits_close)
    part, symbol = positions.part[rows], positions.symbol[rows]
    chain = np.where(part >= 0, of_part[part], of_subscription[positions.subscription[rows]])
    mask = np.zeros(len(rows), dtype=bool)
    for place, number in set(zip(chain.tolist(), symbol.tolist(), strict=True)):
        if place >= 0 and closing[place]:
            text = book.symbols.texts[number]
            if news_closes(chains[place], text, events, now) != Level.NONE:
                mask |= (chain == place) & (symbol == number)
    return rows[mask]
