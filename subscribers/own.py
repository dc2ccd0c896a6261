"""What clients do with their own accounts: which acts they are offered, who paused what, and setting the bounds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from editing.models import Action, Change
from editing.targets import SUBSCRIBER, Document
from strategies.models import Strategy
from subscribers.bounds import ClientBounds
from subscribers.models import Subscriber
from subscribers.own_rules import (
    NOTHING,
    SETTINGS,
    OwnBounds,
    bounds_of_account,
    current_ids,
    subscriptions_in,
    why_not_changed,
    why_not_left,
)
from users.models import User
from users.services import record_audit

MOST_CHANGES = 50
CLOSING_WORDS = {
    "close-gracefully-by-position": "Wind down",
    "close-gracefully-by-symbol": "Wind down by symbol",
    "preserve": "Keep positions open",
    "close-immediately": "Close at once",
}


# --- The manager's side -----------------------------------------------------------------------------------------------
def bounds_for(connection_id: int, strategy_ids: Collection[str]) -> dict[str, OwnBounds]:
    """What the clients of these strategies may change, by strategy id."""
    own = ClientBounds.objects.filter(strategy__connection_id=connection_id, strategy__backend_id__in=strategy_ids)
    rows = own.newest().select_related("strategy")
    return {row.strategy.backend_id: OwnBounds.of(row.content) for row in rows}


def newest_bounds(strategy: Strategy) -> ClientBounds | None:
    """The version that holds; None: a manager has set none, and clients change nothing."""
    return ClientBounds.objects.filter(strategy=strategy).order_by("-pk").first()


@transaction.atomic
def set_bounds(strategy: Strategy, content: Mapping[str, Any], *, by: User, now: datetime) -> ClientBounds | None:
    """Make a new version; None: it says what holds already. It holds for what is saved from now on."""
    Strategy.objects.select_for_update().get(pk=strategy.pk)  # two managers at once: one after the other
    before = newest_bounds(strategy)
    if before is not None and before.content == content:
        return None
    row = ClientBounds.objects.create(
        workspace_id=strategy.workspace_id, strategy=strategy, set_by=by, set_at=now, **content
    )
    said = words_of(before.content) if before else {}
    details = {"before": said, "after": words_of(row.content), "id": strategy.backend_id}
    record_audit(
        strategy.workspace, user=by, action="client bounds changed", subject=strategy.name, details=details, now=now
    )
    return row


def words_of(content: Mapping[str, Any]) -> dict[str, str]:
    """What a version says, a line each: what it is about -> what is allowed."""
    bounds = OwnBounds.of(content)
    lines = {
        "Pause and go on": "allowed" if bounds.may_pause else "not allowed",
        "Close everything at once": "allowed" if bounds.may_close else "not allowed",
    }
    for setting in SETTINGS:
        range_ = bounds.ranges.get(setting.key)
        lines[setting.label] = range_.words(setting) if range_ else "not allowed"
    leaving = [CLOSING_WORDS[mode] for mode in bounds.closing]
    return lines | {"Stop copying": ", ".join(leaving) if leaving else "not allowed"}


# --- The client's side ------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class OwnActs:
    """What a client may do with an account (part "") or one of its subscriptions, as things are now.

    mode: the close-only that is set; is_held: the manager set it, so the client cannot end it.
    """

    part: str
    mode: str
    is_held: bool
    bounds: OwnBounds

    @property
    def may_pause(self) -> bool:
        return self.bounds.may_pause and not self.mode

    @property
    def may_resume(self) -> bool:
        return self.bounds.may_pause and bool(self.mode) and not self.is_held

    @property
    def may_close(self) -> bool:
        return self.bounds.may_close and self.mode != "immediately" and not self.is_held

    @property
    def may_edit(self) -> bool:
        return bool(self.bounds.ranges)

    @property
    def may_leave(self) -> bool:
        return bool(self.bounds.closing)

    @property
    def is_any(self) -> bool:
        return self.may_pause or self.may_resume or self.may_close or self.may_edit or self.may_leave


def acts_of(account: Subscriber) -> dict[str, OwnActs]:
    """By part, "" the account, what its client may do. Three queries at most."""
    document = account.document
    ids = [] if account.is_removed else current_ids(document)
    bounds = bounds_for(account.connection_id, ids) if ids else {}
    modes, own = close_modes(document), own_pauses(account.connection_id, account.backend_id, document)
    parts = {"": bounds_of_account(ids, bounds)} | {part: bounds.get(part, NOTHING) for part in ids}
    return {
        part: OwnActs(part, modes.get(part, ""), bool(modes.get(part)) and part not in own, allowed)
        for part, allowed in parts.items()
    }


def close_modes(document: Document) -> dict[str, str]:
    """closeOnly of the account ("") and of each subscription, "" where it is not set."""
    parts = {terms.get("strategyId", ""): terms.get("closeOnly") or "" for terms in subscriptions_in(document)}
    return parts | {"": document.get("closeOnly") or ""}


def own_pauses(connection_id: int, backend_id: str, document: Document) -> set[str]:
    """Parts whose pause a client set: the last change of it that was saved here was theirs, and it still stands so.

    What cannot be found here, another program or a manager set.
    """
    waiting = {part: mode for part, mode in close_modes(document).items() if mode}
    own: set[str] = set()
    if not waiting:
        return own
    saved = Change.objects.saved().filter(connection_id=connection_id, kind=SUBSCRIBER, backend_id=backend_id)
    saved = saved.filter(action__in=(Action.CHANGE, Action.CREATE)).order_by("-saved_at", "-pk")
    for change in saved.only("as_client", "before", "after")[:MOST_CHANGES]:
        before, after = close_modes(change.before), close_modes(change.after)
        for part in [part for part in waiting if before.get(part, "") != after.get(part, "")]:
            if change.as_client and after.get(part, "") == waiting[part]:
                own.add(part)
            del waiting[part]
        if not waiting:
            break
    return own


def why_not_saved(change: Change) -> str:
    """Why a client may not save a change that they made, in sentences; "": they may. Judged by the bounds of now."""
    ids = current_ids(change.before)
    bounds = bounds_for(change.connection_id, ids)
    if change.action in (Action.REMOVE, Action.TAKE_OUT):
        if change.instructions.get("removeAfter"):
            return "Your account manager says until when it is wound down."
        return why_not_left(change.before, change.part, change.instructions.get("mode", ""), bounds)
    if change.action != Action.CHANGE:
        return "Your account manager begins copying again for you."
    liftable = own_pauses(change.connection_id, change.backend_id, change.before)
    return " ".join(why_not_changed(change.before, change.after, bounds, liftable=liftable))
