"""Simple, honest rule-based providers: trend, mean reversion, breakout on bars; and one that sends external signals.

They see only past prices, trade through the same commands as people do, and make no claim to earn anything. A robot's
whole memory is what it finds on its account, so it can be stopped and started at any time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from copying.backend.core.writer import Core
from copying.backend.market.feed import Feed
from copying.backend.state.book import Book
from copying.backend.state.commands import AnyCommand, PutSignal, RemoveSignal, Trade
from copying.backend.state.errors import Refused
from copying.backend.state.times import iso
from copying.symbols.instruments import instrument

log = logging.getLogger(__name__)
HOUR = 3600.0
BARS = 60


@dataclass(frozen=True, slots=True)
class Rule:
    """A robot: `wish` says +1, -1, 0 (flat) or None (leave it) from past mids, oldest first, and the position held."""

    name: str
    symbols: tuple[str, ...]
    bar_seconds: float
    volume_lots: float
    stop_bars: float  # distance of the stop loss in average bar ranges; 0: none
    wish: Callable[[np.ndarray, int], int | None]
    strategy_id: str = ""  # sends external signals to this strategy instead of trading


def stretch(mids: np.ndarray, bars: int) -> float:
    """How far the last price stands from its average over `bars`, in standard deviations of those bars."""
    window = mids[-bars:]
    return float((mids[-1] - window.mean()) / (window.std() or 1.0))


def pullback(mids: np.ndarray, side: int) -> int | None:
    """With the trend, entered against a stretch: buys the dips of a rising pair, sells the rallies of a falling one."""
    trend = 1 if mids[-20:].mean() > mids[-40:].mean() else -1
    distance = stretch(mids, 20)
    if side:
        return 0 if distance * side > 0.2 else None
    return trend if distance * trend < -1.5 else None


def reversion(mids: np.ndarray, side: int) -> int | None:
    """Against a stretch of more than 1.5 standard deviations, until the average is met again."""
    distance = stretch(mids, 20)
    if side:
        return 0 if distance * side > 0.2 else None
    return (-1 if distance > 0 else 1) if abs(distance) > 1.5 else None


def fading(mids: np.ndarray, side: int) -> int | None:
    """Against breaks of the range of the last 24 bars; out at the middle of the last 12."""
    window = mids[-25:-1]
    if side:
        middle = (mids[-13:-1].max() + mids[-13:-1].min()) / 2
        return 0 if (mids[-1] - middle) * side > 0 else None
    return -1 if mids[-1] > window.max() else 1 if mids[-1] < window.min() else None


def rare_reversion(mids: np.ndarray, side: int) -> int | None:
    """Against rare stretches of the last 24 bars only: within minutes a spread is a large part of a movement."""
    distance = stretch(mids, 24)
    if side:
        return 0 if distance * side > -0.2 else None
    return (-1 if distance > 0 else 1) if abs(distance) > 2.5 else None


RULES = {
    rule.name: rule
    for rule in (
        Rule("trend", ("EURUSD", "USDJPY", "GBPUSD", "USDCHF"), 4 * HOUR, 0.3, 12.0, pullback),
        Rule("reversion", ("EURGBP", "EURUSD", "AUDUSD", "USDCHF"), 4 * HOUR, 0.3, 12.0, reversion),
        Rule("breakout", ("GBPJPY", "EURJPY", "USDCAD"), 4 * HOUR, 0.25, 12.0, fading),
        Rule("swing", ("EURCHF", "NZDUSD", "AUDJPY", "USDCAD"), 12 * HOUR, 0.5, 12.0, reversion),
        Rule("minute", ("EURUSD", "GBPUSD", "USDJPY", "EURGBP", "AUDUSD"), 60.0, 0.02, 12.0, rare_reversion),
    )
}


def decide(rule: Rule, book: Book, feed: Feed, tenant: str, account_id: str, now: float) -> Iterator[AnyCommand]:
    """What a robot does at the end of a bar."""
    for symbol in rule.symbols:
        moments = now - rule.bar_seconds * np.arange(BARS - 1, -1, -1)
        mids = feed.mids(symbol, moments)
        if np.isnan(mids).any():
            continue
        tickets, holdings = holding(book, rule, account_id, symbol)
        wish = rule.wish(mids, holdings)
        if wish is None:
            continue
        for ticket in tickets:
            yield close(rule, tenant, account_id, ticket, now)
        if wish:
            yield from open_(rule, book, tenant, account_id, symbol, wish, mids, now)


def holding(book: Book, rule: Rule, account_id: str, symbol: str) -> tuple[list[str], int]:
    """What is open in a symbol: ids and side."""
    if rule.strategy_id:
        signals = [
            signal
            for signal in book.signals.values()
            if signal.strategy_id == rule.strategy_id and signal.symbol == symbol
        ]
        return [signal.id for signal in signals], signals[0].side if signals else 0
    positions = book.positions
    mine = np.flatnonzero(
        (positions.account == book.account_rows[account_id])
        & (positions.symbol == book.symbols.find(symbol))
        & (positions.subscription < 0)
    )
    return [str(ticket) for ticket in positions.id[mine].tolist()], int(positions.side[mine[0]]) if len(mine) else 0


def close(rule: Rule, tenant: str, account_id: str, ticket: str, now: float) -> AnyCommand:
    """Close a position or an external signal."""
    if rule.strategy_id:
        moment = datetime.fromtimestamp(now, UTC)
        return RemoveSignal(tenant=tenant, strategy_id=rule.strategy_id, signal_id=ticket, time=moment)
    return Trade(tenant=tenant, account_id=account_id, action_type="POSITION_CLOSE_ID", position_id=ticket)


def open_(
    rule: Rule, book: Book, tenant: str, account_id: str, symbol: str, side: int, mids: np.ndarray, now: float
) -> Iterator[AnyCommand]:
    """Open a position or send an external signal, with the rule's stop loss."""
    quote, spec = book.quote(symbol), instrument(symbol)
    if quote is None or spec is None:
        return
    price = quote[1] if side > 0 else quote[0]
    distance = float(np.abs(np.diff(mids)).mean()) * rule.stop_bars
    stop = round(price - side * distance, spec.digits) if rule.stop_bars else None
    if rule.strategy_id:
        letters = "abcdefghijklmnopqrstuvwxyz"
        count = int(now) * len(rule.symbols) + rule.symbols.index(symbol)
        signal_id = "".join(letters[count // 26**place % 26] for place in range(8))
        document = {
            "symbol": symbol,
            "type": f"POSITION_TYPE_{'BUY' if side > 0 else 'SELL'}",
            "time": iso(now),
            "volume": rule.volume_lots,
            "openPrice": price,
            "magic": 77,
        }
        if stop:
            document["stopLoss"] = stop
        yield PutSignal(tenant=tenant, strategy_id=rule.strategy_id, signal_id=signal_id, document=document)
        return
    yield Trade(
        tenant=tenant,
        account_id=account_id,
        action_type=f"ORDER_TYPE_{'BUY' if side > 0 else 'SELL'}",
        symbol=symbol,
        volume_lots=rule.volume_lots,
        stop_loss=stop,
        magic=1000 + list(RULES).index(rule.name),
    )


def rule_of(robot: str) -> Rule | None:
    """The rule that an account's `robot` names; `external:STRATEGY` sends external signals of the swing rule."""
    name, _, strategy_id = robot.partition(":")
    if name == "external" and strategy_id:
        swing = RULES["swing"]
        return Rule("external", ("EURUSD", "GBPUSD", "USDCHF"), 6 * HOUR, 0.3, swing.stop_bars, swing.wish, strategy_id)
    return RULES.get(name)


class Robots:
    """Runs the robots of all accounts beside the core."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def run(self) -> None:
        """For ever: at the end of every bar of every robot."""
        last = self._core.clock()
        while True:
            await asyncio.sleep(1.0)
            now = self._core.clock()
            for meta in list(self._core.book.account_meta):
                rule = rule_of(meta.robot) if meta.robot else None
                if rule is not None and now // rule.bar_seconds != last // rule.bar_seconds:
                    await self._act(rule, meta.tenant, meta.id, now // rule.bar_seconds * rule.bar_seconds)
            last = now

    async def _act(self, rule: Rule, tenant: str, account_id: str, moment: float) -> None:
        try:
            for command in decide(rule, self._core.book, self._core.feed, tenant, account_id, moment):
                try:
                    await self._core.submit(command)
                except Refused as refused:
                    log.warning("Robot %s of account %s was refused: %s", rule.name, account_id, refused.message)
        except Exception:
            log.exception("Robot %s of account %s failed; the others go on", rule.name, account_id)
