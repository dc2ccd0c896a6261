"""What saving a change does at once, beyond the next signals: the one place that says so, before and at saving.

Some of it stands in the documents (`document_effects`), some only the backend can measure (`measure`: limits that are
exceeded already, positions that news or close-only would close). What cannot be measured is not known, never harmless.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from math import inf
from typing import Any

import msgspec

from copying.client import Client, NotFound, Rejected
from copying.contract.accounts import RiskLimit
from strategies.models import Action, Change, Strategy, Target
from strategies.removal import MODES, mode_words
from subscribers.headroom import LEVEL_WORDS, allowed, limit_words
from subscribers.models import Subscriber
from subscribers.whatif import changes_of

MOST_LISTED = 12
PARTS = {Target.PORTFOLIO: "members", Target.SUBSCRIBER: "subscriptions"}
# settings whose new value the backend applies to what is open, or measures, as soon as it is saved
MEASURED = ("riskLimits", "newsFilter", "closeOnly")
NOT_OFFERED = "This backend does not tell how far limits are used up. Whether something closes at once is not known."


@dataclass(frozen=True)
class LimitNow:
    """A limit that the change sets or changes, as it would stand right after saving. Amounts: account currency."""

    account: Subscriber | None
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
class Effects:
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


# --- What the documents say -------------------------------------------------------------------------------------------
def removed(change: Change) -> str:
    """The whole object goes, or one part of it with close instructions."""
    if change.action not in (Action.REMOVE, Action.TAKE_OUT):
        return ""
    return mode_words(change.instructions.get("mode") or MODES[-1][0])


def parts_left_out(change: Change) -> str:
    """A member or subscription is not named any more."""
    kept = [part.get("strategyId") for part in parts_of(change, change.after)]
    for part in parts_of(change, change.before):
        if part.get("strategyId") not in kept:
            return "What is taken out of the list is no longer copied; its copied positions are closed at once."
        kept.remove(part.get("strategyId"))  # a portfolio may hold one strategy twice
    return ""


def closed_at_once(change: Change) -> str:
    """Close-only of the strictest kind is new somewhere."""
    before, after = modes_of(change, change.before), modes_of(change, change.after)
    is_new = any(mode == "immediately" and before.get(key) != mode for key, mode in after.items())
    return "Copied positions are closed at once." if is_new else ""


def another_account(change: Change) -> str:
    """A strategy gets its trades from another account."""
    before, after = change.before.get("accountId"), change.after.get("accountId")
    if change.kind != Target.STRATEGY or not before or before == after:
        return ""
    return f"Trades that are open at {before} are followed no longer: their copies stay open without their provider."


def orders_withdrawn(change: Change) -> str:
    """Close-only that leaves positions open still withdraws waiting orders."""
    before, after = modes_of(change, change.before), modes_of(change, change.after)
    is_new = any(mode in ("by-position", "by-symbol") and before.get(key) != mode for key, mode in after.items())
    return "Copied orders that wait and would open new trades are withdrawn at once." if is_new else ""


def offer_withdrawn(change: Change) -> str:
    """Whoever copies by an offer that is taken back opens nothing more."""
    before, after = offered_to(change.before), offered_to(change.after)
    if not before or after == "everybody" or (after and before != "everybody" and set(before) <= set(after)):
        return ""
    return (
        "Others who copy it by this offer open nothing more: waiting orders are withdrawn, open copies close with it."
    )


def offered_to(document: dict[str, Any]) -> str | tuple[str, ...]:
    """ "everybody", or the users that a strategy or portfolio is offered to."""
    offer = document.get("offer") or {}
    return "everybody" if offer.get("to") == "everybody" else tuple(offer.get("tenants") or ())


REASONS: tuple[Callable[[Change], str], ...] = (removed, parts_left_out, closed_at_once, another_account)
NOTES: tuple[Callable[[Change], str], ...] = (orders_withdrawn, offer_withdrawn)


def document_effects(change: Change) -> Effects:
    """What follows from the documents alone."""
    rules = REASONS[:1] if change.action in (Action.REMOVE, Action.TAKE_OUT) else REASONS
    notes = () if change.action in (Action.REMOVE, Action.TAKE_OUT) else NOTES
    return Effects(
        [text for rule in rules if (text := rule(change))], [text for note in notes if (text := note(change))]
    )


def parts_of(change: Change, document: dict[str, Any]) -> list[dict[str, Any]]:
    """Members or subscriptions of a document."""
    parts = document.get(PARTS.get(Target(change.kind), "")) or []
    return [part for part in parts if isinstance(part, dict)]


def modes_of(change: Change, document: dict[str, Any]) -> dict[tuple, str]:
    """closeOnly of the object and of each of its parts."""
    counted: dict[tuple, str] = {("", 0): document.get("closeOnly") or ""}
    for part in parts_of(change, document):
        number = sum(key[0] == part.get("strategyId") for key in counted)
        counted[part.get("strategyId"), number] = part.get("closeOnly") or ""
    return counted


def needs_measuring(change: Change) -> bool:
    """Whether a setting differs, on whichever level of the document, that the backend has to be asked about."""
    if change.action in (Action.REMOVE, Action.TAKE_OUT):
        return False
    if change.kind != Target.SUBSCRIBER and change.action == Action.CREATE:
        return False  # nobody copies it yet
    old, new = ([settings_of(each) for each in (document, *parts_of(change, document))]
                for document in (change.before, change.after))  # fmt: skip
    return old != new or bool(parts_left_out(change))


def settings_of(document: dict[str, Any]) -> list:
    """What MEASURED settings a level has; an empty one is none, and a news filter that closes nothing is none."""
    found = [document.get(name) or None for name in MEASURED]
    if "closePositionTimeGapInMinutes" not in str(found[1]):
        found[1] = None
    return [document.get("strategyId"), *found]


def may_act(change: Change) -> bool:
    """Whether what needs measuring may act at once: limits that were only loosened fire no sooner than before."""
    old, new = ([*parts_of(change, document), document] for document in (change.before, change.after))
    if [each.get("strategyId") for each in old] != [each.get("strategyId") for each in new]:
        return True
    for before, after in zip(old, new, strict=True):
        if settings_of(before)[2:] != settings_of(after)[2:]:
            return True
        if not is_loosened(before.get("riskLimits") or [], after.get("riskLimits") or []):
            return True
    return False


def is_loosened(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> bool:
    """Whether each limit is still there, counts from the same moment, and allows as much or more."""
    names = ("type", "applyTo", "closePositions", "startTime")
    old, new = ({tuple(limit.get(name) for name in names): limit for limit in limits} for limits in (before, after))
    bounds = ("maxAbsoluteRisk", "maxRelativeRisk")
    return old.keys() == new.keys() and all(
        (new[key].get(name) or inf) >= (old[key].get(name) or inf) for key in old for name in bounds
    )


# --- What the backend measures ----------------------------------------------------------------------------------------
def effects_of(change: Change, *, client: Client) -> Effects:
    """All that saving would do at once. Raises the client's errors but one: a backend that cannot tell."""
    stated = document_effects(change)
    if not needs_measuring(change):
        return stated
    try:
        return measured(stated, change, client.immediate_effects(changes_of(change)))
    except NotFound:
        return replace(stated, problem=NOT_OFFERED) if may_act(change) else stated
    except Rejected:
        # what cannot be saved does nothing: saving says what is wrong with it, without asking for a name first
        return stated


