"""Rules about the provider and the calendar: what they refuse is the same for many routes at once.

The strategy's own filters (magic, equity curve, drawdown) refuse the signal as a whole; news filters are asked once per
distinct chain and symbol.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from math import inf, nan
from typing import NamedTuple

import msgspec
import numpy as np

from copying.engine.case import Case
from copying.engine.fold import Document
from copying.engine.model import Facts, Level, NewsEvent
from copying.engine.reasons import WORD, Reason, refusal


def outside_magic(case: Case) -> None:
    """Refuse all routes if the magic number is outside magicFilter.  source: contract, 3.3, 4.4"""
    document = case.table.strategy.get("magicFilter") or {}
    magic = case.signal.magic
    included, excluded = document.get("included") or (), document.get("excluded") or ()
    if (included and not matches_magic(magic, included)) or matches_magic(magic, excluded):
        case.refuse_all(Reason.MAGIC_FILTER, Level.STRATEGY, magic)


def matches_magic(magic: int, elements: Iterable[str]) -> bool:
    """Whether a magic number is one of the elements: numbers ("1000") or closed ranges ("1010-1019")."""
    return any(low <= magic <= high for low, high in map(magic_range, elements))


@lru_cache(maxsize=4096)
def magic_range(element: str) -> tuple[int, int]:
    """The bounds of an element of a magic filter; either bound may be negative. Raises ValueError."""
    text = str(element).strip()
    middle = text.find("-", 1)
    if middle < 0:
        return int(text), int(text)
    return int(text[:middle]), int(text[middle + 1 :])


def below_equity_curve(case: Case) -> None:
    """Refuse all routes unless the provider's equity is above the moving average of its balance.

    Without enough history for an average nothing is refused.  units: provider currency.  source: contract, 4.4
    """
    facts = case.facts
    average = facts.provider_balance_average
    if case.table.strategy.get("equityCurveFilter") and average is not None and not facts.provider_equity > average:
        case.refuse_all(Reason.EQUITY_CURVE_FILTER, Level.STRATEGY, average)


def outside_drawdown(case: Case) -> None:
    """Refuse all routes by the provider's drawdown = balance - equity, relative to the balance or absolute.

    `exclude`: open while every given level is above the drawdown; `include`: open while a given level is below it.
    `maxDrawdown` is `maxRelativeDrawdown` (section 8, 19).  units: fraction or provider currency.  source: contract,
    4.4
    """
    document = case.table.strategy.get("drawdownFilter")
    if document and case.facts.provider_balance > 0:
        refused, limit = drawdown_verdict(document, case.facts)
        if refused:
            case.refuse_all(Reason.DRAWDOWN_FILTER, Level.STRATEGY, limit)


def drawdown_verdict(document: Document, facts: Facts) -> tuple[bool, float]:
    """Whether the drawdown filter refuses, and the level that decided."""
    absolute = facts.provider_balance - facts.provider_equity
    relative = absolute / facts.provider_balance
    fraction = document.get("maxRelativeDrawdown")
    levels = [(relative, document.get("maxDrawdown") if fraction is None else fraction)]
    levels.append((absolute, document.get("maxAbsoluteDrawdown")))
    given = [(drawdown, level) for drawdown, level in levels if level is not None]
    if not given:
        return False, nan
    if document["action"] == "exclude":
        reached = [level for drawdown, level in given if drawdown >= level]
        return bool(reached), reached[0] if reached else nan
    return not any(drawdown > level for drawdown, level in given), given[0][1]


def near_news(case: Case) -> None:
    """Refuse routes one of whose news filters forbids opening now.

    units: minutes of the gap that forbids.  shape: lookup (chains, symbols) -> routes.  source: contract, 3.4, 4.4
    """
    facts = case.facts
    if not facts.news or not case.table.has_news:
        return
    held: News | None = case.view.news
    if held is None or not held.since <= facts.now < held.until or held.events != facts.news:
        held = case.view.news = news_now(case)
    if held.routes.size:
        case.refuse_routes(held.routes, held.codes, held.minutes)


class News(NamedTuple):
    """The routes that news forbids to open and why; it holds for the same events from `since` until `until`."""

    events: tuple[NewsEvent, ...]
    since: float
    until: float
    routes: np.ndarray
    codes: np.ndarray
    minutes: np.ndarray


def news_now(case: Case) -> News:
    """Ask every filter about every symbol. Nothing changes until the next edge of a gap."""
    table, view, facts = case.table, case.view, case.facts
    width = max(len(view.symbols), 1)
    codes = np.zeros((len(table.news_chains), width), WORD)
    minutes = np.full(codes.shape, nan)
    edges: set[float] = set()
    for row, chain in enumerate(table.news_chains):
        edges.update(edge for _, raw in chain for event in facts.news for edge in gap_edges(read_filter(raw), event))
        for column, symbol in enumerate(view.symbols):
            level, gap = news_verdict(chain, symbol, facts.news, facts.now)
            if level:
                codes[row, column], minutes[row, column] = refusal(Reason.NEWS, level), gap
    group = case.group("news", lambda table: np.array([bool(each) for each in table.news_chains])[table.news_chain])
    spot = table.news_chain[group.routes] * width + group.symbol
    code = codes.ravel()[spot]
    hit = code.nonzero()[0]
    since = max((edge for edge in edges if edge <= facts.now), default=-inf)
    until = min((edge for edge in edges if edge > facts.now), default=inf)
    return News(facts.news, since, until, group.routes[hit], code[hit], minutes.ravel()[spot[hit]])


def gap_edges(document: Document, event: NewsEvent) -> tuple[float, ...]:
    """The times at which a filter's answer about an event can change."""
    gaps = opening_gaps(document, event)
    return (event.time - gaps[0] * 60, event.time, event.time + gaps[1] * 60) if gaps else ()


