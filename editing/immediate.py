"""What saving a change does at once, beyond the next signals: the one place that says so, before and at saving.

Some of it stands in the documents (editing/dangers.py), some only the backend can measure: limits that are exceeded
already, positions that news or close-only would close. What cannot be measured is not known, never harmless.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import msgspec

from copying.client import Client, Forbidden, NotFound, Rejected
from copying.contract.accounts import MeasuredLimit
from editing.dangers import may_act, needs_measuring, reasons_of, side_effects_of
from editing.limits import LEVEL_WORDS, allowed, limit_words
from editing.models import Change
from editing.targets import SUBSCRIBER, Link, names_of, target_of
from editing.what_if import changes_of

MOST_LISTED = 12
NOT_OFFERED = "This backend does not tell how far limits are used up. Whether something closes at once is not known."


@dataclass(frozen=True)
class LimitNow:
    """A limit that the change sets or changes, as it would stand right after saving. Amounts: account currency."""

    account: Link
    account_id: str
    currency: str
    what: str
    level: str
    measured: Decimal
    bound: Decimal | None
    fires: bool
    closes: bool
    positions: int

    @property
    def left(self) -> Decimal | None:
        """What may still be lost; 0: it fires."""
        return None if self.bound is None else max(self.bound - self.measured, Decimal(0))


@dataclass(frozen=True)
class ImmediateEffects:
    """reasons: what closes or takes away, in sentences; notes: what happens at once and harms no position.

    count: limits set or changed; fires, stopped: how many of them are exceeded already, at how many accounts;
    positions, accounts: what would close at once, and where. problem: why the figures are not known.
    """

    reasons: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    limits: list[LimitNow] = field(default_factory=list)
    count: int = 0
    fires: int = 0
    stopped: int = 0
    positions: int = 0
    accounts: int = 0
    problem: str = ""

    @property
    def is_dangerous(self) -> bool:
        """Whether the name is asked for: positions or copying end at once, or nobody knows whether they do."""
        return bool(self.reasons or self.fires or self.positions or self.problem)


def document_effects(change: Change) -> ImmediateEffects:
    """What follows from the documents alone."""
    return ImmediateEffects(reasons_of(change), side_effects_of(change))


# --- What the backend measures ----------------------------------------------------------------------------------------
def effects_of(change: Change, *, client: Client) -> ImmediateEffects:
    """All that saving would do at once. Raises the client's errors but one: a backend that cannot tell."""
    stated = document_effects(change)
    if not needs_measuring(change):
        return stated
    try:
        return add_measured(stated, change, client.immediate_effects(changes_of(change)))
    except (NotFound, Forbidden):
        return replace(stated, problem=NOT_OFFERED) if may_act(change) else stated
    except Rejected:
        # what cannot be saved does nothing: saving says what is wrong with it, without asking for a name first
        return stated


def unknown_effects(change: Change, why: str) -> ImmediateEffects:
    """As `effects_of` when the backend could not be asked."""
    stated = document_effects(change)
    if not needs_measuring(change) or not may_act(change):
        return stated
    return replace(stated, problem=f"Whether a limit is exceeded already is not known. {why}")


def add_measured(stated: ImmediateEffects, change: Change, answer: dict[str, Any]) -> ImmediateEffects:
    """With the backend's answer (E11), its accounts and strategies by name."""
    rows = (answer.get("limits") or [])[:MOST_LISTED]
    ids = {row.get("accountId") for row in rows}
    known = target_of(SUBSCRIBER).links(change.connection_id, ids) if ids else {}
    copied = {row[name] for row in rows for name in ("strategyId", "sourceStrategyId") if row.get(name)}
    strategies = names_of(change.connection_id, copied) if copied else {}
    closing = answer.get("positions") or {}
    return replace(
        stated,
        limits=[limit_now(row, known, strategies) for row in rows],
        count=answer.get("count", len(rows)),
        fires=answer.get("fires", 0),
        stopped=answer.get("accounts", 0),
        positions=closing.get("positions", 0),
        accounts=closing.get("accounts", 0),
    )


def limit_now(row: dict[str, Any], known: dict[str, Link], strategies: dict[str, str]) -> LimitNow:
    """One limit of the answer."""
    limit = msgspec.convert(row, MeasuredLimit, strict=False)
    where = [
        strategies.get(strategy_id, strategy_id)
        for strategy_id in (limit.source_strategy_id, limit.strategy_id)
        if strategy_id
    ]
    return LimitNow(
        account=known.get(row["accountId"], Link("")),
        account_id=row["accountId"],
        currency=row.get("currency", ""),
        what=limit_words(limit.type, limit.apply_to) + (f", {' in '.join(where)}" if where else ""),
        level=LEVEL_WORDS.get(limit.level, ""),
        measured=limit.drawdown,
        bound=allowed(limit),
        fires=bool(row.get("fires")),
        closes=limit.close_positions,
        positions=row.get("positions", 0),
    )
