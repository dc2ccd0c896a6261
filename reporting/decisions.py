"""Reads of the mirrored decisions: the chain of volumes of one, who else got its signal, and how a day's copies ended.

Nothing is decided here: what the backend recorded is put into an order that a person reads. Volumes are lots.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from django.db.models import QuerySet, Sum

from copying.engine.model import Level
from copying.engine.reasons import BY_CODE, LEVEL_NAMES, REASONS, Reason, limit_text, number
from reporting.models import Decision, DecisionCount, Transaction
from reporting.reconstruction.assumptions import REASONS as RECONSTRUCTED
from users.models import Membership, Workspace

MOST_ROUTES = 50
MOST_REASONS = 5
DEAL_WITHIN = timedelta(hours=1)  # a copy is placed at once or after signalDelay
LIMITS = (
    Reason.MAX_TRADE_RISK,
    Reason.MAX_TRADE_VOLUME,
    Reason.CORRELATION,
    Reason.MAX_LEVERAGE,
    Reason.BROKER_MAX_VOLUME,
    Reason.STOP_LOSS_NEEDED,
)
SCALING = (
    Reason.NO_EXCHANGE_RATE,
    Reason.NO_MONEY,
    Reason.PROVIDER_WITHOUT_MONEY,
    Reason.NO_STOP_LOSS,
    Reason.EXPRESSION_FAILED,
    Reason.NO_PROVIDER_PRICE,
)
ROUNDING = (Reason.MAX_RISK_COEFFICIENT, Reason.TINY_TRADE, Reason.TINY_TRADE_FORCED)
RESULT = (
    Reason.RESERVED_MARGIN,
    Reason.MIN_TRADE_VOLUME,
    Reason.MIN_TRADE_AMOUNT,
    Reason.DELAYED,
    Reason.TOO_LATE,
    Reason.NOT_ENOUGH_MARGIN,
    Reason.BROKER_REFUSED,
    Reason.OFFLINE,
    Reason.ORPHAN,
    Reason.INVALID_PRICE,
    Reason.INVALID_STOPS,
    Reason.PRICES_OF_ANOTHER_SYMBOL,
)
UNITS = {"fraction": "", "ratio": "", "magic": "", "account currency": "in account currency"}


@dataclass(frozen=True)
class DecisionStep:
    """One step of the chain. `lots` None: not worked out. `is_decisive`: this step changed or stopped the trade."""

    label: str
    lots: Decimal | None
    note: str
    is_decisive: bool = False
    has_lots: bool = True

    @property
    def shown_lots(self) -> Decimal | None:
        """To four decimals, which is finer than any broker's step; the exact volume stays in `lots`."""
        return None if self.lots is None else round(self.lots, 4)


def reason_label(code: str) -> str:
    """The reason in words, for filters and counts."""
    return RECONSTRUCTED.get(code) or code.replace("-", " ").capitalize()


def rule_of(decision: Decision) -> str:
    """The rule that decided, where it is set and its number: "Max trade volume of the subscription: 0.2 lots"."""
    reason = BY_CODE.get(decision.reason)
    about = REASONS.get(reason) if reason is not None else None
    level = LEVEL_NAMES.get(Level.__members__.get(decision.level.upper(), Level.NONE), "") if decision.level else ""
    rule = f"{reason_label(decision.reason)} of {level}" if level else reason_label(decision.reason)
    if decision.limit_value is None or about is None or not about.unit:
        return rule
    unit = UNITS.get(about.unit, about.unit)
    return f"{rule}: {limit_text(float(decision.limit_value), about.unit)} {unit}".strip()


def place_of(decision: Decision) -> str:
    """The step of the chain at which it was decided; empty for a plain copy."""
    reason = BY_CODE.get(decision.reason)
    if reason is None or reason == Reason.COPIED:
        return ""
    for label, reasons in (("Limits", LIMITS), ("Scaling", SCALING), ("Rounding", ROUNDING), ("Result", RESULT)):
        if reason in reasons:
            return label
    return "Filters"


