"""Rules about who may open at all: the provider's filters, stopouts, the calendar, money.

The strategy's own filters (magic, equity curve, drawdown) refuse the signal as a whole; news filters are asked once per
distinct chain and symbol.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from math import inf, isnan, nan
from typing import NamedTuple

import msgspec
import numpy as np

from copying.engine.compiled import record, rule
from copying.engine.fold import Document
from copying.engine.model import Facts, Level, NewsEvent, Signal
from copying.engine.reasons import WORD, Reason, refusal
from copying.engine.routes import RouteTable
from copying.engine.views import View

Refusal = tuple[int, float]
OPEN: Refusal = (0, nan)

STOPPED_OUT = refusal(Reason.STOPPED_OUT, Level.NONE)
NO_EXCHANGE_RATE = refusal(Reason.NO_EXCHANGE_RATE, Level.SUBSCRIBER)
NO_MONEY = refusal(Reason.NO_MONEY, Level.SUBSCRIBER)
NEWS_GAP = record(word=WORD, minutes="f8")
"""Why and by which gap a chain of news filters forbids to open a symbol; word 0: it does not."""

# --------------------------------------------------------------------------------------- the signal, for all routes


def outside_magic(document: Document, signal: Signal, facts: Facts) -> Refusal:
    """The magic number is outside magicFilter.  source: contract, 3.3, 4.4"""
    magic = signal.magic
    included, excluded = document.get("included") or (), document.get("excluded") or ()
    if (included and not matches_magic(magic, included)) or matches_magic(magic, excluded):
        return refusal(Reason.MAGIC_FILTER, Level.STRATEGY), magic
    return OPEN


def matches_magic(magic: int, elements: Iterable[str]) -> bool:
    """Whether a magic number is one of the elements: numbers ("1000") or closed ranges ("1010-1019")."""
    for element in elements:
        low, high = magic_range(element)
        if low <= magic <= high:
            return True
    return False


@lru_cache(maxsize=4096)
def magic_range(element: str) -> tuple[int, int]:
    """The bounds of an element of a magic filter; either bound may be negative. Raises ValueError."""
    text = str(element).strip()
    middle = text.find("-", 1)
    if middle < 0:
        return int(text), int(text)
    return int(text[:middle]), int(text[middle + 1 :])


def below_equity_curve(document: Document, signal: Signal, facts: Facts) -> Refusal:
    """The provider's equity is not above the moving average of its balance.

    Without enough history for an average nothing is refused.  units: provider currency.  source: contract, 4.4
    """
    average = facts.provider_balance_average
    if average is not None and not facts.provider_equity > average:
        return refusal(Reason.EQUITY_CURVE_FILTER, Level.STRATEGY), average
    return OPEN


def outside_drawdown(document: Document, signal: Signal, facts: Facts) -> Refusal:
    """The provider's drawdown = balance - equity, relative to the balance or absolute, is on the wrong side.

    `exclude`: open while every given level is above the drawdown; `include`: open while a given level is below it.
    `maxDrawdown` is `maxRelativeDrawdown` (section 8, 19).  units: fraction or provider currency.  source: contract,
    4.4
    """
    if facts.provider_balance > 0:
        refused, limit = drawdown_verdict(document, facts)
        if refused:
            return refusal(Reason.DRAWDOWN_FILTER, Level.STRATEGY), limit
    return OPEN


def drawdown_verdict(document: Document, facts: Facts) -> tuple[bool, float]:
    """Whether the drawdown filter refuses, and the level that decided."""
    absolute = facts.provider_balance - facts.provider_equity
    relative = absolute / facts.provider_balance
    fraction = document.get("maxRelativeDrawdown")
    levels = [(relative, document.get("maxDrawdown") if fraction is None else fraction)]
    levels.append((absolute, document.get("maxAbsoluteDrawdown")))
    thresholds = [(drawdown, level) for drawdown, level in levels if level is not None]
    if not thresholds:
        return False, nan
    if document["action"] == "exclude":
        reached = [level for drawdown, level in thresholds if drawdown >= level]
        return bool(reached), reached[0] if reached else nan
    return not any(drawdown > level for drawdown, level in thresholds), thresholds[0][1]


# ------------------------------------------------------------------------------------------------------- one route


@rule
def not_open_by_symbol(place, is_open):
    """The symbol is not open on the route, where only those are taken that are.

    For removal `close-gracefully-by-symbol` and closeOnly `by-symbol`.  source: contract, 2.1 removal, 4.4 closeOnly
    """
    return 0 if is_open else int(place.unless_open)


@rule
def stopped_out(level):
    """An active stopout, at the level whose limit fired.  source: contract, 4.5"""
    return STOPPED_OUT + level


@rule
def near_news(gap):
    """A news filter forbids opening now, and by which gap.  units: minutes.  source: contract, 3.4, 4.4"""
    return int(gap.word), gap.minutes


@rule
def without_money(rate, balance, equity):
    """An account whose currency has no exchange rate, or that has no money.  units: account currency"""
    least = min(balance, equity)
    if isnan(rate):
        return NO_EXCHANGE_RATE, nan
    return (0, nan) if least > 0 else (NO_MONEY, least)


# ------------------------------------------------------------------------------------------------------------ news


class NewsGaps(NamedTuple):
    """What news forbids; it holds for the same events from `since` until `until`.

    gaps: (chains, symbols) `NEWS_GAP`.
    """

    events: tuple[NewsEvent, ...]
    since: float
    until: float
    gaps: np.ndarray


def news_gaps(table: RouteTable, view: View, facts: Facts) -> np.ndarray:
    """(chains, symbols) `NEWS_GAP` of this moment."""
    news: NewsGaps | None = view.news
    if news is None or not news.since <= facts.now < news.until or news.events != facts.news:
        news = view.news = news_now(table, view, facts)
    return news.gaps


def news_now(table: RouteTable, view: View, facts: Facts) -> NewsGaps:
    """Ask every filter about every symbol. Nothing changes until the next edge of a gap."""
    gaps = np.zeros((len(table.news_chains), max(len(view.symbols), 1)), NEWS_GAP)
    edges: set[float] = set()
    for row, chain in enumerate(table.news_chains):
        edges.update(edge for _, raw in chain for event in facts.news for edge in gap_edges(read_filter(raw), event))
        for column, symbol in enumerate(view.symbols):
            level, minutes = news_verdict(chain, symbol, facts.news, facts.now)
            gaps[row, column] = (refusal(Reason.NEWS, level) if level else 0, minutes)
    since = max((edge for edge in edges if edge <= facts.now), default=-inf)
    until = min((edge for edge in edges if edge > facts.now), default=inf)
    return NewsGaps(facts.news, since, until, gaps)


def gap_edges(document: Document, event: NewsEvent) -> tuple[float, ...]:
    """The times at which a filter's answer about an event can change."""
    gaps = opening_gaps(document, event)
    return (event.time - gaps[0] * 60, event.time, event.time + gaps[1] * 60) if gaps else ()


@lru_cache(maxsize=4096)
def read_filter(raw: bytes) -> Document:
    """A news filter from its interned JSON; read only."""
    document: Document = msgspec.json.decode(raw)
    return document


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
