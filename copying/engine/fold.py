"""How the settings of the levels of a chain combine into one set of terms (contract, 4.1 and 4.2).

A chain is strategy -> (member -> portfolio)* -> subscription -> subscriber. `FOLDS` has one small function per setting;
applying the documents level by level yields `CopyTerms`. Documents are the contract's raw JSON objects, validated
before. Nothing here knows a signal.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from math import inf, nan
from typing import Any

import msgspec

from copying.engine.model import Level
from copying.engine.reasons import Reason, refusal

Document = Mapping[str, Any]
LEVEL_VARIABLES = ("providerStopLoss", "providerTakeProfit")
NOISE = 1e-9  # relative: products of multipliers that mean the same number


class Mode(IntEnum):
    """Trade size scaling (contract, 3.7)."""

    NONE = 0
    CONTRACT_SIZE = 1
    BALANCE = 2
    EQUITY = 3
    FIXED_VOLUME = 4
    FIXED_RISK = 5
    EXPRESSION = 6


MODES = {
    "none": Mode.NONE,
    "contractSize": Mode.CONTRACT_SIZE,
    "balance": Mode.BALANCE,
    "equity": Mode.EQUITY,
    "fixedVolume": Mode.FIXED_VOLUME,
    "fixedRisk": Mode.FIXED_RISK,
    "expression": Mode.EXPRESSION,
}


@dataclass(slots=True)
class CopyTerms:
    """The combined settings of one chain. Volumes in lots; inf or nan: no limit; `*_level`: which level won.

    `*_refusal` are words of `reasons.refusal` of the first level that refuses, 0 where none does.
    multiplier: product of all. scaling_multiplier: the part of it that scales the mode's volume (all of it, or for
    fixedVolume and fixedRisk what stands below the level that set the mode; 1 for an expression, which has it as a
    variable). symbol_steps, news_filters: (level, setting) in chain order, as hashable JSON.
    """

    multiplier: float = 1.0
    mode: Mode = Mode.BALANCE
    mode_level: Level = Level.NONE
    amount: float = 1.0
    scaling_multiplier: float = 1.0
    expression: str = ""
    reads_levels: bool = False  # the expression names the provider's stop loss or take profit
    force_tiny: bool = False
    max_risk_coefficient: float = 5.0
    reversed: bool = False
    pending_refusal: int = 0
    buy_refusal: int = 0
    sell_refusal: int = 0
    removed_refusal: int = 0
    removed_by_symbol: bool = False
    close_only: str = ""
    close_only_level: Level = Level.NONE
    copy_stop_loss: bool = True
    copy_take_profit: bool = True
    min_volume: float = 0.0
    min_volume_level: Level = Level.NONE
    max_volume: float = inf
    max_volume_level: Level = Level.NONE
    max_trade_risk: float = nan
    max_trade_risk_level: Level = Level.NONE
    max_leverage: float = nan
    max_leverage_level: Level = Level.NONE
    max_stop_pips: float = inf
    correlations: int = 0  # 0 off, 1 by strategy, 2 by account
    correlations_level: Level = Level.NONE
    delay_min_s: float = 0.0
    delay_max_s: float = 0.0
    delay_level: Level = Level.NONE
    reserved_margin: float = 0.0
    min_amount: float = 0.0
    symbol_steps: tuple[tuple[Level, bytes], ...] = ()
    news_filters: tuple[tuple[Level, bytes], ...] = ()

    def wanted_lots(self, volume: float) -> float:
        """The volume that these terms ask for of a provider's volume, before money and limits are known."""
        lots = self.amount if self.mode is Mode.FIXED_VOLUME else volume
        return lots * self.scaling_multiplier

    def at(self, level: Level, document: Document) -> CopyTerms:
        """These terms with one more level below them."""
        terms = copy.copy(self)
        fold_multiplier(terms, level, document.get("multiplier"))
        fold_symbol_step(terms, level, document)
        if document.get("removed") or document.get("closeOnRemovalMode"):
            fold_removal_mode(terms, level, document.get("closeOnRemovalMode") or "close-immediately")
        for name, value in document.items():
            if value is not None and (fold := FOLDS.get(name)):
                fold(terms, level, value)
        return terms


def fold_multiplier(terms: CopyTerms, level: Level, value: float | None) -> None:
    """Product; and what was set above is multiplied, what is set on this level (folded after) is not (4.2)."""
    if value is None or value == 1:
        return
    terms.multiplier *= value
    terms.min_volume *= value
    if terms.max_volume != inf:
        terms.max_volume *= value
    if terms.mode is not Mode.EXPRESSION:
        terms.scaling_multiplier *= value


def fold_symbol_step(terms: CopyTerms, level: Level, document: Document) -> None:
    """Filters and mappings alternate along the chain: a filter sees the names before its own level's mapping."""
    step = {key: document[key] for key in ("symbolFilter", "symbolMapping") if document.get(key)}
    if step:
        terms.symbol_steps = (*terms.symbol_steps, (level, msgspec.json.encode(step)))


def fold_scaling(terms: CopyTerms, level: Level, value: Document) -> None:
    """Last wins, as a whole object. fixedVolume and fixedRisk take only multipliers below this level (section 8,
    26).
    """
    mode = MODES[value.get("mode") or "balance"]
    terms.mode, terms.mode_level = mode, level
    terms.force_tiny = bool(value.get("forceTinyTrades"))
    coefficient = value.get("maxRiskCoefficient")
    terms.max_risk_coefficient = 5.0 if coefficient is None else float(coefficient)
    terms.expression = value.get("expression") or "" if mode is Mode.EXPRESSION else ""
    terms.reads_levels = any(name in terms.expression for name in LEVEL_VARIABLES)
    terms.amount, terms.scaling_multiplier = 1.0, terms.multiplier
    if mode is Mode.FIXED_VOLUME:
        terms.amount, terms.scaling_multiplier = float(value.get("tradeVolume") or 0), 1.0
    elif mode is Mode.FIXED_RISK:
        terms.amount, terms.scaling_multiplier = float(value.get("riskFraction") or 0), 1.0
    elif mode is Mode.EXPRESSION:
        terms.scaling_multiplier = 1.0


