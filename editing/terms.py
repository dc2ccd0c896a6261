"""Copy settings in words with units: the engine's own folding of a chain of documents, made readable.

A chain is a list of (level, document) from the strategy down to the account. Nothing is decided here, and secrets
inside documents (a messenger's token) are never part of a text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from math import inf, isnan
from typing import Any

import msgspec

from copying.engine.fold import CopyTerms, Mode
from copying.engine.model import Level
from copying.engine.risk_limits import effective_limits

Chain = list[tuple[Level, dict[str, Any]]]

LEVELS = {
    Level.STRATEGY: "strategy",
    Level.MEMBER: "portfolio member",
    Level.PORTFOLIO: "portfolio",
    Level.SUBSCRIPTION: "subscription",
    Level.SUBSCRIBER: "account",
}
PERIODS = {
    "day": "within a day",
    "date": "within a calendar day",
    "week": "within a week",
    "week-to-date": "within a calendar week",
    "month": "within a month",
    "month-to-date": "within a calendar month",
    "quarter": "within a quarter",
    "quarter-to-date": "within a calendar quarter",
    "year": "within a year",
    "year-to-date": "within a calendar year",
    "lifetime": "since the start",
}
BASES = {
    "balance-difference": "closed loss",
    "balance-minus-equity": "loss with open positions",
    "equity-difference": "loss of equity",
}
SCHEMES = {
    "flat-fee": "Flat fee",
    "lots-traded": "Per lot traded",
    "lots-won": "Per lot won",
    "amount-traded": "Share of the amount traded",
    "amount-won": "Share of profits",
    "high-water-mark": "High-water mark",
}
LONGEST = 40  # of a word of a backend that is not known here
BILLED = {"week": "weekly", "month": "monthly", "quarter": "quarterly"}


@dataclass(frozen=True)
class Setting:
    """One setting as a person reads it. source: the level that decides it, empty when it is the default."""

    label: str
    value: str
    source: str = ""
    hint: str = ""


class UnreadableTerms(Exception):
    """A document holds a value that the contract does not allow; `text` says so."""

    text = "These settings hold a value that the contract does not know; the copying backend decides what it means."


def number(value: float) -> str:
    """A number without needless digits: 0.10 -> 0.1, 1000 -> 1 000."""
    return f"{value:,.8f}".rstrip("0").rstrip(".").replace(",", "\u202f")


def percent(fraction: float) -> str:
    """A fraction of one in percent."""
    return f"{number(round(fraction * 100, 6))}\u202f%"


# --- One line per setting ---------------------------------------------------------------------------------------------
def _size(terms: CopyTerms) -> str:
    texts = {
        Mode.NONE: "The provider's volume as it is",
        Mode.CONTRACT_SIZE: "The provider's volume, contract sizes made equal",
        Mode.BALANCE: "In proportion to the balances",
        Mode.EQUITY: "In proportion to the equities",
        Mode.FIXED_VOLUME: f"Always {number(terms.amount)} lots",
        Mode.FIXED_RISK: f"{percent(terms.amount)} of the balance at risk per trade",
        Mode.EXPRESSION: f"By formula: {terms.expression}",
    }
    return texts[terms.mode]


def _sides(terms: CopyTerms) -> str:
    allowed = [side for side, refusal in (("buy", terms.buy_refusal), ("sell", terms.sell_refusal)) if not refusal]
    return {2: "Buy and sell", 0: "Neither buy nor sell"}.get(len(allowed)) or f"Only {allowed[0]}"


def _delay(terms: CopyTerms) -> str:
    if not terms.delay_max_s:
        return "None"
    if terms.delay_min_s == terms.delay_max_s:
        return f"{number(terms.delay_max_s)} s"
    return f"{number(terms.delay_min_s)} to {number(terms.delay_max_s)} s, at random"


def _symbols(terms: CopyTerms) -> str:
    parts = []
    for _, stored in terms.symbol_steps:
        step = msgspec.json.decode(stored)
        only, never = (step.get("symbolFilter") or {}).get("included"), (step.get("symbolFilter") or {}).get("excluded")
        parts += [f"only {', '.join(only)}"] if only else []
        parts += [f"never {', '.join(never)}"] if never else []
        parts += [f"{pair['from']} as {pair['to']}" for pair in step.get("symbolMapping") or ()]
    return "; ".join(parts) or "All"


def _news(terms: CopyTerms) -> str:
    kinds = []
    for _, stored in terms.news_filters:
        rules = msgspec.json.decode(stored)
        for name, label in (("breakingNewsFilter", "breaking news"), ("calendarNewsFilter", "calendar news")):
            priorities = (rules.get(name) or {}).get("priorities")
            kinds += [f"{label} ({', '.join(priorities)})"] if priorities else []
    return f"Not around {' and '.join(kinds)}" if kinds else "Whatever the news"


CLOSE_ONLY = {
    "": "Opens and closes",
    "by-position": "Only closes: no new position",
    "by-symbol": "Only closes: no new symbol",
    "immediately": "Closes everything at once",
}
ROWS: tuple[tuple[str, tuple[str, ...], Callable[[CopyTerms], str], str], ...] = (
    ("Ratio", ("multiplier",), lambda t: f"× {number(t.multiplier)}", "All ratios of the chain multiplied"),
    ("Trade size", ("mode", "amount", "expression", "mode_level"), _size, "Before the ratio and the limits below"),
    ("Direction", ("reversed",), lambda t: "Reversed: buys become sells" if t.reversed else "As the provider", ""),
    ("Sides", ("buy_refusal", "sell_refusal"), _sides, ""),
    ("Symbols", ("symbol_steps",), _symbols, ""),
    ("Smallest trade", ("min_volume",), lambda t: f"{number(t.min_volume)} lots" if t.min_volume else "No limit", ""),
    (
        "Largest trade",
        ("max_volume",),
        lambda t: "No limit" if t.max_volume == inf else f"{number(t.max_volume)} lots",
        "",
    ),
    (
        "Risk per trade",
        ("max_trade_risk", "max_trade_risk_level"),
        lambda t: "No limit" if isnan(t.max_trade_risk) else f"At most {percent(t.max_trade_risk)} of the balance",
        "",
    ),
    (
        "Leverage",
        ("max_leverage", "max_leverage_level"),
        lambda t: "No limit" if isnan(t.max_leverage) else f"At most {number(t.max_leverage)} : 1",
        "",
    ),
    (
        "Stop distance",
        ("max_stop_pips",),
        lambda t: "No limit" if t.max_stop_pips == inf else f"At most {number(t.max_stop_pips)} pips",
        "",
    ),
    ("Stop loss", ("copy_stop_loss",), lambda t: "Copied" if t.copy_stop_loss else "Not copied", ""),
    ("Take profit", ("copy_take_profit",), lambda t: "Copied" if t.copy_take_profit else "Not copied", ""),
    ("Pending orders", ("pending_refusal",), lambda t: "Not copied" if t.pending_refusal else "Copied", ""),
    (
        "Opposite positions",
        ("correlations", "correlations_level"),
        lambda t: ("Allowed", "Reduced within the strategy", "Reduced within the account")[t.correlations],
        "",
    ),
    ("Delay", ("delay_min_s", "delay_max_s", "delay_level"), _delay, ""),
    ("News", ("news_filters",), _news, ""),
    ("New trades", ("close_only",), lambda t: CLOSE_ONLY.get(t.close_only, t.close_only), ""),
    (
        "Margin kept back",
        ("reserved_margin",),
        lambda t: f"{number(t.reserved_margin)} × the balance" if t.reserved_margin else "None",
        "",
    ),
    (
        "Smallest amount",
        ("min_amount",),
        lambda t: f"{number(t.min_amount)} in the account's currency" if t.min_amount else "No limit",
        "",
    ),
)


def _same(before: Any, after: Any) -> bool:
    both_nan = isinstance(before, float) and isinstance(after, float) and isnan(before) and isnan(after)
    return both_nan or before == after


def chain_settings(chain: Chain, *, only_set: bool = False) -> list[Setting]:
    """Every setting of the chain's end with the level it comes from, risk limits last. Raises UnreadableTerms."""
    terms = CopyTerms()
    sources: dict[str, list[str]] = {}
    try:
        for level, document in chain:
            folded = terms.at(level, document)
            for name in (field.name for field in fields(CopyTerms)):
                if not _same(getattr(terms, name), getattr(folded, name)):
                    sources.setdefault(name, []).append(LEVELS.get(level, ""))
            terms = folded
        rows = [Setting(label, text(terms), _source(sources, names), hint) for label, names, text, hint in ROWS]
        rows += limit_settings(chain)
    except (TypeError, ValueError, KeyError, AttributeError, ArithmeticError) as error:
        raise UnreadableTerms from error
    return [row for row in rows if row.source] if only_set else rows


