"""A change at the backend: the one call that does it, what is mirrored after it, and what one wants to know before.

The order of a save, and what becomes of it where something fails, is in `subscribers.saving`. A document that is
another one at the backend than the proposal started from is never overwritten: the answer is a `Conflict`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from copying.client import Client, NotFound
from copying.contract import wire
from copying.engine.model import Level
from strategies.chains import portfolios_with, strategies_of
from strategies.changes import PARTS, Spot, propose, read_document
from strategies.editing.differences import Difference, differences
from strategies.editing.merging import merged, writable
from strategies.editing.secrets import without_new_secrets
from strategies.mirror import keep_strategies
from strategies.models import Action, Change, Kind, Strategy, Target
from subscribers.mirror import keep_subscribers, link_subscriptions
from subscribers.models import Subscriber, Subscription
from users.models import User

MOST_NAMES = 8
LEVELS = {Target.STRATEGY: Level.STRATEGY, Target.PORTFOLIO: Level.PORTFOLIO, Target.SUBSCRIBER: Level.SUBSCRIBER}


@dataclass(frozen=True)
class Conflict:
    """The object is another one now. current: as the backend has it, None: it is gone."""

    current: dict[str, Any] | None


def current_document(client: Client, change: Change) -> dict[str, Any] | None:
    """What the backend has of the object; None when it has none."""
    try:
        return read_document(client, change.kind, change.backend_id)
    except NotFound:
        return None


def write(change: Change, *, client: Client) -> None:
    """The one call that does it."""
    given = change.instructions
    mode, until = given.get("mode") or None, given.get("removeAfter")
    until = wire.parse_time(until) if until else None
    if change.action in (Action.CREATE, Action.CHANGE):
        puts = {Target.STRATEGY: client.put_strategy, Target.PORTFOLIO: client.put_portfolio,
                Target.SUBSCRIBER: client.put_subscriber}  # fmt: skip
        puts[Target(change.kind)](change.backend_id, {k: v for k, v in change.after.items() if k != "_id"})
    elif change.action == Action.REMOVE:
        removes = {Target.STRATEGY: client.remove_strategy, Target.PORTFOLIO: client.remove_portfolio,
                   Target.SUBSCRIBER: client.remove_subscriber}  # fmt: skip
        removes[Target(change.kind)](change.backend_id, mode=mode, remove_after=until)
    elif change.kind == Target.PORTFOLIO:
        client.remove_portfolio_member(change.backend_id, change.part, mode=mode, remove_after=until)
    else:
        client.remove_subscription(change.backend_id, change.part, mode=mode)


def mirror(change: Change, *, client: Client, now: datetime) -> dict[str, Any]:
    """Take over what the backend now has; {} when the object is gone."""
    document = current_document(client, change)
    model = Subscriber if change.kind == Target.SUBSCRIBER else Strategy
    if document is None:
        gone = model.objects.filter(connection_id=change.connection_id, backend_id=change.backend_id)
        gone.update(is_removed=True)
        return {}
    if change.kind == Target.SUBSCRIBER:
        keep_subscribers(change.connection, [document], now=now)
    else:
        kind = Kind.PORTFOLIO if change.kind == Target.PORTFOLIO else Kind.SINGLE
        keep_strategies(change.connection, [document], kind=kind, now=now)
    link_subscriptions(change.connection)
    return document


# --- Words about a change -------------------------------------------------------------------------------------------
def names_of(change: Change) -> dict[str, str]:
    """Names of the strategies that the documents mention, by backend id."""
    parts = PARTS.get(Target(change.kind), "")
    ids = {one.get("strategyId") for each in (change.before, change.after) for one in each.get(parts) or []}
    found = Strategy.objects.filter(connection_id=change.connection_id, backend_id__in=ids - {None})
    return dict(found.values_list("backend_id", "name"))


def differences_of(change: Change) -> list[Difference]:
    """What the change does, setting by setting."""
    after = {} if change.action == Action.REMOVE else change.after
    return differences(change.kind, change.before, after, names_of(change))


def summary_of(change: Change) -> str:
    """One text for the list of changes and the file: every difference on a line."""
    if change.action == Action.REMOVE:
        return f"Removed: {change.instructions.get('mode') or 'close-immediately'}"
    return "\n".join(one.sentence for one in differences_of(change)) or "Nothing"


@dataclass(frozen=True)
class Reach:
    """Whom a change reaches. through: (portfolio, number of its subscribers)."""

    count: int
    direct: int
    names: list[Subscriber] = field(default_factory=list)
    through: list[tuple[Strategy, int]] = field(default_factory=list)


def reach_of(change: Change, *, most: int = MOST_NAMES) -> Reach:
    """Accounts that copy the object, directly or through portfolios; for an account itself, it alone."""
    if change.kind == Target.SUBSCRIBER:
        own = Subscriber.objects.filter(connection_id=change.connection_id, backend_id=change.backend_id)
        return Reach(1, 1, list(own.defer("document")))
    strategies = strategies_of(change.connection_id)
    holders = portfolios_with(change.backend_id, strategies)
    copied = Subscription.objects.filter(
        subscriber__connection_id=change.connection_id, subscriber__is_removed=False, is_removed=False
    )
    count = {
        each: copied.filter(strategy_backend_id=each).values("subscriber_id").distinct().count()
        for each in (change.backend_id, *holders)
    }
    reached = Subscriber.objects.filter(
        pk__in=copied.filter(strategy_backend_id__in=list(count)).values("subscriber_id")
    )
    names = list(reached.defer("document").order_by("name", "id")[:most])
    through = [(strategies[each], count[each]) for each in holders if count[each]]
    return Reach(reached.count(), count[change.backend_id], names, through)


# --- Going on from a change -----------------------------------------------------------------------------------------
def spot_of(change: Change) -> Spot:
    """Where the change stands."""
    level = LEVELS[Target(change.kind)]
    return Spot(change.connection, change.kind, change.backend_id, change.name, level, change.part)


def rebase(change: Change, current: dict[str, Any], *, by: User | None, now: datetime) -> tuple[Change, list[str]]:
    """The same edit on top of what the backend has now, and the settings where both differ: there the edit stands."""
    after, conflicts = merged(change.before, change.after, current)
    after = after if change.is_of_destination else without_new_secrets(after, current)
    more = {"action": Action.CHANGE, "form_address": change.form_address}
    return propose(spot_of(change), by=by, now=now, before=current, after=after, **more), conflicts


def propose_undo(change: Change, *, client: Client, by: User | None, now: datetime) -> Change | None:
    """Put back what the change changed, and nothing that was changed since; None: there is nothing to put back.

    What was created is not put back: it is removed, with close instructions. Settings with a secret stay as they are
    where the connection leads elsewhere by now.
    """
    current = current_document(client, change)
    if change.action == Action.REMOVE:
        if current is not None:
            return None
        after = writable(change.before)
        after = after if change.is_of_destination else without_new_secrets(after, {})
        return propose(spot_of(change), by=by, now=now, action=Action.CREATE, after=after, undoes=change)
    if current is None or change.action == Action.CREATE:
        return None
    after, _ = merged(change.after, change.before, current)
    after = after if change.is_of_destination else without_new_secrets(after, current)
    if writable(after) == writable(current):
        return None
    return propose(spot_of(change), by=by, now=now, before=current, after=after, undoes=change)