@lru_cache(maxsize=4096)
def read_filter(raw: bytes) -> Document:
    """A news filter from its interned JSON; read only."""
    return msgspec.json.decode(raw)


def news_verdict(
    chain: tuple[tuple[Level, bytes], ...], symbol: str, news: tuple[NewsEvent, ...], now: float
) -> tuple[Level, float]:
    """The first level of the chain that forbids opening, and its gap in minutes; Level.NONE when none does.

    Calendar: from `preceding` minutes before an event until `following` minutes after it. Breaking: `following` minutes
    from the event. The event concerns symbols that contain its currency.
    """
    concerned = [event for event in news if event.currency and event.currency in symbol]
    for level, raw in chain if concerned else ():
        document = read_filter(raw)
        for event in concerned:
            gaps = opening_gaps(document, event)
            if gaps and event.time - gaps[0] * 60 <= now < event.time + gaps[1] * 60:
                return level, gaps[0] if now < event.time else gaps[1]
    return Level.NONE, nan


def opening_gaps(document: Document, event: NewsEvent) -> tuple[float, float] | None:
    """Minutes before and after an event without new trades; None when the filter does not concern it."""
    part = document.get("breakingNewsFilter" if event.is_breaking else "calendarNewsFilter") or {}
    if event.priority not in (part.get("priorities") or ()):
        return None
    following = part.get("openPositionFollowingTimeGapInMinutes")
    preceding = part.get("openPositionPrecedingTimeGapInMinutes")
    before = 0.0 if event.is_breaking else 120.0 if preceding is None else preceding
    return before, 60.0 if following is None else following


def news_closes(chain: tuple[tuple[Level, bytes], ...], symbol: str, news: tuple[NewsEvent, ...], now: float) -> Level:
    """The first level whose news filter wants positions in `symbol` closed now; Level.NONE when none does.

    Only with an explicit closePositionTimeGapInMinutes (section 8, 31): calendar news from the gap before the event
    until it, breaking news from the event until the gap after it.
    """
    for level, raw in chain:
        document = read_filter(raw)
        for event in news:
            part = document.get("breakingNewsFilter" if event.is_breaking else "calendarNewsFilter") or {}
            gap = part.get("closePositionTimeGapInMinutes")
            if gap is None or event.priority not in (part.get("priorities") or ()) or event.currency not in symbol:
                continue
            start, end = (
                (event.time, event.time + gap * 60) if event.is_breaking else (event.time - gap * 60, event.time)
            )
            if start <= now < end:
                return level
    return Level.NONE
