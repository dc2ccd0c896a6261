"""What can be done to many accounts at once: ratios, limits, pausing. Pure: a request and a document give a plan.

A request names an act and its value, and perhaps one strategy: then the act is on the subscriptions to it. Without one,
an act that stands on accounts is on the account itself, any other on all of its subscriptions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from editing.bulk import RowPlan
from editing.terms import BASES, CLOSE_ONLY, PERIODS
from editing.widgets import plain_number

Document = dict[str, Any]
SMALLEST_RATIO, MOST_DECIMALS = 1e-6, 8
NO_SUBSCRIPTION = "It copies nothing that could be changed."
NOT_COPIED = "It does not copy the strategy."
ACCOUNT_LIMITS = {
    "maxTradeVolume": "Largest trade, lots",
    "minTradeVolume": "Smallest trade, lots",
    "maxLeverage": "Leverage",
}
LIMITS = {**ACCOUNT_LIMITS, "maxTradeRisk": "Risk per trade"}
SHARES = ("maxTradeRisk",)


@dataclass(frozen=True)
class Act:
    """One kind of act. title: in words, of a request; plan: for one account's document."""

    key: str
    words: str
    title: Callable[[Document], str]
    plan: Callable[[Document, Document], RowPlan]


def subscriptions_of(document: Document, strategy: str) -> list[Document]:
    """What the account copies and does not wind down, of one strategy or all."""
    subscriptions = [terms for terms in document.get("subscriptions") or [] if isinstance(terms, dict)]
    copied = [terms for terms in subscriptions if terms.get("strategyId") and not terms.get("removed")]
    return [terms for terms in copied if strategy in ("", terms["strategyId"])]


def on_subscriptions(request: Document, document: Document, patch: Callable[[Document], Document]) -> RowPlan:
    """The same edit of every subscription that the request is about."""
    strategy = request.get("strategy", "")
    chosen = subscriptions_of(document, strategy)
    if not chosen:
        return RowPlan(refusal=NOT_COPIED if strategy else NO_SUBSCRIPTION)
    return RowPlan({terms["strategyId"]: patch(terms) for terms in chosen})


# --- Ratio -----------------------------------------------------------------------------------------------------------
def plan_ratio(request: Document, document: Document) -> RowPlan:
    """Set it, or multiply what it is: not set means 1."""

    def patch(terms: Document) -> Document:
        value = request["value"]
        if request["act"] == "multiply-ratio":
            value = max(round((terms.get("multiplier") or 1) * value, MOST_DECIMALS), SMALLEST_RATIO)
        return {"multiplier": value}

    return on_subscriptions(request, document, patch)


# --- Limits ----------------------------------------------------------------------------------------------------------
def plan_limit(request: Document, document: Document) -> RowPlan:
    """Set one limit of trades, or take it away (value None)."""
    patch = {request["setting"]: request["value"]}
    if request["setting"] in ACCOUNT_LIMITS and not request.get("strategy"):
        return RowPlan({"": patch})
    return on_subscriptions(request, document, lambda terms: patch)


def plan_risk_limit(request: Document, document: Document) -> RowPlan:
    """Set the limit of one period and measure, in the place of another one of the same, or take it away."""
    wanted = request["limit"]

    def patch(level: Document) -> Document:
        limits = [limit for limit in level.get("riskLimits") or [] if not is_same_limit(limit, wanted)]
        if request["value"] is not None:
            limits.append({**wanted, "maxRelativeRisk": request["value"], "closePositions": request["closes"]})
        return {"riskLimits": limits or None}

    if not request.get("strategy"):
        return RowPlan({"": patch(document)})
    return on_subscriptions(request, document, patch)


def is_same_limit(limit: Any, wanted: Document) -> bool:
    """Whether both bound the same loss of the same period."""
    return isinstance(limit, dict) and all(limit.get(name) == wanted[name] for name in ("type", "applyTo"))


# --- Pausing ---------------------------------------------------------------------------------------------------------
def plan_close_only(request: Document, document: Document) -> RowPlan:
    """Of the account, or of its subscriptions to one strategy."""
    patch = {"closeOnly": request["mode"] or None}
    return on_subscriptions(request, document, lambda terms: patch) if request.get("strategy") else RowPlan({"": patch})


# --- In words --------------------------------------------------------------------------------------------------------
def ratio_words(request: Document) -> str:
    """Ratio × 0.5, or Ratio 0.5 times what it is."""
    value = plain_number(request["value"])
    return f"Ratio × {value}" if request["act"] == "set-ratio" else f"Ratio {value} times what it is"


def limit_words(request: Document) -> str:
    """Largest trade 2, or no such limit."""
    words, value = LIMITS[request["setting"]].partition(",")[0], request["value"]
    if value is None:
        return f"{words}: no limit"
    return f"{words} {percent(value) if request['setting'] in SHARES else plain_number(value)}"


def risk_words(request: Document) -> str:
    """Risk limit of a day, 5 %."""
    limit = request["limit"]
    what = f"{BASES.get(limit['applyTo'], limit['applyTo'])} {PERIODS.get(limit['type'], limit['type'])}".capitalize()
    return f"{what}: no limit" if request["value"] is None else f"{what}: at most {percent(request['value'])}"


def percent(share: float) -> str:
    """0.05 -> 5 %."""
    return f"{plain_number(round(share * 100, 6))}\u202f%"


def close_only_words(request: Document) -> str:
    """Pause, close-only, go on."""
    mode: str = request["mode"]
    return CLOSE_ONLY.get(mode, mode) if mode else "Go on copying"


ACTS = {
    act.key: act
    for act in (
        Act("set-ratio", "Set the ratio", ratio_words, plan_ratio),
        Act("multiply-ratio", "Multiply the ratio", ratio_words, plan_ratio),
        Act("limit", "Set a limit of trades", limit_words, plan_limit),
        Act("risk-limit", "Set a risk limit", risk_words, plan_risk_limit),
        Act("close-only", "Pause, close only or go on", close_only_words, plan_close_only),
    )
}