def _source(sources: dict[str, list[str]], names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(level for name in names for level in sources.get(name, ())))


def limit_settings(chain: Chain) -> list[Setting]:
    """The risk limits that hold at the chain's end: those of the copied result, then the account's own."""
    above = [step for step in chain if step[0] != Level.SUBSCRIBER]
    account = [step for step in chain if step[0] == Level.SUBSCRIBER]
    limits = (*effective_limits(above).values(), *effective_limits(account).values())
    return [_limit(level, limit) for level, limit in limits]


def _limit(level: Level, limit: dict[str, Any]) -> Setting:
    absolute, relative = limit.get("maxAbsoluteRisk"), limit.get("maxRelativeRisk")
    bounds = [f"{number(absolute)} in the account's currency"] if absolute is not None else []
    bounds += [percent(relative)] if relative is not None else []
    then = "then everything is closed" if limit.get("closePositions") else "then no new trades"
    what = f"{BASES.get(limit['applyTo'], limit['applyTo'])} {PERIODS.get(limit['type'], limit['type'])}".capitalize()
    return Setting("Risk limit", f"{what}: at most {' or '.join(bounds) or 'nothing'}, {then}", LEVELS[level])


# --- What only a strategy has ----------------------------------------------------------------------------------------
def commission_text(document: dict[str, Any]) -> str:
    """What a strategy charges, in one line; empty when it charges nothing. Money in the subscriber's currency.

    What a backend has and the portal does not know is charged by nobody here, and said to be.
    """
    scheme = document.get("commissionScheme")
    if not isinstance(scheme, dict) or not isinstance(scheme.get("commissionRate"), int | float):
        return ""
    rate, kind, period = (
        scheme["commissionRate"],
        str(scheme.get("type") or ""),
        str(scheme.get("billingPeriod") or "month"),
    )
    if rate and kind and kind not in SCHEMES:
        return f"Nothing is charged: a scheme “{kind[:LONGEST]}” is not known here"
    if rate and period not in BILLED:
        return f"Nothing is charged: a billing period “{period[:LONGEST]}” is not known here"
    billed = BILLED.get(period, "")
    texts = {
        "flat-fee": f"{number(rate)} per period",
        "lots-traded": f"{number(rate)} per lot traded",
        "lots-won": f"{number(rate)} per lot won",
        "amount-traded": f"{percent(rate)} of the amount traded",
        "amount-won": f"{percent(rate)} of every profit",
        "high-water-mark": f"{percent(rate)} above the high-water mark",
    }
    text = texts.get(kind)
    return f"{text}, {billed}" if text and rate else ""