def chain(decision: Decision) -> list[DecisionStep]:
    """Source volume -> filters -> scaling -> multiplier -> limits -> rounding -> result, in lots."""
    place = place_of(decision)
    rule = rule_of(decision) if place else ""
    source = DecisionStep("Source", decision.provider_lots, f"The provider's trade in {decision.symbol}")
    filters = DecisionStep(
        "Filters", None, rule if place == "Filters" else "Passed", place == "Filters", has_lots=False
    )
    result = DecisionStep(
        "Result", decision.final_lots, rule if place == "Result" else _result(decision), place == "Result"
    )
    if place == "Filters":
        return [source, filters, result]
    if decision.is_reconstructed and decision.rounded_lots is None:
        return [source, result]  # what lies between is not known
    volumes = (
        ("Scaling", decision.scaled_lots, _ratio(decision.provider_lots, decision.scaled_lots)),
        ("Multiplier", decision.multiplied_lots, _ratio(decision.scaled_lots, decision.multiplied_lots)),
        ("Limits", decision.limited_lots, "None applied"),
        ("Rounding", decision.rounded_lots, "To the broker's volume step"),
    )
    steps = [
        DecisionStep(label, lots, rule if place == label else note, place == label) for label, lots, note in volumes
    ]
    return [source, filters, *steps, result]


def _ratio(before: Decimal | None, after: Decimal | None) -> str:
    if not before or after is None:
        return ""
    return "Unchanged" if before == after else f"× {number(round(float(after / before), 4))}"


def _result(decision: Decision) -> str:
    if decision.reason in RECONSTRUCTED and decision.outcome == "skipped":
        return reason_label(decision.reason)
    if decision.outcome in ("copied", "resized"):
        return f"Placed in {decision.subscriber_symbol or decision.symbol}"
    return "Nothing was placed"


def routes_of(decision: Decision, membership: Membership) -> QuerySet[Decision]:
    """Every decision about the same signal that one may see, this one included."""
    same = Decision.objects.visible_to(membership).filter(signal_id=decision.signal_id)
    same = same.filter(connection_id=decision.connection_id, source_strategy_id=decision.source_strategy_id)
    return same.select_related("subscriber", "strategy").order_by("-id")


def deal_of(decision: Decision) -> Transaction | None:
    """The opening deal of the copy, which carries latency and slippage; None when nothing was traded (yet)."""
    if not decision.final_lots:
        return None
    own = Transaction.objects.filter(workspace_id=decision.workspace_id, subscriber_id=decision.subscriber_id)
    own = own.filter(connection_id=decision.connection_id, strategy_id=decision.strategy_id)
    within = own.filter(time__gte=decision.time, time__lte=decision.time + DEAL_WITHIN)
    return within.filter(position_id=decision.signal_id).order_by("time", "id").first()


@dataclass(frozen=True)
class Copies:
    """How the decisions of a day ended. `reasons`: (code, words, how many) of what was not copied, most first."""

    outcomes: dict[str, int]
    reasons: list[tuple[str, str, int]]

    @property
    def total(self) -> int:
        return sum(self.outcomes.values())


def copies_of_day(workspace: Workspace, day: date) -> Copies:
    """The workspace's decisions of a UTC day, from the counts that the sync keeps."""
    counts = DecisionCount.objects.filter(workspace=workspace, day=day).values_list("outcome", "reason")
    outcomes: dict[str, int] = dict.fromkeys(("copied", "resized", "delayed", "skipped", "failed"), 0)
    reasons: dict[str, int] = {}
    for outcome, reason, decisions in counts.annotate(total=Sum("decisions")).filter(total__gt=0).order_by():
        outcomes[outcome] = outcomes.get(outcome, 0) + decisions
        if outcome in ("skipped", "failed"):
            reasons[reason] = reasons.get(reason, 0) + decisions
    most = sorted(reasons.items(), key=lambda reason_count: (-reason_count[1], reason_count[0]))[:MOST_REASONS]
    return Copies(outcomes, [(code, reason_label(code), count) for code, count in most])
