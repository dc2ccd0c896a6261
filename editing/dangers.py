"""Which changes are dangerous, as far as their documents say: rules of a change, each a sentence or "" without danger.

Reasons end copying or close positions, and the person has to type the name; notes act at once and harm no position.
What only the backend can measure (limits that are exceeded already) is added by editing/immediate.py.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

from editing.models import Action, Change
from editing.removal import MODES, mode_words
from editing.secrets import holds_new_secret
from editing.targets import STRATEGY, SUBSCRIBER, Document, parts_in

# settings whose new value the backend applies to what is open, or measures, as soon as it is saved
MEASURED = ("riskLimits", "newsFilter", "closeOnly")
REMOVALS = (Action.REMOVE, Action.TAKE_OUT)


def removed(change: Change) -> str:
    """The whole object goes, or one part of it with close instructions."""
    if change.action not in REMOVALS:
        return ""
    return mode_words(change.instructions.get("mode") or MODES[-1][0])


def parts_left_out(change: Change) -> str:
    """A member or subscription is not named any more."""
    named = [part.get("strategyId") for part in parts_in(change.kind, change.after)]
    for part in parts_in(change.kind, change.before):
        if part.get("strategyId") not in named:
            return "What is taken out of the list is no longer copied; its copied positions are closed at once."
        named.remove(part.get("strategyId"))  # a portfolio may hold one strategy twice
    return ""


def closed_at_once(change: Change) -> str:
    """Close-only of the strictest kind is new somewhere."""
    before, after = modes_of(change, change.before), modes_of(change, change.after)
    is_new = any(mode == "immediately" and before.get(key) != mode for key, mode in after.items())
    return "Copied positions are closed at once." if is_new else ""


def another_account(change: Change) -> str:
    """A strategy gets its trades from another account."""
    before, after = change.before.get("accountId"), change.after.get("accountId")
    if change.kind != STRATEGY or not before or before == after:
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


def offered_to(document: Document) -> str | tuple[str, ...]:
    """ "everybody", or the users that a strategy or portfolio is offered to."""
    offer = document.get("offer") or {}
    return "everybody" if offer.get("to") == "everybody" else tuple(offer.get("tenants") or ())


REASONS: tuple[Callable[[Change], str], ...] = (removed, parts_left_out, closed_at_once, another_account)
NOTES: tuple[Callable[[Change], str], ...] = (orders_withdrawn, offer_withdrawn)


def reasons_of(change: Change) -> list[str]:
    """Why the name is asked for before the change is saved; []: its documents are harmless."""
    rules = (removed,) if change.action in REMOVALS else REASONS
    return [text for rule in rules if (text := rule(change))]


def is_sensitive(change: Change) -> bool:
    """Whether it ends or pauses copying or lets it go on, touches what clients pay, or tells a backend a new secret."""
    if reasons_of(change) or holds_new_secret(change.after, change.before):
        return True
    old, new = (
        [
            document.get("commissionScheme") or None,
            {key: mode for key, mode in modes_of(change, document).items() if mode},
        ]
        for document in (change.before, change.after)
    )
    return old != new


def side_effects_of(change: Change) -> list[str]:
    """What happens at once besides."""
    return [] if change.action in REMOVALS else [text for rule in NOTES if (text := rule(change))]


def modes_of(change: Change, document: Document) -> dict[tuple, str]:
    """closeOnly of the object and of each of its parts."""
    return {key: level.get("closeOnly") or "" for key, level in levels_of(change, document).items()}


def needs_measuring(change: Change) -> bool:
    """Whether a setting differs, on whichever level of the document, that the backend has to be asked about."""
    if change.action in REMOVALS:
        return False
    if change.kind != SUBSCRIBER and change.action == Action.CREATE:
        return False  # nobody copies it yet
    old, new = (
        [measured_settings(level) for level in (document, *parts_in(change.kind, document))]
        for document in (change.before, change.after)
    )
    return old != new or bool(parts_left_out(change))


def measured_settings(document: Document) -> list[Any]:
    """What MEASURED settings a level has; an empty one is none, and a news filter that closes nothing is none."""
    limits, news, close_only = (document.get(name) or None for name in MEASURED)
    if "closePositionTimeGapInMinutes" not in str(news):
        news = None
    return [document.get("strategyId"), limits, news, close_only]


def may_act(change: Change) -> bool:
    """Whether what needs measuring may act at once: limits that were only loosened fire no sooner than before.

    What is added acts by settings of its own only: a new subscription has neither positions nor a result.
    """
    if parts_left_out(change):
        return True
    old, new = (levels_of(change, document) for document in (change.before, change.after))
    for key, after in new.items():
        before = old.get(key, {})
        if measured_settings(before)[2:] != measured_settings(after)[2:]:
            return True
        if not is_loosened(before.get("riskLimits") or [], after.get("riskLimits") or []):
            return True
    return False


def levels_of(change: Change, document: Document) -> dict[tuple, Document]:
    """The object and each of its parts, by (strategy, which one of it); ("", 0): the object itself."""
    levels: dict[tuple, Document] = {("", 0): document}
    for part in parts_in(change.kind, document):
        number = sum(key[0] == part.get("strategyId") for key in levels)
        levels[part.get("strategyId"), number] = part
    return levels


def is_loosened(before: list[Document], after: list[Document]) -> bool:
    """Whether each limit is still there, counts from the same moment, and allows as much or more."""
    names = ("type", "applyTo", "closePositions", "startTime")
    old, new = ({tuple(limit.get(name) for name in names): limit for limit in limits} for limits in (before, after))
    bounds = ("maxAbsoluteRisk", "maxRelativeRisk")
    return old.keys() == new.keys() and all(
        (new[key].get(name) or inf) >= (old[key].get(name) or inf) for key in old for name in bounds
    )