def unknown_effects(change: Change, why: str) -> Effects:
    """As `effects_of` when the backend could not be asked."""
    stated = document_effects(change)
    if not needs_measuring(change) or not may_act(change):
        return stated
    return replace(stated, problem=f"Whether a limit is exceeded already is not known. {why}")


def measured(stated: Effects, change: Change, answer: dict[str, Any]) -> Effects:
    """The backend's answer (E11) with names."""
    rows = (answer.get("limits") or [])[:MOST_LISTED]
    ids = {row.get("accountId") for row in rows}
    accounts = Subscriber.objects.filter(connection_id=change.connection_id, backend_id__in=ids)
    known = {account.backend_id: account for account in accounts.defer("document", "limits")}
    copied = {row[name] for row in rows for name in ("strategyId", "sourceStrategyId") if row.get(name)}
    names = Strategy.objects.filter(connection_id=change.connection_id, backend_id__in=copied)
    strategies = dict(names.values_list("backend_id", "name"))
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


def limit_now(row: dict[str, Any], known: dict[str, Subscriber], strategies: dict[str, str]) -> LimitNow:
    """One limit of the answer."""
    limit = msgspec.convert(row, RiskLimit, strict=False)
    bound = allowed(limit)
    where = [strategies.get(each, each) for each in (limit.source_strategy_id, limit.strategy_id) if each]
    return LimitNow(
        account=known.get(row["accountId"]),
        account_id=row["accountId"],
        currency=row.get("currency", ""),
        what=limit_words(limit.type, limit.apply_to) + (f", {' in '.join(where)}" if where else ""),
        level=LEVEL_WORDS.get(limit.level, ""),
        measured=limit.drawdown,
        bound=bound,
        fires=bool(row.get("fires")),
        closes=limit.close_positions,
        positions=row.get("positions", 0),
    )
