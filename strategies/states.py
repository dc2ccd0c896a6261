"""The state of a strategy, and of a portfolio's member, derived from all that is known of them."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, Q

from editing.removal import mode_words
from strategies.models import Strategy
from users.models import Connection
from users.states import State, by_code
from users.syncing import failing_syncs

STRATEGY_STATES = by_code(
    State("offered", "Active", "good"),
    State("unconfirmed", "Not confirmed", "warn", "The sync with the backend fails: it was active before that"),
    State("ending", "Being removed", "warn", "No new trades; what was copied is still managed"),
    State("removed", "Removed"),
)
TAKEN_OUT = State("ending", "Being taken out", "warn")
MEMBER = State("member", "Copied", "good")


def is_unconfirmed(strategy: Strategy) -> bool:
    """Whether what the mirror says of it may be wrong: its connection is off or does not sync."""
    connection = strategy.connection
    return not connection.is_enabled or failing_syncs().filter(connection_id=connection.pk).exists()


def unconfirmed_connections(workspace_id: int) -> set[int]:
    """The connections of whose strategies `is_unconfirmed` holds, for lists. One query."""
    uncertain = Q(is_enabled=False) | Q(Exists(failing_syncs().filter(connection_id=OuterRef("pk"))))
    return set(Connection.objects.filter(uncertain, workspace_id=workspace_id).values_list("pk", flat=True))


def strategy_state(strategy: Strategy) -> State:
    """What becomes of its trades now. At most one query."""
    code = strategy.state
    return STRATEGY_STATES["unconfirmed" if code == "offered" and is_unconfirmed(strategy) else code]


def member_state(member: dict[str, Any], strategy: Strategy | None) -> State:
    """Of a portfolio's member by its settings and the strategy that it is; None: the mirror does not have that."""
    if member.get("closeOnRemovalMode"):
        return TAKEN_OUT.because(mode_words(member["closeOnRemovalMode"]))
    if strategy is None:
        return STRATEGY_STATES["unconfirmed"].because("The strategy is not mirrored")
    return MEMBER if strategy.state == "offered" else STRATEGY_STATES[strategy.state]