def fold_reverse(terms: CopyTerms, level: Level, value: bool) -> None:
    """XOR of all."""
    terms.reversed ^= bool(value)


def fold_skip_pending(terms: CopyTerms, level: Level, value: bool) -> None:
    """True anywhere skips; the first level that says so is named."""
    if value and not terms.pending_refusal:
        terms.pending_refusal = refusal(Reason.PENDING_ORDERS_SKIPPED, level)


def fold_sides(terms: CopyTerms, level: Level, value: list[str]) -> None:
    """Intersection; the first level that lacks a side is named. An empty list allows neither side."""
    if "buy" not in value and not terms.buy_refusal:
        terms.buy_refusal = refusal(Reason.SIDE_NOT_ALLOWED, level)
    if "sell" not in value and not terms.sell_refusal:
        terms.sell_refusal = refusal(Reason.SIDE_NOT_ALLOWED, level)


def fold_copy_stop_loss(terms: CopyTerms, level: Level, value: bool) -> None:
    """False anywhere disables."""
    terms.copy_stop_loss &= bool(value)


def fold_copy_take_profit(terms: CopyTerms, level: Level, value: bool) -> None:
    """False anywhere disables."""
    terms.copy_take_profit &= bool(value)


def fold_min_volume(terms: CopyTerms, level: Level, value: float) -> None:
    """Maximum, after multipliers; the earliest level wins a tie."""
    if value > terms.min_volume * (1 + NOISE):
        terms.min_volume, terms.min_volume_level = float(value), level


def fold_max_volume(terms: CopyTerms, level: Level, value: float) -> None:
    """Minimum, after multipliers; the earliest level wins a tie."""
    if value < terms.max_volume * (1 - NOISE):
        terms.max_volume, terms.max_volume_level = float(value), level


def fold_max_trade_risk(terms: CopyTerms, level: Level, value: float) -> None:
    """Last wins."""
    terms.max_trade_risk, terms.max_trade_risk_level = float(value), level


def fold_max_leverage(terms: CopyTerms, level: Level, value: float) -> None:
    """Last wins."""
    terms.max_leverage, terms.max_leverage_level = float(value), level


def fold_max_stop_loss(terms: CopyTerms, level: Level, value: Document) -> None:
    """The smallest distance of the chain (section 8, 24). Pips."""
    terms.max_stop_pips = min(terms.max_stop_pips, float(value["value"]))


def fold_correlations(terms: CopyTerms, level: Level, value: str) -> None:
    """Last wins; `by-symbol` is an alias of `by-account` (section 8, 18)."""
    terms.correlations = {"by-strategy": 1, "by-account": 2, "by-symbol": 2}.get(value, 0)
    terms.correlations_level = level


def fold_delay(terms: CopyTerms, level: Level, value: Document) -> None:
    """Last wins. Seconds; limits given in the wrong order are exchanged."""
    bounds = sorted((float(value.get("minInSeconds") or 0), float(value.get("maxInSeconds") or 0)))
    terms.delay_min_s, terms.delay_max_s = bounds
    terms.delay_level = level


def fold_news(terms: CopyTerms, level: Level, value: Document) -> None:
    """Additive: all filters apply."""
    terms.news_filters = (*terms.news_filters, (level, msgspec.json.encode(value)))


def fold_close_only(terms: CopyTerms, level: Level, value: str) -> None:
    """The subscription's value, else the subscriber's."""
    if value and not terms.close_only:
        terms.close_only, terms.close_only_level = value, level


def fold_removal_mode(terms: CopyTerms, level: Level, value: str) -> None:
    """What is being removed takes no new trades; `close-gracefully-by-symbol` still takes symbols that are open (2.1).

    The strictest removal of the chain counts, the first of those is named.
    """
    by_symbol = value == "close-gracefully-by-symbol"
    if not terms.removed_refusal or (terms.removed_by_symbol and not by_symbol):
        terms.removed_refusal, terms.removed_by_symbol = refusal(Reason.REMOVED, level), by_symbol


def fold_reserved_margin(terms: CopyTerms, level: Level, value: float) -> None:
    """Subscriber only. Multiple of the balance."""
    terms.reserved_margin = float(value)


def fold_min_amount(terms: CopyTerms, level: Level, value: float) -> None:
    """Subscriber only. Account currency."""
    terms.min_amount = float(value)


FOLDS: dict[str, Callable[[CopyTerms, Level, Any], None]] = {
    "tradeSizeScaling": fold_scaling,
    "reverse": fold_reverse,
    "skipPendingOrders": fold_skip_pending,
    "allowedSides": fold_sides,
    "copyStopLoss": fold_copy_stop_loss,
    "copyTakeProfit": fold_copy_take_profit,
    "minTradeVolume": fold_min_volume,
    "maxTradeVolume": fold_max_volume,
    "maxTradeRisk": fold_max_trade_risk,
    "maxLeverage": fold_max_leverage,
    "maxStopLoss": fold_max_stop_loss,
    "reduceCorrelations": fold_correlations,
    "signalDelay": fold_delay,
    "newsFilter": fold_news,
    "closeOnly": fold_close_only,
    "reservedMarginFraction": fold_reserved_margin,
    "minTradeAmount": fold_min_amount,
}