def own_settings(document: dict[str, Any]) -> list[Setting]:
    """Filters and times that only the strategy itself has."""
    settings = []
    magic = document.get("magicFilter") or {}
    if magic.get("included") or magic.get("excluded"):
        parts = [f"only {', '.join(magic['included'])}"] if magic.get("included") else []
        parts += [f"never {', '.join(magic['excluded'])}"] if magic.get("excluded") else []
        settings.append(Setting("Expert ids", "; ".join(parts), "strategy"))
    curve = document.get("equityCurveFilter")
    if curve:
        text = f"Opens only while equity is above its average over {number(curve['period'])} × {curve['timeframe']}"
        settings.append(Setting("Equity curve", text, "strategy"))
    drawdown = document.get("drawdownFilter")
    if drawdown:
        level = drawdown.get("maxRelativeDrawdown", drawdown.get("maxDrawdown"))
        bound = percent(level) if level is not None else number(drawdown.get("maxAbsoluteDrawdown") or 0)
        side = "below" if drawdown.get("action") == "exclude" else "above"
        settings.append(Setting("Drawdown", f"Opens only {side} a drawdown of {bound} of the provider", "strategy"))
    if document.get("symbolsTraded"):
        settings.append(Setting("Symbols kept ready", ", ".join(document["symbolsTraded"]), "strategy"))
    times = document.get("timeSettings") or {}
    if times.get("lifetimeInHours"):
        settings.append(Setting("Positions live", f"At most {number(times['lifetimeInHours'])} h", "strategy"))
    if times.get("openingIntervalInMinutes"):
        text = f"Within {number(times['openingIntervalInMinutes'])} min of the signal"
        settings.append(Setting("Copied", text, "strategy"))
    publishing = (document.get("telegram") or {}).get("publishing") or {}
    if publishing.get("chatId"):
        settings.append(Setting("Telegram", f"Signals are published to {publishing['chatId']}", "strategy"))
    return settings
