"""What was to be expected of a signal beside what was done: outcome, reason and volumes of each account. Pure.

A copy is known by the provider's position in its deals, which is the signal's id; a reason by the same in the log.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from copying.engine.model import Level, Outcome, Side, Step
from copying.engine.reasons import CODES, Reason, lots, sentence
from copying.engine.routes import RouteTable
from reporting.deals import OUT, entry_of
from reporting.reconstruction.assumptions import IN_LOG, NO_DEAL_YET, NOT_IN_LOG, NOT_KNOWN, OTHER_VOLUME, Assumption
from reporting.reconstruction.expected import ExpectedRoute, ProviderTrade, Ways, provider_side, provider_symbol

EPSILON = Decimal("0.00000001")
TEXT_LENGTH = 400
DEAL_SIDES = {"DEAL_TYPE_BUY": Side.BUY, "DEAL_TYPE_SELL": Side.SELL}
SIDE_WORDS = {Side.BUY: "buy", Side.SELL: "sell"}


@dataclass(frozen=True, slots=True)
class CopiedDeal:
    """A deal of a client's account that names the signal. lots: without sign."""

    id: str
    strategy_id: str
    subscriber_id: str
    position: str
    symbol: str
    side: Side
    lots: Decimal
    price: Decimal | None
    time: datetime


@dataclass(frozen=True, slots=True)
class LoggedLine:
    """A line of the log about a signal at an account."""

    strategy_id: str
    subscriber_id: str
    level: str
    message: str
    time: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """What became of a signal on the way to one account; columns of a decision."""

    strategy_id: str
    subscriber_id: str
    outcome: str
    reason: str
    level: str
    symbol: str
    side: str
    volumes: tuple[float | None, ...]  # by Step; the last one is what was done
    expected: float | None
    limit_value: float | None
    text: str
    assumptions: tuple[str, ...]


def openings(deals: Iterable[CopiedDeal]) -> dict[tuple[str, str], list[CopiedDeal]]:
    """The deals that opened copies, by (what is subscribed to, account), oldest first.

    Where ids do not say what a deal did, the first of a position opened it, and what is of the same side added to it.
    """
    by_way: dict[tuple[str, str], list[CopiedDeal]] = {}
    sides: dict[tuple[str, str, str], Side] = {}
    for deal in sorted(deals, key=lambda deal: (deal.time, deal.id)):
        if entry_of(deal.id) == OUT:
            continue
        position = deal.strategy_id, deal.subscriber_id, deal.position
        if sides.setdefault(position, deal.side) is deal.side:
            by_way.setdefault(position[:2], []).append(deal)
    return by_way


def as_provided(trade: ProviderTrade, deals: Iterable[CopiedDeal], table: RouteTable) -> ProviderTrade:
    """The trade with the provider's own side and symbol, where only those of copies are told."""
    terms = {(key.strategy_id, key.subscriber_id): own for key, own in zip(table.keys, table.terms, strict=True)}
    for deal in deals:
        own = terms.get((deal.strategy_id, deal.subscriber_id))
        if own is not None:
            symbol, side = provider_symbol(deal.symbol, own), provider_side(deal.side, own)
            return replace(trade, side=side, symbol=symbol, is_symbol_concluded=True)
    return trade


def find(
    trade: ProviderTrade,
    ways: Ways,
    deals: Mapping[tuple[str, str], Sequence[CopiedDeal]],
    lines: Mapping[tuple[str, str], Sequence[LoggedLine]],
    *,
    is_settled: bool,
    without_settings: Assumption = Assumption.SETTINGS_UNKNOWN,
    later: Collection[tuple[str, str]] = (),
) -> list[Found]:
    """What became of a signal, for everybody who was subscribed then, has a copy, or of whom the log tells.

    ways: what the engine says of those whose settings are known. is_settled: everything that was done is mirrored; else
    only copies are told, as others may still come. without_settings: why a copy has no expectation. later: who was seen
    to be subscribed only later; they are told of where nobody copied the signal.
    """
    findings = []
    for way in sorted({*ways, *deals}):
        routes, done = ways.get(way, []), deals.get(way, ())
        if done:
            findings.append(_copied(trade, way, routes, done, without_settings))
        elif is_settled:
            findings.append(_not_copied(trade, way, routes, lines.get(way, ())))
    if is_settled:
        known = {account for _, account in (*ways, *deals)}
        unknown = {way for way in lines if way[1] not in known} | (set() if deals else set(later) - {*ways})
        findings += [_unexplained(trade, way, lines.get(way, ()), without_settings) for way in sorted(unknown)]
    return findings


