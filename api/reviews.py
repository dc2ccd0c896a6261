"""The review of an edit as JSON: every setting, what happens at once, whom it reaches, what it would have done."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rest_framework import serializers

from api.fields import DecimalText, MomentField, flag, number, text
from copying.client import Client
from editing.immediate import ImmediateEffects, LimitNow
from editing.models import Action, Change
from editing.proposals import differences_of
from editing.targets import target_of
from editing.what_if import WhatIf, simulate

MOST_NAMES = 8
OUTCOMES = ["proposed", "unchanged", "done", "unknown"]


# --- What is answered -----------------------------------------------------------------------------------------------
class DifferenceRow(serializers.Serializer):
    """One setting before and after, in words."""

    where = text(help_text="Empty: the object itself; else the member or subscription.")
    setting = text()
    before = text()
    after = text()


class LimitRow(serializers.Serializer):
    """A risk limit that is set or changed, as it stands right after saving. Money in the account's currency."""

    account = text(help_text="Its id at the copying backend.")
    currency = text()
    limit = text()
    level = text()
    measured = DecimalText()
    allowed = DecimalText(allow_null=True, help_text="null: it bounds nothing.")
    fires = flag()
    positions_closed = number()


class EffectsRow(serializers.Serializer):
    """What happens at once."""

    is_dangerous = flag(help_text="Whether “confirm” is needed: positions or copying end at once, or may.")
    reasons = serializers.ListField(child=text(), help_text="What closes or is taken away.")
    notes = serializers.ListField(child=text(), help_text="What else happens at once.")
    problem = text(help_text="Why it is not known; empty: it is.")
    limits_exceeded = number(help_text="Limits that fire at once.")
    accounts_stopped = number(help_text="At so many accounts.")
    positions_closed = number(help_text="Copied positions that close at once.")
    limits = LimitRow(many=True, help_text="The first of the limits that are set or changed.")


class SumsRow(serializers.Serializer):
    """Copies of the last days. Money in the currency of the what-if."""

    copied = number()
    resized = number()
    skipped = number()
    failed = number()
    unknown = number(help_text="Copies of which not enough is known; only where it is reconstructed.")
    volume = DecimalText(help_text="Lots.")
    profit = DecimalText(allow_null=True, help_text="null: not known.")
    floating_profit = DecimalText(allow_null=True, help_text="null: not known.")
    max_drawdown = DecimalText(allow_null=True, help_text="null: not known.")


class WhatIfRow(serializers.Serializer):
    """The signals of the last days, decided as they were and as they would be."""

    problem = text(help_text="Why there is no answer; empty: there is one.")
    days = number()
    currency = text()
    signals = number()
    copies_that_differ = number()
    is_reconstructed = flag(help_text="Decided here over mirrored signals, as the backend has no simulations.")
    assumed = serializers.ListField(child=text(), help_text="Sentences; empty: nothing, or the backend decided.")
    missing = serializers.ListField(child=text(), help_text="What would have decided and is not known, sentences.")
    copies_undecided = number(help_text="Copies that may differ: not enough is known of them.")
    before = SumsRow(allow_null=True)
    after = SumsRow(allow_null=True)
    difference = SumsRow(allow_null=True)


class ReviewRow(serializers.Serializer):
    """What a change would do."""

    name = text(help_text="Of the object: what “confirm” has to be where it is needed.")
    differences = DifferenceRow(many=True)
    effects = EffectsRow()
    accounts_reached = number()
    what_if = WhatIfRow(allow_null=True, help_text="null: only dry runs look back.")


class ChangeRow(serializers.Serializer):
    """A change as the page of the object lists it."""

    id = number()
    kind = text(help_text="strategy, portfolio or subscriber.")
    backend_id = text()
    part = text(help_text="Strategy id of the member or subscription; empty: the object itself.")
    name = text()
    action = serializers.ChoiceField([action.value for action in Action], read_only=True)
    outcome = text(help_text="done, sending, unknown, refused, not-done, overtaken; empty: not sent.")
    summary = text(help_text="Every difference on a line.")
    token = text(help_text="Name of the token it was saved with; empty: on a page.")
    undoes = number(allow_null=True, help_text="The change that it puts back.")
    saved_at = MomentField(allow_null=True)


class WriteAnswer(serializers.Serializer):
    """What came of a write. proposed: a dry run; unknown: sent, and not confirmed yet."""

    outcome = serializers.ChoiceField(OUTCOMES, read_only=True)
    change = ChangeRow(allow_null=True)
    review = ReviewRow(allow_null=True, help_text="Of a dry run.")


# --- Made of the edit -----------------------------------------------------------------------------------------------
def change_row(change: Change) -> dict[str, Any]:
    """A change as it is answered."""
    fields = ("id", "kind", "backend_id", "part", "name", "action", "outcome", "summary")
    row = {name: getattr(change, name) for name in fields}
    row |= {"token": change.sent_with, "undoes": change.undoes_id, "saved_at": change.saved_at}
    return dict(ChangeRow(row).data)


def review_of(
    change: Change, effects: ImmediateEffects, *, client: Client | None = None, now: datetime | None = None
) -> dict[str, Any]:
    """The review as it is answered. client, now: also look back over the last days."""
    rows = [] if change.action == Action.REMOVE else differences_of(change)
    looked_back = None
    if client is not None and now is not None:
        looked_back = what_if_row(simulate(change, client=client, now=now))
    return {
        "name": change.name,
        "differences": [
            {"where": row.where, "setting": row.label, "before": row.before, "after": row.after} for row in rows
        ],
        "effects": effects_row(effects),
        "accounts_reached": target_of(change.kind).reach(change, most=MOST_NAMES).count,
        "what_if": looked_back,
    }


def effects_row(effects: ImmediateEffects) -> dict[str, Any]:
    """What happens at once, as it is answered."""
    return {
        "is_dangerous": effects.is_dangerous,
        "reasons": list(effects.reasons),
        "notes": list(effects.notes),
        "problem": effects.problem,
        "limits_exceeded": effects.fires,
        "accounts_stopped": effects.stopped,
        "positions_closed": effects.positions,
        "limits": [limit_row(limit) for limit in effects.limits],
    }


def limit_row(limit: LimitNow) -> dict[str, Any]:
    """One limit as it is answered."""
    row: dict[str, Any] = {"account": limit.account_id, "currency": limit.currency, "limit": limit.what}
    row |= {"level": limit.level, "measured": limit.measured, "allowed": limit.bound, "fires": limit.fires}
    return dict(LimitRow(row | {"positions_closed": limit.positions}).data)


def what_if_row(summary: WhatIf) -> dict[str, Any]:
    """The answer of a simulation."""
    is_known = not summary.problem
    return {
        "problem": summary.problem,
        "days": summary.days,
        "currency": summary.currency,
        "signals": summary.signals,
        "copies_that_differ": summary.differs,
        "is_reconstructed": summary.is_reconstructed,
        "assumed": list(summary.assumed),
        "missing": [what for _, what, _ in summary.missing],
        "copies_undecided": summary.undecided,
        "before": sums_row(summary.before) if is_known else None,
        "after": sums_row(summary.after) if is_known else None,
        "difference": sums_row(summary.difference) if is_known else None,
    }


def sums_row(sums: Mapping[str, Any]) -> dict[str, Any]:
    """Sums of copies, with what was not told as none."""
    names = {"floating_profit": "floatingProfit", "max_drawdown": "maxDrawdown"}
    money = ("profit", "floating_profit", "max_drawdown")
    row = {name: sums.get(names.get(name, name), None if name in money else 0) for name in SumsRow().fields}
    return dict(SumsRow(row).data)
