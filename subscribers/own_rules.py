"""Whether what a client changes keeps to the bounds of their manager. Pure: documents and bounds give sentences.

Everything that differs between the documents has to be allowed by name, so that a form, an undo, a change put on top of
another one and a request made by hand are judged alike. Values that do not differ are never judged: what a manager set
outside of the bounds stays.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from editing.merging import writable
from editing.targets import Document
from editing.widgets import plain_number

# the loss limit that a client sets: of a day, counted from equity, so that open positions count as well
OWN_LIMIT = {"type": "day", "applyTo": "equity-difference"}
ELSE = "Only pausing, the ratio and limits are changed here; your account manager changes the rest."
HELD = "Your account manager paused it, and only they let it go on."


@dataclass(frozen=True)
class OwnSetting:
    """A setting of a subscription that clients may change within a range. is_share: in percent where people read it.

    most: what no range may exceed. is_limit: it may be not set at all, which means no limit.
    """

    key: str
    wire: str
    label: str
    unit: str
    help: str
    most: Decimal
    is_share: bool = False
    is_limit: bool = True

    def words(self, value: Decimal | float | None) -> str:
        """The value with its unit."""
        if value is None:
            return "no limit"
        shown = plain_number(round(float(value) * (100 if self.is_share else 1), 8))
        return f"× {shown}" if self.unit == "×" else f"{shown}\u202f{self.unit}"


SETTINGS = (
    OwnSetting(
        "ratio",
        "multiplier",
        "Ratio",
        "×",
        "How much of the provider's volume is copied; 1 is all of it.",
        Decimal(1000),
        is_limit=False,
    ),
    OwnSetting("trade", "maxTradeVolume", "Largest trade", "lots", "Larger copies are cut to it.", Decimal(1_000_000)),
    OwnSetting(
        "risk",
        "maxTradeRisk",
        "Risk per trade",
        "%",
        "Share of the balance that one copy may lose at its stop loss.",
        Decimal(1),
        is_share=True,
    ),
    OwnSetting(
        "loss",
        "",
        "Loss within a day",
        "%",
        "Share of the balance; then nothing new is opened until the day ends.",
        Decimal(1),
        is_share=True,
    ),
)


@dataclass(frozen=True)
class Range:
    """From and to, both included. to None: no end, and a limit may be taken out."""

    low: Decimal
    high: Decimal | None

    def holds(self, value: float | None, *, is_limit: bool) -> bool:
        if value is None:
            return is_limit and self.high is None
        exact = Decimal(str(value))
        return self.low <= exact and (self.high is None or exact <= self.high)

    def words(self, setting: OwnSetting) -> str:
        """0.1 to 1."""
        if self.high is None:
            return f"{setting.words(self.low)} or more, or no limit"
        return f"{setting.words(self.low)} to {setting.words(self.high)}"


@dataclass(frozen=True)
class OwnBounds:
    """What the clients of one strategy may change; nothing by default."""

    may_pause: bool = False
    may_close: bool = False
    ranges: Mapping[str, Range] = field(default_factory=dict)
    closing: tuple[str, ...] = ()

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> OwnBounds:
        """From what is stored (subscribers.bounds.ClientBounds.content)."""
        ranges = {
            key: Range(Decimal(stored["from"]), None if stored["to"] is None else Decimal(stored["to"]))
            for key, stored in content["ranges"].items()
        }
        return cls(content["may_pause"], content["may_close"], ranges, tuple(content["closing"]))

    @property
    def is_any(self) -> bool:
        return bool(self.may_pause or self.may_close or self.ranges or self.closing)


NOTHING = OwnBounds()


def bounds_of_account(strategy_ids: Collection[str], bounds: Mapping[str, OwnBounds]) -> OwnBounds:
    """What holds for the account as a whole: what each strategy that it copies allows. It has no ranges of its own."""
    own = [bounds.get(strategy_id, NOTHING) for strategy_id in strategy_ids]
    if not own:
        return NOTHING
    closing = [mode for mode in own[0].closing if all(mode in allowed.closing for allowed in own)]
    return OwnBounds(
        all(allowed.may_pause for allowed in own), all(allowed.may_close for allowed in own), {}, tuple(closing)
    )


# --- Values in documents ----------------------------------------------------------------------------------------------
def is_own_limit(limit: Any) -> bool:
    return isinstance(limit, dict) and all(limit.get(name) == value for name, value in OWN_LIMIT.items())


def value_of(setting: OwnSetting, terms: Document) -> float | None:
    """What the subscription says; None: not set. A ratio that is not set is 1."""
    if setting.key == "loss":
        limits = [limit for limit in terms.get("riskLimits") or [] if is_own_limit(limit)]
        return limits[0].get("maxRelativeRisk") if limits else None
    value = terms.get(setting.wire)
    return 1 if value is None and setting.key == "ratio" else value


def with_value(setting: OwnSetting, terms: Document, value: float | None) -> Document:
    """The subscription with another value; None takes a limit out."""
    if setting.key != "loss":
        others = {name: old for name, old in terms.items() if name != setting.wire}
        return others if value is None else others | {setting.wire: value}
    limits = list(terms.get("riskLimits") or [])
    place = next((number for number, limit in enumerate(limits) if is_own_limit(limit)), len(limits))
    # what a manager said of the limit besides, such as closing positions, stays
    old = limits[place] if place < len(limits) else {**OWN_LIMIT, "closePositions": False}
    limits[place : place + 1] = [] if value is None else [old | {"maxRelativeRisk": value}]
    others = {name: old for name, old in terms.items() if name != "riskLimits"}
    return others | ({"riskLimits": limits} if limits else {})


# --- The judgement ----------------------------------------------------------------------------------------------------
def subscriptions_in(document: Document) -> list[Document]:
    listed = document.get("subscriptions") or []
    return [terms for terms in listed if isinstance(terms, dict)]


def current_ids(document: Document) -> list[str]:
    """Ids of what the account copies and does not wind down."""
    return [terms.get("strategyId", "") for terms in subscriptions_in(document) if not terms.get("removed")]


def why_not_changed(
    before: Document, after: Document, bounds: Mapping[str, OwnBounds], *, liftable: Collection[str]
) -> list[str]:
    """Why a client may not make `after` of `before`; []: they may.

    bounds: by strategy id; liftable: parts ("" the account) whose pause the client set, and may end or change.
    """
    old, new = writable(before), writable(after)
    pairs = list(zip(subscriptions_in(old), subscriptions_in(new), strict=False))
    same = [terms.get("strategyId") for terms in subscriptions_in(old)] == [
        terms.get("strategyId") for terms in subscriptions_in(new)
    ]
    if not same or without(old, "subscriptions", "closeOnly") != without(new, "subscriptions", "closeOnly"):
        return [ELSE]
    problems = pause_problems(old, new, bounds_of_account(current_ids(old), bounds), is_held="" not in liftable)
    for terms, changed in pairs:
        own = NOTHING if terms.get("removed") else bounds.get(terms.get("strategyId", ""), NOTHING)
        problems += pause_problems(terms, changed, own, is_held=terms.get("strategyId") not in liftable)
        problems += range_problems(terms, changed, own)
    return list(dict.fromkeys(problems))


def pause_problems(old: Document, new: Document, bounds: OwnBounds, *, is_held: bool) -> list[str]:
    """What speaks against another closeOnly."""
    was, wanted = old.get("closeOnly") or "", new.get("closeOnly") or ""
    if was == wanted:
        return []
    if was and is_held:
        return [HELD]
    if wanted == "immediately" and not bounds.may_close:
        return ["Your account manager closes positions for you."]
    if not bounds.may_pause and wanted != "immediately":
        return ["Your account manager pauses copying for you."]
    return []


def range_problems(old: Document, new: Document, bounds: OwnBounds) -> list[str]:
    """What speaks against other values; whatever else differs is not for clients."""
    problems = []
    for setting in SETTINGS:
        value, allowed = value_of(setting, new), bounds.ranges.get(setting.key)
        if value == value_of(setting, old):
            continue
        if allowed is None:
            problems.append(f"{setting.label}: your account manager changes this.")
        elif not allowed.holds(value, is_limit=setting.is_limit):
            problems.append(f"{setting.label}: your account manager allows {allowed.words(setting)}.")
    judged = ("closeOnly", "riskLimits", *(setting.wire for setting in SETTINGS if setting.wire))
    if without(old, *judged) != without(new, *judged) or not is_only_amount(old, new):
        problems.append(ELSE)
    return problems


def is_only_amount(old: Document, new: Document) -> bool:
    """Whether of the risk limits only the share of a client's own one differs; it may come and go."""
    before, after = old.get("riskLimits") or [], new.get("riskLimits") or []
    if before == after:
        return True
    if [limit for limit in before if not is_own_limit(limit)] != [limit for limit in after if not is_own_limit(limit)]:
        return False
    mine, others = ([limit for limit in limits if is_own_limit(limit)] for limits in (after, before))
    if len(mine) > 1 or len(others) > 1:
        return False
    former = others[0] if others else {**OWN_LIMIT, "closePositions": False}
    return not mine or without(mine[0], "maxRelativeRisk") == without(former, "maxRelativeRisk")


def why_not_left(document: Document, part: str, mode: str, bounds: Mapping[str, OwnBounds]) -> str:
    """Why a client may not stop copying one strategy, or all ("" part), with these close instructions; "": they may."""
    current = current_ids(document)
    if part and part not in current:
        return "It is not copied any more."
    own = bounds.get(part, NOTHING) if part else bounds_of_account(current, bounds)
    if not own.closing:
        return "Your account manager ends copying for you: tell them that you want to leave."
    return "" if mode in own.closing else "Your account manager does not allow to leave positions like that."


def without(document: Document, *names: str) -> Document:
    """The document without some settings, and without those that say nothing."""
    return {name: value for name, value in document.items() if name not in names and value not in (None, [], {})}