def _copied(
    trade: ProviderTrade,
    way: tuple[str, str],
    routes: Sequence[ExpectedRoute],
    done: Sequence[CopiedDeal],
    without_settings: Assumption,
) -> Found:
    actual = sum((deal.lots for deal in done), Decimal(0))
    opening = [route for route in routes if route.opens]
    route = next(iter(opening or routes), None)
    expected = _expected(routes)
    outcome, reason, level, limit = Outcome.COPIED, CODES[Reason.COPIED], Level.NONE, math.nan
    volumes = _volumes(trade, opening or routes)
    is_as_expected = expected is not None and abs(Decimal(repr(round(expected, 8))) - actual) <= EPSILON
    if route is not None and is_as_expected:
        outcome, reason, level, limit = route.outcome, CODES[route.reason], route.level, route.limit_value
        text = _sentence(route, volumes, done[0].symbol, trade.symbol)
    elif expected is None:
        text = f"Copied with {lots(float(actual))} lots."
    else:
        outcome, reason = Outcome.COPIED, OTHER_VOLUME
        text = f"Copied with {lots(float(actual))} lots; by the settings of that moment it would be {lots(expected)}."
        if route is not None and not route.opens:
            text = f"Copied with {lots(float(actual))} lots, although by the settings of that moment it would not be: "
            text += _sentence(route, volumes, done[0].symbol, trade.symbol)
    return Found(
        *way,
        outcome=outcome.name.lower(),
        reason=reason,
        level="" if level is Level.NONE else level.name.lower(),
        symbol=done[0].symbol,
        side=SIDE_WORDS[done[0].side],
        volumes=(*volumes[: Step.FINAL], float(actual)),
        expected=expected,
        limit_value=_known(limit),
        text=text[:TEXT_LENGTH],
        assumptions=_assumptions(routes) if routes else (without_settings.value,),
    )


def _not_copied(
    trade: ProviderTrade, way: tuple[str, str], routes: Sequence[ExpectedRoute], lines: Sequence[LoggedLine]
) -> Found:
    opening = [route for route in routes if route.opens]
    route = opening[0] if opening else routes[0]
    volumes = _volumes(trade, opening or routes)
    expected = _expected(routes)
    line = _telling(lines)
    level, limit = Level.NONE, math.nan
    if not opening:
        outcome, reason, level, limit = route.outcome, CODES[route.reason], route.level, route.limit_value
        text = _sentence(route, volumes, route.symbol or trade.symbol, trade.symbol)
        if line is not None and line.message.strip() != text:
            text = f"{text} The log says: “{line.message.strip()}”"
    elif line is not None:
        outcome, reason = Outcome.SKIPPED, IN_LOG
        text = f"Not copied. The log says: “{line.message.strip()}”"
    elif trade.kind:
        outcome, reason = Outcome.DELAYED, NO_DEAL_YET
        text = "A pending order: no deal of this account is known yet."
    else:
        outcome, reason = Outcome.SKIPPED, NOT_IN_LOG
        would = f": by the settings of that moment it would be {lots(expected)} lots" if expected else ""
        text = f"Not copied, and the log gives no reason{would}."
    return Found(
        *way,
        outcome=outcome.name.lower(),
        reason=reason,
        level="" if level is Level.NONE else level.name.lower(),
        symbol=route.symbol,
        side=SIDE_WORDS[route.side],
        volumes=(*volumes[: Step.FINAL], 0.0),
        expected=expected,
        limit_value=_known(limit),
        text=text[:TEXT_LENGTH],
        assumptions=_assumptions(routes),
    )


def _unexplained(
    trade: ProviderTrade, way: tuple[str, str], lines: Sequence[LoggedLine], without_settings: Assumption
) -> Found:
    """An account without a copy of whose settings of that time nothing is known."""
    line = _telling(lines)
    text = "Not copied. What the settings of this account were then is not known, and the log gives no reason."
    if line is not None:
        text = f"Not copied. The log says: “{line.message.strip()}”"
    return Found(
        *way,
        outcome=Outcome.SKIPPED.name.lower(),
        reason=NOT_KNOWN if line is None else IN_LOG,
        level="",
        symbol=trade.symbol,
        side=SIDE_WORDS[trade.side],
        volumes=(trade.lots, *[None] * (len(Step) - 2), 0.0),
        expected=None,
        limit_value=None,
        text=text[:TEXT_LENGTH],
        assumptions=(without_settings.value,),
    )


def _telling(lines: Sequence[LoggedLine]) -> LoggedLine | None:
    """The line that tells most: a trouble before what is only told, of equal ones the last."""
    ranks = {"ERROR": 3, "WARN": 2, "INFO": 1}
    return max(lines, key=lambda line: (ranks.get(line.level, 0), line.time), default=None)


def _expected(routes: Sequence[ExpectedRoute]) -> float | None:
    """The volume of all ways to one account; None where one of them is not known, or there is none."""
    volumes = [route.lots for route in routes]
    if not volumes or any(volume is None for volume in volumes):
        return None
    return sum(volume for volume in volumes if volume is not None)


def _volumes(trade: ProviderTrade, routes: Sequence[ExpectedRoute]) -> tuple[float | None, ...]:
    """The chain of the first way; of several ways only the provider's volume, as each has its own."""
    if len(routes) == 1:
        return tuple(_known(volume) for volume in routes[0].volumes)
    return (trade.lots, *[None] * (len(Step) - 1))


def _assumptions(routes: Sequence[ExpectedRoute]) -> tuple[str, ...]:
    named = {assumption for route in routes for assumption in route.assumptions}
    return tuple(assumption.value for assumption in Assumption if assumption in named)


def _sentence(route: ExpectedRoute, volumes: Sequence[float | None], symbol: str, provider: str) -> str:
    steps = [math.nan if volume is None else volume for volume in volumes]
    return sentence(route.reason, route.outcome, route.level, steps, route.limit_value, symbol, provider)


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
